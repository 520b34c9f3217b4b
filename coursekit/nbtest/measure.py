"""Find out how far the numbers of a lesson move between machines, or refuse to store it.

A lesson is run on several emulated machines (`coursekit.nbtest.machines`). A cell whose words
or order differ between them, or whose numbers move too far for a claim, is refused.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from nbformat import NotebookNode

from coursekit.nbtest.cells import Rules
from coursekit.nbtest.compare import Measured, compare_cell, difference_of_pictures
from coursekit.nbtest.shown import Number, Part, show_outputs

_WIDEST = 0.05  # of an accuracy: a claim that moves by more needs more seeds
_CURVE = 8  # a longer series of drawn numbers gets one range
_ACCURACY = re.compile(r"(?i)accura|correct|right|recall|top-\d")


class CellMeasure(NamedTuple):
    """What several runs say of one cell."""

    ranges: dict[str, str]
    """As they are stored: places to two deviations from the reference, or ``any``."""
    refusals: list[str]
    n_numbers: int = 0
    n_moved: int = 0
    widest: float = 0.0
    """Of the printed numbers that moved, relative to their size."""


def combine(
    runs: Mapping[str, Sequence[NotebookNode]], rules: Rules, source: str = ""
) -> CellMeasure:
    """Return what the outputs of a cell on several machines say; the first is the reference.

    Its `source` tells what numbers are whose column and words do not.
    """
    reference, *others = runs
    known = Measured(costs=rules.costs)
    for machine in others:
        told = compare_cell(runs[reference], runs[machine], measured=known, words_only=True)
        if told:
            head = "Its words differ between the reference (stored) and"
            return CellMeasure({}, [f"{head} {machine!r} (fresh).", *told])
    shown = [show_outputs(outputs) for outputs in runs.values()]
    parts = [[part for out in outputs for part in out.parts] for outputs in shown]
    ranges: dict[str, str] = {}
    refusals: list[str] = []
    place = n_moved = 0
    widest = 0.0
    for same in zip(*parts, strict=True):
        numbers, moves = same[0].numbers, [*_deviations(same)]
        moved = {at for at, (low, high) in enumerate(moves) if high > low}
        moved -= {at for at in moved if rules.costs and numbers[at].is_cost}
        costs = {at for at in moved if numbers[at].is_cost}
        if moved and numbers[0].kind == "drawn" and len(moves) > _CURVE:
            envelope = min(low for low, _ in moves), max(high for _, high in moves)
            last = place + len(moves) - 1
            ranges[f"{place}-{last}"] = _as_stored(*envelope, is_any=bool(costs))
        else:
            for at in sorted(moved):
                ranges[str(place + at)] = _as_stored(*moves[at], is_any=at in costs)
        for at in sorted(moved - costs):
            number, width = numbers[at], moves[at][1] - moves[at][0]
            n_moved += 1
            if number.kind in {"integer", "decimal"} and number.value:
                widest = max(widest, width / abs(number.value))
            refusals += _too_wide(same[0], number, width, source)
        refusals += _overlaps(same[0], moves, is_ordered=rules.ordered)
        place += len(moves)
    return CellMeasure(ranges, refusals, place, n_moved, widest)


def _too_wide(part: Part, number: Number, width: float, source: str) -> Iterator[str]:
    words = number.where.strip() or f"{part.where} {part.text[:200]}"
    if number.kind == "decimal" and not number.where.strip():
        words += source
    scale = 100 if number.is_percent else 1
    is_accuracy = number.is_percent or _ACCURACY.search(words)
    if is_accuracy and 0 <= number.value <= scale and width > _WIDEST * scale + 1e-9:
        yield (
            f"In {part.where}: the accuracy {number.text} moves by {width:.3g} between "
            "machines. Average over more seeds, or claim less."
        )


def _deviations(same: Sequence[Part]) -> Iterator[tuple[float, float]]:
    """Yield how far each number of a part went below and above the reference."""
    for at, number in enumerate(same[0].numbers):
        if number.kind == "picture":
            yield 0.0, max(difference_of_pictures(same[0].picture, p.picture) for p in same)
            continue
        values = [part.numbers[at].value for part in same if at < len(part.numbers)]
        gaps = [value - number.value for value in values]
        gaps = [gap for gap in gaps if abs(gap) < float("inf")]  # no NaN either
        low, high = min(gaps, default=0.0), max(gaps, default=0.0)
        # What nobody would see of a drawn number has not moved.
        slack = number.unit * (1 if number.kind == "drawn" else 1e-6)
        yield (low, high) if max(-low, high) > slack else (0.0, 0.0)


def _as_stored(low: float, high: float, *, is_any: bool) -> str:
    return "any" if is_any else f"{low:.3g} {high:.3g}"


def _overlaps(
    part: Part, moves: Sequence[tuple[float, float]], *, is_ordered: bool
) -> Iterator[str]:
    """Refuse numbers in an order, said by the text or drawn, that may turn round elsewhere."""
    values = [number.value for number in part.numbers]
    is_ranking = part.where.endswith("heights") and values == sorted(values, reverse=True)
    if not is_ordered and not (is_ranking and len(values) > 2):
        return
    order = sorted(range(len(moves)), key=values.__getitem__)
    for one, two in pairwise(order):
        width = max(high - low for low, high in (moves[one], moves[two]))
        if values[two] > values[one] and values[two] - values[one] < 3 * width:
            both = (
                f"{values[one]:g} and {values[two]:g} are compared, and move by {width:.3g}"
            )
            cure = "less than three ranges lie between them. Use more seeds, or claim less."
            yield f"In {part.where}: {both}: {cure}"


def find_training_cells(cells: Sequence[NotebookNode], trained: frozenset[int]) -> set[int]:
    """Return the numbers of cells that trained, or use a name that such a cell assigned.

    `trained` are those that ran an optimizer, counted from 1 among the cells with code.
    """
    decided: set[str] = set()
    found = set()
    for number, cell in enumerate(cells, start=1):
        code = re.sub(r"(?m)^\s*[%!].*$", "pass", cell.source)
        names = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)]
        assigned = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        used = {node.id for node in names} - assigned
        if number in trained or used & decided:
            found.add(number)
            decided |= assigned
        else:
            decided -= assigned
    return found
