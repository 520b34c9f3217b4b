"""Metrics, one value a sample; and the likeliest classes with their probabilities."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from coursekit.errors import SettingsError


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return for each sample whether its likeliest class is the true one, bool of shape (n,).

    `logits` have shape (n, n_classes); one column alone says yes where it is above 0.
    `labels` are classes, or the probability of each class, of which the largest counts.

    Examples
    --------
    >>> accuracy(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])).tolist()
    [True, False]
    """
    if labels.is_floating_point() and not ((labels >= 0) & (labels <= 1)).all():
        msg = "Continuous labels have no accuracy: pass metrics=() or a metric of your own."
        raise SettingsError(msg)
    if logits.ndim == 1 or logits.shape[1] == 1:
        return (logits.flatten() > 0) == labels.flatten().bool()
    return logits.argmax(1) == (labels.argmax(1) if labels.ndim == logits.ndim else labels)


class SampleSums:
    """Sums over the samples of an epoch, so that a short last batch counts for what it holds."""

    def __init__(self, metrics: Iterable[str], accelerator: Accelerator) -> None:
        self.names, self.accelerator = ["loss", *metrics], accelerator
        self.totals = np.zeros(2 + len(self.names))

    def add(self, weight: float, n_samples: int, loss: Tensor, sums: list[Tensor]) -> float:
        """Count a batch: its mean loss, whose denominator is `weight`, and its metrics' sums.

        Return the loss over the rows of all processes.
        """
        # The mean over no sample is no number, and weighs nothing.
        total = weight * loss.item() if weight else 0.0
        row = [weight, n_samples, total, *(one.item() for one in sums)]
        if self.accelerator.num_processes > 1:
            own = torch.tensor(row, dtype=torch.float64, device=self.accelerator.device)
            row = self.accelerator.reduce(own, reduction="sum").tolist()
        self.totals += row
        return row[2] / row[0] if row[0] else math.nan

    def means(self) -> dict[str, float]:
        """Return the mean loss, and the mean of each metric over samples."""
        counts = self.totals[[0, *[1] * (len(self.names) - 1)]]
        return dict(zip(self.names, (self.totals[2:] / counts).tolist(), strict=True))


def loss_denominator(loss: Callable, labels: Tensor) -> float:
    """Return what the mean of `loss` was divided by: samples, or their weights."""
    ignored = getattr(loss, "ignore_index", None)
    if ignored is None or labels.is_floating_point() or labels.ndim != 1:
        return len(labels)
    counted = labels[labels != ignored]
    weights = getattr(loss, "weight", None)
    return len(counted) if weights is None else weights.cpu()[counted.cpu()].sum().item()


class TopPredictions(NamedTuple):
    """The answer of `top_predictions`, one row an image, the likeliest class first."""

    classes: np.ndarray
    """Indices into `class_names`, int64, of shape (n_images, k)."""
    probabilities: np.ndarray
    """What the model gives them, float32, of shape (n_images, k)."""
    labels: np.ndarray
    """The true classes, of shape (n_images,)."""
    class_names: tuple[str, ...]

    @property
    def right(self) -> np.ndarray:
        """Rows predicted rightly, the surest first."""
        return self._surest(self.classes[:, 0] == self.labels)

    @property
    def wrong(self) -> np.ndarray:
        """Rows predicted wrongly, the surest first."""
        return self._surest(self.classes[:, 0] != self.labels)

    def subset(self, rows: Any) -> "TopPredictions":
        """Return the predictions in `rows`, in that order: ``found.wrong[:8]``."""
        return TopPredictions(*(part[rows] for part in self[:3]), self.class_names)

    def _surest(self, chosen: np.ndarray) -> np.ndarray:
        rows = np.flatnonzero(chosen)
        return rows[np.argsort(-self.probabilities[rows, 0], kind="stable")]


def top_predictions(
    logits: Tensor, labels: Any, *, k: int, class_names: Sequence[str]
) -> TopPredictions:
    """Return the `k` likeliest classes of each image, with their probabilities.

    Parameters
    ----------
    logits : Tensor of shape (n_images, n_classes)
        As `Trainer.predict` returns them.
    labels : array-like of shape (n_images,)
        The true classes, to tell right from wrong.
    k : int
    class_names : sequence of str
        One a class.

    Examples
    --------
    >>> logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]])
    >>> found = top_predictions(logits, [0, 2], k=2, class_names=["cat", "dog", "fox"])
    >>> found.classes.tolist(), found.wrong.tolist()
    ([[0, 2], [1, 0]], [1])
    """
    best = torch.as_tensor(logits).detach().float().cpu().softmax(1).topk(k, dim=1)
    found = best.indices.numpy(), best.values.numpy()
    return TopPredictions(*found, np.asarray(labels), tuple(class_names))
