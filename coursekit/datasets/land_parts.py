"""What a landscape seen from above is made of: fields, houses, trees, roads, water, texture.

Each part takes the random numbers of some images and gives planes, or paints on a canvas, of
shape (n_images, 3, image_size, image_size). Nothing here knows of land-cover classes.
"""

from typing import NamedTuple

import numpy as np

from coursekit.datasets.clouds import sample_clouds
from coursekit.datasets.drawing import affine, column, coverage, paint, triangle_wave
from coursekit.datasets.draws import Draws, directions, hash_cells

__all__ = [
    "Cells",
    "Curve",
    "Land",
    "bit_share",
    "cells",
    "colors_from",
    "curve",
    "dots",
    "furrows",
    "houses",
    "mix",
    "mottle",
    "paint_line",
    "patchwork",
    "uniform_ground",
]

Plane = np.ndarray
Canvas = np.ndarray
HALF = np.float32(0.5)


class Land(NamedTuple):
    """The images to paint: their random numbers and the positions of their pixels."""

    draws: Draws
    positions: np.ndarray
    """Of shape (image_size,), float32: the pixels' centers along one axis."""

    @property
    def pixel(self) -> np.float32:
        """Width of a pixel; the picture is 2 wide."""
        return np.float32(2 / len(self.positions))

    def blank(self) -> Canvas:
        """Return a canvas to paint on, not yet filled."""
        size = len(self.positions)
        return np.empty((len(self.draws), 3, size, size), np.float32)


class Cells(NamedTuple):
    """A plane cut into cells; every field has the shape of a plane."""

    bits: np.ndarray
    """32 random bits of the cell, uint32, the same for all its pixels."""
    x: Plane
    y: Plane
    """Place in the cell, from -0.5 to 0.5."""
    along: Plane
    across: Plane
    """Place in the whole plane, counted in cells."""
    pixel: np.ndarray
    """Width of a pixel in cells, of shape (n_images,)."""


class Curve(NamedTuple):
    """A bent line through the picture."""

    distance: Plane
    """Distance to its middle, positive on one side, negative on the other."""
    along: Plane
    """How far along it a pixel lies."""


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


def uniform_ground(land: Land, name: str, table: np.ndarray, *, contrast: float) -> Canvas:
    """Return ground of one color, lighter and darker in patches and grains."""
    canvas = land.blank()
    canvas[:] = colors_from(land.draws, name, table)[:, :, None, None]
    patches = mottle(land, f"{name} patches", 0.1, 0.3)
    patches -= HALF
    patches *= np.float32(contrast)
    patches += np.float32(1)
    canvas *= patches[:, None]
    return canvas


def cells(
    land: Land,
    name: str,
    low: float,
    high: float,
    *,
    warp: float = 0.0,
    bricks: bool = True,
) -> Cells:
    """Return a lattice of cells at a random angle.

    Parameters
    ----------
    land : Land
    name : str
    low, high : float
        Width of a cell; the picture is 2 wide.
    warp : float, default=0
        How far the borders wander, in cells.
    bricks : bool, default=True
        Whether rows are shifted against each other.
    """
    draws, positions = land.draws, land.positions
    cosine, sine = directions(draws.uniform(f"{name} turn"))
    width = draws.uniform(f"{name} width", low, high)
    stretch = draws.uniform(f"{name} stretch", 0.8, 1.25)
    phase = draws.uniform(f"{name} phase", n_columns=2)
    along = affine(cosine / width, sine / width, phase[:, 0], positions)
    high_ = width * stretch
    across = affine(-sine / high_, cosine / high_, phase[:, 1], positions)
    if warp:
        along += mottle(land, f"{name} warp", 0.1, 0.2, tile="hills") * np.float32(2 * warp)
        across += mottle(land, f"{name} warp too", 0.1, 0.2, tile="hills") * np.float32(
            2 * warp
        )
    row = np.floor(across)
    if bricks:
        along += row * column(draws.uniform(f"{name} shift", 0.2, 0.8))
    position = np.floor(along)
    return Cells(
        bits=hash_cells(draws.bits(name)[:, 0], position, row),
        x=along - position - HALF,
        y=across - row - HALF,
        along=along,
        across=across,
        pixel=land.pixel / width,
    )


def bit_share(bits: np.ndarray, shift: int, n_bits: int) -> Plane:
    """Return some of the bits as a number in ``[0, 1)``, float32."""
    part = (bits >> np.uint32(shift)) & np.uint32(2**n_bits - 1)
    return part.astype(np.float32) * np.float32(2.0**-n_bits)


