"""Figures for one kind of record: bubbles, memory, neighbors, predictions, receptive fields."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from coursekit.errors import SettingsError, ShapeError
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
from coursekit.figures.panels import (
    as_array,
    as_image,
    as_images,
    check_captions,
    choose_columns,
    make_panels,
    panel_width,
)
from coursekit.figures.pictures import draw_box, draw_matrix, draw_picture, fit, resolution
from coursekit.figures.plots import Curve, check_log, name_curves, plain_ticks, set_x_ticks

_SIZE = FONT_SIZES["tick"]
_GRAY = "#9A9A9A"
_FRAME = 3.0  # points around a picture that is right or wrong


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


# --- right or wrong -----------------------------------------------------------------------


def show_neighbors(queries: Any, bank: Any, indices: Any, *, title: str) -> Figure:
    """Return a figure with each query and the images found for it, right or wrong.

    A neighbor of the query's class has a green frame and a check mark, one of another class
    a vermilion frame, a cross and its class.

    Parameters
    ----------
    queries, bank : ImageSet
        What was looked up, and where it was looked for: anything with ``images`` and
        ``names``, one name an image.
    indices : array or Tensor of shape (n_queries, k), or a mapping of str to such
        Places in `bank`, nearest first. With a mapping, such as ``{"pixels": ...,
        "embeddings": ...}``, each query has one row for each way of searching.
    title : str
        Says what to see.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> two = SimpleNamespace(images=np.zeros((2, 8, 8), np.uint8), names=["disc", "ring"])
    >>> figure = show_neighbors(two, two, [[0], [0]], title="The nearest")
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['disc', '✓', 'ring', '✗ disc']
    """
    ways = indices if isinstance(indices, Mapping) else {"": indices}
    found = {str(way): as_array(t, name="indices", n_axes=2) for way, t in ways.items()}
    shapes = sorted({table.shape for table in found.values()})
    n_queries, k = len(queries.images), shapes[0][1]
    if shapes != [(n_queries, k)] or k > 9:
        msg = (
            f"indices must have one row for each of the {n_queries} queries, and as many "
            f"columns, at most 9, for every way, got shapes {shapes}. Take the same queries: "
            "found.indices[chosen, :5]."
        )
        raise ShapeError(msg)
    in_a_row = 2 if n_queries > 1 and k < 5 else 1
    cells: list[tuple | None] = []  # None for nothing, (query, way), or (query, way, index)
    for first in range(0, n_queries, in_a_row):
        for way, table in found.items():
            for query in range(first, first + in_a_row):
                cells += [None] if query > first else []
                if query < n_queries:
                    cells += [(query, way), *((query, way, int(i)) for i in table[query])]
                else:
                    cells += [None] * (1 + k)
    n_columns = in_a_row * (k + 1) + in_a_row - 1
    width = (PAGE_WIDTH - 0.25 - 0.14 * (n_columns - 1)) - 0.02 * (in_a_row - 1)
    width = min(0.8, width / (in_a_row * (k + 1)))
    pictures, captions = [], []
    for cell in cells:
        if cell is None:
            pictures.append(None)
            captions.append("")
            continue
        query, way, *index = cell
        name = queries.names[query]
        image, caption = queries.images[query], f"{_words(name)}\n{way}".rstrip()
        if index:
            image, other = bank.images[index[0]], bank.names[index[0]]
            caption = "✓" if other == name else f"✗ {_words(other)}"
        pictures.append(as_image(image, name="an image"))
        captions.append(caption)
    panels = make_panels(
        [(0.02, 0.02) if p is None else fit(p, width) for p in pictures],
        captions,
        title=title,
        n_columns=n_columns,
        pixels_per_inch=resolution([p for p in pictures if p is not None], small=32),
    )
    for axes, picture, cell, caption in zip(
        panels.axes, pictures, cells, captions, strict=True
    ):
        if picture is None:
            axes.remove()
        else:
            draw_picture(axes, picture)
            _frame(axes, None if len(cell) == 2 else caption == "✓")
    return panels.figure


def show_predictions(
    images: Any, predictions: Any, *, title: str, n_columns: int | None = None
) -> Figure:
    """Return a figure of images with their likeliest classes and the probabilities of these.

    A right one has a green frame and a check mark, a wrong one a vermilion frame, a cross and
    the true class.

    Parameters
    ----------
    images : ImageSet, array or sequence of images
        One for each row of `predictions`, in its order.
    predictions : TopPredictions
        For a gallery of mistakes: ``images.subset(p.wrong[:8])`` and
        ``p.subset(p.wrong[:8])``.
    title : str
        Says what to see.
    n_columns : int, optional
        Images in a row; chosen by their number and size when not given.

    Examples
    --------
    >>> from coursekit.training import top_predictions
    >>> found = top_predictions([[2.0, 0.0]], [1], k=1, class_names=["cat", "dog"])
    >>> figure = show_predictions(np.zeros((1, 8, 8), np.uint8), found, title="A mistake")
    >>> figure.axes[0].get_title(loc="left").splitlines()
    ['✗ is dog', '88% cat']
    """
    items = as_images(images, name="images")
    if len(items) != len(predictions.classes):
        msg = (
            f"Every row of predictions needs one image, got {len(items)} images and "
            f"{len(predictions.classes)} rows. Take the same of both: images.subset(rows), "
            "predictions.subset(rows)."
        )
        raise ShapeError(msg)
    pictures = [as_image(item, name=f"image {i}") for i, item in enumerate(items)]
    names, truths = predictions.class_names, predictions.labels
    captions, rights = [], []
    for row, classes in enumerate(predictions.classes):
        shares = zip(classes, predictions.probabilities[row], strict=True)
        text = "\n".join(f"{share:.0%} {_words(names[number])}" for number, share in shares)
        rights.append(None if truths is None else bool(classes[0] == truths[row]))
        if rights[-1]:
            text = f"✓ {text}"
        elif rights[-1] is not None:
            text = f"✗ is {_words(names[int(truths[row])])}\n{text}"
        captions.append(text)
    pixels_per_inch = resolution(pictures)
    max_width = 1.4 if pixels_per_inch > 100 else 2.2
    plain = [""] * len(captions)
    n_columns = choose_columns(plain, n_columns, most=8, max_width=max_width)
    width = min(max_width, panel_width(n_columns))
    panels = make_panels(
        [fit(picture, width) for picture in pictures],
        captions,
        title=title,
        n_columns=n_columns,
        pixels_per_inch=pixels_per_inch,
    )
    for axes, picture, is_right in zip(panels.axes, pictures, rights, strict=True):
        draw_picture(axes, picture)
        if is_right is not None:
            _frame(axes, is_right)
    return panels.figure


def _frame(axes: Axes, is_right: bool | None) -> None:
    color = COLORS["black" if is_right is None else "green" if is_right else "vermilion"]
    if is_right is not None:
        axes._left_title.set_color(color)
    axes.spines[:].set(visible=True, linewidth=_FRAME, color=color)


def _words(name: str) -> str:
    """Return names such as SeaLake as words, so that they can be wrapped."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(name))


