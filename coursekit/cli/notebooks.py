"""``coursekit check`` and ``refresh``, and what they share with `run`: executing notebooks.

`check` compares what lessons show with what is stored. On real data or own files, where other
numbers are right, only errors and failed assertions count; on a GPU, words too. `refresh` is the
one command that writes into notebooks. A second run changes nothing.
"""

import ast
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from nbformat import NotebookNode
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

import coursekit
from coursekit import assets
from coursekit.course.lessons import find_lesson, find_lessons
from coursekit.errors import NotebookError
from coursekit.nbtest.cells import (
    code_cells,
    find_stored_problems,
    hash_source,
    own_metadata,
    read_measured,
    read_notebook,
    read_rules,
)
from coursekit.nbtest.compare import compare_cell
from coursekit.nbtest.machines import MACHINES
from coursekit.nbtest.refresh import CellMeasure, format_notebook, renew
from coursekit.nbtest.run import NotebookRun, NotebookSession, execute_notebook

_PICTURES = Path("runs") / "differences"
_MOST_LINES = 40  # of one cell's differences


class Task(NamedTuple):
    """One notebook to execute."""

    label: str
    notebook: NotebookNode
    folder: Path
    settings: Mapping[str, str]
    watch: bool = False
    """Whether to note which cells train."""


def choose_notebooks(names: Sequence[str]) -> dict[str, Path]:
    """Return the notebooks that are meant, by the name under which they are shown.

    Names are as `find_lesson` takes them; without any, all lessons and their solutions are meant.
    """
    paths = [find_lesson(name).path for name in names]
    if not names:
        paths = [lesson.path for lesson in find_lessons()]
        paths += sorted((assets.notebooks_folder() / "solutions").glob("*.ipynb"))
    folders = {path: "solutions/" * (path.parent.name == "solutions") for path in paths}
    return {f"{folder}{path.stem}": path for path, folder in folders.items()}


def embedded_settings() -> dict[str, str]:
    """Return a kernel's settings for embedded data on the CPU, as what is stored was made."""
    own = {assets.role_variable(role): "" for role in assets.role_paths()}
    return {"COURSEKIT_PROFILE": "embedded", "COURSEKIT_DEVICE": "cpu", **own}


def run_tasks(
    tasks: Sequence[Task], *, jobs: int, timeout: float, console: Console
) -> list[NotebookRun]:
    """Execute notebooks, `jobs` at a time, each in its own kernel, with a bar for each.

    A cell may take `timeout` seconds. The runs come in the order of the tasks.
    """
    sessions: list[NotebookSession] = []
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # Kernels need the cores: the bars are drawn when a cell has ended.
    with Progress(*columns, console=console, refresh_per_second=2) as progress:
        total = progress.add_task("all runs", total=len(tasks), visible=len(tasks) > 1)

        def run(task: Task) -> NotebookRun:
            bar = progress.add_task(task.label, total=len(code_cells(task.notebook)))
            done = execute_notebook(
                task.notebook,
                folder=task.folder,
                settings=task.settings,
                timeout=timeout,
                watch=task.watch,
                on_start=sessions.append,
                on_cell=lambda n: progress.update(bar, completed=n),
            )
            progress.update(bar, visible=len(tasks) <= 16)
            progress.advance(total)
            return done

        if jobs == 1:
            return [run(task) for task in tasks]
        pool = ThreadPoolExecutor(jobs)
        try:
            return list(pool.map(run, tasks))
        except BaseException:  # Ctrl-C too: what still runs is ended
            pool.shutdown(wait=False, cancel_futures=True)
            for session in sessions:
                session.kill()
            raise
        finally:
            pool.shutdown()


def add_row(table: Table, name: str, run: NotebookRun, result: str) -> None:
    """Add a lesson's cells, seconds, peak memory and result; a failure is the result."""
    cells, seconds = f"{run.n_done} of {run.n_cells}", f"{run.seconds:.1f}"
    result = "failed" if run.failure else result
    table.add_row(name, cells, seconds, format_bytes(run.peak_bytes), result)


