"""Figures of one thing: neighbors, predictions, receptive fields, bubbles, memory, the eye."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Circle, Ellipse, FancyArrowPatch, Polygon

from coursekit.errors import ShapeError
from coursekit.figures.base import (
    COLORS,
    FONT_SIZES,
    PAGE_WIDTH,
    Figure,
    as_array,
    format_number,
    same_length,
    style,
    text_height,
    text_width,
)
from coursekit.figures.pictures import (
    add_color_bar,
    as_image,
    as_images,
    check_captions,
    choose_columns,
    draw_box,
    draw_matrix,
    make_panels,
    panel_width,
    resolution,
    show_pictures,
)
from coursekit.figures.plots import name_curves, set_log

_SIZE = FONT_SIZES["tick"]
_GRAY = "#9A9A9A"
_FRAME = 3.0  # points around a picture that is right or wrong


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
    >>> import numpy as np
    >>> two = SimpleNamespace(images=np.zeros((2, 8, 8), np.uint8), names=["disc", "ring"])
    >>> figure = show_neighbors(two, two, [[0], [0]], title="The nearest")
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['disc', '✓', 'ring', '✗ disc']
    """
    ways = indices if isinstance(indices, Mapping) else {"": indices}
    found = {way: as_array(table, name="indices", n_axes=2) for way, table in ways.items()}
    n_queries, k = len(queries.images), next(iter(found.values())).shape[1]
    if any(table.shape != (n_queries, k) for table in found.values()) or k > 9:
        msg = (
            f"indices must have one row for each of the {n_queries} queries, and as many "
            f"columns, at most 9, for every way. Take the same: found.indices[chosen, :5]."
        )
        raise ShapeError(msg)
    in_a_row = 2 if n_queries > 1 and k < 5 else 1
    cells: list[tuple] = []  # (image or None for nothing, caption, is it right?)
    nothing = (None, "", None)
    for first in range(0, n_queries, in_a_row):
        for way, table in found.items():
            for query in range(first, first + in_a_row):
                cells += [nothing] if query > first else []
                if query == n_queries:
                    cells += [nothing] * (1 + k)
                    continue
                name = queries.names[query]
                cells.append(
                    (queries.images[query], f"{_words(name)}\n{way}".rstrip(), None)
                )
                for i in table[query]:
                    is_right = bank.names[i] == name
                    caption = "✓" if is_right else f"✗ {_words(bank.names[i])}"
                    cells.append((bank.images[i], caption, is_right))
    n_columns = in_a_row * (k + 1) + in_a_row - 1
    width = (PAGE_WIDTH - 0.25 - 0.14 * (n_columns - 1)) - 0.02 * (in_a_row - 1)
    width = min(0.8, width / (in_a_row * (k + 1)))
    images, captions, rights = zip(*cells, strict=True)
    pictures = [None if i is None else as_image(i, name="an image") for i in images]
    drawn = [picture for picture in pictures if picture is not None]
    look = {"width": width, "pixels_per_inch": resolution(drawn, small=32)}
    figure = show_pictures(pictures, captions, title=title, n_columns=n_columns, **look)
    shown = [
        right for right, image in zip(rights, images, strict=True) if image is not None
    ]
    for axes, is_right in zip(figure.axes, shown, strict=True):
        _frame(axes, is_right)
    return figure


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
    >>> import numpy as np
    >>> from coursekit.training import top_predictions
    >>> found = top_predictions([[2.0, 0.0]], [1], k=1, class_names=["cat", "dog"])
    >>> figure = show_predictions(np.zeros((1, 8, 8), np.uint8), found, title="A mistake")
    >>> figure.axes[0].get_title(loc="left").splitlines()
    ['✗ is dog', '88% cat']
    """
    pictures = [as_image(item, name="an image") for item in as_images(images)]
    same_length([len(pictures), len(predictions.classes)], "images and predictions")
    names, captions, rights = predictions.class_names, [], []
    for row, classes in enumerate(predictions.classes):
        shares = zip(classes, predictions.probabilities[row], strict=True)
        text = "\n".join(f"{share:.0%} {_words(names[number])}" for number, share in shares)
        truth = predictions.labels[row]
        rights.append(bool(classes[0] == truth))
        captions.append(
            f"✓ {text}" if rights[-1] else f"✗ is {_words(names[truth])}\n{text}"
        )
    pixels_per_inch = resolution(pictures)
    max_width = 1.4 if pixels_per_inch > 100 else 2.2
    plain = [""] * len(captions)
    n_columns = choose_columns(plain, n_columns, most=8, max_width=max_width)
    look = {
        "width": min(max_width, panel_width(n_columns)),
        "pixels_per_inch": pixels_per_inch,
    }
    figure = show_pictures(pictures, captions, title=title, n_columns=n_columns, **look)
    for axes, is_right in zip(figure.axes, rights, strict=True):
        _frame(axes, is_right)
    return figure


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
    boxes: Sequence[tuple[int, int, int, int] | None],
    captions: Sequence[str],
    *,
    title: str,
) -> Figure:
    """Return a figure of how strongly an output depends on each input pixel.

    Parameters
    ----------
    sensitivities : sequence of array or Tensor of shape (height, width)
        Measured; not negative. Each map is drawn as shares of its largest number.
    boxes : sequence of (first_row, first_column, n_rows, n_columns)
        The computed receptive field of each map, drawn as a frame; ``None`` for a map
        without one. Rows and columns outside the picture, which padding adds, are cut.
    captions : sequence of str
        One a map.
    title : str
        Says what to see.
    """
    maps = [as_array(item, name="a map", n_axes=2).astype(float) for item in sensitivities]
    captions = check_captions(captions, len(maps))
    n_columns = choose_columns(captions, most=5, max_width=2.6)
    width = min(2.6, panel_width(n_columns, color_bar=True))
    sizes = [(width, width * item.shape[0] / item.shape[1]) for item in maps]
    figure = make_panels(sizes, captions, title=title, n_columns=n_columns, color_bar=True)
    scale = Normalize(0, 1)
    for axes, item, box in zip(figure.axes, maps, boxes, strict=True):
        draw_matrix(axes, item / (item.max() or 1.0), scale, "gray")
        if box is not None:
            draw_box(axes, box, color=COLORS["orange"])
    add_color_bar(figure, scale, "gray", "share of the largest")
    return figure


# --- bubbles ------------------------------------------------------------------------------

_LARGEST, _SMALLEST = 700.0, 14.0  # areas, square points; smaller ones nobody would see
_DIRECTIONS = ((-1, 1), (1, -1), (-1, 0.3), (1, -0.3), (0, 1), (0, -1), (1, 1), (-1, -1))


@style()
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
    marked: Sequence[str],
    marked_label: str,
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
    marked_label : str
        What they have in common, for the legend.

    Examples
    --------
    >>> figure = plot_bubbles(
    ...     [1, 10], [70, 80], [5, 50], ["small", "large"], title="Accuracy against cost",
    ...     x_label="operations", y_label="accuracy (%)", size_label="parameters", log="x",
    ...     marked=["large"], marked_label="best",
    ... )
    >>> figure.axes[0].collections[1].get_offsets().tolist()
    [[10.0, 80.0]]
    """
    given = {"x": x, "y": y, "sizes": sizes}
    columns = [as_array(v, name=n, n_axes=1).astype(float) for n, v in given.items()]
    same_length([len(column) for column in (*columns, names)], "x, y, sizes and names")
    x, y, sizes = columns
    areas = np.maximum(_LARGEST * sizes / sizes.max(), _SMALLEST)
    order = sorted((list(names).index(name) for name in marked), key=x.__getitem__)
    others = np.setdiff1d(np.arange(len(names)), order)
    figure = Figure(height=5.6, title=title)
    axes = figure.subplots()
    look = {"alpha": 0.55, "edgecolors": "white", "linewidths": 0.6}
    axes.scatter(x[others], y[others], s=areas[others], color=_GRAY, **look)
    axes.plot(x[order], y[order], color=COLORS["vermilion"], linewidth=1.2, zorder=1)
    axes.scatter(x[order], y[order], s=areas[order], color=COLORS["vermilion"], **look)
    set_log(axes, log)
    axes.margins(0.08)
    axes.set(xlabel=x_label, ylabel=y_label)
    legend = []  # over the axes: two sizes, and what is marked
    for size in np.unique([float(f"{np.quantile(sizes, q):.1g}") for q in (0.4, 0.9)]):
        area = max(_LARGEST * size / sizes.max(), _SMALLEST)
        legend.append((area, _GRAY, f"{format_number(size)} {size_label}"))
    legend.append((60, COLORS["vermilion"], marked_label))
    handles = [axes.scatter([], [], s=s, color=color, alpha=0.55) for s, color, _ in legend]
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "columnspacing": 2.5}
    axes.legend(handles, [text for *_, text in legend], ncols=len(handles), **place)
    figure.draw_without_rendering()  # so that the places of bubbles are known
    offsets = _place_names(axes, x, y, areas, order, names)
    for index, offset in zip(order, offsets, strict=True):
        _write_name(axes, names[index], (x[index], y[index]), offset)
    return figure


