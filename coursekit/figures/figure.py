"""`Figure`: a matplotlib figure that shows itself and looks the same everywhere.

It is built without pyplot and leaves matplotlib's state as it was. Nothing here knows what is drawn on it.
"""

from base64 import b64encode
from collections.abc import Collection
from io import BytesIO
from os import PathLike
from typing import IO, Any, Literal

import matplotlib.figure
import numpy as np
from matplotlib import cbook
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import Bbox
from PIL import Image

from coursekit.errors import SettingsError
from coursekit.figures.figure_data import FIGURE_MIME, describe_figure
from coursekit.figures.style import (
    FONT_SIZES,
    PAGE_WIDTH,
    PIXELS_PER_INCH,
    SCREEN_PIXELS_PER_INCH,
    style,
)
from coursekit.figures.text import text_height, wrap_text

__all__ = ["Figure"]

_MARGIN = 0.1  # inches around the title
_LARGE = 150_000  # bytes
_STEP = 4  # of 255
_ROUNDS = 2  # of matplotlib's layout, whose second round sees the first one's ticks


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure in the course's style that a notebook shows as a cell's value.

    Every method of `matplotlib.figure.Figure` works on it. What the functions of this
    folder draw depends on their arguments alone: not on the user's settings, the
    notebook's backend, how often it was shown, or the day.

    Parameters
    ----------
    width, height : float
        Inches; a notebook page is 9.5 inches wide.
    title : str
        Says what to see; wrapped to the width.
    layout : {"constrained", "none"}, default="constrained"
        Who places the axes: matplotlib, or the caller.
    pixels_per_inch : int, default=160
        More than the 100 of the page keeps text sharp; photographs are stored with 100.

    Raises
    ------
    SettingsError
        If the title is empty or the figure is wider than a page.

    Examples
    --------
    >>> figure = Figure(width=4, height=3, title="A straight line")
    >>> _ = figure.subplots().plot([0, 1], [0, 1])
    >>> figure
    <Figure: 'A straight line', 1 axes>
    """

    def __init__(
        self,
        *,
        width: float = PAGE_WIDTH,
        height: float,
        title: str,
        layout: Literal["constrained", "none"] = "constrained",
        pixels_per_inch: int = PIXELS_PER_INCH,
    ) -> None:
        _check_settings(width, height, title)
        with style():
            self._first_places: dict[Axes, Bbox] = {}
            super().__init__(figsize=(width, height), dpi=pixels_per_inch, layout=layout)
            FigureCanvas(self)
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

    def subplots(self, *args: Any, **kwargs: Any) -> Axes | np.ndarray:  # noqa: D102
        with style():
            return super().subplots(*args, **kwargs)

    def add_axes(self, *args: Any, **kwargs: Any) -> Axes:  # noqa: D102
        with style():
            return super().add_axes(*args, **kwargs)

    def add_subplot(self, *args: Any, **kwargs: Any) -> Axes:  # noqa: D102
        with style():
            return super().add_subplot(*args, **kwargs)

    def draw(self, renderer: RendererBase) -> None:  # noqa: D102
        with style():
            if isinstance(self.get_layout_engine(), ConstrainedLayoutEngine):
                self._lay_out_afresh()
            super().draw(renderer)

    def _lay_out_afresh(self) -> None:
        """Let the layout start where it started at first: it depends on where axes stand."""
        for axes in self.axes:
            if axes.get_in_layout():
                place = self._first_places.setdefault(
                    axes, axes.get_position(original=True)
                )
                axes._set_position(place)
        for _ in range(_ROUNDS - 1):  # drawing is the last one
            self.get_layout_engine().execute(self)

    def savefig(self, fname: str | PathLike | IO, **kwargs: Any) -> None:  # noqa: D102
        with style():
            super().savefig(fname, **kwargs)

    def to_png(self) -> bytes:
        """Return the picture as the bytes of a PNG file.

        Returns
        -------
        bytes
            The same for the same figure: no date and no version of any software is in it.
        """
        stream = BytesIO()
        self.savefig(stream, format="png")
        return stream.getvalue()

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = {"text/plain": repr(self)}, {}
        if (include is None or "image/png" in include) and "image/png" not in (
            exclude or ()
        ):
            data["image/png"] = b64encode(self.to_png()).decode("ascii")
            # Only the width: a narrow page then keeps the picture's proportions.
            width = round(self.get_figwidth() * SCREEN_PIXELS_PER_INCH)
            metadata["image/png"] = {"width": width}
            # For the tests of the notebook. No program knows the type, so none shows it.
            with style():
                data[FIGURE_MIME] = describe_figure(self)
        return data, metadata


class FigureCanvas(FigureCanvasAgg):
    """Draws a `Figure` into a PNG file that is small and always the same.

    The notebook's inline backend asks the canvas of every matplotlib figure for a picture
    and wins over ``_repr_mimebundle_``, so what it gets is decided here. It wins for the
    picture alone: what else is in the bundle stays.
    """

    def print_figure(
        self,
        filename: str | PathLike | IO,
        *args: Any,
        bbox_inches: Any = None,  # noqa: ARG002 - "tight" would make sizes depend on fonts
        **kwargs: Any,
    ) -> None:
        """Write the whole figure: cutting its margins would change its size."""
        with style():
            super().print_figure(filename, *args, **kwargs)

    def print_png(
        self,
        filename_or_obj: str | PathLike | IO,
        *,
        pil_kwargs: dict | None = None,
        **_: Any,  # among them metadata, where matplotlib would write its version
    ) -> None:
        """Write a PNG without an alpha channel; large ones with colors rounded to 64 levels.

        The rounding is at most 2 of 255: nobody sees it, and photographs take 40 % less.
        """
        FigureCanvasAgg.draw(self)
        pixels = np.asarray(self.buffer_rgba())[..., :3]
        encoded = _encode_png(pixels, pil_kwargs or {})
        if len(encoded) > _LARGE:
            rounded = pixels // _STEP * _STEP + _STEP // 2
            rounded = np.where(pixels >= 255 - _STEP, pixels, rounded)  # white stays white
            encoded = _encode_png(rounded, pil_kwargs or {})
        with cbook.open_file_cm(filename_or_obj, "wb") as file:
            file.write(encoded)


def _encode_png(pixels: np.ndarray, pil_kwargs: dict) -> bytes:
    """Encode RGB bytes, with a palette where that loses nothing."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    colors = image.getcolors(256)
    if colors:
        image = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=len(colors))
    stream = BytesIO()
    image.save(stream, format="png", optimize=True, **pil_kwargs)
    return stream.getvalue()


def _check_settings(width: float, height: float, title: str) -> None:
    if not isinstance(title, str) or not title.strip():
        msg = f"A figure has a title that says what to see, got {title!r}."
        raise SettingsError(msg)
    if not (0 < width <= PAGE_WIDTH + 1e-6 and height > 0):
        msg = (
            f"A figure is at most {PAGE_WIDTH} inches wide, the width of a notebook page, got "
            f"{width:g} x {height:g}. Draw fewer panels in a row: n_columns=."
        )
        raise SettingsError(msg)
