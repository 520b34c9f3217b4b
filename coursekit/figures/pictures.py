"""Panels of pictures, and of numbers as colors: images, matrices, weights, feature maps.

Sizes are inches.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures.base import (
    COLORS,
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

_MARGIN, _GAP = 0.12, 0.14  # around and between panels
_CAPTION = FONT_SIZES["caption"]
_CAPTION_PAD = 0.05
_LEAST_WIDTH = 4.0  # so that a title of some words fits on two lines
_BAR_ROOM, _BAR_WIDTH, _LEAST_BAR = (
    0.95,
    0.15,
    1.0,
)  # a color bar with its numbers; its height
_SMALL = 96  # pixels: smaller images are drawn small, and stored with more pixels an inch
_SIZE = FONT_SIZES["tick"]
_CELL = 0.36  # inches of a cell with a short number in it
_LARGEST_CELL = 0.5  # inches of a cell without
_DIVERGING = "RdBu_r"
_LEAST_SIDE = 48  # pixels: coarser feature maps are enlarged, so that gaps can be drawn


# --- images as arrays ---------------------------------------------------------------------


def as_image(image: Any, *, value_range: Any = None, name: str) -> np.ndarray:
    """Return one image ready to be drawn: brightness from 0 to 1, color last.

    It has 1, 3 or 4 channels, first or last. Where both readings fit, a tensor has its
    channels first and an array last. `value_range` says which values are black and white,
    ``"each"`` takes the image's own smallest and largest; `name` is for messages.
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


def as_images(images: Any) -> list[Any]:
    """Return a list of images from an ImageSet, a list, a stack, or a single image.

    Three axes are one image in color if the channels are where `as_image` looks for them, and
    a stack of gray images otherwise.
    """
    images = getattr(images, "images", images)
    n_axes = getattr(images, "ndim", None)
    is_single = n_axes == 2 or not hasattr(images, "__iter__")  # the latter is PIL's
    if n_axes == 3:
        n_channels = images.shape[0 if hasattr(images, "detach") else -1]
        is_byte = str(images.dtype).endswith("uint8")  # with transparency, that is
        is_single = n_channels in ({1, 3, 4} if is_byte else {1, 3})
    items = [images] if is_single else list(images)
    if not items:
        msg = "A figure needs at least one image, got none."
        raise ShapeError(msg)
    return items


def check_captions(captions: Sequence[str] | None, n_items: int) -> list[str]:
    """Return one caption a panel; empty ones when there are none."""
    captions = [""] * n_items if captions is None else [str(text) for text in captions]
    if len(captions) != n_items:
        msg = (
            f"captions must hold one text for each of the {n_items} panels, got "
            f"{len(captions)}. Cut both to the same length."
        )
        raise ShapeError(msg)
    return captions


# --- panels -------------------------------------------------------------------------------


def panel_width(n_columns: int, *, color_bar: bool = False) -> float:
    """Return the inches that each of `n_columns` panels can take on a page."""
    room = PAGE_WIDTH - 2 * _MARGIN - (_BAR_ROOM if color_bar else 0)
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


