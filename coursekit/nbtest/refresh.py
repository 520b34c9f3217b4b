"""Store what a notebook shows: its outputs, in a form that a second time changes no line.

Outputs that agree with the stored ones by the cell's own tolerance stay as they are, so that
times, addresses and last digits do not fill the history. Nothing here executes, and
nothing knows of terminals.
"""

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbformat import NotebookNode

from coursekit.errors import NotebookError
from coursekit.nbtest.checking import code_cells, compare_cell
from coursekit.nbtest.execution import NotebookRun
from coursekit.nbtest.marks import read_marks
from coursekit.nbtest.source_hash import is_stale, read_hash, write_hash
from coursekit.nbtest.tidy import tidy_notebook, tidy_outputs

__all__ = ["count_changed_lines", "format_notebook", "renew_outputs"]

_LARGEST = 600_000  # bytes of one output


def renew_outputs(
    stored: NotebookNode, run: NotebookRun, *, name: str, keep_agreeing: bool = True
) -> NotebookNode:
    """Return a notebook with the outputs of its execution, as it is to be stored.

    Parameters
    ----------
    stored : NotebookNode
        As it was before it was executed; left as it is.
    run : NotebookRun
        Its execution.
    name : str
        Of the notebook, in messages.
    keep_agreeing : bool, default=True
        Keep the outputs of a cell that agree with the fresh ones; those that are not compared
        stay as long as nothing above them changed.

    Returns
    -------
    NotebookNode
        With a hash of each code cell's source in its metadata.

    Raises
    ------
    NotebookError
        If a cell failed, shows an error without the tag ``raises-exception``, or has an
        output over 600 kB. The message names the cell and the cure.
    """
    if run.failure is not None:
        where = f"{name}, code cell {run.failure.cell}"
        msg = f"{where} failed, so nothing is stored: {run.failure.error}"
        raise NotebookError(msg)
    book = tidy_notebook(run.notebook)
    before = list(code_cells(tidy_notebook(stored)))
    is_same_above = keep_agreeing
    with TemporaryDirectory() as folder:  # for pictures of differences, not wanted here
        for number, (old, new) in enumerate(
            zip(before, code_cells(book), strict=True), start=1
        ):
            where = f"{name}, code cell {number}"
            new.outputs = tidy_outputs(new.outputs)
            _refuse_errors(new, where)
            may_stay = keep_agreeing and _is_same_source(old)
            if may_stay and not read_marks(old).is_compared:
                may_stay = is_same_above
            elif may_stay:
                may_stay = not compare_cell(old, new, folder=Path(folder), where=where)
            if may_stay:
                new.outputs = tidy_outputs(old.outputs)
            is_same_above = is_same_above and may_stay
            _refuse_large(new, where)
            write_hash(new)
    for cell in book.cells:
        if cell.cell_type == "code" and not cell.source.strip():
            cell.outputs = []
    return book


def format_notebook(notebook: NotebookNode) -> str:
    """Return the text of a notebook's file: sorted keys, one space of indent.

    Raises
    ------
    NotebookError
        If it is no valid notebook of its format.
    """
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        msg = f"The notebook would not be valid: {str(error).splitlines()[0]}."
        raise NotebookError(msg) from error
    text = nbformat.writes(notebook, indent=1, sort_keys=True, ensure_ascii=False)
    return text.rstrip("\n") + "\n"


def count_changed_lines(before: str, after: str) -> int:
    r"""Return how many lines of a text are new, and how many of the old ones are gone.

    Parameters
    ----------
    before, after : str

    Returns
    -------
    int
        The larger of the two numbers; lines that only moved do not count.

    Examples
    --------
    >>> count_changed_lines("a b c".replace(" ", "\n"), "a x c y".replace(" ", "\n"))
    2
    """
    old, new = Counter(before.splitlines()), Counter(after.splitlines())
    return max((new - old).total(), (old - new).total())


def _is_same_source(cell: NotebookNode) -> bool:
    is_set_up = "setup" in cell.metadata.get("tags", ())
    return is_set_up or (read_hash(cell) is not None and not is_stale(cell))


def _refuse_errors(cell: NotebookNode, where: str) -> None:
    if read_marks(cell).may_raise:
        return
    for output in cell.outputs:
        if output.output_type == "error":
            msg = (
                f"{where} shows an error, which readers would take for a broken lesson: "
                f"{output.ename}: {output.evalue}. If it is meant to fail, give the cell the "
                "tag raises-exception."
            )
            raise NotebookError(msg)


def _refuse_large(cell: NotebookNode, where: str) -> None:
    for output in cell.outputs:
        n_bytes = len(json.dumps(output).encode())
        if n_bytes > _LARGEST:
            kinds = ", ".join(output.get("data", {"text": ""}))
            msg = (
                f"{where} has an output of {n_bytes / 1000:,.0f} kB ({kinds}), and at most "
                f"{_LARGEST / 1000:.0f} kB are stored. Draw fewer or smaller pictures, show "
                "photographs as JPEG, or print less."
            )
            raise NotebookError(msg)
