"""Find nearest neighbors in an embedding space, exactly.

Nothing here knows about images or models: matrices of embeddings go in, indices and
similarities or distances come out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from coursekit.errors import SettingsError
from coursekit.features.bounds import (
    Screen,
    find_directions,
    make_screen,
    multiplies_exactly,
)
from coursekit.features.embeddings import Embeddings
from coursekit.features.inputs import Metric, as_matrix, check_k, check_metric, check_pair
from coursekit.features.pairs import keep_nearest, measure_pairs, to_squared

__all__ = ["Neighbors", "find_neighbors"]

_GROUP = 64  # rows of the bank whose least bound is looked at first
_N_KEPT = 247  # with the columns beside them 256
_MOST_LEFT = 0.04
_MOST_GROUPS = 1 << 14  # looked into at once


@dataclass(frozen=True, eq=False, kw_only=True)
class Neighbors:
    """The answer of a search, one row a query, nearest first.

    Parameters
    ----------
    indices : Tensor of shape (n_queries, k), int64
        Rows of the bank.
    values : Tensor of shape (n_queries, k), float32
        Cosines from 1 downward, or Euclidean distances from 0 upward.
    metric : {"cosine", "euclidean"}
        Which of them.
    """

    indices: Tensor
    values: Tensor
    metric: Metric

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.indices)

    def __repr__(self) -> str:
        n_queries, k = self.indices.shape
        return f"Neighbors({n_queries} queries, k={k}, {self.metric})"

    @property
    def similarities(self) -> Tensor:
        """The cosines, of shape (n_queries, k), if that was the metric."""
        return self._only("cosine", "distances")

    @property
    def distances(self) -> Tensor:
        """The Euclidean distances, of shape (n_queries, k), if that was the metric."""
        return self._only("euclidean", "similarities")

    def _only(self, metric: Metric, other: str) -> Tensor:
        if self.metric != metric:
            msg = (
                f'These neighbors were found with metric="{self.metric}": they have {other}. '
                f'Search with metric="{metric}" for the other.'
            )
            raise SettingsError(msg)
        return self.values


def find_neighbors(
    queries: Embeddings | Tensor | np.ndarray,
    bank: Embeddings | Tensor | np.ndarray,
    *,
    k: int,
    metric: Metric = "cosine",
    chunk_size: int = 256,
) -> Neighbors:
    """Find the `k` rows of `bank` nearest to each row of `queries`.

    The search is exact. Bounds of all distances, from one matrix product in the fastest
    type, leave a few rows for each query; those are measured in float64 [1]_.

    Parameters
    ----------
    queries : Embeddings, Tensor or ndarray of shape (n_queries, n_features)
        What is looked up. Computed with as float32.
    bank : Embeddings, Tensor or ndarray of shape (n_bank, n_features)
        What is searched, on the same device as `queries`.
    k : int
        Neighbors per query, with ``1 <= k <= n_bank``.
    metric : {"cosine", "euclidean"}, default="cosine"
        The cosine of the angle, to which the lengths of rows do not matter, or the length
        of the difference.
    chunk_size : int, default=256
        Queries per matrix product. Trades memory for speed; the answer is the same.

    Returns
    -------
    Neighbors
        ``indices`` and ``similarities`` (cosine) or ``distances`` (Euclidean), of shape
        (n_queries, k).

    Raises
    ------
    ShapeError
        If they are not matrices, or their numbers of features differ.
    DataError
        If rows hold NaN, infinity, or, under the cosine, zeros only.
    SettingsError
        If `k` is not between 1 and ``n_bank``, `metric` is unknown, `chunk_size` is below
        1, or the devices differ.

    Notes
    -----
    Of rows with equal values, compared in float64 to 13 digits, that with the lower index
    comes first. A query
    that is itself in `bank` is its own first neighbor, unless an equal row stands before it;
    drop column 0 for leave-one-out. The largest temporary holds ``4 * chunk_size * n_bank``
    bytes, half of that where the processor multiplies bfloat16. Rows crowded closer together
    than bounds can tell apart are all measured, which is slower.

    References
    ----------
    .. [1] Seidl and Kriegel, "Optimal Multi-Step k-Nearest Neighbor Search", SIGMOD 1998,
       sec. 4. https://doi.org/10.1145/276304.276319

    Examples
    --------
    >>> bank = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> find_neighbors(torch.tensor([[2.0, 0.1]]), bank, k=2).indices
    tensor([[0, 1]])
    """
    check_metric(metric)
    queries = as_matrix(queries, "queries", metric=metric)
    bank = as_matrix(bank, "bank", metric=metric)
    check_pair(queries, bank)
    check_k(k, len(bank))
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int) or chunk_size < 1:
        msg = f"chunk_size must be a whole number of at least 1, got {chunk_size!r}."
        raise SettingsError(msg)
    with torch.no_grad(), torch.autocast(queries.device.type, enabled=False):
        found = _find(queries, bank, k, metric, chunk_size)
    return Neighbors(indices=found[0], values=found[1].float(), metric=metric)


def _find(
    queries: Tensor, bank: Tensor, k: int, metric: Metric, chunk_size: int
) -> tuple[Tensor, Tensor]:
    if not len(queries):
        return torch.empty(0, k, dtype=torch.int64, device=bank.device), bank.new_empty(
            0, k
        )
    screens = _screens(queries, bank, metric)
    screen = next(screens)
    chunks = queries.tensor_split(-(-len(queries) // chunk_size))  # the longest first
    space = screen.make_space(len(chunks[0]))
    found = []
    for chunk in chunks:
        kept = _sift(chunk, bank, screen, space, k, metric)
        while kept.are_many(k) and (finer := next(screens, None)) is not None:
            screen, space = finer, finer.make_space(len(chunks[0]))
            kept = _sift(chunk, bank, screen, space, k, metric)
        found += _refine(chunk, bank, kept, k, metric)
    indices, values = zip(*found, strict=True)
    return torch.cat(indices), torch.cat(values)


def _screens(queries: Tensor, bank: Tensor, metric: Metric) -> Iterator[Screen]:
    """Give the fastest screen for these matrices, then those whose bounds are closer."""
    peak = max(float(limit.abs()) for rows in (queries, bank) for limit in rows.aminmax())
    is_unit = metric == "cosine"
    make = {"peak": peak, "is_unit": is_unit}
    is_large = len(queries) >= 64 and len(bank) >= 1024 and bank.shape[1] >= 64
    coarse = torch.bfloat16 if _has_fast_bfloat16(bank.device) else torch.float32
    is_wide = (
        len(queries) >= 6 * _N_KEPT and len(bank) >= 8192 and bank.shape[1] >= 2 * _N_KEPT
    )
    if is_wide and multiplies_exactly(bank.device):
        directions = find_directions(bank, _N_KEPT, most_left=_MOST_LEFT, **make)
        if directions is not None:
            yield make_screen(
                bank, dtype=coarse, directions=directions, multiple=_GROUP, **make
            )
    if is_large and coarse == torch.bfloat16:
        yield make_screen(bank, dtype=coarse, multiple=_GROUP, **make)
    yield make_screen(bank, dtype=torch.float32, multiple=_GROUP, **make)


class _Kept(NamedTuple):
    """What a screen leaves of a bank: groups of rows in which a neighbor may be."""

    bounds: Tensor  # (n_queries, n_groups, _GROUP)
    limits: Tensor  # (n_queries, 1)
    groups: Tensor  # (n_queries, n_groups), bool

    def are_many(self, k: int) -> bool:
        """Return whether a finer screen would pay."""
        return float(self.groups.sum(dim=1).float().mean()) > 64 + 8 * k

    def split(self) -> "tuple[_Kept, _Kept]":
        half = len(self.bounds) // 2
        return _Kept(*(part[:half] for part in self)), _Kept(
            *(part[half:] for part in self)
        )


def _sift(
    queries: Tensor, bank: Tensor, screen: Screen, space: Tensor, k: int, metric: Metric
) -> _Kept:
    """Measure k rows with small bounds: what is farther than all of them is no neighbor."""
    bounds = screen.bounds(queries, space).view(len(queries), -1, _GROUP)
    least = bounds.amin(dim=2)
    candidates = _least(bounds, least, k)
    rows = torch.arange(len(queries), device=bank.device).repeat_interleave(k)
    values = measure_pairs(queries, bank, rows, candidates.flatten(), metric)
    limits = screen.limits(to_squared(values, metric).view(-1, k).amax(dim=1))[:, None]
    return _Kept(bounds, limits, least <= limits)


def _least(bounds: Tensor, least: Tensor, k: int) -> Tensor:
    """Return the places of k small bounds a row: those in the groups with the least minima."""
    if k > least.shape[1]:
        return bounds.flatten(1).topk(k, dim=1, largest=False, sorted=False).indices
    groups = least.topk(k, dim=1, largest=False, sorted=False).indices
    rows = torch.arange(len(bounds), device=bounds.device)[:, None]
    within = bounds[rows, groups].flatten(1).topk(k, dim=1, largest=False, sorted=False)
    places = within.indices
    return groups.gather(1, places // _GROUP) * _GROUP + places % _GROUP


def _refine(
    queries: Tensor, bank: Tensor, kept: _Kept, k: int, metric: Metric
) -> Iterator[tuple[Tensor, Tensor]]:
    """Measure all rows whose bounds are within the limits, some queries at once."""
    if len(queries) > 1 and int(kept.groups.sum()) > _MOST_GROUPS:
        half = len(queries) // 2
        first, second = kept.split()
        yield from _refine(queries[:half], bank, first, k, metric)
        yield from _refine(queries[half:], bank, second, k, metric)
        return
    rows, groups = kept.groups.nonzero(as_tuple=True)
    hits, within = (kept.bounds[rows, groups] <= kept.limits[rows]).nonzero(as_tuple=True)
    rows, columns = rows[hits], groups[hits] * _GROUP + within
    values = measure_pairs(queries, bank, rows, columns, metric)
    yield keep_nearest(rows, columns, values, n_rows=len(queries), k=k, metric=metric)


def _has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether a processor multiplies matrices of bfloat16 faster than of float32."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)
