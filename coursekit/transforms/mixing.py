"""Mix the images of a batch in pairs, and their labels by the same shares.

Nothing here knows about loaders or losses: images and labels go in, mixed images and the
probability of each class come out.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import default_collate

from coursekit.errors import DataError, SettingsError, ShapeError

__all__ = ["CutMix", "MixUp"]


class _Mix(nn.Module):
    """What both have in common: pairs, shares and labels."""

    def __init__(self, *, n_classes: int, alpha: float, p: float) -> None:
        super().__init__()
        if n_classes < 1:
            msg = f"n_classes must be at least 1, got {n_classes}."
            raise SettingsError(msg)
        if not alpha > 0:
            msg = f"alpha must be positive, got {alpha}."
            raise SettingsError(msg)
        if not 0 <= p <= 1:
            msg = f"p must be between 0 and 1, got {p}."
            raise SettingsError(msg)
        self.n_classes, self.alpha, self.p = n_classes, alpha, p

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"n_classes={self.n_classes}, alpha={self.alpha}, p={self.p}"

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mixed images and the probability of each class.

        Parameters
        ----------
        images : Tensor of shape (n_images, channels, height, width), float
        labels : Tensor of shape (n_images,) or (n_images, n_classes)
            Classes, or the probability of each.

        Returns
        -------
        images : Tensor of shape (n_images, channels, height, width)
        probabilities : Tensor of shape (n_images, n_classes), float32
        """
        self._check(images, labels)
        n_images = len(images)
        if labels.ndim == 1:
            labels = F.one_hot(labels, self.n_classes).float()
        beta = torch.distributions.Beta(self.alpha, self.alpha)
        share = beta.sample((n_images,)).clamp_(0, 1)
        share[torch.rand(n_images) >= self.p] = 1
        partners = torch.randperm(n_images)
        return self._mix(images, labels, share.to(images), partners.to(images.device))

    def collate(self, samples: Sequence[tuple[Tensor, Any]]) -> tuple[Tensor, Tensor]:
        """Return the mixed batch of `samples`: the ``collate_fn`` of a torch DataLoader.

        Parameters
        ----------
        samples : sequence of (image, label)
            Images of shape (channels, height, width), all of one size.

        Returns
        -------
        images : Tensor of shape (n_images, channels, height, width)
        probabilities : Tensor of shape (n_images, n_classes), float32

        Raises
        ------
        ShapeError
            If the images differ in size.
        """
        shapes = sorted({tuple(image.shape) for image, _ in samples})
        if len(shapes) > 1:
            msg = (
                f"Only images of one size can be mixed, got {len(shapes)} sizes from "
                f"{shapes[0]} to {shapes[-1]}. Resize them in the data set's transform."
            )
            raise ShapeError(msg)
        return self(*default_collate(list(samples)))

    def _mix(
        self, images: Tensor, labels: Tensor, share: Tensor, partners: Tensor
    ) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def _check(self, images: Tensor, labels: Tensor) -> None:
        if images.ndim != 4 or len(images) != len(labels):
            msg = (
                "Mixing takes images (n_images, channels, height, width) and one label each, "
                f"got {tuple(images.shape)} and {tuple(labels.shape)}."
            )
            raise ShapeError(msg)
        if not images.is_floating_point():
            msg = (
                f"Mixed images lie between two others and need floats, got {images.dtype}. "
                "Convert them: images.float() / 255."
            )
            raise DataError(msg)
        if labels.ndim == 2 and labels.shape[1] == self.n_classes:
            return
        if labels.ndim != 1:
            msg = (
                f"labels must be of shape (n_images,) or (n_images, {self.n_classes}), got "
                f"{tuple(labels.shape)}."
            )
            raise ShapeError(msg)
        if len(labels) and not 0 <= labels.min() <= labels.max() < self.n_classes:
            msg = (
                f"Labels must lie in 0 .. {self.n_classes - 1}, got {labels.min()} .. "
                f"{labels.max()}. Check n_classes."
            )
            raise DataError(msg)


