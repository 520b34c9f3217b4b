"""Panels without ticks side by side, and the arrays that are drawn on them.

Sizes are inches.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures.base import (
    FONT_SIZES,
    PAGE_WIDTH,
    PIXELS_PER_INCH,
    Figure,
    style,
    text_height,
    text_width,
    wrap_text,
)

_PANEL_MARGIN, _GAP = 0.12, 0.14
_CAPTION = FONT_SIZES["caption"]
_CAPTION_PAD = 0.05
_LEAST_WIDTH = 4.0  # so that a title of some words fits on two lines
_BAR_ROOM, _BAR_WIDTH, _LEAST_BAR = (
    0.95,
    0.15,
    1.0,
)  # a color bar with its numbers; its height


# --- arrays -------------------------------------------------------------------------------


def as_array(values: Any, *, name: str, n_axes: int | None = None) -> np.ndarray:
    """Return tensors, lists or arrays as an array of finite numbers with `n_axes` axes.

    Examples
    --------
    >>> as_array([[1, 2]], name="matrix", n_axes=2)
    array([[1, 2]])
    """
    array = _to_numpy(values)
    if array.size == 0 or (n_axes is not None and array.ndim != n_axes):
        wanted = "" if n_axes is None else f"{n_axes}-D and "
        msg = f"{name} must be {wanted}not empty, got an array of shape {array.shape}."
        raise ShapeError(msg)
    if array.dtype.kind not in "biuf":
        remedy = " Draw its magnitude: .abs()." if array.dtype.kind == "c" else ""
        msg = f"{name} must hold real numbers, got {array.dtype}.{remedy}"
        raise SettingsError(msg)
    n_bad = array.size - np.count_nonzero(np.isfinite(array))
    if n_bad:
        msg = (
            f"{name} must hold finite numbers, got {n_bad} of {array.size} that are NaN or "
            "infinite. Find where they come from, or leave them out."
        )
        raise SettingsError(msg)
    return array


def _to_numpy(values: Any) -> np.ndarray:
    if hasattr(values, "detach"):  # a tensor; torch itself is not needed here
        values = values.detach().cpu().resolve_conj().resolve_neg()
        return (
            values.double() if values.is_floating_point() else values
        ).numpy()  # bfloat16
    if isinstance(values, (list, tuple)) and any(hasattr(v, "detach") for v in values):
        values = [_to_numpy(value) for value in values]
    return np.asarray(values)


def as_image(image: Any, *, value_range: Any = None, name: str) -> np.ndarray:
    """Return one image ready to be drawn: brightness from 0 to 1, color last.

    Parameters
    ----------
    image : Tensor or array of shape (height, width), (height, width, channels) or \
