"""Compare two pieces of HTML: the same elements, the same words, numbers that agree.

Tables are compared cell by cell. Identifiers, which libraries draw at random, are set
aside. Nothing here knows of notebooks.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import NamedTuple

from coursekit.nbtest.difference import Difference
from coursekit.nbtest.directives import Directives
from coursekit.nbtest.scrub import mentions_memory, mentions_time
from coursekit.nbtest.text import compare_text

__all__ = ["compare_html", "has_table"]

_RANDOM = re.compile(
    r"\bT_[0-9a-f]{5,}|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{32}\b"
    r"|\bsk-(?:container|estimator)-(?:id-)?\d+|\burl\(#[^)]*\)"
)
_UNSEEN = frozenset({"id", "class", "for", "clip-path", "xlink:href", "name"})
_SKIPPED = frozenset({"metadata"})  # of SVG: the day it was made
_MOST_SHOWN = 8


class _Part(NamedTuple):
    """The start of an element, its end, or a text."""

    tag: str
    text: str
    table: int | None = None
    row: int = 0
    column: int = 0


def compare_html(stored: str, fresh: str, directives: Directives) -> Difference | None:
    """Return how a piece of HTML differs from the stored one, or None when they agree.

    Parameters
    ----------
    stored, fresh : str
        HTML, or SVG. In a table whose column or row is headed by words such as ``seconds``
        or ``MiB``, bare numbers are set aside too if the cell asks for it.
    directives : Directives
        What is allowed to differ.

    Returns
    -------
    Difference or None

    Examples
    --------
    >>> compare_html("<b>0.5</b>", "<b>0.50001</b>", Directives()) is None
    True
    >>> print(compare_html("<b>0.5</b>", "<i>0.5</i>", Directives()))
    The HTML has other elements: stored <b>, fresh <i>.
    """
    if stored == fresh:
        return None
    before, after = _read(stored), _read(fresh)
    if [part.tag for part in before] != [part.tag for part in after]:
        return Difference(_say_structure(before, after))
    headers = _headers(before)
    found = []
    for old, new in zip(before, after, strict=True):
        if old.text == new.text or _is_set_aside(old, headers, directives):
            continue
        difference = compare_text(old.text, new.text, directives, is_whole=False)
        if difference is not None:
            found.append(f"{_place(old, headers)}{difference.message}")
    if not found:
        return None
    if len(found) > _MOST_SHOWN:
        found[_MOST_SHOWN:] = [f"... and {len(found) - _MOST_SHOWN} more places"]
    return Difference("\n".join(found))


def has_table(html: str) -> bool:
    """Return whether there is a table in a piece of HTML."""
    return re.search(r"(?i)<table\b", html) is not None


class _Reader(HTMLParser):
    """Cuts HTML into parts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[_Part] = []
        self.n_tables = 0
        self.open_tables: list[list[int]] = []  # index, row, column
        self.is_skipped = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SKIPPED:
            self.is_skipped = True
        if tag == "table":
            self.open_tables.append([self.n_tables, -1, -1])
            self.n_tables += 1
        elif self.open_tables and tag == "tr":
            self.open_tables[-1][1:] = [self.open_tables[-1][1] + 1, -1]
        elif self.open_tables and tag in {"td", "th"}:
            self.open_tables[-1][2] += 1
        seen = sorted((name, value or "") for name, value in attrs if _is_seen(name))
        self._add(f"<{tag}>", "")
        for name, value in seen:
            self._add(f"<{tag}> {name}=", _RANDOM.sub("<id>", value))

    def handle_endtag(self, tag: str) -> None:
        if tag in _SKIPPED:
            self.is_skipped = False
        if tag == "table" and self.open_tables:
            self.open_tables.pop()
        self._add(f"</{tag}>", "")

    def handle_data(self, data: str) -> None:
        text = _RANDOM.sub("<id>", data).strip()
        if text:
            self._add(f"text in <{self._kind()}>", text)

    def _kind(self) -> str:
        return self.parts[-1].tag.strip("</>").split(">")[0] if self.parts else ""

    def _add(self, tag: str, text: str) -> None:
        if self.is_skipped:
            return
        place = self.open_tables[-1] if self.open_tables else (None, 0, 0)
        self.parts.append(_Part(tag, text, *place))


def _is_seen(name: str) -> bool:
    return name not in _UNSEEN and not name.startswith(("data-", "aria-"))


def _read(html: str) -> list[_Part]:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.parts


def _headers(parts: list[_Part]) -> dict[tuple[int, str, int], str]:
    """Return the words above each column and before each row that are headers."""
    found: dict[tuple[int, str, int], str] = {}
    for part in _texts(parts):
        if part.tag != "text in <th>":
            continue
        is_top = part.row == 0
        key = (
            part.table,
            "column" if is_top else "row",
            part.column if is_top else part.row,
        )
        found[key] = f"{found[key]} {part.text}" if key in found else part.text
    return found


def _texts(parts: list[_Part]) -> Iterator[_Part]:
    return (part for part in parts if part.text and part.table is not None)


def _is_set_aside(
    part: _Part, headers: dict[tuple[int, str, int], str], directives: Directives
) -> bool:
    if part.tag == "text in <th>" or not (directives.times or directives.memory):
        return False
    words = " ".join(_header_words(part, headers))
    return (directives.times and mentions_time(words)) or (
        directives.memory and mentions_memory(words)
    )


def _header_words(part: _Part, headers: dict[tuple[int, str, int], str]) -> tuple[str, str]:
    return (
        headers.get((part.table, "row", part.row), ""),
        headers.get((part.table, "column", part.column), ""),
    )


def _place(part: _Part, headers: dict[tuple[int, str, int], str]) -> str:
    if part.table is None:
        return ""
    row, column = _header_words(part, headers)
    row = repr(row) if row else str(part.row)
    column = repr(column) if column else str(part.column + 1)
    return f"Table, row {row}, column {column}: "


def _say_structure(before: list[_Part], after: list[_Part]) -> str:
    shapes = [_shapes(parts) for parts in (before, after)]
    if shapes[0] != shapes[1]:
        stored, fresh = (", ".join(shape) or "no table" for shape in shapes)
        return f"The tables differ: stored {stored}; fresh {fresh}."
    for old, new in zip(before, after, strict=False):
        if old.tag != new.tag:
            return f"The HTML has other elements: stored {_say(old)}, fresh {_say(new)}."
    longer, which = (before, "missing") if len(before) > len(after) else (after, "new")
    return f"The HTML has other elements: {_say(longer[min(len(before), len(after))])} is {which}."


def _say(part: _Part) -> str:
    return f"{part.text[:60]!r}" if part.text else part.tag


def _shapes(parts: list[_Part]) -> list[str]:
    sizes: dict[int, tuple[int, int]] = {}
    for part in parts:
        if part.table is not None:
            rows, columns = sizes.get(part.table, (0, 0))
            sizes[part.table] = max(rows, part.row + 1), max(columns, part.column + 1)
    return [f"{rows} rows x {columns} columns" for rows, columns in sizes.values()]
