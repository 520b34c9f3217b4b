"""Change the colors of every image of a batch by its own draws.

The parameters are those of torchvision's transforms and mean the same. Images are float, from
0 to 1, of shape (n_images, 1 or 3, height, width), and are changed in place.
"""

import torch
from torch import Tensor
from torchvision.transforms import v2

from coursekit.errors import ShapeError
from coursekit.transforms.batch_rows import change_rows, draw_chosen, draw_uniform

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
    for place in range(len(ranges)):
        for number, (change, _) in enumerate(ranges):
            rows = (order[:, place] == number).nonzero()[:, 0]
            change_rows(images, rows, change, factors[number][:, None, None, None])
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
    images.mul_(factor).add_(mean * (1 - factor)).clamp_(0, 1)


def change_saturation_(images: Tensor, factor: Tensor) -> None:
    """Stretch the distance from each pixel's own gray by `factor`."""
    gray = _gray(images).mul_(1 - factor)
    images.mul_(factor).add_(gray).clamp_(0, 1)


def change_hue_(images: Tensor, shift: Tensor) -> None:
    """Turn the hue by `shift` of the color circle, keeping value and saturation.

    Notes
    -----
    A color is its smallest channel m, its chroma c (largest minus smallest) and its place h
    on a circle of length 6, with red at 0, green at 2, blue at 4. Each channel is m + c times
    a trapezoid of its distance to h, so no table of six cases is needed.
    """
    red, green, blue = images.unbind(1)
    largest = torch.maximum(torch.maximum(red, green), blue)
    smallest = torch.minimum(torch.minimum(red, green), blue)
    chroma = largest - smallest
    if_red, if_green, if_blue = green - blue, blue - red, red - green
    at_red, at_green = largest == red, largest == green
    divisor = torch.where(chroma == 0, 1, chroma)
    place = torch.where(at_red, if_red, torch.where(at_green, if_green, if_blue))
    place.div_(divisor)
    place.add_(torch.where(at_red, 0.0, torch.where(at_green, 2.0, 4.0)))
    place.add_(6 * shift[:, 0])
    place.sub_((place / 6).floor_().mul_(6))  # in [0, 6)
    _trapezoid(place, 3.0, red).sub_(1).clamp_(0, 1).mul_(chroma).add_(smallest)
    for channel, center in ((green, 2.0), (blue, 4.0)):
        _trapezoid(place, center, channel).neg_().add_(2).clamp_(0, 1)
        channel.mul_(chroma).add_(smallest)


def _trapezoid(place: Tensor, center: float, out: Tensor) -> Tensor:
    return torch.sub(place, center, out=out).abs_()


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
