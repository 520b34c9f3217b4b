"""Blur, erase and zoom into every image of a batch by its own draws.

The parameters are those of torchvision's transforms and mean the same. Images are float, of
shape (n_images, channels, height, width), and may be changed in place.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import InterpolationMode, v2

from coursekit.errors import ShapeError
from coursekit.transforms.batch_rows import (
    cut,
    draw_box_sizes,
    draw_chosen,
    draw_offsets,
    draw_uniform,
)

__all__ = ["blur_each", "erase_each", "zoom_each"]

_LARGE = 96 * 96  # pixels from which resizing one by one is faster than by matrices


def blur_each(transform: v2.GaussianBlur, images: Tensor) -> Tensor:
    """Blur each image by a Gaussian of a width of its own."""
    sigma = draw_uniform(len(images), *transform.sigma, like=images)
    columns, rows = transform.kernel_size
    if images.shape[-1] <= columns // 2 or images.shape[-2] <= rows // 2:
        msg = (
            f"A blur of {columns} x {rows} pixels mirrors half of that at the border and needs "
            f"larger images, got {images.shape[-2]} x {images.shape[-1]}."
        )
        raise ShapeError(msg)
    kernels = _gaussian(sigma, columns), _gaussian(sigma, rows)
    for piece, *weights in cut(images, *kernels):
        _blur_(piece, *weights)
    return images


def erase_each(transform: v2.RandomErasing, images: Tensor) -> Tensor:
    """Overwrite a rectangle in some images."""
    n_images, n_channels, height, width = images.shape
    rows = draw_chosen(n_images, transform.p)
    heights, widths, found = draw_box_sizes(
        len(rows),
        (height, width),
        scale=transform.scale,
        ratio=transform.ratio,
        fits=lambda h, w: (h < height) & (w < width),
    )
    tops, lefts = draw_offsets(height - heights), draw_offsets(width - widths)
    value = transform.value
    if value is not None and len(value) not in (1, n_channels):
        msg = (
            f"value must hold 1 number or {n_channels}, one for each channel, got {value}."
        )
        raise ShapeError(msg)
    colors = None if value is None else list(value) * (n_channels // len(value))
    boxes = torch.stack([rows, tops, lefts, heights, widths], dim=1)[found]
    for row, top, left, h, w in boxes.tolist():
        box = images[row, :, top : top + h, left : left + w]
        if colors is None:
            box.copy_(torch.randn(box.shape))
        for plane, color in zip(box, colors or (), strict=False):
            plane.fill_(color)
    return images


def zoom_each(transform: v2.RandomResizedCrop, images: Tensor) -> Tensor:
    """Cut a box of random size and place out of each image and resize it to one size."""
    n_images, _, height, width = images.shape
    widths, heights, found = draw_box_sizes(
        n_images,
        (height, width),
        scale=transform.scale,
        ratio=transform.ratio,
        fits=lambda w, h: (w > 0) & (w <= width) & (h > 0) & (h <= height),
    )
    fallback_height, fallback_width = _central_box(height, width, transform.ratio)
    heights = torch.where(found, heights, fallback_height)
    widths = torch.where(found, widths, fallback_width)
    rooms = height - heights, width - widths
    tops, lefts = (torch.where(found, draw_offsets(room), room // 2) for room in rooms)
    mode = InterpolationMode(transform.interpolation).value
    if mode == "bilinear" and transform.antialias and height * width < _LARGE:
        down = _resizing_matrix(tops, heights, height, transform.size[0]).to(images)
        across = _resizing_matrix(lefts, widths, width, transform.size[1]).to(images)
        return down[:, None] @ images @ across[:, None].mT
    boxes = torch.stack([tops, lefts, heights, widths], dim=1).tolist()
    zoomed = [
        v2.functional.resize(
            image[:, top : top + h, left : left + w],
            transform.size,
            interpolation=InterpolationMode(mode),
            antialias=transform.antialias,
        )
        for image, (top, left, h, w) in zip(images, boxes, strict=True)
    ]
    return torch.stack(zoomed)


def _gaussian(sigma: Tensor, size: int) -> Tensor:
    """Return kernels of shape (n_images, size), as torchvision spaces their points."""
    end = (size - 1) / (2 * math.sqrt(2))
    points = torch.linspace(-end, end, size, device=sigma.device, dtype=sigma.dtype)
    return (points / sigma[:, None]).square().neg_().softmax(1)


def _blur_(images: Tensor, across: Tensor, down: Tensor) -> None:
    """Blur by kernels (n_images, size), symmetric, along the rows and along the columns.

    Each padded image is one long row of numbers: its neighbors to the right are one place
    further, those below it one width of the padded image. What is added up across the end of
    a row lies in the padding and is left out at the end.
    """
    n_images, n_channels, height, width = images.shape
    half_x, half_y = across.shape[1] // 2, down.shape[1] // 2
    padded = F.pad(images, [half_x, half_x, half_y, half_y], mode="reflect")
    stride = padded.shape[3]
    blurred = _weigh_neighbors(padded.flatten(1), across, step=1)
    blurred = _weigh_neighbors(blurred, down, step=stride)
    plane = padded.shape[2] * stride
    strides = (blurred.shape[1], plane, stride, 1)
    images.copy_(blurred.as_strided((n_images, n_channels, height, width), strides))


def _weigh_neighbors(values: Tensor, kernels: Tensor, *, step: int) -> Tensor:
    """Return sums of numbers `step` places apart, of shape (n_images, fewer than before)."""
    half = kernels.shape[1] // 2
    n_sums = values.shape[1] - 2 * half * step
    out = values.narrow(1, half * step, n_sums) * kernels[:, half, None]
    for offset in range(half):
        near, far = offset * step, (2 * half - offset) * step
        pair = values.narrow(1, near, n_sums) + values.narrow(1, far, n_sums)
        out.addcmul_(pair, kernels[:, offset, None])
    return out


def _central_box(height: int, width: int, ratio: tuple[float, float]) -> tuple[int, int]:
    """Return the largest box (height, width) whose aspect ratio is allowed."""
    if width / height < min(ratio):
        return round(width / min(ratio)), width
    if width / height > max(ratio):
        return height, round(height * max(ratio))
    return height, width


def _resizing_matrix(
    starts: Tensor, lengths: Tensor, n_inputs: int, n_outputs: int
) -> Tensor:
    """Return weights (n_images, n_outputs, n_inputs) of a resized stretch of pixels.

    They are those of bilinear interpolation with antialiasing: a triangle around the place
    of each output, as wide as the stretch is shrunk.
    """
    step = (lengths / n_outputs)[:, None, None]
    outputs = torch.arange(n_outputs)[None, :, None] + 0.5
    inputs = torch.arange(n_inputs)[None, None, :] - starts[:, None, None]
    distance = (inputs + 0.5 - outputs * step).abs() / step.clamp(min=1)
    weights = (1 - distance).clamp_(min=0)
    weights *= (inputs >= 0) & (inputs < lengths[:, None, None])
    return weights / weights.sum(2, keepdim=True)