@style()
def make_panels(
    sizes: Sequence[tuple[float, float]],
    captions: Sequence[str],
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
    places = range(len(sizes))
    rows = [places[i : i + n_columns] for i in places[::n_columns]]
    widths = []  # of columns: of the widest panel, or a little more for a caption's word
    for column in range(len(rows[0])):
        members = places[column::n_columns]
        words = " ".join(captions[i] for i in members).split()
        word = max((text_width(word, size=_CAPTION) for word in words), default=0)
        word = min(word, 1.2, panel_width(len(rows[0])))
        widths.append(max(word, *(sizes[i][0] for i in members)))
    captions = [
        wrap_text(text, widths[i % n_columns], size=_CAPTION)
        for i, text in enumerate(captions)
    ]
    caption_heights = [max(_caption_height(captions[i]) for i in row) for row in rows]
    heights = [max(sizes[i][1] for i in row) for row in rows]
    if color_bar:
        heights[-1] += max(0.0, _LEAST_BAR - sum(heights))
    content = sum(widths) + _GAP * (len(widths) - 1) + 2 * _MARGIN
    content += _BAR_ROOM if color_bar else 0.0
    titled = min(text_width(title, size=FONT_SIZES["title"], weight="bold") + 0.3, 6.0)
    noted = text_width(footer, size=_CAPTION) + 2 * _MARGIN
    width = max(content, titled, noted, _LEAST_WIDTH)
    top = sum(heights) + sum(caption_heights) + _GAP * (len(rows) - 1) + _MARGIN
    top += _caption_height(footer) and _caption_height(footer) + _GAP
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
            _add_panel(figure, box, captions[i])
            left += widths[column] + _GAP
        top -= row_height + _GAP
    return figure


def _add_panel(figure: Figure, box: tuple[float, ...], caption: str) -> None:
    axes = figure.add_axes(box)
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, linewidth=0.6, color="#999999")
    if caption:
        text = {"fontsize": _CAPTION, "linespacing": 1.15, "pad": _CAPTION_PAD * 72}
        axes.set_title(caption, loc="left", **text)


def _caption_height(caption: str) -> float:
    if not caption:
        return 0.0
    return (caption.count("\n") + 1) * 1.15 * text_height(_CAPTION) + _CAPTION_PAD


@style()
def add_color_bar(
    figure: Figure, scale: Normalize, color_map: str, label: str = ""
) -> None:
    """Draw a color bar in the room kept for it at the right of the panels."""
    boxes = [axes.get_position() for axes in figure.axes]
    width, height = figure.get_size_inches()
    top = max(box.y1 for box in boxes)
    bottom = max(min(box.y0 for box in boxes), top - 3.5 / height)
    bottom = min(bottom, top - _LEAST_BAR / height)
    left = max(box.x1 for box in boxes) + 0.12 / width
    axes = figure.add_axes((left, bottom, _BAR_WIDTH / width, top - bottom))
    bar = figure.colorbar(ScalarMappable(scale, color_map), cax=axes)
    bar.outline.set_visible(False)
    bar.set_label(label)
    axes.grid(visible=False)


def resolution(pictures: Sequence[np.ndarray], small: int = _SMALL) -> int:
    """Return the pixels stored an inch: fewer for large images, whose files are large."""
    longest = max(max(picture.shape[:2]) for picture in pictures)
    return PIXELS_PER_INCH if longest <= small else SCREEN_PIXELS_PER_INCH


def show_pictures(
    pictures: Sequence[np.ndarray | None],
    captions: Sequence[str],
    *,
    title: str,
    n_columns: int,
    width: float,
    height: float = 1.0,
    pixels_per_inch: int,
) -> Figure:
    """Return a figure with pictures at most `width` wide and `height` times as high.

    Values are from 0 to 1; nothing is drawn where a picture is None. Small ones have sharp
    pixels, large ones are smoothed.
    """
    sizes = []
    for picture in pictures:
        rows, columns = (1, 1) if picture is None else picture.shape[:2]
        scale = 0 if picture is None else min(width / columns, height * width / rows)
        sizes.append((max(columns * scale, 0.02), max(rows * scale, 0.02)))
    look = {"title": title, "n_columns": n_columns, "pixels_per_inch": pixels_per_inch}
    figure = make_panels(sizes, captions, **look)
    for axes, picture in zip(figure.axes, pictures, strict=True):
        if picture is None:
            axes.remove()
        else:
            draw_picture(axes, picture)
    return figure


@style()
def draw_picture(axes: Axes, picture: np.ndarray) -> None:
    """Draw one image, values from 0 to 1: small ones with sharp pixels, large ones smoothed."""
    room = axes.get_position().width * axes.figure.bbox.width
    kind = "nearest" if picture.shape[1] <= room else "hanning"
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation=kind)


