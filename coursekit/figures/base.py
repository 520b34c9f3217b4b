"""What every figure is made of: the style, text that fits, and `Figure`.

Sizes are inches at 100 screen pixels an inch, so a font of 9 points is about as large as a
notebook's own text. Figures are built without pyplot and leave matplotlib's state as it was.
"""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from os import PathLike
from typing import IO, Any

import matplotlib.figure
import matplotlib.style
import numpy as np
from matplotlib import cbook
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Bbox
from PIL import Image

from coursekit.errors import ShapeError
from coursekit.figures.record import FIGURE_MIME, describe_figure

PAGE_WIDTH = 9.5  # inches that a notebook page offers
PIXELS_PER_INCH = 160  # stored: more than a screen shows, so that text stays sharp
SCREEN_PIXELS_PER_INCH = 100  # of the page; photographs are stored with these
FONT_SIZES = {"title": 12.0, "label": 10.0, "caption": 9.5, "tick": 9.0}  # points

PALETTE = {
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
_RC = {  # over matplotlib's defaults, whose font, DejaVu Sans, is on every machine
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
    "legend.frameon": False,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
}
_MARGIN = 0.1  # around the title
_WORST = 5.0  # of 255: the mean error up to which 256 colors cannot be told from all


@contextmanager
def style() -> Iterator[None]:
    """Run a block or a function under the course's style, whatever the user's settings are.

    Examples
    --------
    >>> with style():
    ...     matplotlib.rcParams["lines.linewidth"]
    2.0
    """
    with matplotlib.style.context(["default", _RC]):
        yield


# --- text ---------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def text_width(text: str, *, size: float, weight: str = "normal") -> float:
    """Return the inches of the longest line of `text`, in DejaVu Sans of `size` points."""
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    measure = text_to_path.get_text_width_height_descent
    return max(measure(line, font, ismath=False)[0] for line in text.split("\n")) / 72


def text_height(size: float) -> float:
    """Return the inches from one line of text to the next, for a font of `size` points."""
    return 1.2 * size / 72


def wrap_text(text: str, width: float, *, size: float, weight: str = "normal") -> str:
    r"""Return `text` in lines of at most `width` inches, where no single word is wider.

    Examples
    --------
    >>> wrap_text("a small red star", 0.8, size=9).split("\n")
    ['a small red', 'star']
    """

    def fits(line: str) -> bool:
        return text_width(line, size=size, weight=weight) <= width

    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            if line and not fits(f"{line} {word}"):
                lines.append(line)
                line = ""
            line = f"{line} {word}" if line else word
        lines.append(line)
    return "\n".join(lines)


def readable_color(background: tuple[float, ...] | str) -> str:
    """Return the color of text that stands out from `background`."""
    red, green, blue = to_rgb(background)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def format_number(value: float) -> str:
    """Return `value` in at most three significant digits, numbers over 1,000 in full.

    Examples
    --------
    >>> [format_number(value) for value in (1200.0, 0.12345, 2.0)]
    ['1,200', '0.123', '2']
    """
    is_whole = float(value).is_integer() or abs(value) >= 1e3
    text = f"{round(value):,}" if is_whole and abs(value) < 1e12 else f"{value:.3g}"
    return text.replace("-", "\N{MINUS SIGN}")


# --- arrays -------------------------------------------------------------------------------


def as_array(values: Any, *, name: str, n_axes: int | None = None) -> np.ndarray:
    """Return tensors, lists or arrays as an array of finite numbers with `n_axes` axes.

    Examples
    --------
    >>> as_array([[1, 2]], name="matrix", n_axes=2)
    array([[1, 2]])
    """
    array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    n_bad = array.size - np.count_nonzero(np.isfinite(array))
    if n_bad or array.size == 0 or n_axes not in (None, array.ndim):
        axes = f" in {n_axes} axes" if n_axes else ""
        msg = (
            f"{name} must hold finite numbers{axes}, got an array of shape {array.shape} "
            f"with {n_bad} NaN or infinite."
        )
        raise ShapeError(msg)
    return array


# --- the figure ---------------------------------------------------------------------------


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure in the course's style that a notebook shows as a cell's value.

    Parameters
    ----------
    width, height : float
        Inches; a notebook page is 9.5 inches wide.
    layout : {"constrained", "none"}, default="constrained"
        Who places the axes: matplotlib, or the caller.
    pixels_per_inch : int, default=160
        Photographs are stored with 100.

    Examples
    --------
    >>> figure = Figure(width=4, height=3, title="A straight line")
    >>> _ = figure.subplots().plot([0, 1], [0, 1])
    >>> figure
    <Figure: 'A straight line', 1 axes>
    """

    @style()
    def __init__(
        self,
        *,
        width: float = PAGE_WIDTH,
        height: float,
        title: str,
        layout: str = "constrained",
        pixels_per_inch: int = PIXELS_PER_INCH,
    ) -> None:
        self._first_places: dict[Axes, Bbox] = {}
        super().__init__(figsize=(width, height), dpi=pixels_per_inch, layout=layout)
        _Canvas(self)
        self.title = title
        lines = wrap_text(
            title, width - 2 * _MARGIN, size=FONT_SIZES["title"], weight="bold"
        )
        self.suptitle(lines, x=_MARGIN / width, ha="left", linespacing=1.15)
        if layout == "none":
            self._suptitle.set(y=1 - _MARGIN / height, va="top")

    def __repr__(self) -> str:
        return f"<Figure: {self.title!r}, {len(self.axes)} axes>"

    @property
    def title_height(self) -> float:
        """Inches that the title takes at the top, with its margins."""
        n_lines = self._suptitle.get_text().count("\n") + 1
        return n_lines * 1.15 * text_height(FONT_SIZES["title"]) + 1.6 * _MARGIN

    @style()
    def subplots(self, *args: Any, **kwargs: Any) -> Axes | np.ndarray:  # noqa: D102
        return super().subplots(*args, **kwargs)

    @style()
    def add_axes(self, *args: Any, **kwargs: Any) -> Axes:  # noqa: D102
        return super().add_axes(*args, **kwargs)

    @style()
    def draw(self, renderer: RendererBase) -> None:
        """Draw, with a layout that starts where it started at first: it depends on that."""
        engine = self.get_layout_engine()
        if isinstance(engine, ConstrainedLayoutEngine):
            for axes in self.axes:
                place = axes.get_position(original=True)
                axes._set_position(self._first_places.setdefault(axes, place))
            engine.execute(self)  # drawing is a second round, which sees the first's ticks
        super().draw(renderer)

    def to_png(self) -> bytes:
        """Return the bytes of a PNG file, the same for the same figure on every day."""
        stream = BytesIO()
        self.canvas.print_figure(stream, format="png")
        return stream.getvalue()

    @style()
    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        png = b64encode(self.to_png()).decode("ascii")
        # The record is for the tests of the notebook. No program knows its type and shows it.
        data = {"text/plain": repr(self), "image/png": png}
        data[FIGURE_MIME] = describe_figure(self)
        # Only the width: a narrow page then keeps the picture's proportions.
        width = round(self.get_figwidth() * SCREEN_PIXELS_PER_INCH)
        return data, {"image/png": {"width": width}}


class _Canvas(FigureCanvasAgg):
    """Draws a `Figure` into a PNG file that is small and always the same.

    The notebook's inline backend asks the canvas of every matplotlib figure for a picture
    and wins over ``_repr_mimebundle_``, so what it gets is decided here. It wins for the
    picture alone: what else is in the bundle stays.
    """

    @style()
    def print_figure(self, filename: str | PathLike | IO, **kwargs: Any) -> None:
        kwargs.pop("bbox_inches", None)  # "tight" would make sizes depend on fonts
        super().print_figure(filename, **kwargs)

    def print_png(self, filename_or_obj: str | PathLike | IO, **_: Any) -> None:
        """Write a PNG of 256 colors, a half of the size, where nobody sees a difference."""
        FigureCanvasAgg.draw(self)  # metadata, with matplotlib's version, is left out
        pixels = np.ascontiguousarray(np.asarray(self.buffer_rgba())[..., :3])
        image = Image.fromarray(pixels)
        if colors := image.getcolors(256):  # then nothing is lost
            image = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=len(colors))
        else:
            small = image.quantize(256, kmeans=2, dither=Image.Dither.NONE)
            errors = np.subtract(small.convert("RGB"), image, dtype=np.float32)
            image = small if np.square(errors).mean() <= _WORST**2 else image
        with cbook.open_file_cm(filename_or_obj, "wb") as file:
            image.save(file, format="png", optimize=True)
