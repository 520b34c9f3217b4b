"""The head of a classifier: find it, replace it; and the groups of layers before it."""

from collections import OrderedDict
from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise, takewhile
from typing import NamedTuple

from torch import nn

from coursekit.errors import SettingsError, ShapeError
from coursekit.seeds import seeded

_USUAL_NAMES = ("fc", "classifier", "head", "heads")
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)  # these, not their subclasses
_MOST = 0.9  # a module that holds more of all parameters is the body: it is looked into


class _Head(nn.Sequential):
    """Layers that stand together in the place of a head, so that they are found together."""


# --- find ---------------------------------------------------------------------------------


def find_head(model: nn.Module) -> str:
    """Return the name of the layer that makes the logits, such as ``"classifier.6"``.

    timm's models say it themselves, in ``pretrained_cfg["classifier"]`` or by
    ``get_classifier()``. Elsewhere it is the last linear layer or 1x1 convolution of the part
    called ``fc``, ``classifier``, ``head`` or ``heads``, or else of the whole model. Where
    several layers stand in the place of one, it names all of them. A second head that only
    helps the training (GoogLeNet's, the one for distillation) is not meant.

    Raises
    ------
    SettingsError
        If there is no such layer, for example because it was taken off already.

    Examples
    --------
    >>> find_head(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)))
    '2'
    """
    for name, is_whole in _places(model):
        part = model.get_submodule(name)
        if layers := [n for n, layer in part.named_modules() if _is_head_layer(layer)]:
            if is_whole and isinstance(part, nn.Sequential):
                return name
            own = f"{name}.{layers[-1]}".strip(".")
            around = [own[:end] for end, letter in enumerate(own) if letter == "."]
            return next(
                (n for n in around if isinstance(model.get_submodule(n), _Head)), own
            )
    msg = (
        "A head is a linear layer or a 1x1 convolution that makes the logits, but "
        f"{type(model).__name__} has none that can be found. Was it taken off already?"
    )
    raise SettingsError(msg)


def other_heads(model: nn.Module, name: str) -> list[str]:
    """Return the heads of `model` besides `name`: for distillation, and auxiliary ones.

    The latter are the last head layers of children called ``aux...``, with as many outputs.
    """
    found = [other for other in _configured_heads(model) if other != name]
    for child, part in model.named_children():
        if child.lower().startswith("aux"):
            inner = [n for n, layer in part.named_modules() if _is_head_layer(layer)]
            found += [f"{child}.{n}".strip(".") for n in inner[-1:]]
    sizes = {other: _head_size(model.get_submodule(other)) for other in (name, *found)}
    return [other for other in found if sizes[other][1] == sizes[name][1]]


def _places(model: nn.Module) -> Iterator[tuple[str, bool]]:
    """Yield where the head may be, the surest first, and whether all there belongs to it."""
    parts = dict(model.named_modules())
    if _is_head_layer(model):
        yield "", True
        return
    for name in _configured_heads(model):
        if name in parts:
            yield name, True
            return
    if callable(get_classifier := getattr(model, "get_classifier", None)):
        heads = get_classifier()
        first = heads[0] if isinstance(heads, tuple | list) else heads
        yield from [(name, True) for name, part in parts.items() if part is first][:1]
    usual = [name for name in _USUAL_NAMES if name in parts]
    yield from [(name, name in ("fc", "head")) for name in usual]
    if not usual and getattr(model, "num_classes", None) != 0:  # timm's encoders have 0
        layers = [layer for layer in parts.values() if not list(layer.children())]
        weighted = [layer for layer in layers if list(layer.parameters(recurse=False))]
        if weighted and _is_head_layer(weighted[-1]):  # one that is normalized is none
            yield "", False


def _configured_heads(model: nn.Module) -> tuple[str, ...]:
    """Return what timm's configuration of `model` calls its heads, the main one first."""
    for attribute in ("pretrained_cfg", "default_cfg"):
        configuration = getattr(model, attribute, None)
        if isinstance(configuration, dict) and (names := configuration.get("classifier")):
            return (names,) if isinstance(names, str) else tuple(names)
    return ()


def _is_head_layer(layer: nn.Module) -> bool:
    if isinstance(layer, nn.modules.linear.NonDynamicallyQuantizableLinear):
        return False  # the last part of an attention
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return set(layer.kernel_size) == {1} and layer.groups == 1
    return isinstance(layer, nn.Linear)


