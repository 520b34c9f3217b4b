"""Draw what images and texts have to do with each other: how similar, and what was found.

Nothing here knows how similarities came about.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures.arrays import as_array, as_image
from coursekit.figures.figure import Figure
from coursekit.figures.images import draw_picture
from coursekit.figures.style import COLORS, FONT_SIZES, PAGE_WIDTH, style
from coursekit.figures.text import readable_color, text_height, text_width, wrap_text

__all__ = ["show_retrieved", "show_similarity"]

_SIZE = FONT_SIZES["tick"]
_CELL = 0.62  # inches
_TEXT_WIDTH = 1.9  # inches
_MOST = 12  # images or texts
_COLOR_MAP = "viridis"
_FRAME = 3.0  # points
_GAP = 0.12  # inches between images found
_MARGIN = 0.12


def show_similarity(
    similarities: Any,
    images: Any,
    texts: Sequence[str],
    *,
    title: str,
    value_format: str = "{:.2f}",
    label: str = "cosine similarity",
) -> Figure:
    """Return a figure with a row for each image and a column for each text.

    Parameters
    ----------
    similarities : array or Tensor of shape (n_images, n_texts)
        Cosines, logits or probabilities. They are written into the cells.
    images : ImageSet, array or sequence of images
        One a row, at most 12, each of shape (height, width) or (height, width, channels).
    texts : sequence of str
        One a column, at most 12.
    title : str
        Says what to see.
    value_format : str, default="{:.2f}"
        How numbers are written; ``""`` leaves them out.
    label : str, default="cosine similarity"
        What the colors mean.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If there is not one row an image and one column a text.
    SettingsError
        If there are more than 12 of either.

    Examples
    --------
    >>> pictures = np.zeros((2, 8, 8), np.uint8)
    >>> figure = show_similarity([[0.9, 0.1], [0, 1]], pictures, ["a disc", "a star"], title="Own")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0.90', '0.10', '0.00', '1.00']
    """
    values = as_array(similarities, name="similarities", n_axes=2).astype(float)
    items = list(getattr(images, "images", images))
    texts = [str(text) for text in texts]
    if values.shape != (len(items), len(texts)):
        msg = (
            "similarities must have one row for each image and one column for each text, got "
            f"shape {values.shape} for {len(items)} images and {len(texts)} texts."
        )
        raise ShapeError(msg)
    if max(values.shape) > _MOST:
        msg = (
            f"At most {_MOST} images and texts can be read, got {values.shape}: take some, or "
            "show_matrix for the colors alone."
        )
        raise SettingsError(msg)
    pictures = [as_image(item, value_range=None, name="an image") for item in items]
    wrapped = [wrap_text(text, _TEXT_WIDTH, size=_SIZE) for text in texts]
    below = max(text_width(text, size=_SIZE) for text in wrapped)
    width = min(PAGE_WIDTH, _CELL * (len(texts) + 1) + 1.7)
    figure = Figure(width=width, height=_CELL * len(items) + below + 0.7, title=title)
    axes = figure.subplots()
    with style():
        _draw_cells(axes, values, value_format)
        axes.set_xticks(range(len(texts)), wrapped, rotation=90)
        axes.set_yticks([])
        for row, picture in enumerate(pictures):
            inset = axes.inset_axes((-1.45, row - 0.45, 0.9, 0.9), transform=axes.transData)
            draw_picture(inset, picture)
            inset.set(xticks=[], yticks=[])
        scale = ScalarMappable(Normalize(values.min(), values.max()), _COLOR_MAP)
        bar = figure.colorbar(scale, ax=axes, shrink=0.8)
        bar.set_label(label)
        bar.outline.set_visible(False)
    return figure


def show_retrieved(
    texts: Sequence[str],
    bank: Any,
    indices: Any,
    *,
    title: str,
    is_right: Any = None,
) -> Figure:
    """Return a figure with each text and the images found for it, most similar first.

    Parameters
    ----------
    texts : sequence of str
        What was looked for, in words.
    bank : ImageSet, array or sequence of images
        Where it was looked for.
    indices : array or Tensor of shape (n_texts, k)
        Places in `bank`, with ``k`` at most 8.
    title : str
        Says what to see.
    is_right : array of shape (n_texts, k), bool, optional
        Whether each is what was asked for: a green frame, else a vermilion one.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If there is no text, or not one row of indices (and of `is_right`) for each.
    SettingsError
        If an index points outside `bank`, or ``k`` is above 8.

    Examples
    --------
    >>> pictures = np.zeros((2, 8, 8), np.uint8)
    >>> figure = show_retrieved(["a star"], pictures, [[1, 0]], title="Found")
    >>> len(figure.axes), figure.texts[-1].get_text()
    (2, 'a star')
    """
    items = getattr(bank, "images", bank)
    table = as_array(indices, name="indices", n_axes=2)
    right = None if is_right is None else np.asarray(is_right)
    if not len(texts) or len(table) != len(texts):
        msg = (
            f"indices must have one row for each of {len(texts)} texts, got {table.shape}."
        )
        raise ShapeError(msg)
    if right is not None and right.shape != table.shape:
        msg = f"is_right must have shape {table.shape}, as indices, got {right.shape}."
        raise ShapeError(msg)
    if table.min() < 0 or table.max() >= len(items) or table.shape[1] > 8:
        msg = (
            f"indices must lie in 0 .. {len(items) - 1}, the places in the bank, at most 8 a "
            f"text, got {table.min():g} .. {table.max():g}, {table.shape[1]} a text."
        )
        raise SettingsError(msg)
    side = min(0.9, (PAGE_WIDTH - _TEXT_WIDTH) / table.shape[1] - _GAP)
    width = _TEXT_WIDTH + (side + _GAP) * table.shape[1] + 2 * _MARGIN
    heading = Figure(width=width, height=1, title=title, layout="none").title_height
    height = heading + (side + _GAP) * len(texts) + _MARGIN
    figure = Figure(width=width, height=height, title=title, layout="none")
    for row, text in enumerate(texts):
        bottom = height - heading - (row + 1) * (side + _GAP) + _GAP
        for column, index in enumerate(table[row].astype(int)):
            left = _MARGIN + _TEXT_WIDTH + column * (side + _GAP)
            axes = figure.add_axes(
                (left / width, bottom / height, side / width, side / height)
            )
            _draw_found(axes, items[index], None if right is None else right[row, column])
        _write(figure, str(text), (_MARGIN / width, (bottom + side / 2) / height), side)
    return figure


def _draw_cells(axes: Axes, values: np.ndarray, value_format: str) -> None:
    drawn = axes.imshow(values, cmap=_COLOR_MAP, interpolation="nearest")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if not value_format:
        return
    for (row, column), value in np.ndenumerate(values):
        color = readable_color(drawn.cmap(drawn.norm(value))[:3])
        text = value_format.format(value).replace("-", "\N{MINUS SIGN}")
        axes.text(column, row, text, ha="center", va="center", color=color, size=_SIZE)


def _draw_found(axes: Axes, image: Any, is_right: Any) -> None:
    with style():
        draw_picture(axes, as_image(image, value_range=None, name="an image"))
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        if is_right is not None:
            color = COLORS["green" if is_right else "vermilion"]
            axes.spines[:].set(visible=True, linewidth=_FRAME, color=color)


def _write(figure: Figure, text: str, place: tuple[float, float], side: float) -> None:
    """Write a text beside its row, in as many lines as fit there."""
    lines = wrap_text(text, _TEXT_WIDTH - 0.15, size=_SIZE).split("\n")
    room = max(1, int((side + _GAP) / text_height(_SIZE)))
    if len(lines) > room:
        lines = [*lines[: room - 1], lines[room - 1] + " …"]
    with style():
        figure.text(*place, "\n".join(lines), va="center", ha="left", fontsize=_SIZE)