(channels, height, width)
        With 1, 3 or 4 channels. Where both readings fit, a tensor has its channels first
        and an array last. Bytes run from 0 to 255.
    value_range : (float, float) or "each", optional
        The values drawn as black and as white; needed for numbers outside 0 to 1. With
        ``"each"``, the image's own smallest and largest.
    name : str
        What to call the image in a message.
    """
    array = pixels = as_array(image, name=name)
    if array.ndim == 3:
        fits_first, fits_last = array.shape[0] in {1, 3, 4}, array.shape[2] in {1, 3, 4}
        if fits_first and (hasattr(image, "detach") or not fits_last):
            pixels, fits_last = np.moveaxis(array, 0, 2), True
        pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    if array.ndim not in (2, 3) or (array.ndim == 3 and not fits_last):
        msg = (
            "An image has shape (height, width), (height, width, channels) or (channels, "
            f"height, width) with 1, 3 or 4 channels; {name} has shape {array.shape}. Draw "
            "single channels one by one, or a feature map with show_matrix."
        )
        raise ShapeError(msg)
    low, high = float(pixels.min()), float(pixels.max())
    if value_range == "each":
        value_range = (low, high) if low < high else (low, low + 1)
    if value_range is not None:
        black, white = value_range
        return ((pixels.astype(float) - black) / (white - black)).clip(0, 1)
    if pixels.dtype == np.uint8:
        return pixels / 255
    if low < -1e-3 or high > 1 + 1e-3:
        msg = (
            f"An image holds bytes from 0 to 255, or numbers from 0 to 1; {name} has "
            f"{array.dtype} from {low:.3g} to {high:.3g}. Say which values are black and "
            f"white, as in value_range=(0, 255), or draw it with show_matrix."
        )
        raise SettingsError(msg)
    return pixels.astype(float).clip(0, 1)


def as_images(images: Any, *, name: str) -> list[Any]:
    """Return a list of images from an ImageSet, a list, a stack, or a single image.

    Three axes are one image in color if the channels are where `as_image` looks for them, and
    a stack of gray images otherwise.
    """
    images = getattr(images, "images", images)
    n_axes = getattr(images, "ndim", None)
    is_single = n_axes == 2
    if n_axes is None and not hasattr(images, "__iter__"):  # PIL's images
        is_single = True
    elif n_axes == 3:
        n_channels = images.shape[0 if hasattr(images, "detach") else -1]
        is_byte = str(images.dtype).endswith("uint8")  # with transparency, that is
        is_single = n_channels in ({1, 3, 4} if is_byte else {1, 3})
    items = [images] if is_single else list(images)
    if not items:
        msg = f"{name} must hold at least one item, got none."
        raise ShapeError(msg)
    return items


def check_captions(captions: Sequence[str] | None, n_items: int, *, name: str) -> list[str]:
    """Return one caption an item; empty ones when there are none."""
    if captions is None:
        return [""] * n_items
    captions = [captions] if isinstance(captions, str) else [str(text) for text in captions]
    if len(captions) != n_items:
        msg = (
            f"captions must hold one text for each of the {n_items} {name}, got "
            f"{len(captions)}. Cut both to the same length."
        )
        raise ShapeError(msg)
    return captions


# --- panels -------------------------------------------------------------------------------


class Panels(NamedTuple):
    """A figure and its panels, in the order of the sizes."""

    figure: Figure
    axes: list[Axes]

    def add_color_bar(self, mappable: Any, *, label: str = "") -> None:
        """Draw the color bar that belongs to `mappable` in the room kept for it."""
        boxes = [axes.get_position() for axes in self.axes]
        width, height = self.figure.get_size_inches()
        top = max(box.y1 for box in boxes)
        bottom = max(min(box.y0 for box in boxes), top - 3.5 / height)
        bottom = min(bottom, top - _LEAST_BAR / height)
        left = max(box.x1 for box in boxes) + 0.12 / width
        with style():
            place = (left, bottom, _BAR_WIDTH / width, top - bottom)
            bar_axes = self.figure.add_axes(place)
            bar = self.figure.colorbar(mappable, cax=bar_axes)
            bar.outline.set_visible(False)
            bar.set_label(label)
            bar_axes.grid(visible=False)


def panel_width(n_columns: int, *, color_bar: bool = False) -> float:
    """Return the inches that each of `n_columns` panels can take on a page."""
    room = PAGE_WIDTH - 2 * _PANEL_MARGIN - (_BAR_ROOM if color_bar else 0)
    return (room - _GAP * (n_columns - 1)) / n_columns


def choose_columns(
    captions: Sequence[str], n_columns: int | None = None, *, most: int, max_width: float
) -> int:
    """Return how many panels stand in a row: few enough that captions take three lines."""
    n_panels = len(captions)
    if n_columns is not None:
        return min(n_columns, n_panels)
    n_rows = -(-n_panels // most)
    n_columns = -(-n_panels // n_rows)
    while n_columns > 2:
        width = min(max_width, panel_width(n_columns))
        if max(wrap_text(c, width, size=_CAPTION).count("\n") for c in captions) <= 2:
            break
        n_columns -= 1
    return n_columns


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
    """Return a figure with a panel without ticks for each (width, height) of `sizes`.

    Panels of a column share its width, to which captions are wrapped; panels of a row share
    their upper edge. `color_bar` keeps room at the right; `footer` is a text below.
    """
    rows = [
        range(i, min(i + n_columns, len(sizes))) for i in range(0, len(sizes), n_columns)
    ]
    widths = []  # of columns: of the widest panel, or a little more for a caption's word
    for column in range(len(rows[0])):
        members = [row[column] for row in rows if column < len(row)]
        words = " ".join(captions[i] for i in members).split()
        word = max((text_width(word, size=_CAPTION) for word in words), default=0)
        widths.append(
            max(
                max(sizes[i][0] for i in members), min(word, 1.2, panel_width(len(rows[0])))
            )
        )
    captions = [
        wrap_text(text, widths[i % n_columns], size=_CAPTION)
        for i, text in enumerate(captions)
    ]
    caption_heights = [max(_caption_height(captions[i]) for i in row) for row in rows]
    heights = [max(sizes[i][1] for i in row) for row in rows]
    if color_bar:
        heights[-1] += max(0.0, _LEAST_BAR - sum(heights))
    content = sum(widths) + _GAP * (len(widths) - 1) + 2 * _PANEL_MARGIN
    content += _BAR_ROOM if color_bar else 0.0
    titled = min(text_width(title, size=FONT_SIZES["title"], weight="bold") + 0.3, 6.0)
    noted = text_width(footer, size=_CAPTION) + 2 * _PANEL_MARGIN
    width = max(content, titled, noted, _LEAST_WIDTH)
    body = sum(heights) + sum(caption_heights) + _GAP * (len(rows) - 1) + _PANEL_MARGIN
    body += _caption_height(footer) and _caption_height(footer) + _GAP
    title_height = Figure(width=width, height=1, title=title, layout="none").title_height
    height = body + title_height
    figure = Figure(
        width=width,
        height=height,
        title=title,
        layout="none",
        pixels_per_inch=pixels_per_inch,
    )
    if footer:
        place = (_PANEL_MARGIN / width, _PANEL_MARGIN / height)
        figure.text(*place, footer, fontsize=_CAPTION, va="bottom", linespacing=1.15)
    panels, top = [], body
    for row, row_height, caption_height in zip(rows, heights, caption_heights, strict=True):
        top -= caption_height
        left = _PANEL_MARGIN
        for column, i in enumerate(row):
            wide, high = sizes[i]
            box = (left / width, (top - high) / height, wide / width, high / height)
            panels.append(_add_panel(figure, box, captions[i]))
            left += widths[column] + _GAP
        top -= row_height + _GAP
    return Panels(figure, panels)


def _add_panel(figure: Figure, box: tuple[float, ...], caption: str) -> Axes:
    with style():
        axes = figure.add_axes(box)
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        axes.spines[:].set(visible=True, linewidth=0.6, color="#999999")
        if caption:
            text = {"fontsize": _CAPTION, "linespacing": 1.15, "pad": _CAPTION_PAD * 72}
            axes.set_title(caption, loc="left", **text)
    return axes


def _caption_height(caption: str) -> float:
    if not caption:
        return 0.0
    return (caption.count("\n") + 1) * 1.15 * text_height(_CAPTION) + _CAPTION_PAD