class MixUp(_Mix):
    """Blend each image, and its label, with those of another image of the batch.

    Parameters
    ----------
    n_classes : int
        Columns of the probabilities.
    alpha : float, default=0.2
        Shares are drawn from Beta(alpha, alpha): small values leave most images nearly pure.
    p : float, default=1.0
        Probability of an image to be blended.

    Raises
    ------
    SettingsError
        If a number is out of range.
    ShapeError, DataError
        When called with images and labels that do not fit together.

    Notes
    -----
    The share is drawn for each image, from torch's global generator; torchvision's `MixUp`
    draws one for the batch. Labels become probabilities, which `CrossEntropyLoss` and the
    trainer's accuracy take as they are. Validate on unmixed images.

    References
    ----------
    .. [1] Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: Beyond Empirical Risk Minimization",
       ICLR 2018, sec. 2. https://arxiv.org/abs/1710.09412

    Examples
    --------
    >>> images, labels = torch.rand(4, 3, 8, 8), torch.arange(4)
    >>> _, probabilities = MixUp(n_classes=4)(images, labels)
    >>> torch.allclose(probabilities.sum(1), torch.ones(4))
    True
    """

    def __init__(self, *, n_classes: int, alpha: float = 0.2, p: float = 1.0) -> None:
        super().__init__(n_classes=n_classes, alpha=alpha, p=p)

    def _mix(
        self, images: Tensor, labels: Tensor, share: Tensor, partners: Tensor
    ) -> tuple[Tensor, Tensor]:
        mixed = torch.lerp(images[partners], images, share[:, None, None, None])
        return mixed, torch.lerp(labels[partners], labels, share.to(labels)[:, None])


class CutMix(_Mix):
    """Paste a box of another image of the batch into each image; labels follow its area.

    Parameters
    ----------
    n_classes : int
        Columns of the probabilities.
    alpha : float, default=1.0
        Shares of the area that is kept are drawn from Beta(alpha, alpha).
    p : float, default=1.0
        Probability of an image to get a box.

    Raises
    ------
    SettingsError
        If a number is out of range.
    ShapeError, DataError
        When called with images and labels that do not fit together.

    Notes
    -----
    The box has the proportions of the image. Its middle is drawn anywhere, and what would
    lie outside is cut off, so labels are weighted by the pixels that are really there.
    Share and box are drawn for each image; torchvision's `CutMix` draws one for the batch.

    References
    ----------
    .. [1] Yun, Han, Oh, Chun, Choe and Yoo, "CutMix: Regularization Strategy to Train Strong
       Classifiers with Localizable Features", ICCV 2019, sec. 3.1.
       https://arxiv.org/abs/1905.04899

    Examples
    --------
    >>> images, labels = torch.rand(4, 3, 8, 8), torch.arange(4)
    >>> _, probabilities = CutMix(n_classes=4)(images, labels)
    >>> torch.allclose(probabilities.sum(1), torch.ones(4))
    True
    """

    def __init__(self, *, n_classes: int, alpha: float = 1.0, p: float = 1.0) -> None:
        super().__init__(n_classes=n_classes, alpha=alpha, p=p)

    def _mix(
        self, images: Tensor, labels: Tensor, share: Tensor, partners: Tensor
    ) -> tuple[Tensor, Tensor]:
        side = 0.5 * (1 - share).sqrt()  # half a side of the box, as a share of the image's
        rows = _inside(side, images.shape[2])
        columns = _inside(side, images.shape[3])
        box = (rows[:, :, None] & columns[:, None, :])[:, None]  # (n_images, 1, H, W)
        kept = 1 - box.flatten(1).to(labels.dtype).mean(1, keepdim=True)
        mixed = torch.where(box, images[partners], images)
        return mixed, torch.lerp(labels[partners], labels, kept)


def _inside(half: Tensor, size: int) -> Tensor:
    """Return which of `size` pixels lie within `half` of a place drawn for each image."""
    middle = torch.randint(0, size, (len(half),)).to(half.device)
    reach = (half * size).long()
    pixels = torch.arange(size, device=half.device)
    low, high = (middle - reach)[:, None], (middle + reach)[:, None]
    return (pixels >= low) & (pixels < high)
