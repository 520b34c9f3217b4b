"""The images of one epoch, read one by one, each transformed by draws of its own.

Nothing here knows in which order they are read, or by which process.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from coursekit.datasets.imageset import ImageSet
from coursekit.errors import ShapeError
from coursekit.seeds import derive_seed

__all__ = ["Empty", "EpochImages", "all_seeded", "stack"]


class Empty(int):
    """The index of an image that only lends its shape to an empty batch."""


class EpochImages(Dataset):
    """The images of one epoch, each transformed by draws of its own."""

    def __init__(
        self, image_set: ImageSet, transform: Callable | None, seed: int, epoch: int
    ) -> None:
        self.image_set, self.transform = image_set, transform
        self.seed, self.epoch = seed, epoch

    def __getitem__(self, index: int) -> tuple[Tensor, int, bool]:
        image = np.asarray(self.image_set.images[index])
        pixels = torch.from_numpy(image.transpose(2, 0, 1).copy()).float().div_(255)
        if self.transform is not None:
            with all_seeded(self.seed, "image", self.epoch, int(index)):
                pixels = self.transform(pixels)
        return pixels, int(self.image_set.labels[index]), isinstance(index, Empty)


def stack(samples: list[tuple[Tensor, int, bool]]) -> tuple[Tensor, Tensor]:
    """Make one batch of the images that `EpochImages` gives.

    Raises
    ------
    ShapeError
        If they differ in size.
    """
    shapes = sorted({tuple(image.shape) for image, _, _ in samples})
    if len(shapes) > 1:
        msg = (
            f"One batch needs images of one size, got {len(shapes)} sizes from {shapes[0]} to "
            f"{shapes[-1]}. Pass image_size= when the set is loaded, or a transform that resizes."
        )
        raise ShapeError(msg)
    images = torch.stack([image for image, _, _ in samples])
    labels = torch.tensor([label for _, label, _ in samples])
    return (images[:0], labels[:0]) if samples[0][2] else (images, labels)


@contextmanager
def all_seeded(*parts: int | str) -> Iterator[None]:
    """Seed the generators that transforms may use (torch, NumPy, Python), then restore."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    seed = derive_seed(*parts)
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])
