"""Batches for training, and splits: pure functions of a seed.

Data in memory are sliced a whole batch at a time; images that stay on disk are read one by
one.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from coursekit.datasets.imageset import ImageSet, LazyImages, stack_images
from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.seeds import derive_seed, make_generator, seeded

Batch = tuple[Tensor, Tensor]


def make_loader(
    data: ImageSet | tuple[Tensor, Tensor],
    *,
    batch_size: int,
    seed: int | None = None,
    shuffle: bool = False,
    transform: Callable[[Tensor], Tensor] | None = None,
    drop_last: bool = False,
) -> "Loader":
    """Return a loader that gives `data` in batches of images and labels.

    Images are float32 of shape (batch_size, channels, height, width), labels int64.

    Parameters
    ----------
    data : ImageSet, or pair of Tensors
        Images and their labels. A pair holds inputs of shape (n_samples, ...) - uint8 ones
        are brightness from 0 to 255 - and labels of shape (n_samples,).
    batch_size : int
    seed : int, optional
        Decides the order and the augmentation of every epoch. Needed for `shuffle`.
    shuffle : bool, default=False
        Whether each epoch has an order of its own.
    transform : callable, optional
        For data in memory it is given a whole batch (B, C, H, W), seeded by (seed, epoch,
        batch); for images that are read one by one, a single image (C, H, W), seeded by
        (seed, epoch, index). Both are float32 from 0 to 1. A random transform of torchvision
        draws *once* for what it is given: on a batch, it turns all images or none.
    drop_last : bool, default=False
        Whether to leave out a last batch that is not full.

    Examples
    --------
    >>> data = (torch.arange(5.0).reshape(5, 1), torch.arange(5))
    >>> loader = make_loader(data, batch_size=2, shuffle=True, seed=0)
    >>> [labels.tolist() for _, labels in loader.batches(epoch=1)]
    [[4, 3], [1, 0], [2]]
    """
    if isinstance(data, ImageSet):
        inputs, labels = data.images, torch.from_numpy(data.labels)
        if not data.is_lazy:
            inputs = torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy())
    else:
        inputs, labels = map(torch.as_tensor, data)
    if len(inputs) != len(labels):
        msg = f"Every input needs one label, got {len(inputs)} and {len(labels)}."
        raise ShapeError(msg)
    if shuffle and seed is None:
        msg = "shuffle=True needs a seed, so that the order can be repeated: pass seed=0."
        raise SettingsError(msg)
    return Loader(inputs, labels, batch_size, seed or 0, shuffle, transform, drop_last)


@dataclass(eq=False, repr=False)
class Loader:
    """Batches of inputs and labels; made by `make_loader`.

    Iterating over it gives epoch 0, then epoch 1, and so on: each has its own order and its
    own random draws. `batches` gives any epoch by its number and does not count.
    """

    inputs: Tensor | LazyImages
    labels: Tensor
    batch_size: int
    seed: int
    shuffle: bool
    transform: Callable[[Tensor], Tensor] | None
    drop_last: bool
    _n_iterated: int = 0

    @property
    def n_samples(self) -> int:
        """Number of samples, those of a dropped batch included."""
        return len(self.inputs)

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        if self.drop_last:
            return self.n_samples // self.batch_size
        return -(-self.n_samples // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        self._n_iterated += 1
        return self.batches(self._n_iterated - 1)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Return an iterator over the batches of one epoch, counted from 0."""
        order = torch.arange(self.n_samples)
        if self.shuffle:
            generator = make_generator(self.seed, "order", epoch)
            order = torch.randperm(self.n_samples, generator=generator)
        for number, rows in enumerate(order.split(self.batch_size)[: len(self)]):
            if isinstance(self.inputs, Tensor):
                if self.shuffle:
                    inputs = self.inputs.index_select(0, rows.to(self.inputs.device))
                else:  # a slice keeps its strides: with channels last, convolutions are fast
                    inputs = self.inputs[rows[0] : rows[-1] + 1].clone()
                inputs = self._prepare(inputs, "batch", epoch, number)
            else:
                inputs = stack_images([self._read(epoch, row) for row in rows.tolist()])
            yield inputs, self.labels.index_select(0, rows.to(self.labels.device))

    def _read(self, epoch: int, index: int) -> Tensor:
        """Return one image, transformed by draws of its own, whichever batch it comes in."""
        image = torch.from_numpy(self.inputs[index].transpose(2, 0, 1).copy())
        return self._prepare(image, "image", epoch, index)

    def _prepare(self, inputs: Tensor, *parts: int | str) -> Tensor:
        if inputs.dtype == torch.uint8:
            inputs = inputs.float().div_(255)
        if self.transform is None:
            return inputs
        with all_seeded(self.seed, *parts):
            return self.transform(inputs)


