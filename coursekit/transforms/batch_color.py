"""Change the colors of every image of a batch by its own draws.

The parameters are those of torchvision's transforms and mean the same. Images are float, from
0 to 1, of shape (n_images, 1 or 3, height, width), and are changed in place.
"""

from itertools import product

import torch
from torch import Tensor
from torchvision.transforms import v2

from coursekit.errors import ShapeError
from coursekit.transforms.batch_rows import (
    change_rows,
    draw_chosen,
    draw_uniform,
    is_large,
)

__all__ = [
    "change_hue_",
    "gray_each",
    "invert_each",
    "jitter_each",
]

_GRAY = (0.2989, 0.587, 0.114)  # torchvision's weights of red, green and blue


def jitter_each(transform: v2.ColorJitter, images: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue, in an order drawn for each image."""
    _check_channels(images)
    ranges = [
        (change_brightness_, transform.brightness),
        (change_contrast_, transform.contrast),
        (change_saturation_, transform.saturation),
        (change_hue_, transform.hue),
    ]
    ranges = [(change, limits) for change, limits in ranges if limits is not None]
    if images.shape[1] == 1:  # gray has neither saturation nor hue
        ranges = [pair for pair in ranges if pair[0] not in _OF_COLOR]
    n_images = len(images)
    order = torch.rand(n_images, len(ranges)).argsort(1)  # (n_images, n_changes)
    factors = [draw_uniform(n_images, *limits, like=images) for _, limits in ranges]
    changes = [change for change, _ in ranges]
    factors = [factor[:, None, None, None] for factor in factors]
    if is_large(images):  # all changes of an image while it is in the cache
        for row, numbers in enumerate(order.tolist()):
            for number in numbers:
                changes[number](images[row : row + 1], factors[number][row : row + 1])
        return images
    for place, number in product(range(len(changes)), repeat=2):
        rows = (order[:, place] == number).nonzero()[:, 0]
        change_rows(images, rows, changes[number], factors[number])
    return images


def gray_each(transform: v2.RandomGrayscale, images: Tensor) -> Tensor:
    """Take the colors from some images."""
    _check_channels(images)
    rows = draw_chosen(len(images), transform.p)
    if images.shape[1] == 3:
        change_rows(images, rows, lambda part: part.copy_(_gray(part)))
    return images


def invert_each(transform: v2.RandomInvert, images: Tensor) -> Tensor:
    """Make negatives of some images."""
    rows = draw_chosen(len(images), transform.p)
    change_rows(images, rows, lambda part: part.neg_().add_(1))
    return images


def change_brightness_(images: Tensor, factor: Tensor) -> None:
    """Multiply by `factor`, of shape (n_images, 1, 1, 1)."""
    images.mul_(factor).clamp_(0, 1)


def change_contrast_(images: Tensor, factor: Tensor) -> None:
    """Stretch the distance from the mean gray by `factor`."""
    mean = _gray(images.mean((-2, -1), keepdim=True))
    images.mul_(factor).add_(mean.mul_(1 - factor)).clamp_(0, 1)  # lerp is ten times slower


def change_saturation_(images: Tensor, factor: Tensor) -> None:
    """Stretch the distance from each pixel's own gray by `factor`."""
    gray = _gray(images).mul_(1 - factor)
    images.mul_(factor).add_(gray).clamp_(0, 1)


def change_hue_(images: Tensor, shift: Tensor) -> None:
    """Turn the hue by `shift` of the color circle, keeping value and saturation.

    Notes
    -----
    A color is its smallest channel m, its chroma c (largest minus smallest) and its place h
    on a circle of length 6, with red at 0, green at 2, blue at 4. The way from red is, in
    units of c, largest + green + blue - red - 2 m, upwards if there is more green than
    blue. Back again, green is m + c (2 - t) with t the distance of h from 2, but at least 1
    and at most 2; so is blue, with 4; red is m + c (t - 1) with the distance from 3. So no
    table of six cases is needed.
    """
    red, green, blue = images.unbind(1)
    largest = torch.maximum(torch.maximum(red, green), blue)
    smallest = torch.minimum(torch.minimum(red, green), blue)
    chroma = largest - smallest
    place = largest.add_(green).add_(blue).sub_(red).sub_(smallest, alpha=2)
    place.copysign_(green - blue)
    turn = (shift[:, 0] + 1).expand_as(place)  # so that the sum is positive
    place = torch.addcdiv(turn, place, chroma.clamp(min=1e-20), value=1 / 6)
    place.frac_().mul_(6)
    _distance(place, 3, out=red)
    _distance(place, 2, out=green)
    _distance(place, 4, out=blue)
    torch.addcmul(smallest - chroma, chroma, red, out=red)
    above = smallest.add_(chroma, alpha=2)
    torch.addcmul(above, chroma, green, value=-1, out=green)
    torch.addcmul(above, chroma, blue, value=-1, out=blue)


def _distance(place: Tensor, center: float, *, out: Tensor) -> None:
    torch.sub(place, center, out=out).abs_().clamp_(1, 2)


def _gray(images: Tensor) -> Tensor:
    """Return the brightness of each pixel, of shape (n_images, 1, height, width)."""
    if images.shape[1] == 1:
        return images.clone()
    red, green, blue = images.split(1, dim=1)
    gray = red * _GRAY[0]
    return gray.add_(green, alpha=_GRAY[1]).add_(blue, alpha=_GRAY[2])


def _check_channels(images: Tensor) -> None:
    if images.shape[1] not in (1, 3):
        msg = (
            "Colors can be changed in images of 1 or 3 channels, got a batch of shape "
            f"{tuple(images.shape)}. Channels come second: images.permute(0, 3, 1, 2)."
        )
        raise ShapeError(msg)


_OF_COLOR = (change_saturation_, change_hue_)
