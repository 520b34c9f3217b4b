"""What embeddings are good for: nearest neighbors, their votes, a linear probe, a head."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from coursekit.datasets import make_loader
from coursekit.errors import DataError, SettingsError
from coursekit.features.embed import Embeddings
from coursekit.seeds import seeded
from coursekit.training import Trainer, TrainSettings

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


class NeighborVotes(NamedTuple):
    """What the neighbors of each sample vote for, with each k."""

    predictions: dict[int, Tensor]
    """For each k the class with most votes, int64 of shape (n_samples,)."""
    accuracies: dict[int, float]
    """For each k the share of samples that is classified rightly, if their labels are known."""

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
    _need_labels(train)
    ks = [k] if isinstance(k, int) else list(k)
    chosen = train.labels[find_neighbors(test, train, k=max(ks), metric=metric).indices]
    table = len(chosen), int(train.labels.max()) + 1
    ranks = torch.arange(max(ks)).expand_as(chosen)
    # Of each class's nearest voter; the largest where none votes.
    nearest = torch.full(table, max(ks)).scatter_reduce(1, chosen, ranks, "amin")
    predictions, accuracies = {}, {}
    for one in ks:
        votes = torch.zeros(table).scatter_add(
            1, chosen[:, :one], torch.ones(len(chosen), one)
        )
        leads = votes == votes.amax(dim=1, keepdim=True)
        predictions[one] = nearest.where(leads, max(ks) + 1).argmin(dim=1)
        if test.labels is not None:
            accuracies[one] = (predictions[one] == test.labels).double().mean().item()
    return NeighborVotes(predictions, accuracies)


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


class LinearProbe(NamedTuple):
    """What `linear_probe` read from test embeddings."""

    predictions: np.ndarray
    """Classes, of shape (n_test,)."""
    accuracy: float
    """The share of test samples that is classified rightly."""


def linear_probe(train: Embeddings, test: Embeddings) -> LinearProbe:
    """Return what the best linear classifier of `train` says of `test`; both have labels.

    It is scikit-learn's ridge regression of the classes on standardized features. The
    regularization is the one under which most training samples are predicted rightly from
    all others, which is known in closed form: no randomness, no validation set.

    Examples
    --------
    >>> X = torch.tensor([[0.0, 1.0], [0.2, 3.0], [1.0, 2.0], [0.9, 0.0]])
    >>> both = Embeddings(embeddings=X, labels=torch.tensor([0, 0, 1, 1]))
    >>> linear_probe(both, both).accuracy
    1.0
    """
    from sklearn.linear_model import RidgeClassifierCV  # a second, for those who probe
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    _need_labels(train, test)
    # A sample that is alone in its class cannot be predicted from the others: if all are,
    # every accuracy is 0, and the squared error (scikit-learn's default) has to decide.
    scoring = "accuracy" if train.labels.bincount().max() > 1 else None
    ridge = RidgeClassifierCV(np.logspace(-2, 6, 17), scoring=scoring)
    probe = make_pipeline(StandardScaler(), ridge)
    probe.fit(train.embeddings.double().numpy(), train.labels.numpy())
    predictions = probe.predict(test.embeddings.double().numpy())
    right = float((predictions == test.labels.numpy()).mean())
    return LinearProbe(predictions, right)


def fit_head(train: Embeddings, *, n_epochs: int = 20, seed: int) -> nn.Linear:
    """Return a linear head that was trained on embeddings, as on a frozen backbone.

    As the backbone is frozen, each image has one embedding, whatever the epoch. So it is
    computed once, and an epoch takes milliseconds. The head can stand where that of the
    backbone stood, see `put_head`.

    Parameters
    ----------
    train : Embeddings
        With labels.
    n_epochs : int, default=20
    seed : int
        Decides the first weights and the order.

    Examples
    --------
    >>> train = Embeddings(embeddings=torch.eye(4), labels=torch.arange(4) % 2)
    >>> fit_head(train, n_epochs=200, seed=0)(train.embeddings).argmax(dim=1)
    tensor([0, 1, 0, 1])
    """
    _need_labels(train)
    batch_size = min(64, max(4, len(train) // 16))  # 16 steps an epoch, of few samples too
    n_steps = n_epochs * -(-len(train) // batch_size)
    n_rising = max(1, n_steps // 4)

    def share_of_rate(step: int) -> float:
        falling = max(0, step - n_rising) / max(1, n_steps - n_rising)
        return min(1.0, (step + 1) / n_rising) * (1 + math.cos(math.pi * falling)) / 2

    rows = train.embeddings.double()
    mean = rows.mean(dim=0)
    deviation = (rows - mean).square().mean(dim=0).sqrt()
    deviation[deviation <= 1e-6 * mean.abs()] = 1.0  # that of a constant feature
    rows = (train.embeddings - mean.float()) / deviation.float()
    with seeded(seed, "head"):
        head = nn.Linear(train.n_features, train.n_classes)
        # The decay is strong because features are many and labels few; weights of
        # standardized features are of one size, so that it is fair to all of them.
        optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=0.1)
        trainer = Trainer(
            head,
            optimizer=optimizer,
            scheduler=torch.optim.lr_scheduler.LambdaLR(optimizer, share_of_rate),
            settings=TrainSettings(scheduler_every="step", progress_bar=False),
            device="cpu",  # where so small a network is fastest
        )
        loader = make_loader(
            (rows, train.labels), batch_size=batch_size, shuffle=True, seed=seed
        )
        trainer.fit(loader, n_epochs=n_epochs)
    with torch.no_grad():  # it shall give for features what it gave for standardized ones
        weight = head.weight.double() / deviation
        head.bias.copy_(head.bias.double() - weight @ mean)
        head.weight.copy_(weight)
    return head.eval()


def _as_matrix(values: Embeddings | Tensor, name: str) -> Tensor:
    """Return `values` as float32 of shape (n_rows, n_features), all of them finite."""
    matrix = getattr(values, "embeddings", values).detach().float()
    if matrix.ndim != 2 or not matrix.isfinite().all():
        msg = (
            f"{name} must have shape (n_rows, n_features), got {tuple(matrix.shape)}, and be "
            "finite. Flatten feature maps first: x.flatten(1); one row alone: x[None]."
        )
        raise DataError(msg)
    return matrix


def _need_labels(*samples: Embeddings) -> None:
    if any(one.labels is None for one in samples):
        msg = "A classifier needs Embeddings with labels, to learn from and to be measured."
        raise SettingsError(msg)
