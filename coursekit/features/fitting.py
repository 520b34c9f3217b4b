"""`fit_head`: train a classifier's head on embeddings that are there already.

Nothing here knows how they were computed: the backbone does not run.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from coursekit.datasets import make_loader
from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.features.embeddings import Embeddings
from coursekit.features.head_fit import HeadFit, first_layer
from coursekit.seeds import seeded
from coursekit.training import Trainer, TrainSettings

__all__ = ["fit_head"]

_ROWS = 4096  # at once, so that a matrix in a file is never read whole


def fit_head(
    train: Embeddings,
    n_classes: int | None = None,
    *,
    hidden: Sequence[int] = (),
    dropout: float = 0.0,
    validation: Embeddings | None = None,
    n_epochs: int = 20,
    batch_size: int | None = None,
    lr: float = 3e-3,
    weight_decay: float = 0.1,
    seed: int,
    device: torch.device | str = "cpu",
    progress_bar: bool = False,
) -> HeadFit:
    """Return a head that was trained on embeddings, as on a frozen backbone.

    As the backbone is frozen, each image has one embedding, whatever the epoch. So it is
    computed once, and an epoch takes milliseconds. (With augmentation, or if the backbone
    is trained too, it has not, and this does not apply.)

    Parameters
    ----------
    train : Embeddings
        With labels.
    n_classes : int, optional
        Logits of the head. By default the classes of `train`.
    hidden : sequence of int
        Outputs of the layers before the last one, each followed by a ReLU. By default the
        head is one linear layer.
    dropout : float, default=0.0
        Share of the numbers set to zero before the last layer, in training.
    validation : Embeddings, optional
        Evaluated after each epoch.
    n_epochs : int, default=20
        Passes over the training embeddings.
    batch_size : int, optional
        Samples a step. By default 64, or fewer if an epoch had less than 16 steps.
    lr : float, default=3e-3
        The highest learning rate; a quarter into the training it is reached, at the end it
        is near zero.
    weight_decay : float, default=0.1
        AdamW's.
    seed : int
        Decides the first weights, the order and the dropout.
    device : torch.device or str, default="cpu"
        Where to train. A head is small, so a GPU is not faster unless there are many
        samples.
    progress_bar : bool, default=False

    Returns
    -------
    HeadFit

    Raises
    ------
    DataError
        If there are no labels, an embedding is NaN or infinite, or all are equal.
    ShapeError
        If training and validation embeddings differ in the number of features.
    SettingsError
        If a number is out of range.

    Notes
    -----
    Features are brought to mean 0 and deviation 1 for the training; in the end this is
    written into the first layer, so the head takes embeddings as they are. Features that
    never change keep their place, and count for nothing.

    Examples
    --------
    >>> train = Embeddings(embeddings=torch.eye(4), labels=torch.arange(4) % 2)
    >>> fit_head(train, n_epochs=40, lr=0.1, seed=0).accuracy(train)
    1.0
    """
    _check(train, "train")
    n_classes = train.n_classes if n_classes is None else n_classes
    if batch_size is None:
        batch_size = min(64, max(4, len(train) // 16))
    _check_numbers(train, n_classes, hidden, dropout=dropout, batch_size=batch_size, lr=lr)
    if validation is not None:
        _check(validation, "validation")
        _check_fits(train, validation, n_classes)
    scale = _Standardize(*_mean_and_deviation(train.embeddings))
    with seeded(seed, "head"):
        head = _build((train.n_features, *hidden, n_classes), dropout)
        model = nn.Sequential(scale, head)
        optimizer = torch.optim.AdamW(head.parameters(), lr=lr, weight_decay=weight_decay)
        n_steps = n_epochs * -(-len(train) // batch_size)
        trainer = Trainer(
            model,
            optimizer=optimizer,
            scheduler=torch.optim.lr_scheduler.LambdaLR(optimizer, _course_of(n_steps)),
            settings=TrainSettings(scheduler_every="step", progress_bar=progress_bar),
            device=device,
        )
        loader = _loader(train, batch_size, shuffle=True, seed=seed)
        held_out = None if validation is None else _loader(validation, _ROWS)
        history = trainer.fit(loader, validation=held_out, n_epochs=n_epochs)
    model.cpu()
    scale.write_into(first_layer(head))
    return HeadFit(head=head.eval(), history=history, class_names=train.class_names)


def _course_of(n_steps: int) -> Callable[[int], float]:
    """Return the learning rate of each step as a share of the highest."""
    n_rising = max(1, n_steps // 4)

    def share(step: int) -> float:
        falling = max(0, step - n_rising) / max(1, n_steps - n_rising)
        return min(1.0, (step + 1) / n_rising) * (1 + math.cos(math.pi * falling)) / 2

    return share


class _Standardize(nn.Module):
    """Brings features to mean 0 and deviation 1."""

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean.float()) / self.deviation.float()

    def write_into(self, layer: nn.Linear) -> None:
        """Make `layer` give for features what it gave for standardized ones."""
        with torch.no_grad():
            weight = layer.weight.double() / self.deviation
            bias = layer.bias.double() - weight @ self.mean
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)


def _mean_and_deviation(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return both of each feature, float64; the deviation of a constant one is 1."""
    mean = sum(rows.double().sum(0) for rows in matrix.split(_ROWS)) / len(matrix)
    squares = sum((rows.double() - mean).square().sum(0) for rows in matrix.split(_ROWS))
    deviation = (squares / len(matrix)).sqrt()
    if not mean.isfinite().all():
        row = int((~matrix.isfinite().all(1)).nonzero()[0])
        msg = f"The training embedding {row} is NaN or infinite. Look at its sample."
        raise DataError(msg)
    is_constant = deviation <= 1e-6 * mean.abs()
    if is_constant.all():
        msg = (
            f"All {len(matrix)} training embeddings are equal, so a head can learn nothing "
            "from them. Look at the model's weights, and at the layer that was taken."
        )
        raise DataError(msg)
    return mean, torch.where(is_constant, 1.0, deviation)


