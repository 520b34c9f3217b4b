"""Draw things that differ in three numbers: place, place and size.

Nothing here knows how the numbers came about.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures.arrays import as_array
from coursekit.figures.figure import Figure
from coursekit.figures.style import COLORS, FONT_SIZES, PAGE_WIDTH, style
from coursekit.figures.text import format_number, text_height, text_width

__all__ = ["plot_bubbles"]

_SIZE = FONT_SIZES["tick"]
_LARGEST = 700.0  # area of the largest bubble, square points
_SMALLEST = 14.0  # smaller ones are drawn so large, or nobody would see them
_GRAY = "#9A9A9A"
_DIRECTIONS = ((-1, 1), (1, -1), (-1, 0.3), (1, -0.3), (0, 1), (0, -1), (1, 1), (-1, -1))


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
    log: Literal["", "x", "y", "xy"] = "",
) -> Figure:
    """Return a figure with one bubble a thing; some are colored, joined and named.

    Parameters
    ----------
    x, y : array-like of shape (n_things,)
        Where the bubbles stand.
    sizes : array-like of shape (n_things,)
        What the bubbles' areas are in proportion to; positive.
    names : sequence of str
        One a thing, all different.
    title : str
        Says what to see.
    x_label, y_label : str
        Names of the axes, with units.
    size_label : str
        What the area means, with its unit; a legend gives two sizes.
    marked : sequence of str
        The things to color, to name, and to join by a line in the order of `x`, such as those
        that no other is better than.
    marked_label : str, default="marked"
        What they have in common, for the legend.
    log : {"", "x", "y", "xy"}, default=""
        The axes with a logarithmic scale.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If there is nothing to draw, or the lengths differ.
    SettingsError
        If a size is not positive, a marked name is unknown, or a number does not fit a
        logarithmic axis.

    Examples
    --------
    >>> figure = plot_bubbles(
    ...     [1, 10], [70, 80], [5, 50], ["small", "large"], title="Accuracy against cost",
    ...     x_label="operations", y_label="accuracy (%)", size_label="parameters", log="x",
    ... )
    >>> figure.axes[0].collections[0].get_offsets().tolist()
    [[1.0, 70.0], [10.0, 80.0]]
    """
    table = _read(x, y, sizes, names, marked, log)
    figure = Figure(width=PAGE_WIDTH, height=5.6, title=title)
    axes = figure.subplots()
    areas = _areas(table[2], largest=table[2].max())
    order = [list(names).index(name) for name in marked]
    order.sort(key=lambda index: table[0, index])
    with style():
        others = np.setdiff1d(np.arange(len(names)), order)
        _scatter(axes, table, areas, others, color=_GRAY)
        if order:
            line = axes.plot(*table[:2, order], color=COLORS["vermilion"], linewidth=1.2)
            line[0].set_zorder(1)
            _scatter(axes, table, areas, order, color=COLORS["vermilion"])
        _set_axes(axes, log, x_label, y_label)
        _explain(axes, table[2], size_label, marked_label if order else "")
        figure.draw_without_rendering()  # so that the places of bubbles are known
        for index, offset in zip(
            order, _place_names(axes, table, areas, order, names), strict=True
        ):
            _write_name(axes, names[index], table[:2, index], offset)
    return figure


def _read(
    x: Any, y: Any, sizes: Any, names: Sequence[str], marked: Sequence[str], log: str
) -> np.ndarray:
    """Return the numbers, of shape (3, n_things)."""
    columns = [
        as_array(values, name=name, n_axes=1).astype(float)
        for name, values in (("x", x), ("y", y), ("sizes", sizes))
    ]
    if len({len(column) for column in columns} | {len(names)}) > 1:
        counts = ", ".join(str(len(column)) for column in (*columns, names))
        msg = f"x, y, sizes and names must have one entry for each thing, got {counts}."
        raise ShapeError(msg)
    table = np.stack(columns)
    if table[2].min() <= 0:
        msg = f"Areas need positive sizes, got {table[2].min():g}."
        raise SettingsError(msg)
    unknown = [name for name in marked if name not in names]
    if unknown:
        msg = f"marked must be among the names, got {', '.join(map(repr, unknown))}."
        raise SettingsError(msg)
    for row, axis in enumerate("xy"):
        if axis in log and table[row].min() <= 0:
            msg = (
                "A logarithmic axis has room for positive numbers only, got "
                f"{table[row].min():g} on the {axis} axis."
            )
            raise SettingsError(msg)
    return table


def _areas(sizes: Any, *, largest: float) -> Any:
    return np.maximum(_LARGEST * sizes / largest, _SMALLEST)


def _scatter(
    axes: Axes, table: np.ndarray, areas: np.ndarray, rows: Sequence[int], *, color: str
) -> None:
    axes.scatter(
        *table[:2, rows],
        s=areas[rows],
        color=color,
        alpha=0.55,
        edgecolors="white",
        linewidths=0.6,
    )


def _set_axes(axes: Axes, log: str, x_label: str, y_label: str) -> None:
    plain = FuncFormatter(lambda value, _: format_number(value))
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if name in log:
            getattr(axes, f"set_{name}scale")("log")
            axis.set_major_formatter(plain)
            axis.set_minor_formatter(NullFormatter())
    axes.margins(0.08)
    axes.set(xlabel=x_label, ylabel=y_label)


def _explain(axes: Axes, sizes: np.ndarray, size_label: str, marked_label: str) -> None:
    """Put a legend beside the axes: two sizes, and what is marked."""
    handles, texts = [], []
    for size in np.unique([float(f"{np.quantile(sizes, q):.1g}") for q in (0.4, 0.9)]):
        area = _areas(size, largest=sizes.max())
        handles.append(axes.scatter([], [], s=area, color=_GRAY, alpha=0.55))
        texts.append(f"{format_number(size)} {size_label}")
    if marked_label:
        handles.append(axes.scatter([], [], s=60, color=COLORS["vermilion"], alpha=0.55))
        texts.append(marked_label)
    axes.legend(
        handles,
        texts,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=len(handles),
        columnspacing=2.5,
    )


def _write_name(
    axes: Axes, name: str, point: np.ndarray, offset: tuple[float, float]
) -> None:
    """Write a name at its place, with a thin line from its nearest side to the bubble."""
    left, right = offset[0], offset[0] + 72 * text_width(name, size=_SIZE)
    side = (0.0, 0.5) if left > 0 else (1.0, 0.5) if right < 0 else None
    if side is None:
        side = (0.5, 0.0) if offset[1] > 0 else (0.5, 1.0)
    axes.annotate(
        name,
        point,
        xytext=offset,
        textcoords="offset points",
        fontsize=_SIZE,
        ha="left",
        va="bottom",
        arrowprops={
            "arrowstyle": "-",
            "color": "#777777",
            "linewidth": 0.7,
            "relpos": side,
            "shrinkA": 0,
            "shrinkB": 1,
        },
    )


def _place_names(
    axes: Axes,
    table: np.ndarray,
    areas: np.ndarray,
    order: Sequence[int],
    names: Sequence[str],
) -> list[tuple[float, float]]:
    """Return where each name's lower left corner is, in points from its bubble's center.

    Each takes the first side where it covers no bubble that is named and no other name.
    """
    points = 72 / axes.figure.dpi
    centers = axes.transData.transform(table[:2].T) * points
    radii = np.sqrt(areas / np.pi)
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