@contextmanager
def all_seeded(*parts: int | str) -> Iterator[None]:
    """Seed the generators that transforms may use (torch, NumPy, Python), then restore."""
    states = np.random.get_state(), random.getstate()  # noqa: NPY002
    seed = derive_seed(*parts)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
    try:
        with seeded(*parts):
            yield
    finally:
        np.random.set_state(states[0])  # noqa: NPY002
        random.setstate(states[1])


def split_stratified(
    image_set: ImageSet, sizes: Mapping[str, int | float], *, seed: int
) -> dict[str, ImageSet]:
    """Cut `image_set` into parts that share no image and hold every class in its share.

    Inside a part the images keep the order they had.

    Parameters
    ----------
    sizes : mapping of str to int or float
        The name of each part and its size: all numbers of images (``{"train": 300,
        "test": 100}``) or all fractions of the set (``{"train": 0.75, "test": 0.25}``).
        What they leave over is in no part.

    Examples
    --------
    >>> toy = ImageSet(
    ...     images=np.zeros((8, 4, 4, 1), np.uint8), labels=[0, 1] * 4, class_names=("a", "b")
    ... )
    >>> parts = split_stratified(toy, {"train": 0.75, "test": 0.25}, seed=0)
    >>> {name: sorted(part.names) for name, part in parts.items()}
    {'train': ['a', 'a', 'a', 'b', 'b', 'b'], 'test': ['a', 'b']}
    """
    counts = _counts_of_parts(len(image_set), sizes)
    rng = np.random.default_rng(derive_seed(seed, "split"))
    labels, names = image_set.labels, image_set.class_names
    members = [rng.permutation(np.flatnonzero(labels == c)) for c in range(len(names))]
    class_sizes = np.array([len(rows) for rows in members])
    if class_sizes.min() < len(counts) or min(counts.values()) < len(names):
        classes = dict(zip(names, class_sizes.tolist(), strict=True))
        msg = (
            f"Every part needs an image of each class. Images are {_listed(classes)}; places "
            f"are {_listed(counts)}. Add images, drop a class, or make fewer or larger parts."
        )
        raise DataError(msg)
    parts, begins = {}, np.zeros(len(names), int)
    for name, count in counts.items():
        # One image of each class stays for every later part.
        most = class_sizes - begins - (len(counts) - len(parts) - 1)
        ends = begins + _quota(class_sizes, count, most)
        rows = [m[begin:end] for m, begin, end in zip(members, begins, ends, strict=True)]
        parts[name], begins = image_set.subset(np.sort(np.concatenate(rows))), ends
    return parts


def _counts_of_parts(n_images: int, sizes: Mapping[str, int | float]) -> dict[str, int]:
    counts, values = dict(sizes), list(sizes.values())
    are_fractions = {isinstance(size, float) for size in values}
    if are_fractions == {True}:
        # Rounded at the ends, so that parts of a whole add up to the whole.
        ends = np.rint(np.cumsum(values) * n_images).astype(int)
        counts = dict(zip(sizes, np.diff(ends, prepend=0).tolist(), strict=True))
    if len(are_fractions) > 1 or min(values) <= 0 or sum(counts.values()) > n_images:
        msg = (
            "sizes must be all counts or all fractions, each larger than 0, and together no "
            f"more than the set's {n_images} images, got {_listed(sizes)}."
        )
        raise SettingsError(msg)
    return counts


def _listed(numbers: Mapping[str, int | float]) -> str:
    return ", ".join(f"{name}: {number}" for name, number in numbers.items())


def _quota(class_sizes: np.ndarray, n_images: int, most: np.ndarray) -> np.ndarray:
    """How many images of each class go into one part: proportional, none zero."""
    wanted = n_images * class_sizes / class_sizes.sum()
    quota = np.clip(np.floor(wanted).astype(int), 1, most)
    while quota.sum() != n_images:
        step = 1 if quota.sum() < n_images else -1
        movable = quota < most if step > 0 else quota > 1
        quota[np.argmax(np.where(movable, step * (wanted - quota), -math.inf))] += step
    return quota
