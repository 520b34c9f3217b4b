"""Random changes of images: three own transforms, and `PerImage` for batches.

All draw from torch's global generator on the CPU, so that a seed decides them on any device.
An own transform draws once for what it is given in one call, as torchvision's do; `PerImage`
draws for each image of a batch.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import InterpolationMode, v2

from coursekit.errors import ShapeError

_N_TRIES = 10  # as torchvision's transforms that look for a box


# --- own transforms -------------------------------------------------------------------


class SaltAndPepper(v2.Transform):
    """Set a random share of the pixels to white (salt) or black (pepper), half of them each.

    A pixel is hit in all its channels; every pixel of a batch has draws of its own.

    Examples
    --------
    >>> gray = torch.full((1, 2, 8), 0.5)
    >>> torch.manual_seed(0) and SaltAndPepper(share=0.5)(gray).unique()
    tensor([0.0000, 0.5000, 1.0000])
    """

    def __init__(self, share: float = 0.05) -> None:
        super().__init__()
        self.share = share

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw which pixels are hit, and how: masks of shape (..., 1, height, width)."""
        shape = flat_inputs[0].shape
        draws = torch.rand((*shape[:-3], 1, *shape[-2:]))
        salt = draws < self.share / 2
        return {"salt": salt, "pepper": ~salt & (draws < self.share)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return `inpt` with the drawn pixels hit."""
        white = 255 if inpt.dtype == torch.uint8 else 1
        noisy = inpt.masked_fill(params["pepper"].to(inpt.device), 0)
        return noisy.masked_fill_(params["salt"].to(inpt.device), white)


class RandomQuarterTurn(v2.Transform):
    """Turn a square image by 0, 90, 180 or 270 degrees, each as likely.

    Unlike a rotation by any angle it needs no interpolation and has no corners to fill. With
    a flip it makes the eight symmetries of the square.

    Examples
    --------
    >>> image = torch.arange(4.0).reshape(1, 2, 2)
    >>> torch.manual_seed(0) and RandomQuarterTurn()(image)
    tensor([[[0., 1.],
             [2., 3.]]])
    """

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the number of quarter turns."""
        height, width = v2.query_size(flat_inputs)
        if height != width:
            msg = (
                f"A quarter turn keeps the size of square images only, got {height} x {width}. "
                "Crop first, or use v2.RandomRotation."
            )
            raise ShapeError(msg)
        return {"angle": 90.0 * int(torch.randint(0, 4, ()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return `inpt`, turned counterclockwise."""
        return self._call_kernel(v2.functional.rotate, inpt, **params)


class RandomShift(v2.Transform):
    """Shift an image by up to some pixels either way; what comes in is mirrored.

    Examples
    --------
    >>> RandomShift(2)(torch.zeros(3, 8, 8)).shape
    torch.Size([3, 8, 8])
    """

    def __init__(self, max_pixels: int = 4) -> None:
        super().__init__()
        self.max_pixels = max_pixels

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw where the window begins in the padded image."""
        height, width = v2.query_size(flat_inputs)
        top, left = torch.randint(0, 2 * self.max_pixels + 1, (2,)).tolist()
        return {"top": top, "left": left, "height": height, "width": width}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return `inpt`, shifted."""
        pad = {"padding": [self.max_pixels] * 4, "padding_mode": "reflect"}
        padded = self._call_kernel(v2.functional.pad, inpt, **pad)
        return self._call_kernel(v2.functional.crop, padded, **params)


# --- a draw for each image ------------------------------------------------------------


class PerImage(nn.Module):
    """Apply random transforms to a batch with draws of its own for each image.

    torchvision's random transforms draw once for what they are given: on a batch, they turn
    all images by the same angle. Here every image has draws of its own, from the same
    distribution. Whole batches are computed at once for what the lessons use, such as
    `RandomHorizontalFlip`, `ColorJitter` and this package's own; any other transform is
    called for one image at a time.

    Parameters
    ----------
    transforms : transform, or sequence of transforms
        torchvision's of version 2, own ones, or functions of one image (channels, height,
        width). They are applied in this order to a batch (n_images, channels, height, width)
        or one image, floats from 0 to 1; bytes become such floats. What was given is not
        changed.

    Examples
    --------
    >>> flip = v2.RandomHorizontalFlip(p=0.5)
    >>> batch = torch.arange(2.0).expand(5, 1, 1, 2)
    >>> torch.manual_seed(0) and PerImage(flip)(batch)[:, 0, 0].tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    """

    def __init__(self, transforms: Callable | Sequence[Callable]) -> None:
        super().__init__()
        self.transforms = transforms if isinstance(transforms, Sequence) else [transforms]

    def forward(self, images: Tensor) -> Tensor:
        """Return the transformed images: a batch, or an image."""
        if images.ndim not in (3, 4):
            msg = f"PerImage takes (n_images, channels, height, width), got {images.shape}."
            raise ShapeError(msg)
        batch = images if images.ndim == 4 else images[None]
        batch = batch.float().div_(255) if batch.dtype == torch.uint8 else batch.clone()
        for transform in self.transforms:
            batch = _apply(transform, batch) if len(batch) else batch
        return batch if images.ndim == 4 else batch[0]


_PLAIN = {"center": None, "expand": False, "fill": 0, "shear": None, "value": [0.0]}


def _apply(transform: Callable, images: Tensor) -> Tensor:
    """Return the transformed batch; it may be `images`, changed in place."""
    kind = type(transform)  # a subclass may do more
    is_plain = all(
        getattr(transform, name, usual) == usual for name, usual in _PLAIN.items()
    )
    if kind in _BATCHED and is_plain:
        return _BATCHED[kind](transform, images)
    if kind in (v2.CenterCrop, v2.Normalize, v2.Resize, v2.ToDtype, SaltAndPepper):
        return transform(images)  # the same for all, or a draw for each pixel
    return torch.stack([transform(image) for image in images])


def _uniform(images: Tensor, low: float, high: float) -> Tensor:
    return torch.empty(len(images)).uniform_(low, high).to(images)


def _change(images: Tensor, chosen: Tensor, change: Callable, *numbers: Tensor) -> Tensor:
    """Change the chosen images by their rows of `numbers`."""
    rows = chosen.nonzero()[:, 0].to(images.device)
    if len(rows):
        images[rows] = change(images[rows], *(n[rows] for n in numbers))
    return images


def _flip(transform: v2.RandomHorizontalFlip, images: Tensor) -> Tensor:
    return _change(images, torch.rand(len(images)) < transform.p, lambda part: part.flip(3))


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
    """Turn, and for an affine transform shift and scale, by draws for each image."""
    height, width = images.shape[2:]
    angle = _uniform(images, *transform.degrees)
    shift, scale = images.new_zeros(len(images), 2), images.new_ones(len(images))
    if isinstance(transform, v2.RandomAffine):
        shares = transform.translate or (0, 0)
        most = shares[0] * width, shares[1] * height
        shift = torch.stack([_uniform(images, -m, m).round() for m in most], dim=1)
        scale = _uniform(images, *(transform.scale or (1, 1)))
        torch.rand(2 * len(images))  # as if for a shear: stored results hang on it
    else:
        angle = -angle  # torchvision turns the other way there
    # The inverse: where each output pixel comes from, counted from the middle, in pixels.
    cos, sin = torch.deg2rad(angle).cos(), torch.deg2rad(angle).sin()
    rows = torch.stack([cos, sin], dim=1), torch.stack([-sin, cos], dim=1)
    matrix = torch.stack(rows, dim=1) / scale[:, None, None]
    # For affine_grid, which counts from -1 to 1 whatever the size.
    size = images.new_tensor([width, height])
    moved = -2 * (matrix @ shift[:, :, None]) / size[:, None]
    theta = torch.cat([matrix * size / size[:, None], moved], dim=2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    mode = InterpolationMode(transform.interpolation).value
    if mode == "nearest":
        return F.grid_sample(images, grid, mode=mode, align_corners=False)
    # A channel of ones shows what share of a pixel lies inside: torchvision darkens the edge
    # by it once more.
    images = torch.cat([images, torch.ones_like(images[:, :1])], dim=1)
    taken = F.grid_sample(images, grid, mode=mode, align_corners=False)
    return taken[:, :-1] * taken[:, -1:]


def _draw_boxes(images: Tensor, transform: Any, fits: Callable) -> tuple[Tensor, ...]:
    """Draw areas and aspect ratios until a box fits, at most ten times for each image.

    Returned are its two sides, of which `ratio` is first over second, and whether it fits.
    """
    shape = len(images), _N_TRIES
    area = torch.empty(shape).uniform_(*transform.scale) * images.shape[2:].numel()
    log_low, log_high = torch.tensor(transform.ratio).log().tolist()
    aspect = torch.empty(shape).uniform_(log_low, log_high).exp()
    first, second = ((area * r).sqrt().round().long() for r in (aspect, 1 / aspect))
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
        image[:, top : top + h, left : left + w] = 0
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
    last = list(transform.size), transform.interpolation, transform.antialias
    resized_crop = v2.functional.resized_crop
    pairs = zip(images, boxes, strict=True)
    return torch.stack([resized_crop(image, *box, *last) for image, box in pairs])


def _blur(transform: v2.GaussianBlur, images: Tensor) -> Tensor:
    n_images, n_channels = images.shape[:2]
    sigma = _uniform(images, *transform.sigma)
    columns, rows = transform.kernel_size
    pads = [columns // 2, columns // 2, rows // 2, rows // 2]
    images = F.pad(images, pads, mode="reflect").flatten(0, 1)[None]
    for size, axis in ((columns, 3), (rows, 2)):
        end = (size - 1) / (2 * math.sqrt(2))  # torchvision spaces the points like that
        points = torch.linspace(-end, end, size, device=sigma.device, dtype=sigma.dtype)
        kernels = (points / sigma[:, None]).square().neg().softmax(1)
        kernels = kernels.repeat_interleave(n_channels, 0)[:, None, None].transpose(axis, 3)
        images = F.conv2d(images, kernels, groups=len(kernels))
    return images[0].unflatten(0, (n_images, n_channels))


def _jitter(transform: v2.ColorJitter, images: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue of each image in its own order."""
    names = list(_COLORS)[: 4 if images.shape[1] == 3 else 2]  # gray has but two
    names = [name for name in names if getattr(transform, name) is not None]
    order = torch.rand(len(images), len(names)).argsort(1)
    factors = [_uniform(images, *getattr(transform, name)) for name in names]
    for place in range(len(names)):
        for number, name in enumerate(names):
            chosen, factor = order[:, place] == number, factors[number][:, None, None, None]
            _change(images, chosen, _COLORS[name], factor)
    return images


def _brightness(images: Tensor, factor: Tensor) -> Tensor:
    return images.mul_(factor).clamp_(0, 1)


def _contrast(images: Tensor, factor: Tensor) -> Tensor:
    mean = v2.functional.rgb_to_grayscale(images.mean((2, 3), keepdim=True))
    return images.mul_(factor).add_(mean.mul_(1 - factor)).clamp_(0, 1)


def _saturation(images: Tensor, factor: Tensor) -> Tensor:
    gray = v2.functional.rgb_to_grayscale(images).mul_(1 - factor)
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


_COLORS = {
    "brightness": _brightness,
    "contrast": _contrast,
    "saturation": _saturation,
    "hue": _hue,
}

_BATCHED = {
    v2.RandomHorizontalFlip: _flip,
    v2.RandomRotation: _affine,
    v2.RandomAffine: _affine,
    v2.RandomResizedCrop: _zoom,
    v2.GaussianBlur: _blur,
    v2.RandomErasing: _erase,
    v2.ColorJitter: _jitter,
    RandomQuarterTurn: _quarter_turn,
    RandomShift: _shift,
}
