"""Find the parts of a model by their names.

Nothing here knows what the parts do.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from torch import nn

from coursekit.errors import SettingsError

__all__ = ["close_names", "get_part"]


def get_part(model: nn.Module, name: str) -> nn.Module:
    """Return the module called `name`, such as ``"layer4.1"``; ``""`` is the model itself.

    Raises
    ------
    SettingsError
        If there is none; the message lists names that are close.
    """
    parts = dict(model.named_modules(remove_duplicate=False))
    if name not in parts:
        msg = f"{type(model).__name__} has no layer {name!r}. {close_names(name, parts)}"
        raise SettingsError(msg)
    return parts[name]


def close_names(name: str, names: Iterable[str]) -> str:
    """Return a sentence that lists what `name` may have meant.

    Examples
    --------
    >>> close_names("layr4", ["conv1", "layer4", "fc"])
    "Close names: 'layer4'."
    """
    names = [known for known in names if known]
    found = get_close_matches(name, names, n=3, cutoff=0.6)
    if not found:  # nothing looks alike: what stands highest
        top = [known for known in names if "." not in known]
        found, more = top[:12], len(top) > 12
        listed = ", ".join(map(repr, found)) + (" ..." if more else "")
        return f"Its parts: {listed}."
    return f"Close names: {', '.join(map(repr, found))}."