@style()
def draw_matrix(
    axes: Axes,
    matrix: np.ndarray,
    scale: Normalize,
    color_map: str = _DIVERGING,
    *,
    annotate: bool = False,
) -> None:
    """Draw one matrix, its cells as sharp squares, with numbers in them if asked for."""
    look = {"aspect": "auto", "interpolation": "nearest"}
    drawn = axes.imshow(matrix, cmap=color_map, norm=scale, **look)
    for (row, column), value in np.ndenumerate(matrix) if annotate else ():
        color = readable_color(drawn.cmap(drawn.norm(value))[:3])
        words = {"ha": "center", "va": "center_baseline", "fontsize": _SIZE}
        axes.text(column, row, format_number(value), color=color, **words)


@style()
def draw_box(axes: Axes, box: tuple[int, int, int, int], *, color: str) -> None:
    """Frame pixels (first_row, first_column, n_rows, n_columns); what lies outside is cut."""
    right, bottom = axes.get_xlim()[1], axes.get_ylim()[0]
    row, column, n_rows, n_columns = box
    left, top = max(column - 0.5, -0.5), max(row - 0.5, -0.5)
    width = min(column + n_columns - 0.5, right) - left
    height = min(row + n_rows - 0.5, bottom) - top
    look = {"fill": False, "edgecolor": color, "linewidth": 2.25, "zorder": 3}
    axes.add_patch(Rectangle((left, top), width, height, clip_on=False, **look))


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
    captions : sequence of str, optional
        One an image.
    title : str
        Says what to see.
    n_columns : int, optional
        Images in a row; chosen by their number and size when not given.
    value_range : (float, float) or "each", optional
        The values drawn as black and as white, the same for all images; with ``"each"``,
        every image's own smallest and largest.

    Examples
    --------
    >>> show_images(np.zeros((2, 8, 8, 3), np.uint8), ["one", "two"], title="Two images")
    <Figure: 'Two images', 2 axes>
    """
    pictures = [
        as_image(item, value_range=value_range, name=f"image {i}")
        for i, item in enumerate(as_images(images))
    ]
    captions = check_captions(captions, len(pictures))
    pixels_per_inch = resolution(pictures)
    most, max_width = 4, 4.0 if len(pictures) == 1 else 3.0
    if pixels_per_inch == PIXELS_PER_INCH:
        most, max_width = 10, 1.5
    n_columns = choose_columns(captions, n_columns, most=most, max_width=max_width)
    width = min(max_width, panel_width(n_columns))
    look = {"width": width, "height": 1.25, "pixels_per_inch": pixels_per_inch}
    return show_pictures(pictures, captions, title=title, n_columns=n_columns, **look)


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
    title : str
        Says what to see.

    Examples
    --------
    >>> from numpy import zeros
    >>> show_augmentations(zeros((8, 8)), {"noise": [zeros((8, 8))] * 3}, title="Noise")
    <Figure: 'Noise', 4 axes>
    """
    counts = {name: len(items) for name, items in samples.items()}
    if len(set(counts.values())) != 1:
        msg = f"Every transform must have the same number of samples, got {counts}."
        raise ShapeError(msg)
    pictures, captions = [], []
    for name, items in samples.items():
        pictures += [as_image(item, name=name) for item in (image, *items)]
        captions += ["original", name, *[""] * (len(items) - 1)]
    n_columns = len(pictures) // len(samples)
    width = min(1.6, panel_width(n_columns))
    look = {"width": width, "pixels_per_inch": resolution(pictures)}
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
    captions : sequence of str, optional
        One a matrix.
    title : str
        Says what to see.
    annotate : bool, default=False
        Write each number into its cell, instead of a color bar.

    Examples
    --------
    >>> show_matrix([[1, 0], [0, -1]], title="A kernel", annotate=True)
    <Figure: 'A kernel', 1 axes>
    """
    matrices = [matrices] if np.ndim(matrices[0]) == 1 else matrices
    arrays = [as_array(item, name="a matrix", n_axes=2).astype(float) for item in matrices]
    captions = check_captions(captions, len(arrays))
    low, high = min(map(np.min, arrays)), max(map(np.max, arrays))
    color_map = "viridis"
    if low < 0:
        high = max(-low, high)
        low, color_map = -high, _DIVERGING
    scale = Normalize(low, high if low < high else low + 1)
    n_columns, cell = _cell_size(arrays, captions, annotate)
    sizes = [(array.shape[1] * cell, array.shape[0] * cell) for array in arrays]
    look = {"n_columns": n_columns, "color_bar": not annotate}
    figure = make_panels(sizes, captions, title=title, **look)
    for axes, array in zip(figure.axes, arrays, strict=True):
        draw_matrix(axes, array, scale, color_map, annotate=annotate)
    if not annotate:
        add_color_bar(figure, scale, color_map)
    return figure


def _cell_size(
    arrays: list[np.ndarray], captions: list[str], annotate: bool, at_most: int = 9
) -> tuple[int, float]:
    """Return panels in a row, and the inches of every cell, large enough for its number."""
    widest = max(max(array.shape) for array in arrays)
    tallest = max(array.shape[0] for array in arrays)
    most = 4 if annotate or widest > 40 else 6
    columns = min(at_most, choose_columns(captions, most=most, max_width=2.4))
    columns_wide = sum(
        max(array.shape[1] for array in arrays[start::columns]) for start in range(columns)
    )
    room = panel_width(columns, color_bar=not annotate) * columns
    if not annotate:
        return columns, min(room / columns_wide, 3.2 / tallest, _LARGEST_CELL)
    numbers = {format_number(value) for array in arrays for value in array.flat}
    needed = max(_CELL, 0.12 + max(text_width(number, size=_SIZE) for number in numbers))
    if needed <= min(room / columns_wide, 1.0):
        return columns, needed
    if columns > 1:
        return _cell_size(arrays, captions, annotate, columns - 1)
    msg = (
        f"Numbers {needed:.2f} inches wide have no room in {columns_wide} cells on one row of "
        "the page. Leave out annotate=True, or cut the matrix."
    )
    raise SettingsError(msg)


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
    captions : sequence of str, optional
        One a filter.
    title : str
        Says what to see.
    n_columns : int, optional
        Filters in a row.

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
            f"width), got {filters.shape}. Reshape the rows of a linear layer to the image's "
            "shape; draw filters with more channels one channel at a time: weights[:, 0]."
        )
        raise ShapeError(msg)
    in_color, (n_rows, n_cells) = filters.shape[1] == 3, filters.shape[2:]
    captions = check_captions(captions, len(filters))
    limit = float(np.abs(filters).max()) or 1.0
    most = 10 if max(n_rows, n_cells) > 3 else 12
    n_columns = choose_columns(captions, n_columns, most=most, max_width=1.2)
    width = min(1.2, panel_width(n_columns, color_bar=not in_color))
    sizes = [(width, width * n_rows / n_cells)] * len(filters)
    look = {"n_columns": n_columns, "color_bar": not in_color}
    figure = make_panels(sizes, captions, title=title, **look)
    scale = Normalize(-limit, limit)
    for axes, template in zip(figure.axes, filters, strict=True):
        if in_color:
            colors = np.moveaxis(template, 0, 2)
            draw_picture(axes, (0.5 + colors / (2 * limit)).clip(0, 1))
        else:
            draw_matrix(axes, template[0], scale)
    if not in_color:
        add_color_bar(figure, scale, _DIVERGING, "weight")
    return figure


@style()
def show_feature_maps(maps: Mapping[str, Any], *, title: str, n_maps: int = 16) -> Figure:
    """Return a figure with a grid of feature maps for each layer, side by side.

    Each map is drawn from its own smallest to its own largest number, which shows its pattern;
    a map of one value alone is dark.

    Parameters
    ----------
    maps : mapping of str to array or Tensor
        For each layer what it answers to one image, of shape (channels, height, width) or
        (1, channels, height, width).
    title : str
        Says what to see.
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
        array = as_array(layer, name=f"layer {name!r}").astype(float)
        array = array[0] if array.ndim == 4 and len(array) == 1 else array
        if array.ndim != 3:
            msg = (
                "The maps of a layer must have shape (channels, height, width), for one image; "
                f"layer {name!r} has {array.shape}. Take one image: maps[0]."
            )
            raise ShapeError(msg)
        n_channels, height, width = array.shape
        which = f"{n_maps} of {n_channels}" if n_maps < n_channels else f"{n_channels}"
        captions.append(f"{name}: {which} maps, {height} x {width}")
        low, high = (f(array, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
        scaled = (array - low) / np.where(high > low, high - low, 1)
        grids.append(_tile(scaled[:n_maps]))
    n_columns = choose_columns(captions, most=3, max_width=3.6)
    width = min(3.6, panel_width(n_columns))
    sizes = [(width, width * grid.shape[0] / grid.shape[1]) for grid in grids]
    figure = make_panels(sizes, captions, title=title, n_columns=n_columns)
    colors = mpl.colormaps["viridis"].with_extremes(bad="white")
    for axes, grid in zip(figure.axes, grids, strict=True):
        draw_matrix(axes, grid, Normalize(0, 1), colors)
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
    cells = np.full((n_rows * n_columns, *(n + gap for n in maps.shape[1:])), np.nan)
    cells[:n_maps, : maps.shape[1], : maps.shape[2]] = maps
    rows = cells.reshape(n_rows, n_columns, *cells.shape[1:]).swapaxes(1, 2)
    return rows.reshape(n_rows * cells.shape[1], -1)[:-gap, :-gap]


def draw_window(
    image: Any, kernel: Any, response: Any, *, row: int, column: int, title: str
) -> Figure:
    """Return a diagram of one window: picture, kernel, and the response pixel they give.

    Under the panels stands the dot product, term by term.

    Parameters
    ----------
    image, kernel : array or Tensor of shape (n_rows, n_columns)
        The picture is 12 pixels wide or less.
    response : array or Tensor of shape (response_height, response_width)
        Of a convolution without padding.
    row, column : int
        The pixel of the response to explain.
    title : str
        Says what to see.
    """
    given = {"picture": image, "kernel": kernel, "response": response}
    arrays = {k: as_array(v, name=k, n_axes=2).astype(float) for k, v in given.items()}
    picture, weights, answers = arrays.values()
    (n_rows, n_columns), (height, width) = weights.shape, picture.shape
    if answers.shape != (expected := (height - n_rows + 1, width - n_columns + 1)):
        msg = (
            f"A {weights.shape} kernel on a {picture.shape} picture without padding gives a "
            f"response of shape {expected}, got {answers.shape}. Draw the padded picture."
        )
        raise ShapeError(msg)
    window = picture[row : row + n_rows, column : column + n_columns]
    numbers = zip(
        *(map(format_number, part.flat) for part in (window, weights)), strict=True
    )
    terms = " + ".join(f"{p}·{w if w[0].isdigit() else f'({w})'}" for p, w in numbers)
    text = f"window · kernel = {terms} = {format_number(answers[row, column])}"
    sizes = [(a.shape[1] * 0.42, a.shape[0] * 0.42) for a in arrays.values()]
    captions = [f"{name}, {a.shape[0]} x {a.shape[1]}" for name, a in arrays.items()]
    footer = wrap_text(text, 6.5, size=FONT_SIZES["label"])
    figure = make_panels(sizes, captions, title=title, n_columns=3, footer=footer)
    boxes = [(row, column, *weights.shape), (0, 0, *weights.shape), (row, column, 1, 1)]
    for axes, array, box in zip(figure.axes, arrays.values(), boxes, strict=True):
        limit = 2.4 * (np.abs(array).max() or 1.0)  # pale, so that numbers stand out
        draw_matrix(axes, array, Normalize(-limit, limit), annotate=True)
        draw_box(axes, box, color=COLORS["black"])
    return figure