def _head_layers(head: nn.Module) -> list[nn.Module]:
    return [layer for layer in head.modules() if _is_head_layer(layer)]


def _head_size(head: nn.Module) -> tuple[int, int]:
    """Return the numbers of features and of classes of a head of one or several layers."""
    layers = _head_layers(head)  # their weights are (outputs, inputs, ...)
    return (layers[0].weight.shape[1], layers[-1].weight.shape[0]) if layers else (0, 0)


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
    name = find_head(model)
    n_before, changed = _head_size(model.get_submodule(name))[1], deepcopy(model)
    for index, other in enumerate(other_heads(model, name)):
        with seeded(seed, "other head", index):
            changed = _with_part(changed, other, _like(changed, other, n_classes))
    with seeded(seed, "head"):
        head = _like(changed, name, n_classes)
    _tell_n_classes(changed, name, n_before, n_classes)
    return _with_part(changed, name, head)


def put_head(model: nn.Module, head: nn.Module) -> nn.Module:
    """Return a copy of `model` with a copy of `head` in the place of its head.

    So that fine-tuning can begin with a head that was fitted on embeddings: in evaluation
    mode the logits are those of `head` on the model's embeddings.

    Parameters
    ----------
    model : Module
        A classifier of torchvision, of timm, or of your own. It stays as it is.
    head : Module
        From embeddings of shape (n_images, n_features) to logits: an `nn.Linear`, or several
        in an `nn.Sequential`.

    Raises
    ------
    ShapeError
        If `head` wants another number of features than the model has there.
    """
    name = find_head(model)
    old = model.get_submodule(name)
    (n_features, n_classes), (n_given, n_before) = _head_size(head), _head_size(old)
    if n_features != n_given:
        msg = (
            f"The head was made for {n_features} features, but {name!r} of "
            f"{type(model).__name__} is given {n_given}. Embed with this model first."
        )
        raise ShapeError(msg)
    first = _head_layers(old)[0]
    changed, new = deepcopy(model), deepcopy(head).to(first.weight)
    if not isinstance(first, nn.Linear):
        new = _as_convolutions(new, type(first))
        changed = _without_relu_behind(changed, name)
    if not _is_head_layer(new):
        layers = new.named_children() if type(new) is nn.Sequential else [("fitted", new)]
        new = _Head(OrderedDict(layers))
    _tell_n_classes(changed, name, n_before, n_classes)
    return _with_part(changed, name, new.train(old.training))


def _as_convolutions(head: nn.Module, kind: type) -> nn.Module:
    """Return `head` with a 1x1 convolution in the place of each of its linear layers."""
    for name, layer in list(head.named_modules()):
        if isinstance(layer, nn.Linear):
            sizes = layer.in_features, layer.out_features, 1
            # Nothing is drawn for it.
            new = nn.utils.skip_init(kind, *sizes, bias=layer.bias is not None)
            new.weight = nn.Parameter(layer.weight.detach().reshape(new.weight.shape))
            new.bias = layer.bias
            head = _with_part(head, name, new)
    return head


def _without_relu_behind(model: nn.Module, name: str) -> nn.Module:
    """Take off the ReLU behind the head `name`.

    SqueezeNet averages over all places what comes out of it: without it, that is the head of
    the averaged features.
    """
    parent, _, own = name.rpartition(".")
    behind = dict(pairwise(dict(model.get_submodule(parent).named_children()))).get(own)
    other = f"{parent}.{behind}".strip(".")
    if behind and isinstance(model.get_submodule(other), nn.ReLU):
        return _with_part(model, other, nn.Identity())
    return model


def build_untrained(model: nn.Module, *, seed: int) -> nn.Module:
    """Return a copy of `model` whose layers draw their weights anew; all of them train.

    Raises
    ------
    SettingsError
        If a parameter belongs to a layer that cannot draw it.
    """
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


def _like(model: nn.Module, name: str, n_classes: int) -> nn.Module:
    """Return a layer of the kind of the head `name`, drawn on the CPU: a seed is enough."""
    old = model.get_submodule(name)
    n_features, weight = _head_size(old)[0], _head_layers(old)[0].weight
    kind = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}.get(weight.ndim)
    sizes = (n_features, n_classes, 1) if kind else (n_features, n_classes)
    new = (kind or nn.Linear)(*sizes, device="meta" if weight.is_meta else "cpu")
    return new.to(weight).train(old.training)


