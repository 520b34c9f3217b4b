"""Draw curves with their names at their ends, and the history of a training.

Nothing here knows how the numbers came about.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures.arrays import as_array
from coursekit.figures.figure import Figure
from coursekit.figures.style import COLORS, FONT_SIZES, color_cycle, style
from coursekit.figures.text import format_number, text_height, wrap_text

__all__ = ["plot_curves", "plot_history"]

_HEIGHT = 3.7
_NAME_WIDTH = 2.0  # inches for the names at the curves' ends
_DASHES = ("-", "--", ":", "-.")  # for curves whose color was taken before
_FEW = 15  # points: up to here each is marked


class HistoryLike(Protocol):
    """What `plot_history` needs to know of a history."""

    def to_frame(self) -> Any:
        """Return a table with one row an epoch."""


class _Curve(NamedTuple):
    x: np.ndarray
    y: np.ndarray
    spread: np.ndarray | None


def plot_curves(
    curves: Mapping[str, Any],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_ticks: Sequence[float] | None = None,
    y_limits: tuple[float, float] | None = None,
    log: Literal["", "x", "y", "xy"] = "",
    colors: Mapping[str, str] | None = None,
) -> Figure:
    """Return a figure with one line a curve, its name at its right end.

    Parameters
    ----------
    curves : mapping of str to array-like
        Each ``y``, or ``(x, y)``, or ``(x, mean, spread)``; the spread is drawn as a band of
        mean - spread to mean + spread. Arrays of shape (n_points,), or lists of numbers;
        without ``x``, points are numbered from 0.
    title : str
        Says what to see.
    x_label, y_label : str
        Names of the axes, with units.
    x_ticks : sequence of float, optional
        Where to put the ticks; whole numbers when every ``x`` is one.
    y_limits : (float, float), optional
        Ends of the vertical axis.
    log : {"", "x", "y", "xy"}, default=""
        The axes with a logarithmic scale.
    colors : mapping of str to str, optional
        The color of some names, from `COLORS` or matplotlib's, so that one color means one
        thing in several figures.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If there is no curve, or lengths differ within a curve.
    SettingsError
        If a number is not finite, or not positive on a logarithmic axis.

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
    _check_log(read, log)
    height = max(_HEIGHT, 1.2 + _names_height(read))
    figure = Figure(height=height, title=title)
    axes = figure.subplots()
    with style():
        _draw_curves(axes, read, _choose_colors(list(read), colors), log)
        axes.set(xlabel=x_label, ylabel=y_label)
        if y_limits is not None:
            axes.set_ylim(y_limits)
        _set_x_ticks(axes, read, x_ticks, log)
        _name_curves(axes, read, height=height - figure.title_height - 0.6)
    return figure


def plot_history(history: HistoryLike, *, title: str) -> Figure:
    """Return a figure with loss and accuracy by epoch, on training and validation data.

    Parameters
    ----------
    history : History
        Its ``to_frame()`` has one row an epoch and the columns ``epoch`` and ``loss``, and
        where measured ``val_loss``, ``accuracy`` and ``val_accuracy``.
    title : str
        Says what to see.

    Returns
    -------
    Figure
        With one panel for each of loss and accuracy that was measured.

    Raises
    ------
    ShapeError
        If no epoch was finished or no loss was recorded.
    """
    frame = history.to_frame()
    panels = {
        name: _history_curves(frame, name)
        for name in ("loss", "accuracy")
        if _history_curves(frame, name)
    }
    if not panels:
        msg = (
            "history must hold at least one finished epoch with a loss or an accuracy, got "
            f"{len(frame)} rows with the columns {', '.join(map(str, frame.columns))}."
        )
        raise ShapeError(msg)
    colors = {"training": COLORS["blue"], "validation": COLORS["vermilion"]}
    figure = Figure(height=_HEIGHT - 0.4, title=title)
    row = figure.subplots(1, len(panels), squeeze=False)[0]
    with style():
        for axes, (name, curves) in zip(row, panels.items(), strict=True):
            _draw_curves(axes, curves, [colors[key] for key in curves], log="")
            axes.set(xlabel="epoch", ylabel=name if name == "loss" else f"{name} (share)")
            _set_x_ticks(axes, curves, None, log="")
            _name_curves(axes, curves, height=_HEIGHT - 0.4 - figure.title_height - 0.6)
    return figure


