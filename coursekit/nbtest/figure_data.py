"""Compare what two figures show: the numbers and words that travel beside their pictures.

The records are those of `coursekit.figures`; they are read here without it, so that nothing
heavy is loaded.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from coursekit.nbtest.difference import Difference
from coursekit.nbtest.directives import Directives
from coursekit.nbtest.text import compare_text

__all__ = ["FIGURE_MIME", "choose_threshold", "compare_figure_data"]

FIGURE_MIME = "application/vnd.coursekit.figure+json"
"""Type of the record in an output's data."""

_MOST = 6  # differences told of one figure
_GRID_LEVELS = 4.0  # thousandths of the scale, one of 255, that a cell may differ
_ROUNDING = 1e-5  # numbers are stored with 6 digits
_LIKE = 0.1  # root-mean-square difference of pictures whose numbers agree

_MEMBERS = {
    "axes": "panel",
    "lines": "curve",
    "bars": "bars",
    "patches": "shape",
    "points": "points",
    "images": "image",
}
_WORDS = {
    "title": "title",
    "notes": "text under the panels",
    "legend": "legend",
    "x_label": "label of the x axis",
    "y_label": "label of the y axis",
    "x_ticks": "ticks of the x axis",
    "y_ticks": "ticks of the y axis",
    "texts": "words",
    "name": "name",
}
_NUMBERS = {
    "x_limits": "limits of the x axis",
    "y_limits": "limits of the y axis",
    "x": "x of point",
    "y": "y of point",
    "values": "value of point",
    "at": "place of bar",
    "base": "foot of bar",
    "heights": "height of bar",
    "extent": "edge",
    "scale": "end of the color scale",
    "box": "edge",
    "texts_at": "place of a text, number",
}
_LOOSE = {"x_limits", "y_limits", "texts_at"}  # they follow the numbers with some margin
_ON_AXIS = {
    "x": {"x_limits", "x", "at", "texts_at"},
    "y": {"y_limits", "y", "base", "heights", "texts_at"},
}
_DURATION = re.compile(r"\b((milli|micro|nano)?seconds?|minutes?|hours?|[mnµ]?s|min|h)\b")
_SIZE = re.compile(r"\b([kKMGT]i?B|(kilo|mega|giga)?bytes?)\b")
_A_NUMBER = re.compile(r"[-\N{MINUS SIGN}+]?\d[\d,.]*(e[-+]?\d+)?")


@dataclass(frozen=True)
class _Rule:
    """How numbers are compared inside one axes."""

    directives: Directives
    aside: frozenset[str] = frozenset()
    """Fields whose numbers are durations or sizes, set aside on request."""
    is_log: bool = False

    def allowed(self, field: str, stored: float, fresh: float, largest: float) -> float:
        """Return how far `fresh` may be from `stored` in a series up to `largest`."""
        said = self.directives
        size = abs(stored) if self.is_log else max(abs(stored), 0.01 * largest)
        if field in _LOOSE:
            size = largest
        room = max(said.atol, said.rtol * size)
        if said.counts and stored.is_integer() and fresh.is_integer():
            room = max(room, said.counts)
        return room * (2 if field in _LOOSE else 1) * (1 + _ROUNDING)


def compare_figure_data(
    stored: Mapping[str, Any], fresh: Mapping[str, Any], directives: Directives
) -> Difference | None:
    """Return how the numbers and words of two figures differ, or None when they agree.

    Parameters
    ----------
    stored, fresh : mapping
        Records as `coursekit.figures` puts them beside a picture.
    directives : Directives
        Numbers may differ by `atol`, or by `rtol` times their size, whole numbers by `counts`. An axis
        whose label names a unit of time or memory is set aside with `times` or `memory`.

    Returns
    -------
    Difference or None
        Its message names the panel, the curve, bar or image, and both numbers.
    """
    if stored == fresh:
        return None
    title = stored.get("title", "")
    if stored.get("version") != fresh.get("version"):
        return Difference(
            f"Figure {title!r}: its data were stored by another version of coursekit "
            f"({stored.get('version')}, now {fresh.get('version')})."
        )
    try:
        found = list(_compare(stored, fresh, where="", rule=_Rule(directives)))
    except (ValueError, AttributeError, TypeError) as error:
        return Difference(f"Figure {title!r}: its stored data cannot be read ({error}).")
    if not found:
        return None
    lines = [f"Figure {title!r} differs:", *(f"  {text}" for text in found[:_MOST])]
    if len(found) > _MOST:
        lines.append(f"  and {len(found) - _MOST} more differences")
    return Difference("\n".join(lines))


def choose_threshold(
    stored: Mapping[str, Any], fresh: Mapping[str, Any], directives: Directives
) -> float:
    """Return how far the pictures of two figures whose data agree may differ.

    Parameters
    ----------
    stored, fresh : mapping
        Records that `compare_figure_data` finds no difference in.
    directives : Directives
        Its `image_rms` holds where the records are the same to the last digit.

    Returns
    -------
    float
        Root-mean-square difference. Where numbers moved within their tolerance, curves and
        digits moved too; where they were set aside, pictures say nothing: 1.
    """
    if stored == fresh:
        return directives.image_rms
    if any(_aside(axes, directives) for axes in stored.get("axes", ())):
        return 1.0
    return max(directives.image_rms, _LIKE)


