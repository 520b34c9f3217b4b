"""Draw how several ways of doing something fare, run by run, with mean and spread.

Nothing here knows what the ways are.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from coursekit.errors import ShapeError
from coursekit.figures.arrays import as_array
from coursekit.figures.figure import Figure
from coursekit.figures.style import FONT_SIZES, PAGE_WIDTH, color_cycle, style
from coursekit.figures.text import wrap_text

__all__ = ["plot_strategies"]

_GRAY = "#9A9A9A"
_HALF = 0.16  # half the width of a mean's bar, in places
_SPREAD = 0.24  # where the error bar stands, right of the points


class Comparison(Protocol):
    """What `plot_strategies` needs to know of a comparison."""

    @property
    def accuracies(self) -> Mapping[str, Sequence[float]]:
        """For each strategy one number a run, the runs in the same order."""


def plot_strategies(
    comparison: Comparison | Mapping[str, Any],
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
    comparison : StrategyComparison, or mapping of str to sequence of float
        For each strategy the accuracy of each run, from 0 to 1, with the seeds in the same
        order.
    title : str
        Says what to see.
    y_label : str
        What the accuracy is of.
    y_limits : (float, float), optional
        Ends of the vertical axis.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If there is no run, or the strategies differ in their number of runs.

    Examples
    --------
    >>> figure = plot_strategies({"a": [0.5, 0.6], "b": [0.7, 0.7]}, title="b is better")
    >>> [float(text.get_text().rstrip("%")) for text in figure.axes[0].texts]
    [55.0, 70.0]
    """
    values = getattr(comparison, "accuracies", comparison)
    counts = {str(name): len(runs) for name, runs in values.items()}
    if len(set(counts.values())) != 1 or not min(counts.values()):
        msg = (
            f"Every strategy must have the same number of runs, at least one, got {counts}."
        )
        raise ShapeError(msg)
    names = list(counts)
    table = as_array([list(runs) for runs in values.values()], name="accuracies", n_axes=2)
    width = min(PAGE_WIDTH, max(5.0, 1.4 + 1.35 * len(names)))
    figure = Figure(width=width, height=4.0, title=title)
    axes = figure.subplots()
    with style():
        _draw_runs(axes, table)
        _draw_means(axes, table)
        room = (width - 1.0) / len(names) - 0.1
        labels = [wrap_text(name, room, size=FONT_SIZES["tick"]) for name in names]
        axes.set_xticks(range(len(names)), labels)
        axes.set_xlim(-0.5, len(names) - 0.3)
        axes.tick_params(axis="x", length=0)
        axes.grid(visible=False, axis="x")
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol="%"))
        axes.set_ylabel(y_label)
        if y_limits is not None:
            axes.set_ylim(y_limits)
    return figure


def _draw_runs(axes: Axes, table: np.ndarray) -> None:
    places = np.arange(len(table))
    for runs in table.T:
        axes.plot(places, runs, color=_GRAY, linewidth=0.8, alpha=0.7, zorder=1)
    for place, (runs, color) in enumerate(zip(table, color_cycle(len(table)), strict=True)):
        axes.plot(
            np.full(len(runs), place), runs, "o", color=color, markersize=6, alpha=0.75
        )


def _draw_means(axes: Axes, table: np.ndarray) -> None:
    means = table.mean(axis=1)
    axes.hlines(
        means,
        np.arange(len(table)) - _HALF,
        np.arange(len(table)) + _HALF,
        color="#222222",
        linewidth=2.5,
        zorder=3,
    )
    if table.shape[1] > 1:
        axes.errorbar(
            np.arange(len(table)) + _SPREAD,
            means,
            yerr=table.std(axis=1, ddof=1),
            fmt="none",
            ecolor="#222222",
            elinewidth=1.2,
            capsize=3,
        )
    for place, mean in enumerate(means):
        axes.annotate(
            f"{mean:.1%}",
            (place + _SPREAD, mean),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            size=FONT_SIZES["tick"],
        )
