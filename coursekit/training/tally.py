"""Add up losses and metrics over the samples of an epoch.

Nothing here knows where the numbers come from. On an accelerator they are read only now
and then: reading a number makes the program wait for the device.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from coursekit.training.forward import BatchResult

__all__ = ["Tally"]


class Tally:
    """Sums over samples; a step is one batch, or several that were accumulated.

    Parameters
    ----------
    names : sequence of str
        The metrics.
    read_every : int
        Steps after which the numbers are read from the device.
    add_up : callable
        Sums a table of numbers over all processes.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        read_every: int,
        add_up: Callable[[list[list[float]]], list[list[float]]],
    ) -> None:
        self.names, self.read_every, self.add_up = ("loss", *names), read_every, add_up
        self.sums = [0.0] * len(self.names)
        self.n_samples = 0
        self.n_batches = 0
        self.n_steps = 0
        self.step_losses: list[float] = []
        self._waiting: list[Sequence[BatchResult]] = []

    def add_step(self, batches: Sequence[BatchResult]) -> None:
        """Count the batches of one step."""
        self.n_batches += len(batches)
        self.n_steps += 1
        self._waiting.append(batches)
        if len(self._waiting) >= self.read_every:
            self.read()

    def read(self) -> None:
        """Read the numbers that are still on the device."""
        steps, self._waiting = self._waiting, []
        values = iter(
            _as_floats([v for step in steps for batch in step for v in batch.values])
        )
        table = []
        for step in steps:
            row = [0.0] * (1 + len(self.names))
            for batch in step:
                row[0] += batch.n_samples
                row[1] += batch.n_samples * next(values)
                for column in range(2, len(row)):
                    row[column] += next(values)
            table.append(row)
        for n_samples, *sums in self.add_up(table):
            self.n_samples += int(n_samples)
            self.step_losses.append(sums[0] / n_samples)
            self.sums = [old + new for old, new in zip(self.sums, sums, strict=True)]

    def means(self) -> dict[str, float]:
        """Return the mean over all samples of the loss and of each metric."""
        self.read()
        return {
            name: total / self.n_samples
            for name, total in zip(self.names, self.sums, strict=True)
        }

    def first_not_finite(self) -> int | None:
        """Return the number (from 0) of the first step whose loss is NaN or infinite."""
        if math.isfinite(self.sums[0]):
            return None
        return next(i for i, loss in enumerate(self.step_losses) if not math.isfinite(loss))

    def state_dict(self) -> dict[str, Any]:
        """Return the sums so far, in plain numbers."""
        self.read()
        return {
            "sums": list(self.sums),
            "n_samples": self.n_samples,
            "n_batches": self.n_batches,
            "step_losses": list(self.step_losses),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.sums, self.n_samples = list(state["sums"]), state["n_samples"]
        self.n_batches, self.step_losses = state["n_batches"], list(state["step_losses"])
        self.n_steps = len(self.step_losses)


def _as_floats(values: list[Tensor]) -> list[float]:
    if not values or values[0].device.type == "cpu":
        return [value.item() for value in values]
    return torch.stack([value.float() for value in values]).tolist()
