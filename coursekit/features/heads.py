"""Classifiers of embeddings: a linear probe, and a head trained as on a frozen backbone."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from coursekit.datasets import make_loader
from coursekit.errors import DataError, SettingsError
from coursekit.features.embed import Embeddings
from coursekit.seeds import seeded
from coursekit.training import Trainer, TrainSettings

__all__ = ["fit_head", "linear_probe"]


class LinearProbe(NamedTuple):
    """What `linear_probe` read from test embeddings."""

    predictions: np.ndarray
    """Classes, of shape (n_test,)."""
    accuracy: float
    """The share of test samples that is classified rightly."""
    alpha: float
    """The regularization that was chosen."""


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

    if train.labels is None or test.labels is None:
        msg = "A probe needs embeddings with labels, for training and for the accuracy."
        raise SettingsError(msg)
    # A sample that is alone in its class cannot be predicted from the others: if all are,
    # every accuracy is 0, and the squared error (scikit-learn's default) has to decide.
    scoring = "accuracy" if train.labels.bincount().max() > 1 else None
    ridge = RidgeClassifierCV(np.logspace(-2, 6, 17), scoring=scoring)
    probe = make_pipeline(StandardScaler(), ridge)
    probe.fit(train.embeddings.double().numpy(), train.labels.numpy())
    predictions = probe.predict(test.embeddings.double().numpy())
    right = float((predictions == test.labels.numpy()).mean())
    return LinearProbe(predictions, right, float(ridge.alpha_))


@dataclass(frozen=True, eq=False)
class HeadFit:
    """A head that was trained on embeddings."""

    head: nn.Linear
    """It takes embeddings as they are, so it can stand where the head of the backbone stood;
    see `put_head`."""

    def accuracy(self, test: Embeddings) -> float:
        """Return the share of samples whose largest logit is that of their label."""
        with torch.no_grad():
            found = self.head(test.embeddings).argmax(dim=1)
        return (found == test.labels).float().mean().item()


def fit_head(train: Embeddings, *, n_epochs: int = 20, seed: int) -> HeadFit:
    """Return a linear head that was trained on embeddings, as on a frozen backbone.

    As the backbone is frozen, each image has one embedding, whatever the epoch. So it is
    computed once, and an epoch takes milliseconds.

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
    >>> fit_head(train, n_epochs=200, seed=0).accuracy(train)
    1.0
    """
    if train.labels is None:
        msg = "A head needs embeddings with labels, got none."
        raise DataError(msg)
    batch_size = min(64, max(4, len(train) // 16))  # 16 steps an epoch, of few samples too
    n_steps = n_epochs * -(-len(train) // batch_size)
    n_rising = max(1, n_steps // 4)

    def share_of_rate(step: int) -> float:
        falling = max(0, step - n_rising) / max(1, n_steps - n_rising)
        return min(1.0, (step + 1) / n_rising) * (1 + math.cos(math.pi * falling)) / 2

    mean, deviation = _moments(train.embeddings.double())
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
        pair = rows, train.labels
        loader = make_loader(pair, batch_size=batch_size, shuffle=True, seed=seed)
        trainer.fit(loader, n_epochs=n_epochs)
    with torch.no_grad():  # it shall give for features what it gave for standardized ones
        weight = head.weight.double() / deviation
        head.bias.copy_(head.bias.double() - weight @ mean)
        head.weight.copy_(weight)
    return HeadFit(head.eval())


def _moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each feature; 1 for the deviation of a constant one."""
    mean = rows.mean(dim=0)
    deviation = (rows - mean).square().mean(dim=0).sqrt()
    is_constant = deviation <= 1e-6 * mean.abs()
    if is_constant.all():
        msg = (
            f"All {len(rows)} training embeddings are equal, so a head can learn nothing "
            "from them. Look at the model's weights, and at the layer that was taken."
        )
        raise DataError(msg)
    return mean, deviation.masked_fill(is_constant, 1.0)