def show_failure(console: Console, name: str, run: NotebookRun) -> None:
    """Print where a run failed, the line and the error; nothing when it did not."""
    failure = run.failure
    if failure is None:
        return
    at = f"code cell {failure.cell} of {run.n_cells}" if failure.cell else "before any cell"
    print_plain(console, f"\n{name} failed, {at}:")
    for line in filter(None, (failure.source_line, *failure.error.splitlines())):
        print_plain(console, f"    {line}")


def print_plain(console: Console, text: str) -> None:
    """Print text as it is: no colors, no markup, lines as long as they are."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def format_bytes(n_bytes: int | None) -> str:
    """Return a size for a person, in binary units.

    Examples
    --------
    >>> format_bytes(0), format_bytes(1536), format_bytes(3 * 2**30), format_bytes(None)
    ('0 B', '1.5 KiB', '3.0 GiB', 'not measured')
    """
    if n_bytes is None:
        return "not measured"
    size, units = float(n_bytes), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        del units[0]
    return f"{size:.1f} {units[0]}" if units[0] != "B" else f"{n_bytes} B"


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is never seen half written."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8", newline="\n")
    part.replace(path)


# --- check -------------------------------------------------------------------------------


def check_lessons(
    names: Sequence[str], *, profile: str | None, timeout: float, jobs: int
) -> int:
    """Run and compare lessons; return 0 when every cell ran and shows what is stored, else 1.

    Without a `profile` the settings say which; outputs are compared on embedded data only.
    """
    console = Console()
    profile = profile or assets.profile_setting()
    device = os.environ.get("COURSEKIT_DEVICE") or "cpu"
    is_compared = profile == "embedded" and not assets.role_paths()
    settings = embedded_settings() if is_compared else {"COURSEKIT_PROFILE": profile}
    settings |= {"COURSEKIT_DEVICE": device}
    notebooks = choose_notebooks(names)
    stored = {name: _read(name, path) for name, path in notebooks.items()}
    tasks = [Task(name, stored[name], notebooks[name].parent, settings) for name in stored]
    runs = run_tasks(tasks, jobs=jobs, timeout=timeout, console=console)
    table = Table("Lesson", "Cells", "Seconds", "Peak memory", "Result")
    different = []
    for name, run in zip(stored, runs, strict=True):
        found = {}
        if is_compared:
            found = compare_run(stored[name], run, name=name, words_only=device != "cpu")
        if found:
            different.append(os.path.relpath(notebooks[name]))
        _show(name, run, found, console)
        result = f"{len(found)} differ" if found else "as stored" if is_compared else "ran"
        add_row(table, name, run, result)
    console.print(table)
    if not is_compared:
        print_plain(console, "Not compared with what is stored: the data are others.")
    elif device != "cpu":
        said = f"what is stored was made on a CPU, not on {device}."
        print_plain(console, f"Only words were compared: {said}")
    if different:
        paths = " ".join(different)
        print_plain(console, f"If the new outputs are right: coursekit refresh {paths}")
    return int(any(run.failure for run in runs) or bool(different))


def _read(name: str, path: Path) -> NotebookNode:
    """Return a notebook whose rules can be read: a typo is told before anything runs."""
    notebook = read_notebook(path)
    for number, cell in enumerate(code_cells(notebook), start=1):
        read_rules(cell, where=f"{name}, code cell {number}")
    return notebook


def compare_run(
    stored: NotebookNode,
    run: NotebookRun,
    *,
    name: str,
    folder: Path = _PICTURES,
    words_only: bool = False,
) -> dict[int, list[str]]:
    """Return how executed cells differ from what is stored, by their number.

    Cells that did not come to their end are not compared.
    """
    cells, fresh = code_cells(stored), code_cells(run.notebook)
    rules = [read_rules(cell) for cell in cells]
    problems = find_stored_problems(cells, rules)
    found = {}
    for place in range(run.n_done):
        old, rule, number = cells[place], rules[place], place + 1
        if place in problems:
            found[number] = [problems[place]]
        elif rule.is_compared:
            found[number] = compare_cell(
                old.outputs,
                fresh[place].outputs,
                measured=read_measured(old, stored, rule),
                words_only=words_only,
                picture=folder / f"{name}-cell-{number}.png",
            )
    return {number: messages for number, messages in found.items() if messages}


def _show(
    name: str, run: NotebookRun, found: dict[int, list[str]], console: Console
) -> None:
    cells = code_cells(run.notebook)
    for number, messages in found.items():
        cell = cells[number - 1]
        print_plain(console, f"\n{name}, code cell {number} ({cell.get('id', '')}):")
        for line in cell.source.splitlines()[:3]:
            print_plain(console, f"    | {line}")
        lines = "\n".join(messages).splitlines()
        for line in lines[:_MOST_LINES]:
            print_plain(console, f"    {line}")
        if len(lines) > _MOST_LINES:
            print_plain(console, f"    ... and {len(lines) - _MOST_LINES} more lines")
    show_failure(console, name, run)


# --- refresh -----------------------------------------------------------------------------


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
    tasks, plans = [], []
    for name, path in choose_notebooks(names).items():
        stored = _read(name, path)
        known = own_metadata(stored).get("measured", {})
        state = (_hash_inputs(stored), len(machines))
        if not is_all and (known.get("inputs"), known.get("runs")) == state:
            print_plain(console, f"{name}: nothing changed since it was stored")
            continue
        plans.append((name, path, path.read_text(encoding="utf-8"), stored))
        for number, (machine, settings) in enumerate(machines.items(), start=1):
            label = f"{name}, {machine}, run {number} of {len(machines)}"
            settings = embedded_settings() | dict(settings)
            tasks.append(Task(label, stored, path.parent, settings, watch=runs > 1))
    done = iter(())
    if tasks:
        done = iter(run_tasks(tasks, jobs=jobs, timeout=timeout, console=console))
    table = Table("Lesson", "Numbers", "Moved", "Never moved", "Widest", "Lines changed")
    refused = 0
    for name, path, before, stored in plans:
        ran = {machine: next(done) for machine in machines}
        try:
            renewed, measures = renew(stored, ran, name=name)
            renewed.metadata["coursekit"]["measured"]["inputs"] = _hash_inputs(renewed)
            after = format_notebook(renewed)
        except NotebookError as error:
            refused += 1
            print_plain(console, f"Not stored: {error}")
            continue
        if path.read_text(encoding="utf-8") != before:
            refused += 1
            said = "was changed by somebody else while it ran. Run it again."
            print_plain(console, f"Not stored: {path.name} {said}")
            continue
        if after != before:
            write_whole(path, after)
        changed = {*after.splitlines()} - {*before.splitlines()}
        table.add_row(name, *_row(measures), str(len(changed)))
    console.print(table)
    return int(refused > 0)


def _row(measures: Sequence[CellMeasure]) -> tuple[str, ...]:
    n_numbers = sum(measure.n_numbers for measure in measures)
    n_moved = sum(measure.n_moved for measure in measures)
    most = max(measure.widest for measure in measures)
    cell = 1 + [measure.widest for measure in measures].index(most)
    share = f"{1 - n_moved / n_numbers:.1%}" if n_numbers else "-"
    return (
        str(n_numbers),
        str(n_moved),
        share,
        f"{most:.1%} in cell {cell}" if most else "-",
    )


def _hash_inputs(notebook: NotebookNode) -> str:
    """Return a hash of a lesson's code and outputs, and of all files of the package and of data.

    Comments and docstrings do not count, nor does what only runs and compares lessons.
    """
    cells = [[hash_source(cell.source), cell.outputs] for cell in code_cells(notebook)]
    found = sha256(json.dumps(cells, sort_keys=True).encode())
    others = {"__pycache__", "nbtest", "cli", "_shipped"}
    for folder in (assets.data_folder(), Path(coursekit.__file__).parent):
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder).parts
            if path.is_file() and not others & {*inside}:
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