def patchwork(land: Land, lattice: Cells, palette: np.ndarray) -> Canvas:
    """Return a canvas on which every cell has one of eight colors.

    Parameters
    ----------
    land : Land
    lattice : Cells
    palette : ndarray of shape (n_images, 8, 3), float32
    """
    canvas = land.blank()
    entry = (lattice.bits & np.uint32(7)).astype(np.intp)
    entry += 8 * np.arange(len(palette))[:, None, None]
    for channel in range(3):
        np.take(
            palette[:, :, channel].reshape(-1), entry, out=canvas[:, channel], mode="clip"
        )
    return canvas


def furrows(land: Land, lattice: Cells, name: str, low: float, high: float) -> Plane:
    """Return plow lines, from -0.5 to 0.5, in the one or the other direction of each cell.

    Parameters
    ----------
    land : Land
    lattice : Cells
    name : str
    low, high : float
        Distance of two lines; the picture is 2 wide.
    """
    width = land.pixel / lattice.pixel
    density = column(width / land.draws.uniform(f"{name} furrow", low, high))
    turned = (lattice.bits & np.uint32(8)).astype(bool)
    lines = triangle_wave(np.where(turned, lattice.along, lattice.across) * density)
    lines *= np.float32(2)
    lines -= HALF
    return lines


def houses(
    canvas: Canvas,
    land: Land,
    lattice: Cells,
    roofs: np.ndarray,
    *,
    share: float,
    smallest: float,
    largest: float,
    sun: tuple[np.ndarray, np.ndarray],
) -> None:
    """Paint a house in some of the cells, with a ridge and a shadow.

    Parameters
    ----------
    canvas : ndarray of shape (n_images, 3, image_size, image_size), float32
    land : Land
    lattice : Cells
    roofs : ndarray of shape (n_images, 8, 3), float32
        Colors of roofs.
    share : float
        Share of the cells with a house.
    smallest, largest : float
        Half-width of a house, in cells.
    sun : (ndarray of shape (n_images,), ndarray of shape (n_images,))
        Where the shadow falls, in cells.
    """
    bits = lattice.bits
    half_x = bit_share(bits, 3, 4) * np.float32(largest - smallest) + np.float32(smallest)
    half_y = bit_share(bits, 7, 4) * np.float32(largest - smallest) + np.float32(smallest)
    x = lattice.x - (bit_share(bits, 11, 4) - HALF) * (np.float32(0.95) - 2 * half_x)
    y = lattice.y - (bit_share(bits, 15, 4) - HALF) * (np.float32(0.95) - 2 * half_y)
    empty = np.where(
        bit_share(bits, 19, 8) < np.float32(share), np.float32(0), np.float32(9)
    )
    shadow_x, shadow_y = column(sun[0]), column(sun[1])
    shade = coverage(
        _box(x - shadow_x, y - shadow_y, half_x, half_y) + empty, lattice.pixel
    )
    canvas *= (np.float32(1) - np.float32(0.5) * shade)[:, None]
    roof = patchwork(land, lattice, roofs)
    ridge = np.where((half_x > half_y), y * shadow_y, x * shadow_x) > 0
    roof *= np.where(ridge, np.float32(0.82), np.float32(1.05))[:, None]
    paint(canvas, roof, coverage(_box(x, y, half_x, half_y) + empty, lattice.pixel))


def _box(x: Plane, y: Plane, half_x: Plane, half_y: Plane) -> Plane:
    return np.maximum(np.abs(x) - half_x, np.abs(y) - half_y)


def dots(
    lattice: Cells, *, share: float | np.ndarray, smallest: float, largest: float
) -> Plane:
    """Return how much of each pixel a round dot covers, one dot in some of the cells.

    Parameters
    ----------
    lattice : Cells
    share : float or ndarray of shape (n_images,)
        Share of the cells with a dot.
    smallest, largest : float
        Radius of a dot, in cells.
    """
    bits = lattice.bits
    radius = bit_share(bits, 3, 5) * np.float32(largest - smallest) + np.float32(smallest)
    room = np.float32(1) - 2 * radius
    x = lattice.x - (bit_share(bits, 8, 5) - HALF) * room
    y = lattice.y - (bit_share(bits, 13, 5) - HALF) * room
    share = column(np.broadcast_to(np.float32(share), (len(bits),)))
    absent = bit_share(bits, 18, 8) >= share
    distance = np.sqrt(x * x + y * y) - radius
    distance += absent * np.float32(9)
    return coverage(distance, lattice.pixel)


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
    slope = np.float32(2) * curvature * along
    across /= np.sqrt(slope * slope + np.float32(1))
    return Curve(distance=across, along=along)


def paint_line(
    canvas: Canvas, land: Land, line: Curve, color: np.ndarray, half_width: np.ndarray
) -> None:
    """Paint all that lies within `half_width`, of shape (n_images,), of a curve."""
    distance = np.abs(line.distance) - column(half_width)
    pixel = np.broadcast_to(land.pixel, half_width.shape)
    paint(canvas, color, coverage(distance, pixel))
