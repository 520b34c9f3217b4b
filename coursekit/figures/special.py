"""Figures of one thing: what was found or predicted, windows, bubbles, and memory."""

import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from coursekit.errors import ShapeError
from coursekit.figures.base import (
    FONT_SIZES,
    PALETTE,
    PIXELS_PER_INCH,
    Figure,
    as_array,
    format_number,
    style,
    text_height,
    text_width,
    wrap_text,
)
from coursekit.figures.pictures import (
    DIVERGING,
    as_image,
    as_images,
    draw_picture,
    make_panels,
    resolution,
    show_pictures,
)
from coursekit.figures.plots import GRAY, name_curves, set_log

_SIZE = FONT_SIZES["tick"]
_FRAME = 3.0  # points around a picture that is right or wrong
_NOTHING = (None, "", None)


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

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> two = SimpleNamespace(images=np.zeros((2, 8, 8), np.uint8), names=["disc", "ring"])
    >>> figure = show_neighbors(two, two, [[0], [0]], title="The nearest")
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['disc', '✓', 'ring', '✗ disc']
    """
    ways = indices if isinstance(indices, Mapping) else {"": indices}
    found = {way: as_array(table, name="indices", n_axes=2) for way, table in ways.items()}
    n_queries, k = len(queries.images), next(iter(found.values())).shape[1]
    if any(table.shape != (n_queries, k) for table in found.values()):
        msg = (
            f"indices must have one row for each of the {n_queries} queries, and as many "
            "columns for every way. Take the same: found.indices[chosen]."
        )
        raise ShapeError(msg)
    in_a_row = 2 if k < 5 else 1
    n_columns = in_a_row * (k + 2) - 1
    cells: list[tuple] = []  # (image or None for nothing, caption, is it right?)
    for first, (way, table) in product(range(0, n_queries, in_a_row), found.items()):
        for query, row in enumerate(table[first : first + in_a_row], first):
            name = queries.names[query]
            caption = f"{_words(name)}\n{way}".rstrip()
            cells += [_NOTHING] * (query > first)
            cells.append((as_image(queries.images[query]), caption, None))
            for i in row:
                is_right = bank.names[i] == name
                caption = "✓" if is_right else f"✗ {_words(bank.names[i])}"
                cells.append((as_image(bank.images[i]), caption, is_right))
        cells += [_NOTHING] * (-len(cells) % n_columns)  # where the last has no partner
    return _show_rights(cells, title=title, n_columns=n_columns, width=0.8)


def show_predictions(
    images: Any, predictions: Any, *, title: str, n_columns: int = 6
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

    Examples
    --------
    >>> from coursekit.training import top_predictions
    >>> found = top_predictions([[2.0, 0.0]], [1], k=1, class_names=["cat", "dog"])
    >>> figure = show_predictions(np.zeros((1, 8, 8), np.uint8), found, title="A mistake")
    >>> figure.axes[0].get_title(loc="left").splitlines()
    ['✗ is dog', '88% cat']
    """
    pictures = [as_image(item) for item in as_images(images)]
    names, cells = predictions.class_names, []
    for row, classes in enumerate(predictions.classes):
        shares = zip(classes, predictions.probabilities[row], strict=True)
        text = "\n".join(f"{share:.0%} {_words(names[number])}" for number, share in shares)
        truth = predictions.labels[row]
        is_right = classes[0] == truth
        caption = f"✓ {text}" if is_right else f"✗ is {_words(names[truth])}\n{text}"
        cells.append((pictures[row], caption, is_right))
    width = 1.4 if resolution(pictures) == PIXELS_PER_INCH else 2.2
    return _show_rights(cells, title=title, n_columns=n_columns, width=width)


def _show_rights(cells: Sequence[tuple], **look: Any) -> Figure:
    """Return a figure of (picture, caption, is it right?), each in the color of the last."""
    pictures, captions, rights = zip(*cells, strict=True)
    look |= {"tallest": 1, "pixels_per_inch": resolution(pictures)}
    figure = show_pictures(pictures, captions, **look)
    drawn = [
        right
        for picture, right in zip(pictures, rights, strict=True)
        if picture is not None
    ]
    for axes, is_right in zip(figure.axes, drawn, strict=True):
        name = "black" if is_right is None else "green" if is_right else "vermilion"
        axes.spines[:].set(linewidth=_FRAME, color=PALETTE[name])
        if is_right is not None:
            axes._left_title.set_color(PALETTE[name])
    return figure


def _words(name: str) -> str:
    """Return names such as SeaLake as words, so that they can be wrapped."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(name))


# --- windows ------------------------------------------------------------------------------


def show_receptive_field(
    sensitivities: Sequence[Any],
    boxes: Sequence[tuple[int, int, int, int]],
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
        The computed receptive field of each map, drawn as a frame. Rows and columns outside
        the picture, which padding adds, are cut.
    """
    maps = [as_array(item, name="a map", n_axes=2).astype(float) for item in sensitivities]
    maps = [item / (item.max() or 1.0) for item in maps]
    look = {"title": title, "n_columns": 5, "width": 2.6}
    figure = show_pictures(maps, captions, bar_label="share of the largest", **look)
    for axes, box in zip(figure.axes, boxes, strict=False):  # the color bar is the last
        _draw_box(axes, box, PALETTE["orange"])
    return figure