def _compare(stored: Mapping, fresh: Mapping, *, where: str, rule: _Rule) -> Iterator[str]:
    """Yield every difference of two records, or of two parts of them."""
    for field in dict.fromkeys([*stored, *fresh]):
        if field in _MEMBERS:
            yield from _compare_members(
                stored.get(field, []), fresh.get(field, []), field, where=where, rule=rule
            )
            continue
        low, high = stored.get(field, ""), fresh.get(field, "")
        if low == high or field in rule.aside:
            continue
        if field in _NUMBERS:
            yield from _compare_numbers(low, high, field, where=where, rule=rule)
        elif field in {"grid", "contrast"}:
            yield from _compare_grids(low, high, field, where=where, rule=rule)
            rule = replace(rule, aside=rule.aside | {"contrast"})  # one of them is enough
        elif field not in _WORDS or not _is_alike(low, high, field, rule):
            what = _WORDS.get(field, field)
            yield f"{where}{what}: stored {low!r}, fresh {high!r}"


def _compare_members(
    stored: list, fresh: list, field: str, *, where: str, rule: _Rule
) -> Iterator[str]:
    if len(stored) != len(fresh):
        noun = _MEMBERS[field]
        yield (
            f"{where}{noun}: {len(stored)} stored{_names(stored)}, "
            f"{len(fresh)} fresh{_names(fresh)}"
        )
        return
    for number, (low, high) in enumerate(zip(stored, fresh, strict=True), start=1):
        inner = rule
        if field == "axes":
            is_log = "log" in {low.get("x_scale"), low.get("y_scale")}
            inner = _Rule(rule.directives, _aside(low, rule.directives), is_log)
        noun = _noun(low, field, number, len(stored))
        yield from _compare(low, high, where=f"{where}{noun}", rule=inner)


def _noun(member: Mapping, field: str, number: int, n_members: int) -> str:
    """Name a part for a person: by its own name, and by its place if it has neighbors."""
    name = member.get("name") or (member.get("title") if field == "axes" else "")
    if n_members == 1 and not name:
        return "" if field == "axes" else f"{_MEMBERS[field]}, "
    place = f" {number} of {n_members}" if n_members > 1 else ""
    return f"{_MEMBERS[field]}{place}{f' {name!r}' if name else ''}, "


def _names(members: list) -> str:
    names = [member.get("name") or member.get("title") for member in members]
    return f" ({', '.join(map(repr, names))})" if names and all(names) else ""


def _compare_numbers(
    stored: str, fresh: str, field: str, *, where: str, rule: _Rule
) -> Iterator[str]:
    lows, highs = ([float(word) for word in text.split()] for text in (stored, fresh))
    if len(lows) != len(highs):
        yield f"{where}{_NUMBERS[field]}: {len(lows)} stored, {len(highs)} fresh"
        return
    largest = max((abs(n) for n in lows if abs(n) < float("inf")), default=0.0)
    wrong = []
    for number, (low, high) in enumerate(zip(lows, highs, strict=True), start=1):
        room = rule.allowed(field, low, high, largest)
        is_same = low == high or (low != low and high != high)  # both NaN
        if not is_same and not abs(low - high) <= room:
            wrong.append((number, low, high, room))
    if wrong:
        number, low, high, room = max(wrong, key=lambda item: abs(item[1] - item[2]))
        others = f"; {len(wrong)} of {len(lows)} differ" if len(wrong) > 1 else ""
        yield (
            f"{where}{_NUMBERS[field]} {number} of {len(lows)}: stored {low:g}, fresh "
            f"{high:g}, allowed +-{room:.2g}{others}"
        )


def _compare_grids(
    stored: str, fresh: str, field: str, *, where: str, rule: _Rule
) -> Iterator[str]:
    """Compare thousandths of a scale: the cells of an image's grid, or its contrast."""
    size, lows = _read_grid(stored)
    other, highs = _read_grid(fresh)
    if size != other or len(lows) != len(highs):
        yield f"{where}{field}: stored {size or stored!r}, fresh {other or fresh!r}"
        return
    room = _GRID_LEVELS + 1000 * rule.directives.rtol
    gaps = [abs(low - high) for low, high in zip(lows, highs, strict=True)]
    largest = max(gaps, default=0)
    if largest <= room:
        return
    if field == "contrast":
        place = "in its contrast"
    else:
        n_columns = int(size.split(" x ")[1])
        cell = gaps.index(largest) % (int(size.split(" x ")[0]) * n_columns)
        row, column = divmod(cell, n_columns)
        place = f"at row {row + 1}, column {column + 1} of a {size} grid"
    yield (
        f"{where}looks different: by {largest / 1000:g} of its scale {place}, "
        f"allowed {room / 1000:.2g}"
    )


def _read_grid(text: str) -> tuple[str, list[int]]:
    size, _, cells = text.rpartition(": ")
    return size, [int(word) for word in cells.split() if word != "/"]


def _is_alike(stored: str, fresh: str, field: str, rule: _Rule) -> bool:
    if field == "texts" and rule.aside:
        stored, fresh = (_A_NUMBER.sub("#", text) for text in (stored, fresh))
    return compare_text(stored, fresh, rule.directives) is None


def _aside(axes: Mapping, directives: Directives) -> frozenset[str]:
    """Return the fields of an axes that hold durations or sizes which nobody compares."""
    asked = [(directives.times, _DURATION), (directives.memory, _SIZE)]
    fields = set()
    for name, own in _ON_AXIS.items():
        label = axes.get(f"{name}_label", "")
        if any(is_asked and unit.search(label) for is_asked, unit in asked):
            fields |= own
    return frozenset(fields)
