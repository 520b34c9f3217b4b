"""What a ridge regression predicts for each sample when it is fitted to all the others.

Nothing here knows of classes or embeddings.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["leave_one_out"]


def leave_one_out(
    rows: np.ndarray, targets: np.ndarray, alphas: Sequence[float]
) -> np.ndarray:
    """Return those predictions, in closed form, for each strength of the regularization.

    The fitted values are ``H y``, with a symmetric matrix H that does not depend on y. What is
    predicted for sample i without it is off by ``(y_i - (H y)_i) / (1 - H_ii)``.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features), float64
        Each column with mean 0.
    targets : ndarray of shape (n_samples, n_targets), float64
    alphas : sequence of float
        Positive.

    Returns
    -------
    ndarray of shape (n_alphas, n_samples, n_targets)

    Notes
    -----
    The intercept is not regularized, and H holds its part, 1 / n_samples. The means of the
    columns are those of all samples.
    """
    means = targets.mean(axis=0)
    axes, squares = _principal_axes(rows)
    along = axes.T @ (targets - means)
    predictions = np.empty((len(alphas), *targets.shape))
    for i, alpha in enumerate(alphas):
        shrink = squares / (squares + alpha)
        fitted = axes @ (shrink[:, None] * along) + means
        left = 1 - (axes**2 @ shrink) - 1 / len(rows)  # 1 - H_ii
        errors = (targets - fitted) / np.maximum(left, 1e-12)[:, None]
        predictions[i] = targets - errors
    return predictions


def _principal_axes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the left singular vectors of `rows` and its squared singular values."""
    if rows.shape[0] <= rows.shape[1]:
        squares, axes = np.linalg.eigh(rows @ rows.T)
        kept = squares > squares[-1] * 1e-12
        return axes[:, kept], squares[kept]
    squares, directions = np.linalg.eigh(rows.T @ rows)
    kept = squares > squares[-1] * 1e-12
    return rows @ directions[:, kept] / np.sqrt(squares[kept]), squares[kept]
