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
from coursekit.transforms.batch_rows import change_rows, cut, draw_chosen, draw_uniform

__all__ = [
    "affine_each",
    "crop_each",
    "crop_windows",
    "flip_columns_each",
    "flip_rows_each",
    "rotate_each",
]


def flip_columns_each(transform: v2.RandomHorizontalFlip, images: Tensor) -> Tensor:
    """Mirror some images left to right."""
    return _flip(images, transform.p, axis=3)


def flip_rows_each(transform: v2.RandomVerticalFlip, images: Tensor) -> Tensor:
    """Mirror some images top to bottom."""
    return _flip(images, transform.p, axis=2)


def rotate_each(transform: v2.RandomRotation, images: Tensor) -> Tensor:
    """Rotate each image by an angle of its own, counterclockwise."""
    angle = draw_uniform(len(images), *transform.degrees, like=images)
    zeros = torch.zeros_like(angle)
    matrices = _inverse_matrices(
        -angle, (zeros, zeros), zeros + 1, (zeros, zeros), _center(transform, images)
    )
    return _resample(images, matrices, transform)


def affine_each(transform: v2.RandomAffine, images: Tensor) -> Tensor:
    """Rotate, shift, scale and shear each image by numbers of its own."""
    n_images, _, *size = images.shape

    def draw(limits: Sequence[float] | None, otherwise: float) -> Tensor:
        low, high = limits or (otherwise, otherwise)
        return draw_uniform(n_images, low, high, like=images)

    angle = draw(transform.degrees, 0.0)
    most = transform.translate or (0.0, 0.0)
    most = (most[0] * size[1], most[1] * size[0])
    shift = tuple(draw((-pixels, pixels), 0.0).round() for pixels in most)
    scale = draw(transform.scale, 1.0)
    shear = transform.shear or (0.0, 0.0)
    shears = draw(shear[:2], 0.0), draw(shear[2:], 0.0)
    matrices = _inverse_matrices(angle, shift, scale, shears, _center(transform, images))
    return _resample(images, matrices, transform)


def crop_each(transform: v2.RandomCrop, images: Tensor) -> Tensor:
    """Cut a window of a fixed size out of each image, at a place of its own."""
    left, right, top, bottom = transform.padding or (0, 0, 0, 0)
    height, width = transform.size
    if transform.pad_if_needed:
        more_rows = max(0, height - images.shape[2] - top - bottom)
        more_columns = max(0, width - images.shape[3] - left - right)
        top, bottom = top + more_rows, bottom + more_rows
        left, right = left + more_columns, right + more_columns
    if any((left, top, right, bottom)):
        images = v2.functional.pad(
            images,
            [left, top, right, bottom],
            fill=transform.fill,
            padding_mode=transform.padding_mode,
        )
    room = images.shape[2] - height, images.shape[3] - width
    if min(room) < 0:
        msg = (
            f"A crop of {height} x {width} pixels needs images (with their padding) at least "
            f"as large, got {images.shape[2]} x {images.shape[3]}. Use a smaller size, or "
            "pad_if_needed=True."
        )
        raise ShapeError(msg)
    tops, lefts = (torch.randint(0, most + 1, (len(images),)) for most in room)
    return crop_windows(images, tops, lefts, (height, width))


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


def _flip(images: Tensor, p: float, *, axis: int) -> Tensor:
    rows = draw_chosen(len(images), p)
    change_rows(images, rows, lambda part: part.copy_(part.flip(axis)))
    return images


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


def _resample(
    images: Tensor, matrices: Tensor, transform: v2.RandomRotation | v2.RandomAffine
) -> Tensor:
    """Read each output pixel where its image's matrix says; fill what lies outside."""
    height, width = images.shape[-2:]
    half = matrices.new_tensor([0.5 * width, 0.5 * height])
    to_x, to_y, to_one = (matrices.transpose(1, 2) / half).unbind(1)  # (n_images, 2) each
    x = torch.arange(width, device=images.device).to(images) - 0.5 * (width - 1)
    y = torch.arange(height, device=images.device).to(images) - 0.5 * (height - 1)
    first = x[:, None] * to_x[:, None] + to_one[:, None]  # (n_images, W, 2)
    each = to_y[:, None].expand_as(first).flatten(1)
    mode = InterpolationMode(transform.interpolation).value
    for piece, start, step in cut(images, first.flatten(1), each):
        # where row r and column c come from: first[c] + y[r] * to_y
        grid = torch.addcmul(start[:, None], y[:, None], step[:, None])
        source = piece.clone()  # in the cache, where reading here and there is fast
        piece.copy_(_sample(source, grid.unflatten(2, (width, 2)), mode, transform.fill))
    return images


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
