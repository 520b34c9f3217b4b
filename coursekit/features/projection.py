"""Lay embeddings out in a plane, to look at them.

Nothing here draws, and nothing knows of classes.
"""

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from coursekit.errors import DataError, SettingsError
from coursekit.features.embeddings import Embeddings
from coursekit.features.inputs import as_matrix

__all__ = ["project_2d"]

Method = Literal["pca", "tsne"]

_FIRST = 50  # principal components that t-SNE starts from
_PERPLEXITY = 30.0


def project_2d(
    embeddings: Embeddings | Tensor | np.ndarray,
    *,
    method: Method = "pca",
    seed: int = 0,
    perplexity: float | None = None,
) -> Tensor:
    """Return a point in a plane for each embedding.

    Parameters
    ----------
    embeddings : Embeddings, Tensor or ndarray of shape (n_samples, n_features)
        What is laid out.
    method : {"pca", "tsne"}, default="pca"
        The plane in which they differ most, where distances keep their meaning, or one in
        which near neighbors stay near [1]_, where the size of clusters and the gaps between
        them mean nothing. t-SNE starts from PCA, and works on the first 50 components.
    seed : int, default=0
        Of t-SNE. PCA draws nothing.
    perplexity : float, optional
        About how many neighbors each sample has under t-SNE: 30 unless given, and at most a
        third of the others.

    Returns
    -------
    Tensor of shape (n_samples, 2), float32

    Raises
    ------
    ShapeError
        If the embeddings are not a matrix.
    DataError
        If rows hold NaN or infinity, or are all the same.
    SettingsError
        If there are too few samples, or the method or the perplexity cannot be used.

    References
    ----------
    .. [1] van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 2008, sec. 3.
       https://jmlr.org/papers/v9/vandermaaten08a.html

    Examples
    --------
    >>> project_2d(torch.eye(4) * torch.tensor([9.0, 1.0, 1.0, 1.0])).shape
    torch.Size([4, 2])
    """
    rows = as_matrix(embeddings, "embeddings", metric="euclidean")
    if method not in get_args(Method):
        msg = f'method must be "pca" or "tsne", got {method!r}.'
        raise SettingsError(msg)
    least = 2 if method == "pca" else 4
    if len(rows) < least:
        msg = f"A plane by {method} needs at least {least} samples, got {len(rows)}."
        raise SettingsError(msg)
    if (rows == rows[0]).all():
        msg = f"All {len(rows)} embeddings are the same, so there is nothing to lay out."
        raise DataError(msg)
    perplexity = _check_perplexity(perplexity, len(rows))
    values = rows.cpu().numpy().astype(np.float64)
    points = _pca(values, 2) if method == "pca" else _tsne(values, seed, perplexity)
    return torch.from_numpy(points.astype(np.float32)).to(rows.device)


def _check_perplexity(perplexity: float | None, n_samples: int) -> float:
    most = (n_samples - 1) / 3
    if perplexity is None:
        return min(_PERPLEXITY, most)
    if not 0 < perplexity <= most:
        msg = (
            f"perplexity must be above 0 and at most a third of the other samples, {most:.4g}, "
            f"got {perplexity}."
        )
        raise SettingsError(msg)
    return float(perplexity)


def _pca(values: np.ndarray, n_components: int) -> np.ndarray:
    from sklearn.decomposition import PCA

    n_components = min(n_components, *values.shape)
    points = PCA(n_components, svd_solver="full").fit_transform(values)
    return np.pad(points, [(0, 0), (0, max(2 - n_components, 0))])  # one feature: a line


def _tsne(values: np.ndarray, seed: int, perplexity: float) -> np.ndarray:
    from sklearn.manifold import TSNE

    start = _pca(values, 2)
    start = (start / start[:, 0].std() * 1e-4).astype(np.float32)
    tsne = TSNE(2, perplexity=perplexity, init=start, random_state=seed)
    reduced = _pca(values, _FIRST) if values.shape[1] > _FIRST else values
    return tsne.fit_transform(reduced.astype(np.float32))
