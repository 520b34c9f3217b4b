"""Bring an executed notebook into the form in which it is stored: only what readers see.

Ids, metadata and outputs lose what changes from run to run and from machine to machine.
Nothing here executes, compares or writes.
"""

import re
from collections.abc import Sequence
from copy import deepcopy

from nbformat import NotebookNode

from coursekit.nbtest.static_words import MACHINE_PATH
from coursekit.nbtest.streams import is_progress_bar, merge_streams, without_progress_bars

__all__ = ["tidy_notebook", "tidy_outputs"]

_WIDGET = "application/vnd.jupyter.widget-view+json"
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_FOLDER = re.compile(r"\b(File )[^\n,]*[\\/]")
_KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# What editors and services leave behind.
_LEFT_BEHIND = {
    "ExecuteTime",
    "collapsed",
    "colab",
    "execution",
    "id",
    "jupyter",
    "outputId",
    "pycharm",
    "scrolled",
    "trusted",
    "vscode",
}
_LEFT_IN_NOTEBOOK = _LEFT_BEHIND | {"accelerator", "signature", "toc", "widgets"}


def tidy_notebook(notebook: NotebookNode) -> NotebookNode:
    """Return a notebook as it is stored.

    Cells are called ``cell-001`` and so on; metadata keep what people wrote; the kernel is
    Python, of no version; execution counts go from 1. Outputs are left to `tidy_outputs`.

    Parameters
    ----------
    notebook : NotebookNode
        Of format 4; left as it is.

    Returns
    -------
    NotebookNode
        Of format 4.5, the first that has ids.
    """
    book = deepcopy(notebook)
    book.nbformat, book.nbformat_minor = 4, 5
    for name in _LEFT_IN_NOTEBOOK & set(book.metadata):
        del book.metadata[name]
    book.metadata["language_info"] = {"name": "python"}
    if book.metadata.get("kernelspec", {}).get("name", "python3") == "python3":
        book.metadata["kernelspec"] = dict(_KERNEL)
    count = 0
    for number, cell in enumerate(book.cells, start=1):
        cell["id"] = f"cell-{number:03d}"
        for name in _LEFT_BEHIND & set(cell.metadata):
            del cell.metadata[name]
        if cell.metadata.get("tags") == []:
            del cell.metadata["tags"]
        if cell.cell_type == "code":
            count += bool(cell.source.strip())
            cell.execution_count = count if cell.source.strip() else None
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = cell.execution_count
    return book


def tidy_outputs(outputs: Sequence[NotebookNode]) -> list[NotebookNode]:
    """Return the outputs of a cell as they are stored.

    Parameters
    ----------
    outputs : sequence of NotebookNode
        As Jupyter records them; left as they are.

    Returns
    -------
    list of NotebookNode
        Each stream in one piece, without progress bars and widgets, whose state is not
        stored; tracebacks without colors and folders of this machine.
    """
    kept = []
    for output in merge_streams(deepcopy(list(outputs))):
        if output.output_type == "stream":
            if output.name == "stderr":
                output.text = _without_bars(output.text)
            is_empty = not output.text
        elif output.output_type == "error":
            output.traceback = [_plain(line) for line in output.traceback]
            is_empty = False
        else:
            is_empty = is_progress_bar(output.data)
            output.data.pop(_WIDGET, None)
            is_empty = is_empty or not output.data
        if not is_empty:
            kept.append(output)
    return kept


def _without_bars(text: str) -> str:
    """Leave a text without a bar as it is, blank lines and all."""
    kept = without_progress_bars(text)
    lines = [line for line in text.split("\n") if line.strip()]
    return text if kept.split("\n") == lines else kept and f"{kept}\n"


def _plain(line: str) -> str:
    """Return a line of a traceback without colors, and of a path only the file's name."""
    line = _FOLDER.sub(r"\1", _ANSI.sub("", line))
    return MACHINE_PATH.sub(lambda match: re.split(r"[\\/]", match[0])[-1], line)
