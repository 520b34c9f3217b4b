"""Bring data of every kind into batches whose order is that of the data.

Nothing here knows about models or embeddings.
"""

import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, RandomSampler

from coursekit.datasets import ImageSet, Loader, make_loader
from coursekit.errors import DataError, SettingsError
from coursekit.training.batches import batches_of
from coursekit.training.records import kept_random_states

__all__ = ["Feed", "open_feed", "split_batch"]

Sized = Callable[[tuple[int, ...]], int]
"""Chooses the number of samples a batch by the shape of one sample."""

_N_GAPS = 4  # between the samples by which data are known again


@dataclass(frozen=True, eq=False)
class Feed:
    """Samples in batches, and what is known about them.

    Parameters
    ----------
    loader : iterable
    n_samples : int or None
        None where only reading them all would tell.
    class_names : tuple of str
    description : str
        What the samples are, in words.
    has_labels : bool
        Whether labels that come with the batches are real ones.
    """

    loader: Iterable[Any]
    n_samples: int | None
    class_names: tuple[str, ...]
    description: str
    has_labels: bool = True

    def batches(
        self, *, n_done: int, rank: int, n_processes: int
    ) -> tuple[int, int, Iterator[Any]]:
        """Return how many batches and samples are left out as done, and the other batches.

        Of a batch of which only a part is done all is given again, and so is everything
        where batches have no common size. Each process gets its own part of every batch.
        """
        batches = batches_of(self.loader, rank=rank, n_processes=n_processes)
        n_whole = n_done // self.batch_size if self.batch_size else 0
        n_left_out = n_whole * (self.batch_size or 0)
        if isinstance(self.loader, Loader):
            return n_whole, n_left_out, batches.epoch(0, start=n_whole)
        return n_whole, n_left_out, islice(batches.epoch(0), n_whole, None)

    @property
    def batch_size(self) -> int | None:
        """Samples in every batch but the last one; None if that is not known."""
        return getattr(self.loader, "batch_size", None)

    def first_batch(self) -> Any:
        """Return the first batch; nothing is drawn from the global generators."""
        with kept_random_states():
            return next(iter(self.loader))

    def fingerprint(self) -> str:
        """Return a hash of all labels that are at hand, and of a few samples.

        They are at the beginning, at the end and between; only at the beginning where
        others cannot be reached without reading all. The size of batches plays no part.
        """
        digest = hashlib.sha256()
        loader = self.loader
        with kept_random_states():
            if not isinstance(loader, Loader):
                _hash_row(digest, self.first_batch(), 0)
                return digest.hexdigest()
            owner = getattr(loader, "image_set", None) or loader
            if (labels := getattr(owner, "labels", None)) is not None:
                _hash_values(digest, torch.as_tensor(labels))
            last = loader.n_samples - 1
            for sample in sorted({last * part // _N_GAPS for part in range(_N_GAPS + 1)}):
                number, row = divmod(sample, loader.batch_size)
                _hash_row(digest, next(iter(loader.batches(0, start=number))), row)
        return digest.hexdigest()


def open_feed(data: Any, *, transform: Callable | None, choose_size: Sized) -> Feed:
    """Return `data` as batches.

    Parameters
    ----------
    data : ImageSet, Tensor, pair of Tensors, Loader, DataLoader or other iterable
    transform : callable, optional
        For data that are no loader yet.
    choose_size : callable
        For the same.

    Raises
    ------
    DataError
        If there is no sample, or `data` is none of these.
    SettingsError
        If a loader shuffles or leaves samples out, or `transform` is given beside one.
    """
    if isinstance(data, np.ndarray):
        msg = (
            "data must be an ImageSet, a Tensor or a loader, got an ndarray of shape "
            f"{data.shape}. Images (n, height, width, channels): ImageSet(images=..., "
            "labels=..., class_names=...); else torch.from_numpy(data)."
        )
        raise DataError(msg)
    if isinstance(data, ImageSet):
        return _feed_of_images(data, transform, choose_size)
    if isinstance(data, Tensor):
        labels = torch.zeros(len(data) if data.ndim else 0, dtype=torch.int64)
        return _feed_of_tensors((data, labels), transform, choose_size, has_labels=False)
    if isinstance(data, tuple) and [type(part) for part in data] == [Tensor, Tensor]:
        return _feed_of_tensors(data, transform, choose_size, has_labels=True)
    if transform is not None:
        msg = (
            "A loader has a transform of its own, so transform= cannot be used with it. Give "
            "the data themselves, or make the loader with the transform."
        )
        raise SettingsError(msg)
    if isinstance(getattr(data, "dataset", None), IterableDataset):
        data = _Stream(data)
    batches = batches_of(data)
    _check_order(data, is_shuffled=batches.is_shuffled)
    names = getattr(getattr(data, "image_set", None), "class_names", None)
    names = names or getattr(getattr(data, "dataset", None), "classes", ())
    return Feed(data, _n_samples(data), tuple(map(str, names)), _describe(data))


class _Stream:
    """Batches of which nobody knows how many there are."""

    def __init__(self, loader: Iterable[Any]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Any]:
        return iter(self.loader)


def _feed_of_images(
    images: ImageSet, transform: Callable | None, choose_size: Sized
) -> Feed:
    if not len(images):
        msg = "There is nothing to embed: the ImageSet holds no image."
        raise DataError(msg)
    if images.is_lazy:
        given: Any = images
    else:  # a view: the images are not copied
        pixels = _as_tensor(images.images).permute(0, 3, 1, 2)
        given = pixels, _as_tensor(images.labels)
    loader = _loader_of(given, transform, choose_size)
    return Feed(loader, len(images), images.class_names, repr(images))


def _feed_of_tensors(
    pair: tuple[Tensor, Tensor],
    transform: Callable | None,
    choose_size: Sized,
    *,
    has_labels: bool,
) -> Feed:
    inputs, _ = pair
    if inputs.ndim < 2 or not len(inputs):
        msg = (
            "A tensor of data needs the shape (n_samples, ...) with at least one sample, got "
            f"{tuple(inputs.shape)}."
        )
        raise DataError(msg)
    loader = _loader_of(pair, transform, choose_size)
    described = f"tensor of shape {tuple(inputs.shape)}"
    return Feed(loader, len(inputs), (), described, has_labels=has_labels)


def _loader_of(given: Any, transform: Callable | None, choose_size: Sized) -> Loader:
    """Return a loader with batches of the size that suits a transformed sample."""
    one = next(iter(make_loader(given, batch_size=1, transform=transform)))[0]
    size = choose_size(tuple(one.shape[1:]))
    return make_loader(given, batch_size=size, transform=transform)


def _as_tensor(images: np.ndarray) -> Tensor:
    """Return a view; torch warns of arrays that are read-only, but nobody writes here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"The given NumPy array is not writ")
        return torch.from_numpy(images)


def split_batch(batch: Any, where: str) -> tuple[Tensor, Tensor | None]:
    """Return the inputs of a batch, and its labels if it has any.

    Raises
    ------
    DataError
        If it is neither a tensor nor a tuple that begins with one.
    """
    parts = batch if isinstance(batch, tuple | list) else (batch,)
    if not parts or not isinstance(parts[0], Tensor):
        given = type(parts[0]).__name__ if parts else "nothing"
        msg = (
            f"In {where}: a batch must be inputs, or (inputs, labels), with inputs as one "
            f"tensor, got {type(batch).__name__} with {given}."
        )
        raise DataError(msg)
    inputs, labels = parts[0], parts[1] if len(parts) > 1 else None
    if not _are_labels(labels, len(inputs)):
        labels = None
    return inputs, labels


def _are_labels(labels: Any, n_samples: int) -> bool:
    return (
        isinstance(labels, Tensor)
        and labels.shape == (n_samples,)
        and not labels.dtype.is_floating_point
    )


def _check_order(loader: Any, *, is_shuffled: bool) -> None:
    inner = getattr(getattr(loader, "batch_sampler", None), "sampler", None)
    if is_shuffled or isinstance(inner, RandomSampler):
        msg = (
            "embed keeps the order of the data, but this loader shuffles them. Make one with "
            "shuffle=False."
        )
        raise SettingsError(msg)
    size, n_samples = getattr(loader, "batch_size", None), _n_samples(loader)
    if (
        getattr(loader, "drop_last", False)
        and size
        and n_samples is not None
        and (n_left := n_samples % size)
    ):
        msg = (
            f"embed gives every sample, but this loader drops the last {n_left} of "
            f"{n_samples}. Make one with drop_last=False."
        )
        raise SettingsError(msg)


def _n_samples(loader: Any) -> int | None:
    """Return how many samples are to be had, dropped ones included; None if not known."""
    if isinstance(loader, Loader):
        return loader.n_samples
    if isinstance(loader, DataLoader) and loader.batch_size is not None:
        return len(loader.sampler)
    return None


def _describe(loader: Any) -> str:
    n_samples = _n_samples(loader)
    dataset = getattr(loader, "image_set", None) or getattr(loader, "dataset", None)
    of = "" if dataset is None else f" of {type(dataset).__name__}"
    counted = "" if n_samples is None else f", {n_samples} samples"
    return f"{type(loader).__name__.strip('_')}{of}{counted}"


def _hash_row(digest: Any, batch: Any, row: int) -> None:
    for part in batch if isinstance(batch, tuple | list) else (batch,):
        if isinstance(part, Tensor) and part.ndim:
            _hash_values(digest, part[row])


def _hash_values(digest: Any, values: Tensor) -> None:
    digest.update(f"{values.dtype}{tuple(values.shape)}".encode())
    flat = values.detach().cpu().contiguous().reshape(-1)
    digest.update(flat.view(torch.uint8).numpy())