def _build(sizes: Sequence[int], dropout: float) -> nn.Module:
    layers: list[nn.Module] = []
    for n_inputs, n_outputs in pairwise(sizes):
        layers += [nn.Linear(n_inputs, n_outputs), nn.ReLU()]
    layers.pop()  # the last layer makes logits
    if dropout:
        layers.insert(len(layers) - 1, nn.Dropout(dropout))
    return layers[0] if len(layers) == 1 else nn.Sequential(*layers)


def _loader(
    samples: Embeddings, batch_size: int, *, shuffle: bool = False, seed: int = 0
) -> object:
    pair = samples.embeddings, samples.labels
    return make_loader(pair, batch_size=batch_size, shuffle=shuffle, seed=seed)


def _check(samples: Embeddings, name: str) -> None:
    if samples.labels is None:
        msg = f"A head needs labels, but the {name} embeddings have none."
        raise DataError(msg)
    if not len(samples):
        msg = f"There is nothing to learn from: the {name} embeddings hold no sample."
        raise DataError(msg)


def _check_fits(train: Embeddings, validation: Embeddings, n_classes: int) -> None:
    if validation.n_features != train.n_features:
        msg = (
            f"Training embeddings have {train.n_features} features, validation embeddings "
            f"{validation.n_features}. Embed both with the same model and layer."
        )
        raise ShapeError(msg)
    if (most := int(validation.labels.max())) >= n_classes:
        msg = f"The head has {n_classes} classes, but a validation label is {most}."
        raise DataError(msg)


def _check_numbers(
    train: Embeddings,
    n_classes: int,
    hidden: Sequence[int],
    *,
    dropout: float,
    batch_size: int,
    lr: float,
) -> None:
    if n_classes <= int(train.labels.max()):
        msg = (
            f"n_classes must be more than the largest label, {int(train.labels.max())}, got "
            f"{n_classes}."
        )
        raise SettingsError(msg)
    if min((*hidden, batch_size)) < 1 or not 0 <= dropout < 1 or not lr > 0:
        msg = (
            "hidden and batch_size must be at least 1, dropout from 0 to below 1, lr above "
            f"0, got {tuple(hidden)}, {batch_size}, {dropout} and {lr}."
        )
        raise SettingsError(msg)
