"""Bring answers that are tensors or lists of numbers into a form that can be compared.

Nothing here knows any exercise.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

__all__ = ["tidied", "tidy"]


def tidied(answer: Any, *, n_places: int = 6) -> Callable:
    """Return the learner's function with tensors turned into lists of rounded numbers."""

    @wraps(answer, assigned=("__name__",), updated=())
    def function(*arguments: object) -> object:
        return tidy(answer(*arguments), n_places=n_places)

    return function


def tidy(value: Any, *, n_places: int = 6) -> Any:
    """Return a value with tensors as nested lists, and numbers to so many places.

    Examples
    --------
    >>> tidy((0.1 + 0.2, 3))
    [0.3, 3]
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [tidy(item, n_places=n_places) for item in value]
    return round(value, n_places) + 0.0 if isinstance(value, float) else value
