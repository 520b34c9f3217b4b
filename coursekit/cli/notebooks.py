"""What `run`, `check` and `refresh` share: which notebooks are meant, and running them."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

from coursekit.assets import notebooks_folder, role_paths, role_variable
from coursekit.course import find_lesson, find_lessons
from coursekit.errors import SettingsError
from coursekit.nbtest.cells import code_cells
from coursekit.nbtest.run import NotebookRun, NotebookSession, execute_notebook

__all__ = [
    "Task",
    "add_row",
    "choose_notebooks",
    "embedded_settings",
    "format_bytes",
    "print_plain",
    "run_tasks",
    "show_failure",
    "write_whole",
]


@dataclass(frozen=True)
class Task:
    """One notebook to execute."""

    label: str
    notebook: NotebookNode
    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    watch: bool = False
    """Whether to note which cells train."""


def choose_notebooks(names: Sequence[str]) -> dict[str, Path]:
    """Return the notebooks that are meant, by the name under which they are shown.

    Names are as `find_lesson` takes them; without any, all lessons and their solutions are meant.
    """
    if names:
        paths = [find_lesson(name).path for name in names]
    else:
        paths = [lesson.path for lesson in find_lessons()]
        paths += sorted((notebooks_folder() / "solutions").glob("*.ipynb"))
        if not paths:
            msg = f"There are no lessons in {notebooks_folder()}: name a notebook."
            raise SettingsError(msg)
    is_solution = {path: path.parent.name == "solutions" for path in paths}
    return {
        f"{'solutions/' * is_solution[path]}{path.stem}": path
        for path in dict.fromkeys(paths)
    }


def embedded_settings() -> dict[str, str]:
    """Return a kernel's settings for embedded data on the CPU, as what is stored was made."""
    own = {role_variable(role): "" for role in role_paths()}
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
    if failure:
        at = (
            f"code cell {failure.cell} of {run.n_cells}"
            if failure.cell
            else "before any cell"
        )
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
    size, unit = float(n_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is never seen half written."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
