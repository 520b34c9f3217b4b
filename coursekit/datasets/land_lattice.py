"""Landscapes cut into cells: plots of land, houses, trees, plow lines.

Nothing here knows of land-cover classes.
"""

from typing import NamedTuple

import numpy as np

from coursekit.datasets.drawing import affine, column, coverage, paint, triangle_wave
from coursekit.datasets.draws import directions, hash_cells
from coursekit.datasets.land_parts import Canvas, Land, Plane, mottle

__all__ = [
    "Cells",
    "bit_share",
    "cell_borders",
    "cells",
    "dots",
    "furrows",
    "houses",
    "patchwork",
]


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
    width: np.ndarray
    """Width of a cell, of shape (n_images,); the picture is 2 wide."""
    pixel: np.ndarray
    """Width of a pixel in cells, of shape (n_images,)."""


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
        along += mottle(land, f"{name} warp", 0.1, 0.2, tile="hills") * 2 * warp
        across += mottle(land, f"{name} warp too", 0.1, 0.2, tile="hills") * np.float32(
            2 * warp
        )
    row = np.floor(across)
    if bricks:
        along += row * column(draws.uniform(f"{name} shift", 0.2, 0.8))
    position = np.floor(along)
    return Cells(
        bits=hash_cells(draws.bits(f"{name} cells")[:, 0], position, row),
        x=along - position - 0.5,
        y=across - row - 0.5,
        along=along,
        across=across,
        width=width,
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
    density = column(lattice.width / land.draws.uniform(f"{name} furrow", low, high))
    turned = (lattice.bits & np.uint32(8)).astype(bool)
    lines = triangle_wave(np.where(turned, lattice.along, lattice.across) * density)
    lines *= 2
    lines -= 0.5
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
    half_x = bit_share(bits, 3, 4) * (largest - smallest) + smallest
    half_y = bit_share(bits, 7, 4) * (largest - smallest) + smallest
    x = lattice.x - (bit_share(bits, 11, 4) - 0.5) * (0.95 - 2 * half_x)
    y = lattice.y - (bit_share(bits, 15, 4) - 0.5) * (0.95 - 2 * half_y)
    empty = (bit_share(bits, 19, 8) >= share).astype(np.float32) * 9
    shadow_x, shadow_y = column(sun[0]), column(sun[1])
    shade = coverage(
        _box(x - shadow_x, y - shadow_y, half_x, half_y) + empty, lattice.pixel
    )
    canvas *= (1 - 0.5 * shade)[:, None]
    roof = patchwork(land, lattice, roofs)
    ridge = np.where((half_x > half_y), y * shadow_y, x * shadow_x) > 0
    roof *= np.where(ridge, 0.82, 1.05)[:, None]
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
    radius = bit_share(bits, 3, 5) * (largest - smallest) + smallest
    room = 1 - 2 * radius
    x = lattice.x - (bit_share(bits, 8, 5) - 0.5) * room
    y = lattice.y - (bit_share(bits, 13, 5) - 0.5) * room
    share = column(np.broadcast_to(np.float32(share), (len(bits),)))
    absent = (bit_share(bits, 18, 8) >= share).astype(np.float32)
    distance = np.sqrt(x * x + y * y) - radius
    distance += absent * 9
    return coverage(distance, lattice.pixel)


def cell_borders(lattice: Cells, half_width: np.ndarray) -> Plane:
    """Return how much of each pixel a line along the cells' borders covers."""
    inside = np.maximum(np.abs(lattice.x), np.abs(lattice.y))
    return coverage(0.5 - inside - column(half_width), lattice.pixel)