def _read_curve(name: str, curve: Any) -> _Curve:
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
    return _Curve(arrays[0], arrays[1], arrays[2] if len(arrays) == 3 else None)


def _check_log(curves: Mapping[str, _Curve], log: str) -> None:
    if log not in {"", "x", "y", "xy"}:
        msg = f"log names the axes with a logarithmic scale: '', 'x', 'y' or 'xy', got {log!r}."
        raise SettingsError(msg)
    for name, curve in curves.items():
        for axis in log:
            least = getattr(curve, axis).min()
            if least <= 0:
                msg = (
                    f"A logarithmic axis has room for positive numbers only, got {least:g} as "
                    f"{axis} of curve {name!r}. Leave {axis!r} out of log=, or that point out."
                )
                raise SettingsError(msg)


def _choose_colors(names: list[str], colors: Mapping[str, str] | None) -> list[str]:
    colors = {name: COLORS.get(color, color) for name, color in (colors or {}).items()}
    free = iter([c for c in color_cycle(7) if c not in colors.values()] * (len(names) + 1))
    return [colors[name] if name in colors else next(free) for name in names]


def _draw_curves(
    axes: Axes, curves: Mapping[str, _Curve], colors: Sequence[str], log: str
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


def _set_x_ticks(
    axes: Axes, curves: Mapping[str, _Curve], x_ticks: Sequence[float] | None, log: str
) -> None:
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


def _name_curves(axes: Axes, curves: Mapping[str, _Curve], *, height: float) -> None:
    """Write each name in its line's color beside the line's end, moved apart to be legible."""
    size = FONT_SIZES["tick"]
    names = {name: wrap_text(name, _NAME_WIDTH, size=size) for name in curves}
    to_axes = axes.transScale + axes.transLimits
    ends = {
        name: to_axes.transform((curve.x[curve.x.argmax()], curve.y[curve.x.argmax()]))[1]
        for name, curve in curves.items()
    }
    line = 1.1 * text_height(size) / height
    room = {name: (text.count("\n") + 1) * line for name, text in names.items()}
    order = sorted(names, key=ends.get)
    places = _spread([ends[name] for name in order], [room[name] for name in order])
    colors = {drawn.get_label(): drawn.get_color() for drawn in axes.lines}
    at = dict(zip(order, places, strict=True))
    for (
        name
    ) in names:  # not from top to bottom: the last bits of a value may turn that round
        axes.text(
            1.02,
            at[name],
            names[name],
            transform=axes.transAxes,
            va="center",
            fontsize=size,
            linespacing=1.1,
            color=colors[name],
            weight="bold",
        )


def _names_height(names: Iterable[str]) -> float:
    """Inches that the names take, one under the other."""
    size = FONT_SIZES["tick"]
    n_lines = sum(wrap_text(name, _NAME_WIDTH, size=size).count("\n") + 1 for name in names)
    return n_lines * 1.1 * text_height(size)


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


def _history_curves(frame: Any, name: str) -> dict[str, _Curve]:
    """Training and validation curves of one metric, without epochs that lack it."""
    curves = {}
    for label, column in (("training", name), ("validation", f"val_{name}")):
        if column not in frame.columns:
            continue
        epochs = np.asarray(frame["epoch"], dtype=float)
        values = np.asarray(frame[column], dtype=float)
        measured = np.isfinite(values)
        if measured.any():
            curves[label] = _Curve(epochs[measured], values[measured], None)
    return curves
