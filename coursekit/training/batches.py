"""What the trainer asks of a loader: the batches of one epoch, from any batch on.

Nothing here knows what is done with them.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from coursekit.datasets import Loader
from coursekit.errors import DataError, SettingsError
from coursekit.training.records import get_random_states, set_random_states

__all__ = ["Batches", "batches_of"]

Batch = tuple[Tensor, Tensor]

_SHUFFLING = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)


def batches_of(
    loader: Iterable[Batch], *, rank: int = 0, n_processes: int = 1
) -> "Batches":
    """Return `loader` in the form in which the trainer uses it.

    Raises
    ------
    DataError
        If the loader is no iterable, has no batch, or cannot be shared by processes.
    """
    if isinstance(loader, Loader):
        batches = _CoursekitBatches(loader, rank=rank, n_processes=n_processes)
    elif isinstance(loader, Iterable):
        batches = _AnyBatches(loader, rank=rank, n_processes=n_processes)
    else:
        msg = (
            "A loader is what make_loader returns, a torch DataLoader, or a list of pairs "
            f"(inputs, labels), got {type(loader).__name__}."
        )
        raise DataError(msg)
    if batches.n_batches == 0:
        raise DataError(_why_empty(loader))
    return batches


class Batches:
    """The batches of a loader, one epoch at a time.

    Attributes
    ----------
    n_batches : int or None
        Batches of an epoch; None if that is not known.
    is_shuffled : bool
        Whether epochs differ in order.
    kind : str
        Who made the loader.
    """

    n_batches: int | None
    is_shuffled: bool
    kind: str

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Return an iterator over epoch number `epoch` (from 0), from batch `start` on."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to go on from the middle of the present epoch."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""


class _CoursekitBatches(Batches):
    """A loader of coursekit: every epoch is a function of its seed, there is no state."""

    kind = "coursekit"

    def __init__(self, loader: Loader, *, rank: int, n_processes: int) -> None:
        self.loader, self.share = loader, {"rank": rank, "n_processes": n_processes}
        self.n_batches, self.is_shuffled = len(loader), loader.shuffle

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        return self.loader.batches(epoch, start=start, **self.share)


class _AnyBatches(Batches):
    """A torch DataLoader or another iterable, whose order comes from global generators.

    To start in the middle of an epoch, the generators go back to where they were at its
    beginning, and the batches before are read again and left. So whatever the loader draws
    from them - order, augmentation, seeds of workers - comes out the same.
    """

    kind = "torch"

    def __init__(self, loader: Iterable[Batch], *, rank: int, n_processes: int) -> None:
        self.n_batches = len(loader) if hasattr(loader, "__len__") else None
        self.is_shuffled = isinstance(getattr(loader, "sampler", None), _SHUFFLING)
        self.loader, self.n_processes = loader, n_processes
        if n_processes > 1:
            self.loader = _shared(loader, rank=rank, n_processes=n_processes)
        owners = (loader, getattr(loader, "sampler", None))
        found = [getattr(owner, "generator", None) for owner in owners]
        self.generators = list(
            {id(g): g for g in found if isinstance(g, torch.Generator)}.values()
        )
        self.at_start: dict[str, Any] | None = None

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        del epoch  # the generators know
        now = get_random_states()
        if start:
            self._set(self.at_start)
        self._agree()
        self.at_start = {"random": get_random_states(), "generators": self._states()}
        batches = iter(self.loader)
        if start:
            next(islice(batches, start - 1, start), None)
            set_random_states(now)
        return batches

    def state_dict(self) -> dict[str, Any]:
        return {"at_start": self.at_start, "generators": self._states()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.at_start = state["at_start"]
        self._set(state)

    def _states(self) -> list[Tensor]:
        return [generator.get_state() for generator in self.generators]

    def _set(self, state: dict[str, Any]) -> None:
        if "random" in state:
            set_random_states(state["random"])
        for generator, saved in zip(self.generators, state["generators"], strict=True):
            generator.set_state(saved)

    def _agree(self) -> None:
        """Give the generators of all processes the states of the first one's."""
        if self.n_processes > 1:
            states = broadcast_object_list([torch.get_rng_state(), *self._states()])
            torch.set_rng_state(states[0])
            for generator, state in zip(self.generators, states[1:], strict=True):
                generator.set_state(state)


class _ShareOfBatches:
    """A batch sampler: the part of each batch that belongs to one process."""

    def __init__(
        self, batches: Iterable[list[int]], *, rank: int, n_processes: int
    ) -> None:
        self.batches, self.rank, self.n_processes = batches, rank, n_processes

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches:
            first, last = (
                len(batch) * number // self.n_processes
                for number in (self.rank, self.rank + 1)
            )
            yield batch[first:last]


def _shared(loader: Iterable[Batch], *, rank: int, n_processes: int) -> DataLoader:
    """Return a DataLoader that reads only the share of one process of each batch."""
    if not isinstance(loader, DataLoader) or loader.batch_sampler is None:
        msg = (
            "Several processes need a loader that can be shared: one of make_loader, or a "
            f"torch DataLoader with a batch size, got {type(loader).__name__}."
        )
        raise DataError(msg)
    size = getattr(loader.batch_sampler, "batch_size", None)
    if size and not loader.drop_last and 0 < len(loader.sampler) % size < n_processes:
        msg = (
            f"The last batch has {len(loader.sampler) % size} samples for {n_processes} "
            "processes. Pass drop_last=True, another batch_size, or a loader of make_loader."
        )
        raise DataError(msg)
    same = (
        "num_workers",
        "collate_fn",
        "pin_memory",
        "timeout",
        "worker_init_fn",
        "generator",
    )
    return DataLoader(
        loader.dataset,
        batch_sampler=_ShareOfBatches(
            loader.batch_sampler, rank=rank, n_processes=n_processes
        ),
        **{name: getattr(loader, name) for name in same},
    )


def check_can_resume(loader: Iterable[Batch]) -> None:
    """Raise if an interrupted training on `loader` could not be continued exactly.

    Raises
    ------
    SettingsError
        If worker processes keep random states of their own from epoch to epoch.
    """
    if isinstance(loader, DataLoader) and loader.num_workers and loader.persistent_workers:
        msg = (
            "Checkpoints cannot keep the random states of persistent workers, so a resumed "
            "training would differ. Pass persistent_workers=False, or use make_loader."
        )
        raise SettingsError(msg)


def _why_empty(loader: Iterable[Batch]) -> str:
    n_samples = getattr(loader, "n_samples", None)
    if n_samples is None:
        n_samples = len(loader.dataset) if hasattr(loader, "dataset") else 0
    if n_samples and getattr(loader, "drop_last", False):
        return (
            f"The loader has no batch: {n_samples} samples are fewer than one batch of "
            f"{loader.batch_size}, and drop_last=True drops them. Use a smaller batch_size."
        )
    return "The loader has no batch: its data hold no sample. Check how they were chosen."
