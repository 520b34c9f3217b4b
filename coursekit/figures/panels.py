"""Place panels without ticks side by side, each with its caption, at exact sizes.

Nothing here knows what the panels show. Sizes are inches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from coursekit.errors import SettingsError
from coursekit.figures.figure import Figure
from coursekit.figures.style import FONT_SIZES, PAGE_WIDTH, PIXELS_PER_INCH, style
from coursekit.figures.text import text_height, text_width, wrap_text

__all__ = ["Panels", "choose_columns", "make_panels", "panel_width"]

_MARGIN = 0.12
_GAP = 0.14
_CAPTION_PAD = 0.05
_LEAST_WIDTH = 4.0  # so that a title of some words fits on two lines
_BAR_ROOM = 0.95  # a color bar, its numbers and its label
_BAR_WIDTH = 0.15
_LEAST_BAR = 1.0  # inches of height
_SIZE = FONT_SIZES["caption"]


@dataclass(frozen=True)
class Panels:
    """A figure and its panels."""

    figure: Figure
    axes: list[Axes]
    """One panel each, in the order of the sizes."""

    def add_color_bar(self, mappable: Any, *, label: str = "") -> None:
        """Draw the color bar that belongs to `mappable` in the room kept for it."""
        boxes = [axes.get_position() for axes in self.axes]
        width, height = self.figure.get_size_inches()
        top = max(box.y1 for box in boxes)
        bottom = max(min(box.y0 for box in boxes), top - 3.5 / height)
        bottom = min(bottom, top - _LEAST_BAR / height)
        left = max(box.x1 for box in boxes) + 0.12 / width
        with style():
            bar_axes = self.figure.add_axes(
                (left, bottom, _BAR_WIDTH / width, top - bottom)
            )
            bar = self.figure.colorbar(mappable, cax=bar_axes)
            bar.outline.set_visible(False)
            bar.set_label(label)
            bar_axes.grid(visible=False)


def choose_columns(
    captions: Sequence[str], *, n_columns: int | None, most: int, max_width: float
) -> int:
    """Return how many panels stand in a row: few enough that captions take three lines.

    Raises
    ------
    SettingsError
        If `n_columns` is below 1.
    """
    n_panels = len(captions)
    if n_columns is not None:
        if n_columns < 1:
            msg = f"n_columns must be at least 1, got {n_columns}."
            raise SettingsError(msg)
        return min(n_columns, n_panels)
    n_rows = -(-n_panels // most)
    n_columns = -(-n_panels // n_rows)
    while n_columns > 2:
        width = min(max_width, panel_width(n_columns))
        if max(wrap_text(c, width, size=_SIZE).count("\n") for c in captions) <= 2:
            break
        n_columns -= 1
    return n_columns


def panel_width(n_columns: int, *, color_bar: bool = False) -> float:
    """Return the inches that each of `n_columns` panels can take on a page."""
    room = PAGE_WIDTH - 2 * _MARGIN - (_BAR_ROOM if color_bar else 0)
    return (room - _GAP * (n_columns - 1)) / n_columns


def make_panels(
    sizes: Sequence[tuple[float, float]],
    captions: Sequence[str],
    *,
    title: str,
    n_columns: int,
    color_bar: bool = False,
    footer: str = "",
    pixels_per_inch: int = PIXELS_PER_INCH,
) -> Panels:
    """Return a figure with one panel for each of `sizes`, row by row.

    Parameters
    ----------
    sizes : sequence of (width, height)
        Inches. Panels of a column share its width, panels of a row their upper edge.
    captions : sequence of str
        One a panel, wrapped to the column's width.
    title : str
    n_columns : int
    color_bar : bool, default=False
        Keep room at the right for `Panels.add_color_bar`.
    footer : str
        Text under the panels, its lines broken by the caller.
    pixels_per_inch : int, default=160
        Pixels stored; see `Figure`.

    Returns
    -------
    Panels

    Raises
    ------
    SettingsError
        If the panels are wider than a page.
    """
    rows = [
        range(i, min(i + n_columns, len(sizes))) for i in range(0, len(sizes), n_columns)
    ]
    widths = _column_widths(sizes, captions, rows)
    captions = [
        wrap_text(text, widths[i % n_columns], size=_SIZE)
        for i, text in enumerate(captions)
    ]
    caption_heights = [max(_caption_height(captions[i]) for i in row) for row in rows]
    heights = [max(sizes[i][1] for i in row) for row in rows]
    if color_bar:
        heights[-1] += max(0.0, _LEAST_BAR - sum(heights))
    bar = _BAR_ROOM if color_bar else 0.0
    content = sum(widths) + _GAP * (len(widths) - 1) + 2 * _MARGIN + bar
    titled = min(text_width(title, size=FONT_SIZES["title"], weight="bold") + 0.3, 6.0)
    noted = text_width(footer, size=_SIZE) + 2 * _MARGIN
    width = max(content, titled, noted, _LEAST_WIDTH)
    body = sum(heights) + sum(caption_heights) + _GAP * (len(rows) - 1) + _MARGIN
    footer_height = _caption_height(footer) and _caption_height(footer) + _GAP
    body += footer_height
    title_height = Figure(width=width, height=1, title=title, layout="none").title_height
    figure = Figure(
        width=width,
        height=body + title_height,
        title=title,
        layout="none",
        pixels_per_inch=pixels_per_inch,
    )
    if footer:
        place = (_MARGIN / width, _MARGIN / figure.get_figheight())
        figure.text(*place, footer, fontsize=_SIZE, va="bottom", linespacing=1.15)
    axes = []
    top = body
    for row, height, caption_height in zip(rows, heights, caption_heights, strict=True):
        top -= caption_height
        left = _MARGIN
        for column, i in enumerate(row):
            axes.append(_add_panel(figure, left, top, sizes[i], captions[i]))
            left += widths[column] + _GAP
        top -= height + _GAP
    return Panels(figure, axes)


def _add_panel(
    figure: Figure, left: float, top: float, size: tuple[float, float], caption: str
) -> Axes:
    width, height = figure.get_size_inches()
    box = (left / width, (top - size[1]) / height, size[0] / width, size[1] / height)
    with style():
        axes = figure.add_axes(box)
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        axes.spines[:].set(visible=True, linewidth=0.6, color="#999999")
        if caption:
            pad = _CAPTION_PAD * 72
            axes.set_title(caption, loc="left", pad=pad, fontsize=_SIZE, linespacing=1.15)
    return axes


def _column_widths(
    sizes: Sequence[tuple[float, float]], captions: Sequence[str], rows: Sequence[range]
) -> list[float]:
    """Columns are as wide as their widest panel, or a little wider for a caption's word."""
    widths = []
    room = panel_width(len(rows[0]))
    for column in range(len(rows[0])):
        members = [row[column] for row in rows if column < len(row)]
        words = " ".join(captions[i] for i in members).split()
        widest_word = max((text_width(word, size=_SIZE) for word in words), default=0)
        panel = max(sizes[i][0] for i in members)
        widths.append(max(panel, min(widest_word, 1.2, room)))
    return widths


def _caption_height(caption: str) -> float:
    if not caption:
        return 0.0
    return (caption.count("\n") + 1) * 1.15 * text_height(_SIZE) + _CAPTION_PAD
