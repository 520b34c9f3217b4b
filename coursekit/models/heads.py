"""Find the layer of a classifier that makes the logits.

Nothing here changes a model, or knows what its logits mean.
"""

from collections.abc import Iterator

from torch import nn

from coursekit.errors import SettingsError

__all__ = ["configured_heads", "find_head", "is_head_layer"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_USUAL_NAMES = ("fc", "classifier", "head", "heads")


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
    for name, part in _candidates(model):
        layers = [
            f"{name}.{inner}".strip(".")
            for inner, layer in part.named_modules()
            if is_head_layer(layer)
        ]
        if layers:
            return layers[-1]
        empty.append(f"its {name!r} is {_short(part)}")
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


def _candidates(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the parts of `model` that may hold the head, the surest first."""
    children = dict(model.named_modules())
    if is_head_layer(model):
        yield "", model
        return
    for name in configured_heads(model):
        if name in children:
            yield name, children[name]
            return
    if callable(get_classifier := getattr(model, "get_classifier", None)):
        heads = get_classifier()
        first = heads[0] if isinstance(heads, tuple | list) else heads
        yield from [(name, part) for name, part in children.items() if part is first][:1]
    usual = [name for name in _USUAL_NAMES if name in children]
    yield from [(name, children[name]) for name in usual]
    is_encoder = getattr(model, "num_classes", None) == 0  # of timm
    if not usual and not is_encoder and _ends_in_logits(model):
        yield "", model


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
