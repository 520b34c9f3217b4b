"""Test-time augmentation: predict several views of each image and average the votes.

Nothing here knows about models: a function that predicts a batch is given.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from coursekit.errors import SettingsError, ShapeError
from coursekit.seeds import seeded

__all__ = ["EIGHT_SYMMETRIES", "FLIPS", "Votes", "average_views", "random_views"]

View = Callable[[Tensor], Tensor]


def _symmetry(n_turns: int, *, is_flipped: bool) -> View:
    def view(images: Tensor) -> Tensor:
        images = images.flip(-1) if is_flipped else images
        return images.rot90(n_turns, dims=(-2, -1))

    return view


FLIPS: tuple[View, ...] = tuple(_symmetry(0, is_flipped=flip) for flip in (False, True))
"""The image and its mirror image."""

EIGHT_SYMMETRIES: tuple[View, ...] = tuple(
    _symmetry(turns, is_flipped=flip) for flip in (False, True) for turns in range(4)
)
"""The image and its mirror image, each turned by 0, 90, 180 and 270 degrees."""


@dataclass(frozen=True, eq=False)
class Votes:
    """The answer of `average_views`.

    Parameters
    ----------
    probabilities : Tensor of shape (n_images, n_classes)
        The average over the views.
    by_view : Tensor of shape (n_views, n_images, n_classes)
        Probabilities of each view.
    """

    probabilities: Tensor
    by_view: Tensor

    @property
    def labels(self) -> Tensor:
        """The class with the highest average, of shape (n_images,)."""
        return self.probabilities.argmax(1)

    def __repr__(self) -> str:
        n_views, n_images, n_classes = self.by_view.shape
        return f"Votes({n_views} views of {n_images} images, {n_classes} classes)"


def average_views(
    predict: Callable[[Tensor], Tensor],
    images: Tensor,
    views: Iterable[View] = FLIPS,
    *,
    gives: Literal["logits", "probabilities"] = "logits",
    average: Literal["probabilities", "logits", "votes"] = "probabilities",
) -> Votes:
    """Predict every view of `images` and return the average.

    Parameters
    ----------
    predict : callable
        From images (n_images, channels, height, width) to logits or probabilities of shape
        (n_images, n_classes), such as ``lambda x: trainer.predict([x])``.
    images : Tensor of shape (n_images, channels, height, width)
    views : iterable of callables, default=FLIPS
        Each makes a batch of changed images: `FLIPS`, `EIGHT_SYMMETRIES`, `random_views`.
    gives : {"logits", "probabilities"}, default="logits"
        What `predict` returns.
    average : {"probabilities", "logits", "votes"}, default="probabilities"
        What is averaged: the probabilities; their logarithms, so that a view that rules a
        class out counts more; or one vote for each view's best class.

    Returns
    -------
    Votes
        Average and single probabilities.

    Raises
    ------
    SettingsError
        If there is no view, an option is unknown, or what should be probabilities is not.
    ShapeError
        If `predict` does not return one row for each image.

    References
    ----------
    .. [1] Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional
       Neural Networks", NeurIPS 2012, sec. 4.1 (the average of ten crops and mirror images).

    Examples
    --------
    >>> images = torch.rand(2, 3, 4, 4)
    >>> def left_is_brighter(x):
    ...     return x[..., :2].mean((1, 2, 3))[:, None] * torch.tensor([1.0, 0.0])
    >>> average_views(left_is_brighter, images).by_view.shape
    torch.Size([2, 2, 2])
    """
    _check_options(gives, average)
    rows = [_as_probabilities(predict(view(images)), len(images), gives) for view in views]
    if not rows:
        msg = "views must hold at least one view, got none. Pass FLIPS, for example."
        raise SettingsError(msg)
    by_view = torch.stack(rows)
    if average == "votes":
        votes = torch.nn.functional.one_hot(by_view.argmax(2), by_view.shape[2])
        return Votes(votes.to(by_view).mean(0), by_view)
    if average == "logits":
        tiny = torch.finfo(by_view.dtype).tiny
        return Votes(by_view.clamp(min=tiny).log().mean(0).softmax(1), by_view)
    return Votes(by_view.mean(0), by_view)


def random_views(transform: View, *, n_views: int, seed: int) -> list[View]:
    """Return views that apply a random transform, each with draws of its own.

    Parameters
    ----------
    transform : callable
        From a batch to a batch, such as `PerImage`.
    n_views : int
        At least 1.
    seed : int
        Decides all draws: a view does the same every time.

    Returns
    -------
    list of callables

    Raises
    ------
    SettingsError
        If `n_views` is below 1.

    Examples
    --------
    >>> views = random_views(lambda x: x + torch.rand(1), n_views=2, seed=0)
    >>> bool(views[0](torch.zeros(1)) == views[0](torch.zeros(1)))
    True
    """
    if n_views < 1:
        msg = f"n_views must be at least 1, got {n_views}."
        raise SettingsError(msg)

    def make(number: int) -> View:
        def view(images: Tensor) -> Tensor:
            with seeded(seed, "view", number):
                return transform(images)

        return view

    return [make(number) for number in range(n_views)]


def _check_options(gives: str, average: str) -> None:
    choices: Sequence[tuple[str, str, tuple[str, ...]]] = (
        ("gives", gives, ("logits", "probabilities")),
        ("average", average, ("probabilities", "logits", "votes")),
    )
    for name, value, allowed in choices:
        if value not in allowed:
            listed = ", ".join(map(repr, allowed))
            msg = f"{name} must be one of {listed}, got {value!r}."
            raise SettingsError(msg)


def _as_probabilities(outputs: Tensor, n_images: int, gives: str) -> Tensor:
    if outputs.ndim != 2 or len(outputs) != n_images:
        msg = (
            f"predict must return one row for each of the {n_images} images, shape (n_images, "
            f"n_classes), got {tuple(outputs.shape)}."
        )
        raise ShapeError(msg)
    outputs = outputs.detach().float()
    if gives == "logits":
        return outputs.softmax(1)
    sums = outputs.sum(1)
    if outputs.min() < 0 or not torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        msg = (
            "Probabilities lie in 0 .. 1 and sum to 1 in each row, got values from "
            f"{outputs.min():.3g} and sums from {sums.min():.3g} to {sums.max():.3g}. If "
            "predict gives logits, pass gives='logits'."
        )
        raise SettingsError(msg)
    return outputs
