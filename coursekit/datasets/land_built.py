"""Built-up land as a satellite sees it: highway, industrial, residential.

Every painter takes the images to paint and gives their canvas, of shape (n_images, 3,
image_size, image_size), in clear air: haze, color cast and noise come later, elsewhere.
"""

import numpy as np

from coursekit.datasets.drawing import column, coverage, paint, triangle_wave
from coursekit.datasets.draws import hash_cells
from coursekit.datasets.land_colors import (
    ASPHALT,
    DRY,
    GRASS,
    HALLS,
    TILES,
    colors_from,
)
from coursekit.datasets.land_features import (
    paint_countryside,
    paint_streets,
    paint_track,
    paint_trees,
    sun_shift,
    uniform_ground,
)
from coursekit.datasets.land_lattice import (
    Cells,
    bit_share,
    cells,
    houses,
)
from coursekit.datasets.land_parts import (
    Canvas,
    Land,
    Plane,
    curve,
    mottle,
    paint_line,
    paint_some,
)

__all__ = ["paint_highway", "paint_industrial", "paint_residential"]


def paint_highway(land: Land) -> Canvas:
    """Return pictures of highways through the country."""
    draws = land.draws
    canvas = paint_countryside(land)
    paint_some(land, canvas, "crossing", 0.6, paint_track)
    paint_some(land, canvas, "ramp", 0.35, _ramp)
    road = curve(land, "road", bend=0.35)
    half_width = draws.uniform("road width", 0.07, 0.16)
    asphalt = colors_from(draws, "asphalt", ASPHALT)
    paint_line(canvas, land, road, colors_from(draws, "verge", GRASS), half_width * 1.5)
    paint_line(canvas, land, road, asphalt, half_width)
    median = colors_from(draws, "median", np.concatenate([GRASS, HALLS[:2]]))
    paint_line(canvas, land, road, median, half_width * 0.16)
    lane = np.floor(road.distance / column(half_width * 0.5))
    bits = _road_bits(land, np.floor(road.along * 9), lane)
    on_road = np.abs(np.abs(road.distance) - column(half_width * 0.58))
    cars = coverage(
        on_road - column(half_width * 0.2),
        land.pixel,
    )
    cars *= bit_share(bits, 0, 8) < 0.16
    paint(canvas, colors_from(draws, "car", HALLS), cars)
    return canvas


def _road_bits(land: Land, along: Plane, lane: Plane) -> np.ndarray:
    return hash_cells(land.draws.bits("cars")[:, 0], along, lane)


def _ramp(canvas: Canvas, land: Land) -> None:
    """Paint a circular slip road."""
    draws = land.draws
    x = column(draws.uniform("ramp x", -0.5, 0.5))
    y = column(draws.uniform("ramp y", -0.5, 0.5))
    dx, dy = land.positions - x, land.positions[:, None] - y
    ring = np.abs(
        np.sqrt(dx * dx + dy * dy) - column(draws.uniform("ramp radius", 0.2, 0.45))
    )
    ring -= 0.03
    paint(
        canvas,
        colors_from(draws, "ramp", ASPHALT),
        coverage(ring, land.pixel),
    )


def paint_industrial(land: Land) -> Canvas:
    """Return pictures of industrial areas."""
    draws = land.draws
    canvas = uniform_ground(
        land, "yard", np.concatenate([ASPHALT, GRASS[:1]]), contrast=0.4
    )
    green = mottle(land, "green", 0.1, 0.3) > column(
        draws.uniform("green share", 0.6, 0.95)
    )
    paint(canvas, colors_from(draws, "lawn", GRASS), green.astype(np.float32) * 0.8)
    lattice = cells(land, "halls", 0.45, 0.85, bricks=False)
    paint_streets(canvas, land, lattice, across_every=1, along_every=2, half_width=0.05)
    _park(canvas, land, lattice)
    houses(
        canvas,
        land,
        lattice,
        colors_from(draws, "halls", HALLS, 8),
        share=0.85,
        smallest=0.2,
        largest=0.44,
        sun=sun_shift(land, 0.07),
    )
    return canvas


def _park(canvas: Canvas, land: Land, lattice: Cells) -> None:
    """Paint rows of parked cars and stored goods in a third of the cells."""
    rows = triangle_wave(lattice.x * 6) < 0.2
    rows &= triangle_wave(lattice.y * 11) < 0.36
    rows &= (np.abs(lattice.x) < 0.36) & (np.abs(lattice.y) < 0.36)
    rows &= bit_share(lattice.bits, 2, 4) < 0.4
    paint(canvas, colors_from(land.draws, "goods", HALLS), rows.astype(np.float32) * 0.7)


def paint_residential(land: Land) -> Canvas:
    """Return pictures of residential areas."""
    draws = land.draws
    canvas = uniform_ground(land, "gardens", np.concatenate([GRASS, DRY[:2]]), contrast=0.5)
    paint_trees(
        canvas, land, cells(land, "trees", 0.1, 0.16), draws.uniform("trees", 0.1, 0.5)
    )
    lattice = cells(land, "houses", 0.2, 0.34, bricks=False, warp=0.08)
    paint_streets(canvas, land, lattice, across_every=2, along_every=5, half_width=0.13)
    roofs = colors_from(draws, "roofs", TILES, 8)
    houses(
        canvas,
        land,
        lattice,
        roofs,
        share=0.85,
        smallest=0.2,
        largest=0.36,
        sun=sun_shift(land, 0.14),
    )
    return canvas
