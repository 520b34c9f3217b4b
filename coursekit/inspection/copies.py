"""Keep what a module returned, so that nothing which runs later can change it.

Nothing here knows of modules or hooks.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Keeper", "map_leaves"]


class Keeper:
    """Copies tensors; those that a forward pass made itself only when they are written to.

    An in-place layer changes the tensor that it is given, and with it whatever only refers
    to that tensor. On the CPU torch can let two tensors share memory until one of them is
    written to, and copy it then. Most outputs are never written to, so this costs a
    fraction of copying them all. The writer must be torch: memory that came from outside
    the pass may be written to by others (NumPy, a loader), so it is copied at once. Sharing
    has one limit: torch refuses ``resize_`` on a tensor while it shares its memory.
    """

    def __init__(self) -> None:
        self._foreign: set[int | None] | None = None

    def begin_pass(self, inputs: Any) -> None:
        """Note what a forward pass was given."""
        foreign: set[int | None] = {None}
        map_leaves(lambda tensor: foreign.add(_memory_of(tensor)), inputs)
        self._foreign = foreign

    def end_pass(self) -> None:
        """Take every tensor as made by somebody else, until the next pass begins."""
        self._foreign = None

    def keep(self, tensor: Tensor) -> Tensor:
        """Return the values of `tensor` as they are now, without its gradients."""
        tensor = tensor.detach()
        if self._foreign is None or tensor.device.type != "cpu":
            return tensor.clone()
        if _memory_of(tensor) in self._foreign:
            return tensor.clone()
        try:
            return torch._lazy_clone(tensor)
        except (AttributeError, NotImplementedError, RuntimeError):
            return tensor.clone()  # quantized, or memory that torch did not allocate


def map_leaves(
    function: Callable[[Any], Any], value: Any, *, kind: type | tuple[type, ...] = Tensor
) -> Any:
    """Return `value` with `function` applied to what is of `kind` in its nested parts.

    Tuples, named tuples, lists and dicts are looked into; other objects stay as they are.
    """
    if isinstance(value, kind):
        return function(value)
    if isinstance(value, dict):
        return {key: map_leaves(function, part, kind=kind) for key, part in value.items()}
    if isinstance(value, tuple | list):
        parts = [map_leaves(function, part, kind=kind) for part in value]
        is_named = hasattr(value, "_fields")
        return type(value)(*parts) if is_named else type(value)(parts)
    return value


def _memory_of(tensor: Tensor) -> int | None:
    """Return what identifies the memory of a tensor; None where it has no single one."""
    try:
        return tensor.untyped_storage()._cdata
    except (NotImplementedError, RuntimeError):
        return None
