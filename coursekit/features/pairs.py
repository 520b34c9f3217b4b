"""Measure chosen pairs of rows in float64, and keep the nearest of each query.

Nothing here knows how the pairs were chosen.
"""

import torch
from torch import Tensor
from torch.linalg import vecdot

from coursekit.features.inputs import Metric

__all__ = ["keep_nearest", "measure_pairs", "to_squared"]

_AT_ONCE = 1 << 16  # numbers: they stay in the processor's cache
_DIGITS = 2.0**44


def measure_pairs(
    queries: Tensor, bank: Tensor, rows: Tensor, columns: Tensor, metric: Metric
) -> Tensor:
    """Return the cosine or the distance of each pair, in float64, to 44 binary digits.

    So equal pairs have equal values, wherever they stand, and so have pairs that are equal
    but for the rounding of sums and roots.

    Parameters
    ----------
    queries, bank : Tensor of shape (n_rows, n_features), float32
    rows, columns : Tensor of shape (n_pairs,), int64
        Rows of `queries` and of `bank`.

    Returns
    -------
    Tensor of shape (n_pairs,), float64
    """
    wide = _wide(bank)
    queries = queries.to(wide)
    values = bank.new_empty(len(rows), dtype=wide)
    step = max(_AT_ONCE // bank.shape[1], 1)
    measure = _cosines if metric == "cosine" else _distances
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        left = queries.index_select(0, rows[part])
        values[part] = measure(left, bank.index_select(0, columns[part]).to(wide))
    return values


def to_squared(values: Tensor, metric: Metric) -> Tensor:
    """Return squared distances: under the cosine, those of rows brought to length 1."""
    return (2 - 2 * values).clamp_min(0) if metric == "cosine" else values.square()


def keep_nearest(
    rows: Tensor, columns: Tensor, values: Tensor, *, n_rows: int, k: int, metric: Metric
) -> tuple[Tensor, Tensor]:
    """Return the columns and values of the `k` nearest pairs of each row, nearest first.

    Parameters
    ----------
    rows, columns, values : Tensor of shape (n_pairs,)
        In the order of rows, and in each row of columns, at least `k` a row. Of equal values
        the first stays first.

    Returns
    -------
    tuple of two Tensor of shape (n_rows, k)
    """
    order = values.argsort(descending=metric == "cosine", stable=True)
    order = order[rows[order].argsort(stable=True)]
    counts = torch.bincount(rows, minlength=n_rows)
    starts = counts.cumsum(0) - counts
    kept = order[starts[:, None] + torch.arange(k, device=rows.device)]
    return columns[kept], values[kept]


def _cosines(left: Tensor, right: Tensor) -> Tensor:
    lengths = vecdot(left, left) * vecdot(right, right)
    cosines = vecdot(left, right).div_(lengths.sqrt_()).clamp_(-1, 1)
    return cosines.mul_(_DIGITS).round_().div_(_DIGITS).add_(0.0)  # no -0.0


def _distances(left: Tensor, right: Tensor) -> Tensor:
    between = right.sub_(left)
    fractions, exponents = torch.frexp(vecdot(between, between).sqrt_())
    return torch.ldexp(fractions.mul_(_DIGITS).round_().div_(_DIGITS), exponents)


def _wide(values: Tensor) -> torch.dtype:
    return torch.float32 if values.device.type == "mps" else torch.float64
