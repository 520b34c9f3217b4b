"""Draw bars with their numbers, and confusion matrices.

Nothing here knows how the numbers came about.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import FuncFormatter

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures.arrays import as_array
from coursekit.figures.figure import Figure
from coursekit.figures.style import COLORS, FONT_SIZES, PAGE_WIDTH, color_cycle, style
from coursekit.figures.text import format_number, readable_color, text_width, wrap_text

__all__ = ["plot_bars", "plot_confusion"]

_SIZE = FONT_SIZES["tick"]
_NAME_WIDTH = 1.8  # inches for the name of a class
_MOST_NUMBERS = 20  # classes: beyond it numbers in the cells are not legible


def plot_bars(
    values: Mapping[str, Any],
    *,
    title: str,
    y_label: str,
    spread: Mapping[str, Any] | None = None,
    value_format: str | None = None,
    y_limits: tuple[float, float] | None = None,
    log: bool = False,
    colors: Mapping[str, str] | None = None,
) -> Figure:
    """Return a figure with one bar a value, its number above it.

    Parameters
    ----------
    values : mapping of str to float, or to a mapping of str to float
        Bars by name, or groups of bars: ``{"MLP": {"shift 0": 0.91, "shift 1": 0.5}}`` has
        one group for ``"MLP"`` and one color for each shift.
    title : str
        Says what to see.
    y_label : str
        What the bars' height is, with its unit.
    spread : mapping like `values`, optional
        Half the length of the error bars.
    value_format : str, optional
        How numbers are written, as in ``"{:.1%}"``.
    y_limits : (float, float), optional
        Ends of the vertical axis; by default bars start at 0.
    log : bool, default=False
        Whether the vertical axis is logarithmic, which only positive values allow.
    colors : mapping of str to str, optional
        The color of some bars (of a group, if there are groups), from `COLORS` or
        matplotlib's.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If there is no bar, groups have different bars, or the spread has other names.
    SettingsError
        If a number is not finite, or not positive on a logarithmic axis.

    Examples
    --------
    >>> bars = plot_bars({"MLP": 0.91, "CNN": 0.96}, title="CNN leads", y_label="accuracy")
    >>> [float(bar.get_height()) for bar in bars.axes[0].patches]
    [0.91, 0.96]
    """
    grouped = _group(values)
    groups = list(grouped)
    names = list(grouped[groups[0]])
    heights = _table(grouped, groups, names, "values")
    errors = None if spread is None else _table(_group(spread), groups, names, "spread")
    if log and heights.min() <= 0:
        msg = (
            f"A logarithmic axis has room for positive values only, got {heights.min():g}."
        )
        raise SettingsError(msg)
    width = min(PAGE_WIDTH, max(5.0, 1.2 + 0.75 * heights.size + 0.4 * len(groups)))
    figure = Figure(width=width, height=3.7, title=title)
    axes = figure.subplots()
    with style():
        one_group = len(groups) == 1 and groups[0] == ""
        _draw_bars(axes, heights, errors, names, colors, value_format)
        _name_bars(axes, names if one_group else groups, one_group, width)
        axes.set_ylabel(y_label)
        axes.grid(visible=False, axis="x")
        axes.margins(y=0.14)
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(
                FuncFormatter(lambda value, _: format_number(value))
            )
            axes.set_ylim(heights.min() / 5, heights.max() * 5)
        if np.abs(heights).max() >= 1e4:
            axes.yaxis.set_major_formatter("{x:,.0f}")
        if heights.min() < 0:
            axes.axhline(0, color="#555555", linewidth=0.8)
        if y_limits is not None:
            axes.set_ylim(y_limits)
        if not one_group:
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def plot_confusion(matrix: Any, class_names: Sequence[str], *, title: str) -> Figure:
    """Return a figure of how often each class was taken for each other.

    Parameters
    ----------
    matrix : array or Tensor of shape (n_classes, n_classes)
        Images of the row's class that were taken for the column's; not negative.
    class_names : sequence of str
        One a class, in the order of the rows.
    title : str
        Says what to see.

    Returns
    -------
    Figure
        The color is the share of the row, so that rare classes can be read too; cells
        that are zero stay empty.

    Raises
    ------
    ShapeError
        If the matrix is not square or the names do not match.
    SettingsError
        If a count is negative or not finite.
    """
    counts = as_array(matrix, name="matrix", n_axes=2).astype(float)
    if counts.shape[0] != counts.shape[1] or len(class_names) != len(counts):
        msg = (
            "matrix must have one row and one column for each class name, got shape "
            f"{counts.shape} and {len(class_names)} names."
        )
        raise ShapeError(msg)
    if counts.min() < 0:
        msg = f"matrix must hold counts, which are not negative, got {counts.min():g}."
        raise SettingsError(msg)
    size = min(5.6, max(2.0, 0.45 * len(counts)))
    longest = max(text_width(str(name), size=_SIZE) for name in class_names)
    longest = min(longest, _NAME_WIDTH)
    width = min(PAGE_WIDTH, size + longest + 1.6)
    figure = Figure(width=width, height=size + longest + 0.9, title=title)
    axes = figure.subplots()
    with style():
        _draw_confusion(axes, counts, [str(name) for name in class_names])
        scale = ScalarMappable(Normalize(0, 1), "Blues")
        bar = figure.colorbar(scale, ax=axes, shrink=0.8)
        bar.set_label("share of the true class")
        bar.outline.set_visible(False)
    return figure


def _group(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """One mapping a group; plain bars are a single group without a name."""
    if not values:
        msg = "values must hold at least one name with its number, got none."
        raise ShapeError(msg)
    if all(isinstance(value, Mapping) for value in values.values()):
        return {str(g): {str(k): v for k, v in bars.items()} for g, bars in values.items()}
    return {"": {str(name): value for name, value in values.items()}}


def _table(
    grouped: dict[str, dict[str, Any]], groups: list[str], names: list[str], name: str
) -> np.ndarray:
    """Numbers of shape (n_groups, n_bars)."""
    if list(grouped) != groups or any(list(bars) != names for bars in grouped.values()):
        msg = (
            f"Every group of {name} must have the same bars in the same order: groups "
            f"{groups} with {names}, got { {g: list(bars) for g, bars in grouped.items()} }."
        )
        raise ShapeError(msg)
    rows = [[float(value) for value in bars.values()] for bars in grouped.values()]
    return as_array(rows, name=name, n_axes=2)


def _draw_bars(
    axes: Axes,
    heights: np.ndarray,
    errors: np.ndarray | None,
    names: list[str],
    colors: Mapping[str, str] | None,
    value_format: str | None,
) -> None:
    n_groups, n_bars = heights.shape
    chosen = {name: COLORS.get(color, color) for name, color in (colors or {}).items()}
    value_format = value_format or _choose_format(heights)
    cycle = color_cycle(n_bars if n_groups > 1 else 1)
    slot = 0.8 if n_groups == 1 else 0.8 / n_bars
    for column, name in enumerate(names):
        offset = (column - (n_bars - 1) / 2) * slot if n_groups > 1 else column
        drawn = axes.bar(
            np.arange(n_groups) + offset,
            heights[:, column],
            width=0.92 * slot,
            color=chosen.get(name, cycle[column % len(cycle)]),
            yerr=None if errors is None else errors[:, column],
            error_kw={"ecolor": "#222222", "capsize": 3},
            label=name,
        )
        texts = [value_format.format(height) for height in heights[:, column]]
        texts = [text.replace("-", "\N{MINUS SIGN}") for text in texts]
        axes.bar_label(drawn, texts, padding=2, fontsize=_SIZE)


def _choose_format(heights: np.ndarray) -> str:
    """Write whole numbers in full, others with as many decimals as the largest needs.

    Values of very different size have three digits each.
    """
    largest = np.abs(heights).max()
    if (heights == heights.round()).all():
        return "{:,.0f}"
    if np.abs(heights[heights != 0]).min() < largest / 100:
        return "{:.3g}" if largest < 1000 else "{:,.3f}"
    if largest >= 1000:
        return "{:,.0f}"
    n_decimals = 2 - int(np.floor(np.log10(largest)))
    return f"{{:,.{max(n_decimals, 0)}f}}" if n_decimals < 7 else "{:.2e}"


def _name_bars(axes: Axes, names: list[str], one_group: bool, width: float) -> None:
    legend = 0.0 if one_group else 1.6
    room = (width - 1.0 - legend) / len(names) - 0.08
    widest = max(text_width(word, size=_SIZE) for name in names for word in name.split())
    axes.set_xticks(range(len(names)))
    axes.tick_params(axis="x", length=0)
    if widest <= room:
        axes.set_xticklabels([wrap_text(name, room, size=_SIZE) for name in names])
    else:
        wrapped = [wrap_text(name, 1.6, size=_SIZE) for name in names]
        axes.set_xticklabels(wrapped, rotation=90)


def _draw_confusion(axes: Axes, counts: np.ndarray, names: list[str]) -> None:
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    labels = [wrap_text(name, _NAME_WIDTH, size=_SIZE) for name in names]
    short = max(text_width(name, size=_SIZE) for name in names) < 0.3
    axes.set_xticks(range(len(names)), labels, rotation=0 if short else 90)
    axes.set_yticks(range(len(names)), labels)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    if len(names) > _MOST_NUMBERS:
        return
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = readable_color(drawn.cmap(shares[row, column])[:3])
            text = format_number(count)
            axes.text(column, row, text, ha="center", va="center", color=color, size=_SIZE)
