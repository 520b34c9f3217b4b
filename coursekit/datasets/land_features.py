"""Stretches of land that several classes share: fields, woods, water, tracks, streets, trees.

Nothing here knows of land-cover classes.
"""

import numpy as np

from coursekit.datasets.drawing import column, coverage, paint, triangle_wave
from coursekit.datasets.draws import directions
from coursekit.datasets.land_colors import (
    ASPHALT,
    CROPS,
    DRY,
    SAND,
    SCRUB,
    WOOD,
    colors_from,
)
from coursekit.datasets.land_lattice import (
    Cells,
    bit_share,
    cell_borders,
    cells,
    dots,
    furrows,
    patchwork,
)
from coursekit.datasets.land_parts import (
    Canvas,
    Land,
    curve,
    mix,
    mottle,
    paint_line,
)

__all__ = [
    "paint_countryside",
    "paint_fields",
    "paint_streets",
    "paint_track",
    "paint_trees",
    "paint_water",
    "sun_shift",
    "uniform_ground",
]


def uniform_ground(land: Land, name: str, table: np.ndarray, *, contrast: float) -> Canvas:
    """Return ground of one color, lighter and darker in patches and grains."""
    canvas = land.blank()
    canvas[:] = colors_from(land.draws, name, table)[:, :, None, None]
    patches = mottle(land, f"{name} patches", 0.1, 0.3)
    patches -= 0.5
    patches *= contrast
    patches += 1
    canvas *= patches[:, None]
    return canvas


def paint_fields(land: Land, lattice: Cells, *, relief: float) -> Canvas:
    """Return fields with plow lines as strong as `relief`, a border around each."""
    draws = land.draws
    canvas = patchwork(land, lattice, colors_from(draws, "crops", CROPS, 8))
    plowed = furrows(land, lattice, "fields", 0.08, 0.2)
    plowed *= bit_share(lattice.bits, 4, 4) * relief
    plowed += 1
    plowed *= mottle(land, "soil", 0.1, 0.3) * 0.24 + 0.88
    canvas *= plowed[:, None]
    border = cell_borders(lattice, draws.uniform("border", 0.006, 0.02) / lattice.width)
    hedge = colors_from(draws, "field border", np.concatenate([WOOD, SCRUB, DRY]))
    paint(canvas, hedge, border * column(draws.uniform("bordered", 0.2, 1)))
    return canvas


def paint_countryside(land: Land) -> Canvas:
    """Return fields or woodland, whatever a road or a river runs through."""
    canvas = paint_fields(land, cells(land, "fields", 0.5, 1.4, warp=0.05), relief=0.15)
    share = land.draws.uniform("woods", 0.25, 1.3)
    woods = mottle(land, "woods", 0.06, 0.15) - column(share)
    woods *= 30
    np.clip(woods, 0, 1, out=woods)
    leaves = mottle(land, "crowns", 0.12, 0.2, tile="crowns") * 0.5 + 0.75
    leaves = colors_from(land.draws, "leaves", WOOD)[:, :, None, None] * leaves[:, None]
    paint(canvas, leaves, woods)
    return canvas


def paint_water(land: Land, table: np.ndarray) -> Canvas:
    """Return water of two mingled colors out of a table, with ripples."""
    draws = land.draws
    first, second = colors_from(draws, "water", table, 2).transpose(1, 0, 2)
    canvas = mix(first, second, mottle(land, "depth", 0.03, 0.15))
    ripples = mottle(land, "ripples", 0.15, 0.25, tile="crowns") - 0.5
    ripples *= column(draws.uniform("ripple", 0, 0.05))
    canvas += ripples[:, None]
    return canvas


def paint_track(canvas: Canvas, land: Land) -> None:
    """Paint a narrow road."""
    color = colors_from(land.draws, "track", np.concatenate([ASPHALT, SAND]))
    line = curve(land, "track", bend=0.4, reach=0.8)
    paint_line(canvas, land, line, color, land.draws.uniform("track width", 0.015, 0.035))


def paint_trees(canvas: Canvas, land: Land, lattice: Cells, share: np.ndarray) -> None:
    """Paint a tree in a share of the cells."""
    crowns = dots(lattice, share=share, smallest=0.18, largest=0.4)
    paint(canvas, colors_from(land.draws, "tree", WOOD), crowns * 0.85)


def paint_streets(
    canvas: Canvas,
    land: Land,
    lattice: Cells,
    *,
    across_every: int,
    along_every: int,
    half_width: float,
) -> None:
    """Paint streets between every so many rows and columns of cells."""
    nearest = np.minimum(
        triangle_wave(lattice.across / across_every) * across_every,
        triangle_wave(lattice.along / along_every) * along_every,
    )
    street = coverage(nearest - half_width, lattice.pixel)
    paint(canvas, colors_from(land.draws, "street", ASPHALT), street)


def sun_shift(land: Land, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where shadows of this length fall: across and down, each of shape (n_images,)."""
    cosine, sine = directions(land.draws.uniform("sun"))
    return cosine * length, sine * length
