"""Numbers as lines, bars and points: curves, bars, confusions, runs, trade-offs."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import cycler
from matplotlib.axes import Axes
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
)

from coursekit.errors import ShapeError
from coursekit.figures.base import (
    FONT_SIZES,
    PAGE_WIDTH,
    PALETTE,
    Figure,
    as_array,
    format_number,
    readable_color,
    style,
    text_height,
    text_width,
    wrap_text,
)

_SIZE = FONT_SIZES["tick"]
_HEIGHT = 3.7
_NAME_WIDTH = 2.0  # inches for the names at the curves' ends
_COLORS = list(PALETTE.values())
_DASHES = ("-", "--", ":", "-.")  # for curves whose color was taken before
_FEW = 15  # points: up to here each is marked
_CLASS_WIDTH = 1.8  # inches for the name of a class
_MOST_NUMBERS = 20  # classes: beyond it numbers in the cells are not legible
_MARKERS = "os^Dv"
_DARK, GRAY = PALETTE["black"], "#9A9A9A"
_PLAIN = FuncFormatter(lambda value, _: format_number(value))


# --- curves -------------------------------------------------------------------------------


@style()
def plot_curves(
    curves: Mapping[str, Any],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_ticks: Sequence[float] | None = None,
    y_limits: tuple[float, float] | None = None,
    log: str = "",
) -> Figure:
    """Return a figure with one line a curve, its name at its right end.

    Parameters
    ----------
    curves : mapping of str to array-like
        Each ``y``, or ``(x, y)``. Without ``x``, points are numbered from 0.
    x_label, y_label : str
        Names of the axes, with units.
    log : {"", "x", "y", "xy"}, default=""
        The axes with a logarithmic scale.

    Examples
    --------
    >>> figure = plot_curves(
    ...     {"square": [0, 1, 4]}, title="Growth", x_label="side (cm)", y_label="area (cm²)"
    ... )
    >>> figure.axes[0].lines[0].get_ydata().tolist()
    [0.0, 1.0, 4.0]
    """
    names = "\n".join(wrap_text(name, _NAME_WIDTH, size=_SIZE) for name in curves)
    height = max(_HEIGHT, 1.2 + (names.count("\n") + 1) * 1.1 * text_height(_SIZE))
    figure = Figure(height=height, title=title)
    axes = figure.subplots()
    _draw_curves(axes, curves, log)
    axes.set(xlabel=x_label, ylabel=y_label, ylim=y_limits)
    if x_ticks is not None:
        axes.set_xticks(list(x_ticks))
        axes.xaxis.set_major_formatter(_PLAIN)
    name_curves(axes, height=height - figure.title_height - 0.6)
    return figure


@style()
def plot_history(history: Any, *, title: str) -> Figure:
    """Return a figure with loss and accuracy by epoch, on training and validation data.

    Parameters
    ----------
    history : History
        Its ``to_frame()`` has one row an epoch and the columns ``epoch`` and ``loss``, and
        where measured ``val_loss``, ``accuracy`` and ``val_accuracy``.
    """
    frame = history.to_frame().dropna(axis="columns", how="all")
    names = [name for name in ("loss", "accuracy") if name in frame]
    height = _HEIGHT - 0.4
    figure = Figure(height=height, title=title)
    row = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(row, names, strict=True):
        curves = {}
        for label, column in {"training": name, "validation": f"val_{name}"}.items():
            if column in frame:
                measured = frame[["epoch", column]].dropna()
                curves[label] = (measured["epoch"], measured[column])
        _draw_curves(axes, curves, log="")
        axes.set(xlabel="epoch", ylabel=name if name == "loss" else f"{name} (share)")
        name_curves(axes, height=height - figure.title_height - 0.6)
    return figure


def _read_curve(name: str, curve: Any) -> tuple[np.ndarray, ...]:
    pair = curve if isinstance(curve, tuple) else (range(len(curve)), curve)
    return tuple(as_array(a, name=f"curve {name!r}", n_axes=1).astype(float) for a in pair)


def _draw_curves(axes: Axes, curves: Mapping[str, Any], log: str) -> None:
    axes.margins(x=0.02)
    axes.set_prop_cycle(cycler(linestyle=_DASHES) * cycler(color=_COLORS))
    for name, curve in curves.items():
        x, y = _read_curve(name, curve)
        axes.plot(x, y, label=name, marker="o" * (len(x) <= _FEW))
    set_log(axes, log)
    places = np.concatenate([line.get_xdata() for line in axes.lines])
    if "x" not in log and (places == places.round()).all():
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def set_log(axes: Axes, log: str) -> None:
    """Make axes logarithmic; write their numbers in full, and large ones of other axes."""
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if name in log:
            axes.set(**{f"{name}scale": "log"})
            axis.set_minor_formatter(NullFormatter())
        if name in log or np.abs(axis.get_view_interval()).max() >= 1e4:
            axis.set_major_formatter(_PLAIN)


def name_curves(axes: Axes, *, height: float) -> None:
    """Write each name in its line's color beside the line's end, moved apart to be legible.

    `height` is that of the axes.
    """
    lines = [line for line in axes.lines if not line.get_label().startswith("_")]
    names = [wrap_text(line.get_label(), _NAME_WIDTH, size=_SIZE) for line in lines]
    to_axes = axes.transScale + axes.transLimits
    ends = [
        to_axes.transform(line.get_xydata()[line.get_xdata().argmax()])[1] for line in lines
    ]
    room = [(n.count("\n") + 1) * 1.1 * text_height(_SIZE) / height for n in names]
    order = sorted(range(len(lines)), key=ends.__getitem__)
    low, high = 0.0, 1.0
    for i in order:
        ends[i] = max(ends[i], low + room[i] / 2)
        low = ends[i] + room[i] / 2
    for i in reversed(order):
        ends[i] = min(ends[i], high - room[i] / 2)
        high = ends[i] - room[i] / 2
    look = {"va": "center", "fontsize": _SIZE, "linespacing": 1.1, "weight": "bold"}
    for line, name, end in zip(lines, names, ends, strict=True):
        place = {"transform": axes.transAxes, "color": line.get_color()}
        axes.text(1.02, end, name, **place, **look)


# --- bars ---------------------------------------------------------------------------------


@style()
def plot_bars(
    values: Mapping[str, Any],
    *,
    title: str,
    y_label: str,
    spread: Mapping[str, Any] | None = None,
    value_format: str | None = None,
    y_limits: tuple[float, float] | None = None,
    log: bool = False,
) -> Figure:
    """Return a figure with one bar a value, its number above it.

    Parameters
    ----------
    values : mapping of str to float, or to a mapping of str to float
        Bars by name, or groups of bars: ``{"MLP": {"shift 0": 0.91, "shift 1": 0.5}}`` has
        one group for ``"MLP"`` and one color for each shift.
    spread : mapping like `values`, optional
        Half the length of the error bars.
    value_format : str, optional
        How numbers are written, as in ``"{:.1%}"``; otherwise with three digits.
    log : bool, default=False
        Whether the vertical axis is logarithmic, which only positive values allow.

    Examples
    --------
    >>> bars = plot_bars({"MLP": 0.91, "CNN": 0.96}, title="CNN leads", y_label="accuracy")
    >>> [float(bar.get_height()) for bar in bars.axes[0].patches]
    [0.91, 0.96]
    """
    is_grouped = all(isinstance(value, Mapping) for value in values.values())
    groups = values if is_grouped else {"": values}
    names = list(next(iter(groups.values())))
    heights = np.array([[group[name] for name in names] for group in groups.values()])
    spreads = spread if is_grouped else spread and {"": spread}
    width = min(PAGE_WIDTH, max(5.0, 1.2 + 0.75 * heights.size + 0.4 * len(groups)))
    figure = Figure(width=width, height=_HEIGHT, title=title)
    axes = figure.subplots()
    write = format_number if value_format is None else value_format.format
    slot = 0.8 / len(names) if is_grouped else 0.8
    for column, name in enumerate(names):
        offset = (column - (len(names) - 1) / 2) * slot if is_grouped else column
        color = _COLORS[column % len(_COLORS) if is_grouped else 0]
        errors = spreads and [spreads[group][name] for group in groups]
        look = {"width": 0.92 * slot, "color": color, "label": name}
        look |= {"yerr": errors, "error_kw": {"ecolor": _DARK, "capsize": 3}}
        drawn = axes.bar(np.arange(len(groups)) + offset, heights[:, column], **look)
        axes.bar_label(drawn, map(write, heights[:, column]), padding=2, fontsize=_SIZE)
    _name_columns(axes, groups if is_grouped else names, width - 1 - 1.6 * is_grouped)
    axes.set_ylabel(y_label)
    axes.margins(y=0.14)
    if log:
        set_log(axes, "y")
        axes.set_ylim(heights.min() / 5, heights.max() * 5)
    axes.set_ylim(y_limits)
    if is_grouped:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _name_columns(axes: Axes, names: Collection[str], width: float) -> None:
    """Write names below, upright where a word has no room; nothing else stands there."""
    room = width / len(names) - 0.08
    widest = max(text_width(word, size=_SIZE) for name in names for word in name.split())
    fits = widest <= room
    labels = [wrap_text(name, room if fits else 1.6, size=_SIZE) for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=0 if fits else 90)
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")


# --- confusion, runs, trade-offs ----------------------------------------------------------


@style()
def plot_confusion(matrix: Any, class_names: Sequence[str], *, title: str) -> Figure:
    """Return a figure of how often each class was taken for each other.

    Parameters
    ----------
    matrix : array or Tensor of shape (n_classes, n_classes)
        Images of the row's class that were taken for the column's. The color is the share of
        the row, so that rare classes can be read too; cells that are zero stay empty.
    class_names : sequence of str
        In the order of the rows.
    """
    counts = as_array(matrix, name="matrix", n_axes=2).astype(float)
    if counts.shape != (len(class_names),) * 2:
        msg = (
            f"A matrix of shape {counts.shape} does not fit {len(class_names)} class names."
        )
        raise ShapeError(msg)
    size = min(5.6, max(2.0, 0.45 * len(counts)))
    widths = [text_width(name, size=_SIZE) for name in class_names]
    longest = min(max(widths), _CLASS_WIDTH)
    width = min(PAGE_WIDTH, size + longest + 1.6)
    figure = Figure(width=width, height=size + longest + 0.9, title=title)
    axes = figure.subplots()
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    labels = [wrap_text(name, _CLASS_WIDTH, size=_SIZE) for name in class_names]
    rotation = 0 if max(widths) < 0.3 else 90
    axes.set_xticks(range(len(class_names)), labels, rotation=rotation)
    axes.set_yticks(range(len(class_names)), labels)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for (row, column), count in np.ndenumerate(counts):
        if count and len(class_names) <= _MOST_NUMBERS:
            color = readable_color(drawn.cmap(shares[row, column])[:3])
            words = {"ha": "center", "va": "center", "color": color, "size": _SIZE}
            axes.text(column, row, format_number(count), **words)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, label="share of the true class")
    bar.outline.set_visible(False)
    return figure


@style()
def plot_strategies(
    runs: Mapping[str, Sequence[float]],
    *,
    title: str,
    y_limits: tuple[float, float] | None = None,
) -> Figure:
    """Return a figure with a column of points a strategy, one point a run.

    A thin line joins the runs of one seed, so that a step that every seed takes is seen. The
    thick bar is the mean, written beside it; the error bar is one standard deviation to
    either side.

    Parameters
    ----------
    runs : mapping of str to sequence of float
        For each strategy the accuracy of each run, from 0 to 1, with the seeds in the same
        order; two or more.

    Examples
    --------
    >>> figure = plot_strategies({"a": [0.5, 0.6], "b": [0.7, 0.7]}, title="b is better")
    >>> [float(text.get_text().rstrip("%")) for text in figure.axes[0].texts]
    [55.0, 70.0]
    """
    table = as_array(list(runs.values()), name="accuracies", n_axes=2)
    width = min(PAGE_WIDTH, max(5.0, 1.4 + 1.35 * len(runs)))
    figure = Figure(width=width, height=4.0, title=title)
    axes = figure.subplots()
    places, means = np.arange(len(table)), table.mean(axis=1)
    beside = places + 0.24  # of the points, for the error bars
    for own in table.T:
        axes.plot(places, own, color=GRAY, linewidth=0.8, alpha=0.7, zorder=1)
    for place, own in enumerate(table):
        look = {"color": _COLORS[place % len(_COLORS)], "markersize": 6, "alpha": 0.75}
        axes.plot(np.full(len(own), place), own, "o", **look)
    thick = {"color": _DARK, "linewidth": 2.5, "zorder": 3}
    axes.hlines(means, places - 0.16, places + 0.16, **thick)
    bars = {"fmt": "none", "ecolor": _DARK, "elinewidth": 1.2, "capsize": 3}
    axes.errorbar(beside, means, yerr=table.std(axis=1, ddof=1), **bars)
    for place, mean in zip(beside, means, strict=True):
        words = {"textcoords": "offset points", "va": "center", "size": _SIZE}
        axes.annotate(f"{mean:.1%}", (place, mean), xytext=(7, 0), **words)
    _name_columns(axes, runs, width - 1.0)
    axes.set_xlim(-0.5, len(runs) - 0.3)
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol="%"))
    axes.set(ylabel="test accuracy", ylim=y_limits)
    return figure


@style()
def plot_trade_off(
    series: Mapping[str, Any],
    *,
    title: str,
    x_label: str,
    y_label: str,
    log: str = "y",
    x_limits: tuple[float, float] | None = None,
) -> Figure:
    """Return a figure with one line a method, its settings written at its points.

    Parameters
    ----------
    series : mapping of str to tuple
        Each ``(x, y)`` or ``(x, y, names)``: for instance recall and queries per second of an
        index for several settings, and what to write at each point.

    Examples
    --------
    >>> figure = plot_trade_off(
    ...     {"index": ([0.8, 0.9], [9e3, 5e3], ["16", "64"]), "exact": ([1], [200])},
    ...     title="Recall against speed", x_label="recall", y_label="queries per second",
    ... )
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['16', '64']
    """
    figure = Figure(height=4.4, title=title)
    axes = figure.subplots()
    set_log(axes, log)
    for place, (name, given) in enumerate(series.items()):
        curve, color = _read_curve(name, given[:2]), _COLORS[place % len(_COLORS)]
        marker = _MARKERS[place % len(_MARKERS)]
        axes.plot(*curve, "-", label=name, color=color, marker=marker, markersize=7)
        # names of two near lines stay apart
        up, side, low = (-5, "right", "top") if place % 2 else (5, "left", "bottom")
        look = {"ha": side, "va": low, "fontsize": _SIZE, "color": color}
        look |= {"xytext": (up, up), "textcoords": "offset points"}
        for x, y, words in zip(*curve, *given[2:], strict=True) if given[2:] else ():
            if words:
                axes.annotate(str(words), (x, y), **look)
    axes.margins(x=0.06, y=0.14)
    axes.set(xlabel=x_label, ylabel=y_label, xlim=x_limits)
    for name in log:
        getattr(axes, f"{name}axis").set_major_locator(LogLocator(subs=(1, 2, 5)))
    figure.legend(loc="outside right center")
    return figure
