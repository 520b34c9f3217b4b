"""Draw what one gains against what one pays, as a setting is turned.

Nothing here knows what is gained.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures.arrays import as_array
from coursekit.figures.figure import Figure
from coursekit.figures.style import FONT_SIZES, color_cycle, style
from coursekit.figures.text import format_number

__all__ = ["plot_trade_off"]

_HEIGHT = 4.4
_MARKERS = "os^Dv"


class _Series(NamedTuple):
    x: np.ndarray
    y: np.ndarray
    names: list[str]


def plot_trade_off(
    series: Mapping[str, Any],
    *,
    title: str,
    x_label: str,
    y_label: str,
    log: Literal["", "x", "y", "xy"] = "y",
    x_limits: tuple[float, float] | None = None,
) -> Figure:
    """Return a figure with one line a method, its settings written at its points.

    Parameters
    ----------
    series : mapping of str to tuple
        Each ``(x, y)`` or ``(x, y, names)``: for instance the recall and the queries per
        second of an index for several settings, and what to write at each point, an empty
        name for nothing. A method without a setting is a single point.
    title : str
        Says what to see.
    x_label, y_label : str
        Names of the axes, with units.
    log : {"", "x", "y", "xy"}, default="y"
        The axes with a logarithmic scale.
    x_limits : (float, float), optional
        Ends of the horizontal axis.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If there is no method, or lengths differ within one.
    SettingsError
        If a number is not finite, or not positive on a logarithmic axis.

    Examples
    --------
    >>> figure = plot_trade_off(
    ...     {"index": ([0.8, 0.9], [9e3, 5e3], ["16", "64"]), "exact": ([1], [200])},
    ...     title="Recall against speed", x_label="recall", y_label="queries per second",
    ... )
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['16', '64']
    """
    if not series:
        msg = "series must hold at least one method, got none."
        raise ShapeError(msg)
    read = {str(name): _read(str(name), one) for name, one in series.items()}
    _check_log(read, log)
    figure = Figure(height=_HEIGHT, title=title)
    axes = figure.subplots()
    with style():
        axes.set_xscale("log" if "x" in log else "linear")
        axes.set_yscale("log" if "y" in log else "linear")
        for place, (name, one) in enumerate(read.items()):
            _draw(axes, name, one, place)
        axes.margins(x=0.06, y=0.14)
        axes.set(xlabel=x_label, ylabel=y_label)
        if x_limits is not None:
            axes.set_xlim(x_limits)
        _set_ticks(axes, log)
        figure.legend(loc="outside right center")
    return figure


def _read(name: str, one: Any) -> _Series:
    if not isinstance(one, tuple) or len(one) not in {2, 3}:
        msg = f"Method {name!r} must be (x, y) or (x, y, names), got {type(one).__name__}."
        raise ShapeError(msg)
    x, y = (as_array(part, name=f"{name!r}", n_axes=1).astype(float) for part in one[:2])
    names: Sequence[str] = [str(n) for n in one[2]] if len(one) == 3 else [""] * len(x)
    if not len(x) == len(y) == len(names):
        msg = (
            f"Method {name!r} must have as many x as y and names, got "
            f"{len(x)}, {len(y)} and {len(names)}."
        )
        raise ShapeError(msg)
    return _Series(x, y, list(names))


def _check_log(series: Mapping[str, _Series], log: str) -> None:
    if log not in {"", "x", "y", "xy"}:
        msg = f"log names the axes with a logarithmic scale: '', 'x', 'y' or 'xy', got {log!r}."
        raise SettingsError(msg)
    for name, one in series.items():
        for axis in log:
            least = getattr(one, axis).min()
            if least <= 0:
                msg = (
                    f"A logarithmic axis has room for positive numbers only, got {least:g} as "
                    f"{axis} of {name!r}. Leave {axis!r} out of log=, or that point out."
                )
                raise SettingsError(msg)


def _draw(axes: Axes, name: str, one: _Series, place: int) -> None:
    color, marker = color_cycle(place + 1)[place], _MARKERS[place % len(_MARKERS)]
    axes.plot(one.x, one.y, "-", color=color, marker=marker, markersize=7, label=name)
    is_above = place % 2 == 0  # so that names of two lines near each other stay apart
    for x, y, words in zip(*one, strict=True):
        if words:
            axes.annotate(
                words,
                (x, y),
                xytext=(5, 5) if is_above else (-5, -5),
                textcoords="offset points",
                ha="left" if is_above else "right",
                va="bottom" if is_above else "top",
                fontsize=FONT_SIZES["tick"],
                color=color,
            )


def _set_ticks(axes: Axes, log: str) -> None:
    plain = FuncFormatter(lambda value, _: format_number(value))
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if name in log:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_minor_formatter(NullFormatter())
            axis.set_major_formatter(plain)
