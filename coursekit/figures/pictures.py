"""Panels of pictures, and of numbers as colors: matrices, weights, feature maps.

Sizes are inches.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures.base import (
    FONT_SIZES,
    PAGE_WIDTH,
    PIXELS_PER_INCH,
    SCREEN_PIXELS_PER_INCH,
    Figure,
    as_array,
    format_number,
    readable_color,
    style,
    text_height,
    text_width,
    wrap_text,
)

_MARGIN, GAP = 0.12, 0.14  # around and between panels
_CAPTION = FONT_SIZES["caption"]
_EMPTY = 0.02  # inches of a place where nothing is drawn
_PAD = 0.05  # under captions
_LEAST_WIDTH = 4.0  # so that a title of some words fits on two lines
_BAR_ROOM, _BAR_WIDTH = 0.95, 0.15  # a color bar with its numbers
_SMALL = 96  # pixels: smaller images are drawn small, and stored with more pixels an inch
_SIZE = FONT_SIZES["tick"]
_CELL = 0.36  # inches of a cell with a short number in it
_LARGEST_CELL = 0.5  # inches of a cell without
DIVERGING = "RdBu_r"
_LEAST_SIDE = 48  # pixels: coarser feature maps are enlarged, so that gaps can be drawn


# --- images as arrays ---------------------------------------------------------------------


def as_image(image: Any, value_range: Any = None) -> np.ndarray:
    """Return one image ready to be drawn: brightness from 0 to 1, color last.

    Where its channels may be first or last, a tensor has them first and an array last.
    `value_range` says which values are black and white, ``"each"`` takes the image's own
    smallest and largest.
    """
    pixels = as_array(image, name="An image")
    shape = pixels.shape
    if pixels.ndim == 3:
        if shape[0] in (1, 3) and (hasattr(image, "detach") or shape[2] not in (1, 3, 4)):
            pixels = np.moveaxis(pixels, 0, 2)
        pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    if pixels.ndim != 2 and (pixels.ndim != 3 or pixels.shape[2] not in (3, 4)):
        msg = (
            "An image has shape (height, width), (height, width, channels) or (channels, "
            f"height, width) with 1 or 3 channels, got {shape}. Draw single channels one by "
            "one, or a feature map with show_matrix."
        )
        raise ShapeError(msg)
    low, high = float(pixels.min()), float(pixels.max())
    black, white = (0, 255) if pixels.dtype == np.uint8 else (0, 1)
    if value_range is not None:
        ends = (low, high if low < high else low + 1)
        black, white = ends if value_range == "each" else value_range
    elif low < -1e-3 or high > white + 1e-3:
        msg = (
            "An image holds bytes from 0 to 255, or numbers from 0 to 1, got "
            f"{pixels.dtype} from {low:.3g} to {high:.3g}. Say which values are black and "
            "white, as in value_range=(0, 255), or draw it with show_matrix."
        )
        raise SettingsError(msg)
    return ((pixels.astype(float) - black) / (white - black)).clip(0, 1)


def as_images(images: Any) -> list[Any]:
    """Return a list of images from an ImageSet, a list, a stack, or a single image.

    Three axes are one image in color if the channels are where `as_image` looks for them, and
    a stack of gray images otherwise.
    """
    images = getattr(images, "images", images)
    n_axes = getattr(images, "ndim", None)
    is_single = n_axes == 2 or not hasattr(images, "__iter__")  # the latter is PIL's
    if n_axes == 3:
        is_single = images.shape[0 if hasattr(images, "detach") else -1] in (1, 3)
    items = [images] if is_single else list(images)
    if not items:
        msg = "A figure needs at least one image, got none."
        raise ShapeError(msg)
    return items


# --- panels -------------------------------------------------------------------------------


def panel_room(n_columns: int, *, color_bar: bool = False) -> float:
    """Return the inches that `n_columns` panels can take together on a page."""
    return PAGE_WIDTH - 2 * _MARGIN - _BAR_ROOM * color_bar - GAP * (n_columns - 1)


@style()
def make_panels(
    sizes: Sequence[tuple[float, float]],
    captions: Sequence[str] | None,
    *,
    title: str,
    n_columns: int,
    color_bar: bool = False,
    footer: str = "",
    pixels_per_inch: int = PIXELS_PER_INCH,
) -> Figure:
    """Return a figure with a panel without ticks for each (width, height) of `sizes`.

    Panels of a column share its width, to which captions are wrapped; panels of a row share
    their upper edge. `color_bar` keeps room at the right; `footer` is a text below.
    """
    captions = [""] * len(sizes) if captions is None else captions
    places = range(len(sizes))
    rows = [places[i : i + n_columns] for i in places[::n_columns]]
    widths = []  # of columns: of the widest panel, or a little more for a caption's word
    for column in range(len(rows[0])):
        members = places[column::n_columns]
        words = " ".join(captions[i] for i in members).split()
        word = max((text_width(word, size=_CAPTION) for word in words), default=0)
        word = min(word, 1.2, panel_room(len(rows[0]), color_bar=color_bar) / len(rows[0]))
        widths.append(max(word, *(sizes[i][0] for i in members)))
    captions = [
        wrap_text(text, widths[i % n_columns], size=_CAPTION)
        for i, text in zip(places, captions, strict=True)
    ]
    caption_heights = [max(_caption_height(captions[i]) for i in row) for row in rows]
    heights = [max(sizes[i][1] for i in row) for row in rows]
    content = sum(widths) + GAP * (len(widths) - 1) + 2 * _MARGIN
    content += _BAR_ROOM * color_bar
    titled = min(text_width(title, size=FONT_SIZES["title"], weight="bold") + 0.3, 6.0)
    noted = text_width(footer, size=_CAPTION) + 2 * _MARGIN
    width = max(content, titled, noted, _LEAST_WIDTH)
    top = sum(heights) + sum(caption_heights) + GAP * (len(rows) - 1) + _MARGIN
    top += _caption_height(footer) + GAP * bool(footer)
    look = {"width": width, "title": title, "layout": "none"}
    height = top + Figure(height=1, **look).title_height
    figure = Figure(height=height, pixels_per_inch=pixels_per_inch, **look)
    if footer:
        place = (_MARGIN / width, _MARGIN / height)
        figure.text(*place, footer, fontsize=_CAPTION, va="bottom", linespacing=1.15)
    for row, row_height, caption_height in zip(rows, heights, caption_heights, strict=True):
        top -= caption_height
        left = _MARGIN
        for column, i in enumerate(row):
            wide, high = sizes[i]
            box = (left / width, (top - high) / height, wide / width, high / height)
            axes = figure.add_axes(box)
            axes.set(xticks=[], yticks=[])
            axes.grid(visible=False)
            axes.spines[:].set(visible=True, linewidth=0.6, color="#999999")
            if captions[i]:
                axes.set_title(captions[i], loc="left", linespacing=1.15, pad=_PAD * 72)
            left += widths[column] + GAP
        top -= row_height + GAP
    return figure


def _caption_height(caption: str) -> float:
    n_lines = caption.count("\n") + 1
    return n_lines * 1.15 * text_height(_CAPTION) + _PAD if caption else 0.0


@style()
def show_pictures(
    pictures: Sequence[np.ndarray | None],
    captions: Sequence[str] | None,
    *,
    title: str,
    n_columns: int | None = None,
    most: int = 10,
    width: float = 0.0,
    tallest: float = np.inf,
    cell: float = 0.0,
    scale: tuple[float, float] = (0, 1),
    color_map: Any = "gray",
    bar_label: str | None = None,
    annotate: bool = False,
    pixels_per_inch: int = PIXELS_PER_INCH,
) -> Figure:
    """Return a figure of pictures in color, or of numbers as colors, all on one `scale`.

    A picture is `width` inches wide where there is room, and at most `tallest` times as high,
    or each of its pixels is `cell` wide. `n_columns` stand in a row; by default `most` at
    most, and in all rows alike. Nothing is drawn where a picture is None. There is a color
    bar unless its label is None.
    """
    has_bar = bar_label is not None
    n_rows = -(-len(pictures) // most)
    n_columns = min(n_columns or -(-len(pictures) // n_rows), len(pictures))
    n_empty = sum(picture is None for picture in pictures[:n_columns])
    room = panel_room(n_columns, color_bar=has_bar) - 1.5 * _EMPTY * n_empty  # to spare
    width = min(width, room / (n_columns - n_empty))
    sizes = []
    for picture in pictures:
        rows, columns = (1, 1) if picture is None else picture.shape[:2]
        side = cell or min(width / columns, tallest * width / rows)
        side = _EMPTY if picture is None else side
        sizes.append((columns * side, rows * side))
    look = {
        "n_columns": n_columns,
        "color_bar": has_bar,
        "pixels_per_inch": pixels_per_inch,
    }
    figure = make_panels(sizes, captions, title=title, **look)
    for axes, picture in zip(figure.axes, pictures, strict=True):
        if picture is None:
            axes.remove()
        else:
            draw_picture(axes, picture, scale, color_map, annotate)
    if has_bar:  # in the room kept for it at the right of the panels
        boxes = [axes.get_position() for axes in figure.axes]
        width, height = figure.get_size_inches()
        top = max(box.y1 for box in boxes)
        bottom = max(min(box.y0 for box in boxes), top - 3.5 / height)
        left = max(box.x1 for box in boxes) + 0.12 / width
        axes = figure.add_axes((left, bottom, _BAR_WIDTH / width, top - bottom))
        colors = ScalarMappable(Normalize(*scale), color_map)
        figure.colorbar(colors, cax=axes, label=bar_label).outline.set_visible(False)
        axes.grid(visible=False)
    return figure


@style()
def draw_picture(
    axes: Axes,
    picture: np.ndarray,
    scale: tuple[float, float],
    color_map: Any,
    annotate: bool = True,
) -> None:
    """Draw one picture, smoothed if it is a large photograph, with numbers if asked for."""
    room = axes.get_position().width * axes.figure.bbox.width
    is_large = color_map == "gray" and picture.shape[1] > room
    kind = "hanning" if is_large else "nearest"
    look = {"aspect": "auto", "interpolation": kind, "vmin": scale[0], "vmax": scale[1]}
    drawn = axes.imshow(picture, cmap=color_map, **look)
    for (row, column), value in np.ndenumerate(picture) if annotate else ():
        color = readable_color(drawn.cmap(drawn.norm(value))[:3])
        words = {"ha": "center", "va": "center_baseline", "fontsize": _SIZE}
        axes.text(column, row, format_number(value), color=color, **words)


def resolution(pictures: Sequence[np.ndarray | None]) -> int:
    """Return the pixels stored an inch: fewer for large images, whose files are large."""
    sides = [side for picture in pictures if picture is not None for side in picture.shape]
    return PIXELS_PER_INCH if max(sides) <= _SMALL else SCREEN_PIXELS_PER_INCH


# --- images -------------------------------------------------------------------------------


def show_images(
    images: Any,
    captions: Sequence[str] | None = None,
    *,
    title: str,
    n_columns: int | None = None,
    value_range: Any = None,
) -> Figure:
    """Return a figure with a grid of images, each under its caption.

    Parameters
    ----------
    images : ImageSet, array, Tensor or sequence of images
        Each of shape (height, width) or (height, width, channels), tensors of shape
        (channels, height, width); sizes may differ. Bytes, or numbers from 0 to 1. A
        single image is drawn alone.
    value_range : (float, float) or "each", optional
        The values drawn as black and as white, the same for all images; with ``"each"``,
        every image's own smallest and largest.

    Examples
    --------
    >>> show_images(np.zeros((2, 8, 8, 3), np.uint8), ["one", "two"], title="Two images")
    <Figure: 'Two images', 2 axes>
    """
    pictures = [as_image(item, value_range) for item in as_images(images)]
    pixels_per_inch, most, width = resolution(pictures), 10, 1.5
    if pixels_per_inch == SCREEN_PIXELS_PER_INCH:
        most, width = 4, 4.0 if len(pictures) == 1 else 3.0
    look = {"width": width, "tallest": 1.25, "pixels_per_inch": pixels_per_inch}
    look |= {"n_columns": n_columns, "most": most}
    return show_pictures(pictures, captions, title=title, **look)


def show_augmentations(
    image: Any, samples: Mapping[str, Sequence[Any]], *, title: str
) -> Figure:
    """Return a figure with one row a transform: the original, then samples.

    Parameters
    ----------
    image : image
        The original: array, Tensor or PIL image, as `show_images` takes them.
    samples : mapping of str to sequence of images
        For each transform, by name, what it made of the image: as many for each.

    Examples
    --------
    >>> from numpy import zeros
    >>> show_augmentations(zeros((8, 8)), {"noise": [zeros((8, 8))] * 3}, title="Noise")
    <Figure: 'Noise', 4 axes>
    """
    pictures, captions = [], []
    for name, items in samples.items():
        pictures += [as_image(item) for item in (image, *items)]
        captions += ["original", name, *[""] * (len(items) - 1)]
    n_columns = len(pictures) // len(samples)
    look = {"width": 1.6, "tallest": 1, "pixels_per_inch": resolution(pictures)}
    return show_pictures(pictures, captions, title=title, n_columns=n_columns, **look)


# --- numbers as colors --------------------------------------------------------------------


def show_matrix(
    matrices: Any,
    captions: Sequence[str] | None = None,
    *,
    title: str,
    annotate: bool = False,
) -> Figure:
    """Return a figure with one or several matrices as heat maps, all on one scale.

    With negative numbers the scale is symmetric about zero, from blue to red.

    Parameters
    ----------
    matrices : array or Tensor of shape (n_rows, n_columns), or a sequence of such
        For instance kernels, or a small picture and its response. Sizes may differ; a cell is
        then as large in every panel.
    annotate : bool, default=False
        Write each number into its cell, instead of a color bar.

    Examples
    --------
    >>> show_matrix([[1, 0], [0, -1]], title="A kernel", annotate=True)
    <Figure: 'A kernel', 1 axes>
    """
    matrices = [matrices] if np.ndim(matrices[0]) == 1 else matrices
    arrays = [as_array(item, name="a matrix", n_axes=2).astype(float) for item in matrices]
    low, high = min(map(np.min, arrays)), max(map(np.max, arrays))
    color_map = "viridis"
    if low < 0:
        high = max(-low, high)
        low, color_map = -high, DIVERGING
    n_columns = min(len(arrays), 4)
    look = {"n_columns": n_columns, "annotate": annotate, "color_map": color_map}
    look["scale"] = (low, high if low < high else low + 1)
    if annotate:
        numbers = {format_number(value) for array in arrays for value in array.flat}
        cell = max(_CELL, 0.12 + max(text_width(number, size=_SIZE) for number in numbers))
    else:
        widest = [max(array.shape[1] for array in arrays[i::4]) for i in range(n_columns)]
        room = panel_room(n_columns, color_bar=True)
        cell = min(room / sum(widest), 3.2 / max(map(len, arrays)), _LARGEST_CELL)
        look["bar_label"] = ""
    return show_pictures(arrays, captions, title=title, cell=cell, **look)


def show_weights(
    weights: Any,
    captions: Sequence[str] | None = None,
    *,
    title: str,
    n_columns: int | None = None,
) -> Figure:
    """Return a figure with a grid of weights as templates, all on one scale about zero.

    Parameters
    ----------
    weights : array or Tensor of shape (n_filters, height, width) or \
