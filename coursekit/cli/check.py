"""``coursekit check``: run lessons and compare what they show with what is stored.

On real data or own files, where other numbers are right, only errors and failed assertions
count; on a GPU, words too. Notebooks are read, never written.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from nbformat import NotebookNode
from rich.console import Console
from rich.table import Table

from coursekit.assets import profile_setting, role_paths
from coursekit.cli.notebooks import (
    Task,
    add_row,
    choose_notebooks,
    embedded_settings,
    print_plain,
    run_tasks,
    show_failure,
)
from coursekit.nbtest.cells import (
    code_cells,
    find_stored_problems,
    read_measured,
    read_notebook,
    read_rules,
)
from coursekit.nbtest.compare import compare_cell
from coursekit.nbtest.run import NotebookRun

__all__ = ["check_lessons"]

_PICTURES = Path("runs") / "differences"
_MOST_LINES = 40  # of one cell's differences


def check_lessons(
    names: Sequence[str], *, profile: str | None, timeout: float, jobs: int = 1
) -> int:
    """Run and compare lessons; return 0 when every cell ran and shows what is stored, else 1.

    Without a `profile` the settings say which; outputs are compared on embedded data only.
    """
    console = Console()
    profile = profile or profile_setting()
    device = os.environ.get("COURSEKIT_DEVICE") or "cpu"
    is_compared = profile == "embedded" and not role_paths()
    settings = embedded_settings() if is_compared else {"COURSEKIT_PROFILE": profile}
    settings |= {"COURSEKIT_DEVICE": device}
    notebooks = choose_notebooks(names)
    stored = {name: read_notebook(path) for name, path in notebooks.items()}
    for name, notebook in stored.items():  # a typo is told before anything runs
        for number, cell in enumerate(code_cells(notebook), start=1):
            read_rules(cell, where=f"{name}, code cell {number}")
    tasks = [
        Task(name, stored[name], path.parent, settings) for name, path in notebooks.items()
    ]
    done = run_tasks(tasks, jobs=jobs, timeout=timeout, console=console)
    runs = dict(zip(notebooks, done, strict=True))
    table = Table("Lesson", "Cells", "Seconds", "Peak memory", "Result")
    different = []
    for name, run in runs.items():
        found = {}
        if is_compared:
            found = compare_run(stored[name], run, name=name, words_only=device != "cpu")
        different += [name] * bool(found)
        _show(name, run, found, console)
        result = f"{len(found)} differ" if found else "as stored" if is_compared else "ran"
        add_row(table, name, run, result)
    console.print(table)
    if not is_compared:
        print_plain(console, "Not compared with what is stored: the data are others.")
    elif device != "cpu":
        print_plain(
            console,
            f"Only words were compared: what is stored was made on a CPU, not on {device}.",
        )
    if different:
        paths = " ".join(os.path.relpath(notebooks[name]) for name in different)
        print_plain(console, f"If the new outputs are right: coursekit refresh {paths}")
    return int(any(run.failure for run in runs.values()) or bool(different))


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
    cells = code_cells(stored)
    rules = [read_rules(cell) for cell in cells]
    found = {
        place + 1: [text] for place, text in find_stored_problems(cells, rules).items()
    }
    for number, (old, new) in enumerate(
        zip(cells, code_cells(run.notebook), strict=True), start=1
    ):
        said = rules[number - 1]
        if number > run.n_done:
            found.pop(number, None)
        elif number not in found and said.is_compared:
            messages = compare_cell(
                old.outputs,
                new.outputs,
                measured=read_measured(old, stored, said),
                words_only=words_only,
                picture=folder / f"{name}-cell-{number}.png",
            )
            found |= {number: messages} if messages else {}
    return dict(sorted(found.items()))


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
