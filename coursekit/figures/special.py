"""Figures of one thing: bubbles, memory over time, a spectrogram, the eye."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Ellipse, FancyArrowPatch, Polygon

from coursekit.errors import ShapeError
from coursekit.figures.base import (
    COLORS,
    FONT_SIZES,
    PAGE_WIDTH,
    Figure,
    format_number,
    style,
    text_height,
    text_width,
)
from coursekit.figures.panels import as_array
from coursekit.figures.plots import Curve, check_log, name_curves, plain_ticks, set_x_ticks

_SIZE = FONT_SIZES["tick"]
_GRAY = "#9A9A9A"


# --- bubbles ------------------------------------------------------------------------------

_LARGEST, _SMALLEST = 700.0, 14.0  # areas, square points; smaller ones nobody would see
_DIRECTIONS = ((-1, 1), (1, -1), (-1, 0.3), (1, -0.3), (0, 1), (0, -1), (1, 1), (-1, -1))


class _Bubbles(NamedTuple):
    x: np.ndarray
    y: np.ndarray
    sizes: np.ndarray
    areas: np.ndarray


def plot_bubbles(
    x: Any,
    y: Any,
    sizes: Any,
    names: Sequence[str],
    *,
    title: str,
    x_label: str,
    y_label: str,
    size_label: str,
    marked: Sequence[str] = (),
    marked_label: str = "marked",
    log: str = "",
) -> Figure:
    """Return a figure with one bubble a thing; some are colored, joined and named.

    Parameters
    ----------
    x, y, sizes : array-like of shape (n_things,)
        Where the bubbles stand, and what their areas are in proportion to.
    names : sequence of str
        One a thing, all different.
    title, x_label, y_label, log
        As for `plot_curves`.
    size_label : str
        What the area means, with its unit; a legend gives two sizes.
    marked : sequence of str
        The things to color, to name, and to join by a line in the order of `x`, such as those
        that no other is better than.
    marked_label : str, default="marked"
        What they have in common, for the legend.

    Examples
    --------
    >>> figure = plot_bubbles(
    ...     [1, 10], [70, 80], [5, 50], ["small", "large"], title="Accuracy against cost",
    ...     x_label="operations", y_label="accuracy (%)", size_label="parameters", log="x",
    ... )
    >>> figure.axes[0].collections[0].get_offsets().tolist()
    [[1.0, 70.0], [10.0, 80.0]]
    """
    given = {"x": x, "y": y, "sizes": sizes}
    columns = [as_array(v, name=n, n_axes=1).astype(float) for n, v in given.items()]
    if len({len(column) for column in (*columns, names)}) > 1:
        counts = ", ".join(str(len(column)) for column in (*columns, names))
        msg = f"x, y, sizes and names must have one entry for each thing, got {counts}."
        raise ShapeError(msg)
    areas = np.maximum(_LARGEST * columns[2] / columns[2].max(), _SMALLEST)
    things = _Bubbles(*columns, areas)
    check_log({"a bubble": things}, log)
    figure = Figure(width=PAGE_WIDTH, height=5.6, title=title)
    axes = figure.subplots()
    order = [list(names).index(name) for name in marked]
    order.sort(key=lambda index: things.x[index])
    with style():
        others = np.setdiff1d(np.arange(len(names)), order)
        _scatter(axes, things, others, color=_GRAY)
        if order:
            line = {"color": COLORS["vermilion"], "linewidth": 1.2, "zorder": 1}
            axes.plot(things.x[order], things.y[order], **line)
            _scatter(axes, things, order, color=COLORS["vermilion"])
        for name in log:
            getattr(axes, f"set_{name}scale")("log")
        plain_ticks(axes, log)
        axes.margins(0.08)
        axes.set(xlabel=x_label, ylabel=y_label)
        _explain(axes, things, size_label, marked_label if order else "")
        figure.draw_without_rendering()  # so that the places of bubbles are known
        offsets = _place_names(axes, things, order, names)
        for index, offset in zip(order, offsets, strict=True):
            _write_name(axes, names[index], (things.x[index], things.y[index]), offset)
    return figure


def _scatter(axes: Axes, things: _Bubbles, rows: Sequence[int], *, color: str) -> None:
    look = {"alpha": 0.55, "edgecolors": "white", "linewidths": 0.6, "color": color}
    axes.scatter(things.x[rows], things.y[rows], s=things.areas[rows], **look)


def _explain(axes: Axes, things: _Bubbles, size_label: str, marked_label: str) -> None:
    """Put a legend over the axes: two sizes, and what is marked."""
    handles, texts, look = [], [], {"alpha": 0.55}
    sizes = things.sizes
    for size in np.unique([float(f"{np.quantile(sizes, q):.1g}") for q in (0.4, 0.9)]):
        area = max(_LARGEST * size / sizes.max(), _SMALLEST)
        handles.append(axes.scatter([], [], s=area, color=_GRAY, **look))
        texts.append(f"{format_number(size)} {size_label}")
    if marked_label:
        handles.append(axes.scatter([], [], s=60, color=COLORS["vermilion"], **look))
        texts.append(marked_label)
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "columnspacing": 2.5}
    axes.legend(handles, texts, ncols=len(handles), **place)


def _write_name(
    axes: Axes, name: str, point: tuple[float, float], offset: tuple[float, float]
) -> None:
    """Write a name at its place, with a thin line from its nearest side to the bubble."""
    left, right = offset[0], offset[0] + 72 * text_width(name, size=_SIZE)
    side = (0.5, 0.0) if offset[1] > 0 else (0.5, 1.0)
    if left > 0 or right < 0:
        side = (0.0, 0.5) if left > 0 else (1.0, 0.5)
    line = {"arrowstyle": "-", "color": "#777777", "linewidth": 0.7, "relpos": side}
    axes.annotate(
        name,
        point,
        xytext=offset,
        textcoords="offset points",
        fontsize=_SIZE,
        ha="left",
        va="bottom",
        arrowprops={**line, "shrinkA": 0, "shrinkB": 1},
    )


def _place_names(
    axes: Axes, things: _Bubbles, order: Sequence[int], names: Sequence[str]
) -> list[tuple[float, float]]:
    """Return where each name's lower left corner is, in points from its bubble's center.

    Each takes the first side where it covers no bubble that is named and no other name.
    """
    points = 72 / axes.figure.dpi
    centers = axes.transData.transform(np.stack([things.x, things.y], axis=1)) * points
    radii = np.sqrt(things.areas / np.pi)
    bubbles = [(*(c - r), *(c + r)) for c, r in zip(centers, radii, strict=True)]
    weights = [1.0 if index in order else 0.4 for index in range(len(names))]
    frame = tuple(np.array(axes.bbox.extents) * points)
    height = 72 * text_height(_SIZE)
    offsets = []
    for index in order:
        width = 72 * text_width(names[index], size=_SIZE)
        choices = []
        for reach, (right, up) in ((r, d) for r in (2.0, 9.0, 18.0) for d in _DIRECTIONS):
            distance = radii[index] + reach
            left = {-1: -distance - width, 0: -width / 2, 1: distance}[right]
            low = up * distance - height / 2
            corner = centers[index] + np.array([left, low])
            box = (*corner, corner[0] + width, corner[1] + height)
            covered = sum(
                weight * _overlap(box, other)
                for weight, other in zip(weights, bubbles, strict=True)
            )
            outside = width * height - _overlap(box, frame)
            cost = round(covered + 10 * outside + reach, 3)
            choices.append((cost, len(choices), (left, low), box))
        _, _, offset, box = min(choices)
        bubbles.append(box)
        weights.append(3.0)
        offsets.append(offset)
    return offsets


def _overlap(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(width, 0.0) * max(height, 0.0)


# --- memory -------------------------------------------------------------------------------

_AXES_WIDTH = 7.0  # inches, about: the rest of a page is numbers and names
_ROOM = (-0.08, 1.2)  # where names may stand, in widths of the axes
_MOST_ROWS = 8  # of names over the panels
_MEMORY_COLORS = {
    "resident": COLORS["blue"],
    "saved for backward": COLORS["vermilion"],
    "allocated": COLORS["purple"],
    "reserved": COLORS["orange"],
    "driver": COLORS["green"],
}


def plot_memory(timeline: Any, *, title: str) -> Figure:
    """Return a figure of memory over time: one panel a kind, phases shaded, marks dotted.

    Parameters
    ----------
    timeline : MemoryTimeline
        What ``track_memory`` measured: its ``samples``, ``phases``, ``marks`` and
        ``quantities``.
    title : str
        Says what to see.

    Returns
    -------
    Figure
        A first row of names, then a panel for the process, one for what is saved for the
        backward pass, and one for each GPU. What was not measured is said below.
    """
    if not timeline.samples:
        msg = "timeline must hold at least one sample, got none. Plot it after its block."
        raise ShapeError(msg)
    panels = _read_panels(timeline)
    end = timeline.samples[-1].seconds or 1.0
    names, n_hidden = _name_moments(timeline, end)
    n_rows = 1 + max((row for *_, row in names), default=-1)
    strip = max(0.05, 1.25 * n_rows * text_height(_SIZE))
    height = min(1.5, 7.5 / len(panels))  # inches of a panel, and of all
    heights = [strip, *[height] * len(panels)]
    figure = Figure(height=sum(heights) + 1.1, title=title)
    rows = figure.subplots(len(heights), 1, height_ratios=heights, sharex=True)
    with style():
        _draw_strip(rows[0], names, n_rows)
        for axes, curves in zip(rows[1:], panels, strict=True):
            for place, phase in enumerate(timeline.phases):
                last = end if phase.end is None else phase.end
                gray = ("#EDEDED", "#F7F7F7")[place % 2]
                axes.axvspan(phase.begin, last, color=gray, linewidth=0, zorder=0)
            for mark in timeline.marks:
                axes.axvline(mark.seconds, color="#777777", linestyle=":", linewidth=1)
            for label, curve in curves.items():
                kind = label.removeprefix("GPU ")
                kind = kind if kind in _MEMORY_COLORS else kind.split(" ")[0]
                look = {"color": _MEMORY_COLORS.get(kind), "linewidth": 1.5}
                axes.plot(curve.x, curve.y, label=label, **look)
            axes.set_ylabel("MiB")
            axes.margins(y=0.1)
            if "resident" not in curves:
                axes.set_ylim(bottom=0)
            set_x_ticks(axes, curves, log="x")
            name_curves(axes, curves, height=height - 0.2)
        rows[-1].set_xlim(0, end)
        set_x_ticks(rows[-1], panels[-1])
        rows[-1].set_xlabel("\n".join(["time (s)", *_notes(timeline, n_hidden)]))
    return figure


def _read_panels(timeline: Any) -> list[dict[str, Curve]]:
    """Return the curves of each panel, without what was not measured."""
    groups: dict[str, dict[str, Curve]] = {}
    for one in timeline.quantities:
        values = [one.read(sample) for sample in timeline.samples]
        if one.why_not is not None or None in values:
            continue
        seconds = np.array([sample.seconds for sample in timeline.samples])
        heights = np.array(values, dtype=float)
        if (
            one.label == "saved for backward"
        ):  # a sample knows the most since the one before
            peaks = [one.read_peak(sample) for sample in timeline.samples]
            seconds = seconds.repeat(2)
            heights = np.stack([np.array(peaks, dtype=float), heights], axis=1).ravel()
        device = one.label.rpartition(" ")[2] if "cuda" in one.label else ""
        group = f"GPU {device}" if one.label.startswith("GPU") else one.label
        groups.setdefault(group, {})[one.label] = Curve(seconds, heights / 2**20)
    return list(groups.values())


def _draw_strip(axes: Axes, names: Sequence[tuple], n_rows: int) -> None:
    """Write the names over the panels, each on a line that leads down to its moment."""
    axes.set(ylim=(0, max(n_rows, 1)))
    axes.axis("off")
    for _, at, _, row in names:
        axes.plot([at] * 2, [0, row + 0.3], color="#BBBBBB", linewidth=0.8)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    look = {"ha": "center", "va": "center", "fontsize": _SIZE, "bbox": box}
    for text, _, middle, row in names:
        axes.text(middle, row + 0.5, text, **look)


def _name_moments(
    timeline: Any, end: float
) -> tuple[list[tuple[str, float, float, int]], int]:
    """Return (name, moment, where its middle is, row), and how many found no place."""
    wanted = [
        (phase.name, (phase.begin + (end if phase.end is None else phase.end)) / 2)
        for phase in timeline.phases
    ] + [(mark.name, mark.seconds) for mark in timeline.marks]
    taken: list[list[tuple[float, float]]] = [[] for _ in range(_MOST_ROWS)]
    names = []
    for text, at in sorted(wanted, key=lambda one: one[1]):
        half = text_width(text, size=_SIZE) / 2 / _AXES_WIDTH + 0.007
        middle = min(max(at / end, _ROOM[0] + half), _ROOM[1] - half)
        low, high = middle - half, middle + half
        free = (
            row
            for row, spans in enumerate(taken)
            if all(high <= left or right <= low for left, right in spans)
        )
        if (row := next(free, None)) is not None:
            taken[row].append((low, high))
            names.append((text, at, middle * end, row))
    return names, len(wanted) - len(names)


def _notes(timeline: Any, n_hidden: int) -> list[str]:
    missing: dict[str, list[str]] = {}
    for one in timeline.quantities:
        if one.why_not is not None:
            missing.setdefault(one.why_not, []).append(one.label)
    notes = [f"not measured ({why}): {', '.join(what)}" for why, what in missing.items()]
    return notes + ([f"{n_hidden} more names found no room"] if n_hidden else [])


# --- sound and sight ----------------------------------------------------------------------


def plot_spectrogram(
    spectrogram: Any, *, sample_rate: float, hop_length: int, title: str
) -> Figure:
    """Return a figure of how strong each frequency is at each time.

    Parameters
    ----------
    spectrogram : array or Tensor of shape (n_frequencies, n_frames)
        As `torch.stft` orders it, real: from 0 hertz in its first row to half the sample
        rate in its last.
    sample_rate, hop_length
        Samples of the signal per second, and from one frame to the next.
    title : str
    """
    strengths = as_array(spectrogram, name="spectrogram", n_axes=2).astype(float)
    n_frequencies, n_frames = strengths.shape
    step = sample_rate / 2 / max(n_frequencies - 1, 1)  # hertz from row to row
    frame = hop_length / sample_rate
    extent = (-frame / 2, (n_frames - 0.5) * frame, -step / 2, sample_rate / 2 + step / 2)
    figure = Figure(height=3.4, title=title)
    axes = figure.subplots()
    look = {"origin": "lower", "aspect": "auto", "interpolation": "nearest"}
    with style():
        drawn = axes.imshow(strengths, extent=extent, cmap="magma", **look)
        axes.set(xlabel="time (s)", ylabel="frequency (Hz)")
        axes.set_ylim(0, sample_rate / 2)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.grid(visible=False)
        bar = figure.colorbar(drawn, ax=axes, pad=0.015)
        bar.set_label("magnitude")
        bar.outline.set_visible(False)
    return figure


def draw_receptive_field_of_the_eye(*, title: str) -> Figure:
    """Return a diagram of photoreceptors that converge on one ganglion cell."""
    figure = Figure(width=8.0, height=3.9, title=title)
    axes = figure.subplots()
    inside, outside, blue = COLORS["orange"], "#C9C9C9", COLORS["blue"]
    with style():
        axes.set(xlim=(-0.8, 15.6), ylim=(0.1, 7.2), aspect="equal")
        axes.axis("off")
        for index in range(15):
            x, reaches = index + 1.2, 5 <= index < 10  # the ganglion cell
            color = inside if reaches else outside
            receptor = {"facecolor": color, "edgecolor": "#555555"}
            axes.add_patch(Ellipse((x, 5.0), 0.55, 1.1, **receptor))
            if reaches:
                axes.plot([x, 8.2], [4.45, 1.6], color=inside, linewidth=1.6, zorder=0)
            else:
                axes.plot([x, x], [4.45, 3.9], color=outside, linewidth=1.2, zorder=0)
            light = {"arrowstyle": "-|>", "mutation_scale": 9, "color": "#999999"}
            axes.add_patch(FancyArrowPatch((x, 6.9), (x, 5.75), **light))
        corners = [(5.75, 5.7), (10.65, 5.7), (10.65, 4.3), (5.75, 4.3)]
        axes.add_patch(Polygon(corners, fill=False))
        cell = {"facecolor": blue, "edgecolor": "#222222", "zorder": 2}
        axes.add_patch(Circle((8.2, 1.4), 0.55, **cell))
        axes.plot([8.2, 8.2], [0.85, 0.1], color=blue, linewidth=2)
        for x, y, text in (
            (-0.7, 6.4, "light"),
            (-0.7, 3.4, "photoreceptors"),
            (10.6, 3.4, "receptive field: the receptors\nwhose light changes the answer"),
            (9.1, 1.4, "ganglion cell: adds up its window"),
            (8.5, 0.35, "to the brain"),
        ):
            axes.text(x, y, text, ha="left", va="center", fontsize=FONT_SIZES["label"])
    return figure
