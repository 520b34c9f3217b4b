"""What every comparison of a stored with a fresh output gives back when they differ.

Nothing here knows how outputs are compared.
"""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Difference"]


@dataclass(frozen=True)
class Difference:
    """One way in which a fresh output is not the stored one.

    Parameters
    ----------
    message : str
        For a person, one line or several: what differs, by how much, and what would have
        been allowed.
    picture : Path or None
        The file that shows stored, fresh and their difference side by side.
    """

    message: str
    picture: Path | None = None

    def __str__(self) -> str:
        if self.picture is None:
            return self.message
        return f"{self.message}\nSide by side: {self.picture}"
