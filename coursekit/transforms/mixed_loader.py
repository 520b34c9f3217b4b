"""`mix_batches`: a loader whose batches are mixed, images and labels together.

Nothing here knows how they are mixed.
"""

from collections.abc import Callable, Iterator

from torch import Tensor

from coursekit.datasets import Loader
from coursekit.datasets.loading import all_seeded
from coursekit.errors import DataError

__all__ = ["mix_batches"]

Batch = tuple[Tensor, Tensor]


def mix_batches(loader: Loader, mix: Callable[[Tensor, Tensor], Batch]) -> Loader:
    """Return a loader that gives the batches of `loader`, mixed.

    Parameters
    ----------
    loader : Loader
        What `make_loader` returns; for training, one that shuffles.
    mix : callable
        From images and labels of a whole batch to mixed images and probabilities: `MixUp`,
        `CutMix`, torchvision's, or an own function.

    Returns
    -------
    Loader
        Mixing is seeded by the loader's seed, the epoch and the batch.

    Raises
    ------
    DataError
        If `loader` is not a loader of `make_loader`. A torch DataLoader mixes by
        ``collate_fn=MixUp(n_classes=...).collate``.

    Examples
    --------
    >>> import torch
    >>> from coursekit.datasets import make_loader
    >>> data = torch.rand(6, 3, 8, 8), torch.eye(6)
    >>> loader = make_loader(data, batch_size=4, shuffle=True, seed=0)
    >>> def halves(images, labels):
    ...     return (images + images.flip(0)) / 2, (labels + labels.flip(0)) / 2
    >>> [tuple(labels.shape) for _, labels in mix_batches(loader, halves)]
    [(4, 6), (2, 6)]
    """
    if not isinstance(loader, Loader):
        msg = (
            f"mix_batches takes what make_loader returns, got {type(loader).__name__}. Give a "
            "torch DataLoader collate_fn=MixUp(n_classes=...).collate instead."
        )
        raise DataError(msg)
    return _MixedLoader(loader, mix)


class _MixedLoader(Loader):
    """A loader around another."""

    def __init__(self, loader: Loader, mix: Callable[[Tensor, Tensor], Batch]) -> None:
        vars(self).update(vars(loader), loader=loader, mix=mix)

    def batches(
        self, epoch: int, *, start: int = 0, rank: int = 0, n_processes: int = 1
    ) -> Iterator[Batch]:
        # Every process mixes the whole batch, so that pairs do not depend on their number.
        for number, batch in enumerate(self.loader.batches(epoch, start=start), start):
            with all_seeded(self.seed, "mix", epoch, number):
                images, labels = self.mix(*batch)
            share = (images.tensor_split(n_processes), labels.tensor_split(n_processes))
            yield share[0][rank], share[1][rank]
