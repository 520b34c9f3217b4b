"""Exceptions that coursekit raises on purpose, and a guess at what was meant.

Each exception derives from `CourseError` and from the builtin a Python user expects, so either can
be caught. Nothing here knows why an error happens: the message says that, with the rule,
what was given, and what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return `` Did you mean 'x'?`` of the known word that is nearest; nothing if none is.

    Examples
    --------
    >>> did_you_mean("objcts", ["digits", "objects"])
    " Did you mean 'objects'?"
    """
    near = get_close_matches(word, known, n=1, cutoff=cutoff)
    return f" Did you mean {near[0]!r}?" if near else ""


class CourseError(Exception):
    """Anything that coursekit raises on purpose."""


class SettingsError(CourseError, ValueError):
    """An argument or a setting is outside what the function allows."""


class ShapeError(CourseError, ValueError):
    """Arrays have shapes that do not fit together, or not what comes next."""


class DataError(CourseError, ValueError):
    """A data set or one of its files cannot be used as it is."""


class NotebookError(CourseError, ValueError):
    """A notebook cannot be read or tested as it is; the message names file and cure."""


class AssetError(CourseError, OSError):
    """A file of the registry is missing, damaged, or cannot be stored."""


class RoleError(CourseError, LookupError):
    """A role is unknown, or nothing usable stands in it."""


class TrainingError(CourseError, RuntimeError):
    """Training cannot go on: the message names the batch and the remedy."""
