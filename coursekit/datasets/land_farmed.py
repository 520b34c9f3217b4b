"""Farmed land as a satellite sees it: annual crop, pasture, permanent crop.

Every painter takes the images to paint and gives their canvas, of shape (n_images, 3,
image_size, image_size), in clear air: haze, color cast and noise come later, elsewhere.
"""

import numpy as np

from coursekit.datasets.drawing import column, coverage, paint, triangle_wave
from coursekit.datasets.land_colors import (
    CROPS,
    DRY,
    GRASS,
    SCRUB,
    WOOD,
    colors_from,
)
from coursekit.datasets.land_features import (
    paint_fields,
    paint_track,
    paint_trees,
    uniform_ground,
)
from coursekit.datasets.land_lattice import (
    bit_share,
    cell_borders,
    cells,
    patchwork,
)
from coursekit.datasets.land_parts import (
    Canvas,
    Land,
    curve,
    paint_line,
    paint_some,
)

__all__ = ["paint_annual_crop", "paint_pasture", "paint_permanent_crop"]


def paint_annual_crop(land: Land) -> Canvas:
    """Return pictures of fields sown every year."""
    lattice = cells(land, "fields", 0.7, 2.2, warp=0.04)
    canvas = paint_fields(land, lattice, relief=0.22)
    paint_some(land, canvas, "pivot", 0.15, _irrigated_circle)
    paint_some(land, canvas, "track", 0.3, paint_track)
    return canvas


def _irrigated_circle(canvas: Canvas, land: Land) -> None:
    draws = land.draws
    dx = land.positions - column(draws.uniform("pivot x", -0.6, 0.6))
    dy = land.positions[:, None] - column(draws.uniform("pivot y", -0.6, 0.6))
    disc = np.sqrt(dx * dx + dy * dy) - column(draws.uniform("pivot radius", 0.4, 0.9))
    paint(
        canvas,
        colors_from(draws, "pivot", CROPS),
        coverage(disc, land.pixel) * 0.85,
    )


def paint_permanent_crop(land: Land) -> Canvas:
    """Return pictures of orchards and vineyards."""
    draws = land.draws
    lattice = cells(land, "plots", 0.8, 2.2, warp=0.03)
    canvas = patchwork(
        land,
        lattice,
        colors_from(draws, "soil", np.concatenate([CROPS[2:6], GRASS[:2]]), 8),
    )
    spacing = draws.uniform("spacing", 0.13, 0.26)
    density = column(lattice.width / spacing)
    across, along = (
        triangle_wave(lattice.across * density),
        triangle_wave(lattice.along * density),
    )
    turned = (lattice.bits & np.uint32(8)).astype(bool)
    row = np.where(turned, along, across)
    between = np.where(turned, across, along)
    orchard = column(draws.happens("orchard", 0.55))
    distance = np.where(orchard > 0, np.sqrt(row * row + between * between), row)
    thick = column(draws.uniform("thickness", 0.2, 0.36))
    planted = coverage(distance - thick, land.pixel / spacing)
    planted *= bit_share(lattice.bits, 5, 6) < 0.95
    paint(
        canvas,
        colors_from(draws, "crown", np.concatenate([WOOD, SCRUB])),
        planted * 0.85,
    )
    border = cell_borders(lattice, np.full(len(draws), 0.025, np.float32))
    paint(canvas, colors_from(draws, "border", DRY), border)
    return canvas


def paint_pasture(land: Land) -> Canvas:
    """Return pictures of pastures."""
    draws = land.draws
    canvas = uniform_ground(land, "meadow", GRASS, contrast=0.35)
    lattice = cells(land, "paddocks", 0.9, 2.0, warp=0.12)
    tone = (bit_share(lattice.bits, 4, 6) - 0.5) * 0.16
    canvas *= (tone + 1)[:, None]
    hedge = cell_borders(lattice, draws.uniform("hedge", 0.02, 0.05) / lattice.width)
    paint(
        canvas,
        colors_from(draws, "hedge", WOOD),
        hedge * column(draws.uniform("hedged", 0, 0.9)),
    )
    trees = cells(land, "trees", 0.16, 0.3)
    paint_trees(canvas, land, trees, draws.uniform("trees", 0, 0.12))
    paint_some(land, canvas, "track", 0.3, _path)
    return canvas


def _path(canvas: Canvas, land: Land) -> None:
    line = curve(land, "path", bend=0.5, reach=0.8)
    width = land.draws.uniform("path width", 0.012, 0.025)
    paint_line(canvas, land, line, colors_from(land.draws, "path", DRY), width)
