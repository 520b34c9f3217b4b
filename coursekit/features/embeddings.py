"""`Embeddings`: what a network made of each sample, with labels, in one record.

Nothing here knows how they were computed or what is done with them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.features.storage import EmbeddingsFile, Header, map_file

__all__ = ["EmbeddingSource", "Embeddings"]


@dataclass(frozen=True, kw_only=True)
class EmbeddingSource:
    """Where embeddings come from.

    Parameters
    ----------
    model : str
        The name of its class.
    layer : str
        The module whose output, or before the head whose input, they are.
    n_samples : int
        Samples that were embedded.
    data : str
        What the samples are, in words.
    precision : str
        The type that the layers computed in.
    """

    model: str = ""
    layer: str = ""
    n_samples: int = 0
    data: str = ""
    precision: str = "float32"


@dataclass(frozen=True, eq=False, kw_only=True)
class Embeddings:
    """One embedding for each sample, and what is known about them.

    Parameters
    ----------
    embeddings : Tensor of shape (n_samples, n_features), float32
        On the CPU, perhaps in a file that is read when needed.
    labels : Tensor of shape (n_samples,), int64, optional
        Indices into `class_names`.
    class_names : tuple of str
        One name a class, or none if they are not known.
    source : EmbeddingSource
        Where the embeddings come from.

    Raises
    ------
    ShapeError
        If the embeddings are not a floating point matrix, or the counts differ.
    DataError
        If a label is negative or points outside `class_names`.

    Examples
    --------
    >>> toy = Embeddings(embeddings=torch.eye(3), labels=torch.tensor([0, 1, 0]))
    >>> toy
    Embeddings(3 of 3 features, 2 classes)
    >>> toy.subset([2, 0]).labels
    tensor([0, 0])
    """

    embeddings: Tensor
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    source: EmbeddingSource = field(default_factory=EmbeddingSource)

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(self.class_names))
        object.__setattr__(self, "embeddings", _as_matrix(self.embeddings))
        if self.labels is not None:
            labels = torch.as_tensor(self.labels).detach().to("cpu", torch.int64)
            object.__setattr__(self, "labels", labels)
            self._check_labels(labels)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.embeddings)

    def __repr__(self) -> str:
        shown = f"{len(self)} of {self.n_features} features"
        if self.labels is None:
            return f"Embeddings({shown}, no labels)"
        plural = "" if self.n_classes == 1 else "es"
        return f"Embeddings({shown}, {self.n_classes} class{plural})"

    @property
    def n_features(self) -> int:
        """Numbers in one embedding."""
        return self.embeddings.shape[1]

    @property
    def n_classes(self) -> int:
        """Number of class names; without them, one more than the largest label."""
        if self.class_names or self.labels is None or not len(self.labels):
            return len(self.class_names)
        return int(self.labels.max()) + 1

    def subset(self, indices: Sequence[int] | np.ndarray | Tensor) -> Self:
        """Return the samples at `indices`, in that order.

        Parameters
        ----------
        indices : array-like of int
            Each in ``0 .. n_samples - 1``.

        Returns
        -------
        Embeddings
            In memory, with the same class names and source.

        Raises
        ------
        SettingsError
            If an index is out of range.
        """
        rows = torch.as_tensor(np.asarray(indices, dtype=np.int64)).reshape(-1)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            msg = f"Indices must lie in 0 .. {len(self) - 1}, got {rows.min()} .. {rows.max()}."
            raise SettingsError(msg)
        labels = None if self.labels is None else self.labels[rows]
        return replace(self, embeddings=self.embeddings[rows], labels=labels)

    def save(self, path: str | Path) -> None:
        """Write all to a file of safetensors, which appears at once or not at all.

        Parameters
        ----------
        path : str or Path
            A file that is there is replaced.
        """
        about = {"source": asdict(self.source), "class_names": list(self.class_names)}
        shape = len(self), self.n_features, self.labels is not None
        file = EmbeddingsFile.create(Path(path), Header(*shape, about))
        file.write(0, self.embeddings, self.labels)
        file.finish()

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the embeddings in a file of `save` or `embed`, read when they are used.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Embeddings
            Changes to its tensors stay in memory.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        DataError
            If it is damaged, was not written to its end, or is something else.
        """
        embeddings, labels, about = map_file(Path(path))
        return cls(
            embeddings=embeddings,
            labels=labels,
            class_names=tuple(about["class_names"]),
            source=EmbeddingSource(**about["source"]),
        )

    def _check_labels(self, labels: Tensor) -> None:
        if labels.shape != (len(self),):
            msg = (
                f"Every embedding needs one label, got {len(self)} embeddings and labels of "
                f"shape {tuple(labels.shape)}."
            )
            raise ShapeError(msg)
        if not len(labels):
            return
        least, most = int(labels.min()), int(labels.max())
        if least < 0 or (self.class_names and most >= len(self.class_names)):
            limit = f" .. {len(self.class_names) - 1}" if self.class_names else " upward"
            msg = f"Labels must be class numbers, 0{limit}, got {least} .. {most}."
            raise DataError(msg)


def _as_matrix(values: Tensor) -> Tensor:
    matrix = torch.as_tensor(values).detach()
    if matrix.ndim != 2 or not matrix.dtype.is_floating_point:
        msg = (
            "embeddings must be floating point of shape (n_samples, n_features), got "
            f"{matrix.dtype} of shape {tuple(matrix.shape)}. Pool or flatten feature maps "
            "first: maps.mean((2, 3)) or maps.flatten(1)."
        )
        raise ShapeError(msg)
    return matrix.to("cpu", torch.float32)
