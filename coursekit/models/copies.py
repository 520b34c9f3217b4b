"""Copy a model, also one that keeps results of its last run.

Nothing here knows what the copy is for.
"""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from torch import Tensor, nn

__all__ = ["copy_model"]


def copy_model(model: nn.Module) -> nn.Module:
    """Return a copy that shares no memory with `model`.

    Some models keep tensors of their last forward pass (LeViT its attention biases), which
    PyTorch cannot copy with their gradients: the copy has them without.

    Examples
    --------
    >>> old = nn.Linear(2, 1)
    >>> copy_model(old).weight is old.weight
    False
    """
    kept = [value for layer in model.modules() for value in _inside(vars(layer).values())]
    results = {id(value): value.detach().clone() for value in kept if not value.is_leaf}
    return deepcopy(model, results)


def _inside(values: Iterable[Any]) -> Iterable[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, dict):
            yield from _inside(value.values())
        elif isinstance(value, list | tuple):
            yield from _inside(value)
