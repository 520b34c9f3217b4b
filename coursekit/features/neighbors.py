"""Nearest neighbors in an embedding space, exactly: search, votes and recall."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.features.embed import Embeddings

__all__ = [
    "NeighborVotes",
    "Neighbors",
    "classify_by_neighbors",
    "find_neighbors",
    "recall_at_k",
]

Metric = Literal["cosine", "euclidean"]
Rows = Embeddings | Tensor | np.ndarray

_CHUNK = 512  # queries at once: 123 MB of cosines with 60,000 rows, and faster than 1024


class Neighbors(NamedTuple):
    """The answer of `find_neighbors`, one row a query, nearest first."""

    indices: Tensor
    """Rows of the bank, int64, of shape (n_queries, k)."""
    values: Tensor
    """Cosines from 1 downward or distances from 0 upward, float32, of the same shape."""


def find_neighbors(
    queries: Rows, bank: Rows, *, k: int, metric: Metric = "cosine"
) -> Neighbors:
    """Find the `k` rows of `bank` nearest to each row of `queries`.

    Parameters
    ----------
    queries : Embeddings, Tensor or ndarray of shape (n_queries, n_features)
    bank : Embeddings, Tensor or ndarray of shape (n_bank, n_features)
    k : int
        From 1 to ``n_bank``. A query that is itself in the bank is its own first neighbor.
    metric : {"cosine", "euclidean"}, default="cosine"

    Examples
    --------
    >>> bank = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> find_neighbors(torch.tensor([[2.0, 0.1]]), bank, k=2).indices
    tensor([[0, 1]])
    """
    queries, bank = _as_matrix(queries, "queries"), _as_matrix(bank, "bank")
    if queries.shape[1] != bank.shape[1]:
        msg = (
            "queries and bank must have the same number of features, got "
            f"{tuple(queries.shape)} and {tuple(bank.shape)}."
        )
        raise ShapeError(msg)
    if not 1 <= k <= len(bank):
        msg = f"k must be between 1 and the bank's {len(bank)} rows, got k={k}."
        raise SettingsError(msg)
    if metric not in ("cosine", "euclidean"):
        msg = f'metric must be "cosine" or "euclidean", got {metric!r}.'
        raise SettingsError(msg)
    if metric == "cosine":
        queries, bank = F.normalize(queries, dim=1), F.normalize(bank, dim=1)
    indices, values = [], []
    for chunk in queries.split(_CHUNK):  # the table of all pairs need not fit into memory
        if metric == "cosine":
            nearest = (chunk @ bank.T).topk(k, dim=1)
        else:
            # By differences: by a matrix product, which is faster, a row would be about
            # 1e-4 of its length away from itself, and not always its own first neighbor.
            exact = "donot_use_mm_for_euclid_dist"
            nearest = torch.cdist(chunk, bank, compute_mode=exact).topk(
                k, dim=1, largest=False
            )
        indices.append(nearest.indices)
        values.append(nearest.values)
    return Neighbors(torch.cat(indices), torch.cat(values))


@dataclass(frozen=True, eq=False, kw_only=True)
class NeighborVotes:
    """What the neighbors of each sample vote for, with each k.

    Parameters
    ----------
    predictions : dict of int to Tensor of shape (n_samples,), int64
        For each k the class with most votes.
    labels : Tensor of shape (n_samples,), int64, optional
        The true classes.
    """

    predictions: dict[int, Tensor]
    labels: Tensor | None

    @property
    def accuracies(self) -> dict[int, float]:
        """The share of samples that are classified rightly, for each k."""
        if self.labels is None:
            msg = "Accuracy needs the true labels: give Embeddings with labels, or (X, y)."
            raise SettingsError(msg)
        return {
            k: (found == self.labels).double().mean().item()
            for k, found in self.predictions.items()
        }

    @property
    def accuracy(self) -> float:
        """The accuracy, if there is one k."""
        (only,) = self.accuracies.values()
        return only


def classify_by_neighbors(
    train: Embeddings | tuple[Tensor, Tensor],
    test: Embeddings | tuple[Tensor, Tensor] | Tensor,
    *,
    k: int | Sequence[int] = 5,
    metric: Metric = "cosine",
) -> NeighborVotes:
    """Return the class for which most of the nearest training samples vote.

    Of classes with equally many votes, the one whose nearest voter is nearest wins.

    Parameters
    ----------
    train : Embeddings, or (X, y)
        X of shape (n_train, n_features), y of shape (n_train,).
    test : Embeddings, (X, y) or Tensor of shape (n_samples, n_features)
        Labels, if any, are for the accuracy only.
    k : int or sequence of int, default=5
        Neighbors that vote. They are looked up once, for the largest.
    metric : {"cosine", "euclidean"}, default="cosine"

    Examples
    --------
    >>> train = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]), torch.tensor([0, 0, 1])
    >>> classify_by_neighbors(train, torch.tensor([[0.1, 1.0]]), k=[1, 3]).predictions
    {1: tensor([1]), 3: tensor([0])}
    """
    bank, classes = split_labels(train)
    queries, labels = split_labels(test)
    if classes is None:
        msg = "train needs labels: give Embeddings that have them, or a pair (X, y)."
        raise SettingsError(msg)
    ks = [k] if isinstance(k, int) else list(k)
    found = find_neighbors(queries, bank, k=max(ks), metric=metric).indices.cpu()
    chosen = classes[found]  # (n_samples, k)
    rows = torch.arange(len(chosen))
    votes = torch.zeros(len(chosen), int(classes.max()) + 1)
    nearest = torch.full(votes.shape, max(ks))  # the rank of each class's nearest voter
    predictions = {}
    for rank in range(max(ks)):
        votes[rows, chosen[:, rank]] += 1
        nearest[rows, chosen[:, rank]] = nearest[rows, chosen[:, rank]].clamp_max(rank)
        if rank + 1 in ks:
            leads = votes == votes.amax(dim=1, keepdim=True)
            predictions[rank + 1] = nearest.where(leads, max(ks) + 1).argmin(dim=1)
    return NeighborVotes(predictions={one: predictions[one] for one in ks}, labels=labels)


def recall_at_k(
    queries: Rows, bank: Rows, *, k: Sequence[int] = (1, 5)
) -> dict[int, float]:
    """Return the share of queries that find their own row among the k most similar.

    Parameters
    ----------
    queries, bank : Embeddings or Tensor of shape (n_rows, n_features)
        Row i of one belongs to row i of the other: a text and its image, for example.
    k : sequence of int, default=(1, 5)
        How far down to look.

    Examples
    --------
    >>> rows = torch.eye(3)
    >>> recall_at_k(rows, rows.roll(1, 0), k=(1, 3))
    {1: 0.0, 3: 1.0}
    """
    if len(queries) != len(bank):
        msg = (
            "Row i of queries belongs to row i of bank, so both must be as many, got "
            f"{len(queries)} and {len(bank)}."
        )
        raise ShapeError(msg)
    found = find_neighbors(queries, bank, k=max(k)).indices.cpu()
    hits = found == torch.arange(len(found))[:, None]
    return {depth: hits[:, :depth].any(dim=1).float().mean().item() for depth in k}


def split_labels(
    data: Embeddings | tuple[Tensor, Tensor] | Tensor,
) -> tuple[Tensor, Tensor | None]:
    """Return rows and labels, on the CPU, of Embeddings, of a pair (X, y), or of X alone."""
    if not isinstance(data, Embeddings):
        X, y = data if isinstance(data, tuple) else (data, None)
        data = Embeddings(embeddings=_as_matrix(X, "X"), labels=y)
    if data.labels is not None and len(data) and data.labels.min() < 0:
        msg = f"Labels must be class numbers from 0 upward, got {int(data.labels.min())}."
        raise DataError(msg)
    return data.embeddings, data.labels


def _as_matrix(values: Rows, name: str) -> Tensor:
    """Return `values` as float32 of shape (n_rows, n_features), all of them finite."""
    values = values.embeddings if isinstance(values, Embeddings) else values
    matrix = torch.as_tensor(values).detach().float()
    if matrix.ndim != 2:
        msg = (
            f"{name} must have shape (n_rows, n_features), got {tuple(matrix.shape)}. Flatten "
            "feature maps first: x.flatten(1); one row alone: x[None]."
        )
        raise ShapeError(msg)
    bad = (~matrix.isfinite()).any(dim=1).nonzero().flatten().tolist()
    if bad:
        msg = f"{name} must be finite, but NaN or infinity stands in row {bad[0]}."
        raise DataError(msg)
    return matrix
