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

    def batches(
        self, epoch: int, *, start: int = 0, rank: int = 0, n_processes: int = 1
    ) -> Iterator[Batch]:
        # Every process mixes the whole batch, so that pairs do not depend on their number.
        for number, batch in enumerate(self.loader.batches(epoch, start=start), start):
            with all_seeded(self.seed, "mix", epoch, number):
                images, labels = self.mix(*batch)
            share = (images.tensor_split(n_processes), labels.tensor_split(n_processes))
            yield share[0][rank], share[1][rank]
