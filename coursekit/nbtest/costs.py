"""What notebooks cost, summed up from what their cells say.

What cells say travels through pytest's reports, from worker to worker too. Nothing here
measures or formats.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from coursekit.nbtest.budgets import Cost

__all__ = ["costs_of"]


def costs_of(said: Sequence[Mapping[str, Any]]) -> list[Cost]:
    """Return what each notebook cost, from what its cells say.

    Parameters
    ----------
    said : sequence of mapping
        One a cell that was executed: ``name``, ``cell``, ``seconds``, ``start_seconds`` of
        the kernel, ``peak_bytes`` so far, and the notebook's budgets.

    Returns
    -------
    list of Cost
        In the order of the notebooks' first cells.
    """
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for cell in said:
        by_name.setdefault(cell["name"], []).append(cell)
    costs = []
    for name, cells in by_name.items():
        peaks = [cell["peak_bytes"] for cell in cells if cell["peak_bytes"] is not None]
        cell_seconds = {cell["cell"]: cell["seconds"] for cell in cells}
        costs.append(
            Cost(
                name=name,
                seconds=cells[0]["start_seconds"] + sum(cell_seconds.values()),
                peak_bytes=max(peaks, default=None),
                cell_seconds=cell_seconds,
                budget_seconds=cells[0]["budget_seconds"],
                budget_mib=cells[0]["budget_mib"],
            )
        )
    return costs
