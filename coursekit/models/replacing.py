"""Give a classifier another head, and leave the rest of it as it is.

Nothing here knows about data or training.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

from coursekit.errors import SettingsError, ShapeError
from coursekit.models.checks import check_counts
from coursekit.models.copies import copy_model
from coursekit.models.heads import (
    Head,
    configured_heads,
    find_head,
    head_layers,
    head_size,
    is_head_layer,
)
from coursekit.models.names import get_part
from coursekit.seeds import seeded

__all__ = ["put_head", "replace_head"]


def replace_head(
    model: nn.Module,
    n_classes: int,
    *,
    hidden: Sequence[int] = (),
    dropout: float = 0.0,
    layer: str | None = None,
    auxiliary: Literal["replace", "drop"] = "replace",
    seed: int,
) -> nn.Module:
    """Return a copy of `model` with a new head for `n_classes`.

    Parameters
    ----------
    model : Module
        A classifier of torchvision, of timm, or of your own. It stays as it is.
    n_classes : int
        Logits of the new head.
    hidden : sequence of int
        Outputs of the layers before the last one, each followed by a ReLU. By default the
        head is one layer, with the name that the old one had.
    dropout : float, default=0.0
        Share of the numbers that are set to zero before the last layer, in training.
    layer : str, optional
        The layer to replace. By default the one that `find_head` finds.
    auxiliary : {"replace", "drop"}, default="replace"
        What happens to heads that only help the training, if there are any: GoogLeNet's and
        Inception's get a new last layer, or are taken off, after which the model returns its
        logits alone. The second head of a model with a distillation token is always
        replaced.
    seed : int
        Draws the first weights.

    Returns
    -------
    Module
        All but the new layers is bit for bit that of `model`, and trains if it did there.

    Raises
    ------
    SettingsError
        If a number is out of range, or there is no such layer; the message lists close names.

    Notes
    -----
    A head that is a 1x1 convolution becomes one again, as in SqueezeNet.

    Examples
    --------
    >>> old = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 1000))
    >>> replace_head(old, 3, seed=0)[2]
    Linear(in_features=4, out_features=3, bias=True)
    """
    check_counts("A head", n_classes=n_classes, **_by_name(hidden))
    if not 0 <= dropout < 1:
        msg = f"dropout is a share of the numbers, 0 or more and below 1, got {dropout}."
        raise SettingsError(msg)
    if auxiliary not in ("replace", "drop"):
        msg = f"auxiliary must be 'replace' or 'drop', got {auxiliary!r}."
        raise SettingsError(msg)
    name = find_head(model) if layer is None else layer
    old = _old_head(model, name)
    changed = copy_model(model)
    others = other_heads(model, name)
    if auxiliary == "drop":
        others = _without_auxiliary(changed, others)
    for index, other in enumerate(others):
        with seeded(seed, "other head", index):
            new = _make_head(get_part(model, other), n_classes, (), 0.0)
        changed = _with_part(changed, other, new)
    with seeded(seed, "head"):
        head = _make_head(old, n_classes, tuple(hidden), dropout)
    _tell_n_classes(changed, name, head_size(old).n_classes, n_classes)
    return _with_part(changed, name, head)


def put_head(model: nn.Module, head: nn.Module, *, layer: str | None = None) -> nn.Module:
    """Return a copy of `model` with a copy of `head` in the place of its head.

    So that fine-tuning can begin with a head that was fitted on embeddings.

    Parameters
    ----------
    model : Module
        A classifier of torchvision, of timm, or of your own. It stays as it is.
    head : Module
        From embeddings of shape (n_images, n_features) to logits: an `nn.Linear`, or several
        in an `nn.Sequential`.
    layer : str, optional
        The layer to replace. By default the one that `find_head` finds.

    Returns
    -------
    Module
        In evaluation mode its logits are those of `head` on the model's embeddings.

    Raises
    ------
    ShapeError
        If `head` wants another number of features than the model has there.
    SettingsError
        If there is no such layer, or `head` holds none that is linear.

    Notes
    -----
    Where the old head is a 1x1 convolution, the linear layers of `head` become 1x1
    convolutions, and a ReLU right behind it is left out: SqueezeNet averages the logits of
    all positions, so that they stay those of the averaged features.
    """
    name = find_head(model) if layer is None else layer
    old = _old_head(model, name)
    if not any(isinstance(part, nn.Linear) for part in head.modules()):
        msg = f"A head has a linear layer, but {type(head).__name__} has none."
        raise SettingsError(msg)
    (n_features, n_classes), before = head_size(head), head_size(old)
    if n_features != before.n_features:
        msg = (
            f"The head was made for {n_features} features, but {name!r} of "
            f"{type(model).__name__} is given {before.n_features}. Embed with this model first."
        )
        raise ShapeError(msg)
    sample = head_layers(old)[0]
    changed, new = copy_model(model), copy_model(head).to(sample.weight)
    if not isinstance(sample, nn.Linear):
        new = _as_convolution(new, sample)
        _drop_activation(changed, name)
    if not is_head_layer(new):
        layers = new.named_children() if type(new) is nn.Sequential else [("fitted", new)]
        new = Head(OrderedDict(layers))
    _tell_n_classes(changed, name, before.n_classes, n_classes)
    return _with_part(changed, name, new.train(old.training))


def other_heads(model: nn.Module, name: str) -> list[str]:
    """Return the heads of `model` besides `name`: for distillation, and auxiliary ones.

    The latter are the last head layers of children called ``aux...``, with as many outputs.
    """
    n_classes = head_size(get_part(model, name)).n_classes
    found = [other for other in configured_heads(model) if other != name]
    for child, part in model.named_children():
        if child.lower().startswith("aux"):
            inner = [n for n, layer in part.named_modules() if is_head_layer(layer)]
            found += [f"{child}.{inner[-1]}".strip(".")] if inner else []
    return [
        other
        for other in found
        if head_layers(part := get_part(model, other))
        and head_size(part).n_classes == n_classes
    ]


def _old_head(model: nn.Module, name: str) -> nn.Module:
    layer = get_part(model, name)
    if not is_head_layer(layer) and not (
        isinstance(layer, nn.Sequential) and head_layers(layer)
    ):
        msg = (
            "A head is a linear layer or a 1x1 convolution, or some of them in an "
            f"nn.Sequential, but {name!r} is {type(layer).__name__}. find_head(model) names "
            "the model's own."
        )
        raise SettingsError(msg)
    return layer


def _make_head(
    old: nn.Module, n_classes: int, hidden: tuple[int, ...], dropout: float
) -> nn.Module:
    """Return new layers in the place of `old`: its inputs, device, type and mode."""
    sizes = [head_size(old).n_features, *hidden, n_classes]
    sample = head_layers(old)[0]
    layers = OrderedDict()
    for number, (size, following) in enumerate(pairwise(sizes), start=1):
        is_last = number == len(sizes) - 1
        if is_last and dropout:
            layers["dropout"] = nn.Dropout(dropout)
        layers["output" if is_last else f"hidden{number}"] = _like(sample, size, following)
        if not is_last:
            layers[f"relu{number}"] = nn.ReLU()
    head = layers["output"] if len(layers) == 1 else Head(layers)
    return head.train(old.training)


def _like(old: nn.Module, n_inputs: int, n_outputs: int) -> nn.Module:
    """Return a layer of the kind of `old`, drawn on the CPU so that a seed is enough."""
    weight = old.weight
    place = "meta" if weight.is_meta else "cpu"
    if isinstance(old, nn.Linear):
        new = nn.Linear(n_inputs, n_outputs, device=place)
    else:
        kind = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}[weight.ndim]
        new = kind(n_inputs, n_outputs, 1, device=place)
    return new.to(weight)


def _as_convolution(head: nn.Module, old: nn.Module) -> nn.Module:
    """Return `head` with 1x1 convolutions, as `old` is one, in the place of linear layers."""
    for name, part in list(head.named_modules()):
        if isinstance(part, nn.Linear):
            new = _like(old, part.in_features, part.out_features)
            weight = part.weight.detach()
            with torch.no_grad():
                new.weight.copy_(weight.reshape(new.weight.shape))
                new.bias.zero_() if part.bias is None else new.bias.copy_(part.bias)
            head = _with_part(head, name, new)
        elif not list(part.children()) and part.state_dict():
            msg = (
                f"The model's head is a convolution, but {type(part).__name__} of the new "
                "one is made for vectors. Fit a head of linear layers."
            )
            raise SettingsError(msg)
    return head


def _drop_activation(model: nn.Module, name: str) -> None:
    """Replace a ReLU right behind layer `name`, in the same Sequential, by nothing."""
    parent = get_part(model, name.rpartition(".")[0])
    if isinstance(parent, nn.Sequential):
        following = int([*parent._modules].index(name.rpartition(".")[2])) + 1
        if following < len(parent) and isinstance(parent[following], nn.ReLU):
            parent[following] = nn.Identity()


def _with_part(model: nn.Module, name: str, part: nn.Module) -> nn.Module:
    """Put `part` into `model`, or return it if it is all of it."""
    if not name:
        return part
    parent, _, own = name.rpartition(".")
    setattr(get_part(model, parent), own, part)
    return model


def _without_auxiliary(model: nn.Module, heads: list[str]) -> list[str]:
    """Take auxiliary classifiers off `model`; return the heads that stay."""
    children = {name.partition(".")[0] for name in heads}
    dropped = {name for name in children if name.lower().startswith("aux")}
    for name in dropped:
        setattr(model, name, None)
    if dropped:
        model.aux_logits = False  # torchvision's models look at it
    return [name for name in heads if name.partition(".")[0] not in dropped]


def _tell_n_classes(model: nn.Module, name: str, old: int, new: int) -> None:
    """Change the numbers of classes that `model` and the parts around the head note."""
    parents = ["", *(name[:i] for i, letter in enumerate(name) if letter == ".")]
    for parent in parents:
        part = get_part(model, parent)
        if getattr(part, "num_classes", None) == old:
            part.num_classes = new
    for attribute in ("pretrained_cfg", "default_cfg"):
        configuration = getattr(model, attribute, None)
        if isinstance(configuration, dict) and "num_classes" in configuration:
            setattr(model, attribute, configuration | {"num_classes": new})


def _by_name(hidden: Sequence[int]) -> dict[str, int]:
    return {f"hidden[{index}]": size for index, size in enumerate(hidden)}