def _write_name(
    axes: Axes, name: str, point: tuple[float, float], offset: tuple[float, float]
) -> None:
    """Write a name at its place, with a thin line from its nearest side to the bubble."""
    left, right = offset[0], offset[0] + 72 * text_width(name, size=_SIZE)
    side = (0.5, 0.0) if offset[1] > 0 else (0.5, 1.0)
    if left > 0 or right < 0:
        side = (0.0, 0.5) if left > 0 else (1.0, 0.5)
    line = {"arrowstyle": "-", "color": "#777777", "linewidth": 0.7, "relpos": side}
    place = {"xytext": offset, "textcoords": "offset points", "ha": "left", "va": "bottom"}
    line |= {"shrinkA": 0, "shrinkB": 1}
    axes.annotate(name, point, fontsize=_SIZE, arrowprops=line, **place)


def _place_names(
    axes: Axes,
    x: np.ndarray,
    y: np.ndarray,
    areas: np.ndarray,
    order: Sequence[int],
    names: Sequence[str],
) -> list[tuple[float, float]]:
    """Return where each name's lower left corner is, in points from its bubble's center.

    Each takes the first side where it covers no bubble that is named and no other name.
    """
    points = 72 / axes.figure.dpi
    centers = axes.transData.transform(np.stack([x, y], axis=1)) * points
    radii = np.sqrt(areas / np.pi)
    boxes = [(*(c - r), *(c + r)) for c, r in zip(centers, radii, strict=True)]
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
            covered = sum(w * _overlap(box, b) for w, b in zip(weights, boxes, strict=True))
            outside = width * height - _overlap(box, frame)
            cost = round(covered + 10 * outside + reach, 3)
            choices.append((cost, len(choices), (left, low), box))
        _, _, offset, box = min(choices)
        boxes.append(box)
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
_MEMORY_COLORS = ("blue", "vermilion", "purple", "orange", "green")


