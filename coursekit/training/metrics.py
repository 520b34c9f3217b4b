"""Metrics, one value a sample; and the likeliest classes with their probabilities."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from coursekit.errors import DataError, SettingsError, ShapeError

__all__ = ["TopPredictions", "accuracy", "find_metrics", "top5_accuracy", "top_predictions"]

MetricFunction = Callable[[Tensor, Tensor], Tensor]


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return for each sample whether its likeliest class is the true one, bool of shape (n,).

    `logits` have shape (n, n_classes); one column alone says yes where it is above 0.
    `labels` are classes, or the probability of each class, of which the largest counts.

    Examples
    --------
    >>> accuracy(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])).tolist()
    [True, False]
    """
    if labels.is_floating_point():
        is_binary = logits.ndim == 1 or logits.shape[1] == 1
        is_class = (
            (labels == 0) | (labels == 1) if is_binary else (labels >= 0) & (labels <= 1)
        )
        if not is_class.all():
            msg = "Continuous labels have no accuracy: pass metrics=() or a metric of your own."
            raise SettingsError(msg)
    if logits.ndim == 1 or logits.shape[1] == 1:
        return (logits.flatten() > 0) == labels.flatten().bool()
    return logits.argmax(1) == _classes(labels, logits)


def top5_accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return for each sample whether its class is among its 5 largest logits."""
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices
    return (best == _classes(labels, logits)[:, None]).any(1)


def find_metrics(metrics: Iterable[str | MetricFunction]) -> dict[str, MetricFunction]:
    """Return the function behind each metric, under the name it has in the history."""
    known = {"accuracy": accuracy, "top5_accuracy": top5_accuracy}
    found = {}
    for metric in (metrics,) if isinstance(metrics, str) else metrics:
        if isinstance(metric, str) and metric not in known:
            msg = (
                f"metrics must be functions or among {', '.join(known)}, got {metric!r}. A "
                "function takes logits and labels and returns one number for each sample."
            )
            raise SettingsError(msg)
        name = metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")
        found[name] = known[metric] if isinstance(metric, str) else metric
    return found


def _classes(labels: Tensor, logits: Tensor) -> Tensor:
    return labels.argmax(1) if labels.ndim == logits.ndim else labels


class SampleSums:
    """Sums over the samples of an epoch, so that a short last batch counts for what it holds."""

    def __init__(self, names: Sequence[str], accelerator: Accelerator, device: Any) -> None:
        self.names, self.accelerator, self.device = names, accelerator, device
        # Reading a number makes a program wait for its device, and for other processes.
        is_alone = device.type == "cpu" and accelerator.num_processes == 1
        self.read_every = 1 if is_alone else 50
        self.totals, self.n_samples, self.weight = [0.0] * len(names), 0.0, 0.0
        self.losses: list[float] = []
        self._waiting: list[tuple[float, int, list[Tensor]]] = []

    def add(self, weight: float, n_samples: int, values: list[Tensor]) -> None:
        """Count a batch: its mean loss, whose denominator is `weight`, and its metrics' sums."""
        self._waiting.append((weight, n_samples, values))
        if len(self._waiting) >= self.read_every:
            self.read()

    def read(self) -> list[float]:
        """Read what is still on the device; return the loss of each batch."""
        if not self._waiting:
            return self.losses
        waiting, self._waiting = self._waiting, []
        if self.device.type == "cpu":
            table = [[value.item() for value in values] for _, _, values in waiting]
        else:
            table = torch.stack(
                [torch.stack([v.float() for v in vs]) for *_, vs in waiting]
            )
            table = table.tolist()
        rows = [
            [weight, n_samples, weight * loss, *sums]
            for (weight, n_samples, _), (loss, *sums) in zip(waiting, table, strict=True)
        ]
        if self.accelerator.num_processes > 1:
            sums = torch.tensor(rows, dtype=torch.float64, device=self.device)
            rows = self.accelerator.reduce(sums, reduction="sum").tolist()
        for weight, n_samples, *values in rows:
            self.weight += weight
            self.n_samples += n_samples
            self.losses.append(values[0] / weight)
            self.totals = [old + new for old, new in zip(self.totals, values, strict=True)]
        return self.losses

    def means(self) -> dict[str, float]:
        """Return the mean loss, and the mean of each metric over samples."""
        self.read()
        counts = [self.weight] + [self.n_samples] * (len(self.names) - 1)
        table = zip(self.names, self.totals, counts, strict=True)
        return {name: total / count for name, total, count in table}


