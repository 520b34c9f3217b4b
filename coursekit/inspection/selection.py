"""Choose modules of a model by name, pattern or type.

Nothing here knows what is done with them.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase

from torch import nn

from coursekit.errors import SettingsError

__all__ = ["Layers", "choose_modules"]

Layers = str | type[nn.Module] | Iterable[str | type[nn.Module]] | None
"""How modules are chosen: see `choose_modules`."""


def choose_modules(model: nn.Module, layers: Layers = None) -> dict[str, nn.Module]:
    """Return the chosen modules of `model` by name, in the order of ``named_modules()``.

    Parameters
    ----------
    model : nn.Module
    layers : str, type, or several of them, optional
        A name (``"layer1.0.conv1"``), a pattern (``"layer1.*"``, where ``*`` stands for any
        characters, dots too), or a type (``nn.Conv2d``, its subclasses too). The empty name
        is the model itself. Without it: every module that has no children.

    Returns
    -------
    dict of str to Module

    Raises
    ------
    SettingsError
        If `model` is no module, or something that was asked for is not in it.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    >>> list(choose_modules(model, nn.Linear))
    ['0', '2']
    """
    if not isinstance(model, nn.Module):
        msg = f"model must be an nn.Module, got {type(model).__name__}."
        raise SettingsError(msg)
    named = dict(model.named_modules())
    if layers is None:
        return {name: module for name, module in named.items() if _is_leaf(module)}
    wanted = [layers] if isinstance(layers, str | type) else list(layers)
    if not wanted:
        msg = (
            "layers must name at least one module, got none. Leave it out for all of them."
        )
        raise SettingsError(msg)
    chosen = set().union(*(_find(named, one) for one in wanted))
    return {name: module for name, module in named.items() if name in chosen}


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _find(named: dict[str, nn.Module], wanted: str | type[nn.Module]) -> set[str]:
    if isinstance(wanted, type):
        found = {name for name, module in named.items() if isinstance(module, wanted)}
    elif not isinstance(wanted, str):
        msg = (
            "layers are chosen by name, pattern or type, got "
            f"{type(wanted).__name__} {wanted!r}."
        )
        raise SettingsError(msg)
    elif wanted in named:
        return {wanted}
    else:
        found = {name for name in named if name and fnmatchcase(name, wanted)}
    if not found:
        raise SettingsError(_nothing_found(named, wanted))
    return found


def _nothing_found(named: dict[str, nn.Module], wanted: str | type[nn.Module]) -> str:
    if isinstance(wanted, type):
        types = sorted({type(module).__name__ for module in named.values()})
        return f"The model has no {wanted.__name__}. Its types are: {', '.join(types)}."
    near = get_close_matches(wanted, named, n=3) or list(named)[1:6]
    return (
        f"No module of the model is called {wanted!r}. Names are like: "
        f"{', '.join(map(repr, near))}; list(dict(model.named_modules())) shows all."
    )
