"""Which parameters of a model train, and how fast: freezing, and rates by depth."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from html import escape
from typing import Any

from torch import nn

from coursekit.errors import SettingsError
from coursekit.models import find_head
from coursekit.models.heads import layer_groups, other_heads


@dataclass(frozen=True)
class ParameterReport:
    """Which parameters of a model train; a notebook shows it as a table of layers."""

    model_name: str
    groups: tuple[tuple[str, int, int], ...]
    """From input to head: layer or block, its parameters, how many of them train."""
    trainable: tuple[str, ...]
    """Names of the parameters that train."""

    @property
    def n_parameters(self) -> int:
        """Numbers that the model holds as parameters."""
        return sum(n for _, n, _ in self.groups)

    @property
    def n_trainable(self) -> int:
        """Numbers of them that train."""
        return sum(n for _, _, n in self.groups)

    def __repr__(self) -> str:
        counts = f"{self.n_trainable:,} of {self.n_parameters:,} parameters train"
        return f"ParameterReport({self.model_name}: {counts})"

    def _repr_html_(self) -> str:
        head = "<th>layers</th><th>parameters</th><th>train</th>"
        body = "".join(_html_row(*group) for group in self.groups)
        last = _html_row("all", self.n_parameters, self.n_trainable, tag="th")
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}{last}</tbody></table>"


def report_parameters(model: nn.Module) -> ParameterReport:
    """Return which parameters of `model` train.

    Examples
    --------
    >>> report_parameters(nn.Linear(2, 1))
    ParameterReport(Linear: 3 of 3 parameters train)
    """
    parameters = dict(model.named_parameters())
    rows = []
    for group in layer_groups(model):
        own = [parameters[name] for name in group.parameters]
        n_trainable = sum(p.numel() for p in own if p.requires_grad)
        name = group.name or type(model).__name__
        rows.append((name, sum(p.numel() for p in own), n_trainable))
    trainable = tuple(name for name, p in parameters.items() if p.requires_grad)
    return ParameterReport(type(model).__name__, tuple(rows), trainable)


def freeze(model: nn.Module, names: str | Sequence[str] | None = None) -> ParameterReport:
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
    >>> freeze(model)
    ParameterReport(Sequential: 10 of 46 parameters train)
    """
    if names is not None:
        return _set(model, _parameters_named(model, names), trains=False)
    main = find_head(model)
    # Heads for distillation and auxiliary ones belong to it; "" is a model that is a head.
    heads = tuple(name and f"{name}." for name in (main, *other_heads(model, main)))
    body = {name for name, _ in model.named_parameters() if not name.startswith(heads)}
    return _set(model, body, trains=False)


def unfreeze(
    model: nn.Module,
    names: str | Sequence[str] | None = None,
    *,
    depth: int | None = None,
) -> ParameterReport:
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
        return _set(model, _parameters_named(model, names or "*"), trains=True)
    groups = layer_groups(model)
    chosen = groups[max(0, len(groups) - depth) :]
    return _set(model, {name for group in chosen for name in group.parameters}, trains=True)


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
    groups, parameters = layer_groups(model), dict(model.named_parameters())
    return [
        {
            "params": [parameters[name] for name in group.parameters],
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


def _parameters_named(model: nn.Module, names: str | Sequence[str]) -> set[str]:
    parameters = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    layers = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    chosen: set[str] = set()
    for pattern in [names] if isinstance(names, str) else names:
        inside = tuple(f"{name}." for name in layers if fnmatchcase(name, pattern))
        found = {n for n in parameters if n.startswith(inside) or fnmatchcase(n, pattern)}
        if not found:
            tops = [name for name in layers if "." not in name]
            near = get_close_matches(pattern, [*layers, *parameters], n=3) or tops[:12]
            msg = f"{type(model).__name__} has no parameters {pattern!r}. Close: {', '.join(near)}."
            raise SettingsError(msg)
        chosen |= found
    return chosen


def _set(model: nn.Module, names: set[str], *, trains: bool) -> ParameterReport:
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name in names:
        parameters[name].requires_grad_(trains)
    return report_parameters(model)


def _html_row(name: str, count: int, n_trainable: int, tag: str = "td") -> str:
    words = {count: "yes", 0: "no"}  # in this order: no parameters, nothing that is frozen
    cells = (f"{count:,}", words.get(n_trainable, f"{n_trainable:,}"))
    numbers = "".join(f"<{tag}>{cell}</{tag}>" for cell in cells)
    return f'<tr><{tag} style="text-align:left">{escape(name)}</{tag}>{numbers}</tr>'
