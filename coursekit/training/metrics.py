"""Metrics that are averages over samples, whatever the sizes of the batches.

Nothing here knows about models, epochs or devices.
"""

from collections.abc import Callable, Iterable

from torch import Tensor

from coursekit.errors import SettingsError, ShapeError

__all__ = [
    "MetricFunction",
    "accuracy",
    "find_metrics",
    "sum_over_samples",
    "top5_accuracy",
]

MetricFunction = Callable[[Tensor, Tensor], Tensor]


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return for each sample whether its largest logit is that of its label.

    Parameters
    ----------
    logits : Tensor of shape (n_samples, n_classes)
    labels : Tensor of shape (n_samples,) or (n_samples, n_classes)
        Classes, or the probability of each, of which the largest counts.

    Returns
    -------
    Tensor of shape (n_samples,), bool
    """
    return logits.argmax(1) == _classes(labels, logits)


def top5_accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return for each sample whether its label is among its 5 largest logits.

    With fewer than 5 classes it always is.

    Parameters
    ----------
    logits : Tensor of shape (n_samples, n_classes)
    labels : Tensor of shape (n_samples,), int64

    Returns
    -------
    Tensor of shape (n_samples,), bool
    """
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices
    return (best == _classes(labels, logits)[:, None]).any(1)


def find_metrics(metrics: Iterable[str | MetricFunction]) -> dict[str, MetricFunction]:
    """Return the function behind each metric, under the name it has in the history.

    Parameters
    ----------
    metrics : iterable of str or callable
        "accuracy", "top5_accuracy", or functions of logits and labels that return one
        number (or bool) for each sample; their names are their own.

    Raises
    ------
    SettingsError
        If a name is unknown.

    Examples
    --------
    >>> list(find_metrics(["accuracy"]))
    ['accuracy']
    """
    known = {"accuracy": accuracy, "top5_accuracy": top5_accuracy}
    if isinstance(metrics, str):
        metrics = (metrics,)
    found = {}
    for metric in metrics:
        if isinstance(metric, str) and metric not in known:
            msg = (
                f"metrics must be functions or among {', '.join(known)}, got {metric!r}. A "
                "function takes logits and labels and returns one number for each sample."
            )
            raise SettingsError(msg)
        name = metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")
        found[name] = known[metric] if isinstance(metric, str) else metric
    return found


def sum_over_samples(name: str, values: Tensor, n_samples: int) -> Tensor:
    """Return the sum of a metric's values, one for each of `n_samples`.

    Raises
    ------
    ShapeError
        If there is not one value for each sample.
    """
    if values.shape != (n_samples,):
        msg = (
            f"The metric {name!r} must return one value for each sample, shape "
            f"({n_samples},), got {tuple(values.shape)}. Do not average inside it: batches "
            "may differ in size."
        )
        raise ShapeError(msg)
    return values.sum()


def _classes(labels: Tensor, logits: Tensor) -> Tensor:
    return labels.argmax(1) if labels.ndim == logits.ndim else labels
