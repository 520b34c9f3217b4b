"""The package's own transforms, for every image of a batch by its own draws.

Images are float, of shape (n_images, channels, height, width), and may be changed in place.
"""

import torch
from torch import Tensor
from torchvision.transforms import v2

from coursekit.transforms.batch_geometry import crop_windows
from coursekit.transforms.batch_rows import change_rows
from coursekit.transforms.noise import RandomQuarterTurn, RandomShift

__all__ = ["shift_each", "turn_each"]


def turn_each(transform: RandomQuarterTurn, images: Tensor) -> Tensor:
    """Turn each image by a number of quarter turns of its own."""
    transform.make_params([images])  # refuses what is not square
    n_turns = torch.randint(0, 4, (len(images),))
    for turns in (1, 2, 3):
        rows = (n_turns == turns).nonzero()[:, 0]
        change_rows(images, rows, lambda part, turns=turns: _turn_(part, turns))
    return images


def _turn_(images: Tensor, n_turns: int) -> None:
    images.copy_(images.rot90(n_turns, dims=(-2, -1)).contiguous())


def shift_each(transform: RandomShift, images: Tensor) -> Tensor:
    """Shift each image by numbers of pixels of its own."""
    transform.make_params([images])  # refuses what is too small
    most, size = transform.max_pixels, tuple(images.shape[-2:])
    padded = v2.functional.pad(images, [most] * 4, padding_mode=transform.padding_mode)
    tops, lefts = torch.randint(0, 2 * most + 1, (2, len(images)))
    return crop_windows(padded, tops, lefts, size)
