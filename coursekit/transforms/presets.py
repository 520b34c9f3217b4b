"""Transforms that suit a task, for training and for evaluation apart.

Nothing here knows about data or models, only what kind of pictures they are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torchvision.transforms import InterpolationMode, v2

from coursekit.errors import SettingsError
from coursekit.transforms.noise import RandomQuarterTurn, RandomShift
from coursekit.transforms.per_image import PerImage

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "TASKS",
    "Preset",
    "find_preset",
    "preset_from_config",
]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of red, green and blue over ImageNet's training images."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of red, green and blue over ImageNet's training images."""

TASKS = ("digits", "objects", "land-cover", "insects", "photos")
"""What `find_preset` knows."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Transforms for one task.

    Parameters
    ----------
    task : str
        One of `TASKS`.
    train : callable
        Random, with draws of its own for each image of a batch.
    evaluation : callable
        Without any randomness, for validation and test.
    image_size : int, optional
        Height and width of what both give; None: that of the images.
    mean, std : tuple of float, optional
        By which both normalize; None: brightness stays from 0 to 1.
    """

    task: str
    train: Callable
    evaluation: Callable
    image_size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def find_preset(
    task: str,
    *,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    crop_share: float = 0.875,
    interpolation: str = "bilinear",
) -> Preset:
    """Return the transforms for `task`.

    Parameters
    ----------
    task : {"digits", "objects", "land-cover", "insects", "photos"}
        Digits are shifted, turned and scaled a little, never flipped. Objects are mirrored,
        shifted and lit differently. Land cover has no up or down: the eight symmetries of
        the square. Insects are seen from above: any turn, flips, mild colors. Photos are
        cut out at random, mirrored and lit differently.
    image_size : int, optional
        Height and width to give. Photos and insects need it; others may keep their size.
    mean, std : sequence of float, optional
        One number a channel, to normalize by. Photos have ImageNet's by default.
    crop_share : float, default=0.875
        Of photos and insects: share of the shorter side that evaluation keeps, in the
        middle.
    interpolation : {"bilinear", "bicubic", "nearest"}, default="bilinear"
        How images are resized.

    Returns
    -------
    Preset

    Raises
    ------
    SettingsError
        If the task is unknown, or an argument does not fit it.

    Examples
    --------
    >>> find_preset("photos", image_size=96).image_size
    96
    """
    if task not in TASKS:
        listed = ", ".join(map(repr, TASKS))
        msg = f"There are presets for {listed}, got {task!r}."
        raise SettingsError(msg)
    _check_numbers(image_size, mean, std, crop_share)
    mode = _find_mode(interpolation)
    cuts_out = task == "photos" or (task == "insects" and image_size is not None)
    if task == "photos":
        image_size = image_size or 224
        if mean is None:
            mean, std = IMAGENET_MEAN, IMAGENET_STD
    if cuts_out:
        size = (image_size, image_size)
        first = [v2.RandomResizedCrop(size, scale=(0.35, 1.0), interpolation=mode)]
        whole = int(image_size / crop_share)  # rounded down, as timm does
        last = [v2.Resize(whole, interpolation=mode), v2.CenterCrop(size)]
    else:
        first = last = _resize(image_size, mode)
    ending = [] if mean is None else [v2.Normalize(list(mean), list(std))]
    return Preset(
        task=task,
        train=PerImage([*first, *_augmentations(task), *ending]),
        evaluation=PerImage([*last, *ending]),
        image_size=image_size,
        mean=None if mean is None else tuple(mean),
        std=None if std is None else tuple(std),
    )


def preset_from_config(config: Mapping[str, Any], *, task: str = "photos") -> Preset:
    """Return the transforms that a pretrained network wants, for `task`.

    Parameters
    ----------
    config : mapping
        timm's ``model.pretrained_cfg``: ``input_size`` (channels, height, width), ``mean``,
        ``std``, ``interpolation`` and ``crop_pct``.
    task : str, default="photos"
        One of `TASKS`.

    Returns
    -------
    Preset

    Raises
    ------
    SettingsError
        If the configuration lacks the size, or it is not square.

    Examples
    --------
    >>> config = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.25,) * 3}
    >>> preset_from_config(config, task="land-cover").image_size
    32
    """
    size = config.get("input_size")
    if size is None or len(size) != 3 or size[1] != size[2]:
        msg = (
            "A configuration needs input_size=(channels, height, width) with height equal to "
            f"width, got {size}."
        )
        raise SettingsError(msg)
    return find_preset(
        task,
        image_size=size[1],
        mean=config.get("mean", IMAGENET_MEAN),
        std=config.get("std", IMAGENET_STD),
        crop_share=config.get("crop_pct") or 1.0,
        interpolation=config.get("interpolation") or "bilinear",
    )


def _augmentations(task: str) -> list[Callable]:
    return {
        "digits": [v2.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), interpolation=_BILINEAR)],
        "objects": [
            v2.RandomHorizontalFlip(),
            RandomShift(3),
            v2.ColorJitter(0.2, 0.2, 0.2),
        ],
        "land-cover": [v2.RandomHorizontalFlip(), RandomQuarterTurn()],
        "insects": [
            v2.RandomHorizontalFlip(),
            RandomQuarterTurn(),
            v2.ColorJitter(0.2, 0.2, 0.2),
        ],
        "photos": [v2.RandomHorizontalFlip(), v2.ColorJitter(0.2, 0.2, 0.2)],
    }[task]


def _resize(image_size: int | None, mode: InterpolationMode) -> list[Callable]:
    if image_size is None:
        return []
    return [v2.Resize((image_size, image_size), interpolation=mode)]


def _find_mode(interpolation: str) -> InterpolationMode:
    names = ("bilinear", "bicubic", "nearest")
    if interpolation not in names:
        listed = ", ".join(map(repr, names))
        msg = f"interpolation must be one of {listed}, got {interpolation!r}."
        raise SettingsError(msg)
    return InterpolationMode(interpolation)


def _check_numbers(
    image_size: int | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    crop_share: float,
) -> None:
    if image_size is not None and image_size < 1:
        msg = f"image_size must be at least 1 pixel, got {image_size}."
        raise SettingsError(msg)
    if not 0 < crop_share <= 1:
        msg = f"crop_share must be above 0 and at most 1, got {crop_share}."
        raise SettingsError(msg)
    if (mean is None) != (std is None) or (std is not None and min(std) <= 0):
        msg = f"mean and std go together, and std is positive, got {mean} and {std}."
        raise SettingsError(msg)


_BILINEAR = InterpolationMode.BILINEAR
