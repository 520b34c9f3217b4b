"""Search the largest size that works, by doubling and bisection, past lack of memory.

This is the policy alone: what is tried, and how much memory it takes, is the caller's.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from coursekit.inspection.releasing import release

__all__ = ["Trial", "is_out_of_memory", "search_largest"]

_PHRASES = (
    "out of memory",  # CUDA, XPU, MPS
    "not enough memory",  # Windows
    "can't allocate memory",  # the CPU's allocator
    "cannot allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_NOT_SUPPORTED",  # also said for want of workspace
)


class Trial(NamedTuple):
    """One size that was tried.

    Parameters
    ----------
    size : int
    fits : bool
        Whether it worked.
    n_bytes : int or None
        What it took; None where that is not known, as after running out of memory.
    """

    size: int
    fits: bool
    n_bytes: int | None


def search_largest(
    attempt: Callable[[int], Trial], *, limit: int, first: int = 1
) -> tuple[Trial, ...]:
    """Return every trial of a search for the largest size that fits, in order.

    Parameters
    ----------
    attempt : callable
        Tries a size. It may run out of memory: then the size does not fit, and what the
        attempt held is released.
    limit : int
        The largest size to try.
    first : int, default=1
        The first size to try; smaller ones only if it does not fit.

    Returns
    -------
    tuple of Trial

    Examples
    --------
    >>> found = search_largest(lambda size: Trial(size, size <= 37, size), limit=100)
    >>> max(trial.size for trial in found if trial.fits)
    37
    """
    trials: list[Trial] = []

    def fits(size: int) -> bool:
        trials.append(_survive(attempt, size))
        return trials[-1].fits

    low, high = 0, limit + 1  # what fits, what does not
    size = min(first, limit)
    while high > limit and low < limit:
        if fits(size):
            low, size = size, min(2 * size, limit)
        else:
            high = size
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return tuple(trials)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that there was not enough memory.

    Examples
    --------
    >>> is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    True
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(p.lower() in text for p in _PHRASES)


def _survive(attempt: Callable[[int], Trial], size: int) -> Trial:
    try:
        return attempt(size)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    release()  # here, where the error and the frames that it held are gone
    return Trial(size, fits=False, n_bytes=None)
