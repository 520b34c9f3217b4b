"""What nbval's tags and comments say of a cell.

Tags are ``nbval-ignore-output``, ``nbval-skip``, ``nbval-raises-exception`` and
``raises-exception``; comments are whole lines such as ``# NBVAL_IGNORE_OUTPUT``. Nothing here
knows what becomes of it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Marks", "read_marks"]

_COMMENT = re.compile(
    r"^\s*#+\s*(?:(?:NBVAL|PYTEST_VALIDATE)_IGNORE_OUTPUT|NBVAL_(?:SKIP|RAISES_EXCEPTION))\s*$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Marks:
    """What becomes of a cell in a test.

    Parameters
    ----------
    is_compared : bool
        False if its outputs are ignored.
    is_skipped : bool
        True if it is not run.
    may_raise : bool
        True if an error is expected.
    """

    is_compared: bool = True
    is_skipped: bool = False
    may_raise: bool = False


def read_marks(cell: Mapping[str, Any]) -> Marks:
    r"""Return what a code cell's tags and comments say.

    Parameters
    ----------
    cell : mapping
        As nbformat reads it.

    Examples
    --------
    >>> read_marks({"source": "# NBVAL_IGNORE_OUTPUT\n1", "metadata": {}}).is_compared
    False
    """
    words = {
        word.strip("# \t").lower().replace("_", "-")
        for word in _COMMENT.findall(cell["source"])
    }
    tags = cell["metadata"].get("tags")
    words |= set(tags if isinstance(tags, list) else ())
    return Marks(
        is_compared=not words & {"nbval-ignore-output", "pytest-validate-ignore-output"},
        is_skipped="nbval-skip" in words,
        may_raise=bool(words & {"nbval-raises-exception", "raises-exception"}),
    )
