"""Draw numbers as colors: matrices, kernels, feature maps and weights.

Nothing here knows what the numbers mean.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.image import AxesImage

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures.arrays import as_array, as_items, check_captions
from coursekit.figures.figure import Figure
from coursekit.figures.images import draw_picture
from coursekit.figures.panels import choose_columns, make_panels, panel_width
from coursekit.figures.style import FONT_SIZES, style
from coursekit.figures.text import format_number, readable_color, text_width

__all__ = ["draw_matrix", "show_matrix", "show_weights"]

_CELL = 0.36  # inches of a cell with a short number in it
_LARGEST_CELL = 0.5  # inches of a cell without
_DIVERGING = "RdBu_r"


def show_matrix(
    matrices: Any,
    captions: Sequence[str] | None = None,
    *,
    title: str,
    annotate: bool = False,
    n_columns: int | None = None,
    value_range: tuple[float, float] | None = None,
    share_scale: bool = True,
    color_map: str | None = None,
    color_bar: bool | None = None,
    color_label: str = "",
) -> Figure:
    """Return a figure with one or several matrices as heat maps.

    Parameters
    ----------
    matrices : array or Tensor of shape (n_rows, n_columns), or a sequence of such
        For instance kernels, a small picture and its response, a Toeplitz matrix. Sizes may
        differ; a cell is then as large in every panel.
    captions : sequence of str, optional
        One a matrix.
    title : str
        Says what to see.
    annotate : bool, default=False
        Write each number into its cell.
    n_columns : int, optional
        Panels in a row.
    value_range : (float, float), optional
        Ends of the color scale. By default all panels share the scale that holds every
        number; with negative numbers it is symmetric about zero.
    share_scale : bool, default=True
        Whether one color means one number in all panels; otherwise each panel uses the
        whole scale, and there is no color bar.
    color_map : str, optional
        matplotlib's name; by default red and blue about zero, or viridis.
    color_bar : bool, optional
        By default there is one when the numbers are not written.
    color_label : str
        What the color bar shows, with its unit.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If there is no matrix, one has another number of axes, or captions do not match.
    SettingsError
        If a number is not finite, or there is no room for the numbers to be written.

    Examples
    --------
    >>> show_matrix([[1, 0], [0, -1]], title="A kernel", annotate=True)
    <Figure: 'A kernel', 1 axes>
    """
    items = [matrices] if _is_matrix(matrices) else as_items(matrices, name="matrices")
    arrays = [
        as_array(item, name=f"matrix {i}", n_axes=2).astype(float)
        for i, item in enumerate(items)
    ]
    captions = check_captions(captions, len(arrays), name="matrices")
    if not share_scale and (color_bar or value_range is not None):
        msg = "color_bar and value_range belong to one scale: leave out share_scale=False."
        raise SettingsError(msg)
    ranges = [_choose_range(arrays if share_scale else [a], value_range) for a in arrays]
    lowest = min(low for low, _ in ranges)
    color_map = color_map or (_DIVERGING if lowest < 0 else "viridis")
    color_bar = share_scale and not annotate if color_bar is None else color_bar
    n_columns, sizes = _matrix_sizes(arrays, captions, n_columns, annotate, color_bar)
    panels = make_panels(
        sizes, captions, title=title, n_columns=n_columns, color_bar=color_bar
    )
    scales = [Normalize(low, high) for low, high in ranges]
    for axes, array, scale in zip(panels.axes, arrays, scales, strict=True):
        draw_matrix(axes, array, scale=scale, color_map=color_map, annotate=annotate)
    if color_bar:
        panels.add_color_bar(ScalarMappable(scales[0], color_map), label=color_label)
    return panels.figure


def show_weights(
    weights: Any,
    captions: Sequence[str] | None = None,
    *,
    title: str,
    n_columns: int | None = None,
    limit: float | None = None,
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
    limit : float, optional
        The magnitude drawn in full color; by default the largest there is.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If the weights have another shape or the captions do not match.
    SettingsError
        If a weight is not finite, or `limit` is not positive.

    Examples
    --------
    >>> show_weights(np.ones((4, 3, 5, 5)), title="Filters").axes[0].get_xticks()
    array([], dtype=float64)
    """
    filters = _as_filters(weights)
    captions = check_captions(captions, len(filters), name="filters")
    limit = float(np.abs(filters).max()) or 1.0 if limit is None else limit
    if not limit > 0:
        msg = f"limit must be a positive magnitude, got {limit}."
        raise SettingsError(msg)
    in_color = filters.ndim == 4
    most = 10 if max(filters.shape[1:3]) > 3 else 12
    n_columns = choose_columns(captions, n_columns=n_columns, most=most, max_width=1.2)
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
            draw_matrix(axes, template, scale=scale, color_map=_DIVERGING)
    if not in_color:
        panels.add_color_bar(ScalarMappable(scale, _DIVERGING), label="weight")
    return panels.figure


