"""Divide a model into groups of layers, from its input to its logits.

Nothing here knows what the groups are for.
"""

from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from torch import nn

from coursekit.errors import SettingsError
from coursekit.models.heads import find_head

__all__ = ["LayerGroup", "layer_groups"]

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)  # these, not their subclasses
_MOST = 0.9  # a module that holds more than this share of all parameters is looked into


class LayerGroup(NamedTuple):
    """Layers of a model that stand at one depth.

    Parameters
    ----------
    name : str
        The part of the model that holds its weights, such as ``"layer4.1"``.
    parameters : tuple of str
        The names of its parameters.
    """

    name: str
    parameters: tuple[str, ...]


def layer_groups(model: nn.Module) -> tuple[LayerGroup, ...]:
    """Return the groups of layers of `model`, first the input's, last the head.

    A group is a layer with the normalization behind it, or a block such as a residual one.
    timm's models say themselves what their groups are. Other models are taken to
    have their layers in the order in which they were made.

    Parameters
    ----------
    model : Module

    Returns
    -------
    tuple of LayerGroup
        Every parameter is in one of them.

    Raises
    ------
    SettingsError
        If the model has no parameters.

    Examples
    --------
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1))
    >>> [group.name for group in layer_groups(model)]
    ['0', '2']
    """
    if not any(True for _ in model.parameters()):
        msg = f"{type(model).__name__} has no parameters, so there is nothing to group."
        raise SettingsError(msg)
    if callable(getattr(model, "group_matcher", None)):
        groups = _groups_of_timm(model)
    else:
        blocks = list(_blocks(model, "", _count(model)))
        groups = _with_normalization(model, _assign(model, blocks))
    return tuple(_head_last(model, groups))


def _blocks(module: nn.Module, prefix: str, n_all: int) -> Iterator[str]:
    """Yield the names of layers and blocks, in the order in which they were made."""
    for name, child in module.named_children():
        full = f"{prefix}{name}"
        inner = any(_count(part) for part in child.children())
        if inner and (type(child) in _CONTAINERS or _count(child) > _MOST * n_all):
            yield from _blocks(child, f"{full}.", n_all)
        elif _count(child):
            yield full


def _assign(model: nn.Module, blocks: list[str]) -> list[LayerGroup]:
    """Put each parameter to its block; one outside all of them to the block behind it."""
    groups: dict[str, list[str]] = {name: [] for name in blocks}
    waiting: list[str] = []
    own = blocks[-1] if blocks else ""
    for name, _ in model.named_parameters():
        waiting.append(name)
        if (block := _block_of(name, blocks)) is not None:
            groups[own := block] += waiting
            waiting = []
    groups.setdefault(own, []).extend(waiting)
    return [LayerGroup(name, tuple(names)) for name, names in groups.items() if names]


def _block_of(name: str, blocks: list[str]) -> str | None:
    return next((block for block in blocks if name.startswith(f"{block}.")), None)


def _with_normalization(model: nn.Module, groups: list[LayerGroup]) -> list[LayerGroup]:
    """Join each group that has nothing to multiply by with the one before it."""
    n_axes = {name: parameter.ndim for name, parameter in model.named_parameters()}
    joined: list[LayerGroup] = []
    for group in groups:
        if joined and max(n_axes[name] for name in group.parameters) <= 1:
            before = joined.pop()
            group = LayerGroup(before.name, before.parameters + group.parameters)
        joined.append(group)
    return joined


def _groups_of_timm(model: nn.Module) -> list[LayerGroup]:
    from timm.models import group_parameters  # seconds to import, and loaded already

    numbered = group_parameters(model, model.group_matcher(coarse=False))
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    groups = []
    for _, names in sorted(numbered.items()):
        largest = max(names, key=sizes.__getitem__)
        near = [name for name in names if name.split(".")[:1] == largest.split(".")[:1]]
        steps = zip(*[name.split(".")[:-1] for name in near], strict=False)
        common = [step[0] for step in takewhile(lambda step: len(set(step)) == 1, steps)]
        groups.append(LayerGroup(".".join(common), tuple(names)))
    return groups


def _head_last(model: nn.Module, groups: list[LayerGroup]) -> list[LayerGroup]:
    """Make the head the last group, also where it was made before the others."""
    try:
        head = find_head(model)
    except SettingsError:
        return groups

    def is_head(group: LayerGroup) -> bool:
        return all(not head or name.startswith(f"{head}.") for name in group.parameters)

    return sorted(groups, key=is_head)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
