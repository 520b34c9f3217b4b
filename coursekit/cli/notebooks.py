"""What `check` and `refresh` share: which notebooks are meant, and running one with a bar.

Nothing here compares or writes.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nbformat import NotebookNode
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from coursekit.assets import notebooks_folder, role_paths, role_variable
from coursekit.course.lessons import find_lesson, find_lessons
from coursekit.errors import SettingsError
from coursekit.nbtest.checking import code_cells
from coursekit.nbtest.execution import NotebookRun, execute_notebook

__all__ = ["choose_notebooks", "embedded_settings", "print_plain", "run_with_bar"]


def choose_notebooks(names: Sequence[str]) -> dict[str, Path]:
    """Return the notebooks that are meant, by the name under which they are shown.

    Parameters
    ----------
    names : sequence of str
        As `find_lesson` takes them; all lessons and their solutions when there is none.

    Returns
    -------
    dict of str to Path

    Raises
    ------
    SettingsError
        If there is no such lesson, or no lesson at all.
    """
    if names:
        paths = [find_lesson(name).path for name in names]
    else:
        paths = [lesson.path for lesson in find_lessons()]
        paths += sorted((notebooks_folder() / "solutions").glob("*.ipynb"))
        if not paths:
            msg = f"There are no lessons in {notebooks_folder()}: name a notebook."
            raise SettingsError(msg)
    return {_shown_name(path): path for path in dict.fromkeys(paths)}


def embedded_settings() -> dict[str, str]:
    """Return settings of a kernel that gets the embedded data, on the CPU.

    What is stored was made so, whatever the settings of this shell are.
    """
    own = {role_variable(role): "" for role in role_paths()}
    return {"COURSEKIT_PROFILE": "embedded", "COURSEKIT_DEVICE": "cpu", **own}


def run_with_bar(
    notebook: NotebookNode,
    *,
    name: str,
    folder: Path,
    settings: Mapping[str, str],
    timeout: float,
    console: Console,
) -> NotebookRun:
    """Return a notebook's execution, with a progress bar over its cells while it runs.

    Parameters
    ----------
    notebook : NotebookNode
        Left as it is.
    name : str
        Shown beside the bar.
    folder : Path
        The folder that the kernel works in.
    settings : mapping of str to str
        Environment variables for the kernel.
    timeout : float
        Seconds that one cell may take.
    console : Console
        Where the bar is drawn.

    Returns
    -------
    NotebookRun
    """
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # No sleepless threads beside the kernel: the bar is drawn when a cell has ended.
    with Progress(*columns, console=console, refresh_per_second=2) as progress:
        task = progress.add_task(name, total=len(list(code_cells(notebook))))
        advance: Callable[[int], object] = lambda n: progress.update(task, completed=n)  # noqa: E731
        return execute_notebook(
            notebook, folder=folder, settings=settings, timeout=timeout, on_cell=advance
        )


def print_plain(console: Console, text: str) -> None:
    """Print text as it is: no colors, no markup, lines as long as they are."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _shown_name(path: Path) -> str:
    is_solution = path.parent.name == "solutions"
    return f"solutions/{path.stem}" if is_solution else path.stem
