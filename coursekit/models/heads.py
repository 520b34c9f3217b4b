"""The head of a classifier: find it, replace it; and the groups of layers before it."""

from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise
from os.path import commonprefix
from typing import NamedTuple

from torch import nn

from coursekit.errors import SettingsError, ShapeError
from coursekit.seeds import seeded

_USUAL_NAMES = ("fc", "classifier", "head", "heads")
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)  # these, not their subclasses
_MOST = 0.9  # a module that holds more of all parameters is the body: it is looked into


# --- find ---------------------------------------------------------------------------------


def find_head(model: nn.Module) -> str:
    """Return the name of the layer that makes the logits, such as ``"classifier.6"``.

    timm's models say it themselves, in ``pretrained_cfg["classifier"]``. Elsewhere it is the
    last linear layer or 1x1 convolution of the part called ``fc``, ``classifier``, ``head`` or
    ``heads``, or else of the whole model; several layers called ``fc`` or ``head`` are one.

    Examples
    --------
    >>> find_head(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)))
    '2'
    """
    parts, layers = dict(model.named_modules()), _head_layers(model)
    usual = [name for name in _USUAL_NAMES if name in parts]
    places = _configured_heads(model)[:1] or usual
    for name in places:
        if inside := _inside(layers, name):
            is_whole = isinstance(parts[name], nn.Sequential) and name in ("fc", "head")
            return name if is_whole else inside[-1]
    weighted = [name for name, part in parts.items() if hasattr(part, "weight")]
    # Where the last with weights is a normalization, the head has been taken off.
    if layers and not places and weighted[-1] == layers[-1]:
        return layers[-1]
    msg = (
        "A head is a linear layer or a 1x1 convolution that makes the logits, but "
        f"{type(model).__name__} has none that can be found. Was it taken off already?"
    )
    raise SettingsError(msg)


def other_heads(model: nn.Module, name: str) -> list[str]:
    """Return the heads of `model` besides `name`: for distillation, and auxiliary ones.

    The latter are the last head layers of children called ``aux...``, as GoogLeNet has them.
    """
    found = [other for other in _configured_heads(model) if other != name]
    layers = _head_layers(model)
    for child, _ in model.named_children():
        if child.lower().startswith("aux"):
            found += _inside(layers, child)[-1:]
    return found


def _configured_heads(model: nn.Module) -> list[str]:
    """Return what timm's configuration of `model` calls its heads, the main one first."""
    names = (getattr(model, "pretrained_cfg", None) or {}).get("classifier") or []
    return [names] if isinstance(names, str) else list(names)


def _head_layers(model: nn.Module) -> list[str]:
    return [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear)
        or (
            isinstance(layer, nn.Conv2d)
            and layer.kernel_size == (1, 1)
            and layer.groups == 1
        )
    ]


def _inside(layers: list[str], name: str) -> list[str]:
    return [layer for layer in layers if f"{layer}.".startswith(f"{name}.")]


# --- replace ------------------------------------------------------------------------------


def replace_head(model: nn.Module, n_classes: int, *, seed: int) -> nn.Module:
    """Return a copy of `model` with a new head for `n_classes`, and all else bit for bit.

    Auxiliary heads and the one for distillation are new, too. A head that is a 1x1
    convolution becomes one again, as in SqueezeNet. The model - of torchvision, of timm, or
    of your own - stays as it is.

    Examples
    --------
    >>> old = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 1000))
    >>> replace_head(old, 3, seed=0)[2]
    Linear(in_features=4, out_features=3, bias=True)
    """
    name, changed = find_head(model), deepcopy(model)
    for index, other in enumerate(other_heads(model, name)):
        with seeded(seed, "other head", index):
            _draw_head(changed, other, n_classes)
    with seeded(seed, "head"):
        changed = _draw_head(changed, name, n_classes)
    if hasattr(changed, "num_classes"):
        changed.num_classes = n_classes
    if getattr(changed, "pretrained_cfg", None):
        changed.pretrained_cfg["num_classes"] = n_classes
    return changed


