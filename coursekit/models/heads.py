"""Find the layer of a classifier that makes the logits.

Nothing here changes a model, or knows what its logits mean.
"""

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn

from coursekit.errors import SettingsError

__all__ = [
    "Head",
    "HeadSize",
    "configured_heads",
    "find_head",
    "head_layers",
    "head_size",
    "is_head_layer",
]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_USUAL_NAMES = ("fc", "classifier", "head", "heads")


class Head(nn.Sequential):
    """Layers that stand together in the place of a head, so that they are found together."""


def find_head(model: nn.Module) -> str:
    """Return the name of the layer that makes the logits, such as ``"classifier.6"``.

    timm's models say it themselves, in ``pretrained_cfg["classifier"]`` or by
    ``get_classifier()``. Elsewhere it is the last linear layer or 1x1 convolution of the part
    called ``fc``, ``classifier``, ``head`` or ``heads``, or else of the whole model.

    Parameters
    ----------
    model : Module
        A classifier of torchvision, of timm, or of your own. A second head that only helps
        the training (GoogLeNet's auxiliary ones, the head for distillation) is not meant.

    Returns
    -------
    str
        For ``model.get_submodule``: an `nn.Linear`, or a 1x1 convolution as in SqueezeNet.
        Where several layers stand in the place of one - made by `replace_head`, or an
        `nn.Sequential` called ``fc`` or ``head`` - it names all of them.

    Raises
    ------
    SettingsError
        If there is no such layer, for example because it was taken off already.

    Examples
    --------
    >>> find_head(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)))
    '2'
    """
    empty = []
    for place in _places(model):
        part = model.get_submodule(place.name)
        if found := [name for name, layer in part.named_modules() if is_head_layer(layer)]:
            if place.is_whole and isinstance(part, nn.Sequential):
                return place.name
            return _outermost(model, f"{place.name}.{found[-1]}".strip("."))
        empty.append(f"its {place.name!r} is {_short(part)}")
    raise _no_head(model, empty[0] if empty else "its last layer with weights is neither")


def is_head_layer(layer: nn.Module) -> bool:
    """Return whether `layer` can make logits: linear, or a 1x1 convolution.

    Examples
    --------
    >>> is_head_layer(nn.Linear(8, 2)), is_head_layer(nn.Conv2d(8, 2, 3))
    (True, False)
    """
    if isinstance(layer, nn.modules.linear.NonDynamicallyQuantizableLinear):
        return False  # the last part of an attention
    if isinstance(layer, _CONVOLUTIONS):
        return set(layer.kernel_size) == {1} and layer.groups == 1
    return isinstance(layer, nn.Linear)


class HeadSize(NamedTuple):
    """What goes into a head and comes out of it."""

    n_features: int
    n_classes: int


def head_layers(head: nn.Module) -> list[nn.Module]:
    """Return the layers of `head` that could each be one, in order."""
    return [layer for layer in head.modules() if is_head_layer(layer)]


def head_size(head: nn.Module) -> HeadSize:
    """Return the sizes of a head of one or several layers."""
    first, *_, last = [*head_layers(head)] * 2
    n_features = getattr(first, "in_features", None) or first.in_channels
    return HeadSize(n_features, getattr(last, "out_features", None) or last.out_channels)


class _Place(NamedTuple):
    """Where the head may be, and whether everything there belongs to it."""

    name: str
    is_whole: bool


def _places(model: nn.Module) -> Iterator[_Place]:
    """Yield the parts of `model` that may hold the head, the surest first."""
    parts = dict(model.named_modules())
    if is_head_layer(model):
        yield _Place("", is_whole=True)
        return
    for name in configured_heads(model):
        if name in parts:
            yield _Place(name, is_whole=True)
            return
    if callable(get_classifier := getattr(model, "get_classifier", None)):
        heads = get_classifier()
        first = heads[0] if isinstance(heads, tuple | list) else heads
        same = [name for name, part in parts.items() if part is first]
        yield from [_Place(name, is_whole=True) for name in same[:1]]
    usual = [name for name in _USUAL_NAMES if name in parts]
    yield from [_Place(name, is_whole=name in ("fc", "head")) for name in usual]
    is_encoder = getattr(model, "num_classes", None) == 0  # of timm
    if not usual and not is_encoder and _ends_in_logits(model):
        yield _Place("", is_whole=False)


def _outermost(model: nn.Module, name: str) -> str:
    """Return the name of the `Head` that layer `name` is in, or else its own."""
    ends = [i for i, letter in enumerate(name) if letter == "."]
    around = [name[:end] for end in ends]
    return next((n for n in around if isinstance(model.get_submodule(n), Head)), name)


def configured_heads(model: nn.Module) -> tuple[str, ...]:
    """Return what timm's configuration of `model` calls its heads, the main one first."""
    for attribute in ("pretrained_cfg", "default_cfg"):
        configuration = getattr(model, attribute, None)
        if isinstance(configuration, dict) and (names := configuration.get("classifier")):
            return (names,) if isinstance(names, str) else tuple(names)
    return ()


def _ends_in_logits(model: nn.Module) -> bool:
    """Return whether the last layer with weights can be a head; one normalized is none."""
    layers = [layer for layer in model.modules() if not list(layer.children())]
    while layers and not list(layers[-1].parameters(recurse=False)):
        layers.pop()
    return bool(layers) and is_head_layer(layers[-1])


def _no_head(model: nn.Module, why: str) -> SettingsError:
    msg = (
        "A head is a linear layer or a 1x1 convolution that makes the logits, but "
        f"{type(model).__name__} has none that can be found: {why}. Name the layer yourself, "
        "one of model.named_modules(), where the function lets you."
    )
    return SettingsError(msg)


def _short(part: nn.Module) -> str:
    return type(part).__name__ if list(part.children()) else repr(part)
