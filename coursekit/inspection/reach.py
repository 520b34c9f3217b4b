"""Run a model so that no gradient dies: what is reached is what can be reached.

Nothing here knows what is done with the gradients.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["NothingDies"]


class NothingDies(TorchFunctionMode):
    """Runs layers so that every gradient that can pass does: positive weights, sums."""

    def __torch_function__(
        self,
        func: Callable,
        types: Any,
        args: tuple = (),
        kwargs: dict | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        with torch._C.DisableTorchFunction():
            if name.rstrip("_") in _PASSED_ON:
                return args[0] * 1
            if name in _WEIGHTED:
                return func(args[0], *_positive(args[1:]), **_positive_values(kwargs))
            if name in _MAX_POOLS:
                return _sum_pool(*args, **kwargs)
            return func(*args, **kwargs)


_PASSED_ON = frozenset(
    [
        "relu",
        "relu6",
        "hardtanh",
        "hardswish",
        "hardsigmoid",
        "gelu",
        "silu",
        "mish",
        "elu",
        "selu",
        "celu",
        "leaky_relu",
        "prelu",
        "rrelu",
        "softplus",
        "sigmoid",
        "tanh",
        "threshold",
        "batch_norm",
        "dropout",
        "dropout1d",
        "dropout2d",
        "dropout3d",
        "logsigmoid",
        "softsign",
        "tanhshrink",
        "hardshrink",
        "softshrink",
        "local_response_norm",
    ]
)
_WEIGHTED = frozenset(
    [
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "linear",
    ]
)
_MAX_POOLS = frozenset({"max_pool2d", "max_pool2d_with_indices"})


def _positive(values: Sequence[Any]) -> list[Any]:
    return [_as_positive(value) for value in values]


def _positive_values(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _as_positive(value) for name, value in values.items()}


def _as_positive(value: Any) -> Any:
    """Weights between 0.5 and 1.5 over their number, so that sums neither grow nor vanish."""
    if not isinstance(value, Tensor) or value.ndim < 2:
        return value
    share = value.abs() / (value.abs().max() + 1e-12)
    return (0.5 + share) / value[0].numel()


def _sum_pool(
    image: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,  # noqa: ARG001 - no network of images uses them
) -> Tensor:
    """Pool like `max_pool2d`, but let every pixel of a window through."""
    real = functional.max_pool2d(image, kernel_size, stride, padding, dilation, ceil_mode)
    kernel, step, pad, gap = (
        (value, value) if isinstance(value, int) else tuple(value)
        for value in (
            kernel_size,
            kernel_size if stride is None else stride,
            padding,
            dilation,
        )
    )
    n_channels = image.shape[1]
    ones = image.new_ones(n_channels, 1, *kernel) / (kernel[0] * kernel[1])
    spare = [step[axis] for axis in (1, 0)]  # windows that ceil_mode adds at the far ends
    padded = functional.pad(image, (pad[1], pad[1] + spare[0], pad[0], pad[0] + spare[1]))
    pooled = functional.conv2d(padded, ones, stride=step, dilation=gap, groups=n_channels)
    return pooled[:, :, : real.shape[2], : real.shape[3]]
