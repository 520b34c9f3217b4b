"""The package's own transforms, for every image of a batch by its own draws.

Images are float, of shape (n_images, channels, height, width), and may be changed in place.
"""

import torch
from torch import Tensor
from torchvision.transforms import v2

from coursekit.transforms.batch_geometry import crop_windows
from coursekit.transforms.batch_rows import Numbers, change_rows
from coursekit.transforms.noise import RandomQuarterTurn, RandomShift

__all__ = ["draw_shift", "draw_turns", "shift", "turn"]


def draw_turns(transform: RandomQuarterTurn, n_images: int, images: Tensor) -> Numbers:
    """Draw a number of quarter turns for each image."""
    transform.make_params([images])  # refuses what is not square
    return (torch.randint(0, 4, (n_images,)),)


def turn(transform: RandomQuarterTurn, images: Tensor, n_turns: Tensor) -> Tensor:
    """Turn each image counterclockwise."""
    del transform
    for turns in (1, 2, 3):
        change_rows(images, n_turns == turns, lambda part, turns=turns: _turn_(part, turns))
    return images


def draw_shift(transform: RandomShift, n_images: int, images: Tensor) -> Numbers:
    """Draw at which row and column of the padded image each window begins."""
    transform.make_params([images])  # refuses what is too small
    tops, lefts = torch.randint(0, 2 * transform.max_pixels + 1, (2, n_images))
    return tops, lefts


def shift(transform: RandomShift, images: Tensor, tops: Tensor, lefts: Tensor) -> Tensor:
    """Shift each image; what comes in at the border is mirrored."""
    padding, size = [transform.max_pixels] * 4, tuple(images.shape[-2:])
    padded = v2.functional.pad(images, padding, padding_mode=transform.padding_mode)
    return crop_windows(padded, tops, lefts, size)


def _turn_(images: Tensor, n_turns: int) -> None:
    images.copy_(images.rot90(n_turns, dims=(-2, -1)).contiguous())
