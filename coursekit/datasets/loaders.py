"""Loaders: batches whose order and augmentation are pure functions of a seed.

Data in memory are sliced whole batches at a time; images that stay on disk are read one by
one, by worker processes if asked for. Nothing here knows what the batches are used for.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from coursekit.datasets.epoch_images import Empty, EpochImages, all_seeded, stack
from coursekit.datasets.imageset import ImageSet
from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.seeds import make_generator

__all__ = ["Loader", "make_loader"]

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
        Decides the order and the augmentation of every epoch. Needed for `shuffle`; without
        it, `transform` is seeded as with 0.
    shuffle : bool, default=False
        Whether each epoch has an order of its own.
    transform : callable, optional
        For data in memory it is given a whole batch (B, C, H, W), seeded by (seed, epoch,
        batch); for images that are read one by one, a single image (C, H, W), seeded by
        (seed, epoch, index). Both are float32 from 0 to 1.
    n_workers : int, default=0
        Processes that read and transform images. The batches do not depend on it. Data in
        memory need none.
    drop_last : bool, default=False
        Whether to leave out a last batch that is not full.

    Returns
    -------
    Loader
        Gives pairs: float32 of shape (batch_size, channels, height, width) and int64 of
        shape (batch_size,).

    Raises
    ------
    SettingsError
        If a number is out of range, or `shuffle` has no seed.
    ShapeError
        If inputs and labels differ in number.

    Notes
    -----
    A random torchvision transform draws *once* for what it is given: on a batch,
    ``RandomHorizontalFlip`` turns all images or none. Use transforms that draw for each
    image of a batch, or an image set that is read one by one.

    Examples
    --------
    >>> data = (torch.arange(5.0).reshape(5, 1), torch.arange(5))
    >>> loader = make_loader(data, batch_size=2, shuffle=True, seed=0)
    >>> [labels.tolist() for _, labels in loader.batches(epoch=1)]
    [[4, 3], [1, 0], [2]]
    """
    if not isinstance(data, ImageSet):
        data = tuple(data)
    _check_settings(
        data, batch_size=batch_size, seed=seed, shuffle=shuffle, n_workers=n_workers
    )
    settings = {
        "batch_size": batch_size,
        "seed": seed or 0,
        "shuffle": shuffle,
        "transform": transform,
        "drop_last": drop_last,
    }
    if isinstance(data, ImageSet) and data.is_lazy:
        return _ReadingLoader(data, n_workers=n_workers, **settings)
    if isinstance(data, ImageSet):
        pixels = torch.from_numpy(data.images.transpose(0, 3, 1, 2).copy())
        data = pixels, torch.from_numpy(data.labels.copy())
    return _SlicingLoader(*data, **settings)


