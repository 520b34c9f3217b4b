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
    Numbers,
    cut,
    draw_box_sizes,
    draw_chosen,
    draw_offsets,
    draw_uniform,
)

__all__ = ["blur", "draw_blur", "draw_erasing", "draw_zoom", "erase", "zoom"]

_LARGE = 96 * 96  # pixels from which resizing one by one is faster than by matrices


def draw_blur(transform: v2.GaussianBlur, n_images: int, images: Tensor) -> Numbers:
    """Draw a width for each image; return the kernels along rows and along columns."""
    sigma = draw_uniform(n_images, *transform.sigma, like=images)
    columns, rows = transform.kernel_size
    if images.shape[-1] <= columns // 2 or images.shape[-2] <= rows // 2:
        msg = (
            f"A blur of {columns} x {rows} pixels mirrors half of that at the border and needs "
            f"larger images, got {images.shape[-2]} x {images.shape[-1]}."
        )
        raise ShapeError(msg)
    return _gaussian(sigma, columns), _gaussian(sigma, rows)


def blur(
    transform: v2.GaussianBlur, images: Tensor, across: Tensor, down: Tensor
) -> Tensor:
    """Blur by kernels (n_images, size), symmetric, along the rows and along the columns.

    Each padded image is one long row of numbers: its neighbors to the right are one place
    further, those below it one width of the padded image. What is added up across the end of
    a row lies in the padding and is left out at the end.
    """
    del transform
    half_x, half_y = across.shape[1] // 2, down.shape[1] // 2
    for piece, *kernels in cut(images, across, down):
        padded = F.pad(piece, [half_x, half_x, half_y, half_y], mode="reflect")
        stride = padded.shape[3]
        blurred = _weigh_neighbors(padded.flatten(1), kernels[0], step=1)
        blurred = _weigh_neighbors(blurred, kernels[1], step=stride)
        strides = (blurred.shape[1], padded.shape[2] * stride, stride, 1)
        piece.copy_(blurred.as_strided(piece.shape, strides))
    return images


def draw_erasing(transform: v2.RandomErasing, n_images: int, images: Tensor) -> Numbers:
    """Draw a box for each image: top, left, height, width; of no height to erase nothing."""
    height, width = images.shape[-2:]
    value = transform.value
    if value is not None and len(value) not in (1, images.shape[1]):
        msg = (
            f"value must hold 1 number or {images.shape[1]}, one for each channel, got "
            f"{value}."
        )
        raise ShapeError(msg)
    chosen = draw_chosen(n_images, transform.p)
    heights, widths, found = draw_box_sizes(
        n_images,
        (height, width),
        scale=transform.scale,
        ratio=transform.ratio,
        fits=lambda h, w: (h < height) & (w < width),
    )
    heights = torch.where(chosen & found, heights, 0)
    widths = torch.where(chosen & found, widths, 0)
    tops, lefts = draw_offsets(height - heights), draw_offsets(width - widths)
    return (torch.stack([tops, lefts, heights, widths], dim=1),)


def erase(transform: v2.RandomErasing, images: Tensor, boxes: Tensor) -> Tensor:
    """Overwrite the box of each image."""
    value = transform.value
    for image, (top, left, height, width) in zip(images, boxes.tolist(), strict=True):
        if not height:
            continue
        box = image[:, top : top + height, left : left + width]
        if value is None:
            box.copy_(torch.randn(box.shape))
        elif len(value) == 1:
            box.fill_(value[0])
        else:
            for plane, color in zip(box, value, strict=True):
                plane.fill_(color)
    return images


def draw_zoom(transform: v2.RandomResizedCrop, n_images: int, images: Tensor) -> Numbers:
    """Draw a box for each image: top, left, height, width."""
    height, width = images.shape[-2:]
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
    return (torch.stack([tops, lefts, heights, widths], dim=1),)


def zoom(transform: v2.RandomResizedCrop, images: Tensor, boxes: Tensor) -> Tensor:
    """Cut the box out of each image and resize it to one size."""
    height, width = images.shape[-2:]
    mode = InterpolationMode(transform.interpolation)
    is_linear = mode == InterpolationMode.BILINEAR and transform.antialias
    if is_linear and height * width < _LARGE:
        tops, lefts, heights, widths = boxes.unbind(1)
        down = _resizing_matrix(tops, heights, height, transform.size[0]).to(images)
        across = _resizing_matrix(lefts, widths, width, transform.size[1]).to(images)
        return down[:, None] @ images @ across[:, None].mT
    zoomed = [
        v2.functional.resize(
            image[:, top : top + h, left : left + w],
            transform.size,
            interpolation=mode,
            antialias=transform.antialias,
        )
        for image, (top, left, h, w) in zip(images, boxes.tolist(), strict=True)
    ]
    return torch.stack(zoomed)


def _gaussian(sigma: Tensor, size: int) -> Tensor:
    """Return kernels of shape (n_images, size), as torchvision spaces their points."""
    end = (size - 1) / (2 * math.sqrt(2))
    points = torch.linspace(-end, end, size, device=sigma.device, dtype=sigma.dtype)
    return (points / sigma[:, None]).square().neg_().softmax(1)


def _weigh_neighbors(values: Tensor, kernels: Tensor, *, step: int) -> Tensor:
    """Return sums of numbers `step` places apart, of shape (n_images, fewer than before)."""
    half = kernels.shape[1] // 2
    n_sums = values.shape[1] - 2 * half * step
    out = values.narrow(1, half * step, n_sums) * kernels[:, half, None]
    pair = None
    for offset in range(half):
        near, far = offset * step, (2 * half - offset) * step
        two = values.narrow(1, near, n_sums), values.narrow(1, far, n_sums)
        pair = torch.add(*two, out=pair)
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
