"""Classify by the votes of nearest neighbors, for one k or for many at once.

Nothing here knows how neighbors are found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import torch
from torch import Tensor

from coursekit.errors import SettingsError
from coursekit.features.embeddings import Embeddings
from coursekit.features.inputs import Metric, as_labeled, check_k, count_classes
from coursekit.features.neighbors import Neighbors, find_neighbors

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NeighborVotes", "classify_by_neighbors"]

Weights = Literal["uniform", "similarity"]
_TEMPERATURE = 0.07


@dataclass(frozen=True, eq=False, kw_only=True)
class NeighborVotes:
    """What the neighbors of each sample vote for, with each k.

    Parameters
    ----------
    ks : tuple of int
        The numbers of neighbors.
    all_predictions : Tensor of shape (n_ks, n_samples), int64
        The class with most votes.
    all_votes : Tensor of shape (n_ks, n_samples, n_classes), float32
        The part of the votes that each class has.
    labels : Tensor of shape (n_samples,), int64, optional
        The true classes.
    neighbors : Neighbors
        Those of the largest k.
    """

    ks: tuple[int, ...]
    all_predictions: Tensor
    all_votes: Tensor
    labels: Tensor | None
    neighbors: Neighbors

    def __repr__(self) -> str:
        shown = f"k={self.ks[0]}" if len(self.ks) == 1 else f"{len(self.ks)} values of k"
        if self.labels is not None and len(self.ks) == 1:
            shown += f", accuracy {self.accuracy:.3f}"
        return f"NeighborVotes({self.all_votes.shape[1]} samples, {shown})"

    @property
    def predictions(self) -> Tensor:
        """The class of each sample, of shape (n_samples,), if there is one k."""
        return self.all_predictions[self._only()]

    @property
    def probabilities(self) -> Tensor:
        """The part of the votes, of shape (n_samples, n_classes), if there is one k."""
        return self.all_votes[self._only()]

    @property
    def accuracy(self) -> float:
        """The part of the samples that is classified rightly, if there is one k."""
        return self.accuracies[self.ks[self._only()]]

    @property
    def accuracies(self) -> Mapping[int, float]:
        """The accuracy with each k."""
        if self.labels is None:
            msg = "Accuracy needs the true labels: give Embeddings with labels, or (X, y)."
            raise SettingsError(msg)
        right = (self.all_predictions == self.labels).double().mean(dim=1)
        return dict(zip(self.ks, right.tolist(), strict=True))

    def at(self, k: int) -> Self:
        """Return the votes with one k.

        Parameters
        ----------
        k : int
            One of `ks`.

        Returns
        -------
        NeighborVotes

        Raises
        ------
        SettingsError
            If there are no votes with this k.
        """
        if k not in self.ks:
            msg = f"There are votes with k in {list(self.ks)}, got k={k!r}."
            raise SettingsError(msg)
        row = self.ks.index(k)
        return type(self)(
            ks=(k,),
            all_predictions=self.all_predictions[row : row + 1],
            all_votes=self.all_votes[row : row + 1],
            labels=self.labels,
            neighbors=Neighbors(
                indices=self.neighbors.indices[:, :k],
                values=self.neighbors.values[:, :k],
                metric=self.neighbors.metric,
            ),
        )

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row for each k, and its accuracy."""
        import pandas as pd  # half a second, paid by those who want the table

        accuracies = self.accuracies
        return pd.DataFrame({"k": list(accuracies), "accuracy": list(accuracies.values())})

    def _only(self) -> int:
        if len(self.ks) > 1:
            msg = f"There are votes with {len(self.ks)} values of k: choose one, .at({self.ks[0]})."
            raise SettingsError(msg)
        return 0


