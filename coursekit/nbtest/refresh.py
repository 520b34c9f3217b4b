"""Store what a lesson shows, and how far its numbers move between machines.

Only what readers see is stored, in a form in which a second refresh changes no line.
"""

import json
import platform
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from importlib.metadata import version

import nbformat
from nbformat import NotebookNode

from coursekit.errors import NotebookError
from coursekit.nbtest.cells import (
    code_cells,
    hash_source,
    own_metadata,
    read_measured,
    read_rules,
)
from coursekit.nbtest.compare import compare_cell
from coursekit.nbtest.measure import CellMeasure, combine, find_training_cells
from coursekit.nbtest.run import NotebookRun
from coursekit.nbtest.shown import (
    ANSI,
    WIDGET_MIME,
    is_progress_bar,
    without_progress_bars,
)

_LARGEST = 600_000  # bytes of one output
_MOST_RANGES = 20_000  # bytes of a lesson's ranges
_FOLDER = re.compile(r"(?<![\w.:<])(?:[A-Z]:)?[\\/](?:[^\s\\/'\"<>]+[\\/])+")
# What people write; the rest is left by editors and services, such as who ran a cell in Colab.
_KEPT = {"tags", "coursekit", "slideshow", "title", "authors"}
_KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def renew(
    stored: NotebookNode,
    runs: Mapping[str, NotebookRun],
    *,
    name: str,
) -> tuple[NotebookNode, list[CellMeasure]]:
    """Return a notebook with the outputs of the first run, and what all say of its cells.

    Stored times, and outputs that nobody compares, stay where nothing else changed. One run
    makes a draft.

    Raises
    ------
    NotebookError
        If a run failed or a cell is refused; the message names cells and reasons.
    """
    for machine, run in runs.items():
        if run.failure is not None:
            where = f"{name}, code cell {run.failure.cell}, on the machine {machine!r}"
            msg = f"{where} failed, so nothing is stored: {run.failure.error}"
            raise NotebookError(msg)
    book, before = _tidy(next(iter(runs.values())).notebook), code_cells(_tidy(stored))
    book.metadata["coursekit"] = dict(own_metadata(book)) | {
        "measured": {
            "architecture": platform.machine(),
            "runs": len(runs),
            "torch": version("torch").partition("+")[0],
        }
    }
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
        if told := [*measure.refusals, *_find_faults(new, may_raise=rules.may_raise)]:
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
    n_bytes = sum(len(json.dumps(measure.ranges)) for measure in measures)
    if n_bytes > _MOST_RANGES:
        over = f"{n_bytes:,} bytes, over {_MOST_RANGES:,}"
        refused.append(f"the ranges take {over}: show less.")
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
    exact = replace(measured, is_known=True, trains=False, ranges=aside)
    return not compare_cell(old.outputs, new.outputs, measured=exact)


def _find_faults(cell: NotebookNode, *, may_raise: bool) -> list[str]:
    found = []
    for output in cell.outputs:
        if output.output_type == "error" and not may_raise:
            cure = "If it is meant to fail, give it the tag raises-exception."
            found.append(f"It shows an error: {output.ename}: {output.evalue}. {cure}")
        if (n_bytes := len(json.dumps(output).encode())) > _LARGEST:
            found.append(
                f"An output has {n_bytes:,} bytes, over {_LARGEST:,}: draw or print less."
            )
    return found


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
                output.text = without_progress_bars(output.text)
            if output.output_type == "execute_result":
                output.execution_count = count
            if output.output_type == "error":
                trace = (ANSI.sub("", line) for line in output.traceback)
                output.traceback = [_FOLDER.sub("", line) for line in trace]
        cell.outputs = [out for out in cell.outputs if not is_progress_bar(out)]
        for output in cell.outputs:
            output.get("data", {}).pop(WIDGET_MIME, None)
        cell.outputs = [
            out for out in cell.outputs if out.get("text", "-") and out.get("data", "-")
        ]
    return book


def _kept(metadata: NotebookNode) -> NotebookNode:
    kept = {name: said for name, said in metadata.items() if name in _KEPT and said}
    return NotebookNode(kept)


def format_notebook(notebook: NotebookNode) -> str:
    """Return the text of a notebook's file: sorted keys, one space of indent."""
    nbformat.validate(notebook)
    text = nbformat.writes(notebook, indent=1, sort_keys=True, ensure_ascii=False)
    return text.rstrip("\n") + "\n"
