"""Flip, turn, shift and crop every image of a batch by its own draws.

The parameters are those of torchvision's transforms and mean the same. Images are float, of
shape (n_images, channels, height, width), and may be changed in place.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import InterpolationMode, v2

from coursekit.errors import ShapeError
from coursekit.transforms.batch_rows import (
    Numbers,
    change_rows,
    cut,
    draw_chosen,
    draw_uniform,
)

__all__ = [
    "crop",
    "crop_windows",
    "draw_affine",
    "draw_crop",
    "draw_flip",
    "draw_rotation",
    "flip",
    "resample",
]


def draw_flip(
    transform: v2.RandomHorizontalFlip | v2.RandomVerticalFlip,
    n_images: int,
    images: Tensor,
) -> Numbers:
    """Draw which images are mirrored."""
    del images
    return (draw_chosen(n_images, transform.p),)


def flip(
    transform: v2.RandomHorizontalFlip | v2.RandomVerticalFlip,
    images: Tensor,
    chosen: Tensor,
) -> Tensor:
    """Mirror the chosen images left to right, or top to bottom."""
    axis = 3 if isinstance(transform, v2.RandomHorizontalFlip) else 2
    change_rows(images, chosen, lambda part: part.copy_(part.flip(axis)))
    return images


def draw_rotation(transform: v2.RandomRotation, n_images: int, images: Tensor) -> Numbers:
    """Draw an angle for each image; return the matrices."""
    angle = draw_uniform(n_images, *transform.degrees, like=images)
    zeros = torch.zeros_like(angle)
    center = _center(transform, images)
    return (_inverse_matrices(-angle, (zeros, zeros), zeros + 1, (zeros, zeros), center),)


def draw_affine(transform: v2.RandomAffine, n_images: int, images: Tensor) -> Numbers:
    """Draw angle, shift, scale and shear for each image; return the matrices."""
    height, width = images.shape[-2:]

    def draw(limits: Sequence[float] | None, otherwise: float) -> Tensor:
        low, high = limits or (otherwise, otherwise)
        return draw_uniform(n_images, low, high, like=images)

    angle = draw(transform.degrees, 0.0)
    most = transform.translate or (0.0, 0.0)
    most = (most[0] * width, most[1] * height)
    shift = tuple(draw((-pixels, pixels), 0.0).round() for pixels in most)
    scale = draw(transform.scale, 1.0)
    shear = transform.shear or (0.0, 0.0)
    shears = draw(shear[:2], 0.0), draw(shear[2:], 0.0)
    return (_inverse_matrices(angle, shift, scale, shears, _center(transform, images)),)


def resample(
    transform: v2.RandomRotation | v2.RandomAffine, images: Tensor, matrices: Tensor
) -> Tensor:
    """Read each output pixel where its image's matrix says; fill what lies outside."""
    height, width = images.shape[-2:]
    half = matrices.new_tensor([0.5 * width, 0.5 * height])
    to_x, to_y, to_one = (matrices.transpose(1, 2) / half).unbind(1)  # (n_images, 2) each
    x = torch.arange(width, device=images.device).to(images) - 0.5 * (width - 1)
    y = torch.arange(height, device=images.device).to(images) - 0.5 * (height - 1)
    first = x[:, None] * to_x[:, None] + to_one[:, None]  # (n_images, W, 2)
    step = to_y[:, None].expand_as(first).flatten(1)
    mode = InterpolationMode(transform.interpolation).value
    for piece, start, per_row in cut(images, first.flatten(1), step):
        # Row r and column c come from first[c] + y[r] * to_y, added without strides of two.
        grid = torch.addcmul(start[:, None], y[:, None], per_row[:, None])
        source = piece.clone()  # in the cache, where reading here and there is fast
        piece.copy_(_sample(source, grid.unflatten(2, (width, 2)), mode, transform.fill))
    return images


def draw_crop(transform: v2.RandomCrop, n_images: int, images: Tensor) -> Numbers:
    """Draw at which row and column of the padded image each window begins."""
    left, top, right, bottom = _padding(transform, images)
    height, width = transform.size
    size = images.shape[2] + top + bottom, images.shape[3] + left + right
    if size[0] < height or size[1] < width:
        msg = (
            f"A crop of {height} x {width} pixels needs images (with their padding) at least "
            f"as large, got {size[0]} x {size[1]}. Use a smaller size, or pad_if_needed=True."
        )
        raise ShapeError(msg)
    rooms = size[0] - height, size[1] - width
    return tuple(torch.randint(0, room + 1, (n_images,)) for room in rooms)


