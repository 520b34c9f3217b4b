"""What can be said of a lesson without running it: its order, its words, its names.

`check_notebook` reads a file and returns what is wrong. Nothing here executes anything.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coursekit.errors import NotebookError
from coursekit.nbtest.problems import Problem
from coursekit.nbtest.static_names import check_names, imported_modules
from coursekit.nbtest.static_words import find_bad_links, find_machine_paths

__all__ = ["check_notebook"]

_MOST_LINES = 25
_MOST_IN_A_ROW = 2
_LESSON_NAME = re.compile(r"(\d\d)_\w+")
_HEADING = re.compile(r"^#{1,6} ")


def check_notebook(path: Path | str) -> list[Problem]:
    """Return what breaks the rules of the course in a notebook.

    A lesson, which is a notebook whose metadata hold its title, begins with its number and
    title and has the set-up cell. In every notebook there is prose before code, no code
    cell over 25 lines, no three code cells in a row, no private or unknown name of
    coursekit, no definition of a name that coursekit exports, no link of another form than
    the course's, and no path of somebody's machine in an output.

    Parameters
    ----------
    path : Path or str
        An ``.ipynb`` file.

    Returns
    -------
    list of Problem
        In the order of the cells.

    Raises
    ------
    NotebookError
        If the file is no notebook.
    """
    path = Path(path)
    notebook = _read(path)
    found = [(None, text) for text in _check_top(path, notebook)]
    n_in_a_row = 0
    modules: dict[str, str] = {}
    before: Mapping[str, Any] | None = None
    for number, cell in enumerate(notebook["cells"], start=1):
        source = cell["source"]
        if cell["cell_type"] == "code":
            n_in_a_row += 1
            modules |= imported_modules(source)
            texts = [*_check_code_cell(source, before, n_in_a_row)]
            texts += check_names(source, modules=modules)
            texts += find_machine_paths(cell.get("outputs", ()))
        else:
            n_in_a_row = 0
            texts = find_bad_links(source, folder=path.parent)
        found += [(number, text) for text in texts]
        before = cell
    return [Problem(path.name, number, text) for number, text in found]


def _check_top(path: Path, notebook: Mapping[str, Any]) -> Iterator[str]:
    cells = notebook["cells"]
    first = cells[0]["source"] if cells else ""
    if not cells or cells[0]["cell_type"] != "markdown" or not first.startswith("# "):
        yield "a notebook begins with a cell of text whose first line is `# ` and its title."
        return
    said = notebook["metadata"].get("coursekit") or {}
    if "title" not in said:
        return
    number = _LESSON_NAME.fullmatch(path.stem)
    title = f"{int(number[1])} · {said['title']}" if number else said["title"]
    if first.splitlines()[0] != f"# {title}":
        yield f"its first line is {first.splitlines()[0]!r}, and should be `# {title}`."
    tags = [cell["metadata"].get("tags", []) for cell in cells]
    code = [
        tag for tag, cell in zip(tags, cells, strict=True) if cell["cell_type"] == "code"
    ]
    if not code or "setup" not in code[0]:
        yield (
            "the first code cell is the set-up cell, with the tag `setup`. "
            "`coursekit address` writes it."
        )


def _check_code_cell(
    source: str, before: Mapping[str, Any] | None, n_in_a_row: int
) -> Iterator[str]:
    n_lines = len(source.rstrip().splitlines())
    if n_lines > _MOST_LINES:
        yield (
            f"a code cell has at most {_MOST_LINES} lines, this one has {n_lines}. Split it, "
            "or move the function into coursekit."
        )
    if n_in_a_row == _MOST_IN_A_ROW + 1:
        yield "this is the third code cell in a row. Say in between what comes and why."
    if before is None:
        yield "code comes before any text. Say first what it does and why."
    elif before["cell_type"] == "markdown" and not _has_prose(before["source"]):
        yield "only a heading stands before this code. Say first what it does and why."


def _has_prose(markdown: str) -> bool:
    lines = [line.strip() for line in markdown.splitlines()]
    return any(line and not _HEADING.match(line) for line in lines)


def _read(path: Path) -> dict[str, Any]:
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = [
            dict(cell, metadata=dict(cell["metadata"]), source=_text(cell["source"]))
            for cell in notebook["cells"]
        ]
        return {"metadata": dict(notebook["metadata"]), "cells": cells}
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = (
            f"{path} is not a Jupyter notebook of format 4 that can be read ({error!r}). Save "
            "it from Jupyter again, or restore it from git."
        )
        raise NotebookError(msg) from error


def _text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)
