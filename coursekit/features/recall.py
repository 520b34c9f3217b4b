"""Measure how much of the truth a search finds.

Nothing here knows how it searched.
"""

import torch
from torch import Tensor

from coursekit.errors import SettingsError, ShapeError
from coursekit.features.neighbors import Neighbors, find_neighbors
from coursekit.features.pairs import measure_pairs

__all__ = ["measure_recall"]


def measure_recall(
    queries: Tensor, bank: Tensor, found: Neighbors, *, exact: Neighbors | None = None
) -> float:
    """Return the part of the true neighbors that is among those found.

    A row as near as the last true neighbor counts as one.

    Parameters
    ----------
    queries, bank : Tensor of shape (n_rows, n_features), float32
    found : Neighbors
        What a search found for these queries.
    exact : Neighbors, optional
        The truth, if it is known.

    Raises
    ------
    SettingsError
        If there is no query.
    ShapeError
        If `exact` has other numbers of queries or neighbors.
    """
    n_queries, k = found.indices.shape
    if not n_queries:
        msg = "Recall is a part of what queries should find, got no query."
        raise SettingsError(msg)
    if exact is None:
        exact = find_neighbors(queries, bank, k=k, metric=found.metric)
    if exact.indices.shape != found.indices.shape or exact.metric != found.metric:
        msg = f"exact must be of the same queries, k and metric: {found!r}, got {exact!r}."
        raise ShapeError(msg)
    rows = torch.arange(n_queries).repeat_interleave(k)
    truth, values = (
        measure_pairs(queries, bank, rows, one.indices.flatten(), found.metric)
        for one in (exact, found)
    )
    last = truth.view(n_queries, k)[:, -1:]
    near = values.view(n_queries, k)
    hits = near >= last if found.metric == "cosine" else near <= last
    return float(hits.double().mean())
