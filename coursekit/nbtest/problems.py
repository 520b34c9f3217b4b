"""One thing that is wrong with a notebook before it is even run.

Nothing here knows how problems are found.
"""

from dataclasses import dataclass

__all__ = ["Problem"]


@dataclass(frozen=True)
class Problem:
    """What is wrong, and where.

    Parameters
    ----------
    notebook : str
        Name of the file.
    cell : int or None
        Number of the cell, counted from 1 over all cells. None for the whole notebook.
    message : str
        The rule, what was found, and what to do.
    """

    notebook: str
    cell: int | None
    message: str

    def __str__(self) -> str:
        where = self.notebook if self.cell is None else f"{self.notebook}, cell {self.cell}"
        return f"{where}: {self.message}"
