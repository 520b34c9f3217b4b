"""Memory: over time, of a batch, and how it is given back."""

import ctypes
import gc
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import pandas as pd
import psutil
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from coursekit.errors import SettingsError, ShapeError
from coursekit.inspection.cost import measure_saved_bytes

__all__ = ["largest_batch", "release", "track_memory"]

_MIB = 2**20
_NO_GPU = "no CUDA device"
# A sample's own time is at most one of so many parts: under 1 % with its switches.
_SHARE = 300
# Samples, after which they are taken half as often: a day's timeline stays small.
_MANY = 5_000


# -- over time ---------------------------------------------------------------------------------


class DeviceMemory(NamedTuple):
    """The memory of one CUDA device at one moment, in bytes; peaks since they began anew."""

    allocated_bytes: int
    """Held by tensors of this process."""
    allocated_peak_bytes: int
    reserved_bytes: int
    """Held by PyTorch's allocator, for tensors now or later."""
    reserved_peak_bytes: int
    driver_bytes: int | None
    """In use on the whole device, by every program."""


class MemorySample(NamedTuple):
    """Memory at one moment, `seconds` after the beginning of the timeline."""

    seconds: float
    resident_bytes: int
    """Of the process, in the machine's memory."""
    saved_bytes: int
    """Saved for the backward pass."""
    saved_peak_bytes: int
    """The most that was saved since the sample before."""
    devices: tuple[DeviceMemory, ...]


class Mark(NamedTuple):
    """A moment with a name."""

    name: str
    seconds: float


class Phase(NamedTuple):
    """A time with a name; `end` is None while it lasts."""

    name: str
    begin: float
    end: float | None


class Quantity(NamedTuple):
    """Something that is measured."""

    key: str
    """As in ``"allocated_bytes"``."""
    label: str
    """In words, as in ``"GPU allocated"``."""
    read: Callable[[MemorySample], int | None]
    """Its value at a sample."""
    read_peak: Callable[[MemorySample], int | None]
    """Its highest value before a sample, as far as that is known."""
    why_not: str | None
    """Why it was not measured, if so."""


def list_quantities(
    device_names: Sequence[str], why_not: Mapping[str, str | None]
) -> list[Quantity]:
    """Return what is measured on these devices, and what would be."""
    saved, peak = (partial(_read, field=f"saved_{what}bytes") for what in ("", "peak_"))
    resident = partial(_read, field="resident_bytes")
    quantities = [
        Quantity("resident_bytes", "resident", resident, resident, None),
        Quantity("saved_bytes", "saved for backward", saved, peak, why_not["saved"]),
    ]
    for device, name in enumerate(device_names or ("",)):
        suffix = f" {name}" if len(device_names) > 1 else ""
        for kind in ("allocated", "reserved", "driver"):
            is_driver, field = kind == "driver", f"{kind}_bytes"
            peak_field = field if is_driver else f"{kind}_peak_bytes"
            read, read_peak = (
                partial(_read, field=one, device=device) for one in (field, peak_field)
            )
            why = why_not["driver" if is_driver else "allocator"]
            label = f"GPU {kind}{suffix}"
            quantities.append(Quantity(field + suffix, label, read, read_peak, why))
    return quantities


def _read(sample: MemorySample, *, field: str, device: int | None = None) -> int | None:
    if device is None:
        return getattr(sample, field)
    return getattr(sample.devices[device], field) if sample.devices else None


