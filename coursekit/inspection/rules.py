"""What each step does to the receptive field of a map: one rule an operation.

Nothing here knows how a model is traced.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from coursekit.errors import ShapeError
from coursekit.inspection.fields import Axis, join
from coursekit.inspection.steps import Step, UnknownStepError

__all__ = ["Signal", "follow"]


class Signal(NamedTuple):
    """What is known of one tensor between two steps."""

    axes: tuple[Axis, ...]
    """What its positions see, rows before columns."""
    dims: tuple[int, ...] | None
    """The dimension of the tensor in which each axis lies; None when that was lost."""
    n_dims: int | None
    """Dimensions of the tensor, the images' one included."""
    extents: tuple[int, ...] | None = None
    """Positions along each axis, where known."""

    @classmethod
    def of_image(cls, n_axes: int, input_size: Sequence[int] | None) -> "Signal":
        """Return the signal of the input: each pixel sees itself."""
        dims = tuple(range(2, 2 + n_axes))
        extents = None if input_size is None else tuple(input_size)
        return cls((Axis(),) * n_axes, dims, 2 + n_axes, extents)

    @property
    def is_whole(self) -> bool:
        """Whether every position sees the whole image."""
        return all(axis.size is None for axis in self.axes)

    def whole(self) -> "Signal":
        """Return the signal after all positions were mixed."""
        return self._replace(axes=tuple(axis.whole() for axis in self.axes))

    def lost(self) -> "Signal":
        """Return the signal after it is no longer known which dimension is which."""
        return self._replace(dims=None, n_dims=None, extents=None)


def follow(step: Step, signals: Sequence[Signal]) -> Signal | None:
    """Return the signal after `step`, which reads `signals`; None if no image is in it.

    Raises
    ------
    UnknownStepError
        If it cannot be told.
    """
    if step.operation == "constant" or not signals:
        return None
    signal = _join(signals)
    try:
        return _RULES[step.operation](signal, step.numbers)
    except (UnknownStepError, TypeError, IndexError, ValueError) as error:
        if signal.is_whole:  # it stays so, whatever is done
            return signal.lost()
        raise UnknownStepError from error  # sizes may depend on the input


def _join(signals: Sequence[Signal]) -> Signal:
    first = signals[0]
    try:
        axes = tuple(join(axes) for axes in zip(*(s.axes for s in signals), strict=True))
    except ShapeError as error:
        raise UnknownStepError from error
    known = [s for s in signals if s.dims is not None]
    if len({(s.dims, s.n_dims) for s in signals}) > 1:
        widest = max(known, key=lambda s: s.n_dims, default=first)
        # Broadcasting aligns last dimensions: the same places count from the end.
        from_end = {tuple(d - s.n_dims for d in s.dims) for s in known}
        if len(known) < len(signals) or len(from_end) > 1:
            return first._replace(axes=axes).lost()
        first = widest
    extents = next((s.extents for s in signals if s.extents and not s.is_whole), None)
    return first._replace(axes=axes, extents=extents)


def _pointwise(signal: Signal, _: Any) -> Signal:
    return signal


def _everywhere(signal: Signal, _: Any) -> Signal:
    return signal.whole()