(n_filters, channels, height, width)
        With one channel, zero is white, positive red and negative blue. With three, zero is
        mid-gray and each channel is drawn in its own color.

    Examples
    --------
    >>> show_weights(np.ones((4, 3, 5, 5)), title="Filters").axes[0].get_xticks()
    array([], dtype=float64)
    """
    filters = as_array(weights, name="weights").astype(float)
    if filters.ndim == 3:
        filters = filters[:, None]
    if filters.ndim != 4 or filters.shape[1] not in (1, 3):
        msg = (
            "weights must have shape (n_filters, height, width) or (n_filters, 1 or 3, height, "
            f"width), got {filters.shape}. Draw filters with more channels one channel at a "
            "time: weights[:, 0]."
        )
        raise ShapeError(msg)
    limit = float(np.abs(filters).max()) or 1.0
    look = {"title": title, "n_columns": n_columns, "width": 1.2}
    if filters.shape[1] == 3:
        pictures = (0.5 + np.moveaxis(filters, 1, 3) / (2 * limit)).clip(0, 1)
        return show_pictures(pictures, captions, **look)
    look |= {"scale": (-limit, limit), "color_map": DIVERGING, "bar_label": "weight"}
    return show_pictures(filters[:, 0], captions, **look)


@style()
def show_feature_maps(maps: Mapping[str, Any], *, title: str, n_maps: int = 16) -> Figure:
    """Return a figure with a grid of feature maps for each layer, side by side.

    Each map is drawn from its own smallest to its own largest number, which shows its pattern;
    a map of one value alone is dark.

    Parameters
    ----------
    maps : mapping of str to array or Tensor
        For each layer what it answers to one image, of shape (channels, height, width), or
        (n_images, channels, height, width), where the first is drawn.
    n_maps : int, default=16
        The first so many channels of each layer are drawn.

    Examples
    --------
    >>> figure = show_feature_maps({"conv1": np.ones((6, 8, 8))}, title="Maps", n_maps=4)
    >>> figure.axes[0].get_title(loc="left")
    'conv1: 4 of 6 maps, 8 x 8'
    """
    grids, captions = [], []
    for name, layer in maps.items():
        layer = layer[0] if np.ndim(layer) == 4 else layer
        array = as_array(layer, name=f"layer {name!r}", n_axes=3).astype(float)
        n_channels, height, width = array.shape
        which = f"{n_maps} of {n_channels}" if n_maps < n_channels else f"{n_channels}"
        captions.append(f"{name}: {which} maps, {height} x {width}")
        low, high = (f(array, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
        scaled = (array - low) / np.where(high > low, high - low, 1)
        grids.append(_tile(scaled[:n_maps]))
    colors = mpl.colormaps["viridis"].with_extremes(bad="white")
    look = {"n_columns": 3, "width": 3.6, "color_map": colors}
    figure = show_pictures(grids, captions, title=title, **look)
    for axes in figure.axes:
        axes.spines[:].set_visible(False)
    return figure


def _tile(maps: np.ndarray) -> np.ndarray:
    """Return one picture with all maps, as square as can be, with NaN between them."""
    n_maps, height, width = maps.shape
    times = -(-_LEAST_SIDE // max(height, width))
    maps = maps.repeat(times, axis=1).repeat(times, axis=2)
    gap = max(1, round(0.04 * times * max(height, width)))
    n_columns = int(np.ceil(np.sqrt(n_maps)))
    n_rows = -(-n_maps // n_columns)
    space = ((0, n_rows * n_columns - n_maps), (0, gap), (0, gap))
    cells = np.pad(maps, space, constant_values=np.nan)
    rows = cells.reshape(n_rows, n_columns, *cells.shape[1:]).swapaxes(1, 2)
    return rows.reshape(n_rows * cells.shape[1], -1)[:-gap, :-gap]
