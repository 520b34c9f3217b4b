"""The record of a memory measurement: samples, phases, marks, and what they come to.

Nothing here knows how memory is measured.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd

from coursekit.errors import SettingsError
from coursekit.inspection.quantities import (
    Mark,
    MemorySample,
    Phase,
    Quantity,
    find_peak,
    list_quantities,
)

__all__ = ["MemoryTimeline"]

_MIB = 2**20


class MemoryTimeline:
    """What `track_memory` measured; it grows while the block runs.

    Parameters
    ----------
    take : callable
        Returns a sample of this moment, after which peaks begin anew.
    device_names : tuple of str
        Of the CUDA devices.
    why_not : mapping of str to str
        For ``"saved"``, ``"allocator"`` and ``"driver"``: why it is not measured, if so.

    Notes
    -----
    Between two samples only the peaks of the allocator and of the saved bytes are known.
    Resident memory and the driver's number may have been higher for a moment.
    """

    def __init__(
        self,
        take: Callable[[], MemorySample],
        *,
        device_names: tuple[str, ...] = (),
        why_not: Mapping[str, str | None],
    ) -> None:
        self.device_names, self.why_not = device_names, dict(why_not)
        self._take, self._is_over = take, False
        self._samples: list[MemorySample] = []
        self._phases: list[Phase] = []
        self._marks: list[Mark] = []

    @property
    def samples(self) -> tuple[MemorySample, ...]:
        """Every sample, in order of time."""
        return tuple(self._samples)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Every phase, in order of its beginning."""
        return tuple(self._phases)

    @property
    def marks(self) -> tuple[Mark, ...]:
        """Every mark, in order of time."""
        return tuple(self._marks)

    @property
    def quantities(self) -> list[Quantity]:
        """What is measured, and what would be on other devices."""
        return list_quantities(self.device_names, self.why_not)

    def mark(self, name: str) -> MemorySample:
        """Measure now, and remember the moment under a name.

        Raises
        ------
        SettingsError
            If the measurement is over, or the name is empty.
        """
        self._check(name)
        sample = self._take()
        self._marks.append(Mark(name, sample.seconds))
        return sample

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Give a name to the time in which the block runs; phases may hold others.

        Raises
        ------
        SettingsError
            If the measurement is over, or the name is empty.
        """
        self._open_phase(name)
        place = len(self._phases) - 1
        try:
            yield
        finally:
            self._close_phase(place)

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

        Raises
        ------
        SettingsError
            If there is no such phase.
        """
        if phase is None:
            spans = [self._whole()]
        else:
            spans = [span for span in self._phases if span.name == phase]
        if not spans:
            names = ", ".join(repr(one.name) for one in self._phases) or "none"
            msg = f"There is no phase {phase!r}. Phases are: {names}."
            raise SettingsError(msg)
        return {one.key: find_peak(one, self.samples, spans) for one in self.quantities}

    def report(self) -> pd.DataFrame:
        """Return a table: the whole time, each phase and each mark.

        Returns
        -------
        DataFrame
            Indexed by name. Memory is in MiB: the most of the whole time or of a phase, the
            value at a mark. Phases of one name are taken together. What is not measured
            says so, with the reason.
        """
        names = dict.fromkeys(phase.name for phase in self._phases)
        rows = [self._row("whole", [self._whole()])]
        rows += [
            self._row("phase", [one for one in self._phases if one.name == name])
            for name in names
        ]
        rows += [self._row("mark", [Phase(name, at, at)]) for name, at in self._marks]
        return pd.DataFrame(rows).set_index("name")

    def to_frame(self) -> pd.DataFrame:
        """Return a table with one row a sample, in bytes.

        Returns
        -------
        DataFrame
            ``seconds`` and the columns of `peaks`, each as it was at that moment, and
            ``saved_peak_bytes``: the most since the row before.
        """
        rows = []
        for sample in self._samples:
            row = {"seconds": sample.seconds}
            row |= {one.key: one.read(sample) for one in self.quantities}
            rows.append(row | {"saved_peak_bytes": sample.saved_peak_bytes})
        return pd.DataFrame(rows, dtype=object).astype({"seconds": float})

    def __repr__(self) -> str:
        lasted = self._samples[-1].seconds if self._samples else 0.0
        return (
            f"MemoryTimeline({lasted:.2f} s, {len(self._samples)} samples, "
            f"{len(self._phases)} phases, {len(self._marks)} marks)"
        )

    def _whole(self) -> Phase:
        end = self._samples[-1].seconds if self._is_over else None
        return Phase("whole", self._samples[0].seconds, end)

    def _check(self, name: str) -> None:
        if self._is_over:
            msg = (
                "This measurement is over: marks and phases are set inside the block of "
                "track_memory."
            )
            raise SettingsError(msg)
        if not (isinstance(name, str) and name):
            msg = f"A mark or a phase needs a name, got {name!r}."
            raise SettingsError(msg)

    def _open_phase(self, name: str) -> None:
        self._check(name)
        self._phases.append(Phase(name, self._take().seconds, None))

    def _close_phase(self, place: int = -1) -> None:
        phase = self._phases[place]
        if phase.end is None and not self._is_over:
            self._phases[place] = phase._replace(end=self._take().seconds)

    def _close(self) -> None:
        """End every phase that lasts, and the measurement."""
        end = self._take().seconds
        self._phases = [
            p if p.end is not None else p._replace(end=end) for p in self._phases
        ]
        self._is_over = True
        self._take = None  # what it holds may be large

    def _row(self, kind: str, spans: Sequence[Phase]) -> dict[str, Any]:
        now = self._samples[-1].seconds
        lasted = sum((now if one.end is None else one.end) - one.begin for one in spans)
        row: dict[str, Any] = {"name": spans[0].name, "kind": kind}
        row |= {"begins (s)": round(spans[0].begin, 3)}
        row |= {"lasts (s)": round(lasted, 3) if kind != "mark" else None}
        for one in self.quantities:
            peak = find_peak(one, self.samples, spans)
            text = f"not measured ({one.why_not or 'no answer'})"
            row[f"{one.label} (MiB)"] = text if peak is None else round(peak / _MIB, 1)
        return row
