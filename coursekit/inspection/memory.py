"""Watch memory while a program runs: `track_memory`.

A thread takes samples, and moments are named on demand. Nothing here knows what the numbers
mean, or what runs.
"""

import threading
import time
from typing import TYPE_CHECKING, Any

import psutil

from coursekit.errors import SettingsError
from coursekit.inspection.device_memory import Devices
from coursekit.inspection.live_saved import LiveSavedBytes
from coursekit.inspection.quantities import MemorySample
from coursekit.inspection.timeline import MemoryTimeline
from coursekit.training.callbacks import Callback

if TYPE_CHECKING:
    from coursekit.training import Trainer

__all__ = ["MemoryMonitor", "track_memory"]

_SHARE = 300  # a sample's own time is at most one of so many parts of the time
_MANY = 5_000  # samples, after which they are taken half as often


class MemoryMonitor(Callback):
    """Measures memory inside a ``with`` block, or as a callback while a trainer fits.

    Make one with `track_memory`. It can be used again; each use has a timeline of its own.

    Parameters
    ----------
    interval_seconds : float
        Time between two samples.
    saved : bool
        Whether the bytes that autograd saves for the backward pass are counted.

    Attributes
    ----------
    timeline : MemoryTimeline
        Of the present or the last use.

    Raises
    ------
    SettingsError
        If the interval is not positive, or a monitor that is measuring is used again.
    """

    def __init__(self, *, interval_seconds: float, saved: bool) -> None:
        if not interval_seconds > 0:
            msg = f"interval_seconds must be positive, got {interval_seconds}."
            raise SettingsError(msg)
        self._interval, self._count_saved = interval_seconds, saved
        self._timeline: MemoryTimeline | None = None
        self._thread: threading.Thread | None = None

    @property
    def timeline(self) -> MemoryTimeline:
        """What was measured.

        Raises
        ------
        SettingsError
            If nothing was measured yet.
        """
        if self._timeline is None:
            msg = (
                "Nothing was measured yet: use it in a with block, or give it to a Trainer as "
                "a callback and fit."
            )
            raise SettingsError(msg)
        return self._timeline

    def __enter__(self) -> MemoryTimeline:
        self._begin()
        return self.timeline

    def __exit__(self, *error: object) -> None:
        self._end()

    def on_fit_begin(self, trainer: "Trainer", **kwargs: Any) -> None:  # noqa: ARG002
        """Begin to measure."""
        self._begin()

    def on_epoch_begin(self, trainer: "Trainer", **kwargs: Any) -> None:  # noqa: ARG002
        """Begin the phase of an epoch."""
        self.timeline._open_phase(f"epoch {kwargs['epoch']}")

    def on_validation_begin(self, trainer: "Trainer", **kwargs: Any) -> None:  # noqa: ARG002
        """End the phase of training, begin that of the validation."""
        self.timeline._close_phase()
        self.timeline._open_phase(f"validation {kwargs['epoch']}")

    def on_epoch_end(self, trainer: "Trainer", **kwargs: Any) -> None:  # noqa: ARG002
        """End the phase."""
        self.timeline._close_phase()

    def on_fit_end(self, trainer: "Trainer", **kwargs: Any) -> None:  # noqa: ARG002
        """End the measurement."""
        if self._thread is not None:
            self._end()

    def _begin(self) -> None:
        if self._thread is not None:
            msg = "This monitor is measuring already. Make another one: track_memory()."
            raise SettingsError(msg)
        devices = Devices()
        saved = LiveSavedBytes() if self._count_saved else None
        sampler = _Sampler(devices, saved)
        self._timeline = MemoryTimeline(
            sampler.take_boundary,
            device_names=devices.names,
            why_not={
                "saved": None if saved else "switched off",
                "allocator": devices.why_not,
                "driver": devices.why_no_driver,
            },
        )
        self._timeline._samples = sampler.samples
        sampler.take_boundary()
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=_watch,
            args=(sampler, self._interval, self._stop),
            name="memory sampler",
            daemon=True,
        )
        self._saved, self._devices = saved, devices
        self._thread.start()
        if saved:
            saved.__enter__()

    def _end(self) -> None:
        thread, self._thread = self._thread, None
        self._stop.set()
        thread.join()
        if self._saved:
            self._saved.__exit__(None, None, None)
        self.timeline._close()
        self._devices.close()


def track_memory(*, interval_seconds: float = 0.02, saved: bool = True) -> MemoryMonitor:
    """Return a monitor of memory: a context manager, and a callback of the trainer.

    Parameters
    ----------
    interval_seconds : float, default=0.02
        Time between two samples. They become rarer where taking one is slow, so that they
        cost under 1 % of a processor, and in measurements of many minutes.
    saved : bool, default=True
        Whether the bytes that autograd saves for the backward pass are counted, which takes
        some microseconds for each saved tensor.

    Returns
    -------
    MemoryMonitor
        ``with track_memory() as timeline:`` gives the `MemoryTimeline`; as a callback, take
        its ``timeline`` after the fit, which has a phase for each epoch and validation.

    Raises
    ------
    SettingsError
        If the interval is not positive.

    Notes
    -----
    Peaks of the allocator are exact in each phase; for that they begin anew, for the whole
    process, at every phase and mark. Saved bytes are counted in the thread that opened the
    block.

    Examples
    --------
    >>> import torch
    >>> with track_memory() as timeline, timeline.phase("forward"):
    ...     loss = torch.ones(256, 1024, requires_grad=True).exp().sum()
    >>> timeline.peaks("forward")["saved_bytes"] // 1024
    1024
    """
    return MemoryMonitor(interval_seconds=interval_seconds, saved=saved)


class _Sampler:
    """Takes samples, from two threads, into one list in order of time."""

    def __init__(self, devices: Devices, saved: LiveSavedBytes | None) -> None:
        self.samples: list[MemorySample] = []
        self._devices, self._saved = devices, saved
        self._process = psutil.Process()
        self._began, self._lock = time.perf_counter(), threading.Lock()

    def take(self) -> MemorySample:
        """Take a sample."""
        with self._lock:
            return self._take()

    def take_boundary(self) -> MemorySample:
        """Take a sample after which the allocator's peaks begin anew."""
        with self._lock:
            sample = self._take()
            self._devices.reset_peaks()
            return sample

    def _take(self) -> MemorySample:
        now, peak = self._saved.read() if self._saved else (None, None)
        sample = MemorySample(
            seconds=time.perf_counter() - self._began,
            resident_bytes=self._process.memory_info().rss,
            saved_bytes=now,
            saved_peak_bytes=peak,
            devices=self._devices.read(),
        )
        self.samples.append(sample)
        return sample


def _watch(sampler: _Sampler, interval: float, stop: threading.Event) -> None:
    """Take samples until told to stop."""
    wait = interval
    while not stop.wait(wait):
        began = time.thread_time()
        sampler.take()
        cost = time.thread_time() - began
        rarer = 2 ** (len(sampler.samples) // _MANY)
        wait = max(interval * rarer, _SHARE * cost)
