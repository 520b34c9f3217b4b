"""One progress bar for a whole training.

Nothing here knows about models or losses: numbers come in, a line is drawn.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from tqdm.auto import tqdm

__all__ = ["Progress"]


class Progress:
    """A bar over all batches of all epochs, or nothing.

    Parameters
    ----------
    n_epochs : int
    n_batches : int or None
        Batches an epoch; None if that is not known.
    shown : bool
        Whether there is a bar.
    """

    def __init__(self, n_epochs: int, n_batches: int | None, *, shown: bool) -> None:
        total = None if n_batches is None else n_epochs * n_batches
        self.n_epochs, self.n_batches = n_epochs, n_batches
        self.bar = tqdm(total=total, unit="batch", desc="training") if shown else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.close()

    def begin_epoch(self, epoch: int, *, n_done: int) -> None:
        """Say which epoch it is; `n_done` of its batches are done already."""
        if self.bar is not None:
            self.bar.set_description_str(f"epoch {epoch}/{self.n_epochs}", refresh=False)
            if self.n_batches is not None:
                self.bar.n = (epoch - 1) * self.n_batches + n_done

    def advance(self, n_batches: int) -> None:
        """Count batches; the line is redrawn at most ten times a second."""
        if self.bar is not None:
            self.bar.update(n_batches)

    def show(self, row: Mapping[str, float]) -> None:
        """Show the numbers of an epoch that has ended."""
        if self.bar is not None:
            hidden = ("epoch", "lr", "seconds")
            values = {name: f"{v:.4g}" for name, v in row.items() if name not in hidden}
            self.bar.set_postfix(values, refresh=True)
