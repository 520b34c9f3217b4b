"""``coursekit refresh``: execute lessons and store what they show.

This is the one command that writes into notebooks. What agrees with the stored outputs stays
as it is, so a second run changes nothing.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from coursekit.cli.notebooks import (
    choose_notebooks,
    embedded_settings,
    print_plain,
    run_with_bar,
)
from coursekit.errors import NotebookError
from coursekit.nbtest.checking import check_directives
from coursekit.nbtest.reading import read_notebook
from coursekit.nbtest.refresh import count_changed_lines, format_notebook, renew_outputs

__all__ = ["refresh_lessons"]


def refresh_lessons(names: Sequence[str], *, is_all: bool, timeout: float) -> int:
    """Execute lessons on embedded data, store their outputs, and return an exit code.

    Parameters
    ----------
    names : sequence of str
        As `choose_notebooks` takes them.
    is_all : bool
        Store every output anew, also those that agree.
    timeout : float
        Seconds that one cell may take.

    Returns
    -------
    int
        0 when all were stored; 1 when one could not be. That one stays as it was.
    """
    console = Console()
    n_refused = 0
    for name, path in choose_notebooks(names).items():
        try:
            n_lines = _refresh(name, path, is_all=is_all, timeout=timeout, console=console)
        except NotebookError as error:
            n_refused += 1
            print_plain(console, f"Not stored: {error}")
        else:
            print_plain(console, f"{name}: {n_lines} lines changed")
    return int(n_refused > 0)


def _refresh(
    name: str, path: Path, *, is_all: bool, timeout: float, console: Console
) -> int:
    stored = read_notebook(path)
    check_directives(stored, name=name)
    before = path.read_text(encoding="utf-8")
    run = run_with_bar(
        stored,
        name=name,
        folder=path.parent,
        settings=embedded_settings(),
        timeout=timeout,
        console=console,
    )
    after = format_notebook(renew_outputs(stored, run, name=name, keep_agreeing=not is_all))
    if path.read_text(encoding="utf-8") != before:
        msg = f"{name} was changed by somebody else while it ran. Run the command again."
        raise NotebookError(msg)
    if after != before:
        _write_whole(path, after)
    return count_changed_lines(before, after)


def _write_whole(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        msg = f"{path} cannot be written ({error.strerror}). Check its permissions."
        raise NotebookError(msg) from error
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
