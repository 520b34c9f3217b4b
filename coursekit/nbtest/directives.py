"""What a cell says about the comparison of its outputs: ``# nbtest: rtol=5e-2 times``.

A directive stands in a comment on a line of its own, or in a tag such as
``nbtest:rtol=5e-2``. Nothing here knows how outputs are compared.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from coursekit.errors import NotebookError, SettingsError

__all__ = ["Directives", "read_directives"]

_COMMENT = re.compile(r"^\s*#+\s*nbtest\s*:(?P<words>.*)$", re.IGNORECASE)
_BEHIND_CODE = re.compile(r"^\s*[^#\s].*#\s*nbtest\s*:", re.IGNORECASE)
_TAG = re.compile(r"^nbtest(?P<colon>:?)(?P<words>.*)$", re.IGNORECASE)
_CURE = (
    "Allowed are rtol=NUMBER, atol=NUMBER, counts=INTEGER, image_rms=NUMBER, times and "
    "memory, as in `# nbtest: rtol=5e-2 times`."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Directives:
    """How much the fresh outputs of a cell may differ from the stored ones.

    Parameters
    ----------
    rtol : float, default=1e-4
        Of two decimal numbers, relative to the stored one.
    atol : float, default=1e-8
        Of two decimal numbers, absolute; the larger allowance holds.
    counts : int, default=0
        Of two integers.
    image_rms : float, default=0.02
        Root-mean-square difference of two pictures, as a share of the full scale.
    times : bool
        Set durations, rates, dates and times of day aside.
    memory : bool
        Set sizes in bytes aside.

    Raises
    ------
    SettingsError
        If an allowance is negative or not a finite number, or `image_rms` is over 1.
    """

    rtol: float = 1e-4
    atol: float = 1e-8
    counts: int = 0
    image_rms: float = 0.02
    times: bool = False
    memory: bool = False

    def __post_init__(self) -> None:
        for name in ("rtol", "atol", "counts", "image_rms"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                msg = f"{name} must be a number that is not negative, got {value:g}."
                raise SettingsError(msg)
        if self.image_rms > 1:
            msg = f"image_rms is a share of the full scale, at most 1, got {self.image_rms:g}."
            raise SettingsError(msg)


_KINDS = {field.name: field.type for field in fields(Directives)}


def read_directives(cell: Mapping[str, Any], *, where: str = "a cell") -> Directives:
    """Return what a code cell says about the comparison of its outputs.

    Parameters
    ----------
    cell : mapping
        As nbformat reads it.
    where : str
        File and cell, for the error.

    Returns
    -------
    Directives
        The defaults where the cell says nothing.

    Raises
    ------
    NotebookError
        If a directive is not understood, given twice, or not allowed.

    Examples
    --------
    >>> read_directives({"source": "# nbtest: rtol=5e-2", "metadata": {}}).rtol
    0.05
    """
    found: dict[str, Any] = {}
    for word, said in _words(cell, where):
        name, equals, text = word.partition("=")
        if name not in _KINDS:
            raise _error(where, said, f"{name!r} is not a directive")
        if (_KINDS[name] is bool) == bool(equals):
            rule = "takes no value" if equals else "needs a value"
            raise _error(where, said, f"{name} {rule}")
        try:
            value = _KINDS[name](text) if equals else True
        except ValueError:
            kind = "an integer" if _KINDS[name] is int else "a number"
            raise _error(where, said, f"{name} is {kind}, got {text!r}") from None
        if name in found and found[name] != value:
            raise _error(where, said, f"{name} is given twice, with different values")
        found[name] = value
    try:
        return Directives(**found)
    except SettingsError as error:
        msg = f"{where}: {error} {_CURE}"
        raise NotebookError(msg) from None


def _words(cell: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    """Give each word of each directive, with the line or tag that it stands in."""
    for line in cell["source"].splitlines():
        if match := _COMMENT.match(line):
            said = line.strip()
            words = match["words"].replace(",", " ").split()
            if not words:
                raise _error(where, said, "the directive is empty")
            yield from ((word, said) for word in words)
        elif _BEHIND_CODE.match(line):
            raise _error(where, line.strip(), "a directive stands on a line of its own")
        elif _is_without_colon(line):
            raise _error(where, line.strip(), "the colon is missing")
    tags = cell["metadata"].get("tags")
    for tag in tags if isinstance(tags, list) else ():
        if match := _TAG.match(tag):
            if not match["colon"]:
                raise _error(where, tag, "a tag begins with `nbtest:`")
            yield match["words"].strip(), tag


def _is_without_colon(line: str) -> bool:
    match = re.match(r"^\s*#+\s*nbtest\s+(\w+)", line, re.IGNORECASE)
    return match is not None and match[1] in _KINDS


def _error(where: str, said: str, what: str) -> NotebookError:
    return NotebookError(f"{where}: `{said}` is not understood: {what}. {_CURE}")
