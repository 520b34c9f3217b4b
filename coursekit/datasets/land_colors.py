"""The colors of a landscape seen from above.

Nothing here knows where a color goes.
"""

import numpy as np

from coursekit.datasets.draws import Draws

__all__ = [
    "ASPHALT",
    "CROPS",
    "DRY",
    "GRASS",
    "HALLS",
    "LAKE",
    "SAND",
    "SCRUB",
    "STREAM",
    "TILES",
    "WOOD",
    "colors_from",
]


def _table(*colors: tuple[int, int, int]) -> np.ndarray:
    return np.array(colors, np.float32) / 100


CROPS = _table(
    (34, 48, 20),
    (50, 58, 27),
    (62, 55, 33),
    (70, 61, 42),
    (44, 34, 25),
    (55, 40, 32),
    (25, 38, 17),
    (60, 48, 38),
)
GRASS = _table((36, 48, 24), (44, 54, 29), (33, 44, 22), (48, 52, 32))
WOOD = _table((10, 20, 10), (14, 25, 12), (12, 22, 17), (19, 25, 13))
SCRUB = _table((28, 36, 19), (36, 42, 24), (24, 33, 20))
DRY = _table((52, 47, 31), (60, 52, 37), (45, 46, 28), (50, 40, 29))
ASPHALT = _table((48, 48, 49), (60, 58, 56), (42, 42, 44), (66, 63, 58))
TILES = _table(
    (60, 32, 25), (68, 41, 31), (50, 30, 26), (54, 51, 49), (40, 38, 40), (72, 66, 60)
)
HALLS = _table(
    (86, 86, 86), (72, 74, 78), (54, 61, 70), (60, 41, 36), (48, 48, 50), (78, 74, 66)
)
LAKE = _table((7, 16, 28), (9, 23, 32), (14, 27, 30), (6, 13, 22), (12, 25, 38))
STREAM = _table((12, 22, 31), (18, 27, 29), (25, 30, 28), (10, 19, 27))
SAND = _table((68, 62, 48), (58, 54, 42), (50, 50, 36))


def colors_from(
    draws: Draws, name: str, table: np.ndarray, n_colors: int = 1, *, spread: float = 0.04
) -> np.ndarray:
    """Return colors between two random entries of a table, each a little off.

    Parameters
    ----------
    draws : Draws
    name : str
    table : ndarray of shape (n_entries, 3), float32
    n_colors : int, default=1
    spread : float, default=0.04
        Largest change of a channel.

    Returns
    -------
    ndarray of shape (n_images, 3), or (n_images, n_colors, 3) for more than one, float32
    """
    first = table[draws.integers(f"{name} 1", len(table), n_columns=n_colors)]
    second = table[draws.integers(f"{name} 2", len(table), n_columns=n_colors)]
    part = draws.uniform(f"{name} mix", 0, 0.5, n_columns=n_colors)[:, :, None]
    change = draws.uniform(f"{name} change", -spread, spread, n_columns=3 * n_colors)
    color = first + (second - first) * part + change.reshape(first.shape)
    return color if n_colors > 1 else color[:, 0]
