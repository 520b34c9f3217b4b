"""`PerImage`: torchvision's random transforms, drawn for each image of a batch.

Drawn are the distributions of torchvision, from torch's global generator on the CPU, so that a
seed decides them on any device. Transforms get float images of shape (n_images, channels,
height, width) that they may change in place.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import InterpolationMode, v2

from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.transforms.own import RandomQuarterTurn, RandomShift, SaltAndPepper

__all__ = ["PerImage"]

_GRAY = (0.2989, 0.587, 0.114)  # torchvision's weights of red, green and blue
_N_TRIES = 10  # as torchvision's transforms that look for a box


class PerImage(nn.Module):
    """Apply random transforms to a batch with draws of its own for each image.

    torchvision's random transforms draw once for what they are given: on a batch, they turn
    all images by the same angle. Here every image has draws of its own, from the same
    distribution, and whole batches are computed at once where that is possible: flips,
    `RandomRotation`, `RandomAffine`, `ColorJitter`, `GaussianBlur`, `RandomErasing`,
    `RandomInvert` and this package's own. Any other is called for one image at a time.

    Parameters
    ----------
    transforms : transform, or sequence of transforms
        torchvision's of version 2, own ones, or functions of one image (channels, height,
        width). They are applied in this order.

    Notes
    -----
    Called with a batch (n_images, channels, height, width), an image (channels, height,
    width), or a PIL image, for which it is the transforms alone. Floats run from 0 to 1.
    Bytes are computed as floats and rounded once, at the end. What was given is not changed.

    Examples
    --------
    >>> flip = v2.RandomHorizontalFlip(p=0.5)
    >>> batch = torch.arange(2.0).expand(5, 1, 1, 2)
    >>> torch.manual_seed(0) and PerImage(flip)(batch)[:, 0, 0].tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    """

    def __init__(self, transforms: Callable | Sequence[Callable]) -> None:
        super().__init__()
        self.transforms = tuple(_flatten(transforms))
        kinds = [type(transform) for transform in self.transforms]
        late = kinds[kinds.index(v2.Normalize) :] if v2.Normalize in kinds else []
        for kind in late:
            if kind in {v2.ColorJitter, v2.RandomGrayscale, v2.RandomInvert, SaltAndPepper}:
                msg = (
                    f"{kind.__name__} works on brightness from 0 to 1, but stands after "
                    "Normalize, which leaves that range. Put Normalize last."
                )
                raise SettingsError(msg)

    def extra_repr(self) -> str:
        """Return the transforms, one a line."""
        return "\n".join(map(str, self.transforms))

    def forward(self, images: Any) -> Any:
        """Return the transformed images: a batch, an image, or a PIL image."""
        if isinstance(images, Image.Image):
            for transform in self.transforms:
                images = transform(images)
            return images
        if not isinstance(images, Tensor) or images.ndim not in (3, 4):
            given = getattr(images, "shape", type(images).__name__)
            msg = f"PerImage takes (n_images, channels, height, width), got {given}."
            raise ShapeError(msg)
        if images.dtype != torch.uint8 and not images.is_floating_point():
            msg = (
                f"Images hold bytes from 0 to 255 or floats from 0 to 1, got {images.dtype}. "
                "Convert them: images.float() / 255."
            )
            raise DataError(msg)
        is_bytes = images.dtype == torch.uint8
        batch = images if images.ndim == 4 else images[None]
        out = batch.float().div_(255) if is_bytes else batch.clone()
        for transform in self.transforms:
            out = _apply(transform, out) if len(out) else out
        if is_bytes and not any(isinstance(t, v2.ToDtype) for t in self.transforms):
            out = out.mul_(255).round_().clamp_(0, 255).to(torch.uint8)
        return out if images.ndim == 4 else out[0]


def _flatten(transforms: Callable | Sequence[Callable]) -> list[Callable]:
    if isinstance(transforms, v2.Compose | PerImage):
        transforms = transforms.transforms
    if isinstance(transforms, Sequence | nn.ModuleList):
        return [step for item in transforms for step in _flatten(item)]
    if not callable(transforms):
        msg = f"PerImage takes transforms that can be called, got {type(transforms).__name__}."
        raise SettingsError(msg)
    return [transforms]


def _apply(transform: Callable, images: Tensor) -> Tensor:
    kind = type(transform)  # a subclass may do more
    if kind in _BATCHED and not getattr(transform, "expand", False):
        return _BATCHED[kind](transform, images)
    if kind in _SAME_FOR_ALL:
        return transform(images)
    done = [transform(image) for image in images]
    sizes = sorted({tuple(image.shape) for image in done})
    if len(sizes) > 1:
        msg = (
            f"The images of a batch must keep one size, but {kind.__name__} made {sizes[0]} "
            f"and {sizes[-1]} of them. Use one that gives a fixed size."
        )
        raise ShapeError(msg)
    return torch.stack(done)


def _uniform(images: Tensor, low: float, high: float) -> Tensor:
    return torch.empty(len(images)).uniform_(low, high).to(images)


def _change(images: Tensor, chosen: Tensor, change: Callable, *numbers: Tensor) -> Tensor:
    """Change the chosen images by their rows of `numbers`."""
    rows = chosen.nonzero()[:, 0].to(images.device)
    if len(rows):
        images[rows] = change(images[rows], *(n[rows] for n in numbers))
    return images


# --- place ----------------------------------------------------------------------------


def _flip(transform: Any, images: Tensor) -> Tensor:
    axis = 3 if isinstance(transform, v2.RandomHorizontalFlip) else 2
    chosen = torch.rand(len(images)) < transform.p
    return _change(images, chosen, lambda part: part.flip(axis))


def _quarter_turn(transform: RandomQuarterTurn, images: Tensor) -> Tensor:
    # It refuses what is not square. That it draws, too, moves all draws behind it: the
    # shipped weights were trained with them.
    transform.make_params([images])
    n_turns = torch.randint(0, 4, (len(images),))
    for turns in (1, 2, 3):
        _change(images, n_turns == turns, lambda part, n=turns: part.rot90(n, dims=(2, 3)))
    return images


def _shift(transform: RandomShift, images: Tensor) -> Tensor:
    transform.make_params([images])  # as above
    most, (height, width) = transform.max_pixels, images.shape[2:]
    corners = torch.randint(0, 2 * most + 1, (2, len(images)))
    padded = F.pad(images, [most] * 4, mode="reflect")
    for image, source, (top, left) in zip(images, padded, corners.T.tolist(), strict=True):
        image.copy_(source[:, top : top + height, left : left + width])
    return images


def _affine(transform: v2.RandomRotation | v2.RandomAffine, images: Tensor) -> Tensor:
    """Turn, and for an affine transform shift, scale and shear, by draws for each image."""
    height, width = images.shape[2:]
    size = images.new_tensor([width, height])
    angle, zeros = _uniform(images, *transform.degrees), images.new_zeros(len(images))
    shift, scale, shears = torch.stack([zeros, zeros], 1), zeros + 1, (zeros, zeros)
    if isinstance(transform, v2.RandomAffine):
        shares = transform.translate or (0, 0)
        most = shares[0] * width, shares[1] * height
        shift = torch.stack([_uniform(images, -m, m).round() for m in most], dim=1)
        scale = _uniform(images, *(transform.scale or (1, 1)))
        limits = transform.shear or (0, 0)
        shears = _uniform(images, *limits[:2]), _uniform(images, *(limits[2:] or (0, 0)))
    else:
        angle = -angle  # torchvision turns the other way there
    middle = transform.center or (width / 2, height / 2)
    center = images.new_tensor(middle) - size / 2
    # The inverse: where each output pixel comes from, counted from the middle, in pixels.
    turn, (shear_x, shear_y) = torch.deg2rad(angle), map(torch.deg2rad, shears)
    cos, sin = ((turn - shear_y).cos(), (turn - shear_y).sin())
    cos, sin, tilt = cos / shear_y.cos(), sin / shear_y.cos(), shear_x.tan()
    row_x = torch.stack([turn.cos() - sin * tilt, turn.sin() + cos * tilt], dim=1)
    row_y = torch.stack([-sin, cos], dim=1)
    matrix = torch.stack([row_x, row_y], dim=1) / scale[:, None, None]
    moved = center - (matrix @ (center + shift)[:, :, None])[:, :, 0]
    # For affine_grid, which counts from -1 to 1 whatever the size.
    theta = torch.cat(
        [matrix * size / size[:, None], 2 * (moved / size)[:, :, None]], dim=2
    )
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    mode = InterpolationMode(transform.interpolation).value
    return _sample(images, grid, mode, transform.fill)


def _sample(images: Tensor, grid: Tensor, mode: str, fill: Any) -> Tensor:
    """Return the pixels at the places of `grid`, and `fill` outside."""
    values = fill if isinstance(fill, Sequence) else [fill or 0]
    needs_mask = fill is not None and (mode != "nearest" or any(values))
    if needs_mask:  # a channel of ones shows what share of a pixel lies inside
        images = torch.cat([images, torch.ones_like(images[:, :1])], dim=1)
    taken = F.grid_sample(images, grid, mode=mode, align_corners=False)
    if not needs_mask:
        return taken
    taken, inside = taken[:, :-1], taken[:, -1:]
    outside = images.new_tensor(values)[:, None, None]
    if mode == "nearest":
        return torch.where(inside < 0.5, outside, taken)
    return (taken - outside) * inside + outside  # as torchvision blends the edge


# --- boxes ----------------------------------------------------------------------------


def _draw_boxes(
    images: Tensor, transform: Any, fits: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw areas and aspect ratios until a box fits, at most ten times for each image.

    Returned are its two sides, of which `ratio` is first over second, and whether it fits.
    """
    shape = len(images), _N_TRIES
    area = torch.empty(shape).uniform_(*transform.scale) * images.shape[2:].numel()
    log_low, log_high = torch.tensor(transform.ratio).log().tolist()
    aspect = torch.empty(shape).uniform_(log_low, log_high).exp()
    first = (area * aspect).sqrt().round().long()
    second = (area / aspect).sqrt().round().long()
    allowed = fits(first, second)
    pick = allowed.int().argmax(1, keepdim=True)  # the first that fits
    return first.gather(1, pick)[:, 0], second.gather(1, pick)[:, 0], allowed.any(1)


