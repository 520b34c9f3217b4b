"""Give memory back that nobody uses, and tell how much it was.

Nothing here knows who held it.
"""

import ctypes
import gc
import sys
from typing import NamedTuple

import psutil
import torch

__all__ = ["ReleasedMemory", "release"]

_MIB = 2**20


class ReleasedMemory(NamedTuple):
    """What `release` gave back, in bytes; None is what was not measured.

    Parameters
    ----------
    n_objects : int
        Python objects that referred to each other in circles, and were collected.
    resident_bytes : int
        By which the process became smaller; negative where another thread took more.
    allocated_bytes : int or None
        Of tensors on all CUDA devices, which the collected objects held.
    reserved_bytes : int or None
        That PyTorch's allocator handed back to the driver, on all CUDA devices.
    """

    n_objects: int
    resident_bytes: int
    allocated_bytes: int | None
    reserved_bytes: int | None

    def __str__(self) -> str:
        gpu = "GPU not measured (no CUDA device)"
        if self.reserved_bytes is not None:
            gpu = (
                f"GPU {self.allocated_bytes / _MIB:.1f} MiB of tensors and "
                f"{self.reserved_bytes / _MIB:.1f} MiB of reserve"
            )
        return f"released {self.resident_bytes / _MIB:.1f} MiB of the process, {gpu}"


def release() -> ReleasedMemory:
    """Free what can be freed, and return how much that was.

    Circles of Python objects are collected (``gc.collect()``), PyTorch's allocator hands its
    reserve back to the driver (``torch.cuda.empty_cache()``), and on Linux the C library its
    own to the machine. A tensor that has a name is never freed: ``del`` the name first.

    Returns
    -------
    ReleasedMemory

    Examples
    --------
    >>> freed = release()
    >>> freed.n_objects >= 0
    True
    """
    process, before = psutil.Process(), _read_gpu()
    resident = process.memory_info().rss
    n_objects = gc.collect()
    if before is not None:
        torch.cuda.empty_cache()
    _trim_heap()
    after = _read_gpu()
    return ReleasedMemory(
        n_objects=n_objects,
        resident_bytes=resident - process.memory_info().rss,
        allocated_bytes=None if before is None else before[0] - after[0],
        reserved_bytes=None if before is None else before[1] - after[1],
    )


def _read_gpu() -> tuple[int, int] | None:
    """Return the bytes allocated and reserved on all CUDA devices."""
    if not torch.cuda.is_available():
        return None
    devices = range(torch.cuda.device_count())
    return (
        sum(torch.cuda.memory_allocated(index) for index in devices),
        sum(torch.cuda.memory_reserved(index) for index in devices),
    )


def _trim_heap() -> None:
    """Ask the C library for what it keeps of freed memory, where it can be asked."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
        if trim is not None:
            trim(0)