@style()
def plot_memory(timeline: Any, *, title: str) -> Figure:
    """Return a figure of memory over time: one panel a kind, phases shaded, marks dotted.

    A first row holds names, then there is a panel for the process, one for what is saved for
    the backward pass, and one for the GPU. What was not measured is said below.

    Parameters
    ----------
    timeline : MemoryTimeline
        What ``track_memory`` measured: its ``samples``, ``spans`` and ``labels``.
    title : str
        Says what to see.
    """
    samples, labels = timeline.samples, timeline.labels
    seconds = [sample["seconds"] for sample in samples]
    end = seconds[-1]
    spans = [one for one in timeline.spans if one.kind != "whole"]
    names = _place_spans(spans, end)
    n_rows = max((1 + row for *_, row in names), default=0)
    resident, saved, *of_gpu = labels
    missing = [labels[key] for key in of_gpu if key not in samples[0]]
    panels = [[resident], [saved], *([] if missing else [of_gpu])]
    colors = {k: COLORS[c] for k, c in zip(labels, _MEMORY_COLORS, strict=True)}
    heights = [max(0.05, 1.25 * n_rows * text_height(_SIZE)), *[1.5] * len(panels)]
    figure = Figure(height=sum(heights) + 1.1, title=title)
    strip, *rows = figure.subplots(len(heights), 1, height_ratios=heights, sharex=True)
    strip.set(ylim=(0, max(n_rows, 1)))
    strip.axis("off")
    look = {"ha": "center", "va": "center", "fontsize": _SIZE}
    look |= {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.8}}
    for text, at, middle, row in names:
        strip.plot([at] * 2, [0, row + 0.3], color="#BBBBBB", linewidth=0.8)
        strip.text(middle, row + 0.5, text, **look)
    for axes, panel in zip(rows, panels, strict=True):
        for place, span in enumerate(spans):
            if span.kind == "mark":
                axes.axvline(span.begin, color="#777777", linestyle=":", linewidth=1)
                continue
            look = {"color": ("#EDEDED", "#F7F7F7")[place % 2], "linewidth": 0, "zorder": 0}
            axes.axvspan(span.begin, min(span.end, end), **look)
        for key in panel:
            # A sample knows the most that was saved since the one before.
            parts = [f"{key}_peak", key] if key == saved else [key]
            values = [sample[part] / 2**20 for sample in samples for part in parts]
            look = {"color": colors[key], "linewidth": 1.5, "label": labels[key]}
            axes.plot(np.repeat(seconds, len(parts)), values, **look)
        axes.set_ylabel("MiB")
        axes.margins(y=0.1)
        if panel != [resident]:
            axes.set_ylim(bottom=0)
        set_log(axes, "")
        name_curves(axes, height=1.3)
    axes.set_xlim(0, end)
    axes.xaxis.set_major_formatter("{x:g}")
    note = f"\nnot measured (no CUDA device): {', '.join(missing)}" if missing else ""
    axes.set_xlabel(f"time (s){note}")
    return figure