def draw_matrix(
    axes: Axes,
    matrix: np.ndarray,
    *,
    scale: Normalize,
    color_map: str,
    annotate: bool = False,
) -> None:
    """Draw one matrix on `axes`, its cells as sharp squares.

    Parameters
    ----------
    axes : Axes
    matrix : ndarray of shape (n_rows, n_columns), float
    scale : Normalize
        From numbers to the ends of the color map.
    color_map : str
    annotate : bool, default=False
        Write each number into its cell.
    """
    with style():
        drawn = axes.imshow(
            matrix, cmap=color_map, norm=scale, aspect="auto", interpolation="nearest"
        )
        if annotate:
            _write_numbers(axes, drawn, matrix)


def _write_numbers(axes: Axes, drawn: AxesImage, matrix: np.ndarray) -> None:
    for (row, column), value in np.ndenumerate(matrix):
        axes.text(
            column,
            row,
            format_number(value),
            ha="center",
            va="center_baseline",
            color=readable_color(drawn.cmap(drawn.norm(value))[:3]),
            fontsize=FONT_SIZES["tick"],
        )


def _is_matrix(matrices: Any) -> bool:
    if hasattr(matrices, "ndim"):
        return matrices.ndim == 2
    try:
        return np.ndim(matrices[0][0]) == 0
    except (TypeError, IndexError, KeyError):
        return False


def _choose_range(
    arrays: list[np.ndarray], value_range: tuple[float, float] | None
) -> tuple[float, float]:
    if value_range is not None:
        low, high = value_range
        if not low < high:
            msg = f"value_range must be (low, high) with low < high, got {value_range}."
            raise SettingsError(msg)
        return low, high
    low = min(array.min() for array in arrays)
    high = max(array.max() for array in arrays)
    if low < 0:
        high = max(-low, high)
        low = -high
    return (low, high) if low < high else (low, low + 1)


def _matrix_sizes(
    arrays: list[np.ndarray],
    captions: list[str],
    n_columns: int | None,
    annotate: bool,
    color_bar: bool,
) -> tuple[int, list[tuple[float, float]]]:
    """Give every cell the same size, large enough for its number."""
    widest = max(max(array.shape) for array in arrays)
    tallest = max(array.shape[0] for array in arrays)
    most = 4 if annotate or widest > 40 else 6
    columns = choose_columns(captions, n_columns=n_columns, most=most, max_width=2.4)
    columns_wide = sum(
        max(array.shape[1] for array in arrays[start::columns]) for start in range(columns)
    )
    room = panel_width(columns, color_bar=color_bar) * columns
    cell = min(room / columns_wide, 1.0 if annotate else min(3.2 / tallest, _LARGEST_CELL))
    if annotate:
        numbers = [format_number(value) for array in arrays for value in array.flat]
        needed = 0.12 + max(text_width(n, size=FONT_SIZES["tick"]) for n in set(numbers))
        needed = max(_CELL, needed)
        if needed > cell:
            if n_columns is None and columns > 1:
                return _matrix_sizes(arrays, captions, columns - 1, annotate, color_bar)
            msg = (
                f"Numbers {needed:.2f} inches wide have no room in {columns_wide} cells on one "
                "row of the page. Leave out annotate=True, draw fewer panels in a row, or "
                "cut the matrix."
            )
            raise SettingsError(msg)
        cell = needed
    return columns, [(array.shape[1] * cell, array.shape[0] * cell) for array in arrays]


def _as_filters(weights: Any) -> np.ndarray:
    """Return (n, height, width) or, in color, (n, height, width, 3)."""
    filters = as_array(weights, name="weights").astype(float)
    if filters.ndim == 4 and filters.shape[1] == 1:
        return filters[:, 0]
    if filters.ndim == 4 and filters.shape[1] == 3:
        return np.moveaxis(filters, 1, 3)
    if filters.ndim == 3:
        return filters
    msg = (
        "weights must have shape (n_filters, height, width) or (n_filters, 1 or 3, height, "
        f"width), got {filters.shape}. Reshape the rows of a linear layer to the image's "
        "shape; draw filters with more channels one channel at a time: weights[:, 0]."
    )
    raise ShapeError(msg)
