"""Wild land and water as a satellite sees them: forest, vegetation, river, sea and lake.

Every painter takes the images to paint and gives their canvas, of shape (n_images, 3,
image_size, image_size), in clear air: haze, color cast and noise come later, elsewhere.
"""

import numpy as np

from coursekit.datasets.drawing import column, coverage, paint
from coursekit.datasets.land_colors import (
    ASPHALT,
    DRY,
    GRASS,
    LAKE,
    SAND,
    SCRUB,
    STREAM,
    WOOD,
    colors_from,
)
from coursekit.datasets.land_features import (
    paint_countryside,
    paint_track,
    paint_water,
)
from coursekit.datasets.land_lattice import (
    cells,
    dots,
)
from coursekit.datasets.land_parts import (
    Canvas,
    Land,
    curve,
    mix,
    mottle,
    paint_line,
    paint_some,
    shade,
)

__all__ = ["paint_forest", "paint_herbaceous_vegetation", "paint_river", "paint_sea_lake"]


def paint_forest(land: Land) -> Canvas:
    """Return pictures of forests."""
    draws = land.draws
    first, second = colors_from(draws, "leaves", WOOD, 2).transpose(1, 0, 2)
    canvas = mix(first, second, mottle(land, "stands", 0.1, 0.35))
    shade(
        canvas,
        mottle(land, "crowns", 0.12, 0.22, tile="crowns"),
        draws.uniform("depth", 0.35, 0.9),
    )
    paint_some(land, canvas, "clearing", 0.25, _clearing)
    return canvas


def _clearing(canvas: Canvas, land: Land) -> None:
    bare = mottle(land, "clearing", 0.05, 0.15) - column(
        land.draws.uniform("cleared", 0.75, 0.95)
    )
    bare *= 20
    paint(
        canvas,
        colors_from(land.draws, "cleared", np.concatenate([GRASS, SCRUB, DRY])),
        np.clip(bare, 0, 0.8),
    )


def paint_herbaceous_vegetation(land: Land) -> Canvas:
    """Return pictures of dry grass and scrub."""
    draws = land.draws
    patches = mottle(land, "patches", 0.12, 0.3)
    patches -= column(draws.uniform("share", 0.35, 0.65))
    patches *= column(draws.uniform("sharpness", 2.5, 9))
    patches += 0.5
    np.clip(patches, 0, 1, out=patches)
    canvas = mix(
        colors_from(draws, "dry", DRY), colors_from(draws, "scrub", SCRUB), patches
    )
    shade(
        canvas,
        mottle(land, "stems", 0.12, 0.25, tile="crowns"),
        draws.uniform("depth", 0.1, 0.4),
    )
    bushes = dots(
        cells(land, "bushes", 0.09, 0.14),
        share=draws.uniform("bushes", 0, 0.4),
        smallest=0.2,
        largest=0.4,
    )
    paint(canvas, colors_from(draws, "bush", WOOD), bushes * 0.7)
    return canvas


def paint_river(land: Land) -> Canvas:
    """Return pictures of rivers through the country."""
    draws = land.draws
    canvas = paint_countryside(land)
    paint_some(land, canvas, "track", 0.3, paint_track)
    river = curve(land, "river", bend=0.5)
    wander = mottle(land, "meanders", 0.1, 0.2, tile="hills") - 0.5
    wander *= column(draws.uniform("wander", 0.2, 1.0))
    distance = np.abs(river.distance + wander)
    width = column(draws.uniform("width", 0.1, 0.28))
    width = width * (0.75 + mottle(land, "banks", 0.15, 0.3) * 0.5)
    bank = colors_from(draws, "bank", np.concatenate([SAND, WOOD, SCRUB]))
    paint(canvas, bank, coverage(distance - width * 1.3, land.pixel * 2))
    paint(canvas, paint_water(land, STREAM), coverage(distance - width, land.pixel))
    paint_some(land, canvas, "bridge", 0.2, _bridge)
    return canvas


def _bridge(canvas: Canvas, land: Land) -> None:
    line = curve(land, "bridge", bend=0.1, reach=0.4)
    paint_line(
        canvas,
        land,
        line,
        colors_from(land.draws, "bridge", ASPHALT),
        np.full(len(canvas), 0.035, np.float32),
    )


def paint_sea_lake(land: Land) -> Canvas:
    """Return pictures of open water, some with a shore."""
    canvas = paint_water(land, LAKE)
    paint_some(land, canvas, "shore", 0.4, _shore)
    return canvas


def _shore(canvas: Canvas, land: Land) -> None:
    draws = land.draws
    coast = curve(land, "coast", bend=0.5, reach=0.3)
    dry = coast.distance + (mottle(land, "coast", 0.08, 0.2) - 0.5) * 0.6
    dry -= column(draws.uniform("sea level", 0.3, 0.9))
    paint(
        canvas,
        colors_from(draws, "beach", SAND),
        coverage(-dry - column(draws.uniform("beach", 0, 0.1)), land.pixel),
    )
    paint(canvas, paint_countryside(land), coverage(-dry, land.pixel))
