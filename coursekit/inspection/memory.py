"""Memory: over time, of a batch, and how it is given back."""

import ctypes
import gc
import math
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple
from weakref import WeakValueDictionary, finalize

import pandas as pd
import psutil
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from coursekit.errors import SettingsError
from coursekit.inspection.cost import measure_saved_bytes

__all__ = ["largest_batch", "release", "track_memory"]

_NOT_MEASURED = "not measured (no CUDA device)"
# A sample's own time is at most one of so many parts: under 1 % with its switches.
_SHARE = 300
_LARGEST = 4096  # images of a batch: where the search for the largest ends


# -- over time ---------------------------------------------------------------------------------


@dataclass
class Span:
    """A time with a name. A mark ends where it begins; what goes on has no end yet."""

    kind: str
    """``"whole"``, ``"phase"`` or ``"mark"``."""
    name: str
    begin: float
    end: float = math.inf


@contextmanager
def track_memory(*, interval_seconds: float = 0.02) -> Iterator["MemoryTimeline"]:
    """Measure memory while the block runs: of the process, of the GPU, saved for backward.

    Parameters
    ----------
    interval_seconds : float, default=0.02
        Between two samples, which a thread takes. They become rarer where taking one is slow,
        so that they cost under 1 % of a processor.

    Notes
    -----
    Peaks of the allocator are exact in each phase; for that they begin anew, for the whole
    process, at every phase and mark. Saved bytes are those of the thread that opened the block;
    other hooks on saved tensors, such as ``save_on_cpu``, rest meanwhile.

    Examples
    --------
    >>> with track_memory() as timeline, timeline.phase("forward"):
    ...     loss = torch.ones(256, 1024, requires_grad=True).exp().sum()
    >>> timeline.peaks("forward")["saved_bytes"] // 1024
    1024
    """
    saved, stop = _SavedBytes(), threading.Event()
    timeline = MemoryTimeline(saved.read)

    def watch() -> None:
        wait = interval_seconds
        while not stop.wait(wait):
            began = time.thread_time()
            timeline._take()
            wait = max(interval_seconds, _SHARE * (time.thread_time() - began))

    sampler = threading.Thread(target=watch, name="memory sampler", daemon=True)
    sampler.start()
    try:
        with saved_tensors_hooks(saved.pack, _unpack):
            yield timeline
    finally:
        stop.set()
        sampler.join()
        timeline._take()


