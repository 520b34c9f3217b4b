"""Store what a lesson shows, and how far its numbers move between machines; or refuse it.

A lesson is run on several emulated machines (`coursekit.nbtest.machines`). A cell whose words
or order differ between them, or whose numbers move too far for a claim, is refused. Only what
readers see is stored, in a form in which a second refresh changes no line.
"""

import ast
import json
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from importlib.metadata import version
from itertools import pairwise
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from coursekit.errors import NotebookError
from coursekit.nbtest import shown
from coursekit.nbtest.cells import (
    Rules,
    code_cells,
    hash_source,
    own_metadata,
    read_measured,
    read_rules,
)
from coursekit.nbtest.compare import Measured, compare_cell, difference_of_pictures
from coursekit.nbtest.run import NotebookRun
from coursekit.nbtest.shown import Number, Part, show_outputs

_LARGEST = 600_000  # bytes of one output
_MOST_RANGES = 20_000  # bytes of a lesson's ranges
_FOLDER = re.compile(r"(?<![\w.:<])(?:[A-Z]:)?[\\/](?:[^\s\\/'\"<>]+[\\/])+")
# What people write; the rest is left by editors and services, such as who ran a cell in Colab.
_KEPT = {"tags", "coursekit", "slideshow", "title", "authors"}
_KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
_WIDEST = 0.05  # of an accuracy: a claim that moves by more needs more seeds
# A longer series of drawn numbers gets one range: nine runs of one point do not show its tail.
_CURVE = 3
_ACCURACY = re.compile(r"(?i)accura|correct|right|recall|top-\d")


class CellMeasure(NamedTuple):
    """What several runs say of one cell."""

    ranges: dict[str, str]  # places to two deviations from the reference, or "any"
    refusals: list[str]
    n_numbers: int = 0
    n_moved: int = 0
    widest: float = 0.0  # of the printed numbers that moved, relative to their size


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
            both = f"the reference (stored) and {machine!r} (fresh)"
            return CellMeasure({}, [f"Its words differ between {both}.", *told])
    outputs = [show_outputs(outputs).values() for outputs in runs.values()]
    parts = [[part for out in of_run for part in out.parts] for of_run in outputs]
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
            stored = "any" if costs else "{:.3g} {:.3g}".format(*envelope)
            ranges[f"{place}-{place + len(moves) - 1}"] = stored
        else:
            for at in sorted(moved):
                stored = "any" if at in costs else "{:.3g} {:.3g}".format(*moves[at])
                ranges[str(place + at)] = stored
        for at in sorted(moved - costs):
            number, width = numbers[at], moves[at][1] - moves[at][0]
            n_moved += 1
            if number.kind in {"integer", "decimal"} and number.value:
                widest = max(widest, width / abs(number.value))
            refusals += _too_wide(same[0], number, width, source)
        refusals += _overlaps(same[0], moves)
        place += len(moves)
    return CellMeasure(ranges, refusals, place, n_moved, widest)


def _too_wide(part: Part, number: Number, width: float, source: str) -> Iterator[str]:
    words = number.where.strip() or f"{part.where} {part.text[:200]}"
    if number.kind == "decimal" and not number.where.strip():
        words += source
    scale = 100 if number.is_percent else 1
    is_accuracy = number.is_percent or _ACCURACY.search(words)
    if is_accuracy and 0 <= number.value <= scale and width > _WIDEST * scale + 1e-9:
        told = f"the accuracy {number.text} moves by {width:.3g} between machines"
        yield f"In {part.where}: {told}. Average over more seeds, or claim less."


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


def _overlaps(part: Part, moves: Sequence[tuple[float, float]]) -> Iterator[str]:
    """Refuse a drawn ranking that may turn round elsewhere."""
    values = [number.value for number in part.numbers]
    is_falling = values == sorted(values, reverse=True)
    if not (part.where.endswith("heights") and is_falling and len(values) > 2):
        return
    order = sorted(range(len(moves)), key=values.__getitem__)
    for one, two in pairwise(order):
        width = max(high - low for low, high in (moves[one], moves[two]))
        if values[two] > values[one] and values[two] - values[one] < 3 * width:
            both = f"{values[one]:g} and {values[two]:g} move by {width:.3g}"
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


