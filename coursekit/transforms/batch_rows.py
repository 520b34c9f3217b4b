"""Draw for every image of a batch, and change some of its rows.

A transform on batches is a pair of functions. The first draws numbers for all images, one row
for each: ``draw(transform, n_images, images)``, where `images` may be only the first of them.
The second changes images by their rows: ``apply(transform, images, *rows)``.

All numbers come from torch's global generator on the CPU, as in torchvision, so that a seed
set outside decides them on any device. Nothing here knows what the numbers are for.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

__all__ = [
    "Numbers",
    "change_rows",
    "cut",
    "draw_box_sizes",
    "draw_chosen",
    "draw_offsets",
    "draw_uniform",
    "is_large",
]

Numbers = tuple[Tensor, ...]
"""What was drawn, one row for each image."""

_N_TRIES = 10  # as torchvision's transforms that look for a box
_PIECE = 3 << 16  # numbers in images that are computed together
_LARGE = 3 * 96 * 96  # numbers in an image from which copies cost more than calls


def draw_uniform(n_images: int, low: float, high: float, *, like: Tensor) -> Tensor:
    """Return one number for each image, of shape (n_images,), between `low` and `high`."""
    return torch.empty(n_images).uniform_(low, high).to(like)


def draw_chosen(n_images: int, p: float) -> Tensor:
    """Return for each image whether it is chosen, with probability `p`."""
    return torch.rand(n_images) < p


def draw_offsets(room: Tensor) -> Tensor:
    """Return one whole number for each of `room`, from 0 to it."""
    return (torch.rand(len(room)) * (room + 1)).long().minimum(room)


def draw_box_sizes(
    n_images: int,
    size: tuple[int, int],
    *,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    fits: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw areas and aspect ratios until a box fits, at most ten times for each image.

    Parameters
    ----------
    n_images : int
    size : (height, width)
        Of the images.
    scale : (low, high)
        Share of the area.
    ratio : (low, high)
        First side over second side; its logarithm is uniform.
    fits : callable
        From first and second sides, in pixels, to whether such a box is allowed.

    Returns
    -------
    first, second : Tensor of shape (n_images,), int64
    found : Tensor of shape (n_images,), bool
        Whether one of the ten fitted. Where none did, the sides mean nothing.
    """
    shape = (n_images, _N_TRIES)
    area = torch.empty(shape).uniform_(*scale) * (size[0] * size[1])
    log_low, log_high = torch.tensor(ratio).log().tolist()
    aspect = torch.empty(shape).uniform_(log_low, log_high).exp()
    first = (area * aspect).sqrt().round().long()
    second = (area / aspect).sqrt().round().long()
    allowed = fits(first, second)
    pick = allowed.int().argmax(1, keepdim=True)  # the first that fits
    return first.gather(1, pick)[:, 0], second.gather(1, pick)[:, 0], allowed.any(1)


def change_rows(
    images: Tensor,
    chosen: Tensor,
    change: Callable[..., None],
    *numbers: Tensor,
) -> None:
    """Call ``change(part, *numbers)``, which works in place, on some rows of `images`.

    Parameters
    ----------
    images : Tensor of shape (n_images, channels, height, width)
        Changed in place.
    chosen : Tensor of shape (n_images,), bool, on the CPU
    change : callable
    *numbers : Tensor of shape (n_images, ...)
        Of which `change` gets the same rows.
    """
    rows = chosen.nonzero()[:, 0]
    if len(rows) == len(images):
        change(images, *numbers)
    elif is_large(images):
        for row in rows.tolist():
            change(images[row : row + 1], *(n[row : row + 1] for n in numbers))
    elif len(rows):
        rows = rows.to(images.device)
        part = images[rows]
        change(part, *(n[rows] for n in numbers))
        images[rows] = part


def is_large(images: Tensor) -> bool:
    """Return whether single images are worth a call each."""
    return images.shape[1:].numel() >= _LARGE


def cut(images: Tensor, *numbers: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield pieces of `images`, with their rows of `numbers`, that stay in a CPU's cache."""
    size = max(len(images), 1)
    if images.device.type == "cpu":
        size = max(1, _PIECE // max(images.shape[1:].numel(), 1))
    return zip(images.split(size), *(n.split(size) for n in numbers), strict=True)
