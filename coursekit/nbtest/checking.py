"""Whether an executed notebook shows what is stored: the comparison of all its cells.

Nothing here executes, and nothing knows of pytest or terminals.
"""

from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

from coursekit.nbtest.difference import Difference
from coursekit.nbtest.directives import read_directives
from coursekit.nbtest.execution import NotebookRun
from coursekit.nbtest.marks import Marks, read_marks
from coursekit.nbtest.outputs import compare_outputs
from coursekit.nbtest.stored import StoredCell, find_stored_problems

__all__ = ["check_directives", "code_cells", "compare_cell", "compare_run"]


def compare_run(
    stored: NotebookNode, run: NotebookRun, *, folder: Path, name: str
) -> dict[int, list[Difference]]:
    """Return how the cells of an executed notebook differ from what is stored.

    Parameters
    ----------
    stored : NotebookNode
        The notebook as it was before it was executed.
    run : NotebookRun
        Its execution. Cells that did not come to their end are not compared.
    folder : Path
        For the pictures that show how figures differ.
    name : str
        Of the notebook, in messages and in the names of these pictures.

    Returns
    -------
    dict of int to list of Difference
        By the number of the code cell, counted from 1 among those with code. Empty when all
        agrees. A cell that was never run, or was changed since, cannot agree.

    Raises
    ------
    NotebookError
        If a directive of a cell is not understood.
    """
    found = {
        number: [Difference(problem)] for number, problem in _find_problems(stored).items()
    }
    pairs = zip(code_cells(stored), code_cells(run.notebook), strict=True)
    for number, (before, after) in enumerate(pairs, start=1):
        if number > run.n_done:
            found.pop(number, None)
        elif number not in found and read_marks(before).is_compared:
            where = f"{name}, code cell {number}"
            differences = compare_cell(before, after, folder=folder, where=where)
            if differences:
                found[number] = differences
    return dict(sorted(found.items()))


def compare_cell(
    stored: NotebookNode, fresh: NotebookNode, *, folder: Path, where: str
) -> list[Difference]:
    """Return how the outputs of one cell differ, by its own directives."""
    return compare_outputs(
        stored.outputs,
        fresh.outputs,
        read_directives(stored, where=where),
        folder=folder,
        name=where,
    )


def check_directives(notebook: NotebookNode, *, name: str) -> None:
    """Read the directives of every cell, so that a typo is told before anything runs.

    Raises
    ------
    NotebookError
        If one is not understood; the message names the cell and the words that are allowed.
    """
    for number, cell in enumerate(code_cells(notebook), start=1):
        read_directives(cell, where=f"{name}, code cell {number}")


def code_cells(notebook: NotebookNode) -> Iterator[NotebookNode]:
    """Yield the cells that are executed."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.strip():
            yield cell


def _find_problems(notebook: NotebookNode) -> dict[int, str]:
    """Return what is wrong with stored cells, by their number counted from 1."""
    marks = [(cell, read_marks(cell)) for cell in code_cells(notebook)]
    cells = [_as_stored(cell, said) for cell, said in marks]
    problems = find_stored_problems(cells, is_lax=False)
    return {place + 1: problem for place, problem in problems.items()}


def _as_stored(cell: NotebookNode, said: Marks) -> StoredCell:
    return StoredCell(cell, said.is_compared and not said.is_skipped, said.may_raise)
