"""``coursekit run``: executed copies of lessons, as notebooks and as HTML pages.

Sources are read, never written. Nothing here knows how a kernel is kept.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from rich.console import Console
from rich.table import Table

from coursekit.cli.notebooks import Task, format_bytes, run_tasks, write_whole
from coursekit.cli.page import to_page
from coursekit.course.lessons import Lesson, find_lesson
from coursekit.errors import DataError
from coursekit.nbtest.run import NotebookRun

__all__ = ["run_lessons"]


def run_lessons(
    names: Sequence[str], *, profile: str | None, timeout: float, output: Path
) -> int:
    """Execute lessons one after the other, print a table, and return an exit code.

    Parameters
    ----------
    names : sequence of str
        As `find_lesson` takes them; all are looked up before the first is run.
    profile : str or None
        ``COURSEKIT_PROFILE`` for the kernels; None leaves it as it is.
    timeout : float
        Seconds that one cell may take.
    output : Path
        Folder for the executed notebooks and the pages; made when it is missing.

    Returns
    -------
    int
        0 when every cell of every lesson ran, else 1.
    """
    console = Console()
    lessons = [find_lesson(name) for name in names]
    output.mkdir(parents=True, exist_ok=True)
    settings = {"COURSEKIT_PROFILE": profile} if profile else {}
    lessons = list(dict.fromkeys(lessons))
    # In this folder, so that relative paths mean what they mean in the shell.
    tasks = [
        Task(lesson.name, _read(lesson.path), Path.cwd(), settings) for lesson in lessons
    ]
    runs = {}
    for lesson, task in zip(lessons, tasks, strict=True):
        [runs[lesson]] = run_tasks([task], jobs=1, timeout=timeout, console=console)
        _write(runs[lesson].notebook, output / lesson.path.name)
    console.print(_table(runs))
    for lesson, run in runs.items():
        if run.failure:
            _show_failure(lesson, run, console)
    console.print(f"Executed notebooks and pages: {output}{os.sep}", highlight=False)
    return int(any(run.failure for run in runs.values()))


def _read(path: Path) -> NotebookNode:
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:
        msg = f"{path} is not a notebook that can be read ({error}). Restore it from git."
        raise DataError(msg) from error


def _write(notebook: NotebookNode, path: Path) -> None:
    write_whole(path, nbformat.writes(notebook) + "\n")
    write_whole(path.with_suffix(".html"), to_page(notebook, title=path.stem))


def _table(runs: dict[Lesson, NotebookRun]) -> Table:
    table = Table("Lesson", "Cells", "Seconds", "Peak memory", "Result")
    for lesson, run in runs.items():
        table.add_row(
            lesson.name,
            f"{run.n_done} of {run.n_cells}",
            f"{run.seconds:.1f}",
            format_bytes(run.peak_bytes),
            "failed" if run.failure else "passed",
        )
    return table


def _show_failure(lesson: Lesson, run: NotebookRun, console: Console) -> None:
    failure = run.failure
    at = f"code cell {failure.cell} of {run.n_cells}" if failure.cell else "before any cell"
    console.print(f"{lesson.name} failed, {at}:", highlight=False, markup=False)
    for line in filter(None, (failure.source_line, *failure.error.splitlines())):
        console.print(f"    {line}", highlight=False, markup=False, soft_wrap=True)