def renew(
    stored: NotebookNode, runs: Mapping[str, NotebookRun], *, name: str
) -> tuple[NotebookNode, list[CellMeasure]]:
    """Return a notebook with the outputs of the first run, and what all say of its cells.

    Stored times, and outputs that nobody compares, stay where nothing else changed. One run
    makes a draft. Where a run failed or a cell is refused, a `NotebookError` names cells and
    reasons.
    """
    for machine, run in runs.items():
        if run.failure is not None:
            where = f"{name}, code cell {run.failure.cell}, on the machine {machine!r}"
            msg = f"{where} failed, so nothing is stored: {run.failure.error}"
            raise NotebookError(msg)
    book, before = _tidy(next(iter(runs.values())).notebook), code_cells(_tidy(stored))
    measured = {"architecture": platform.machine(), "runs": len(runs)}
    measured["torch"] = version("torch").partition("+")[0]
    book.metadata["coursekit"] = dict(own_metadata(book)) | {"measured": measured}
    columns = {machine: code_cells(run.notebook) for machine, run in runs.items()}
    cells = code_cells(book)
    ran_optimizers = frozenset().union(*(run.trained for run in runs.values()))
    trained = find_training_cells(cells, ran_optimizers)
    measures, refused, is_same_above = [], [], True
    for number, (old, new) in enumerate(zip(before, cells, strict=True), start=1):
        rules = read_rules(new)
        measure = CellMeasure({}, [])
        if rules.is_compared:
            column = {name: others[number - 1].outputs for name, others in columns.items()}
            measure = combine(column, rules, new.source)
        measures.append(measure)
        if told := [*measure.refusals, *_too_large(new)]:
            first = new.source.strip().splitlines()[0]
            lines = "\n".join(told).splitlines()
            refused.append("\n    ".join([f"code cell {number}, {first!r}:", *lines]))
        _write_own(new, measure, trains=number in trained and rules.is_compared)
        is_old_source = own_metadata(old).get("source_sha256") == hash_source(new.source)
        stays = is_old_source and (
            _is_as_before(old, new, book) if rules.is_compared else is_same_above
        )
        if stays:
            new.outputs = old.outputs
        is_same_above = is_same_above and (stays or not new.outputs)
    if (n_bytes := sum(len(json.dumps(m.ranges)) for m in measures)) > _MOST_RANGES:
        refused.append(f"ranges of {n_bytes:,} bytes, over {_MOST_RANGES:,}: show less.")
    if refused:
        head = f"{name} is not the same on every machine, so nothing is stored:"
        raise NotebookError("\n  ".join([head, *refused]))
    return book, measures


def _write_own(cell: NotebookNode, measure: CellMeasure, *, trains: bool) -> None:
    ours = ("source_sha256", "ranges", "trains")
    own = {name: said for name, said in own_metadata(cell).items() if name not in ours}
    if "setup" not in cell.metadata.get("tags", ()):  # which `coursekit address` rewrites
        own["source_sha256"] = hash_source(cell.source)
    own |= {"ranges": measure.ranges} if measure.ranges else {}
    own |= {"trains": True} if trains or measure.n_moved else {}
    cell.metadata.pop("coursekit", None)
    cell.metadata |= {"coursekit": own} if own else {}


def _is_as_before(old: NotebookNode, new: NotebookNode, book: NotebookNode) -> bool:
    """Return whether nothing but times and sizes changed."""
    measured = read_measured(new, book, read_rules(new))
    aside = {place: None for place, pair in measured.ranges.items() if pair is None}
    exact = measured._replace(is_known=True, trains=False, ranges=aside)
    return not compare_cell(old.outputs, new.outputs, measured=exact)


def _too_large(cell: NotebookNode) -> Iterator[str]:
    for output in cell.outputs:
        if (n_bytes := len(json.dumps(output).encode())) > _LARGEST:
            over = f"{n_bytes:,} bytes, over {_LARGEST:,}"
            yield f"An output has {over}: draw or print less."


def _tidy(notebook: NotebookNode) -> NotebookNode:
    """Return a copy without what changes from run to run, and what says who ran it."""
    book = deepcopy(notebook)
    book.nbformat, book.nbformat_minor = 4, 5
    book.metadata = _kept(book.metadata)
    book.metadata |= {"language_info": {"name": "python"}, "kernelspec": dict(_KERNEL)}
    for number, cell in enumerate(book.cells, start=1):
        cell["id"] = f"cell-{number:03d}"
        cell.metadata = _kept(cell.metadata)
        if cell.cell_type == "code":
            cell.execution_count = None
    for count, cell in enumerate(code_cells(book), start=1):
        cell.execution_count = count
        for output in cell.outputs:
            if output.get("name") == "stderr":
                output.text = shown.without_progress_bars(output.text)
            if output.output_type == "execute_result":
                output.execution_count = count
            if output.output_type == "error":
                trace = (shown.ANSI.sub("", line) for line in output.traceback)
                output.traceback = [_FOLDER.sub("", line) for line in trace]
        cell.outputs = [out for out in cell.outputs if not shown.is_progress_bar(out)]
        for output in cell.outputs:
            output.get("data", {}).pop(shown.WIDGET_MIME, None)
        cell.outputs = [o for o in cell.outputs if o.get("text", 1) and o.get("data", 1)]
    return book


def _kept(metadata: NotebookNode) -> NotebookNode:
    kept = {name: said for name, said in metadata.items() if name in _KEPT and said}
    return NotebookNode(kept)


def format_notebook(notebook: NotebookNode) -> str:
    """Return the text of a notebook's file: sorted keys, one space of indent."""
    nbformat.validate(notebook)
    text = nbformat.writes(notebook, indent=1, sort_keys=True, ensure_ascii=False)
    return text.rstrip("\n") + "\n"
