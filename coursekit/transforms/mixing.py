"""`mix_batches`: a loader whose batches are mixed, images and labels together."""

from collections.abc import Callable, Iterator

from torch import Tensor

from coursekit.datasets import Loader
from coursekit.datasets.loading import all_seeded

__all__ = ["mix_batches"]

Batch = tuple[Tensor, Tensor]


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
    return _MixedLoader(loader, mix)


class _MixedLoader(Loader):
    """A loader around another."""

    def __init__(self, loader: Loader, mix: Callable[[Tensor, Tensor], Batch]) -> None:
        vars(self).update(vars(loader))  # its data and settings
        self.loader, self.mix = loader, mix

    def batches(self, epoch: int) -> Iterator[Batch]:
        for number, batch in enumerate(self.loader.batches(epoch)):
            with all_seeded(self.seed, "mix", epoch, number):
                mixed = self.mix(*batch)
            yield mixed
