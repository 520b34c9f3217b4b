"""Transforms for a task and a trained network, mixed batches, and a look at transforms."""

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from coursekit.datasets import Loader
from coursekit.datasets.loading import all_seeded
from coursekit.errors import SettingsError, ShapeError
from coursekit.seeds import seeded
from coursekit.transforms.augment import PerImage, RandomQuarterTurn, RandomShift

Batch = tuple[Tensor, Tensor]

_MILD = v2.ColorJitter(0.2, 0.2, 0.2)
_FROM_ABOVE = [v2.RandomHorizontalFlip(), RandomQuarterTurn()]  # no up or down
_SLIGHT = v2.RandomAffine(
    10, (0.1, 0.1), (0.9, 1.1), interpolation=InterpolationMode.BILINEAR
)
_CHANGES = {  # what leaves the label true
    "digits": [_SLIGHT],
    "objects": [v2.RandomHorizontalFlip(), RandomShift(3), _MILD],
    "land-cover": _FROM_ABOVE,
    "insects": [*_FROM_ABOVE, _MILD],
    "photos": [v2.RandomHorizontalFlip(), _MILD],
}


class Preset(NamedTuple):
    """Transforms for one task."""

    train: Callable
    """Random, with draws of its own for each image of a batch."""
    evaluation: Callable
    """Without any randomness, for validation and test."""


def preset_from_config(config: Mapping[str, Any], *, task: str) -> Preset:
    """Return the transforms that a pretrained network wants, for `task`.

    Parameters
    ----------
    config : mapping
        timm's ``model.pretrained_cfg``: ``input_size`` (channels, height, width), ``mean``,
        ``std``, ``interpolation`` and ``crop_pct``.
    task : {"digits", "objects", "land-cover", "insects", "photos"}
        Digits are shifted, turned and scaled a little, never flipped. Objects are mirrored,
        shifted and lit differently. Land cover has no up or down: the eight symmetries of
        the square. Insects are seen from above: any turn, flips, mild colors. Photos and
        insects are cut out at random.

    Examples
    --------
    >>> config = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.25,) * 3}
    >>> preset_from_config(config, task="land-cover").evaluation(torch.ones(2, 3, 64, 64)).shape
    torch.Size([2, 3, 32, 32])
    """
    if task not in _CHANGES:
        msg = f"There are presets for {', '.join(map(repr, _CHANGES))}, got {task!r}."
        raise SettingsError(msg)
    _, *size = config["input_size"]
    mode = InterpolationMode(config.get("interpolation") or "bilinear")
    first = last = [v2.Resize(size, interpolation=mode)]
    if task in ("photos", "insects"):
        # 0.35 of the area: torchvision's 0.08 often cuts the only insect out of the picture.
        first = [v2.RandomResizedCrop(size, scale=(0.35, 1.0), interpolation=mode)]
        whole = int(size[0] / (config.get("crop_pct") or 1.0))  # rounded down, as timm does
        last = [v2.Resize(whole, interpolation=mode), v2.CenterCrop(size)]
    ending = [v2.Normalize(list(config["mean"]), list(config["std"]))]
    train = PerImage([*first, *_CHANGES[task], *ending])
    return Preset(train=train, evaluation=PerImage([*last, *ending]))


def fit_to_model(config: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
    """Return a transform to the input size and the brightness that a network wants.

    Parameters
    ----------
    config : mapping
        timm's ``model.pretrained_cfg``: ``input_size`` (channels, height, width), and where
        they are known ``mean``, ``std``, ``interpolation`` and ``crop_pct``.

    Returns
    -------
    callable
        From float images in [0, 1] of shape (..., C, H, W) to normalized ones of shape
        (..., C, height, width). Images with more pixels than the input in both directions are
        resized until the crop is that share of their shorter side, and cut; others are
        resized whole.

    Examples
    --------
    >>> fit_to_model({"input_size": (3, 32, 32)})(torch.ones(2, 3, 64, 48)).shape
    torch.Size([2, 3, 32, 32])
    """
    n_channels, *size = config["input_size"]
    share = config.get("crop_pct") or 1.0
    mode = InterpolationMode(config.get("interpolation") or "bilinear")
    mean = list(config.get("mean") or [0.0] * n_channels)
    std = list(config.get("std") or [1.0] * n_channels)

    def fit(images: Tensor) -> Tensor:
        if images.shape[-3] != n_channels or not images.is_floating_point():
            msg = (
                f"Images must be float in [0, 1], of shape (..., {n_channels}, height, width), "
                f"got {images.dtype} of shape {tuple(images.shape)}."
            )
            raise ShapeError(msg)
        height, width = images.shape[-2:]
        scale = max(size[0] / height, size[1] / width) / share
        if [height, width] != size:
            is_large = height >= size[0] and width >= size[1] and scale <= 1
            whole = [round(height * scale), round(width * scale)] if is_large else size
            images = F.resize(images, whole, interpolation=mode)
            images = F.center_crop(images, size)
        return F.normalize(images, mean, std)

    return fit


def mix_batches(loader: Loader, mix: Callable[[Tensor, Tensor], Batch]) -> Loader:
    """Return a loader that gives the batches of `loader`, mixed.

    Parameters
    ----------
    loader : Loader
        What `make_loader` returns; for training, one that shuffles.
    mix : callable
        From images and labels of a whole batch to mixed images and probabilities, such as
        ``v2.MixUp(num_classes=10)`` of torchvision. It is seeded by the loader's seed, the
        epoch and the batch.
    """

    def batches(epoch: int) -> Iterator[Batch]:
        for number, batch in enumerate(loader.batches(epoch)):
            with all_seeded(loader.seed, "mix", epoch, number):
                mixed = mix(*batch)
            yield mixed

    mixing = copy(loader)
    mixing.batches = batches
    return mixing


def sample_transform(
    transform: Callable[[Any], Any], image: Any, *, n_samples: int, seed: int
) -> list[Any]:
    """Return several results of a random transform of one image, a PIL image or a tensor.

    The first samples are the same however many are asked for.

    Examples
    --------
    >>> image = torch.rand(3, 8, 8)
    >>> len(sample_transform(v2.RandomRotation(30), image, n_samples=4, seed=0))
    4
    """
    samples = []
    for number in range(n_samples):
        with seeded(seed, "sample", number):
            samples.append(transform(image))
    return samples


def find_changing(dataset: Any, *, n_items: int = 32) -> list[int]:
    """Return which items of a torch data set differ when they are read twice.

    Validation data must never: if they do, a random transform is applied to them, most often
    because both parts of a `random_split` share the data set's.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        Items are tensors or PIL images, alone or first in a tuple.
    n_items : int, default=32
        How many to read, spread evenly.

    Examples
    --------
    >>> find_changing([(torch.ones(2), 0), (torch.zeros(2), 1)])
    []
    """

    def read(index: int, turn: int) -> Tensor:
        with seeded(index, "look", turn):  # not the same draws twice
            item = dataset[index]
        image = item[0] if isinstance(item, tuple | list) else item
        return image if isinstance(image, Tensor) else F.pil_to_tensor(image)

    count = min(n_items, len(dataset))
    indices = [number * len(dataset) // count for number in range(count)]
    return [index for index in indices if not torch.equal(read(index, 0), read(index, 1))]
