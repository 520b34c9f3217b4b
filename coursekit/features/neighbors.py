"""Nearest neighbors in an embedding space, exactly: search, votes and recall."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.features.embed import Embeddings

__all__ = ["classify_by_neighbors", "find_neighbors", "recall_at_k"]

Metric = Literal["cosine", "euclidean"]

_CHUNK = 512  # queries at once: 123 MB of cosines with 60,000 rows, and faster than 1024


class Neighbors(NamedTuple):
    """The answer of `find_neighbors`, one row a query, nearest first."""

    indices: Tensor
    """Rows of the bank, int64, of shape (n_queries, k)."""
    values: Tensor
    """Cosines from 1 downward or distances from 0 upward, float32, of the same shape."""


def find_neighbors(
    queries: Embeddings | Tensor,
    bank: Embeddings | Tensor,
    *,
    k: int,
    metric: Metric = "cosine",
) -> Neighbors:
    """Find the `k` rows of `bank` nearest to each row of `queries`.

    Parameters
    ----------
    queries : Embeddings or Tensor of shape (n_queries, n_features)
    bank : Embeddings or Tensor of shape (n_bank, n_features)
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
    if not 1 <= k <= len(bank):
        msg = f"k must be between 1 and the bank's {len(bank)} rows, got k={k}."
        raise SettingsError(msg)
    if metric not in ("cosine", "euclidean"):
        msg = f'metric must be "cosine" or "euclidean", got {metric!r}.'
        raise SettingsError(msg)
    if metric == "cosine":
        queries, bank = F.normalize(queries, dim=1), F.normalize(bank, dim=1)
    parts = []
    for chunk in queries.split(_CHUNK):  # the table of all pairs need not fit into memory
        if metric == "cosine":
            parts.append((chunk @ bank.T).topk(k, dim=1))
        else:
            # By differences: by a matrix product, which is faster, a row would be about
            # 1e-4 of its length away from itself, and not always its own first neighbor.
            exact = "donot_use_mm_for_euclid_dist"
            distances = torch.cdist(chunk, bank, compute_mode=exact)
            parts.append(distances.topk(k, dim=1, largest=False))
    values, indices = map(torch.cat, zip(*parts, strict=True))
    return Neighbors(indices, values)


@dataclass(frozen=True, eq=False)
class NeighborVotes:
    """What the neighbors of each sample vote for, with each k."""

    predictions: dict[int, Tensor]
    """For each k the class with most votes, int64 of shape (n_samples,)."""
    labels: Tensor | None
    """The true classes."""

    @property
    def accuracies(self) -> dict[int, float]:
        """The share of samples that are classified rightly, for each k."""
        if self.labels is None:
            msg = "Accuracy needs the true labels: give Embeddings with labels."
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
    train: Embeddings,
    test: Embeddings,
    *,
    k: int | Sequence[int] = 5,
    metric: Metric = "cosine",
) -> NeighborVotes:
    """Return the class for which most of the nearest training samples vote.

    Of classes with equally many votes, the one whose nearest voter is nearest wins.

    Parameters
    ----------
    train, test : Embeddings
        Labels of `test`, if any, are for the accuracy only.
    k : int or sequence of int, default=5
        Neighbors that vote. They are looked up once, for the largest.
    metric : {"cosine", "euclidean"}, default="cosine"

    Examples
    --------
    >>> rows = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> train = Embeddings(embeddings=rows, labels=torch.tensor([0, 0, 1]))
    >>> test = Embeddings(embeddings=torch.tensor([[0.1, 1.0]]))
    >>> classify_by_neighbors(train, test, k=[1, 3]).predictions
    {1: tensor([1]), 3: tensor([0])}
    """
    if train.labels is None:
        msg = "train needs labels: give Embeddings that have them."
        raise SettingsError(msg)
    ks = [k] if isinstance(k, int) else list(k)
    chosen = train.labels[find_neighbors(test, train, k=max(ks), metric=metric).indices]
    rows = torch.arange(len(chosen))
    votes = torch.zeros(len(chosen), int(train.labels.max()) + 1)
    nearest = torch.full(votes.shape, max(ks))  # the rank of each class's nearest voter
    predictions = {}
    for rank in range(max(ks)):
        votes[rows, chosen[:, rank]] += 1
        nearest[rows, chosen[:, rank]] = nearest[rows, chosen[:, rank]].clamp_max(rank)
        if rank + 1 in ks:
            leads = votes == votes.amax(dim=1, keepdim=True)
            predictions[rank + 1] = nearest.where(leads, max(ks) + 1).argmin(dim=1)
    return NeighborVotes({one: predictions[one] for one in ks}, test.labels)


def recall_at_k(queries: Tensor, bank: Tensor, *, k: Sequence[int]) -> dict[int, float]:
    """Return the share of queries that find their own row among the k most similar.

    Parameters
    ----------
    queries, bank : Tensor of shape (n_rows, n_features)
        Row i of one belongs to row i of the other: a text and its image, for example.
    k : sequence of int
        How far down to look.

    Examples
    --------
    >>> rows = torch.eye(3)
    >>> recall_at_k(rows, rows.roll(1, 0), k=(1, 3))
    {1: 0.0, 3: 1.0}
    """
    found = find_neighbors(queries, bank, k=max(k)).indices.cpu()
    hits = found == torch.arange(len(bank))[:, None]
    return {depth: hits[:, :depth].any(dim=1).float().mean().item() for depth in k}


def _as_matrix(values: Embeddings | Tensor, name: str) -> Tensor:
    """Return `values` as float32 of shape (n_rows, n_features), all of them finite."""
    matrix = getattr(values, "embeddings", values).detach().float()
    if matrix.ndim != 2:
        msg = (
            f"{name} must have shape (n_rows, n_features), got {tuple(matrix.shape)}. Flatten "
            "feature maps first: x.flatten(1); one row alone: x[None]."
        )
        raise ShapeError(msg)
    if not matrix.isfinite().all():
        msg = f"{name} must be finite, but NaN or infinity stands in it."
        raise DataError(msg)
    return matrix
