"""`TopPredictions`: the classes that a model thinks likeliest, with their probabilities.

Nothing here knows which model made the logits, or how predictions are shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from coursekit.errors import DataError, SettingsError, ShapeError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TopPredictions", "top_predictions"]


@dataclass(frozen=True, eq=False, kw_only=True)
class TopPredictions:
    """The answer of `top_predictions`, one row an image, the likeliest class first.

    Parameters
    ----------
    classes : ndarray of shape (n_images, k), int64
        Indices into `class_names`.
    probabilities : ndarray of shape (n_images, k), float32
        What the model gives them; all classes together would have 1.
    class_names : tuple of str
        One a class; numbers if no names are known.
    labels : ndarray of shape (n_images,), int64, optional
        The true classes.
    """

    classes: np.ndarray
    probabilities: np.ndarray
    class_names: tuple[str, ...]
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.classes)

    def __repr__(self) -> str:
        judged = "" if self.labels is None else f", {self.is_right.mean():.1%} right"
        return f"TopPredictions({len(self)} images, top {self.classes.shape[1]}{judged})"

    @property
    def is_right(self) -> np.ndarray:
        """Whether the first class is the true one, bool of shape (n_images,)."""
        if self.labels is None:
            msg = "Nobody knows what is right: give labels to top_predictions."
            raise DataError(msg)
        return self.classes[:, 0] == self.labels

    @property
    def right(self) -> np.ndarray:
        """Rows predicted rightly, the surest first, of shape (n_right,)."""
        return self._surest(self.is_right)

    @property
    def wrong(self) -> np.ndarray:
        """Rows predicted wrongly, the surest first, of shape (n_wrong,)."""
        return self._surest(~self.is_right)

    def subset(self, rows: Any) -> "TopPredictions":
        """Return the predictions for the images in `rows`, in that order.

        Parameters
        ----------
        rows : array-like of int
            Row numbers, such as ``predictions.wrong[:8]``.

        Returns
        -------
        TopPredictions
        """
        rows = np.asarray(rows, dtype=np.int64).reshape(-1)
        return TopPredictions(
            classes=self.classes[rows],
            probabilities=self.probabilities[rows],
            class_names=self.class_names,
            labels=None if self.labels is None else self.labels[rows],
        )

    def to_frame(self) -> "pd.DataFrame":
        """Return a table: one row an image, its true class, and class and probability 1 to k.

        Returns
        -------
        DataFrame
            Columns ``label`` (if known), ``class_1``, ``probability_1``, ``class_2``, ...
        """
        import pandas as pd  # half a second, paid by those who want the table

        names = np.array(self.class_names, dtype=object)
        columns = {} if self.labels is None else {"label": names[self.labels]}
        for place in range(self.classes.shape[1]):
            columns[f"class_{place + 1}"] = names[self.classes[:, place]]
            columns[f"probability_{place + 1}"] = self.probabilities[:, place]
        return pd.DataFrame(columns)

    def _surest(self, chosen: np.ndarray) -> np.ndarray:
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
        Classes an image; at most as many as there are.
    class_names : sequence of str, optional
        One a class.

    Returns
    -------
    TopPredictions

    Raises
    ------
    ShapeError
        If the logits are no matrix, or labels or names do not fit them.
    SettingsError
        If `k` is below 1 or more than there are classes.
    DataError
        If a label is no class, or a logit is NaN or infinite.

    Examples
    --------
    >>> logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]])
    >>> found = top_predictions(logits, [0, 2], k=2, class_names=["cat", "dog", "fox"])
    >>> found
    TopPredictions(2 images, top 2, 50.0% right)
    >>> found.classes.tolist(), found.wrong.tolist()
    ([[0, 2], [1, 0]], [1])
    """
    logits = torch.as_tensor(logits).detach().float().cpu()
    if logits.ndim != 2:
        msg = f"logits must have shape (n_images, n_classes), got {tuple(logits.shape)}."
        raise ShapeError(msg)
    n_classes = logits.shape[1]
    if not 1 <= k <= n_classes:
        msg = f"k must be between 1 and the {n_classes} classes, got k={k}."
        raise SettingsError(msg)
    if not torch.isfinite(logits).all():
        row = int((~torch.isfinite(logits)).any(1).nonzero()[0])
        msg = (
            f"Logits must be finite, those of image {row} are not: {logits[row].tolist()}."
        )
        raise DataError(msg)
    names = tuple(map(str, range(n_classes) if class_names is None else class_names))
    if len(names) != n_classes:
        msg = f"Every class needs one name, got {len(names)} for {n_classes} logits."
        raise ShapeError(msg)
    best = logits.softmax(1).topk(k, dim=1)
    return TopPredictions(
        classes=best.indices.numpy(),
        probabilities=best.values.numpy(),
        class_names=names,
        labels=None if labels is None else _as_labels(labels, logits),
    )


def _as_labels(labels: Any, logits: Tensor) -> np.ndarray:
    values = np.asarray(labels, dtype=np.int64)
    n_images, n_classes = logits.shape
    if values.shape != (n_images,):
        msg = f"Every image needs one label, got {n_images} images and {values.shape}."
        raise ShapeError(msg)
    if n_images and not 0 <= values.min() <= values.max() < n_classes:
        msg = (
            f"Labels must be classes, 0 .. {n_classes - 1}, got {values.min()} .. "
            f"{values.max()}."
        )
        raise DataError(msg)
    return values
