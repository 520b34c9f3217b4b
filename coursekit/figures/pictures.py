"""Pictures and numbers as colors: images, augmentations, matrices, weights, feature maps."""

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
    PIXELS_PER_INCH,
    SCREEN_PIXELS_PER_INCH,
    Figure,
    format_number,
    readable_color,
    style,
    text_width,
    wrap_text,
)
from coursekit.figures.panels import (
    as_array,
    as_image,
    as_images,
    check_captions,
    choose_columns,
    make_panels,
    panel_width,
)

_SMALL = 96  # pixels: smaller images are drawn small, and stored with more pixels an inch
_SIZE = FONT_SIZES["tick"]
_CELL = 0.36  # inches of a cell with a short number in it
_LARGEST_CELL = 0.5  # inches of a cell without
_DIVERGING = "RdBu_r"
_LEAST_SIDE = 48  # pixels: coarser feature maps are enlarged, so that gaps can be drawn


def resolution(pictures: Sequence[np.ndarray], small: int = _SMALL) -> int:
    """Return the pixels stored an inch: fewer for large images, whose files are large."""
    longest = max(max(picture.shape[:2]) for picture in pictures)
    return PIXELS_PER_INCH if longest <= small else SCREEN_PIXELS_PER_INCH


def fit(picture: np.ndarray, width: float, *, height: float = 1.0) -> tuple[float, float]:
    """Return inches of a picture that is at most `width` wide and `height` times as high."""
    rows, columns = picture.shape[:2]
    scale = min(width / columns, height * width / rows)
    return max(columns * scale, 0.02), max(rows * scale, 0.02)


def draw_picture(axes: Axes, picture: np.ndarray) -> None:
    """Draw one image, values from 0 to 1: small ones with sharp pixels, large ones smoothed."""
    room = axes.get_position().width * axes.figure.bbox.width
    kind = "nearest" if picture.shape[1] <= room else "hanning"
    with style():
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation=kind)


def draw_box(axes: Axes, box: tuple[int, int, int, int], *, color: str) -> None:
    """Frame pixels (first_row, first_column, n_rows, n_columns); what lies outside is cut."""
    right, bottom = axes.get_xlim()[1], axes.get_ylim()[0]
    row, column, n_rows, n_columns = box
    left, top = max(column - 0.5, -0.5), max(row - 0.5, -0.5)
    width = min(column + n_columns - 0.5, right) - left
    height = min(row + n_rows - 0.5, bottom) - top
    look = {"fill": False, "edgecolor": color, "linewidth": 2.25, "zorder": 3}
    with style():
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
    items = as_images(images, name="images")
    pictures = [
        as_image(item, value_range=value_range, name=f"image {i}")
        for i, item in enumerate(items)
    ]
    captions = check_captions(captions, len(pictures), name="images")
    pixels_per_inch = resolution(pictures)
    most, max_width = 4, 4.0 if len(pictures) == 1 else 3.0
    if pixels_per_inch == PIXELS_PER_INCH:
        most, max_width = 10, 1.5
    n_columns = choose_columns(captions, n_columns, most=most, max_width=max_width)
    width = min(max_width, panel_width(n_columns))
    panels = make_panels(
        [fit(picture, width, height=1.25) for picture in pictures],
        captions,
        title=title,
        n_columns=n_columns,
        pixels_per_inch=pixels_per_inch,
    )
    for axes, picture in zip(panels.axes, pictures, strict=True):
        draw_picture(axes, picture)
    return panels.figure


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
    rows = {str(name): as_images(items, name=name) for name, items in samples.items()}
    counts = {name: len(items) for name, items in rows.items()}
    if len(set(counts.values())) != 1:
        msg = f"Every transform must have the same number of samples, got {counts}."
        raise ShapeError(msg)
    original = as_image(image, name="image")
    pictures, captions = [], []
    for name, items in rows.items():
        pictures += [original, *(as_image(item, name=name) for item in items)]
        captions += ["original", name, *[""] * (len(items) - 1)]
    n_columns = len(pictures) // len(rows)
    width = min(1.6, panel_width(n_columns))
    panels = make_panels(
        [fit(picture, width) for picture in pictures],
        captions,
        title=title,
        n_columns=n_columns,
        pixels_per_inch=resolution(pictures),
    )
    for axes, picture in zip(panels.axes, pictures, strict=True):
        draw_picture(axes, picture)
    return panels.figure


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
    if np.ndim(matrices[0]) == 1:
        matrices = [matrices]
    arrays = [
        as_array(item, name=f"matrix {i}", n_axes=2).astype(float)
        for i, item in enumerate(matrices)
    ]
    captions = check_captions(captions, len(arrays), name="matrices")
    low = min(array.min() for array in arrays)
    high = max(array.max() for array in arrays)
    color_map = "viridis"
    if low < 0:
        high = max(-low, high)
        low, color_map = -high, _DIVERGING
    scale = Normalize(low, high if low < high else low + 1)
    n_columns, cell = _cell_size(arrays, captions, annotate)
    sizes = [(array.shape[1] * cell, array.shape[0] * cell) for array in arrays]
    panels = make_panels(
        sizes, captions, title=title, n_columns=n_columns, color_bar=not annotate
    )
    for axes, array in zip(panels.axes, arrays, strict=True):
        draw_matrix(axes, array, scale=scale, color_map=color_map, annotate=annotate)
    if not annotate:
        panels.add_color_bar(ScalarMappable(scale, color_map))
    return panels.figure


