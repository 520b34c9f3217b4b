"""A linear probe: how much of the classes a linear layer reads from embeddings.

Nothing here knows of the model that made the embeddings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from coursekit.errors import SettingsError, ShapeError
from coursekit.features.embeddings import Embeddings
from coursekit.features.inputs import as_labeled, count_classes
from coursekit.features.leave_one_out import leave_one_out

__all__ = ["LinearProbe", "linear_probe"]

_ALPHAS = tuple(float(alpha) for alpha in np.logspace(-2, 6, 17))
_SCALES = np.logspace(-1, 2, 61)


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearProbe:
    """A linear classifier of embeddings, and how well it does.

    Parameters
    ----------
    head : nn.Linear
        From embeddings as they were given to logits: it can stand in the place of a model's
        head, and fine-tuning can start from it.
    alpha : float
        The regularization that was chosen.
    alphas : tuple of float
        Those it was chosen from.
    held_out_accuracies : tuple of float
        With each of them, the part of the training samples that is classified rightly by
        the probe of all the others.
    predictions : Tensor of shape (n_test,), int64, optional
        The class of each test sample.
    accuracy : float, optional
        The part of the test samples that is classified rightly; None if not measured.
    """

    head: nn.Linear
    alpha: float
    alphas: tuple[float, ...]
    held_out_accuracies: tuple[float, ...]
    predictions: Tensor | None = None
    accuracy: float | None = None

    def __repr__(self) -> str:
        test = (
            "not measured (no test labels)"
            if self.accuracy is None
            else f"{self.accuracy:.3f}"
        )
        held_out = f"held-out accuracy {self.held_out_accuracy:.3f}"
        return f"LinearProbe(alpha={self.alpha:g}, {held_out}, test accuracy {test})"

    @property
    def held_out_accuracy(self) -> float:
        """That of the regularization that was chosen."""
        return self.held_out_accuracies[self.alphas.index(self.alpha)]


def linear_probe(
    train: Embeddings | tuple[Tensor, Tensor],
    test: Embeddings | tuple[Tensor, Tensor] | Tensor | None = None,
    *,
    alphas: Sequence[float] = _ALPHAS,
    n_classes: int | None = None,
) -> LinearProbe:
    """Return the linear classifier of `train` that does best on samples it has not seen.

    It is a ridge regression of the classes (1 for the right one, -1 for the others) on
    standardized features. Its accuracy on each training sample when fitted to all others is
    known in closed form [1]_, for every `alpha`, without fitting again: no randomness and no
    validation set.

    Parameters
    ----------
    train : Embeddings, or (X, y)
        X of shape (n_train, n_features), y of shape (n_train,).
    test : Embeddings, (X, y) or Tensor of shape (n_test, n_features), optional
        What is predicted; with labels, the accuracy is measured.
    alphas : sequence of float
        Regularizations to choose from, 17 from 0.01 to a million unless given. Of equal
        accuracies, that with the least squared error wins.
    n_classes : int, optional
        The number of classes, if it is not to be read from `train`.

    Returns
    -------
    LinearProbe
        Its logits are scaled so that their softmax fits the held-out samples.

    Raises
    ------
    ShapeError
        If shapes do not fit together.
    DataError
        If rows are not finite, or labels are no class numbers.
    SettingsError
        If there are no labels, fewer than two samples or classes, or an alpha is not
        positive.

    References
    ----------
    .. [1] Rifkin and Lippert, "Notes on Regularized Least Squares", MIT-CSAIL-TR-2007-025,
       sec. 3. https://dspace.mit.edu/handle/1721.1/37318

    Examples
    --------
    >>> X = torch.tensor([[0.0, 1.0], [0.2, 3.0], [1.0, 2.0], [0.9, 0.0]])
    >>> linear_probe((X, torch.tensor([0, 0, 1, 1])), X).predictions
    tensor([0, 0, 1, 1])
    """
    X, y, names = as_labeled(train, "train", needs_labels=True)
    if len(y.unique()) < 2:
        msg = f"A probe needs samples of two classes, got {len(y)} samples of {len(y.unique())}."
        raise SettingsError(msg)
    n_classes = count_classes(n_classes, names, y)
    alphas = _check_alphas(alphas)
    device = X.device
    X, y = X.cpu().numpy().astype(np.float64), y.numpy()
    center, spread = X.mean(axis=0), X.std(axis=0)
    spread[spread <= 1e-7 * np.abs(X).max(axis=0, initial=0)] = 1
    spread[spread == 0] = 1
    standardized = (X - center) / spread
    targets = np.where(y[:, None] == np.arange(n_classes), 1.0, -1.0)
    held_out = leave_one_out(
        standardized, targets, alphas
    )  # (n_alphas, n_train, n_classes)
    accuracies = (held_out.argmax(axis=2) == y).mean(axis=1)
    errors = ((held_out - targets) ** 2).mean(axis=(1, 2))
    best = max(range(len(alphas)), key=lambda i: (accuracies[i], -errors[i]))
    head = _fit(
        standardized, targets, alphas[best], center, spread, _scale(held_out[best], y)
    )
    head = head.to(device)
    probe = LinearProbe(
        head=head,
        alpha=alphas[best],
        alphas=alphas,
        held_out_accuracies=tuple(accuracies.tolist()),
    )
    return probe if test is None else _tested(probe, test)


def _check_alphas(alphas: Sequence[float]) -> tuple[float, ...]:
    kept = tuple(float(alpha) for alpha in alphas)
    if not kept or not all(0 < alpha < np.inf for alpha in kept):
        msg = f"alphas must be positive numbers, got {list(alphas)}."
        raise SettingsError(msg)
    return kept


def _scale(logits: np.ndarray, y: np.ndarray) -> float:
    """Return the factor with which the softmax of `logits` gives the classes most chance."""
    logits, y = torch.from_numpy(logits), torch.from_numpy(y)
    losses = [float(nn.functional.cross_entropy(logits * scale, y)) for scale in _SCALES]
    return float(_SCALES[int(np.argmin(losses))])


def _fit(
    rows: np.ndarray,
    targets: np.ndarray,
    alpha: float,
    center: np.ndarray,
    spread: np.ndarray,
    scale: float,
) -> nn.Linear:
    """Return the layer that does all of it: standardize, regress, scale."""
    from sklearn.linear_model import Ridge

    ridge = Ridge(alpha=alpha).fit(rows, targets)
    weight = ridge.coef_ / spread * scale  # (n_classes, n_features)
    bias = ridge.intercept_ * scale - weight @ center
    with torch.random.fork_rng(devices=[]):  # numbers that nobody asked for
        head = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.copy_(torch.from_numpy(bias))
    return head


def _tested(
    probe: LinearProbe, test: Embeddings | tuple[Tensor, Tensor] | Tensor
) -> LinearProbe:
    X, y, _ = as_labeled(test, "test")
    if X.shape[1] != probe.head.in_features:
        msg = (
            f"train and test must have the same number of features, got "
            f"{probe.head.in_features} and {X.shape[1]}."
        )
        raise ShapeError(msg)
    with torch.no_grad():
        predictions = probe.head(X.to(probe.head.weight.device)).argmax(dim=1).cpu()
    accuracy = (
        None if y is None or not len(y) else float((predictions == y).double().mean())
    )
    return replace(probe, predictions=predictions, accuracy=accuracy)