def put_head(model: nn.Module, head: nn.Linear) -> nn.Module:
    """Return a copy of `model` with a copy of `head` in the place of its head.

    So that fine-tuning can begin with a head that was fitted on embeddings: in evaluation
    mode the logits are those of `head` on the model's embeddings.
    """
    name = find_head(model)
    changed = replace_head(model, head.out_features, seed=0)
    new = changed.get_submodule(name)
    if head.in_features != (n_given := new.weight.shape[1]):
        msg = (
            f"The head was made for {head.in_features} features, but {name!r} of "
            f"{type(model).__name__} is given {n_given}. Embed with this model first."
        )
        raise ShapeError(msg)
    shapes = {key: value.shape for key, value in new.state_dict().items()}
    values = {key: value.reshape(shapes[key]) for key, value in head.state_dict().items()}
    new.load_state_dict(values)
    # SqueezeNet averages over all places what a ReLU leaves of the logits: without the ReLU,
    # they are those of the averaged features.
    parent = changed.get_submodule(name.rpartition(".")[0])
    for (_, layer), (behind, after) in pairwise(parent.named_children()):
        if layer is new and isinstance(after, nn.ReLU):
            setattr(parent, behind, nn.Identity())
    return changed


def build_untrained(model: nn.Module, *, seed: int) -> nn.Module:
    """Return a copy of `model` whose layers draw their weights anew; all of them train."""
    fresh = deepcopy(model).requires_grad_(True)
    drawn: set[int] = set()
    with seeded(seed, "untrained"):
        for layer in fresh.modules():
            if callable(reset := getattr(layer, "reset_parameters", None)):
                reset()
                drawn |= {id(parameter) for parameter in layer.parameters()}
    old = [name for name, value in fresh.named_parameters() if id(value) not in drawn]
    if old:
        msg = (
            f"{old[0]!r} of {type(model).__name__} cannot be drawn anew, because its layer has "
            "no reset_parameters(). Build an untrained network by the function that made this "
            "one."
        )
        raise SettingsError(msg)
    return fresh


def _draw_head(model: nn.Module, name: str, n_classes: int) -> nn.Module:
    """Return `model` with a new layer at `name`, which may be all of it.

    The layer is of the kind of the old one, drawn on the CPU: so a seed is enough.
    """
    old = model.get_submodule(name)
    weight = old.get_submodule(_head_layers(old)[0]).weight  # (outputs, inputs, ...)
    sizes = weight.shape[1], n_classes
    new = nn.Linear(*sizes) if weight.ndim == 2 else nn.Conv2d(*sizes, 1)
    new = new.to(weight).train(old.training)
    if not name:
        return new
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, new)
    return model


# --- groups and names ---------------------------------------------------------------------


class LayerGroup(NamedTuple):
    """Layers at one depth: the part that holds its weights, and its parameters' names."""

    name: str
    parameters: tuple[str, ...]


def layer_groups(model: nn.Module) -> tuple[LayerGroup, ...]:
    """Return the groups of layers of `model`, first the input's, last the head.

    A group is a layer with the normalization behind it, or a block such as a residual one;
    every parameter is in one of them. timm's models say themselves what their groups are.
    Others are taken to have their layers in the order in which they were made; a parameter
    outside of all of them belongs to the layer behind it.

    Examples
    --------
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1))
    >>> [group.name for group in layer_groups(model)]
    ['0', '2']
    """
    if hasattr(model, "group_matcher"):
        return _groups_of_timm(model)
    groups: dict[str, list[str]] = {}
    waiting: list[str] = []
    blocks = [*_blocks(model, "", _count(model))] or [""]  # or a single layer
    for name, _ in model.named_parameters():
        waiting.append(name)
        block = next((b for b in blocks if name.startswith(b and f"{b}.")), None)
        if block is None:
            continue
        if block not in groups and groups and _is_norm(model.get_submodule(block)):
            block = next(reversed(groups))
        groups.setdefault(block, []).extend(waiting)
        waiting = []
    return tuple(LayerGroup(name, tuple(inside)) for name, inside in groups.items())


def _blocks(module: nn.Module, prefix: str, n_all: int) -> Iterator[str]:
    """Yield the names of layers and blocks, in the order in which they were made."""
    for name, child in module.named_children():
        full = f"{prefix}{name}"
        inner = any(_count(part) for part in child.children())
        if inner and (type(child) in _CONTAINERS or _count(child) > _MOST * n_all):
            yield from _blocks(child, f"{full}.", n_all)
        elif _count(child):
            yield full


def _groups_of_timm(model: nn.Module) -> tuple[LayerGroup, ...]:
    from timm.models import group_parameters  # seconds to import, and loaded already

    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    groups = []
    for _, names in sorted(group_parameters(model, model.group_matcher()).items()):
        largest = max(names, key=sizes.__getitem__).split(".")[0]
        near = [name for name in names if name.split(".")[0] == largest]
        name = commonprefix(near).rpartition(".")[0]  # noqa: RUF071 - of letters
        groups.append(LayerGroup(name, tuple(names)))
    return tuple(groups)


def _is_norm(layer: nn.Module) -> bool:
    return all(parameter.ndim <= 1 for parameter in layer.parameters())


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
