"""Which code made the outputs that stand under a cell: a hash in the cell's metadata.

`coursekit refresh` writes it, the tests read it. Nothing here executes or compares.
"""

import re
from collections.abc import MutableMapping
from hashlib import sha256
from typing import Any

__all__ = ["hash_source", "is_stale", "read_hash", "write_hash"]

_FIELD, _KEY = "coursekit", "source_sha256"
# Lines that say how outputs are compared, not how they are made.
_DIRECTIVE = re.compile(r"^\s*#+\s*(nbtest\s*:|NBVAL_)", re.IGNORECASE)


def hash_source(source: str) -> str:
    r"""Return the sha256 of what a cell executes, in hexadecimal.

    Directives for the comparison and blanks at the ends of lines do not count: changing them
    makes no output old.

    Examples
    --------
    >>> hash_source("1 + 1") == hash_source("# nbtest: rtol=1e-2\n1 + 1  ")
    True
    >>> hash_source("1 + 1") == hash_source("1 + 2")
    False
    """
    lines = [line.rstrip() for line in source.splitlines()]
    code = [line for line in lines if not _DIRECTIVE.match(line)]
    return sha256("\n".join(code).strip("\n").encode()).hexdigest()


def read_hash(cell: MutableMapping[str, Any]) -> str | None:
    """Return the hash that a cell carries, or None if it carries none.

    Parameters
    ----------
    cell : mapping
        A cell of a notebook, as nbformat reads it.
    """
    said = cell.get("metadata", {}).get(_FIELD, {})
    found = said.get(_KEY) if isinstance(said, MutableMapping) else None
    return found if isinstance(found, str) else None


def write_hash(cell: MutableMapping[str, Any]) -> None:
    """Write the hash of its present source into a code cell's metadata.

    The set-up cell gets none: ``coursekit address`` rewrites it, and it shows nothing.

    Parameters
    ----------
    cell : mapping
        A code cell, changed in place.
    """
    said = cell["metadata"].get(_FIELD)
    said = dict(said) if isinstance(said, MutableMapping) else {}
    said.pop(_KEY, None)
    if "setup" not in cell["metadata"].get("tags", ()):
        said[_KEY] = hash_source(_text(cell["source"]))
    if said:
        cell["metadata"][_FIELD] = said
    else:
        cell["metadata"].pop(_FIELD, None)


def is_stale(cell: MutableMapping[str, Any]) -> bool:
    """Return whether a cell's outputs were made by another source than it has now.

    Parameters
    ----------
    cell : mapping
        A code cell; without a hash it is not known to be stale.
    """
    stored = read_hash(cell)
    return stored is not None and stored != hash_source(_text(cell["source"]))


def _text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)
