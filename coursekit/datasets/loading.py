"""Batches for training, and splits: pure functions of a seed.

Data in memory are sliced a whole batch at a time; images that stay on disk are read one by
one, by worker processes if asked for.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from coursekit.datasets.imageset import ImageSet, stack_images
from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.seeds import derive_seed, make_generator

__all__ = ["Loader", "all_seeded", "make_loader", "split_stratified"]

Batch = tuple[Tensor, Tensor]


def make_loader(
    data: ImageSet | tuple[Tensor, Tensor],
    *,
    batch_size: int,
    seed: int | None = None,
    shuffle: bool = False,
    transform: Callable[[Tensor], Tensor] | None = None,
    n_workers: int = 0,
    drop_last: bool = False,
) -> "Loader":
    """Return a loader that gives `data` in batches of images and labels.

    Parameters
    ----------
    data : ImageSet, or pair of Tensors
        Images and their labels. A pair holds inputs of shape (n_samples, ...) - uint8 ones
        are brightness from 0 to 255 - and labels of shape (n_samples,).
    batch_size : int
        Samples a batch, over all processes together.
    seed : int, optional
        Decides the order and the augmentation of every epoch. Needed for `shuffle`.
    shuffle : bool, default=False
        Whether each epoch has an order of its own.
    transform : callable, optional
        For data in memory it is given a whole batch (B, C, H, W), seeded by (seed, epoch,
        batch); for images that are read one by one, a single image (C, H, W), seeded by
        (seed, epoch, index). Both are float32 from 0 to 1. A random transform of torchvision
        draws *once* for what it is given: on a batch, it turns all images or none.
    n_workers : int, default=0
        Processes that read images from the disk. The batches do not depend on it.
    drop_last : bool, default=False
        Whether to leave out a last batch that is not full.

    Returns
    -------
    Loader
        Gives pairs: float32 of shape (batch_size, channels, height, width) and int64 of
        shape (batch_size,).

    Examples
    --------
    >>> data = (torch.arange(5.0).reshape(5, 1), torch.arange(5))
    >>> loader = make_loader(data, batch_size=2, shuffle=True, seed=0)
    >>> [labels.tolist() for _, labels in loader.batches(epoch=1)]
    [[4, 3], [1, 0], [2]]
    """
    if isinstance(data, ImageSet):
        inputs, labels = data.images, torch.from_numpy(data.labels.copy())
        if not data.is_lazy:
            inputs = torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy())
    elif [isinstance(part, Tensor) for part in data] == [True, True]:
        inputs, labels = data
    else:
        given = ", ".join(type(part).__name__ for part in data)
        msg = (
            f"data must be an ImageSet or a pair of tensors (inputs, labels), got {given}."
        )
        raise DataError(msg)
    if len(inputs) != len(labels):
        msg = f"Every input needs one label, got {len(inputs)} and {len(labels)}."
        raise ShapeError(msg)
    if batch_size < 1:
        msg = f"batch_size must be at least 1, got {batch_size}."
        raise SettingsError(msg)
    if shuffle and seed is None:
        msg = "shuffle=True needs a seed, so that the order can be repeated: pass seed=0."
        raise SettingsError(msg)
    return Loader(
        inputs,
        labels,
        image_set=data if isinstance(data, ImageSet) else None,
        batch_size=batch_size,
        seed=seed or 0,
        shuffle=shuffle,
        transform=transform,
        n_workers=n_workers,
        drop_last=drop_last,
    )


class Loader:
    """Batches of inputs and labels; made by `make_loader`.

    Iterating over it gives epoch 0, then epoch 1, and so on: each has its own order and its
    own random draws. `batches` gives any epoch by its number and does not count.
    """

    def __init__(
        self,
        inputs: Tensor | Sequence[np.ndarray],
        labels: Tensor,
        *,
        image_set: ImageSet | None,
        batch_size: int,
        seed: int,
        shuffle: bool,
        transform: Callable[[Tensor], Tensor] | None,
        n_workers: int,
        drop_last: bool,
    ) -> None:
        self.inputs, self.labels, self.image_set = inputs, labels, image_set
        self.n_samples = len(inputs)  # dropped ones included
        self.batch_size, self.drop_last = batch_size, drop_last
        self.seed, self.shuffle = seed, shuffle
        self.transform, self.n_workers = transform, n_workers
        self._n_iterated = 0

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        if self.drop_last:
            return self.n_samples // self.batch_size
        return -(-self.n_samples // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        self._n_iterated += 1
        return self.batches(self._n_iterated - 1)

    def order(self, epoch: int) -> Tensor | None:
        """Return the indices of all samples in the order of `epoch`; None: as they are."""
        if not self.shuffle:
            return None
        generator = make_generator(self.seed, "order", epoch)
        return torch.randperm(self.n_samples, generator=generator)

    def batches(
        self, epoch: int, *, start: int = 0, rank: int = 0, n_processes: int = 1
    ) -> Iterator[Batch]:
        """Return an iterator over the batches of one epoch, counted from 0.

        Parameters
        ----------
        start : int, default=0
            The first batch to give. Those before it are not computed.
        rank, n_processes : int
            Which of how many processes asks. Each gets its own rows of every batch, in
            order; of a short last batch a process may get 0 rows.
        """
        order, rows = self.order(epoch), []
        for first in range(start * self.batch_size, self.n_samples, self.batch_size):
            last = min(first + self.batch_size, self.n_samples)
            rows.append(range(first, last) if order is None else order[first:last])
        rows = rows[: len(self) - start]
        shares = [_share(len(r), rank=rank, n_processes=n_processes) for r in rows]
        give = self._slice if isinstance(self.inputs, Tensor) else self._read
        return give(epoch, start, rows, shares)

    def _slice(self, epoch: int, start: int, rows: list, shares: list) -> Iterator[Batch]:
        for number, (own, share) in enumerate(zip(rows, shares, strict=True), start):
            labels = self._take(self.labels, own[share])
            if self.transform is None:
                yield self._take(self.inputs, own[share]), labels
                continue
            # The whole batch is transformed in every process: its draws are one stream.
            with all_seeded(self.seed, "batch", epoch, number):
                inputs = self.transform(self._take(self.inputs, own))
            yield inputs[share], labels

    def _take(self, values: Tensor, rows: Tensor | range) -> Tensor:
        if isinstance(rows, range):
            taken = values[rows.start : rows.stop].clone()  # nobody can change the data
        else:
            taken = values.index_select(0, rows.to(values.device))
        if values is self.inputs and values.dtype == torch.uint8:
            return taken.float().div_(255)
        return taken

    def _read(self, epoch: int, start: int, rows: list, shares: list) -> Iterator[Batch]:
        del start  # an image has its own draws, whichever batch it comes in
        own = [[int(row) for row in r[s]] for r, s in zip(rows, shares, strict=True)]
        batches = DataLoader(
            _EpochImages(self, epoch),
            # A process without a row reads one, for the shape of its empty batch.
            batch_sampler=[o or [int(r[0])] for o, r in zip(own, rows, strict=True)],
            num_workers=self.n_workers,
            collate_fn=_stack,
            generator=torch.Generator(),  # else it would draw from the global one
        )
        for (images, labels), kept in zip(batches, own, strict=True):
            yield images[: len(kept)], labels[: len(kept)]


class _EpochImages(Dataset):
    """The images of one epoch, each transformed by draws of its own."""

    def __init__(self, loader: Loader, epoch: int) -> None:
        self.images, self.labels = loader.inputs, loader.labels
        self.transform, self.seed, self.epoch = loader.transform, loader.seed, epoch

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = np.asarray(self.images[index])
        pixels = torch.from_numpy(image.transpose(2, 0, 1).copy()).float().div_(255)
        if self.transform is not None:
            with all_seeded(self.seed, "image", self.epoch, index):
                pixels = self.transform(pixels)
        return pixels, self.labels[index]


def _stack(samples: list[tuple[Tensor, Tensor]]) -> Batch:
    images, labels = zip(*samples, strict=True)
    return stack_images(list(images)), torch.stack(labels)


def _share(n_rows: int, *, rank: int, n_processes: int) -> slice:
    """Rows of one process: consecutive, and the first ones have one more if need be."""
    size, rest = divmod(n_rows, n_processes)
    first = rank * size + min(rank, rest)
    return slice(first, first + size + (rank < rest))


@contextmanager
def all_seeded(*parts: int | str) -> Iterator[None]:
    """Seed the generators that transforms may use (torch, NumPy, Python), then restore."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    seed = derive_seed(*parts)
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])