def draw_window(
    image: Any, kernel: Any, response: Any, *, row: int, column: int, title: str
) -> Figure:
    """Return a diagram of one window: picture, kernel, and the response pixel they give.

    Under the panels stands the dot product, term by term.

    Parameters
    ----------
    image, kernel : array or Tensor of shape (n_rows, n_columns)
        The picture is 12 pixels wide or less.
    response : array or Tensor of shape (response_height, response_width)
        Of a convolution without padding.
    row, column : int
        Of the pixel of the response.
    """
    given = {"picture": image, "kernel": kernel, "response": response}
    arrays = {k: as_array(v, name=k, n_axes=2).astype(float) for k, v in given.items()}
    picture, weights, answers = arrays.values()
    n_rows, n_columns = weights.shape
    window = picture[row : row + n_rows, column : column + n_columns]
    parts = (map(format_number, part.flat) for part in (window, weights))
    terms = " + ".join(
        f"{p}·{w if w[0].isdigit() else f'({w})'}" for p, w in zip(*parts, strict=True)
    )
    text = f"window · kernel = {terms} = {format_number(answers[row, column])}"
    sizes = [(a.shape[1] * 0.42, a.shape[0] * 0.42) for a in arrays.values()]
    captions = [f"{name}, {a.shape[0]} x {a.shape[1]}" for name, a in arrays.items()]
    footer = wrap_text(text, 6.5, size=FONT_SIZES["label"])
    figure = make_panels(sizes, captions, title=title, n_columns=3, footer=footer)
    boxes = [(row, column, *weights.shape), (0, 0, *weights.shape), (row, column, 1, 1)]
    for axes, array, box in zip(figure.axes, arrays.values(), boxes, strict=True):
        limit = 2.4 * (np.abs(array).max() or 1.0)  # pale, so that numbers stand out
        draw_picture(axes, array, (-limit, limit), DIVERGING)
        _draw_box(axes, box, PALETTE["black"])
    return figure


@style()
def _draw_box(axes: Axes, box: tuple[int, int, int, int], color: str) -> None:
    """Frame pixels (first_row, first_column, n_rows, n_columns); what lies outside is cut."""
    row, column, n_rows, n_columns = box
    height, width = axes.images[0].get_array().shape
    left, right = np.clip((column, column + n_columns), 0, width) - 0.5
    top, bottom = np.clip((row, row + n_rows), 0, height) - 0.5
    look = {"fill": False, "edgecolor": color, "linewidth": 2.25, "zorder": 3}
    axes.add_patch(
        Rectangle((left, top), right - left, bottom - top, clip_on=False, **look)
    )


# --- bubbles ------------------------------------------------------------------------------

_LARGEST, _SMALLEST = 700.0, 14.0  # areas, square points; smaller ones nobody would see


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
    size_label : str
        What the area means, with its unit; a legend gives two sizes.
    marked : sequence of str
        The things to color, to name, and to join by a line, such as those that no other is
        better than: a larger `x` has a larger `y`, so that there is room at the upper left.

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
    x, y, sizes = (as_array(column, name="a column", n_axes=1) for column in (x, y, sizes))
    areas = np.maximum(_LARGEST * sizes / sizes.max(), _SMALLEST)
    order = sorted((list(names).index(name) for name in marked), key=x.__getitem__)
    others = np.setdiff1d(np.arange(len(names)), order)
    figure = Figure(height=6.2, title=title)
    axes = figure.subplots()
    look = {"alpha": 0.55, "edgecolors": "white", "linewidths": 0.6}
    axes.scatter(x[others], y[others], s=areas[others], color=GRAY, **look)
    axes.plot(x[order], y[order], color=PALETTE["vermilion"], linewidth=1.2, zorder=1)
    axes.scatter(x[order], y[order], s=areas[order], color=PALETTE["vermilion"], **look)
    set_log(axes, log)
    axes.margins(x=0.21, y=0.15)  # room for names
    axes.set(xlabel=x_label, ylabel=y_label)
    shown = np.unique([float(f"{np.quantile(sizes, q):.1g}") for q in (0.4, 0.9)])
    texts = [*(f"{format_number(size)} {size_label}" for size in shown), marked_label]
    legend = [(max(_LARGEST * size / sizes.max(), _SMALLEST), GRAY) for size in shown]
    legend.append((60, PALETTE["vermilion"]))
    handles = [axes.scatter([], [], s=s, color=color, alpha=0.55) for s, color in legend]
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "columnspacing": 2.5}
    axes.legend(handles, texts, ncols=len(handles), **place)
    figure.draw_without_rendering()  # so that the places of bubbles are known
    centers = axes.transData.transform(np.stack([x, y], axis=1)) * 72 / axes.figure.dpi
    line = {"arrowstyle": "-", "color": "#777777", "linewidth": 0.7, "relpos": (1, 0.5)}
    look = {"ha": "right", "va": "center", "textcoords": "offset points", "size": _SIZE}
    look["arrowprops"] = line | {"shrinkA": 0, "shrinkB": 1}
    taken: list[tuple[float, float]] = []  # where bubbles are, and how high their names
    for i in order:  # each name stands at the upper left, above the names in its way
        reach = 0.7 * np.sqrt(areas[i] / np.pi) + 4
        left = centers[i][0] - reach - 72 * text_width(names[i], size=_SIZE)
        rows = [high + 72 * text_height(_SIZE) for right, high in taken if right > left]
        high = max([centers[i][1] + reach, *rows])
        taken.append((centers[i][0], high))
        axes.annotate(names[i], (x[i], y[i]), (-reach, high - centers[i][1]), **look)
    return figure


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
    colors = {k: PALETTE[c] for k, c in zip(labels, _MEMORY_COLORS, strict=True)}
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