@contextmanager
def track_memory(*, interval_seconds: float = 0.02) -> Iterator["MemoryTimeline"]:
    """Measure memory while the block runs: of the process, of GPUs, saved for backward.

    Parameters
    ----------
    interval_seconds : float, default=0.02
        Between two samples, which a thread takes. They become rarer where taking one is slow,
        so that they cost under 1 % of a processor, and in measurements of many minutes.

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
            rarer = 2 ** (len(timeline.samples) // _MANY)
            wait = max(interval_seconds * rarer, _SHARE * (time.thread_time() - began))

    sampler = threading.Thread(target=watch, name="memory sampler", daemon=True)
    timeline._take(is_boundary=True)
    sampler.start()
    try:
        with saved_tensors_hooks(saved.pack, _unpack):
            yield timeline
    finally:
        stop.set()
        sampler.join()
        timeline._close()


class MemoryTimeline:
    """What `track_memory` measured; it grows while the block runs.

    Between two samples only the peaks of the allocator and of the saved bytes are known:
    resident memory and the driver's number may have been higher for a moment.
    """

    def __init__(self, read_saved: Callable[[], tuple[int, int]]) -> None:
        self.samples: list[MemorySample] = []
        self.phases: list[Phase] = []
        self.marks: list[Mark] = []
        names, why_not = _find_devices()
        self.quantities = list_quantities(names, why_not)
        self._n_devices, self._has_driver = len(names), why_not["driver"] is None
        self._read_saved, self._is_over = read_saved, False
        self._process, self._lock = psutil.Process(), threading.Lock()
        self._began = time.perf_counter()

    def mark(self, name: str) -> MemorySample:
        """Measure now, and remember the moment under a name."""
        self._check()
        sample = self._take(is_boundary=True)
        self.marks.append(Mark(name, sample.seconds))
        return sample

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Give a name to the time in which the block runs; phases may hold others."""
        self._check()
        place = len(self.phases)
        self.phases.append(Phase(name, self._take(is_boundary=True).seconds, None))
        try:
            yield
        finally:
            if not self._is_over:
                end = self._take(is_boundary=True).seconds
                self.phases[place] = self.phases[place]._replace(end=end)

    def peaks(self, phase: str | None = None) -> dict[str, int | None]:
        """Return the most of everything, in bytes: of all the time, or of a phase.

        Parameters
        ----------
        phase : str, optional
            All phases of this name together.

        Returns
        -------
        dict
            ``resident_bytes``, ``saved_bytes``, ``allocated_bytes``, ``reserved_bytes`` and
            ``driver_bytes``; the last three once for each device, with its name, where there
            are several. None is what was not measured.
        """
        spans = [self._whole()]
        if phase is not None:
            spans = [span for span in self.phases if span.name == phase]
        if not spans:
            names = ", ".join(repr(one.name) for one in self.phases) or "none"
            msg = f"There is no phase {phase!r}. Phases are: {names}."
            raise SettingsError(msg)
        return {one.key: self._peak(one, spans) for one in self.quantities}

    def report(self) -> pd.DataFrame:
        """Return a table: the whole time, each phase and each mark.

        Memory is in MiB: the most of the whole time or of a phase, the value at a mark. Phases
        of one name are taken together. What is not measured says so, with the reason.
        """
        rows = [self._row("whole", [self._whole()])]
        for name in dict.fromkeys(phase.name for phase in self.phases):
            spans = [one for one in self.phases if one.name == name]
            rows.append(self._row("phase", spans))
        rows += [self._row("mark", [Phase(name, at, at)]) for name, at in self.marks]
        return pd.DataFrame(rows).set_index("name")

    def _whole(self) -> Phase:
        return Phase("whole", self.samples[0].seconds, self.samples[-1].seconds)

    def _row(self, kind: str, spans: Sequence[Phase]) -> dict[str, Any]:
        now = self.samples[-1].seconds
        lasted = sum((now if one.end is None else one.end) - one.begin for one in spans)
        row: dict[str, Any] = {"name": spans[0].name, "kind": kind}
        row |= {"begins (s)": round(spans[0].begin, 3)}
        row |= {"lasts (s)": round(lasted, 3) if kind != "mark" else None}
        for one in self.quantities:
            peak = self._peak(one, spans)
            text = f"not measured ({one.why_not or 'no answer'})"
            row[f"{one.label} (MiB)"] = text if peak is None else round(peak / _MIB, 1)
        return row

    def _peak(self, quantity: Quantity, spans: Sequence[Phase]) -> int | None:
        values = []
        for span in spans:
            end = self.samples[-1].seconds if span.end is None else span.end
            inside = [one for one in self.samples if span.begin <= one.seconds <= end]
            values += [quantity.read(sample) for sample in inside]
            # What a sample knows of the time before it is of another span, if it begins one.
            later = [one for one in inside if one.seconds > span.begin]
            values += [quantity.read_peak(sample) for sample in later]
        return max((value for value in values if value is not None), default=None)

    def _check(self) -> None:
        if self._is_over:
            msg = "This measurement is over: set marks and phases inside its block."
            raise SettingsError(msg)

    def _take(self, *, is_boundary: bool = False) -> MemorySample:
        """Take a sample; after a boundary the allocator's peaks begin anew."""
        with self._lock:  # of two threads, in order of time
            now, peak = self._read_saved()
            sample = MemorySample(
                seconds=time.perf_counter() - self._began,
                resident_bytes=self._process.memory_info().rss,
                saved_bytes=now,
                saved_peak_bytes=peak,
                devices=tuple(
                    _read_device(index, has_driver=self._has_driver)
                    for index in range(self._n_devices)
                ),
            )
            self.samples.append(sample)
            if is_boundary and self._n_devices and torch.cuda.is_initialized():
                for index in range(self._n_devices):
                    torch.cuda.reset_peak_memory_stats(index)
            return sample

    def _close(self) -> None:
        end = self._take().seconds
        self.phases = [p if p.end is not None else p._replace(end=end) for p in self.phases]
        self._is_over = True
        del self._read_saved  # what it holds may be large