def _place_spans(spans: Sequence[Any], end: float) -> list[tuple[str, float, float, int]]:
    """Return each name, its moment, where its middle is, and the first row with room for it."""
    wanted = [((one.begin + min(one.end, end)) / 2, one.name) for one in spans]
    ends: list[float] = []  # of what is written in each row
    names = []
    for at, text in sorted(wanted):
        half = text_width(text, size=_SIZE) / 2 / _AXES_WIDTH + 0.007
        middle = min(max(at / end, _ROOM[0] + half), _ROOM[1] - half)
        free = [row for row, taken in enumerate(ends) if taken <= middle - half + 1e-9]
        row = free[0] if free else len(ends)
        ends[row : row + 1] = [middle + half]
        names.append((text, at, middle * end, row))
    return names


# --- the eye ------------------------------------------------------------------------------


@style()
def draw_receptive_field_of_the_eye(*, title: str) -> Figure:
    """Return a diagram of photoreceptors that converge on one ganglion cell."""
    figure = Figure(width=8.0, height=3.9, title=title)
    axes = figure.subplots()
    inside, outside, blue = COLORS["orange"], "#C9C9C9", COLORS["blue"]
    axes.set(xlim=(-0.8, 15.6), ylim=(0.1, 7.2), aspect="equal")
    axes.axis("off")
    light = {"arrowstyle": "-|>", "mutation_scale": 9, "color": "#999999"}
    for index in range(15):
        x, reaches = index + 1.2, 5 <= index < 10  # the ganglion cell
        color, end = (inside, (8.2, 1.6)) if reaches else (outside, (x, 3.9))
        axes.add_patch(Ellipse((x, 5.0), 0.55, 1.1, facecolor=color, edgecolor="#555555"))
        look = {"color": color, "linewidth": 1.6 if reaches else 1.2, "zorder": 0}
        axes.plot([x, end[0]], [4.45, end[1]], **look)
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
