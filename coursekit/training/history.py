"""`History`: what a training has shown, epoch by epoch and step by step.

Nothing here knows how it was trained or how it is drawn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from coursekit.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["History"]


@dataclass(frozen=True, eq=False, kw_only=True)
class History:
    """The record of one training.

    Parameters
    ----------
    epochs : tuple of mappings of str to number
        One for each whole epoch: ``epoch`` (counted from 1), ``loss``, the metrics, the
        same over the validation data as ``val_...``, ``lr`` (of the epoch's last step, first
        parameter group) and ``seconds``. All but ``seconds`` are the same in every run.
    step_losses : ndarray of shape (n_steps,), float64
        The loss of each step, before that step.
    stopped : str
        Why training ended before the last epoch; empty if it did not. When somebody
        interrupted it, `step_losses` ends with the steps of the epoch that was not
        finished, and `epochs` does not show it.

    Examples
    --------
    >>> history = History().with_epoch({"epoch": 1, "loss": 2.0}, [3.0, 1.0])
    >>> history.step_losses
    array([3., 1.])
    """

    epochs: tuple[Mapping[str, float], ...] = ()
    step_losses: np.ndarray = field(default_factory=lambda: np.empty(0))
    stopped: str = ""

    def __len__(self) -> int:
        """Return the number of whole epochs."""
        return len(self.epochs)

    def __repr__(self) -> str:
        plural = "" if len(self) == 1 else "s"
        shown = f"{len(self)} epoch{plural}, {len(self.step_losses)} steps"
        if self.epochs:
            last = {
                k: v for k, v in self.epochs[-1].items() if k not in ("epoch", "seconds")
            }
            shown += ", last: " + ", ".join(
                f"{name} {value:.4g}" for name, value in last.items()
            )
        return f"History({shown}{'; ' + self.stopped if self.stopped else ''})"

    def with_epoch(self, row: Mapping[str, float], step_losses: Sequence[float]) -> Self:
        """Return a history that is one epoch longer."""
        return replace(self.with_steps(step_losses), epochs=(*self.epochs, dict(row)))

    def with_steps(self, step_losses: Sequence[float]) -> Self:
        """Return a history with the steps of an epoch that was not finished."""
        losses = np.concatenate(
            [self.step_losses, np.asarray(step_losses, dtype=np.float64)]
        )
        return replace(self, step_losses=losses)

    def column(self, name: str) -> list[float]:
        """Return the value of `name` in each epoch.

        Raises
        ------
        SettingsError
            If no epoch has it; the message lists what there is.
        """
        if self.epochs and name not in self.epochs[-1]:
            msg = f"The history has no {name!r}, only {', '.join(self.epochs[-1])}."
            raise SettingsError(msg)
        return [row[name] for row in self.epochs]

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row for each whole epoch."""
        import pandas as pd  # half a second, paid by those who want the table

        return pd.DataFrame([dict(row) for row in self.epochs])