# --- receptive fields ---------------------------------------------------------------------


def show_receptive_field(
    sensitivities: Sequence[Any],
    boxes: Sequence[tuple[int, int, int, int] | None] | None = None,
    captions: Sequence[str] | None = None,
    *,
    title: str,
) -> Figure:
    """Return a figure of how strongly an output depends on each input pixel.

    Parameters
    ----------
    sensitivities : sequence of array or Tensor of shape (height, width)
        Measured; not negative. Each map is drawn as shares of its largest number.
    boxes : sequence of (first_row, first_column, n_rows, n_columns), optional
        The computed receptive field of each map, drawn as a frame; ``None`` for a map
        without one. Rows and columns outside the picture, which padding adds, are cut.
    captions : sequence of str, optional
        One a map.
    title : str
        Says what to see.
    """
    maps = [
        as_array(item, name=f"map {i}", n_axes=2).astype(float)
        for i, item in enumerate(sensitivities)
    ]
    if min(item.min() for item in maps) < 0:
        msg = "A sensitivity is a magnitude and not negative. Take absolute gradients: .abs()."
        raise SettingsError(msg)
    captions = check_captions(captions, len(maps), name="maps")
    n_columns = choose_columns(captions, most=5, max_width=2.6)
    width = min(2.6, panel_width(n_columns, color_bar=True))
    sizes = [(width, width * item.shape[0] / item.shape[1]) for item in maps]
    panels = make_panels(sizes, captions, title=title, n_columns=n_columns, color_bar=True)
    scale = Normalize(0, 1)
    for axes, item, box in zip(panels.axes, maps, boxes or [None] * len(maps), strict=True):
        draw_matrix(axes, item / (item.max() or 1.0), scale=scale, color_map="gray")
        if box is not None:
            draw_box(axes, box, color=COLORS["orange"])
    panels.add_color_bar(ScalarMappable(scale, "gray"), label="share of the largest")
    return panels.figure