class MemoryTimeline:
    """What `track_memory` measured; it grows while the block runs.

    Between two samples only the peaks of the allocator and of the saved bytes are known:
    resident memory and the driver's number may have been higher for a moment.
    """

    labels: ClassVar = {
        "resident_bytes": "resident",
        "saved_bytes": "saved for backward",
        "allocated_bytes": "GPU allocated",
        "reserved_bytes": "GPU reserved",
        "driver_bytes": "GPU driver",
    }
    """What each number of bytes is called. Those of the GPU are of the current device: held by
    tensors, held by PyTorch's allocator for tensors now or later, and in use by every program."""

    def __init__(self, read_saved: Callable[[], tuple[int, int]]) -> None:
        self._read_saved = read_saved
        self._device = torch.cuda.current_device() if torch.cuda.is_available() else None
        self._process, self._lock = psutil.Process(), threading.Lock()
        self._began = time.perf_counter()
        self.samples: list[dict[str, float]] = []
        self.spans = [Span("whole", "whole", self._take(is_boundary=True)["seconds"])]

    def mark(self, name: str) -> dict[str, float]:
        """Measure now, and remember the moment under a name; return what was measured."""
        sample = self._take(is_boundary=True)
        self.spans.append(Span("mark", name, sample["seconds"], sample["seconds"]))
        return sample

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Give a name to the time in which the block runs; phases may hold others."""
        span = Span("phase", name, self._take(is_boundary=True)["seconds"])
        self.spans.append(span)
        try:
            yield
        finally:
            span.end = self._take(is_boundary=True)["seconds"]

    def peaks(self, phase: str | None = None) -> dict[str, int | None]:
        """Return the most of everything, in bytes: of all the time, or of a phase.

        Keys are those of `labels`; None is what was not measured. Phases of one name are taken
        together.
        """
        return self._peaks(self.spans[:1] if phase is None else self._phases()[phase])

    def report(self) -> pd.DataFrame:
        """Return a table: the whole time, each phase and each mark.

        Memory is in MiB: the most of the whole time or of a phase, the value at a mark. Phases
        of one name are taken together. What is not measured says so, with the reason.
        """
        marks = [[span] for span in self.spans if span.kind == "mark"]
        now, rows = self.samples[-1]["seconds"], []
        for spans in (self.spans[:1], *self._phases().values(), *marks):
            lasted = sum(min(one.end, now) - one.begin for one in spans)
            row: dict[str, Any] = {"name": spans[0].name, "kind": spans[0].kind}
            row["begins (s)"] = round(spans[0].begin, 3)
            row["lasts (s)"] = round(lasted, 3) if spans[0].kind != "mark" else None
            for key, peak in self._peaks(spans).items():
                shown = _NOT_MEASURED if peak is None else round(peak / 2**20, 1)
                row[f"{self.labels[key]} (MiB)"] = shown
            rows.append(row)
        return pd.DataFrame(rows).set_index("name")

    def _phases(self) -> dict[str, list[Span]]:
        phases: dict[str, list[Span]] = {}
        for span in self.spans:
            if span.kind == "phase":
                phases.setdefault(span.name, []).append(span)
        return phases

    def _peaks(self, spans: Sequence[Span]) -> dict[str, Any]:
        found: dict[str, list[Any]] = {key: [] for key in self.labels}
        for span in spans:
            inside = [s for s in self.samples if span.begin <= s["seconds"] <= span.end]
            for key, values in found.items():
                values += [sample[key] for sample in inside if key in sample]
                # What the first sample knows of the time before is of another span.
                peak = f"{key}_peak"
                values += [sample[peak] for sample in inside[1:] if peak in sample]
        return {key: max(values, default=None) for key, values in found.items()}

    def _take(self, *, is_boundary: bool = False) -> dict[str, float]:
        """Take a sample; after a boundary the allocator's peaks begin anew."""
        with self._lock:  # of two threads, in order of time
            sample = {}
            if self._device is not None:  # first, because its first use takes memory
                free, total = torch.cuda.mem_get_info(self._device)
                sample["driver_bytes"] = total - free
                stats = torch.cuda.memory_stats(self._device)
                for key in ("allocated_bytes", "reserved_bytes"):
                    sample[key] = stats.get(f"{key}.all.current", 0)  # empty at first
                    sample[f"{key}_peak"] = stats.get(f"{key}.all.peak", 0)
                if is_boundary:
                    torch.cuda.reset_peak_memory_stats(self._device)
            sample["saved_bytes"], sample["saved_bytes_peak"] = self._read_saved()
            sample["resident_bytes"] = self._process.memory_info().rss
            sample["seconds"] = time.perf_counter() - self._began
            self.samples.append(sample)
            return sample


class _SavedBytes:
    """Knows how many bytes autograd holds for the backward pass, now and at the most.

    Memory counts once however many operations saved it, a view counts as the whole that it
    keeps alive, and parameters do not count: they are there anyway.
    """

    def __init__(self) -> None:
        self._n_bytes, self._peak = 0, 0
        self._blocks: WeakValueDictionary[int, _Block] = WeakValueDictionary()
        # Who frees a tensor may be in any thread, even inside the lock: it only notes that.
        self._freed: deque[int] = deque()
        self._lock = threading.Lock()

    def read(self) -> tuple[int, int]:
        """Return the bytes saved now, and the most since this was asked before."""
        with self._lock:
            self._settle()
            peak, self._peak = self._peak, self._n_bytes
            return self._n_bytes, peak

    def pack(self, tensor: Tensor) -> "tuple[Tensor, int, _Block | None]":
        """Return what stands in the graph for the tensor, and holds its block while it does."""
        block = None
        if not any(isinstance(one, nn.Parameter) for one in (tensor, tensor._base)):
            memory = tensor.untyped_storage()
            with self._lock:
                self._settle()
                block = self._blocks.get(memory._cdata)
                if block is None:
                    self._blocks[memory._cdata] = block = _Block()
                    finalize(block, self._freed.append, memory.nbytes())
                    self._n_bytes += memory.nbytes()
                    self._peak = max(self._peak, self._n_bytes)
        # Without its history: an output saved with it would keep its own graph alive.
        return tensor.detach(), tensor._version, block

    def _settle(self) -> None:
        while self._freed:
            self._n_bytes -= self._freed.popleft()


class _Block:
    """Stands for memory that is saved as long as this is held."""


def _unpack(saved: tuple[Tensor, int, _Block | None]) -> Tensor:
    """Return the tensor; torch looks for changes in place only where there are no hooks."""
    tensor, version, _ = saved
    if tensor._version != version:
        msg = (
            f"A tensor of shape {tuple(tensor.shape)} that is needed for the gradient has been "
            "modified by an inplace operation since it was saved."
        )
        raise RuntimeError(msg)
    return tensor