def _window(signal: Signal, numbers: Any) -> Signal:
    n_axes = len(signal.axes)
    _need_places(signal)
    kernels, strides, dilations = (
        _per_axis(numbers[name], n_axes) for name in ("kernel", "stride", "dilation")
    )
    padding = numbers["padding"]
    same = padding == "same"
    if same:
        paddings = [d * (k - 1) // 2 for k, d in zip(kernels, dilations, strict=True)]
    else:
        paddings = _per_axis(0 if padding == "valid" else padding, n_axes)
    axes = tuple(
        axis.window(kernel=k, stride=s, padding=p, dilation=d)
        for axis, k, s, p, d in zip(
            signal.axes, kernels, strides, paddings, dilations, strict=True
        )
    )
    extents = signal.extents
    if extents is not None and not same:
        round_up = numbers["ceil_mode"]
        extents = tuple(
            (n + 2 * p - d * (k - 1) - 1 + (s - 1 if round_up else 0)) // s + 1
            for n, k, s, p, d in zip(
                extents, kernels, strides, paddings, dilations, strict=True
            )
        )
    return signal._replace(axes=axes, extents=extents)


def _adaptive(signal: Signal, numbers: Any) -> Signal:
    _need_places(signal)
    outputs = _per_axis(numbers["output"], len(signal.axes))
    extents = signal.extents or (None,) * len(signal.axes)
    axes = []
    for axis, output, extent in zip(signal.axes, outputs, extents, strict=True):
        if output is None:
            axes.append(axis)
        elif extent is not None and extent % output == 0 and output > 1:
            step = extent // output
            axes.append(axis.window(kernel=step, stride=step, padding=0, dilation=1))
        else:
            axes.append(axis.whole())
    extents = tuple(
        extent if output is None else output
        for extent, output in zip(extents, outputs, strict=True)
    )
    known = all(extent is not None for extent in extents)
    return signal._replace(axes=tuple(axes), extents=extents if known else None)


def _pad(signal: Signal, numbers: Any) -> Signal:
    _need_places(signal)
    amounts = numbers["amounts"]
    if isinstance(amounts, int):
        amounts = (amounts,) * (2 * len(signal.axes))
    before = dict(zip(range(-1, -len(amounts), -1), amounts[::2], strict=False))
    after = dict(zip(range(-1, -len(amounts), -1), amounts[1::2], strict=False))
    axes, extents = [], []
    for i, axis in enumerate(signal.axes):
        place = signal.dims[i] - signal.n_dims
        axes.append(axis._replace(start=axis.start - before.get(place, 0) * axis.stride))
        if signal.extents is not None:
            extents.append(signal.extents[i] + before.get(place, 0) + after.get(place, 0))
    return signal._replace(axes=tuple(axes), extents=tuple(extents) or None)


def _mix(signal: Signal, numbers: Any) -> Signal:
    """Every position along some dimensions with every other along them."""
    if signal.dims is None:
        return signal.whole()
    mixed = {dim % signal.n_dims for dim in numbers["dims"]}
    axes = tuple(
        axis.whole() if dim in mixed else axis
        for axis, dim in zip(signal.axes, signal.dims, strict=True)
    )
    return signal._replace(axes=axes)


def _reduce(signal: Signal, numbers: Any) -> Signal:
    dims = numbers["dims"]
    if dims is None or signal.dims is None:
        return signal.whole().lost()
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    mixed = _mix(signal, {"dims": dims})
    if numbers["keepdim"]:
        return mixed
    gone = sorted(dim % signal.n_dims for dim in dims)
    if set(gone) & set(signal.dims):
        return mixed.lost()
    places = tuple(dim - sum(g < dim for g in gone) for dim in signal.dims)
    return mixed._replace(dims=places, n_dims=signal.n_dims - len(gone))


def _flatten(signal: Signal, numbers: Any) -> Signal:
    _need_places(signal, conv_like=False)
    start, end = (numbers[name] % signal.n_dims for name in ("start", "end"))
    n_lost = end - start
    dims = tuple(dim if dim <= start else max(start, dim - n_lost) for dim in signal.dims)
    return signal._replace(dims=dims, n_dims=signal.n_dims - n_lost, extents=None)


def _reshape(signal: Signal, numbers: Any) -> Signal:
    shape = numbers["shape"]
    if shape is not None and len(shape) == 2 and signal.dims and min(signal.dims) > 0:
        last = signal._replace(dims=(1,) * len(signal.axes), n_dims=2, extents=None)
        if isinstance(shape[1], int) and shape[1] == -1:  # view(n, -1) flattens
            return last
    return signal.lost()


def _permute(signal: Signal, numbers: Any) -> Signal:
    if signal.dims is None:
        return signal
    order = [dim % signal.n_dims for dim in numbers["order"]]
    return signal._replace(dims=tuple(order.index(dim) for dim in signal.dims))


def _transpose(signal: Signal, numbers: Any) -> Signal:
    if signal.dims is None:
        return signal
    order = list(range(signal.n_dims))
    first, second = numbers["first"], numbers["second"]
    order[first], order[second] = order[second], order[first]
    return _permute(signal, {"order": order})


def _cat(signal: Signal, numbers: Any) -> Signal:
    """Side by side along a dimension without positions, or unknown."""
    if signal.dims is None:
        return signal
    if numbers["dim"] % signal.n_dims in signal.dims:
        return signal.lost()
    return signal


def _split(signal: Signal, numbers: Any) -> Signal:
    if signal.dims is None or numbers["dim"] % signal.n_dims in signal.dims:
        raise UnknownStepError
    return signal


def _unsqueeze(signal: Signal, numbers: Any) -> Signal:
    place = numbers["dim"] % (signal.n_dims + 1)
    dims = tuple(dim + (dim >= place) for dim in signal.dims)
    return signal._replace(dims=dims, n_dims=signal.n_dims + 1)


def _index(signal: Signal, numbers: Any) -> Signal:
    index = numbers["index"]
    if isinstance(index, int):  # one of the tensors that a layer gave back
        return signal
    if signal.dims is None:
        raise UnknownStepError
    index = index if isinstance(index, tuple) else (index,)
    if Ellipsis in index:
        place = index.index(Ellipsis)
        n_filled = signal.n_dims - (len(index) - 1)
        index = (*index[:place], *[slice(None)] * n_filled, *index[place + 1 :])
    if not all(isinstance(part, slice) for part in index):
        raise UnknownStepError
    axes = list(signal.axes)
    for i, dim in enumerate(signal.dims):
        part = index[dim] if dim < len(index) else slice(None)
        start, step = part.start or 0, part.step or 1
        if start < 0 or step < 1:
            raise UnknownStepError
        axis = axes[i]
        axes[i] = axis._replace(
            start=axis.start + start * axis.stride, stride=axis.stride * step
        )
    return signal._replace(axes=tuple(axes), extents=None)


def _need_places(signal: Signal, *, conv_like: bool = True) -> None:
    usual = tuple(range(2, 2 + len(signal.axes)))
    if signal.dims is None or (conv_like and signal.dims != usual):
        raise UnknownStepError


def _per_axis(value: Any, n_axes: int) -> tuple[Any, ...]:
    if isinstance(value, Sequence):
        if len(value) == 1:
            return tuple(value) * n_axes
        if len(value) != n_axes:
            raise UnknownStepError
        return tuple(value)
    return (value,) * n_axes


_RULES: dict[str, Callable[[Signal, Any], Signal]] = {
    "pointwise": _pointwise,
    "everywhere": _everywhere,
    "window": _window,
    "adaptive": _adaptive,
    "pad": _pad,
    "mix": _mix,
    "reduce": _reduce,
    "flatten": _flatten,
    "reshape": _reshape,
    "permute": _permute,
    "transpose": _transpose,
    "cat": _cat,
    "split": _split,
    "unsqueeze": _unsqueeze,
    "index": _index,
}
