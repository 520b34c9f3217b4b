"""What `run`, `check` and `refresh` share: which notebooks are meant, and running them with a bar."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from coursekit.assets import notebooks_folder, role_paths, role_variable
from coursekit.course.lessons import find_lesson, find_lessons
from coursekit.errors import SettingsError
from coursekit.nbtest.cells import code_cells
from coursekit.nbtest.run import NotebookRun, NotebookSession, execute_notebook

__all__ = [
    "Task",
    "choose_notebooks",
    "embedded_settings",
    "format_bytes",
    "print_plain",
    "run_tasks",
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

    Parameters
    ----------
    names : sequence of str
        As `find_lesson` takes them; all lessons and their solutions when there is none.
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
    """Return settings of a kernel that gets the embedded data, on the CPU, as what is stored did."""
    own = {role_variable(role): "" for role in role_paths()}
    return {"COURSEKIT_PROFILE": "embedded", "COURSEKIT_DEVICE": "cpu", **own}


def run_tasks(
    tasks: Sequence[Task], *, jobs: int, timeout: float, console: Console
) -> list[NotebookRun]:
    """Execute notebooks, some at a time, each in its own kernel, with a bar for each.

    Parameters
    ----------
    tasks : sequence of Task
    jobs : int
        Kernels at a time.
    timeout : float
        Seconds that one cell may take.
    console : Console
        Where the bars are drawn.

    Returns
    -------
    list of NotebookRun
        In the order of the tasks.
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
