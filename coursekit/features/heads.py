"""Classifiers of embeddings: a linear probe, and a head trained as on a frozen backbone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from coursekit.datasets import make_loader
from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.features.embed import Embeddings
from coursekit.features.neighbors import split_labels
from coursekit.seeds import seeded
from coursekit.training import History, Trainer, TrainSettings

__all__ = ["HeadFit", "LinearProbe", "fit_head", "linear_probe"]


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearProbe:
    """What `linear_probe` read from test embeddings.

    Parameters
    ----------
    predictions : Tensor of shape (n_test,), int64
    accuracy : float or None
        The share of test samples that is classified rightly; None without labels.
    alpha : float
        The regularization that was chosen.
    """

    predictions: Tensor
    accuracy: float | None
    alpha: float


def linear_probe(
    train: Embeddings | tuple[Tensor, Tensor],
    test: Embeddings | tuple[Tensor, Tensor] | Tensor,
) -> LinearProbe:
    """Return what the best linear classifier of `train` says of `test`.

    It is scikit-learn's ridge regression of the classes on standardized features. The
    regularization is the one under which most training samples are predicted rightly from
    all others, which is known in closed form: no randomness, no validation set.

    Parameters
    ----------
    train : Embeddings, or (X, y)
        X of shape (n_train, n_features), y of shape (n_train,).
    test : Embeddings, (X, y) or Tensor of shape (n_test, n_features)

    Examples
    --------
    >>> X = torch.tensor([[0.0, 1.0], [0.2, 3.0], [1.0, 2.0], [0.9, 0.0]])
    >>> linear_probe((X, torch.tensor([0, 0, 1, 1])), X).predictions
    tensor([0, 0, 1, 1])
    """
    from sklearn.linear_model import RidgeClassifierCV  # a second, for those who probe
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = split_labels(train)
    queries, labels = split_labels(test)
    if y is None or len(y.unique()) < 2:
        msg = "A probe needs training embeddings with labels of two classes at least."
        raise SettingsError(msg)
    if X.shape[1] != queries.shape[1]:
        msg = (
            "train and test must have the same number of features, got "
            f"{tuple(X.shape)} and {tuple(queries.shape)}."
        )
        raise ShapeError(msg)
    # A sample that is alone in its class cannot be predicted from the others: if all are,
    # every accuracy is 0, and the squared error (scikit-learn's default) has to decide.
    scoring = "accuracy" if y.bincount().max() > 1 else None
    ridge = RidgeClassifierCV(np.logspace(-2, 6, 17), scoring=scoring)
    probe = make_pipeline(StandardScaler(), ridge).fit(X.double().numpy(), y.numpy())
    predictions = torch.from_numpy(probe.predict(queries.double().numpy()))
    right = None if labels is None else (predictions == labels).double().mean().item()
    return LinearProbe(predictions=predictions, accuracy=right, alpha=float(ridge.alpha_))


@dataclass(frozen=True, eq=False, kw_only=True)
class HeadFit:
    """A head that was trained on embeddings.

    Parameters
    ----------
    head : Module
        In evaluation mode, on the CPU. It takes embeddings as they are, so it can stand
        where the head of the backbone stood; see `put_head`.
    history : History
        Its training, epoch by epoch.
    """

    head: nn.Module
    history: History

    def accuracy(self, test: Embeddings) -> float:
        """Return the share of samples whose largest logit is that of their label."""
        if test.labels is None:
            msg = "An accuracy needs samples with labels, got none."
            raise DataError(msg)
        first = _first_layer(self.head)
        if test.n_features != first.in_features:
            msg = (
                f"The head takes {first.in_features} features, got {test.n_features}. Embed "
                "with the same model and layer as for training."
            )
            raise ShapeError(msg)
        with torch.no_grad():
            found = self.head(test.embeddings).argmax(dim=1)
        return (found == test.labels).float().mean().item()


def fit_head(
    train: Embeddings,
    *,
    hidden: Sequence[int] = (),
    n_epochs: int = 20,
    lr: float = 3e-3,
    seed: int,
) -> HeadFit:
    """Return a head that was trained on embeddings, as on a frozen backbone.

    As the backbone is frozen, each image has one embedding, whatever the epoch. So it is
    computed once, and an epoch takes milliseconds.

    Parameters
    ----------
    train : Embeddings
        With labels.
    hidden : sequence of int
        Outputs of layers before the last one, each followed by a ReLU.
    n_epochs : int, default=20
    lr : float, default=3e-3
        The highest learning rate; a quarter into the training it is reached, at the end it
        is near zero.
    seed : int
        Decides the first weights and the order.

    Examples
    --------
    >>> train = Embeddings(embeddings=torch.eye(4), labels=torch.arange(4) % 2)
    >>> fit_head(train, n_epochs=40, lr=0.1, seed=0).accuracy(train)
    1.0
    """
    if train.labels is None or not len(train):
        msg = "A head needs embeddings with labels, got none."
        raise DataError(msg)
    batch_size = min(64, max(4, len(train) // 16))  # 16 steps an epoch, of few samples too
    n_steps = n_epochs * -(-len(train) // batch_size)
    n_rising = max(1, n_steps // 4)

    def share_of_rate(step: int) -> float:
        falling = max(0, step - n_rising) / max(1, n_steps - n_rising)
        return min(1.0, (step + 1) / n_rising) * (1 + math.cos(math.pi * falling)) / 2

    scale = _Standardize(train.embeddings.double())
    with seeded(seed, "head"):
        head = _build((train.n_features, *hidden, train.n_classes))
        # The decay is strong because features are many and labels few; weights of
        # standardized features are of one size, so that it is fair to all of them.
        optimizer = torch.optim.AdamW(head.parameters(), lr=lr, weight_decay=0.1)
        trainer = Trainer(
            nn.Sequential(scale, head),
            optimizer=optimizer,
            scheduler=torch.optim.lr_scheduler.LambdaLR(optimizer, share_of_rate),
            settings=TrainSettings(scheduler_every="step", progress_bar=False),
            device="cpu",  # where so small a network is fastest
        )
        pair = train.embeddings, train.labels
        loader = make_loader(pair, batch_size=batch_size, shuffle=True, seed=seed)
        history = trainer.fit(loader, n_epochs=n_epochs)
    scale.write_into(_first_layer(head))
    return HeadFit(head=head.eval(), history=history)


class _Standardize(nn.Module):
    """Brings features to mean 0 and deviation 1."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        mean = rows.mean(dim=0)
        deviation = (rows - mean).square().mean(dim=0).sqrt()
        is_constant = deviation <= 1e-6 * mean.abs()  # it keeps its place
        if is_constant.all():
            msg = (
                f"All {len(rows)} training embeddings are equal, so a head can learn nothing "
                "from them. Look at the model's weights, and at the layer that was taken."
            )
            raise DataError(msg)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation.masked_fill(is_constant, 1.0))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean.float()) / self.deviation.float()

    @torch.no_grad()
    def write_into(self, layer: nn.Linear) -> None:
        """Make `layer` give for features what it gave for standardized ones."""
        weight = layer.weight.double() / self.deviation
        bias = layer.bias.double() - weight @ self.mean
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)


def _build(sizes: Sequence[int]) -> nn.Module:
    layers: list[nn.Module] = []
    for n_inputs, n_outputs in pairwise(sizes):
        layers += [nn.Linear(n_inputs, n_outputs), nn.ReLU()]
    layers.pop()  # the last layer makes logits
    return layers[0] if len(layers) == 1 else nn.Sequential(*layers)


def _first_layer(head: nn.Module) -> nn.Linear:
    """Return the layer that takes the embeddings."""
    return next(layer for layer in head.modules() if isinstance(layer, nn.Linear))
