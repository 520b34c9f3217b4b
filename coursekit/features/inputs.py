"""Check matrices of embeddings, and bring them into one form.

Nothing here knows what is searched or learned in them.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.features.embeddings import Embeddings

__all__ = [
    "Metric",
    "as_labeled",
    "as_labels",
    "as_matrix",
    "check_k",
    "check_metric",
    "check_pair",
    "count_classes",
]

Metric = Literal["cosine", "euclidean"]

_MOST_NAMED = 5


def as_matrix(
    values: Embeddings | Tensor | np.ndarray, name: str, *, metric: Metric
) -> Tensor:
    """Return `values` as float32 of shape (n_rows, n_features), on the device they are on.

    Parameters
    ----------
    values : Embeddings, Tensor or ndarray of shape (n_rows, n_features)
        Whole numbers, as pixels are, count as the real numbers they stand for.
    name : str
        What they are called in messages.
    metric : {"cosine", "euclidean"}
        The cosine is not defined for rows of zeros.

    Raises
    ------
    ShapeError
        If they are no matrix, or one without features.
    DataError
        If they are no real numbers, or rows hold NaN or infinity, or, under the cosine,
        zeros only. The rows are named.
    """
    if isinstance(values, Embeddings):
        values = values.embeddings
    try:
        matrix = torch.as_tensor(values).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        msg = (
            f"{name} must be a tensor, an array or Embeddings, got {type(values).__name__}."
        )
        raise DataError(msg) from error
    if matrix.ndim != 2 or not matrix.shape[1]:
        msg = (
            f"{name} must have shape (n_rows, n_features), got {tuple(matrix.shape)}. Flatten "
            "feature maps first: x.flatten(1); one row alone: x[None]."
        )
        raise ShapeError(msg)
    if matrix.is_complex():
        msg = f"{name} must be real numbers, got {matrix.dtype}."
        raise DataError(msg)
    matrix = matrix.to(torch.float32)
    _check_rows(matrix, name, metric)
    return matrix


def as_labels(values: Tensor | np.ndarray, name: str, *, n_rows: int) -> Tensor:
    """Return class numbers as int64 of shape (n_rows,) on the CPU.

    Raises
    ------
    ShapeError
        If there is not one label a row.
    DataError
        If the labels are not class numbers, 0 upward.
    """
    labels = torch.as_tensor(values).detach().cpu()
    if labels.shape != (n_rows,):
        msg = f"{name} must have one label for each of {n_rows} rows, got shape {tuple(labels.shape)}."
        raise ShapeError(msg)
    if labels.is_floating_point() or labels.is_complex() or (n_rows and labels.min() < 0):
        given = labels.dtype if labels.is_floating_point() else f"a {int(labels.min())}"
        msg = f"{name} must have class numbers, 0 upward, as labels, got {given}."
        raise DataError(msg)
    return labels.to(torch.int64)


def as_labeled(
    data: object, name: str, *, metric: Metric = "euclidean", needs_labels: bool = False
) -> tuple[Tensor, Tensor | None, tuple[str, ...]]:
    """Return the matrix, the labels and the class names of Embeddings, (X, y) or X alone.

    Raises
    ------
    SettingsError
        If there are no labels and they are needed.
    """
    values, labels, names = data, None, ()
    if isinstance(data, Embeddings):
        labels, names = data.labels, data.class_names
    elif isinstance(data, tuple | list) and len(data) == 2:
        values, labels = data
    matrix = as_matrix(values, name, metric=metric)
    if labels is not None:
        return matrix, as_labels(labels, name, n_rows=len(matrix)), names
    if needs_labels:
        msg = f"{name} needs labels: give Embeddings that have them, or a pair (X, y)."
        raise SettingsError(msg)
    return matrix, None, names


def check_metric(metric: str) -> None:
    """Raise unless `metric` is known.

    Raises
    ------
    SettingsError
        With the names there are.
    """
    if metric not in get_args(Metric):
        msg = f'metric must be "cosine" or "euclidean", got {metric!r}.'
        raise SettingsError(msg)


def check_k(k: int, n_bank: int) -> None:
    """Raise unless a bank has `k` rows.

    Raises
    ------
    SettingsError
        If the bank is empty, or `k` is not between 1 and its size.
    """
    if not n_bank:
        msg = "The bank is empty: nothing can be found in it."
        raise SettingsError(msg)
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= n_bank:
        msg = (
            f"k must be a whole number between 1 and the bank's {n_bank} rows, got k={k!r}."
        )
        raise SettingsError(msg)


def check_pair(queries: Tensor, bank: Tensor) -> None:
    """Raise unless `queries` can be looked up in `bank`.

    Raises
    ------
    ShapeError
        If their numbers of features differ.
    SettingsError
        If they are on different devices.
    """
    if queries.shape[1] != bank.shape[1]:
        msg = (
            "queries and bank must have the same number of features, got "
            f"{tuple(queries.shape)} and {tuple(bank.shape)}."
        )
        raise ShapeError(msg)
    if queries.device != bank.device:
        msg = (
            f"queries and bank must be on one device, got {queries.device} and {bank.device}. "
            "Move one of them: queries.to(bank.device)."
        )
        raise SettingsError(msg)


def count_classes(n_classes: int | None, names: Sequence[str], labels: Tensor) -> int:
    """Return the number of classes: as given, or as names and labels have it.

    Raises
    ------
    SettingsError
        If there are labels beyond the number given.
    """
    needed = int(labels.max()) + 1
    if n_classes is None:
        return max(len(names), needed)
    if isinstance(n_classes, bool) or not isinstance(n_classes, int) or n_classes < needed:
        msg = f"n_classes must be at least {needed}, as the labels have it, got {n_classes!r}."
        raise SettingsError(msg)
    return n_classes


def _check_rows(matrix: Tensor, name: str, metric: Metric) -> None:
    peaks = torch.maximum(matrix.amax(dim=1), -matrix.amin(dim=1))  # NaN stays NaN
    bad = ~torch.isfinite(peaks)
    if bad.any():
        msg = f"{name} must be finite, but NaN or infinity stands in {_rows(bad)}."
        raise DataError(msg)
    bad = peaks == 0
    if metric == "cosine" and bad.any():
        msg = (
            f"The cosine is not defined for zeros, but {name} has nothing else in "
            f'{_rows(bad)}. Leave those rows out, or use metric="euclidean".'
        )
        raise DataError(msg)


def _rows(bad: Tensor) -> str:
    rows = bad.nonzero().flatten().tolist()
    named = ", ".join(map(str, rows[:_MOST_NAMED]))
    more = f" and {len(rows) - _MOST_NAMED} more" if len(rows) > _MOST_NAMED else ""
    return f"row{'s' * (len(rows) > 1)} {named}{more}"
