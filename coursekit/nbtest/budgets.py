"""What notebooks cost, and by how much that is over what they may cost, as lines of text.

Nothing here measures: records go in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coursekit.errors import NotebookError

__all__ = ["Cost", "excesses", "format_budgets", "read_budget"]

_MIB = 2**20
_N_SLOWEST = 5


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What executing one notebook cost, and what it may cost.

    Parameters
    ----------
    name : str
        Of the notebook, as the summary shows it.
    seconds : float
        Wall time from the start of its kernel to the end.
    peak_bytes : int or None
        Largest resident memory of the kernel; None where it was not measured.
    cell_seconds : mapping of int to float
        Wall time of each code cell, by its number.
    budget_seconds : float or None
        What the notebook allows itself; None allows anything.
    budget_mib : float or None
        The same for the memory, in MiB.
    """

    name: str
    seconds: float
    peak_bytes: int | None = None
    cell_seconds: Mapping[int, float]
    budget_seconds: float | None = None
    budget_mib: float | None = None


def read_budget(metadata: Mapping[str, Any], *, where: str) -> dict[str, float | None]:
    """Return the budgets that a notebook's metadata declare.

    Parameters
    ----------
    metadata : mapping
        Of the notebook: ``{"coursekit": {"budget_seconds": 60, "budget_mib": 2000}}``.
    where : str
        The file, for the error.

    Returns
    -------
    dict
        `budget_seconds` and `budget_mib`, each a number or None, as `Cost` takes them.

    Raises
    ------
    NotebookError
        If one is not a positive number.

    Examples
    --------
    >>> read_budget({"coursekit": {"budget_seconds": 60}}, where="01.ipynb")
    {'budget_seconds': 60, 'budget_mib': None}
    """
    said = metadata.get("coursekit")
    said = said if isinstance(said, Mapping) else {}
    budgets = {name: said.get(name) for name in ("budget_seconds", "budget_mib")}
    for name, value in budgets.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (is_number and value > 0):
            msg = (
                f"{where}: {name} in the notebook's metadata is a positive number, got "
                f'{value!r}. Write for example "coursekit": {{"{name}": 60}}.'
            )
            raise NotebookError(msg)
    return budgets


def excesses(cost: Cost) -> list[str]:
    """Return a sentence for each budget that a notebook exceeds.

    Examples
    --------
    >>> excesses(Cost(name="01", seconds=75, cell_seconds={}, budget_seconds=60))
    ['01 took 75.0 s, 15.0 s (25%) over its budget of 60 s.']
    """
    over = []
    limit = cost.budget_seconds
    if limit is not None and cost.seconds > limit:
        excess = cost.seconds - limit
        over.append(
            f"{cost.name} took {cost.seconds:.1f} s, {excess:.1f} s ({excess / limit:.0%}) "
            f"over its budget of {limit:g} s."
        )
    limit = cost.budget_mib
    if limit is not None and cost.peak_bytes is not None and cost.peak_bytes > limit * _MIB:
        mib = cost.peak_bytes / _MIB
        excess = mib - limit
        over.append(
            f"{cost.name} used {mib:,.0f} MiB, {excess:,.0f} MiB ({excess / limit:.0%}) over "
            f"its budget of {limit:,g} MiB."
        )
    return over


def format_budgets(costs: Sequence[Cost]) -> list[str]:
    """Return the lines of the summary: a table, what is over budget, the slowest cells.

    Parameters
    ----------
    costs : sequence of Cost
        One a notebook.

    Returns
    -------
    list of str
        Empty without notebooks.
    """
    if not costs:
        return []
    head = ("notebook", "cells", "seconds", "peak memory", "budget")
    rows = [head, *(_row(cost) for cost in costs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = []
    for name, *numbers in rows:
        cells = [n.rjust(width) for n, width in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *cells]).rstrip())
    lines += [f"OVER BUDGET: {text}" for cost in costs for text in excesses(cost)]
    slowest = sorted(
        ((seconds, cost.name, cell) for cost in costs for cell, seconds in _cells(cost)),
        key=lambda item: -item[0],
    )[:_N_SLOWEST]
    if slowest:
        lines.append("slowest cells:")
        lines += [f"{s:8.1f} s  {name}, code cell {cell}" for s, name, cell in slowest]
    return lines


def _cells(cost: Cost) -> list[tuple[int, float]]:
    return list(cost.cell_seconds.items())


def _row(cost: Cost) -> tuple[str, ...]:
    peak = "not measured"
    if cost.peak_bytes is not None:
        peak = f"{cost.peak_bytes / _MIB:,.0f} MiB"
    limits = []
    if cost.budget_seconds is not None:
        limits.append(f"{cost.budget_seconds:g} s")
    if cost.budget_mib is not None:
        limits.append(f"{cost.budget_mib:,g} MiB")
    count, seconds = str(len(cost.cell_seconds)), f"{cost.seconds:.1f}"
    return cost.name, count, seconds, peak, ", ".join(limits) or "none"
