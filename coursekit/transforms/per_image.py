"""`PerImage`: torchvision's random transforms, drawn for each image of a batch.

What a transform does to a batch is in the files `batch_...`; here they are chosen, and batches
are cut into pieces that stay in the processor's cache.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.transforms import batch_color, batch_filters, batch_geometry, batch_own
from coursekit.transforms.batch_rows import Numbers, draw_chosen
from coursekit.transforms.noise import RandomQuarterTurn, RandomShift, SaltAndPepper

__all__ = ["PerImage"]

_PIECE = 1 << 20  # pixels of all images that are transformed together on a CPU

Draw = Callable[[Any, int, Tensor], Numbers]
Apply = Callable[..., Tensor]

_BATCHED: dict[type, tuple[Draw, Apply]] = {
    v2.RandomHorizontalFlip: (batch_geometry.draw_flip, batch_geometry.flip),
    v2.RandomVerticalFlip: (batch_geometry.draw_flip, batch_geometry.flip),
    v2.RandomRotation: (batch_geometry.draw_rotation, batch_geometry.resample),
    v2.RandomAffine: (batch_geometry.draw_affine, batch_geometry.resample),
    v2.RandomCrop: (batch_geometry.draw_crop, batch_geometry.crop),
    v2.RandomResizedCrop: (batch_filters.draw_zoom, batch_filters.zoom),
    v2.GaussianBlur: (batch_filters.draw_blur, batch_filters.blur),
    v2.RandomErasing: (batch_filters.draw_erasing, batch_filters.erase),
    v2.ColorJitter: (batch_color.draw_jitter, batch_color.jitter),
    v2.RandomGrayscale: (batch_color.draw_chosen_images, batch_color.gray),
    v2.RandomInvert: (batch_color.draw_chosen_images, batch_color.invert),
    RandomQuarterTurn: (batch_own.draw_turns, batch_own.turn),
    RandomShift: (batch_own.draw_shift, batch_own.shift),
}
"""Vectorized forms, for transforms of exactly these types: a subclass may do more."""

_SAME_FOR_ALL = (
    v2.CenterCrop,
    v2.GaussianNoise,  # every pixel has draws of its own anyway
    v2.Grayscale,
    v2.Identity,
    v2.Normalize,
    v2.Pad,
    v2.RGB,
    v2.Resize,
    v2.ToDtype,
    v2.ToPureTensor,
    SaltAndPepper,
)
"""Transforms that may be given the whole batch."""

_OF_BRIGHTNESS = (v2.ColorJitter, v2.RandomGrayscale, v2.RandomInvert, SaltAndPepper)
"""Transforms that mean nothing for normalized images."""


class PerImage(nn.Module):
    """Apply random transforms to a batch with draws of its own for each image.

    torchvision's random transforms draw once for what they are given: on a batch, they turn
    all images by the same angle. Here every image has draws of its own, from the same
    distribution, and whole batches are computed at once where that is possible.

    Parameters
    ----------
    transforms : transform, or sequence of transforms
        torchvision's of version 2, own ones, or functions of one image (channels, height,
        width). They are applied in this order.

    Raises
    ------
    SettingsError
        If something is not callable, or a transform of brightness follows `Normalize`.
    ShapeError, DataError
        When called with something else than images, or if the images of a batch come out in
        different sizes.

    Notes
    -----
    Called with a batch (n_images, channels, height, width), an image (channels, height,
    width), or a PIL image, for which it is the transforms alone. Floats run from 0 to 1.
    Bytes are computed as floats and rounded once, at the end. What is given after the
    images, such as labels, is returned as it is. What was given is never changed.

    Vectorized are flips, `RandomRotation`, `RandomAffine`, `RandomCrop`,
    `RandomResizedCrop`, `ColorJitter`, `GaussianBlur`, `RandomErasing`, `RandomGrayscale`,
    `RandomInvert`, `RandomApply`, `RandomChoice` and this package's own; any other is called
    for one image at a time.

    Examples
    --------
    >>> flip = v2.RandomHorizontalFlip(p=0.5)
    >>> batch = torch.arange(2.0).expand(5, 1, 1, 2)
    >>> torch.manual_seed(0) and PerImage(flip)(batch)[:, 0, 0].tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    """

    def __init__(self, transforms: Callable | Sequence[Callable]) -> None:
        super().__init__()
        self.transforms = _flatten(transforms)
        _check_order(self.transforms)
        self._gives_float = any(isinstance(t, v2.ToDtype) for t in self.transforms)

    def extra_repr(self) -> str:
        """Return the transforms, one a line."""
        return "\n".join(map(str, self.transforms))

    def forward(self, images: Any, *others: Any) -> Any:
        """Return the transformed images, followed by the `others` as they are.

        Parameters
        ----------
        images : Tensor of shape (n_images, channels, height, width), or PIL image
            Bytes, or floats from 0 to 1. A single image may lack the first axis.
        *others : object
            Labels, for example.

        Returns
        -------
        Like `images`, or a tuple with `others`
        """
        out = self._transform(images)
        return (out, *others) if others else out

    def _transform(self, images: Any) -> Any:
        if isinstance(images, Image.Image):
            for transform in self.transforms:
                images = transform(images)
            return images
        _check_images(images)
        batch = images.as_subclass(Tensor)
        batch = batch[None] if images.ndim == 3 else batch
        out = self._transform_batch(batch)
        out = out[0] if images.ndim == 3 else out
        if isinstance(images, tv_tensors.TVTensor):
            return tv_tensors.wrap(out, like=images)
        return out

    def _transform_batch(self, batch: Tensor) -> Tensor:
        """Return the transformed batch, computed piece by piece."""
        is_bytes = batch.dtype == torch.uint8
        dtype = torch.float32 if is_bytes else batch.dtype
        out = torch.empty(batch.shape, dtype=dtype, device=batch.device)
        others = []  # pieces that came out in another size
        drawn: list[Numbers | None] = [None] * len(self.transforms)
        for rows in _cut(batch):
            piece = out[rows].copy_(batch[rows])
            done = piece.div_(255) if is_bytes else piece
            for number, transform in enumerate(self.transforms):
                if drawn[number] is None:
                    drawn[number] = _draw(transform, len(batch), done)
                done = _apply(transform, done, [n[rows] for n in drawn[number]])
            if others or done.shape != piece.shape or done.dtype != piece.dtype:
                others.append(done)
            elif done is not piece:
                piece.copy_(done)
        if others:
            if sum(map(len, others)) < len(batch):
                raise _different_sizes([out.shape[1:], others[0].shape[1:]])
            out = _stack(others, joined=torch.cat)
        if is_bytes and out.is_floating_point() and not self._gives_float:
            return out.mul_(255).round_().clamp_(0, 255).to(torch.uint8)
        return out


def _is_batched(transform: Callable) -> bool:
    if getattr(transform, "expand", False):
        return False
    return type(transform) in _BATCHED and not isinstance(
        getattr(transform, "fill", None), dict
    )


def _draw(transform: Callable, n_images: int, images: Tensor) -> Numbers:
    """Draw for all images of a batch, of which `images` are the first ones."""
    kind = type(transform)
    if _is_batched(transform):
        return _BATCHED[kind][0](transform, n_images, images)
    if kind is v2.RandomApply:
        return (draw_chosen(n_images, transform.p),)
    if kind is v2.RandomChoice:
        shares = torch.tensor(transform.p)
        return (torch.multinomial(shares, n_images, replacement=True),)
    return ()


def _apply(transform: Callable, images: Tensor, numbers: Sequence[Tensor]) -> Tensor:
    """Return transformed images; `images` may be changed."""
    kind = type(transform)
    if not len(images):
        return images
    if _is_batched(transform):
        return _BATCHED[kind][1](transform, images, *numbers)
    if kind is v2.RandomApply:
        return _apply_to_rows(images, [(transform.transforms, numbers[0])])
    if kind is v2.RandomChoice:
        chosen = enumerate(transform.transforms)
        return _apply_to_rows(images, [(t, numbers[0] == index) for index, t in chosen])
    if isinstance(transform, _SAME_FOR_ALL):
        return transform(images)
    return _stack([transform(image) for image in images])


def _apply_to_rows(images: Tensor, parts: Sequence[tuple[Any, Tensor]]) -> Tensor:
    """Return images with the chosen ones of each part transformed, in their old places."""
    done: list[Tensor] = list(images)
    for transform, chosen in parts:
        rows = chosen.nonzero()[:, 0]
        changed = images[rows.to(images.device)]
        for step in _flatten(transform):
            changed = _apply(step, changed, _draw(step, len(changed), changed))
        for row, image in zip(rows.tolist(), changed, strict=True):
            done[row] = image
    return _stack(done)


def _stack(
    images: list[Tensor], *, joined: Callable[[list[Tensor]], Tensor] = torch.stack
) -> Tensor:
    sizes = sorted({tuple(image.shape[-3:]) for image in images})
    if len(sizes) > 1:
        raise _different_sizes(sizes)
    return joined(images)


def _different_sizes(sizes: Sequence[Sequence[int]]) -> ShapeError:
    msg = (
        f"The images of a batch must keep one size, but the transforms made {tuple(sizes[0])} "
        f"and {tuple(sizes[-1])} of them. End with one that gives a fixed size, such as "
        "v2.Resize."
    )
    return ShapeError(msg)


def _cut(batch: Tensor) -> list[slice]:
    """Return the rows of each piece: on a CPU, so many images that memory is no concern."""
    size = max(len(batch), 1)
    if batch.device.type == "cpu":
        size = max(1, _PIECE // max(batch.shape[-2] * batch.shape[-1], 1))
    return [slice(start, start + size) for start in range(0, max(len(batch), 1), size)]


def _flatten(transforms: Callable | Sequence[Callable]) -> tuple[Callable, ...]:
    if isinstance(transforms, v2.Compose | PerImage):
        transforms = transforms.transforms
    is_list = isinstance(transforms, Sequence | nn.ModuleList | nn.Sequential)
    if is_list and not isinstance(transforms, str):
        return tuple(step for item in transforms for step in _flatten(item))
    if not callable(transforms):
        msg = (
            "PerImage takes transforms, which can be called with an image, got "
            f"{type(transforms).__name__}."
        )
        raise SettingsError(msg)
    return (transforms,)


def _check_order(transforms: Sequence[Callable]) -> None:
    kinds = [type(transform) for transform in transforms]
    if v2.Normalize not in kinds:
        return
    late = [k for k in kinds[kinds.index(v2.Normalize) :] if k in _OF_BRIGHTNESS]
    if late:
        msg = (
            f"{late[0].__name__} works on brightness from 0 to 1, but stands after Normalize, "
            "which leaves that range. Put Normalize last."
        )
        raise SettingsError(msg)


def _check_images(images: Any) -> None:
    if not isinstance(images, Tensor) or images.ndim not in (3, 4):
        given = (
            f"a tensor of shape {tuple(images.shape)}"
            if isinstance(images, Tensor)
            else type(images).__name__
        )
        msg = (
            "PerImage takes a batch (n_images, channels, height, width), an image (channels, "
            f"height, width) or a PIL image, got {given}."
        )
        raise ShapeError(msg)
    if images.dtype != torch.uint8 and not images.is_floating_point():
        msg = (
            f"Images hold bytes from 0 to 255 or floats from 0 to 1, got {images.dtype}. "
            "Convert them: images.float() / 255."
        )
        raise DataError(msg)