def split_stratified(
    image_set: ImageSet, sizes: Mapping[str, int | float], *, seed: int
) -> dict[str, ImageSet]:
    """Cut `image_set` into parts that share no image and hold every class in its share.

    Parameters
    ----------
    sizes : mapping of str to int or float
        The name of each part and its size: all numbers of images (``{"train": 300,
        "test": 100}``) or all fractions of the set (``{"train": 0.75, "test": 0.25}``).
        What they leave over is in no part.

    Returns
    -------
    dict of str to ImageSet
        In the order of `sizes`; inside a part the images keep the order they had.

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
    members = [
        rng.permutation(np.flatnonzero(image_set.labels == label))
        for label in range(image_set.n_classes)
    ]
    class_sizes = [len(rows) for rows in members]
    too_few = [
        f"{name!r} has {n_images}"
        for name, n_images in zip(image_set.class_names, class_sizes, strict=True)
        if n_images < len(counts)
    ]
    if too_few:
        msg = (
            f"Every class needs an image for each of the {len(counts)} parts, but "
            f"{', '.join(too_few)}. Add images, drop the class, or make fewer parts."
        )
        raise DataError(msg)
    for name, count in counts.items():
        if count < image_set.n_classes:
            msg = f"Part {name!r} has {count} places for {image_set.n_classes} classes."
            raise DataError(msg)
    ends = np.cumsum(_quotas(class_sizes, list(counts.values())), axis=1)
    firsts = np.pad(ends, ((0, 0), (1, 0)))
    parts = {}
    for part, name in enumerate(counts):
        rows = [
            m[first[part] : end[part]]
            for m, first, end in zip(members, firsts, ends, strict=True)
        ]
        parts[name] = image_set.subset(np.sort(np.concatenate(rows)))
    return parts


def _counts_of_parts(n_images: int, sizes: Mapping[str, int | float]) -> dict[str, int]:
    are_fractions = {isinstance(size, float | np.floating) for size in sizes.values()}
    given = ", ".join(f"{name}: {size}" for name, size in sizes.items())
    if not sizes or min(sizes.values()) <= 0 or len(are_fractions) > 1:
        msg = f"sizes must be all counts or all fractions, each larger than 0, got {given}."
        raise SettingsError(msg)
    counts = dict(sizes)
    if are_fractions == {True}:
        # Rounded at the ends, so that parts of a whole add up to the whole.
        ends = np.rint(np.cumsum(list(sizes.values())) * n_images).astype(int)
        counts = dict(zip(sizes, np.diff(ends, prepend=0).tolist(), strict=True))
    if sum(counts.values()) > n_images:
        msg = f"The parts ({given}) are more than the {n_images} images of the set."
        raise SettingsError(msg)
    return counts


def _quotas(class_sizes: list[int], part_sizes: list[int]) -> np.ndarray:
    """How many images of each class go into each part: proportional, none zero."""
    n_images = sum(class_sizes)
    left = np.array(class_sizes)
    quotas = np.zeros((len(class_sizes), len(part_sizes)), dtype=int)
    for part, size in enumerate(part_sizes):
        n_later = len(part_sizes) - part - 1
        most = left - n_later  # one image of each class stays for every later part
        wanted = size * np.array(class_sizes) / n_images
        quota = np.clip(np.floor(wanted).astype(int), 1, most)
        while quota.sum() != size:
            step = 1 if quota.sum() < size else -1
            movable = quota < most if step > 0 else quota > 1
            gap = np.where(movable, step * (wanted - quota), -math.inf)
            quota[int(np.argmax(gap))] += step
        quotas[:, part] = quota
        left = left - quota
    return quotas
