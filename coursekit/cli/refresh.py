"""``coursekit refresh``: run lessons on emulated machines, store outputs and ranges.

This is the one command that writes into notebooks. A second run changes nothing.
"""

import ast
import json
from collections.abc import Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path

from nbformat import NotebookNode
from rich.console import Console
from rich.table import Table

import coursekit
from coursekit.assets import data_folder
from coursekit.cli.notebooks import (
    Task,
    choose_notebooks,
    embedded_settings,
    print_plain,
    run_tasks,
    write_whole,
)
from coursekit.errors import NotebookError
from coursekit.nbtest.cells import (
    code_cells,
    hash_source,
    own_metadata,
    read_notebook,
    read_rules,
)
from coursekit.nbtest.machines import MACHINES
from coursekit.nbtest.refresh import CellMeasure, format_notebook, renew

__all__ = ["refresh_lessons"]


def refresh_lessons(
    names: Sequence[str], *, is_all: bool, timeout: float, jobs: int, runs: int
) -> int:
    """Execute lessons on embedded data, and store what they show and how far numbers moved.

    Lessons of which nothing changed are left out, unless `is_all`. `runs` is the number of
    machines, the reference first; 1 makes a draft. Return 1 when a lesson was refused, which then
    stays as it was; else 0.
    """
    console = Console()
    machines = dict(islice(MACHINES.items(), runs))
    folders = [data_folder(), Path(coursekit.__file__).parent]
    tasks, plans = [], []
    for name, path in choose_notebooks(names).items():
        stored = read_notebook(path)
        for number, cell in enumerate(code_cells(stored), start=1):
            read_rules(cell, where=f"{name}, code cell {number}")
        inputs = _hash_inputs(stored, folders)
        known = own_metadata(stored).get("measured", {})
        if not is_all and (known.get("inputs"), known.get("runs")) == (
            inputs,
            len(machines),
        ):
            print_plain(console, f"{name}: nothing changed since it was stored")
            continue
        plans.append((name, path, path.read_text(encoding="utf-8"), stored))
        for number, (machine, settings) in enumerate(machines.items(), start=1):
            label = f"{name}, {machine}, run {number} of {len(machines)}"
            settings = embedded_settings() | dict(settings)
            tasks.append(Task(label, stored, path.parent, settings, watch=runs > 1))
    done = iter(
        run_tasks(tasks, jobs=jobs, timeout=timeout, console=console) if tasks else ()
    )
    table = Table("Lesson", "Numbers", "Moved", "Never moved", "Widest", "Lines changed")
    refused = 0
    for name, path, before, stored in plans:
        ran = {machine: next(done) for machine in machines}
        try:
            renewed, measures = renew(stored, ran, name=name)
            about = renewed.metadata["coursekit"]["measured"]
            about["inputs"] = _hash_inputs(renewed, folders)
            after = format_notebook(renewed)
            if path.read_text(encoding="utf-8") != before:
                msg = (
                    f"{path.name} was changed by somebody else while it ran. Run it again."
                )
                raise NotebookError(msg)  # noqa: TRY301 - it is told as others are
        except NotebookError as error:
            refused += 1
            print_plain(console, f"Not stored: {error}")
            continue
        if after != before:
            write_whole(path, after)
        changed = set(after.splitlines()) - set(before.splitlines())
        table.add_row(name, *_row(measures), str(len(changed)))
    console.print(table)
    return int(refused > 0)


def _row(measures: Sequence[CellMeasure]) -> tuple[str, ...]:
    n_numbers = sum(measure.n_numbers for measure in measures)
    n_moved = sum(measure.n_moved for measure in measures)
    widest = max(measures, key=lambda measure: measure.widest)
    where = (
        f"{widest.widest:.1%} in cell {measures.index(widest) + 1}"
        if widest.widest
        else "-"
    )
    share = f"{1 - n_moved / n_numbers:.1%}" if n_numbers else "-"
    return str(n_numbers), str(n_moved), share, where


def _hash_inputs(notebook: NotebookNode, folders: Sequence[Path]) -> str:
    """Return a hash of a lesson's code and outputs, and of all files of some folders.

    Comments and docstrings do not count, nor does what only runs and compares lessons.
    """
    cells = [[hash_source(cell.source), cell.outputs] for cell in code_cells(notebook)]
    found = sha256(json.dumps(cells, sort_keys=True).encode())
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder).parts
            if path.is_file() and not {"__pycache__", "nbtest", "cli", "_shipped"} & {
                *inside
            }:
                found.update("/".join(inside).encode())
                found.update(_code(path) if path.suffix == ".py" else path.read_bytes())
    return found.hexdigest()


def _code(path: Path) -> bytes:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        has_docstring = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if has_docstring and ast.get_docstring(node) is not None:
            node.body[0] = ast.Pass()
    return ast.unparse(tree).encode()
