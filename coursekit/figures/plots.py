"""Numbers as lines, bars and points: curves, histories, bars, confusions, runs, trade-offs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
)

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures.base import (
    COLORS,
    FONT_SIZES,
    PAGE_WIDTH,
    Figure,
    color_cycle,
    format_number,
    readable_color,
    style,
    text_height,
    text_width,
    wrap_text,
)
from coursekit.figures.panels import as_array

_SIZE = FONT_SIZES["tick"]
_HEIGHT = 3.7
_NAME_WIDTH = 2.0  # inches for the names at the curves' ends
_DASHES = ("-", "--", ":", "-.")  # for curves whose color was taken before
_FEW = 15  # points: up to here each is marked
_CLASS_WIDTH = 1.8  # inches for the name of a class
_MOST_NUMBERS = 20  # classes: beyond it numbers in the cells are not legible
_MARKERS = "os^Dv"


# --- curves -------------------------------------------------------------------------------


class Curve(NamedTuple):
    """Points of a line, and half the width of the band around it."""

    x: np.ndarray
    y: np.ndarray
    spread: np.ndarray | None = None


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
        Each ``y``, or ``(x, y)``, or ``(x, mean, spread)``; the spread is drawn as a band of
        mean - spread to mean + spread. Without ``x``, points are numbered from 0.
    title : str
        Says what to see.
    x_label, y_label : str
        Names of the axes, with units.
    x_ticks : sequence of float, optional
        Where to put the ticks; whole numbers when every ``x`` is one.
    y_limits : (float, float), optional
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
    if not curves:
        msg = "curves must hold at least one name with its numbers, got none."
        raise ShapeError(msg)
    read = {str(name): _read_curve(name, curve) for name, curve in curves.items()}
    check_log(read, log)
    height = max(_HEIGHT, 1.2 + _names_height(read))
    figure = Figure(height=height, title=title)
    axes = figure.subplots()
    with style():
        _draw_curves(axes, read, color_cycle(len(read)), log)
        axes.set(xlabel=x_label, ylabel=y_label)
        if y_limits is not None:
            axes.set_ylim(y_limits)
        set_x_ticks(axes, read, x_ticks, log)
        name_curves(axes, read, height=height - figure.title_height - 0.6)
    return figure


def plot_history(history: Any, *, title: str) -> Figure:
    """Return a figure with loss and accuracy by epoch, on training and validation data.

    Parameters
    ----------
    history : History
        Its ``to_frame()`` has one row an epoch and the columns ``epoch`` and ``loss``, and
        where measured ``val_loss``, ``accuracy`` and ``val_accuracy``.
    title : str
    """
    frame = history.to_frame()
    panels = {}
    for name in ("loss", "accuracy"):
        curves = {}
        for label, column in (("training", name), ("validation", f"val_{name}")):
            values = np.asarray(frame.get(column, []), dtype=float)
            measured = np.isfinite(values)
            if measured.any():
                epochs = np.asarray(frame["epoch"], dtype=float)
                curves[label] = Curve(epochs[measured], values[measured])
        if curves:
            panels[name] = curves
    if not panels:
        msg = (
            "history must hold at least one finished epoch with a loss or an accuracy, got "
            f"{len(frame)} rows with the columns {', '.join(map(str, frame.columns))}."
        )
        raise ShapeError(msg)
    colors = {"training": COLORS["blue"], "validation": COLORS["vermilion"]}
    height = _HEIGHT - 0.4
    figure = Figure(height=height, title=title)
    row = figure.subplots(1, len(panels), squeeze=False)[0]
    with style():
        for axes, (name, curves) in zip(row, panels.items(), strict=True):
            _draw_curves(axes, curves, [colors[key] for key in curves], log="")
            axes.set(xlabel="epoch", ylabel=name if name == "loss" else f"{name} (share)")
            set_x_ticks(axes, curves)
            name_curves(axes, curves, height=height - figure.title_height - 0.6)
    return figure


def _read_curve(name: str, curve: Any) -> Curve:
    parts = curve if isinstance(curve, tuple) and np.ndim(curve[0]) == 1 else (curve,)
    arrays = [
        as_array(part, name=f"curve {name!r}", n_axes=1).astype(float) for part in parts
    ]
    if len(arrays) == 1:
        arrays = [np.arange(len(arrays[0]), dtype=float), *arrays]
    if len(arrays) > 3 or len({len(array) for array in arrays}) > 1:
        msg = (
            f"Curve {name!r} must be y, (x, y) or (x, mean, spread) of one length, got "
            f"lengths {[len(array) for array in arrays]}."
        )
        raise ShapeError(msg)
    return Curve(*arrays)


def check_log(curves: Mapping[str, Any], log: str) -> None:
    """Raise where a curve has numbers that a logarithmic axis has no room for."""
    for name, curve in curves.items():
        for axis in log:
            least = getattr(curve, axis).min()
            if least <= 0:
                msg = (
                    f"A logarithmic axis has room for positive numbers only, got {least:g} as "
                    f"{axis} of {name!r}. Leave {axis!r} out of log=, or that point out."
                )
                raise SettingsError(msg)


def _draw_curves(
    axes: Axes, curves: Mapping[str, Curve], colors: Sequence[str], log: str
) -> None:
    if "x" in log:
        axes.set_xscale("log")
    if "y" in log:
        axes.set_yscale("log")
    axes.margins(x=0.02)
    for place, (name, curve) in enumerate(curves.items()):
        color = colors[place]
        marker = "o" if len(curve.x) <= _FEW else ""
        dashes = _DASHES[colors[:place].count(color) % len(_DASHES)]
        axes.plot(curve.x, curve.y, dashes, color=color, label=name, marker=marker)
        if curve.spread is not None:
            low, high = curve.y - curve.spread, curve.y + curve.spread
            axes.fill_between(curve.x, low, high, color=color, alpha=0.2, linewidth=0)


def plain_ticks(axes: Axes, log: str) -> None:
    """Write numbers in full on logarithmic axes, without names between the powers of 10."""
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if name in log:
            axis.set_minor_formatter(NullFormatter())
            axis.set_major_formatter(FuncFormatter(lambda value, _: format_number(value)))


def set_x_ticks(
    axes: Axes,
    curves: Mapping[str, Curve],
    x_ticks: Sequence[float] | None = None,
    log: str = "",
) -> None:
    """Put ticks at whole numbers where all x are, and write large ones in full."""
    plain = FuncFormatter(lambda value, _: format_number(value))
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if name in log:
            axis.set_minor_formatter(NullFormatter())
        if name in log or np.abs(axis.get_view_interval()).max() >= 1e4:
            axis.set_major_formatter(plain)
    if x_ticks is not None:
        axes.set_xticks(list(x_ticks))
        axes.xaxis.set_major_formatter(plain)
    elif "x" not in log and all((c.x == c.x.round()).all() for c in curves.values()):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def name_curves(axes: Axes, curves: Mapping[str, Curve], *, height: float) -> None:
    """Write each name in its line's color beside the line's end, moved apart to be legible."""
    names = {name: wrap_text(name, _NAME_WIDTH, size=_SIZE) for name in curves}
    to_axes = axes.transScale + axes.transLimits
    ends = {
        name: to_axes.transform((curve.x[curve.x.argmax()], curve.y[curve.x.argmax()]))[1]
        for name, curve in curves.items()
    }
    line = 1.1 * text_height(_SIZE) / height
    room = {name: (text.count("\n") + 1) * line for name, text in names.items()}
    order = sorted(names, key=ends.get)
    places = _spread([ends[name] for name in order], [room[name] for name in order])
    at = dict(zip(order, places, strict=True))
    colors = {drawn.get_label(): drawn.get_color() for drawn in axes.lines}
    # Not from top to bottom: the last bits of a value may turn that order round.
    for name, text in names.items():
        axes.text(
            1.02,
            at[name],
            text,
            transform=axes.transAxes,
            va="center",
            fontsize=_SIZE,
            linespacing=1.1,
            color=colors[name],
            weight="bold",
        )


def _names_height(names: Iterable[str]) -> float:
    """Inches that the names take, one under the other."""
    wrapped = [wrap_text(name, _NAME_WIDTH, size=_SIZE) for name in names]
    return sum(text.count("\n") + 1 for text in wrapped) * 1.1 * text_height(_SIZE)


def _spread(wanted: list[float], room: list[float]) -> list[float]:
    """Return places near `wanted`, in its order, that leave each its `room`."""
    places = []
    low = min(0.0, 1 - sum(room))
    for place, size in zip(wanted, room, strict=True):
        places.append(max(place, low + size / 2))
        low = places[-1] + size / 2
    high = max(1.0, min(low, sum(room)))
    for index in reversed(range(len(places))):
        places[index] = min(places[index], high - room[index] / 2)
        high = places[index] - room[index] / 2
    return places


# --- bars ---------------------------------------------------------------------------------


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

    Examples
    --------
    >>> bars = plot_bars({"MLP": 0.91, "CNN": 0.96}, title="CNN leads", y_label="accuracy")
    >>> [float(bar.get_height()) for bar in bars.axes[0].patches]
    [0.91, 0.96]
    """
    grouped = _group(values)
    groups, names = list(grouped), list(next(iter(grouped.values())))
    heights = _table(grouped, groups, names, "values")
    errors = None if spread is None else _table(_group(spread), groups, names, "spread")
    if log and heights.min() <= 0:
        msg = (
            f"A logarithmic axis has room for positive values only, got {heights.min():g}."
        )
        raise SettingsError(msg)
    width = min(PAGE_WIDTH, max(5.0, 1.2 + 0.75 * heights.size + 0.4 * len(groups)))
    figure = Figure(width=width, height=_HEIGHT, title=title)
    axes = figure.subplots()
    one_group = groups == [""]
    with style():
        _draw_bars(axes, heights, errors, names, value_format or _choose_format(heights))
        _name_bars(axes, names if one_group else groups, one_group, width)
        axes.set_ylabel(y_label)
        axes.grid(visible=False, axis="x")
        axes.margins(y=0.14)
        if log:
            axes.set_yscale("log")
            number = FuncFormatter(lambda value, _: format_number(value))
            axes.yaxis.set_major_formatter(number)
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


