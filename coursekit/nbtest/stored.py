"""Whether what a notebook stores can be compared at all: it was run, in order, by this code.

Nothing here executes or compares outputs.
"""

from collections.abc import Sequence
from typing import NamedTuple

from nbformat import NotebookNode

from coursekit.nbtest.source_hash import is_stale, read_hash

__all__ = ["StoredCell", "find_stored_problems"]


class StoredCell(NamedTuple):
    """A code cell, and what its marks say."""

    cell: NotebookNode
    """As it is stored."""
    is_compared: bool
    """False if its outputs are ignored."""
    may_raise: bool
    """True if an error is expected."""


def find_stored_problems(cells: Sequence[StoredCell], *, is_lax: bool) -> dict[int, str]:
    """Return why the stored outputs of some cells cannot be right.

    In a notebook that carries hashes of its sources, which ``coursekit refresh`` writes,
    cells whose outputs are ignored are checked too: readers see them.

    Parameters
    ----------
    cells : sequence of StoredCell
        Every code cell of a notebook, but those that are skipped.
    is_lax : bool
        Whether only cells that ask for it are compared; only they are then checked.

    Returns
    -------
    dict of int to str
        Place in `cells` to one sentence.
    """
    has_hashes = any(read_hash(item.cell) for item in cells)
    problems: dict[int, str] = {}
    last = 0
    for place, item in enumerate(cells):
        is_checked = item.is_compared or (has_hashes and not is_lax)
        if not is_checked or not item.cell.source.strip():
            continue
        problem = _find_problem(item, last=last, has_hashes=has_hashes)
        if problem:
            problems[place] = problem
        last = max(last, item.cell.execution_count or 0)
    return problems


def _find_problem(item: StoredCell, *, last: int, has_hashes: bool) -> str | None:
    cell = item.cell
    count = cell.execution_count
    if count is None:
        return "The cell was never run: it has no execution count, so nothing is compared."
    if count <= last:
        return f"The cells were run out of order: In [{count}] stands below In [{last}]."
    if is_stale(cell):
        return "The stored outputs were made by another source than the cell has now."
    if has_hashes and not read_hash(cell) and "setup" not in cell.metadata.get("tags", ()):
        return "The cell has no hash of its source: it is newer than the stored outputs."
    error = next((out for out in cell.outputs if out.output_type == "error"), None)
    if error is not None and not item.may_raise:
        return (
            f"An error is stored that is not expected: {error.ename}: {error.evalue}. If the "
            "cell is meant to fail, give it the tag raises-exception."
        )
    return None
