"""Samples of memory, and how the highest of each quantity is found in a span of time.

Nothing here knows how memory is measured.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from coursekit.inspection.device_memory import DeviceMemory

__all__ = ["Mark", "MemorySample", "Phase", "Quantity", "find_peak", "list_quantities"]


class MemorySample(NamedTuple):
    """Memory at one moment.

    Parameters
    ----------
    seconds : float
        Since the timeline began.
    resident_bytes : int
        Of the process, in the machine's memory.
    saved_bytes : int or None
        Saved for the backward pass; None where not counted.
    saved_peak_bytes : int or None
        The most that was saved since the sample before.
    devices : tuple of DeviceMemory
        One for each CUDA device.
    """

    seconds: float
    resident_bytes: int
    saved_bytes: int | None
    saved_peak_bytes: int | None
    devices: tuple[DeviceMemory, ...]


class Mark(NamedTuple):
    """A moment with a name.

    Parameters
    ----------
    name : str
    seconds : float
        After the beginning of the timeline.
    """

    name: str
    seconds: float


class Phase(NamedTuple):
    """A time with a name.

    Parameters
    ----------
    name : str
    begin : float
        Seconds after the beginning of the timeline.
    end : float or None
        The same; None while it lasts.
    """

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
    resident = partial(_read, field="resident_bytes")
    quantities = [
        Quantity("resident_bytes", "resident", resident, resident, None),
        Quantity(
            "saved_bytes",
            "saved for backward",
            partial(_read, field="saved_bytes"),
            partial(_read, field="saved_peak_bytes"),
            why_not["saved"],
        ),
    ]
    for device, name in enumerate(device_names or ("",)):
        suffix = f" {name}" if len(device_names) > 1 else ""
        for field, why in (
            ("allocated", why_not["allocator"]),
            ("reserved", why_not["allocator"]),
            ("driver", why_not["driver"]),
        ):
            peak = "driver_bytes" if field == "driver" else f"{field}_peak_bytes"
            now = partial(_read, field=f"{field}_bytes", device=device)
            highest = partial(_read, field=peak, device=device)
            label = f"GPU {field}{suffix}"
            quantities.append(Quantity(f"{field}_bytes{suffix}", label, now, highest, why))
    return quantities


def find_peak(
    quantity: Quantity, samples: Sequence[MemorySample], spans: Sequence[Phase]
) -> int | None:
    """Return the highest value in some spans of time.

    What a sample says of the time before it belongs to the span only if the span did not
    begin with it.
    """
    values = []
    for span in spans:
        for sample in samples:
            if sample.seconds == span.begin:
                values.append(quantity.read(sample))
            elif span.begin < sample.seconds and (
                span.end is None or sample.seconds <= span.end
            ):
                values += [quantity.read(sample), quantity.read_peak(sample)]
    return max((value for value in values if value is not None), default=None)


def _read(sample: MemorySample, *, field: str, device: int | None = None) -> int | None:
    if device is None:
        return getattr(sample, field)
    return getattr(sample.devices[device], field) if sample.devices else None