def classify_by_neighbors(
    train: Embeddings | tuple[Tensor, Tensor],
    test: Embeddings | tuple[Tensor, Tensor] | Tensor,
    *,
    k: int | Sequence[int] = 5,
    metric: Metric = "cosine",
    weights: Weights = "uniform",
    n_classes: int | None = None,
) -> NeighborVotes:
    """Return the class for which most of the nearest training samples vote.

    Neighbors are looked up once, for the largest k; each smaller one takes the first of them.

    Parameters
    ----------
    train : Embeddings, or (X, y)
        Samples with their classes. X of shape (n_train, n_features), y of shape (n_train,).
    test : Embeddings, (X, y) or Tensor of shape (n_samples, n_features)
        Samples to classify. Their labels, if any, are for the accuracy only.
    k : int or sequence of int, default=5
        Neighbors that vote.
    metric : {"cosine", "euclidean"}, default="cosine"
        What near means.
    weights : {"uniform", "similarity"}, default="uniform"
        Whether a vote counts 1, or, under the cosine, ``exp(cosine / 0.07)`` [1]_ and,
        under the Euclidean distance, its inverse (where distances are 0, only those count).
    n_classes : int, optional
        The number of classes, if it is not to be read from `train`.

    Returns
    -------
    NeighborVotes

    Raises
    ------
    ShapeError
        If shapes do not fit together.
    DataError
        If rows are not finite, or zero under the cosine, or labels are no class numbers.
    SettingsError
        If a k is out of range or given twice, there are no labels, or a name is unknown.

    Notes
    -----
    Of classes with equally many votes, the one whose nearest voter is nearest wins.

    References
    ----------
    .. [1] Wu, Xiong, Yu and Lin, "Unsupervised Feature Learning via Non-Parametric
       Instance Discrimination", CVPR 2018, sec. 3.4. https://arxiv.org/abs/1805.01978

    Examples
    --------
    >>> train = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]), torch.tensor([0, 0, 1])
    >>> votes = classify_by_neighbors(train, torch.tensor([[1.0, 0.2]]), k=[1, 3])
    >>> votes.at(3).probabilities
    tensor([[0.6667, 0.3333]])
    """
    if weights not in ("uniform", "similarity"):
        msg = f'weights must be "uniform" or "similarity", got {weights!r}.'
        raise SettingsError(msg)
    bank, classes, names = as_labeled(train, "train", metric=metric, needs_labels=True)
    queries, labels, _ = as_labeled(test, "test", metric=metric)
    ks = _as_ks(k, len(bank))
    n_classes = count_classes(n_classes, names, classes)
    found = find_neighbors(queries, bank, k=max(ks), metric=metric)
    votes, predictions = _vote(found, classes, ks, weights, n_classes)
    return NeighborVotes(
        ks=ks, all_predictions=predictions, all_votes=votes, labels=labels, neighbors=found
    )


def _as_ks(k: int | Sequence[int], n_bank: int) -> tuple[int, ...]:
    ks = tuple(k) if isinstance(k, Sequence | np.ndarray | range) else (k,)
    for one in ks:
        check_k(one, n_bank)
    if not ks or len(set(ks)) < len(ks):
        msg = f"Give one k or different ones, got {list(ks)}."
        raise SettingsError(msg)
    return tuple(int(one) for one in ks)


def _vote(
    found: Neighbors, classes: Tensor, ks: tuple[int, ...], weights: Weights, n_classes: int
) -> tuple[Tensor, Tensor]:
    chosen = classes[found.indices.cpu()]  # (n_samples, k)
    worth = _weigh(found, weights).cpu()
    n_samples, most = chosen.shape
    votes = torch.zeros(len(ks), n_samples, n_classes)
    predictions = torch.empty(len(ks), n_samples, dtype=torch.int64)
    sums = torch.zeros(n_samples, n_classes, dtype=torch.float64)
    first = torch.full((n_samples, n_classes), most)  # rank of a class's nearest voter
    rows = torch.arange(n_samples)
    for rank in range(most):
        column = chosen[:, rank]
        sums[rows, column] += worth[:, rank]
        first[rows, column] = first[rows, column].clamp_max(rank)
        if rank + 1 in ks:
            at = ks.index(rank + 1)
            votes[at] = sums / sums.sum(dim=1, keepdim=True)
            leads = sums >= sums.amax(dim=1, keepdim=True) * (1 - 1e-12)
            predictions[at] = first.where(leads, torch.tensor(most + 1)).argmin(dim=1)
    return votes, predictions


def _weigh(found: Neighbors, weights: Weights) -> Tensor:
    values = found.values.double()
    if weights == "uniform":
        return torch.ones_like(values)
    if found.metric == "cosine":
        return ((values - values[:, :1]) / _TEMPERATURE).exp()
    same = values == 0
    return torch.where(same.any(dim=1, keepdim=True), same.double(), 1 / values)
