"""Fractal noise: one tile without seams, and windows of it at any place, scale and angle.

Values are ranks, so a threshold of 0.3 covers three tenths of the tile. Nothing here knows
what the noise stands for.
"""

from functools import cache

import numpy as np

from coursekit.datasets.draws import Draws

__all__ = ["TILE_SIZE", "cloud_tiles", "sample_clouds"]

TILE_SIZE = 256
"""Entries along each side of the tile."""

OCTAVES = {
    "clouds": {4: 1.0, 8: 0.5, 16: 0.25, 32: 0.125, 64: 0.0625, 128: 0.03},
    "hills": {4: 1.0, 8: 0.35, 16: 0.08},
    "crowns": {32: 0.5, 64: 1.0, 128: 0.6},
}
"""Tile: how many lattice cells lie along a side, and how strong each lattice is."""


def sample_clouds(
    across: np.ndarray,
    down: np.ndarray,
    phase: np.ndarray,
    positions: np.ndarray,
    *,
    tile: str = "clouds",
) -> np.ndarray:
    """Return one window of a tile for each image.

    Parameters
    ----------
    across, down : ndarray of shape (n_images,), float32
        Cosine and sine of the window's angle, times its size: 0.5 for a window as wide as the
        tile, since pictures are 2 wide.
    phase : ndarray of shape (n_images, 2), float32
        Place of its center in the tile, from 0 to 1.
    positions : ndarray of shape (image_size,), float32
        The pixels' centers along one axis.
    tile : {"clouds", "hills", "crowns"}, default="clouds"
        All sizes at once, large ones only, small ones only.

    Returns
    -------
    ndarray of shape (n_images, image_size, image_size), float32
        From 0 to 1.
    """
    size = np.float32(TILE_SIZE)
    along_x = across[:, None] * positions
    along_y = down[:, None] * positions
    x = (along_x + phase[:, :1])[:, None, :] * size - (along_y * size)[:, :, None]
    along_y = across[:, None] * positions
    along_x = down[:, None] * positions
    y = (along_x + phase[:, 1:])[:, None, :] * size + (along_y * size)[:, :, None]
    return _sample_wrapped(cloud_tiles(tile), x, y)


def _sample_wrapped(tile: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    floor_x, floor_y = np.floor(x), np.floor(y)
    x -= floor_x
    y -= floor_y
    left = floor_x.astype(np.int32) & (TILE_SIZE - 1)
    top = floor_y.astype(np.int32) & (TILE_SIZE - 1)
    width = TILE_SIZE + 1
    first = (top * width + left).astype(np.intp)
    flat = tile.reshape(-1)
    upper, lower = flat[first], flat[width:][first]
    upper += (flat[1:][first] - upper) * x
    lower += (flat[width + 1 :][first] - lower) * x
    lower -= upper
    lower *= y
    lower += upper
    return lower


@cache
def cloud_tiles(name: str) -> np.ndarray:
    """Return a tile with its first row and column repeated at the end.

    Returns
    -------
    ndarray of shape (TILE_SIZE + 1, TILE_SIZE + 1), float32
        Ranks from 0 to 1, each equally often.
    """
    total = np.zeros((TILE_SIZE, TILE_SIZE))
    for n_cells, strength in OCTAVES[name].items():
        draws = Draws(0, "clouds", np.arange(n_cells, dtype=np.uint64))
        lattice = draws.uniform(f"{name} {n_cells}", n_columns=n_cells).astype(np.float64)
        total += strength * _enlarge(_enlarge(lattice).T).T
    ranks = np.empty(TILE_SIZE**2, np.float32)
    order = np.argsort(np.round(total.reshape(-1) * 2**32), kind="stable")
    ranks[order] = (np.arange(TILE_SIZE**2) + 0.5) / TILE_SIZE**2
    tile = np.pad(ranks.reshape(TILE_SIZE, TILE_SIZE), ((0, 1), (0, 1)), mode="wrap")
    tile.flags.writeable = False
    return tile


def _enlarge(lattice: np.ndarray) -> np.ndarray:
    """Return the rows of a lattice drawn out to the tile's width, smooth at every entry."""
    n_cells = lattice.shape[1]
    place = np.arange(TILE_SIZE) * n_cells / TILE_SIZE
    left = place.astype(int)
    t = place - left
    t = t * t * t * (t * (t * 6 - 15) + 10)
    return lattice[:, left] * (1 - t) + lattice[:, (left + 1) % n_cells] * t
