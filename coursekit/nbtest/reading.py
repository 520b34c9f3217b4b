"""Read a notebook's file, or say in one sentence why it cannot be tested.

Nothing here executes, and nothing that stands in the cells is judged.
"""

import json
import warnings
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.warnings import DuplicateCellId, MissingIDFieldWarning

from coursekit.errors import NotebookError

__all__ = ["read_notebook"]

_RESTORE = "Restore it, for example with `git checkout -- {path}`."


def read_notebook(path: Path, *, name: str | None = None) -> NotebookNode:
    """Return the notebook of a file, in format 4.

    Parameters
    ----------
    path : Path
        A file that ends in ``.ipynb``.
    name : str, optional
        How errors call it; the path by default.

    Returns
    -------
    NotebookNode

    Raises
    ------
    NotebookError
        If the file cannot be read, is no JSON, no notebook, of an older or newer format, or
        has no code to run and no words either.
    """
    name = name or str(path)
    content = _read_json(path, name)
    _check_format(content, name)
    with warnings.catch_warnings():  # ids of cells do not matter here
        warnings.simplefilter("ignore", MissingIDFieldWarning)
        warnings.simplefilter("ignore", DuplicateCellId)
        try:
            nbformat.validate(content)
            notebook = nbformat.reads(json.dumps(content), as_version=4)
        except nbformat.ValidationError as error:
            problem = str(getattr(error, "message", error)).splitlines()[0]
            msg = f"{name} is not a valid notebook: {problem}. {_RESTORE.format(path=name)}"
            raise NotebookError(msg) from None
    _check_content(notebook, name)
    return notebook


def _read_json(path: Path, name: str) -> dict:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        msg = (
            f"{name} cannot be read: {error.strerror or error}. Check path and permissions."
        )
        raise NotebookError(msg) from None
    except UnicodeDecodeError:
        msg = f"{name} is not a notebook: it is no text in UTF-8. {_RESTORE.format(path=name)}"
        raise NotebookError(msg) from None
    if not text.strip():
        msg = f"{name} is an empty file, not a notebook. {_RESTORE.format(path=name)}"
        raise NotebookError(msg)
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        cure = _RESTORE.format(path=name)
        if any(line.startswith("<<<<<<<") for line in text.splitlines()):
            cure = "It holds the marks of a git merge: choose a side and remove them."
        msg = f"{name} is not a notebook: it is no valid JSON ({error}). {cure}"
        raise NotebookError(msg) from None
    if not isinstance(content, dict) or not isinstance(content.get("nbformat"), int):
        msg = f"{name} is not a notebook: it has no nbformat. {_RESTORE.format(path=name)}"
        raise NotebookError(msg)
    return content


def _check_format(content: dict, name: str) -> None:
    number = content["nbformat"]
    if number < 4:
        msg = (
            f"{name} is a notebook of format {number}, which is compared from format 4 on. "
            f"Convert it: jupyter nbconvert --to notebook --inplace {name}"
        )
        raise NotebookError(msg)
    if number > nbformat.current_nbformat:
        msg = (
            f"{name} is a notebook of format {number}, newer than the installed nbformat "
            "knows. Upgrade it: pip install --upgrade nbformat"
        )
        raise NotebookError(msg)


def _check_content(notebook: NotebookNode, name: str) -> None:
    if not notebook.cells:
        problem = "has no cells"
    elif all(c.cell_type == "code" and not c.source.strip() for c in notebook.cells):
        problem = "has only empty cells"
    else:
        return
    msg = f"{name} {problem}: nothing would be tested. Add cells, or leave the file out."
    raise NotebookError(msg)
