"""Follow what each position of a map sees while a model runs.

The rules are those of `receptive_field`; here shapes are known, and models need not be
traceable. What cannot be told is None. Nothing here knows how the model is run.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from coursekit.inspection.calls import read_call
from coursekit.inspection.rules import Signal, follow
from coursekit.inspection.stand_in import tensors_in
from coursekit.inspection.steps import Step, UnknownStepError, read_module

__all__ = ["PositionTracker"]

_KEEPING = frozenset({"pointwise", "everywhere", "constant"})
_ALIKE = {"radd": "add", "rsub": "sub", "rmul": "mul", "rdiv": "div", "rtruediv": "truediv"}


class PositionTracker(TorchFunctionMode):
    """Knows the signal of every tensor that was computed from an image while it is active.

    While a mode like this one is active, torch's attention does not take its fast path,
    one operation of which no counter knows anything.
    """

    def __init__(self) -> None:
        super().__init__()
        self._signals = WeakTensorKeyDictionary()
        self._n_closed = 0

    def start(self, values: Any, *, n_axes: int) -> None:
        """Take the tensors in `values` that look like images for images."""
        for tensor in tensors_in(values):
            if tensor.ndim == n_axes + 2 and tensor.is_floating_point():
                self._signals[tensor] = Signal.of_image(n_axes, tensor.shape[2:])

    def find(self, values: Any) -> Signal | None:
        """Return the signal of the first tensor in `values` that has one that is known."""
        for tensor in tensors_in(values):
            if self._signals.get(tensor) is not None:
                return self._signals[tensor]
        return None

    def enter(self, module: nn.Module) -> None:
        """Say that a call of `module` begins."""
        self._n_closed += _is_closed(module)

    def leave(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        """Say that it ended, with what it was given and what it gave."""
        if not _is_closed(module):
            return
        self._n_closed -= 1
        if self._n_closed == 0:
            self._follow(read_module(module), inputs, outputs)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if self._n_closed == 0:
            self._note(func, args, kwargs, out)
        return out

    def _note(self, func: Any, args: tuple, kwargs: dict, out: Any) -> None:
        name = getattr(func, "__name__", "").strip("_")
        if name == "setitem":
            out = args[0]
        if not isinstance(out, (Tensor, tuple, list)):
            return
        if not any(tensor in self._signals for tensor in tensors_in((args, kwargs))):
            return
        try:
            step = self._read(_ALIKE.get(name, name), args, kwargs)
        except (UnknownStepError, TypeError, IndexError, ValueError, AttributeError):
            step = None
        self._follow(step, (args, kwargs), out)

    def _read(self, name: str, args: tuple, kwargs: dict) -> Step:
        if name in {"view", "reshape", "unflatten"}:
            return Step("reshape", {"shape": None})
        return read_call(name, args, kwargs, find_tensor=_as_tensor)

    def _follow(self, step: Step | None, inputs: Any, outputs: Any) -> None:
        sources = [t for t in tensors_in(inputs) if t in self._signals]
        if not sources:
            return
        signals = [self._signals[source] for source in sources]
        for output in tensors_in(outputs):
            signal = _signal_after(step, sources, signals, output)
            if step is None or step.operation != "constant":
                self._signals[output] = signal


def _is_closed(module: nn.Module) -> bool:
    """Whether one rule tells what the whole module does, as for the layers of torch."""
    if not type(module).__module__.startswith("torch.nn.modules."):
        return False
    if any(True for _ in module.children()) and not isinstance(
        module, nn.MultiheadAttention
    ):
        return False
    try:
        return read_module(module).operation not in {"reshape", "flatten"}
    except UnknownStepError:
        return False


def _signal_after(
    step: Step | None, sources: Sequence[Tensor], signals: Sequence[Any], output: Tensor
) -> Signal | None:
    if None in signals:
        return None
    if all(signal.is_whole for signal in signals):
        return signals[0].lost()
    if step is None:
        return None
    if step.operation in {"reshape", "flatten"} and len(signals) == 1:
        return _reshaped(signals[0], sources[0].shape, output.shape)
    if step.operation == "cat" and _are_tokens(signals, step.numbers["dim"]):
        return signals[0]._replace(extents=None)
    lost = any(signal.dims is None and not signal.is_whole for signal in signals)
    if lost and step.operation not in _KEEPING:
        return None
    try:
        signal = follow(step, signals)
    except UnknownStepError:
        return None
    if signal is None or signal.dims is None or max(signal.dims) >= output.ndim:
        return signal
    if len(set(signal.dims)) < len(signal.dims):
        return signal
    return signal._replace(extents=tuple(output.shape[dim] for dim in signal.dims))


def _are_tokens(signals: Sequence[Signal], dim: int) -> bool:
    """Whether all axes lie in one dimension, and tokens are put before or after along it."""
    first = signals[0]
    if len(signals) > 1 or first.dims is None or len(first.axes) == 1:
        return False
    return set(first.dims) == {dim % first.n_dims}


def _reshaped(signal: Signal, before: Sequence[int], after: Sequence[int]) -> Signal:
    """Say where the axes are after a reshape that joins some dimensions, or splits others."""
    if signal.dims is None:
        return signal
    places: dict[int, int] = {}
    for old, new in _groups(before, after):
        held = [dim for dim in old if dim in signal.dims]
        wide = [dim for dim in new if after[dim] > 1] or new[:1]
        if held and len(wide) != 1:
            return signal.lost()  # an axis was split
        places |= dict.fromkeys(held, wide[0] if wide else 0)
    if any(dim not in places for dim in signal.dims):
        return signal.lost()
    dims = tuple(places[dim] for dim in signal.dims)
    return signal._replace(dims=dims, n_dims=len(after), extents=None)


def _groups(before: Sequence[int], after: Sequence[int]) -> list[tuple[list, list]]:
    """Pair the smallest runs of dimensions that hold the same number of elements."""
    groups, old, new = [], [], []
    n_old = n_new = 1
    i = j = 0
    while i < len(before) or j < len(after):
        if n_old <= n_new and i < len(before) and not (old and new and n_old == n_new):
            old.append(i)
            n_old, i = n_old * before[i], i + 1
        elif j < len(after):
            new.append(j)
            n_new, j = n_new * after[j], j + 1
        else:
            old.append(i)
            n_old, i = n_old * before[i], i + 1
        if old and new and n_old == n_new:
            groups.append((old, new))
            old, new, n_old, n_new = [], [], 1, 1
    if (old or new) and groups:
        groups[-1] = (groups[-1][0] + old, groups[-1][1] + new)
    return groups


def _as_tensor(value: Any) -> Tensor | None:
    return value if isinstance(value, Tensor) else None