def _find_devices() -> tuple[tuple[str, ...], dict[str, str | None]]:
    """Return the names of the CUDA devices, and why something cannot be read, if so."""
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    why_not = None if n_devices else _NO_GPU
    why_no_driver = why_not
    if n_devices:
        try:
            torch.cuda.device_memory_used(0)
        except Exception as error:  # noqa: BLE001 - drivers fail in many ways
            why_no_driver = f"{type(error).__name__}: {error}"
    names = tuple(f"cuda:{index}" for index in range(n_devices))
    return names, {"saved": None, "allocator": why_not, "driver": why_no_driver}


def _read_device(index: int, *, has_driver: bool) -> DeviceMemory:
    stats = torch.cuda.memory_stats(index)  # empty before the first tensor
    values = [
        stats.get(f"{kind}_bytes.all.{when}", 0)
        for kind in ("allocated", "reserved")
        for when in ("current", "peak")
    ]
    return DeviceMemory(
        *values, torch.cuda.device_memory_used(index) if has_driver else None
    )


class _SavedBytes:
    """Knows how many bytes autograd holds for the backward pass, now and at the most.

    Memory counts once however many operations saved it, a view counts as the whole that it
    keeps alive, and parameters do not count: they are there anyway.
    """

    def __init__(self) -> None:
        self._n_bytes, self._peak = 0, 0
        self._n_uses: Counter[int] = Counter()  # of each block of memory
        # Who frees a tensor may be in any thread, even inside the lock: it only notes that.
        self._freed: deque[tuple[int, int]] = deque()
        self._lock = threading.Lock()

    def read(self) -> tuple[int, int]:
        """Return the bytes saved now, and the most since this was asked before."""
        with self._lock:
            self._settle()
            peak, self._peak = self._peak, self._n_bytes
            return self._n_bytes, peak

    def pack(self, tensor: Tensor) -> "_Saved":
        is_parameter = isinstance(tensor, nn.Parameter) or isinstance(
            tensor._base, nn.Parameter
        )
        if is_parameter or tensor.layout is not torch.strided:
            return _Saved(tensor, None, self._freed)
        block = tensor.untyped_storage()
        with self._lock:
            self._settle()
            self._n_uses[block._cdata] += 1
            if self._n_uses[block._cdata] == 1:
                self._n_bytes += block.nbytes()
                self._peak = max(self._peak, self._n_bytes)
        return _Saved(tensor, (block._cdata, block.nbytes()), self._freed)

    def _settle(self) -> None:
        while self._freed:
            key, n_bytes = self._freed.popleft()
            self._n_uses[key] -= 1
            if not self._n_uses[key]:
                del self._n_uses[key]
                self._n_bytes -= n_bytes


class _Saved:
    """Stands in the graph for a saved tensor, and notes when it is freed."""

    __slots__ = ("_freed", "_note", "tensor", "version")

    def __init__(self, tensor: Tensor, note: Any, freed: deque) -> None:
        # Without its history: an output saved with it would keep its own graph alive.
        self.tensor, self.version = tensor.detach(), tensor._version
        self._note, self._freed = note, freed

    def __del__(self) -> None:
        if self._note is not None:
            self._freed.append(self._note)


def _unpack(saved: _Saved) -> Tensor:
    """Return the tensor; torch looks for changes in place only where there are no hooks."""
    if saved.tensor._version != saved.version:
        msg = (
            "one of the variables needed for gradient computation has been modified by an "
            f"inplace operation: a tensor of shape {tuple(saved.tensor.shape)} is at version "
            f"{saved.tensor._version}; expected version {saved.version} instead."
        )
        raise RuntimeError(msg)
    return saved.tensor


# -- of a batch --------------------------------------------------------------------------------


class Trial(NamedTuple):
    """One size that was tried, and the bytes that it took; None after running out of memory."""

    size: int
    fits: bool
    n_bytes: int | None


class LargestBatch(NamedTuple):
    """The largest batch that fits, and every size that was tried, in order."""

    batch_size: int
    trials: tuple[Trial, ...]


