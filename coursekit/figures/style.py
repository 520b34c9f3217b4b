"""The one style of the course's figures: sizes, fonts and colors.

Nothing here knows what is drawn. Sizes are inches at 100 screen pixels an inch, so a font
of 9 points is about as large as a notebook's own text.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib.style

__all__ = [
    "COLORS",
    "FONT_SIZES",
    "PAGE_WIDTH",
    "PIXELS_PER_INCH",
    "SCREEN_PIXELS_PER_INCH",
    "color_cycle",
    "style",
]

PAGE_WIDTH = 9.5
"""Inches that a notebook page offers; no figure is wider."""

PIXELS_PER_INCH = 160
"""Pixels stored for each inch: more than a screen shows, so that text stays sharp."""

SCREEN_PIXELS_PER_INCH = 100
"""Pixels that an inch takes on the page."""

FONT_SIZES = {"title": 12.0, "label": 10.0, "caption": 9.5, "tick": 9.0}
"""Points. Nothing is written smaller than the ticks."""

COLORS = {
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "black": "#222222",
}
"""Okabe and Ito's colors, told apart by color-blind readers; yellow is left out, because it
cannot be read on white (https://jfly.uni-koeln.de/color/)."""

_GRAY = "#555555"
_RC = {
    "figure.dpi": PIXELS_PER_INCH,
    "savefig.dpi": "figure",
    "figure.facecolor": "white",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so it is on every machine
    "font.size": FONT_SIZES["label"],
    "text.parse_math": False,  # a class name may hold a dollar sign
    "figure.titlesize": FONT_SIZES["title"],
    "figure.titleweight": "bold",
    "axes.titlesize": FONT_SIZES["caption"],
    "axes.labelsize": FONT_SIZES["label"],
    "xtick.labelsize": FONT_SIZES["tick"],
    "ytick.labelsize": FONT_SIZES["tick"],
    "legend.fontsize": FONT_SIZES["tick"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GRAY,
    "xtick.color": _GRAY,
    "ytick.color": _GRAY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.0,
    "lines.markersize": 5.0,
    "image.cmap": "viridis",
    "image.aspect": "equal",
    "legend.frameon": False,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
}


@contextmanager
def style() -> Iterator[None]:
    """Run a block under the course's style, whatever the user's own settings are.

    Examples
    --------
    >>> before = matplotlib.rcParams["font.size"]
    >>> with style():
    ...     inside = matplotlib.rcParams["lines.linewidth"]
    >>> inside, matplotlib.rcParams["font.size"] == before
    (2.0, True)
    """
    with matplotlib.style.context(["default", _RC]):
        yield


def color_cycle(n_colors: int) -> list[str]:
    """Return `n_colors` colors, in the order in which curves and bars take them.

    Parameters
    ----------
    n_colors : int

    Returns
    -------
    list of str
        Beyond the seven of `COLORS` they start again.

    Examples
    --------
    >>> color_cycle(2)
    ['#0072B2', '#D55E00']
    """
    colors = list(COLORS.values())
    return [colors[index % len(colors)] for index in range(n_colors)]
