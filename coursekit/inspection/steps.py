"""Read what a layer does to positions, in few words.

A `Step` is one of a dozen operations with its numbers. Nothing here knows of receptive
fields; what a step does to them stands in `coursekit.inspection.rules`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn
from torch.nn.modules import (
    activation,
    batchnorm,
    conv,
    dropout,
    instancenorm,
    padding,
    pooling,
)

__all__ = [
    "EVERYWHERE",
    "POINTWISE",
    "Step",
    "UnknownStepError",
    "count_axes",
    "mix_last",
    "read_module",
    "slide_window",
]


class UnknownStepError(Exception):
    """A step whose reach cannot be told from the graph."""


class Step(NamedTuple):
    """One operation, and the numbers that it needs."""

    operation: str
    numbers: Mapping[str, Any] = {}


POINTWISE = Step("pointwise")
EVERYWHERE = Step("everywhere")

_POINTWISE_MODULES = (
    nn.Identity,
    nn.LocalResponseNorm,
    nn.ChannelShuffle,
    nn.Softmax2d,
    dropout._DropoutNd,
    batchnorm._BatchNorm,
)
_EVERYWHERE_MODULES = (
    nn.MultiheadAttention,
    nn.TransformerEncoder,
    nn.TransformerEncoderLayer,
    nn.GroupNorm,
    instancenorm._InstanceNorm,
)
_WINDOW_POOLS = (pooling._MaxPoolNd, pooling._AvgPoolNd, pooling._LPPoolNd)
_ADAPTIVE_POOLS = (pooling._AdaptiveAvgPoolNd, pooling._AdaptiveMaxPoolNd)


def count_axes(model: nn.Module) -> int:
    """Return how many axes of positions the model's images have: 2 unless layers differ."""
    for module in model.modules():
        if isinstance(module, (conv._ConvNd, *_WINDOW_POOLS, *_ADAPTIVE_POOLS)):
            return int(type(module).__name__.rstrip("d")[-1])
    return 2


def read_module(module: nn.Module) -> Step:
    """Return what a layer of `torch.nn` does.

    Raises
    ------
    UnknownStepError
        If no rule is known for it.
    """
    if isinstance(module, conv._ConvTransposeNd):
        raise UnknownStepError
    for classes, read in _MODULE_READERS:
        if isinstance(module, classes):
            return read(module)
    raise UnknownStepError


def slide_window(
    kernel: Any, stride: Any, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Step:
    """Return the step of a window; each number is one for all axes, or one an axis."""
    numbers = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    return Step("window", {**numbers, "ceil_mode": ceil_mode})


def _read_conv(layer: Any) -> Step:
    return slide_window(layer.kernel_size, layer.stride, layer.padding, layer.dilation)


def _read_pool(layer: Any) -> Step:
    stride = layer.kernel_size if layer.stride is None else layer.stride
    return slide_window(
        layer.kernel_size,
        stride,
        getattr(layer, "padding", 0),
        getattr(layer, "dilation", 1),
        layer.ceil_mode,
    )


def mix_last(n_dims: int) -> Step:
    """Mixes everything along the last `n_dims` dimensions."""
    return Step("mix", {"dims": tuple(range(-n_dims, 0))})


_MODULE_READERS: tuple[tuple[Any, Callable[[Any], Step]], ...] = (
    (_POINTWISE_MODULES, lambda _: POINTWISE),
    (_EVERYWHERE_MODULES, lambda _: EVERYWHERE),
    ((nn.Softmax, nn.LogSoftmax, nn.Softmin), lambda m: Step("mix", {"dims": (m.dim,)})),
    (conv._ConvNd, _read_conv),
    (_WINDOW_POOLS, _read_pool),
    (_ADAPTIVE_POOLS, lambda m: Step("adaptive", {"output": m.output_size})),
    (nn.Linear, lambda _: mix_last(1)),
    (nn.LayerNorm, lambda m: mix_last(len(m.normalized_shape))),
    (nn.Flatten, lambda m: Step("flatten", {"start": m.start_dim, "end": m.end_dim})),
    (nn.Unflatten, lambda _: Step("reshape", {"shape": None})),
    (
        (padding._ConstantPadNd, padding._ReflectionPadNd, padding._ReplicationPadNd),
        lambda m: Step("pad", {"amounts": m.padding}),
    ),
    # Last, because attention and softmax stand in the same file:
    (
        tuple(
            c
            for c in vars(activation).values()
            if isinstance(c, type) and issubclass(c, nn.Module) and c is not nn.Module
        ),
        lambda _: POINTWISE,
    ),
)
if hasattr(nn, "RMSNorm"):
    _MODULE_READERS = (
        (nn.RMSNorm, lambda m: mix_last(len(m.normalized_shape))),
        *_MODULE_READERS,
    )