def _group(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """One mapping a group; plain bars are a single group without a name."""
    if not values:
        msg = "values must hold at least one name with its number, got none."
        raise ShapeError(msg)
    if all(isinstance(value, Mapping) for value in values.values()):
        return {str(g): {str(k): v for k, v in bars.items()} for g, bars in values.items()}
    return {"": {str(name): value for name, value in values.items()}}


def _table(grouped: dict, groups: list[str], names: list[str], name: str) -> np.ndarray:
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
    value_format: str,
) -> None:
    n_groups, n_bars = heights.shape
    colors = color_cycle(n_bars) if n_groups > 1 else color_cycle(1) * n_bars
    slot = 0.8 if n_groups == 1 else 0.8 / n_bars
    for column, name in enumerate(names):
        offset = (column - (n_bars - 1) / 2) * slot if n_groups > 1 else column
        drawn = axes.bar(
            np.arange(n_groups) + offset,
            heights[:, column],
            width=0.92 * slot,
            color=colors[column],
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


# --- confusion, runs, trade-offs ----------------------------------------------------------


def plot_confusion(matrix: Any, class_names: Sequence[str], *, title: str) -> Figure:
    """Return a figure of how often each class was taken for each other.

    Parameters
    ----------
    matrix : array or Tensor of shape (n_classes, n_classes)
        Images of the row's class that were taken for the column's. The color is the share of
        the row, so that rare classes can be read too; cells that are zero stay empty.
    class_names : sequence of str
        In the order of the rows.
    title : str
    """
    counts = as_array(matrix, name="matrix", n_axes=2).astype(float)
    names = [str(name) for name in class_names]
    if counts.shape != (len(names), len(names)):
        msg = (
            "matrix must have one row and one column for each class name, got shape "
            f"{counts.shape} and {len(names)} names."
        )
        raise ShapeError(msg)
    size = min(5.6, max(2.0, 0.45 * len(counts)))
    widths = [text_width(name, size=_SIZE) for name in names]
    longest = min(max(widths), _CLASS_WIDTH)
    width = min(PAGE_WIDTH, size + longest + 1.6)
    figure = Figure(width=width, height=size + longest + 0.9, title=title)
    axes = figure.subplots()
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    with style():
        drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        labels = [wrap_text(name, _CLASS_WIDTH, size=_SIZE) for name in names]
        axes.set_xticks(range(len(names)), labels, rotation=0 if max(widths) < 0.3 else 90)
        axes.set_yticks(range(len(names)), labels)
        axes.set(xlabel="predicted class", ylabel="true class")
        axes.grid(visible=False)
        axes.tick_params(length=0)
        if len(names) <= _MOST_NUMBERS:
            for (row, column), count in np.ndenumerate(counts):
                if count:
                    color = readable_color(drawn.cmap(shares[row, column])[:3])
                    words = {"ha": "center", "va": "center", "color": color, "size": _SIZE}
                    axes.text(column, row, format_number(count), **words)
        bar = figure.colorbar(ScalarMappable(Normalize(0, 1), "Blues"), ax=axes, shrink=0.8)
        bar.set_label("share of the true class")
        bar.outline.set_visible(False)
    return figure


def plot_strategies(
    runs: Mapping[str, Any],
    *,
    title: str,
    y_label: str = "test accuracy",
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
        order.
    title, y_label, y_limits
        As for `plot_bars`.

    Examples
    --------
    >>> figure = plot_strategies({"a": [0.5, 0.6], "b": [0.7, 0.7]}, title="b is better")
    >>> [float(text.get_text().rstrip("%")) for text in figure.axes[0].texts]
    [55.0, 70.0]
    """
    values = getattr(runs, "accuracies", runs)
    counts = {str(name): len(own) for name, own in values.items()}
    if len(set(counts.values())) != 1:
        msg = f"Every strategy must have the same number of runs, got {counts}."
        raise ShapeError(msg)
    table = as_array([list(own) for own in values.values()], name="accuracies", n_axes=2)
    width = min(PAGE_WIDTH, max(5.0, 1.4 + 1.35 * len(counts)))
    figure = Figure(width=width, height=4.0, title=title)
    axes = figure.subplots()
    places, means, dark = np.arange(len(table)), table.mean(axis=1), "#222222"
    beside = places + 0.24  # of the points, for the error bars
    with style():
        for own in table.T:
            axes.plot(places, own, color="#9A9A9A", linewidth=0.8, alpha=0.7, zorder=1)
        for place, color in enumerate(color_cycle(len(table))):
            at = np.full(table.shape[1], place)
            axes.plot(at, table[place], "o", color=color, markersize=6, alpha=0.75)
        axes.hlines(
            means, places - 0.16, places + 0.16, color=dark, linewidth=2.5, zorder=3
        )
        if table.shape[1] > 1:
            bars = {"fmt": "none", "ecolor": dark, "elinewidth": 1.2, "capsize": 3}
            axes.errorbar(beside, means, yerr=table.std(axis=1, ddof=1), **bars)
        for place, mean in zip(beside, means, strict=True):
            words = {"textcoords": "offset points", "va": "center", "size": _SIZE}
            axes.annotate(f"{mean:.1%}", (place, mean), xytext=(7, 0), **words)
        room = (width - 1.0) / len(counts) - 0.1
        axes.set_xticks(places, [wrap_text(name, room, size=_SIZE) for name in counts])
        axes.set_xlim(-0.5, len(counts) - 0.3)
        axes.tick_params(axis="x", length=0)
        axes.grid(visible=False, axis="x")
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol="%"))
        axes.set_ylabel(y_label)
        if y_limits is not None:
            axes.set_ylim(y_limits)
    return figure


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
        Each ``(x, y)`` or ``(x, y, names)``: for instance the recall and the queries per
        second of an index for several settings, and what to write at each point, an empty
        name for nothing. A method without a setting is a single point.
    title, x_label, y_label, log
        As for `plot_curves`.
    x_limits : (float, float), optional

    Examples
    --------
    >>> figure = plot_trade_off(
    ...     {"index": ([0.8, 0.9], [9e3, 5e3], ["16", "64"]), "exact": ([1], [200])},
    ...     title="Recall against speed", x_label="recall", y_label="queries per second",
    ... )
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['16', '64']
    """
    read = {str(name): _read_curve(name, one[:2]) for name, one in series.items()}
    check_log(read, log)
    figure = Figure(height=4.4, title=title)
    axes = figure.subplots()
    with style():
        axes.set_xscale("log" if "x" in log else "linear")
        axes.set_yscale("log" if "y" in log else "linear")
        colors = color_cycle(len(read))
        for place, ((name, one), given) in enumerate(
            zip(read.items(), series.values(), strict=True)
        ):
            marker = _MARKERS[place % len(_MARKERS)]
            look = {"color": colors[place], "marker": marker, "markersize": 7}
            axes.plot(one.x, one.y, "-", label=name, **look)
            up = 1 if place % 2 == 0 else -1  # so that names of two near lines stay apart
            for x, y, words in (
                zip(one.x, one.y, *given[2:], strict=True) if given[2:] else ()
            ):
                if words:
                    axes.annotate(
                        str(words),
                        (x, y),
                        xytext=(5 * up, 5 * up),
                        textcoords="offset points",
                        ha="left" if up > 0 else "right",
                        va="bottom" if up > 0 else "top",
                        fontsize=_SIZE,
                        color=colors[place],
                    )
        axes.margins(x=0.06, y=0.14)
        axes.set(xlabel=x_label, ylabel=y_label)
        if x_limits is not None:
            axes.set_xlim(x_limits)
        for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
            if name in log:
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        plain_ticks(axes, log)
        figure.legend(loc="outside right center")
    return figure