class Loader:
    """Batches of inputs and labels; made by `make_loader`.

    Iterating over it gives epoch 0, every time; `batches` gives any other epoch.

    Parameters
    ----------
    n_samples : int
        Samples in the data, whether or not the last ones are dropped.
    batch_size : int
        Samples a batch.
    seed : int
        Decides the order and the augmentation of every epoch.
    shuffle : bool
        Whether the order differs from epoch to epoch.
    transform : callable, optional
        What is done to the inputs.
    drop_last : bool
        Whether a last batch that is not full is left out.
    """

    def __init__(
        self,
        n_samples: int,
        *,
        batch_size: int,
        seed: int,
        shuffle: bool,
        transform: Callable[[Tensor], Tensor] | None,
        drop_last: bool,
    ) -> None:
        self.n_samples = n_samples
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.transform = transform
        self.drop_last = drop_last

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        if self.drop_last:
            return self.n_samples // self.batch_size
        return -(-self.n_samples // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return self.batches(epoch=0)

    def order(self, epoch: int) -> Tensor | None:
        """Return the indices of all samples in the order of `epoch`; None: as they are."""
        if not self.shuffle:
            return None
        generator = make_generator(self.seed, "order", epoch)
        return torch.randperm(self.n_samples, generator=generator)

    def batches(
        self, epoch: int, *, start: int = 0, rank: int = 0, n_processes: int = 1
    ) -> Iterator[Batch]:
        """Return an iterator over the batches of one epoch.

        Parameters
        ----------
        epoch : int
            Counted from 0.
        start : int, default=0
            The first batch to give. Those before it are not computed.
        rank, n_processes : int
            Which of how many processes asks. Each gets its own rows of every batch, in
            order; of a short last batch a process may get 0 rows.

        Yields
        ------
        tuple of Tensors
            Inputs and labels.
        """
        raise NotImplementedError

    def _rows(self, order: Tensor | None, number: int) -> Tensor | range:
        """Return the indices of the samples in batch `number`."""
        first = number * self.batch_size
        last = min(first + self.batch_size, self.n_samples)
        return range(first, last) if order is None else order[first:last]


class _SlicingLoader(Loader):
    """Slices batches from tensors in memory."""

    def __init__(self, inputs: Tensor, labels: Tensor, **settings: object) -> None:
        super().__init__(len(inputs), **settings)
        self.inputs, self.labels = inputs, labels

    def batches(
        self, epoch: int, *, start: int = 0, rank: int = 0, n_processes: int = 1
    ) -> Iterator[Batch]:
        order = self.order(epoch)
        for number in range(start, len(self)):
            rows = self._rows(order, number)
            share = slice(None)
            if n_processes > 1:
                share = _share(len(rows), rank=rank, n_processes=n_processes)
            labels = self._take(self.labels, rows[share])
            if self.transform is None:
                yield self._take(self.inputs, rows[share]), labels
                continue
            # The whole batch is transformed in every process: its draws are one stream.
            with all_seeded(self.seed, "batch", epoch, number):
                inputs = self.transform(self._take(self.inputs, rows))
            yield inputs[share], labels

    def _take(self, values: Tensor, rows: Tensor | range) -> Tensor:
        if isinstance(rows, range):
            taken = values[rows.start : rows.stop].clone()  # nobody can change the data
        else:
            taken = values.index_select(0, rows.to(values.device))
        if values is self.inputs and values.dtype == torch.uint8:
            return taken.float().div_(255)
        return taken


class _ReadingLoader(Loader):
    """Reads images one by one, in worker processes if there are any."""

    def __init__(self, image_set: ImageSet, *, n_workers: int, **settings: object) -> None:
        super().__init__(len(image_set), **settings)
        self.image_set, self.n_workers = image_set, n_workers

    def batches(
        self, epoch: int, *, start: int = 0, rank: int = 0, n_processes: int = 1
    ) -> Iterator[Batch]:
        order = self.order(epoch)
        shares = []
        for number in range(start, len(self)):
            rows = self._rows(order, number)
            share = rows[_share(len(rows), rank=rank, n_processes=n_processes)]
            shares.append([int(row) for row in share] or [Empty(int(rows[0]))])
        return iter(
            DataLoader(
                EpochImages(self.image_set, self.transform, self.seed, epoch),
                batch_sampler=shares,
                num_workers=self.n_workers,
                collate_fn=stack,
                generator=torch.Generator(),  # else it would draw from the global one
            )
        )


def _share(n_rows: int, *, rank: int, n_processes: int) -> slice:
    """Rows of one process: consecutive, and the first ones have one more if need be."""
    size, rest = divmod(n_rows, n_processes)
    first = rank * size + min(rank, rest)
    return slice(first, first + size + (rank < rest))


def _check_settings(
    data: ImageSet | tuple,
    *,
    batch_size: int,
    seed: int | None,
    shuffle: bool,
    n_workers: int,
) -> None:
    if not isinstance(data, ImageSet):
        if len(data) != 2 or not all(isinstance(part, Tensor) for part in data):
            msg = (
                "data must be an ImageSet or a pair of tensors (inputs, labels), got "
                f"{', '.join(type(part).__name__ for part in data)}."
            )
            raise DataError(msg)
        if len(data[0]) != len(data[1]):
            msg = f"Every input needs one label, got {len(data[0])} and {len(data[1])}."
            raise ShapeError(msg)
    for name, value, least in (("batch_size", batch_size, 1), ("n_workers", n_workers, 0)):
        if value < least:
            msg = f"{name} must be at least {least}, got {value}."
            raise SettingsError(msg)
    if shuffle and seed is None:
        msg = "shuffle=True needs a seed, so that the order can be repeated: pass seed=0."
        raise SettingsError(msg)