def loss_denominator(loss: Callable, labels: Tensor, where: str) -> float:
    """Return what the mean of `loss` was divided by: samples, or their weights."""
    ignored = getattr(loss, "ignore_index", None)
    if ignored is None or labels.is_floating_point() or labels.ndim != 1:
        return len(labels)
    counted = labels[labels != ignored] if (labels == ignored).any() else labels
    if not len(counted):
        msg = (
            f"In {where}: all labels are {ignored}, which the loss ignores (ignore_index)."
        )
        raise DataError(msg)
    weights = getattr(loss, "weight", None)
    if weights is None or not 0 <= counted.min() <= counted.max() < len(weights):
        return len(counted)
    return weights[counted.to(weights.device)].sum().item()


@dataclass(frozen=True, eq=False, kw_only=True)
class TopPredictions:
    """The answer of `top_predictions`, one row an image, the likeliest class first."""

    classes: np.ndarray
    """Indices into `class_names`, int64, of shape (n_images, k)."""
    probabilities: np.ndarray
    """What the model gives them, float32, of shape (n_images, k)."""
    class_names: tuple[str, ...]
    labels: np.ndarray | None = None
    """The true classes, of shape (n_images,), where they are known."""

    def __len__(self) -> int:
        return len(self.classes)

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
        return TopPredictions(
            classes=self.classes[rows],
            probabilities=self.probabilities[rows],
            class_names=self.class_names,
            labels=None if self.labels is None else self.labels[rows],
        )

    def _surest(self, chosen: np.ndarray) -> np.ndarray:
        if self.labels is None:
            msg = "Nobody knows what is right: give labels to top_predictions."
            raise DataError(msg)
        rows = np.flatnonzero(chosen)
        return rows[np.argsort(-self.probabilities[rows, 0], kind="stable")]


def top_predictions(
    logits: Tensor,
    labels: Any = None,
    *,
    k: int = 3,
    class_names: Sequence[str] | None = None,
) -> TopPredictions:
    """Return the `k` likeliest classes of each image, with their probabilities.

    Parameters
    ----------
    logits : Tensor of shape (n_images, n_classes)
        As `Trainer.predict` returns them.
    labels : array-like of shape (n_images,), optional
        The true classes, to tell right from wrong.
    k : int, default=3
    class_names : sequence of str, optional
        One a class; numbers by default.

    Examples
    --------
    >>> logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]])
    >>> found = top_predictions(logits, [0, 2], k=2, class_names=["cat", "dog", "fox"])
    >>> found.classes.tolist(), found.wrong.tolist()
    ([[0, 2], [1, 0]], [1])
    """
    logits = torch.as_tensor(logits).detach().float().cpu()
    if logits.ndim != 2 or not 1 <= k <= logits.shape[1]:
        msg = (
            "logits must have shape (n_images, n_classes), and k be between 1 and n_classes, "
            f"got {tuple(logits.shape)} and k={k}."
        )
        raise ShapeError(msg)
    n_images, n_classes = logits.shape
    names = tuple(map(str, range(n_classes) if class_names is None else class_names))
    truth = None if labels is None else np.asarray(labels, dtype=np.int64)
    if len(names) != n_classes or (truth is not None and truth.shape != (n_images,)):
        msg = (
            f"{n_images} images of {n_classes} classes need as many labels and names, got "
            f"{None if truth is None else truth.shape} and {len(names)}."
        )
        raise ShapeError(msg)
    best = logits.softmax(1).topk(k, dim=1)
    return TopPredictions(
        classes=best.indices.numpy(),
        probabilities=best.values.numpy(),
        class_names=names,
        labels=truth,
    )
