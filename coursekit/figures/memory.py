"""Draw memory over time, with the names of what happened.

Nothing here knows how memory was measured.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from matplotlib.axes import Axes

from coursekit.errors import ShapeError
from coursekit.figures.curves import _Curve, _name_curves, _set_x_ticks
from coursekit.figures.figure import Figure
from coursekit.figures.style import COLORS, FONT_SIZES, style
from coursekit.figures.text import text_height, text_width

__all__ = ["plot_memory"]

_MIB = 2**20
_SIZE = FONT_SIZES["tick"]
_PANEL_HEIGHT, _MOST_HEIGHT = 1.5, 7.5  # inches of a panel, and of all
_AXES_WIDTH = 7.0  # inches, about: the rest of a page is numbers and names
_ROOM = (-0.08, 1.2)  # where names may stand, in widths of the axes
_MOST_ROWS = 8  # of names over the panels
_GRAYS = ("#EDEDED", "#F7F7F7")  # of phases, in turns
_COLORS = {
    "resident": COLORS["blue"],
    "saved for backward": COLORS["vermilion"],
    "allocated": COLORS["purple"],
    "reserved": COLORS["orange"],
    "driver": COLORS["green"],
}


class TimelineLike(Protocol):
    """What `plot_memory` needs to know of a timeline."""

    samples: Sequence[Any]
    """Each has ``seconds``."""
    phases: Sequence[Any]
    """Each has ``name``, ``begin`` and ``end``."""
    marks: Sequence[Any]
    """Each has ``name`` and ``seconds``."""
    quantities: Sequence[Any]
    """Each has ``label``, ``read``, ``read_peak`` and ``why_not``."""


class _Name(NamedTuple):
    text: str
    at: float
    """The moment in seconds."""
    middle: float
    """Where the text stands, moved to the side if it would leave the page."""
    row: int


def plot_memory(timeline: TimelineLike, *, title: str) -> Figure:
    """Return a figure of memory over time: one panel a kind, phases shaded, marks dotted.

    Parameters
    ----------
    timeline : MemoryTimeline
        What ``track_memory`` measured.
    title : str
        Says what to see.

    Returns
    -------
    Figure
        A first row of names, then a panel for the process, one for what is saved for the
        backward pass, and one for each GPU. What was not measured is said below.

    Raises
    ------
    ShapeError
        If the timeline has no samples.
    """
    if not timeline.samples:
        msg = "timeline must hold at least one sample, got none. Plot it after its block."
        raise ShapeError(msg)
    panels = _read_panels(timeline)
    end = timeline.samples[-1].seconds or 1.0
    names, n_hidden = _place_names(timeline, end)
    n_rows = 1 + max((name.row for name in names), default=-1)
    strip = max(0.05, 1.25 * n_rows * text_height(_SIZE))
    panel_height = min(_PANEL_HEIGHT, _MOST_HEIGHT / len(panels))
    heights = [strip, *[panel_height] * len(panels)]
    figure = Figure(height=sum(heights) + 1.1, title=title)
    rows = figure.subplots(len(heights), 1, height_ratios=heights, sharex=True)
    with style():
        _draw_strip(rows[0], names, n_rows)
        for axes, curves in zip(rows[1:], panels, strict=True):
            _shade(axes, timeline, end)
            _draw_panel(axes, curves, panel_height)
        rows[-1].set_xlim(0, end)
        _set_x_ticks(rows[-1], panels[-1], None, log="")
        rows[-1].set_xlabel("\n".join(["time (s)", *_notes(timeline, n_hidden)]))
    return figure


def _read_panels(timeline: TimelineLike) -> list[dict[str, _Curve]]:
    """Return the curves of each panel, without what was not measured."""
    groups: dict[str, dict[str, _Curve]] = {}
    for one in timeline.quantities:
        values = [one.read(sample) for sample in timeline.samples]
        if one.why_not is not None or None in values:
            continue
        device = one.label.rpartition(" ")[2] if "cuda" in one.label else ""
        group = f"GPU {device}" if one.label.startswith("GPU") else one.label
        curve = _read_curve(timeline, one, values)
        groups.setdefault(group, {})[one.label] = curve
    return list(groups.values())


def _read_curve(timeline: TimelineLike, one: Any, values: Sequence[int]) -> _Curve:
    seconds = np.array([sample.seconds for sample in timeline.samples])
    heights = np.array(values, dtype=float)
    if one.label == "saved for backward":  # a sample knows the most since the one before
        peaks = [one.read_peak(sample) for sample in timeline.samples]
        seconds = seconds.repeat(2)
        heights = np.stack([np.array(peaks, dtype=float), heights], axis=1).ravel()
    return _Curve(seconds, heights / _MIB, None)


def _draw_panel(axes: Axes, curves: Mapping[str, _Curve], height: float) -> None:
    for label, curve in curves.items():
        words = label.removeprefix("GPU ")
        color = _COLORS.get(words, _COLORS.get(words.split(" ")[0]))
        axes.plot(curve.x, curve.y, color=color, label=label, linewidth=1.5)
    axes.set_ylabel("MiB")
    axes.margins(y=0.1)
    if "resident" not in curves:
        axes.set_ylim(bottom=0)
    _set_x_ticks(axes, curves, None, log="x")
    _name_curves(axes, curves, height=height - 0.2)


def _shade(axes: Axes, timeline: TimelineLike, end: float) -> None:
    for place, phase in enumerate(timeline.phases):
        last = end if phase.end is None else phase.end
        axes.axvspan(phase.begin, last, color=_GRAYS[place % 2], linewidth=0, zorder=0)
    for mark in timeline.marks:
        axes.axvline(mark.seconds, color="#777777", linestyle=":", linewidth=1)


def _draw_strip(axes: Axes, names: Sequence[_Name], n_rows: int) -> None:
    """Write the names over the panels, each on a line that leads down to its moment."""
    axes.set(ylim=(0, max(n_rows, 1)))
    axes.axis("off")
    for name in names:
        axes.plot([name.at] * 2, [0, name.row + 0.3], color="#BBBBBB", linewidth=0.8)
    for name in names:
        axes.text(
            name.middle,
            name.row + 0.5,
            name.text,
            ha="center",
            va="center",
            fontsize=_SIZE,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )


def _place_names(timeline: TimelineLike, end: float) -> tuple[list[_Name], int]:
    """Return where names stand, none over another, and how many found no place."""
    wanted = [
        (phase.name, (phase.begin + (end if phase.end is None else phase.end)) / 2)
        for phase in timeline.phases
    ] + [(mark.name, mark.seconds) for mark in timeline.marks]
    taken: list[list[tuple[float, float]]] = [[] for _ in range(_MOST_ROWS)]
    names, n_hidden = [], 0
    for text, at in sorted(wanted, key=lambda one: one[1]):
        half = text_width(text, size=_SIZE) / 2 / _AXES_WIDTH + 0.007
        middle = min(max(at / end, _ROOM[0] + half), _ROOM[1] - half)
        low, high = middle - half, middle + half
        free = [
            row
            for row, spans in enumerate(taken)
            if all(high <= left or right <= low for left, right in spans)
        ]
        if free:
            taken[free[0]].append((low, high))
            names.append(_Name(text, at, middle * end, free[0]))
        else:
            n_hidden += 1
    return names, n_hidden


def _notes(timeline: TimelineLike, n_hidden: int) -> list[str]:
    missing: dict[str, list[str]] = {}
    for one in timeline.quantities:
        if one.why_not is not None:
            missing.setdefault(one.why_not, []).append(one.label)
    notes = [f"not measured ({why}): {', '.join(what)}" for why, what in missing.items()]
    if n_hidden:
        notes.append(f"{n_hidden} more names found no room")
    return notes
