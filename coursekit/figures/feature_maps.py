"""Draw what the channels of layers answer: one grid of maps for each layer.

Nothing here knows of networks.
"""

from collections.abc import Mapping
from typing import Any, Literal

import matplotlib as mpl
import numpy as np

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures.arrays import as_array
from coursekit.figures.figure import Figure
from coursekit.figures.panels import choose_columns, make_panels, panel_width
from coursekit.figures.style import style

__all__ = ["show_feature_maps"]

_LARGEST = 3.6  # inches of a grid
_GAP = 0.04  # of a map's side, between two maps
_LEAST_SIDE = 48  # pixels: coarser maps are enlarged, so that gaps can be drawn


def show_feature_maps(
    maps: Mapping[str, Any] | Any,
    *,
    title: str,
    n_maps: int = 16,
    scale: Literal["map", "layer"] = "map",
    color_map: str = "viridis",
) -> Figure:
    """Return a figure with a grid of feature maps for each layer, side by side.

    Parameters
    ----------
    maps : mapping of str to array or Tensor, or one of them
        For each layer what it answers to one image, of shape (channels, height, width) or
        (1, channels, height, width).
    title : str
        Says what to see.
    n_maps : int, default=16
        The first so many channels of each layer are drawn.
    scale : {"map", "layer"}, default="map"
        What the darkest and the brightest color mean: the ends of every map, which shows
        each map's pattern, or those of the whole layer, which shows who answers strongest.
        A map of one value alone is dark.
    color_map : str, default="viridis"
        matplotlib's name.

    Returns
    -------
    Figure
        Each grid's caption gives the layer's shape and how many maps are drawn.

    Raises
    ------
    ShapeError
        If there is no layer, or one has another shape.
    SettingsError
        If a number is not finite, `n_maps` is below 1, or there is no such `scale`.

    Examples
    --------
    >>> figure = show_feature_maps({"conv1": np.ones((6, 8, 8))}, title="Maps", n_maps=4)
    >>> figure.axes[0].get_title(loc="left")
    'conv1: 4 of 6 maps, 8 x 8'
    """
    if n_maps < 1 or scale not in {"map", "layer"}:
        msg = (
            "n_maps must be at least 1 and scale 'map' or 'layer', got "
            f"n_maps={n_maps} and scale={scale!r}."
        )
        raise SettingsError(msg)
    layers = maps if isinstance(maps, Mapping) else {"": maps}
    if not layers:
        msg = "maps must hold at least one layer, got none."
        raise ShapeError(msg)
    read = {str(name): _read(str(name), layer) for name, layer in layers.items()}
    captions = [_caption(name, layer, n_maps) for name, layer in read.items()]
    grids = [_tile(_scaled(layer[:n_maps], scale)) for layer in read.values()]
    n_columns = choose_columns(captions, n_columns=None, most=3, max_width=_LARGEST)
    width = min(_LARGEST, panel_width(n_columns))
    sizes = [(width, width * grid.shape[0] / grid.shape[1]) for grid in grids]
    panels = make_panels(sizes, captions, title=title, n_columns=n_columns)
    with style():
        colors = mpl.colormaps[color_map].with_extremes(bad="white")
        for axes, grid in zip(panels.axes, grids, strict=True):
            axes.imshow(
                grid, cmap=colors, vmin=0, vmax=1, aspect="auto", interpolation="nearest"
            )
            axes.spines[:].set_visible(False)
    return panels.figure


def _read(name: str, layer: Any) -> np.ndarray:
    array = as_array(layer, name=f"layer {name!r}").astype(float)
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim != 3:
        msg = (
            "The maps of a layer must have shape (channels, height, width), for one image; "
            f"layer {name!r} has {array.shape}. Take one image: maps[0]."
        )
        raise ShapeError(msg)
    return array


def _caption(name: str, layer: np.ndarray, n_maps: int) -> str:
    n_channels, height, width = layer.shape
    which = f"{n_maps} of {n_channels}" if n_maps < n_channels else f"{n_channels}"
    words = f"{which} maps, {height} x {width}"
    return f"{name}: {words}" if name else words


def _scaled(maps: np.ndarray, scale: str) -> np.ndarray:
    """Return the maps from 0 to 1."""
    axes = (1, 2) if scale == "map" else None
    low, high = maps.min(axis=axes, keepdims=True), maps.max(axis=axes, keepdims=True)
    return (maps - low) / np.where(high > low, high - low, 1)


def _tile(maps: np.ndarray) -> np.ndarray:
    """Return one picture with all maps, as square as can be, with NaN between them."""
    n_maps, height, width = maps.shape
    times = -(-_LEAST_SIDE // max(height, width))
    maps = maps.repeat(times, axis=1).repeat(times, axis=2)
    gap = max(1, round(_GAP * times * max(height, width)))
    n_columns = int(np.ceil(np.sqrt(n_maps)))
    n_rows = -(-n_maps // n_columns)
    cells = np.full((n_rows * n_columns, *(n + gap for n in maps.shape[1:])), np.nan)
    cells[:n_maps, : maps.shape[1], : maps.shape[2]] = maps
    rows = cells.reshape(n_rows, n_columns, *cells.shape[1:]).swapaxes(1, 2)
    return rows.reshape(n_rows * cells.shape[1], -1)[:-gap, :-gap]
