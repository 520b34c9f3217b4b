"""What a landscape seen from above is painted with: texture, light, lines.

Each part takes the random numbers of some images and gives planes, or paints on a canvas, of
shape (n_images, 3, image_size, image_size). Nothing here knows of land-cover classes.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from coursekit.datasets.clouds import sample_clouds
from coursekit.datasets.drawing import affine, column, coverage, paint
from coursekit.datasets.draws import Draws, directions

__all__ = [
    "Canvas",
    "Curve",
    "Land",
    "Plane",
    "curve",
    "mix",
    "mottle",
    "paint_line",
    "paint_some",
    "shade",
]

Plane = np.ndarray
Canvas = np.ndarray


class Land(NamedTuple):
    """The images to paint: their random numbers and the positions of their pixels."""

    draws: Draws
    positions: np.ndarray
    """Of shape (image_size,), float32: the pixels' centers along one axis."""

    @property
    def pixel(self) -> np.ndarray:
        """Width of a pixel, of shape (n_images,); the picture is 2 wide."""
        return np.full(len(self.draws), 2 / len(self.positions), np.float32)

    def blank(self) -> Canvas:
        """Return a canvas to paint on, not yet filled."""
        size = len(self.positions)
        return np.empty((len(self.draws), 3, size, size), np.float32)


class Curve(NamedTuple):
    """A bent line through the picture."""

    distance: Plane
    """Distance to its middle, positive on one side, negative on the other."""
    along: Plane
    """How far along it a pixel lies."""


def mix(first: np.ndarray, second: np.ndarray, plane: Plane) -> Canvas:
    """Return a canvas with the `first` color where the plane is 0, the `second` where it is 1."""
    canvas = plane[:, None] * (second - first)[:, :, None, None]
    canvas += first[:, :, None, None]
    return canvas


def mottle(
    land: Land, name: str, low: float, high: float, *, tile: str = "clouds"
) -> Plane:
    """Return a window of fractal noise at a random place, angle and size.

    Parameters
    ----------
    land : Land
    name : str
    low, high : float
        Half the window's width as a share of the tile: small values are close views.
    tile : str, default="clouds"
        See `sample_clouds`.

    Returns
    -------
    ndarray of shape (n_images, image_size, image_size), float32
        From 0 to 1.
    """
    cosine, sine = directions(land.draws.uniform(f"{name} turn"))
    scale = land.draws.uniform(f"{name} scale", low, high)
    place = land.draws.uniform(f"{name} place", n_columns=2)
    return sample_clouds(scale * cosine, scale * sine, place, land.positions, tile=tile)


def shade(canvas: Canvas, plane: Plane, depth: np.ndarray) -> None:
    """Darken a canvas where the plane is near 0 and lighten it where it is near 1."""
    plane = plane - 0.5
    plane *= column(depth)
    plane += 1
    canvas *= plane[:, None]


def paint_some(
    land: Land,
    canvas: Canvas,
    name: str,
    share: float,
    painter: Callable[[Canvas, Land], None],
) -> None:
    """Let a painter add to some of the images."""
    rows = np.flatnonzero(land.draws.happens(name, share))
    if len(rows):
        part = canvas[rows]
        painter(part, Land(land.draws.rows(rows), land.positions))
        canvas[rows] = part


def curve(land: Land, name: str, *, bend: float, reach: float = 0.5) -> Curve:
    """Return a parabola at a random angle that passes within `reach` of the center.

    Parameters
    ----------
    land : Land
    name : str
    bend : float
        Largest curvature: 0 is straight.
    reach : float, default=0.5
        Largest distance from the center; the picture is 2 wide.
    """
    draws = land.draws
    cosine, sine = directions(draws.uniform(f"{name} turn"))
    nothing = np.zeros(len(draws), np.float32)
    along = affine(cosine, sine, nothing, land.positions)
    offset = draws.uniform(f"{name} offset", -reach, reach)
    across = affine(-sine, cosine, offset, land.positions)
    curvature = column(draws.uniform(f"{name} bend", -bend, bend))
    across -= curvature * along * along
    slope = 2 * curvature * along
    across /= np.sqrt(slope * slope + 1)
    return Curve(distance=across, along=along)


def paint_line(
    canvas: Canvas, land: Land, line: Curve, color: np.ndarray, half_width: np.ndarray
) -> None:
    """Paint all that lies within `half_width`, of shape (n_images,), of a curve."""
    paint(canvas, color, coverage(np.abs(line.distance) - column(half_width), land.pixel))