def draw_matrix(
    axes: Axes,
    matrix: np.ndarray,
    *,
    scale: Normalize,
    color_map: str = _DIVERGING,
    annotate: bool = False,
) -> None:
    """Draw one matrix, its cells as sharp squares, with numbers in them if asked for."""
    with style():
        drawn = axes.imshow(
            matrix, cmap=color_map, norm=scale, aspect="auto", interpolation="nearest"
        )
        for (row, column), value in np.ndenumerate(matrix) if annotate else ():
            axes.text(
                column,
                row,
                format_number(value),
                ha="center",
                va="center_baseline",
                color=readable_color(drawn.cmap(drawn.norm(value))[:3]),
                fontsize=_SIZE,
            )


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
    in_color = filters.ndim == 4 and filters.shape[1] == 3
    if in_color:
        filters = np.moveaxis(filters, 1, 3)
    elif filters.ndim == 4 and filters.shape[1] == 1:
        filters = filters[:, 0]
    elif filters.ndim != 3:
        msg = (
            "weights must have shape (n_filters, height, width) or (n_filters, 1 or 3, height, "
            f"width), got {filters.shape}. Reshape the rows of a linear layer to the image's "
            "shape; draw filters with more channels one channel at a time: weights[:, 0]."
        )
        raise ShapeError(msg)
    captions = check_captions(captions, len(filters), name="filters")
    limit = float(np.abs(filters).max()) or 1.0
    most = 10 if max(filters.shape[1:3]) > 3 else 12
    n_columns = choose_columns(captions, n_columns, most=most, max_width=1.2)
    width = min(1.2, panel_width(n_columns, color_bar=not in_color))
    size = (width, width * filters.shape[1] / filters.shape[2])
    panels = make_panels(
        [size] * len(filters),
        captions,
        title=title,
        n_columns=n_columns,
        color_bar=not in_color,
    )
    scale = Normalize(-limit, limit)
    for axes, template in zip(panels.axes, filters, strict=True):
        if in_color:
            draw_picture(axes, (0.5 + template / (2 * limit)).clip(0, 1))
        else:
            draw_matrix(axes, template, scale=scale)
    if not in_color:
        panels.add_color_bar(ScalarMappable(scale, _DIVERGING), label="weight")
    return panels.figure


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
    panels = make_panels(sizes, captions, title=title, n_columns=n_columns)
    look = {"vmin": 0, "vmax": 1, "aspect": "auto", "interpolation": "nearest"}
    with style():
        colors = mpl.colormaps["viridis"].with_extremes(bad="white")
        for axes, grid in zip(panels.axes, grids, strict=True):
            axes.imshow(grid, cmap=colors, **look)
            axes.spines[:].set_visible(False)
    return panels.figure


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
    image : array or Tensor of shape (height, width)
        A small picture, 12 pixels wide or less.
    kernel : array or Tensor of shape (n_rows, n_columns)
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
            f"response of shape {expected}, got {answers.shape}. Pad the picture first, and "
            "draw the padded one."
        )
        raise ShapeError(msg)
    window = picture[row : row + n_rows, column : column + n_columns]
    numbers = [map(format_number, part.flat) for part in (window, weights)]
    terms = [
        f"{p}·{w if w[0].isdigit() else f'({w})'}" for p, w in zip(*numbers, strict=True)
    ]
    answer = format_number(answers[row, column])
    panels = make_panels(
        [(a.shape[1] * 0.42, a.shape[0] * 0.42) for a in arrays.values()],
        [f"{name}, {a.shape[0]} x {a.shape[1]}" for name, a in arrays.items()],
        title=title,
        n_columns=3,
        footer=wrap_text(
            f"window · kernel = {' + '.join(terms)} = {answer}",
            6.5,
            size=FONT_SIZES["label"],
        ),
    )
    boxes = [(row, column, *weights.shape), (0, 0, *weights.shape), (row, column, 1, 1)]
    for axes, array, box in zip(panels.axes, arrays.values(), boxes, strict=True):
        limit = 2.4 * (np.abs(array).max() or 1.0)  # pale, so that numbers stand out
        draw_matrix(axes, array, scale=Normalize(-limit, limit), annotate=True)
        draw_box(axes, box, color=COLORS["black"])
    return panels.figure