def largest_batch(
    model: nn.Module,
    shape: Sequence[int],
    *,
    budget_bytes: int | None = None,
    limit: int = 4096,
) -> LargestBatch:
    """Search the largest batch with which `model` can make a training step.

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
    limit : int, default=4096
        The largest batch to try.

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
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    if budget_bytes is None and device.type != "cuda":
        msg = (
            "On a CPU the largest batch is searched within a budget, because exhausting its "
            "memory would stop everything that runs on it. Give budget_bytes, as in "
            "budget_bytes=2 * 2**30."
        )
        raise SettingsError(msg)

    def attempt(size: int) -> Trial:
        try:
            if device.type == "cuda":
                n_bytes = _measure_step(model, (size, *shape), device)
            else:
                n_bytes = measure_saved_bytes(model, shape, batch_size=size)
        except (ShapeError, ValueError) as error:
            # Batch normalization cannot train on one image whose maps are 1 x 1.
            if size == 1 and "more than 1 value per channel" in str(error):
                return Trial(size, fits=False, n_bytes=None)
            raise
        return Trial(size, budget_bytes is None or n_bytes <= budget_bytes, n_bytes)

    trials = search_largest(attempt, limit=limit, first=2)
    best = max((trial.size for trial in trials if trial.fits), default=None)
    if best is None:
        took = min(trials).n_bytes
        took = "" if took is None else f": it takes {took / _MIB:.1f} MiB"
        msg = f"Not even a batch of 1 fits{took}. Take smaller images or a smaller model."
        raise SettingsError(msg)
    return LargestBatch(best, trials)


def search_largest(
    attempt: Callable[[int], Trial], *, limit: int, first: int = 1
) -> tuple[Trial, ...]:
    """Return every trial of a search for the largest size that fits, by doubling and bisection.

    Parameters
    ----------
    attempt : callable
        Tries a size. It may run out of memory: then the size does not fit, and what the attempt
        held is released.
    limit : int
        The largest size to try.
    first : int, default=1
        The first size to try; smaller ones only if it does not fit.
    """
    trials: list[Trial] = []
    low, high = 0, limit + 1  # what fits, what does not
    size = min(first, limit)
    while high - low > 1:
        trials.append(_survive(attempt, size))
        if trials[-1].fits:
            low = size
        else:
            high = size
        size = min(2 * low, limit) if high > limit else (low + high) // 2
    return tuple(trials)


def _survive(attempt: Callable[[int], Trial], size: int) -> Trial:
    # Here, because its import takes a second.
    from accelerate.utils.memory import should_reduce_batch_size

    try:
        return attempt(size)
    except Exception as error:
        is_memory = isinstance(error, torch.OutOfMemoryError)
        if not is_memory and not should_reduce_batch_size(error):
            raise
    release()  # here, where the error and the frames that it held are gone
    return Trial(size, fits=False, n_bytes=None)


def _measure_step(model: nn.Module, shape: Sequence[int], device: torch.device) -> int:
    """Make one training step without an update; return the peak of what was allocated."""
    from coursekit.training.trainer import kept_modes  # accelerate's import takes a second

    parameters = [p for p in model.parameters() if p.requires_grad]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    try:
        with kept_modes(model), torch.random.fork_rng([device]), torch.enable_grad():
            model.train()
            torch.cuda.reset_peak_memory_stats(device)
            output = model(
                torch.zeros(tuple(shape), device=device, dtype=parameters[0].dtype)
            )
            outputs = output if isinstance(output, tuple) else (output,)
            total = sum(one.sum() for one in outputs)
            torch.autograd.grad(total, parameters, allow_unused=True)
            torch.cuda.synchronize(device)
            return torch.cuda.max_memory_allocated(device)
    finally:
        with torch.no_grad():
            for buffer, values in buffers:
                buffer.copy_(values)


# -- given back --------------------------------------------------------------------------------


def release() -> dict[str, int | None]:
    """Free what can be freed, and return how many bytes that was.

    Circles of Python objects are collected (``gc.collect()``), PyTorch's allocator hands its
    reserve back to the driver (``torch.cuda.empty_cache()``), and on Linux the C library its
    own to the machine. A tensor that has a name is never freed: ``del`` the name first.

    Returns
    -------
    dict
        ``resident_bytes`` of the process, and ``reserved_bytes`` of PyTorch's allocator on all
        CUDA devices; None where there is none.

    Examples
    --------
    >>> list(release())
    ['resident_bytes', 'reserved_bytes']
    """
    process, has_gpu = psutil.Process(), torch.cuda.is_available()
    resident, reserved = process.memory_info().rss, _reserved() if has_gpu else 0
    gc.collect()
    if has_gpu:
        torch.cuda.empty_cache()
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim"):  # glibc's
        ctypes.CDLL(None).malloc_trim(0)
    return {
        "resident_bytes": resident - process.memory_info().rss,
        "reserved_bytes": reserved - _reserved() if has_gpu else None,
    }


def _reserved() -> int:
    return sum(torch.cuda.memory_reserved(i) for i in range(torch.cuda.device_count()))