def _offsets(room: Tensor) -> Tensor:
    return (torch.rand(len(room)) * (room + 1)).long().minimum(room)


def _erase(transform: v2.RandomErasing, images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    chosen = torch.rand(len(images)) < transform.p
    heights, widths, found = _draw_boxes(
        images, transform, lambda h, w: (h < height) & (w < width)
    )
    heights, widths = (torch.where(chosen & found, n, 0) for n in (heights, widths))
    boxes = _offsets(height - heights), _offsets(width - widths), heights, widths
    for image, (top, left, h, w) in zip(
        images, torch.stack(boxes, 1).tolist(), strict=True
    ):
        box = image[:, top : top + h, left : left + w]
        if h and transform.value is None:
            box.copy_(torch.randn(box.shape))
        elif h:
            box.copy_(box.new_tensor(transform.value)[:, None, None].expand_as(box))
    return images


def _zoom(transform: v2.RandomResizedCrop, images: Tensor) -> Tensor:
    """Cut a box out of each image and resize it to one size."""
    height, width = images.shape[2:]
    widths, heights, found = _draw_boxes(
        images, transform, lambda w, h: (w > 0) & (w <= width) & (h > 0) & (h <= height)
    )
    low, high = min(transform.ratio), max(transform.ratio)  # else the largest in the middle
    heights = torch.where(found, heights, min(height, round(width / low)))
    widths = torch.where(found, widths, min(width, round(height * high)))
    rooms = height - heights, width - widths
    tops, lefts = (torch.where(found, _offsets(room), room // 2) for room in rooms)
    boxes = torch.stack([tops, lefts, heights, widths], dim=1).tolist()
    options = {"interpolation": transform.interpolation, "antialias": transform.antialias}
    return torch.stack(
        [
            v2.functional.resized_crop(image, *box, list(transform.size), **options)
            for image, box in zip(images, boxes, strict=True)
        ]
    )


# --- color ----------------------------------------------------------------------------


def _blur(transform: v2.GaussianBlur, images: Tensor) -> Tensor:
    n_images, n_channels = images.shape[:2]
    sigma = _uniform(images, *transform.sigma)
    columns, rows = transform.kernel_size
    images = F.pad(
        images, [columns // 2, columns // 2, rows // 2, rows // 2], mode="reflect"
    ).flatten(0, 1)[None]
    for size, axis in ((columns, 3), (rows, 2)):
        end = (size - 1) / (2 * math.sqrt(2))  # torchvision spaces the points like that
        points = torch.linspace(-end, end, size, device=sigma.device, dtype=sigma.dtype)
        kernels = (points / sigma[:, None]).square().neg().softmax(1)
        kernels = kernels.repeat_interleave(n_channels, 0)[:, None, None].transpose(axis, 3)
        images = F.conv2d(images, kernels, groups=len(kernels))
    return images[0].unflatten(0, (n_images, n_channels))


def _invert(transform: v2.RandomInvert, images: Tensor) -> Tensor:
    return _change(images, torch.rand(len(images)) < transform.p, lambda part: 1 - part)


def _jitter(transform: v2.ColorJitter, images: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue of each image in its own order."""
    if images.shape[1] not in (1, 3):
        msg = f"Colors can be changed in 1 or 3 channels, got {tuple(images.shape)}."
        raise ShapeError(msg)
    names = list(_CHANGES)[: 4 if images.shape[1] == 3 else 2]  # gray has but two
    names = [name for name in names if getattr(transform, name) is not None]
    order = torch.rand(len(images), len(names)).argsort(1)
    factors = [_uniform(images, *getattr(transform, name)) for name in names]
    for place in range(len(names)):
        for number, name in enumerate(names):
            chosen, factor = order[:, place] == number, factors[number][:, None, None, None]
            _change(images, chosen, _CHANGES[name], factor)
    return images


def _gray(images: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images.clone()
    red, green, blue = images.split(1, dim=1)
    return (red * _GRAY[0]).add_(green, alpha=_GRAY[1]).add_(blue, alpha=_GRAY[2])


def _brightness(images: Tensor, factor: Tensor) -> Tensor:
    return images.mul_(factor).clamp_(0, 1)


def _contrast(images: Tensor, factor: Tensor) -> Tensor:
    mean = _gray(images.mean((2, 3), keepdim=True))
    return images.mul_(factor).add_(mean.mul_(1 - factor)).clamp_(0, 1)


def _saturation(images: Tensor, factor: Tensor) -> Tensor:
    gray = _gray(images).mul_(1 - factor)
    return images.mul_(factor).add_(gray).clamp_(0, 1)


def _hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by `shift` of the color circle, keeping value and saturation.

    A color is its smallest channel m, its chroma c (largest minus smallest) and its place h
    on a circle of length 6, with red at 0, green at 2, blue at 4. The way from red is, in
    units of c, largest + green + blue - red - 2 m, upwards if there is more green than blue.
    Back again, green is m + c (2 - t) with t the distance of h from 2, but at least 1 and at
    most 2; so is blue, with 4; red is m + c (t - 1) with the distance from 3.
    """
    red, green, blue = images.unbind(1)
    largest, smallest = images.amax(dim=1), images.amin(dim=1)
    chroma = largest - smallest
    place = (largest + green + blue - red - 2 * smallest).copysign(green - blue)
    place = torch.addcdiv(shift[:, 0] + 1, place, chroma.clamp(min=1e-20), value=1 / 6)
    place = place.frac().mul(6)
    red, green, blue = ((place - center).abs().clamp(1, 2) for center in (3, 2, 4))
    red = torch.addcmul(smallest - chroma, chroma, red)
    above = torch.add(smallest, chroma, alpha=2)
    green, blue = (torch.addcmul(above, chroma, t, value=-1) for t in (green, blue))
    return torch.stack([red, green, blue], dim=1)


_CHANGES = {
    "brightness": _brightness,
    "contrast": _contrast,
    "saturation": _saturation,
    "hue": _hue,
}

_BATCHED = {
    v2.RandomHorizontalFlip: _flip,
    v2.RandomVerticalFlip: _flip,
    v2.RandomRotation: _affine,
    v2.RandomAffine: _affine,
    v2.RandomResizedCrop: _zoom,
    v2.GaussianBlur: _blur,
    v2.RandomErasing: _erase,
    v2.ColorJitter: _jitter,
    v2.RandomInvert: _invert,
    RandomQuarterTurn: _quarter_turn,
    RandomShift: _shift,
}

_SAME_FOR_ALL = {
    v2.CenterCrop,
    v2.Identity,
    v2.Normalize,
    v2.Resize,
    v2.ToDtype,
    SaltAndPepper,
}
