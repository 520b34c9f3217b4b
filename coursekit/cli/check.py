"""``coursekit check``: run lessons and compare what they show with what is stored.

On real data or own files, where other numbers are right, only errors and failed assertions
count. Notebooks are read, never written.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from coursekit.assets import profile_setting, role_paths
from coursekit.cli.notebooks import (
    choose_notebooks,
    embedded_settings,
    print_plain,
    run_with_bar,
)
from coursekit.nbtest.checking import check_directives, code_cells, compare_run
from coursekit.nbtest.difference import Difference
from coursekit.nbtest.execution import NotebookRun
from coursekit.nbtest.reading import read_notebook

__all__ = ["check_lessons"]

_PICTURES = Path("runs") / "differences"
_MOST_LINES = 40  # of one cell's differences


def check_lessons(names: Sequence[str], *, profile: str | None, timeout: float) -> int:
    """Run and compare lessons, print what differs, and return an exit code.

    Parameters
    ----------
    names : sequence of str
        As `choose_notebooks` takes them.
    profile : str or None
        Of the data; by default that of the settings. Outputs are compared on embedded data
        only.
    timeout : float
        Seconds that one cell may take.

    Returns
    -------
    int
        0 when every cell ran and shows what is stored, else 1.
    """
    console = Console()
    profile = profile or profile_setting()
    is_compared = profile == "embedded" and not role_paths()
    settings = embedded_settings() if is_compared else {"COURSEKIT_PROFILE": profile}
    notebooks = choose_notebooks(names)
    stored = {name: read_notebook(path) for name, path in notebooks.items()}
    for name, notebook in stored.items():
        check_directives(notebook, name=name)
    runs, found = {}, {}
    for name, path in notebooks.items():
        runs[name] = run_with_bar(
            stored[name],
            name=name,
            folder=path.parent,
            settings=settings,
            timeout=timeout,
            console=console,
        )
        found[name] = {}
        if is_compared:
            found[name] = compare_run(stored[name], runs[name], folder=_PICTURES, name=name)
        _show_differences(name, runs[name], found[name], console)
        _show_failure(name, runs[name], console)
    console.print(_table(runs, found, is_compared=is_compared))
    if not is_compared:
        print_plain(console, "Not compared with what is stored: the data are others.")
    different = [name for name in found if found[name]]
    if different:
        paths = " ".join(_as_typed(notebooks[name]) for name in different)
        print_plain(console, f"If the new outputs are right: coursekit refresh {paths}")
    return int(any(run.failure for run in runs.values()) or bool(different))


def _show_differences(
    name: str, run: NotebookRun, found: Mapping[int, Sequence[Difference]], console: Console
) -> None:
    cells = list(code_cells(run.notebook))
    for number, differences in found.items():
        cell = cells[number - 1]
        print_plain(console, f"\n{name}, code cell {number} ({cell.get('id', '')}):")
        for line in cell.source.splitlines()[:3]:
            print_plain(console, f"    | {line}")
        lines = [line for each in differences for line in str(each).splitlines()]
        for line in lines[:_MOST_LINES]:
            print_plain(console, f"    {line}")
        if len(lines) > _MOST_LINES:
            print_plain(console, f"    ... and {len(lines) - _MOST_LINES} more lines")


def _show_failure(name: str, run: NotebookRun, console: Console) -> None:
    failure = run.failure
    if failure is None:
        return
    at = f"code cell {failure.cell} of {run.n_cells}" if failure.cell else "before any cell"
    print_plain(console, f"\n{name} failed, {at}:")
    for line in filter(None, (failure.source_line, *failure.error.splitlines())):
        print_plain(console, f"    {line}")


def _table(
    runs: Mapping[str, NotebookRun],
    found: Mapping[str, Mapping[int, Sequence[Difference]]],
    *,
    is_compared: bool,
) -> Table:
    table = Table("Lesson", "Cells", "Seconds", "Peak memory", "Result")
    for name, run in runs.items():
        result = "as stored" if is_compared else "ran"
        if found[name]:
            result = f"{len(found[name])} differ"
        if run.failure:
            result = "failed"
        cells = f"{run.n_done} of {run.n_cells}"
        table.add_row(name, cells, f"{run.seconds:.1f}", str(run.peak_memory), result)
    return table


def _as_typed(path: Path) -> str:
    """Write a path as somebody in this folder would type it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
