"""Which parameters of a model train, and how fast: freezing, and rates by depth."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from torch import nn

from coursekit.errors import SettingsError, did_you_mean
from coursekit.models import find_head
from coursekit.models.heads import layer_groups, other_heads

if TYPE_CHECKING:
    import pandas as pd


def report_parameters(model: nn.Module) -> "pd.DataFrame":
    """Return how many ``parameters`` the layers of `model` have, and how many of them ``train``.

    From input to head, a row for each layer or block; the last row is for all of them.

    Examples
    --------
    >>> report_parameters(nn.Linear(2, 1)).loc["all"].to_dict()
    {'parameters': 3, 'train': 3}
    """
    import pandas as pd  # half a second, paid by those who want the table

    rows = []  # no dict: groups of timm may share a name
    for group in layer_groups(model):
        own = [model.get_parameter(name) for name in group.parameters]
        n_trained = sum(p.numel() for p in own if p.requires_grad)
        rows.append((group.name or "model", sum(p.numel() for p in own), n_trained))
    columns = ["layers", "parameters", "train"]
    table = pd.DataFrame(rows, columns=columns).set_index("layers")
    table.loc["all"] = table.sum()
    return table


def freeze(model: nn.Module, names: str | Sequence[str] | None = None) -> "pd.DataFrame":
    """Make parameters of `model` ones that no training changes; return what still trains.

    Parameters
    ----------
    model : Module
        Changed in place.
    names : str or sequence of str, optional
        Layers and parameters, as in ``model.named_parameters()``; a layer stands for all that
        is in it, and ``*`` for any letters: ``"layer1"``, ``"layer[12]"``, ``"*bn*"``. By
        default all but the head.

    Notes
    -----
    Batch normalization in a frozen layer uses the averages that it has and does not change
    them, unless ``TrainSettings(frozen_batch_norm="train")``.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> freeze(model)["train"].to_dict()
    {'0': 0, '2': 10, 'all': 10}
    """
    if names is None:
        main = find_head(model)
        # Heads for distillation and auxiliary ones belong to it; "" is a model that is a head.
        heads = tuple(name and f"{name}." for name in (main, *other_heads(model, main)))
        every = [name for name, _ in model.named_parameters()]
        return _set_training(model, [n for n in every if not n.startswith(heads)], on=False)
    return _set_training(model, _names_like(model, names), on=False)


def unfreeze(
    model: nn.Module,
    names: str | Sequence[str] | None = None,
    *,
    depth: int | None = None,
) -> "pd.DataFrame":
    """Make parameters of `model` ones that training changes; return what trains then.

    Parameters
    ----------
    model : Module
        Changed in place.
    names : str or sequence of str, optional
        Layers and parameters, as for `freeze`; by default all.
    depth : int, optional
        Instead of names: so many groups of layers from the head back; 1 is the head alone.

    Notes
    -----
    The optimizer must hold them: make it of ``model.parameters()``, all of them. Those that
    are frozen cost it nothing.
    """
    if depth is None:
        return _set_training(model, _names_like(model, names or "*"), on=True)
    groups = layer_groups(model)[-depth:]
    return _set_training(model, [n for group in groups for n in group.parameters], on=True)


def parameter_groups(model: nn.Module, *, lr: float, decay: float) -> list[dict[str, Any]]:
    """Return groups for an optimizer, whose rates fall from the head to the input.

    Parameters
    ----------
    model : Module
        All of its parameters are in the groups, frozen ones too.
    lr : float
        The learning rate of the head.
    decay : float
        The rate of a group as a share of the one behind it.

    Returns
    -------
    list of dict
        First the input's: ``params``, ``lr`` and ``name``. A scheduler that sets rates itself
        takes ``[group["lr"] for group in groups]``.

    References
    ----------
    .. [1] Howard and Ruder, "Universal Language Model Fine-tuning for Text
       Classification", ACL 2018, sec. 3.2. https://arxiv.org/abs/1801.06146

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> [(group["name"], group["lr"]) for group in parameter_groups(model, lr=0.1, decay=0.5)]
    [('0', 0.05), ('2', 0.1)]
    """
    groups = layer_groups(model)
    return [
        {
            "params": [model.get_parameter(name) for name in group.parameters],
            "lr": lr * decay ** (len(groups) - 1 - index),
            "name": group.name,
        }
        for index, group in enumerate(groups)
    ]


def hold_statistics(model: nn.Module) -> None:
    """Put batch normalization into evaluation mode where it is frozen.

    It is where its own weights are, or, if it has none, all of the layer around it.
    """
    for parent in model.modules():
        for layer in parent.children():
            if isinstance(layer, nn.modules.batchnorm._NormBase):
                own = list(layer.parameters()) or list(parent.parameters())
                if own and not any(parameter.requires_grad for parameter in own):
                    layer.eval()


def _set_training(model: nn.Module, names: Sequence[str], *, on: bool) -> "pd.DataFrame":
    for name in names:
        model.get_parameter(name).requires_grad_(on)
    return report_parameters(model)


def _names_like(model: nn.Module, patterns: str | Sequence[str]) -> list[str]:
    """Return the parameters whose name, or that of a layer around them, fits a pattern."""
    every = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    chosen: list[str] = []
    for one in [patterns] if isinstance(patterns, str) else patterns:
        found = [n for n in every if fnmatchcase(n, one) or fnmatchcase(n, f"{one}.*")]
        if not found:
            tops = ", ".join(dict.fromkeys(name.split(".")[0] for name in every))
            near = did_you_mean(one, [*every, *(name for name, _ in model.named_modules())])
            msg = f"{type(model).__name__} has no parameters {one!r}, but in {tops}.{near}"
            raise SettingsError(msg)
        chosen += found
    return chosen
