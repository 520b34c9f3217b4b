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
    Numbers,
    change_rows,
    draw_chosen,
    draw_uniform,
    is_large,
)

__all__ = ["draw_chosen_images", "draw_jitter", "gray", "invert", "jitter"]

_GRAY = (0.2989, 0.587, 0.114)  # torchvision's weights of red, green and blue


def draw_jitter(transform: v2.ColorJitter, n_images: int, images: Tensor) -> Numbers:
    """Draw the order of the changes and by how much each is made, (n_images, n_changes)."""
    _check_channels(images)
    ranges = [getattr(transform, name) for name in _names(transform, images)]
    order = torch.rand(n_images, len(ranges)).argsort(1)
    factors = [draw_uniform(n_images, *limits, like=images) for limits in ranges]
    empty = [images.new_empty(n_images, 0)]
    return order, torch.cat(empty + [factor[:, None] for factor in factors], dim=1)


def jitter(
    transform: v2.ColorJitter, images: Tensor, order: Tensor, factors: Tensor
) -> Tensor:
    """Change brightness, contrast, saturation and hue of each image in its own order."""
    changes = [_CHANGES[name] for name in _names(transform, images)]
    by_change = [factor[:, None, None, None] for factor in factors.unbind(1)]
    if is_large(images):
        for row, numbers in enumerate(order.tolist()):
            for number in numbers:
                changes[number](images[row : row + 1], by_change[number][row : row + 1])
        return images
    for place, number in product(range(len(changes)), repeat=2):
        chosen = order[:, place] == number
        change_rows(images, chosen, changes[number], by_change[number])
    return images


def draw_chosen_images(
    transform: v2.RandomGrayscale | v2.RandomInvert, n_images: int, images: Tensor
) -> Numbers:
    """Draw which images are changed."""
    _check_channels(images)
    return (draw_chosen(n_images, transform.p),)


def gray(transform: v2.RandomGrayscale, images: Tensor, chosen: Tensor) -> Tensor:
    """Take the colors from the chosen images."""
    del transform
    if images.shape[1] == 3:
        change_rows(images, chosen, lambda part: part.copy_(_gray(part)))
    return images


def invert(transform: v2.RandomInvert, images: Tensor, chosen: Tensor) -> Tensor:
    """Make negatives of the chosen images."""
    del transform
    change_rows(images, chosen, lambda part: part.neg_().add_(1))
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


def _names(transform: v2.ColorJitter, images: Tensor) -> list[str]:
    """Return what is changed; gray images have neither saturation nor hue."""
    names = list(_CHANGES)[: 4 if images.shape[1] == 3 else 2]
    return [name for name in names if getattr(transform, name) is not None]


_CHANGES = {
    "brightness": change_brightness_,
    "contrast": change_contrast_,
    "saturation": change_saturation_,
    "hue": change_hue_,
}