# -- of a batch --------------------------------------------------------------------------------


class Trial(NamedTuple):
    """One size that was tried."""

    size: int
    fits: bool


class LargestBatch(NamedTuple):
    """The largest batch that fits, and every size that was tried, in order."""

    batch_size: int
    trials: list[Trial]


def largest_batch(
    model: nn.Module, shape: Sequence[int], *, budget_bytes: int | None = None
) -> LargestBatch:
    """Search the largest batch, up to 4096, with which `model` can make a training step.

    Parameters
    ----------
    model : nn.Module
        Measured in training mode, where it is. It is left as it was.
    shape : (channels, height, width)
        Of one image.
    budget_bytes : int, optional
        Bytes that the step may take. On a CUDA device steps are really made, and this is the
        peak of PyTorch's allocator, weights and gradients included; without it the device is
        the limit. Elsewhere no step is made, and these are the bytes saved for the backward
        pass.

    Notes
    -----
    On a CUDA device leave some percent free: the state of an optimizer, other programs and the
    fragmentation of a long training take memory too.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(1024, 10), nn.Sigmoid())
    >>> largest_batch(model, (1, 32, 32), budget_bytes=1_000_000).batch_size
    241
    """
    device = next(model.parameters()).device
    if budget_bytes is None and device.type != "cuda":
        msg = (
            "On a CPU the largest batch is searched within a budget, because exhausting its "
            "memory would stop everything that runs on it. Give budget_bytes, as in "
            "budget_bytes=2 * 2**30."
        )
        raise SettingsError(msg)

    def fits(size: int) -> bool:
        try:
            if device.type == "cuda":
                n_bytes = _measure_step(model, (size, *shape), device)
            else:
                n_bytes = measure_saved_bytes(model, shape, batch_size=size)
        except torch.OutOfMemoryError:
            pass
        else:
            return budget_bytes is None or n_bytes <= budget_bytes
        release()  # here, where the error and the frames that it held are gone
        return False

    trials: list[Trial] = []
    size, low, high = 2, 0, _LARGEST + 1  # what fits, what does not
    while high - low > 1:
        trials.append(Trial(size, fits(size)))
        low, high = (size, high) if trials[-1].fits else (low, size)
        size = min(2 * low, _LARGEST) if high > _LARGEST else (low + high) // 2
    if low == 0:
        msg = "Not even a batch of 1 fits. Take smaller images or a smaller model."
        raise SettingsError(msg)
    return LargestBatch(low, trials)


def _measure_step(model: nn.Module, shape: Sequence[int], device: torch.device) -> int:
    """Make one training step without an update; return the peak of what was allocated."""
    from coursekit.training.trainer import kept_modes  # accelerate's import takes a second

    parameters = [p for p in model.parameters() if p.requires_grad]
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with kept_modes(model), torch.random.fork_rng([device]), torch.enable_grad():
        model.train()
        torch.cuda.reset_peak_memory_stats(device)
        images = torch.zeros(tuple(shape), device=device, dtype=parameters[0].dtype)
        output = torch.func.functional_call(model, buffers, (images,))
        outputs = output if isinstance(output, tuple) else (output,)
        total = sum(one.sum() for one in outputs)
        torch.autograd.grad(total, parameters, allow_unused=True)
        return torch.cuda.max_memory_allocated(device)


# -- given back --------------------------------------------------------------------------------


def release() -> dict[str, int | None]:
    """Free what can be freed, and return how many bytes that was.

    Circles of Python objects are collected (``gc.collect()``), PyTorch's allocator hands its
    reserve back to the driver (``torch.cuda.empty_cache()``), and on Linux the C library its
    own to the machine. A tensor that has a name is never freed: ``del`` the name first.

    Returns
    -------
    dict
        ``resident_bytes`` of the process, and ``reserved_bytes`` of PyTorch's allocator on the
        CUDA device; None where there is none.

    Examples
    --------
    >>> list(release())
    ['resident_bytes', 'reserved_bytes']
    """
    process, has_gpu = psutil.Process(), torch.cuda.is_available()
    resident = process.memory_info().rss
    reserved = torch.cuda.memory_reserved() if has_gpu else None
    gc.collect()
    if has_gpu:
        torch.cuda.empty_cache()
        reserved -= torch.cuda.memory_reserved()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return {
        "resident_bytes": resident - process.memory_info().rss,
        "reserved_bytes": reserved,
    }
