"""Freeze and unfreeze the parameters of a model: by name, by depth, or all but the head.

Nothing here trains. What a frozen layer still does while others train - batch normalization
would go on to average - is decided by `TrainSettings.frozen_batch_norm`.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn

from coursekit.errors import SettingsError
from coursekit.models.heads import close_names, find_head, layer_groups, other_heads
from coursekit.training.parameter_report import ParameterReport, report_parameters

__all__ = ["freeze", "hold_statistics", "parameters_named", "unfreeze"]


def freeze(
    model: nn.Module,
    names: str | Sequence[str] | None = None,
    *,
    depth: int | None = None,
) -> ParameterReport:
    """Make parameters of `model` ones that no training changes; return what still trains.

    Parameters
    ----------
    model : Module
        Changed in place.
    names : str or sequence of str, optional
        Layers and parameters, as in ``model.named_parameters()``; a layer stands for all that
        is in it, and ``*`` for any letters: ``"layer1"``, ``"layer[12]"``, ``"*bn*"``.
    depth : int, optional
        Instead of names: so many groups of layers from the input on, as `layer_groups` counts
        them. With neither, all but the head is frozen.

    Returns
    -------
    ParameterReport

    Raises
    ------
    SettingsError
        If a name is unknown, which lists close ones; if `depth` is out of range; if both are
        given; or if the head cannot be found.

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
    if names is None and depth is None:
        chosen = {name for name, _ in model.named_parameters()} - _of_heads(model)
    else:
        chosen = _choose(model, names, depth, from_input=True)
    return _set(model, chosen, trains=False)


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
        Layers and parameters, as for `freeze`.
    depth : int, optional
        Instead of names: so many groups of layers from the head back; 1 is the head alone.
        With neither, all parameters train.

    Returns
    -------
    ParameterReport

    Raises
    ------
    SettingsError
        If a name is unknown, which lists close ones; if `depth` is out of range; or if both
        are given.

    Notes
    -----
    The optimizer must hold them: make it of ``model.parameters()``, all of them. Those that
    are frozen cost it nothing.
    """
    if names is None and depth is None:
        names = "*"
    return _set(model, _choose(model, names, depth, from_input=False), trains=True)


def parameters_named(model: nn.Module, names: str | Sequence[str]) -> set[str]:
    """Return the names of all parameters that are meant by `names`, as for `freeze`.

    Raises
    ------
    SettingsError
        If one of `names` is no layer and no parameter; the message lists close ones.
    """
    parameters = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    layers = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    chosen: set[str] = set()
    for pattern in [names] if isinstance(names, str) else names:
        inside = tuple(f"{name}." for name in layers if fnmatchcase(name, pattern))
        found = {
            name
            for name in parameters
            if name.startswith(inside) or fnmatchcase(name, pattern)
        }
        if not found:
            why = "no parameters in" if inside else "no layer or parameter"
            hint = "" if inside else f" {close_names(pattern, [*layers, *parameters])}"
            msg = f"{type(model).__name__} has {why} {pattern!r}.{hint}"
            raise SettingsError(msg)
        chosen |= found
    return chosen


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


def _of_heads(model: nn.Module) -> set[str]:
    """Return the parameters of the head, and of those for distillation or auxiliary."""
    main = find_head(model)
    inside = tuple(f"{head}." if head else "" for head in [main, *other_heads(model, main)])
    return {name for name, _ in model.named_parameters() if name.startswith(inside)}


def _choose(
    model: nn.Module,
    names: str | Sequence[str] | None,
    depth: int | None,
    *,
    from_input: bool,
) -> set[str]:
    if names is not None and depth is not None:
        msg = f"Layers are chosen by names or by depth, got {names!r} and depth={depth}."
        raise SettingsError(msg)
    if names is not None:
        return parameters_named(model, names)
    groups = layer_groups(model)
    if not 0 <= depth <= len(groups):
        listed = ", ".join(group.name for group in groups)
        msg = (
            f"{type(model).__name__} has {len(groups)} groups of layers, got depth={depth}. "
            f"They are: {listed}."
        )
        raise SettingsError(msg)
    chosen = groups[:depth] if from_input else groups[len(groups) - depth :]
    return {name for group in chosen for name in group.parameters}


def _set(model: nn.Module, names: Iterable[str], *, trains: bool) -> ParameterReport:
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name in names:
        parameters[name].requires_grad_(trains)
    return report_parameters(model)
