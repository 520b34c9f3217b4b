"""Count the multiply-adds of torch's operations while they run, and see what they read.

The formulas are those of torch's own counter. Nothing here knows of modules.
"""

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from coursekit.inspection.stand_in import tensors_in

__all__ = ["OperationCounter"]

_aten = torch.ops.aten


class OperationCounter(TorchDispatchMode):
    """Adds up multiply-adds while it is active, for whoever is `on_count` at the time.

    Parameters
    ----------
    on_count : callable
        Called with the multiply-adds of each operation that has some.
    parameters : iterable of Tensor
        Which of them were read is noted in `read`, by their ids.
    """

    supports_higher_order_operators = True

    def __init__(
        self, on_count: Callable[[int], None], *, parameters: Iterable[Tensor] = ()
    ) -> None:
        super().__init__()
        self._on_count = on_count
        self._parameters = {id(parameter) for parameter in parameters}
        self.read: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        self.read |= self._parameters.intersection(map(id, tensors_in((args, kwargs))))
        packet = getattr(func, "overloadpacket", func)
        extra = _EXTRA.get(packet)
        if extra is not None:
            self._on_count(extra(*args))
        elif packet in flop_registry:
            n_operations = flop_registry[packet](*args, **kwargs, out_val=out)
            self._on_count(int(n_operations) // 2)
        return out


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any) -> int:
    """Count queries by keys and weights by values; heads may share keys and values."""
    n_pairs = prod(query.shape[:-1]) * key.shape[-2]
    return n_pairs * (query.shape[-1] + value.shape[-1])


def _matrix_vector(matrix: Tensor, *_: Any) -> int:
    return matrix.numel()


def _bilinear(first: Tensor, second: Tensor, third: Tensor, *expands: Any) -> int:
    """Product of the extents of all axes, of which each operand has some."""
    shapes = []
    for operand, expand in zip((first, second, third), expands, strict=False):
        shape = list(operand.shape)
        for dim in expand:
            shape.insert(dim, 1)
        shapes.append(shape)
    return prod(max(extents) for extents in zip(*shapes, strict=True))


def _mkldnn_layer(rows: Tensor, *weights: Any) -> int:
    n_steps = prod(rows.shape[:-1])
    return n_steps * (weights[0].numel() + weights[1].numel())


def _cudnn_rnn(rows: Tensor, weights: Iterable[Tensor], *_: Any) -> int:
    n_steps = prod(rows.shape[:-1])
    return n_steps * sum(weight.numel() for weight in weights if weight.ndim == 2)


# What torch's counter leaves out, in multiply-adds. It knows attention as GPUs compute it,
# and as a CPU does only from torch 2.15 on.
_EXTRA: dict[Any, Callable[..., int]] = {
    _aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    _aten._scaled_dot_product_attention_math_for_mps: _attention,
    _aten.mv: _matrix_vector,
    _aten.addmv: lambda _, matrix, *__: matrix.numel(),
    _aten.dot: _matrix_vector,
    _aten.vdot: _matrix_vector,
    _aten.addbmm: lambda _, first, second, *__: first.numel() * second.shape[-1],
    _aten._trilinear: _bilinear,
    _aten.mkldnn_rnn_layer: _mkldnn_layer,
    _aten._cudnn_rnn: _cudnn_rnn,
}