def _with_part(model: nn.Module, name: str, part: nn.Module) -> nn.Module:
    """Put `part` into `model`, or return it if it is all of it."""
    if not name:
        return part
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, part)
    return model


def _tell_n_classes(model: nn.Module, name: str, old: int, new: int) -> None:
    """Change the numbers of classes that `model` and the parts around the head note."""
    for parent in ["", *(name[:i] for i, letter in enumerate(name) if letter == ".")]:
        part = model.get_submodule(parent)
        if getattr(part, "num_classes", None) == old:
            part.num_classes = new
    for attribute in ("pretrained_cfg", "default_cfg"):
        configuration = getattr(model, attribute, None)
        if isinstance(configuration, dict) and "num_classes" in configuration:
            setattr(model, attribute, configuration | {"num_classes": new})


# --- groups and names ---------------------------------------------------------------------


class LayerGroup(NamedTuple):
    """Layers at one depth: the part that holds its weights, and its parameters' names."""

    name: str
    parameters: tuple[str, ...]


def layer_groups(model: nn.Module) -> tuple[LayerGroup, ...]:
    """Return the groups of layers of `model`, first the input's, last the head.

    A group is a layer with the normalization behind it, or a block such as a residual one;
    every parameter is in one of them. timm's models say themselves what their groups are.
    Other models are taken to have their layers in the order in which they were made.

    Examples
    --------
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1))
    >>> [group.name for group in layer_groups(model)]
    ['0', '2']
    """
    if callable(getattr(model, "group_matcher", None)):
        groups = _groups_of_timm(model)
    else:
        groups = _groups_in_order(model)
    try:
        head = find_head(model)
    except SettingsError:
        return tuple(groups)

    def is_head(group: LayerGroup) -> bool:
        return all(not head or name.startswith(f"{head}.") for name in group.parameters)

    return tuple(sorted(groups, key=is_head))  # the head may have been made first


def _groups_in_order(model: nn.Module) -> list[LayerGroup]:
    """Put each parameter to its block; one outside of all to the block behind it."""
    blocks = list(_blocks(model, "", _count(model)))
    names: dict[str, list[str]] = {block: [] for block in blocks}
    waiting: list[str] = []
    own = blocks[-1] if blocks else ""
    for name, _ in model.named_parameters():
        waiting.append(name)
        if block := next((b for b in blocks if name.startswith(f"{b}.")), None):
            names[own := block] += waiting
            waiting = []
    names.setdefault(own, []).extend(waiting)
    n_axes = {name: parameter.ndim for name, parameter in model.named_parameters()}
    joined: list[LayerGroup] = []
    for block, inside in names.items():
        if joined and inside and max(n_axes[name] for name in inside) <= 1:  # normalization
            joined[-1] = LayerGroup(joined[-1].name, (*joined[-1].parameters, *inside))
        elif inside:
            joined.append(LayerGroup(block, tuple(inside)))
    return joined


def _blocks(module: nn.Module, prefix: str, n_all: int) -> Iterator[str]:
    """Yield the names of layers and blocks, in the order in which they were made."""
    for name, child in module.named_children():
        full = f"{prefix}{name}"
        inner = any(_count(part) for part in child.children())
        if inner and (type(child) in _CONTAINERS or _count(child) > _MOST * n_all):
            yield from _blocks(child, f"{full}.", n_all)
        elif _count(child):
            yield full


def _groups_of_timm(model: nn.Module) -> list[LayerGroup]:
    from timm.models import group_parameters  # seconds to import, and loaded already

    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    groups = []
    for _, names in sorted(
        group_parameters(model, model.group_matcher(coarse=False)).items()
    ):
        largest = max(names, key=sizes.__getitem__)
        near = [name for name in names if name.split(".")[:1] == largest.split(".")[:1]]
        steps = zip(*[name.split(".")[:-1] for name in near], strict=False)
        common = [step[0] for step in takewhile(lambda step: len(set(step)) == 1, steps)]
        groups.append(LayerGroup(".".join(common), tuple(names)))
    return groups


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