def crop(transform: v2.RandomCrop, images: Tensor, tops: Tensor, lefts: Tensor) -> Tensor:
    """Cut a window of a fixed size out of each image, at a place of its own."""
    padding = _padding(transform, images)
    if any(padding):
        images = v2.functional.pad(
            images, padding, fill=transform.fill, padding_mode=transform.padding_mode
        )
    return crop_windows(images, tops, lefts, tuple(transform.size))


def crop_windows(
    images: Tensor, tops: Tensor, lefts: Tensor, size: tuple[int, int]
) -> Tensor:
    """Return the window of each image that begins at its own row and column.

    Parameters
    ----------
    images : Tensor of shape (n_images, channels, height, width)
    tops, lefts : Tensor of shape (n_images,), int64
    size : (height, width)
        Of the windows.

    Returns
    -------
    Tensor of shape (n_images, channels, *size)
    """
    out = images.new_empty((*images.shape[:2], *size))
    corners = zip(tops.tolist(), lefts.tolist(), strict=True)
    for target, image, (top, left) in zip(out, images, corners, strict=True):
        target.copy_(image[:, top : top + size[0], left : left + size[1]])
    return out


def _padding(transform: v2.RandomCrop, images: Tensor) -> list[int]:
    """Return the pixels that are added left, top, right and bottom."""
    left, right, top, bottom = transform.padding or (0, 0, 0, 0)
    if transform.pad_if_needed:
        more_rows = max(0, transform.size[0] - images.shape[2] - top - bottom)
        more_columns = max(0, transform.size[1] - images.shape[3] - left - right)
        top, bottom = top + more_rows, bottom + more_rows
        left, right = left + more_columns, right + more_columns
    return [left, top, right, bottom]


def _center(transform: v2.RandomRotation | v2.RandomAffine, images: Tensor) -> list[float]:
    """Return (x, y) of the fixed point, counted from the middle of the image."""
    if transform.center is None:
        return [0.0, 0.0]
    size = images.shape[-1], images.shape[-2]
    return [c - 0.5 * s for c, s in zip(transform.center, size, strict=True)]


def _inverse_matrices(
    angle: Tensor,
    shift: tuple[Tensor, Tensor],
    scale: Tensor,
    shear: tuple[Tensor, Tensor],
    center: list[float],
) -> Tensor:
    """Return where each output pixel comes from, as matrices of shape (n_images, 2, 3).

    Angles and shears are degrees, one for each image; shifts are pixels.
    """
    turn, (shear_x, shear_y) = torch.deg2rad(angle), map(torch.deg2rad, shear)
    tilt, squeeze = shear_x.tan(), shear_y.cos()
    cos, sin = (turn - shear_y).cos() / squeeze, (turn - shear_y).sin() / squeeze
    rows = [
        [-sin * tilt + turn.cos(), cos * tilt + turn.sin()],
        [-sin, cos],
    ]
    x, y = center[0] + shift[0], center[1] + shift[1]
    matrix = [
        torch.stack([a / scale, b / scale, c - (a * x + b * y) / scale], dim=-1)
        for (a, b), c in zip(rows, center, strict=True)
    ]
    return torch.stack(matrix, dim=1)


def _sample(
    images: Tensor, grid: Tensor, mode: str, fill: float | Sequence[float] | None
) -> Tensor:
    """Return the pixels of `images` at the places of `grid`, of shape (n, H, W, 2)."""
    values = fill if isinstance(fill, Sequence) else [fill or 0]
    needs_mask = fill is not None and (mode != "nearest" or any(values))
    if needs_mask:  # a channel of ones shows what share of a pixel lies inside
        images = torch.cat([images, torch.ones_like(images[:, :1])], dim=1)
    taken = F.grid_sample(
        images, grid, mode=mode, padding_mode="zeros", align_corners=False
    )
    if not needs_mask:
        return taken
    taken, inside = taken[:, :-1], taken[:, -1:]
    outside = images.new_tensor(values)[:, None, None]
    if mode == "nearest":
        return torch.where(inside < 0.5, outside, taken)
    return (taken - outside).mul_(inside).add_(outside)  # as torchvision blends the edge
