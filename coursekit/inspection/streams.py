"""Statistics of values that come in parts, without keeping the values.

Nothing here knows of modules.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Statistics", "Stream"]

_MOST_WAITING = 64  # parts that wait on their device before they are read
_CHUNK = 65_536  # values: their sums, in float32, are exact to 6 digits


class Statistics(NamedTuple):
    """What is known of all values of an activation or a gradient.

    Parameters
    ----------
    n_values : int
        How many there were, over all passes.
    mean : float
    deviation : float
        Standard deviation of the values themselves (divided by their number).
    zero_share : float
        Share of values that are exactly zero.
    norm : float
        Euclidean length: the root of the sum of squares.
    """

    n_values: int
    mean: float
    deviation: float
    zero_share: float
    norm: float


class Stream:
    """Adds up parts; each costs one small tensor on its device until it is read."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Tensor]] = []
        self._n_values, self._n_zeros = 0, 0.0
        self._mean, self._squares = 0.0, 0.0  # squares of distances from the mean

    def add(self, values: Tensor) -> None:
        """Take in values of any shape."""
        if values.is_complex():
            values = torch.view_as_real(values)
        if values.numel():
            self._waiting.append((values.numel(), _summarize(values)))
        if len(self._waiting) >= _MOST_WAITING:
            self._read()

    def statistics(self) -> Statistics:
        """Return what is known of all values so far."""
        self._read()
        n_values = self._n_values
        if not n_values:
            return Statistics(0, math.nan, math.nan, math.nan, 0.0)
        return Statistics(
            n_values=n_values,
            mean=self._mean,
            deviation=math.sqrt(self._squares / n_values),
            zero_share=self._n_zeros / n_values,
            norm=math.sqrt(self._squares + n_values * self._mean**2),
        )

    def _read(self) -> None:
        """Merge what waits (Chan, Golub and LeVeque 1983: sums of squares by parts)."""
        for n_values, summary in self._waiting:
            mean, distance, n_nonzero = summary.tolist()
            total = self._n_values + n_values
            gap = mean - self._mean
            self._squares += distance**2 + gap**2 * self._n_values * n_values / total
            self._mean += gap * n_values / total
            self._n_zeros += n_values - n_nonzero
            self._n_values = total
        self._waiting.clear()


def _summarize(values: Tensor) -> Tensor:
    """Return mean, length of the distances from it, and count of nonzero values."""
    values = values.detach()
    if not values.is_floating_point() or values.dtype.itemsize < 4:
        values = values.float()
    mean = values.mean()
    # Parts that stay in the processor's cache; a GPU takes everything at once.
    parts = values.flatten().split(_CHUNK) if values.device.type == "cpu" else [values]
    lengths = torch.stack([torch.linalg.vector_norm(part - mean) for part in parts])
    n_nonzero = torch.stack([part.sign().abs_().sum() for part in parts])
    return torch.stack([mean, torch.linalg.vector_norm(lengths), n_nonzero.sum()])
