"""Ten kinds of land as a satellite sees them, one painter each.

A painter takes the images to paint and gives their canvas, in clear air: haze, color cast and
noise come later. Nothing here knows of data sets.
"""

from collections.abc import Callable

import numpy as np

from coursekit.datasets.drawing import column, coverage, paint, triangle_wave
from coursekit.datasets.draws import directions, hash_cells
from coursekit.datasets.land_parts import (
    Canvas,
    Cells,
    Land,
    Plane,
    bit_share,
    cells,
    colors_from,
    curve,
    dots,
    furrows,
    houses,
    mix,
    mottle,
    paint_line,
    patchwork,
    uniform_ground,
)

__all__ = ["LAND_COVER_CLASSES", "paint_land"]

HALF = np.float32(0.5)


def _table(*colors: tuple[int, int, int]) -> np.ndarray:
    return np.array(colors, np.float32) / np.float32(100)


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


def paint_land(label: int, land: Land) -> Canvas:
    """Return pictures of one class.

    Parameters
    ----------
    label : int
        Index into `LAND_COVER_CLASSES`.
    land : Land

    Returns
    -------
    ndarray of shape (n_images, 3, image_size, image_size), float32
    """
    return _PAINTERS[LAND_COVER_CLASSES[label]](land)


def _annual_crop(land: Land) -> Canvas:
    lattice = cells(land, "fields", 0.7, 2.2, warp=0.04)
    canvas = _fields(land, lattice, relief=0.22)
    _some(land, canvas, "pivot", 0.15, _irrigated_circle)
    _some(land, canvas, "track", 0.3, _track)
    return canvas


def _forest(land: Land) -> Canvas:
    draws = land.draws
    first, second = colors_from(draws, "leaves", WOOD, 2).transpose(1, 0, 2)
    canvas = mix(first, second, mottle(land, "stands", 0.1, 0.35))
    _shade(
        canvas,
        mottle(land, "crowns", 0.12, 0.22, tile="crowns"),
        draws.uniform("depth", 0.35, 0.9),
    )
    _some(land, canvas, "clearing", 0.25, _clearing)
    return canvas


def _herbaceous_vegetation(land: Land) -> Canvas:
    draws = land.draws
    patches = mottle(land, "patches", 0.12, 0.3)
    patches -= column(draws.uniform("share", 0.35, 0.65))
    patches *= column(draws.uniform("sharpness", 2.5, 9))
    patches += HALF
    np.clip(patches, np.float32(0), np.float32(1), out=patches)
    canvas = mix(
        colors_from(draws, "dry", DRY), colors_from(draws, "scrub", SCRUB), patches
    )
    _shade(
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
    paint(canvas, colors_from(draws, "bush", WOOD), bushes * np.float32(0.7))
    return canvas


def _highway(land: Land) -> Canvas:
    draws = land.draws
    canvas = _countryside(land)
    _some(land, canvas, "crossing", 0.6, _track)
    _some(land, canvas, "ramp", 0.35, _ramp)
    road = curve(land, "road", bend=0.35)
    half_width = draws.uniform("road width", 0.07, 0.16)
    asphalt = colors_from(draws, "asphalt", ASPHALT)
    paint_line(
        canvas, land, road, colors_from(draws, "verge", GRASS), half_width * np.float32(1.5)
    )
    paint_line(canvas, land, road, asphalt, half_width)
    median = colors_from(draws, "median", np.concatenate([GRASS, HALLS[:2]]))
    paint_line(canvas, land, road, median, half_width * np.float32(0.16))
    lane = np.floor(road.distance / column(half_width * HALF))
    bits = _road_bits(land, np.floor(road.along * np.float32(9)), lane)
    on_road = np.abs(np.abs(road.distance) - column(half_width * np.float32(0.58)))
    cars = coverage(
        on_road - column(half_width * np.float32(0.2)),
        np.broadcast_to(land.pixel, half_width.shape),
    )
    cars *= bit_share(bits, 0, 8) < np.float32(0.16)
    paint(canvas, colors_from(draws, "car", HALLS), cars)
    return canvas


def _industrial(land: Land) -> Canvas:
    draws = land.draws
    canvas = uniform_ground(
        land, "yard", np.concatenate([ASPHALT, GRASS[:1]]), contrast=0.4
    )
    green = mottle(land, "green", 0.1, 0.3) > column(
        draws.uniform("green share", 0.6, 0.95)
    )
    paint(canvas, colors_from(draws, "lawn", GRASS), green * np.float32(0.8))
    lattice = cells(land, "halls", 0.45, 0.85, bricks=False)
    _streets(canvas, land, lattice, across_every=1, along_every=2, half_width=0.05)
    _park(canvas, land, lattice)
    houses(
        canvas,
        land,
        lattice,
        colors_from(draws, "halls", HALLS, 8),
        share=0.85,
        smallest=0.2,
        largest=0.44,
        sun=_sun(land, 0.07),
    )
    return canvas


def _pasture(land: Land) -> Canvas:
    draws = land.draws
    canvas = uniform_ground(land, "meadow", GRASS, contrast=0.35)
    lattice = cells(land, "paddocks", 0.9, 2.0, warp=0.12)
    tone = (bit_share(lattice.bits, 4, 6) - HALF) * np.float32(0.16)
    canvas *= (tone + np.float32(1))[:, None]
    hedge = _border(
        lattice, draws.uniform("hedge", 0.02, 0.05) / (land.pixel / lattice.pixel)
    )
    paint(
        canvas,
        colors_from(draws, "hedge", WOOD),
        hedge * column(draws.uniform("hedged", 0, 0.9)),
    )
    trees = cells(land, "trees", 0.16, 0.3)
    _trees(canvas, land, trees, draws.uniform("trees", 0, 0.12))
    _some(land, canvas, "track", 0.3, _path)
    return canvas


def _permanent_crop(land: Land) -> Canvas:
    draws = land.draws
    lattice = cells(land, "plots", 0.8, 2.2, warp=0.03)
    canvas = patchwork(
        land,
        lattice,
        colors_from(draws, "soil", np.concatenate([CROPS[2:6], GRASS[:2]]), 8),
    )
    spacing = draws.uniform("spacing", 0.13, 0.26)
    density = column(land.pixel / lattice.pixel / spacing)
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
    planted *= bit_share(lattice.bits, 5, 6) < np.float32(0.85)
    paint(
        canvas,
        colors_from(draws, "crown", np.concatenate([WOOD, SCRUB])),
        planted * np.float32(0.85),
    )
    border = _border(lattice, np.full(len(draws), 0.025, np.float32))
    paint(canvas, colors_from(draws, "border", DRY), border)
    return canvas


def _residential(land: Land) -> Canvas:
    draws = land.draws
    canvas = uniform_ground(land, "gardens", np.concatenate([GRASS, DRY[:2]]), contrast=0.5)
    _trees(canvas, land, cells(land, "trees", 0.1, 0.16), draws.uniform("trees", 0.1, 0.5))
    lattice = cells(land, "houses", 0.2, 0.34, bricks=False, warp=0.08)
    _streets(canvas, land, lattice, across_every=2, along_every=5, half_width=0.13)
    roofs = colors_from(draws, "roofs", TILES, 8)
    houses(
        canvas,
        land,
        lattice,
        roofs,
        share=0.85,
        smallest=0.2,
        largest=0.36,
        sun=_sun(land, 0.14),
    )
    return canvas


def _river(land: Land) -> Canvas:
    draws = land.draws
    canvas = _countryside(land)
    _some(land, canvas, "track", 0.3, _track)
    river = curve(land, "river", bend=0.5)
    wander = mottle(land, "meanders", 0.1, 0.2, tile="hills") - HALF
    wander *= column(draws.uniform("wander", 0.2, 1.0))
    distance = np.abs(river.distance + wander)
    width = column(draws.uniform("width", 0.1, 0.28))
    width = width * (np.float32(0.75) + mottle(land, "banks", 0.15, 0.3) * HALF)
    pixel = np.broadcast_to(land.pixel, len(draws))
    bank = colors_from(draws, "bank", np.concatenate([SAND, WOOD, SCRUB]))
    paint(canvas, bank, coverage(distance - width * np.float32(1.3), pixel * np.float32(2)))
    paint(canvas, _water(land, STREAM), coverage(distance - width, pixel))
    _some(land, canvas, "bridge", 0.2, _bridge)
    return canvas


def _sea_lake(land: Land) -> Canvas:
    canvas = _water(land, LAKE)
    _some(land, canvas, "shore", 0.4, _shore)
    return canvas


def _fields(land: Land, lattice: Cells, *, relief: float) -> Canvas:
    draws = land.draws
    canvas = patchwork(land, lattice, colors_from(draws, "crops", CROPS, 8))
    plowed = furrows(land, lattice, "fields", 0.08, 0.2)
    plowed *= bit_share(lattice.bits, 4, 4) * np.float32(relief)
    plowed += np.float32(1)
    plowed *= mottle(land, "soil", 0.1, 0.3) * np.float32(0.24) + np.float32(0.88)
    canvas *= plowed[:, None]
    border = _border(
        lattice, draws.uniform("border", 0.006, 0.02) / (land.pixel / lattice.pixel)
    )
    hedge = colors_from(draws, "field border", np.concatenate([WOOD, SCRUB, DRY]))
    paint(canvas, hedge, border * column(draws.uniform("bordered", 0.2, 1)))
    return canvas


def _countryside(land: Land) -> Canvas:
    """Return fields or woodland, whatever a road or a river runs through."""
    canvas = _fields(land, cells(land, "fields", 0.5, 1.4, warp=0.05), relief=0.15)
    share = land.draws.uniform("woods", 0.25, 1.3)
    woods = mottle(land, "woods", 0.06, 0.15) - column(share)
    woods *= np.float32(30)
    np.clip(woods, np.float32(0), np.float32(1), out=woods)
    leaves = mottle(land, "crowns", 0.12, 0.2, tile="crowns") * HALF + np.float32(0.75)
    leaves = colors_from(land.draws, "leaves", WOOD)[:, :, None, None] * leaves[:, None]
    paint(canvas, leaves, woods)
    return canvas


def _water(land: Land, table: np.ndarray) -> Canvas:
    draws = land.draws
    first, second = colors_from(draws, "water", table, 2).transpose(1, 0, 2)
    canvas = mix(first, second, mottle(land, "depth", 0.03, 0.15))
    ripples = mottle(land, "ripples", 0.15, 0.25, tile="crowns") - HALF
    ripples *= column(draws.uniform("ripple", 0, 0.05))
    canvas += ripples[:, None]
    return canvas


def _some(
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


def _track(canvas: Canvas, land: Land) -> None:
    color = colors_from(land.draws, "track", np.concatenate([ASPHALT, SAND]))
    line = curve(land, "track", bend=0.4, reach=0.8)
    paint_line(canvas, land, line, color, land.draws.uniform("track width", 0.015, 0.035))


def _path(canvas: Canvas, land: Land) -> None:
    line = curve(land, "path", bend=0.5, reach=0.8)
    width = land.draws.uniform("path width", 0.012, 0.025)
    paint_line(canvas, land, line, colors_from(land.draws, "path", DRY), width)


def _bridge(canvas: Canvas, land: Land) -> None:
    line = curve(land, "bridge", bend=0.1, reach=0.4)
    paint_line(
        canvas,
        land,
        line,
        colors_from(land.draws, "bridge", ASPHALT),
        np.full(len(canvas), 0.035, np.float32),
    )


def _ramp(canvas: Canvas, land: Land) -> None:
    """Paint a circular slip road."""
    draws = land.draws
    x = column(draws.uniform("ramp x", -0.5, 0.5))
    y = column(draws.uniform("ramp y", -0.5, 0.5))
    dx, dy = land.positions - x, land.positions[:, None] - y
    ring = np.abs(
        np.sqrt(dx * dx + dy * dy) - column(draws.uniform("ramp radius", 0.2, 0.45))
    )
    ring -= np.float32(0.03)
    paint(
        canvas,
        colors_from(draws, "ramp", ASPHALT),
        coverage(ring, np.broadcast_to(land.pixel, len(canvas))),
    )


def _irrigated_circle(canvas: Canvas, land: Land) -> None:
    draws = land.draws
    dx = land.positions - column(draws.uniform("pivot x", -0.6, 0.6))
    dy = land.positions[:, None] - column(draws.uniform("pivot y", -0.6, 0.6))
    disc = np.sqrt(dx * dx + dy * dy) - column(draws.uniform("pivot radius", 0.4, 0.9))
    paint(
        canvas,
        colors_from(draws, "pivot", CROPS),
        coverage(disc, np.broadcast_to(land.pixel, len(canvas))) * np.float32(0.85),
    )


def _clearing(canvas: Canvas, land: Land) -> None:
    bare = mottle(land, "clearing", 0.05, 0.15) - column(
        land.draws.uniform("cleared", 0.75, 0.95)
    )
    bare *= np.float32(20)
    paint(
        canvas,
        colors_from(land.draws, "cleared", np.concatenate([GRASS, SCRUB, DRY])),
        np.clip(bare, np.float32(0), np.float32(0.8)),
    )


def _shore(canvas: Canvas, land: Land) -> None:
    draws = land.draws
    coast = curve(land, "coast", bend=0.5, reach=0.3)
    dry = coast.distance + (mottle(land, "coast", 0.08, 0.2) - HALF) * np.float32(0.6)
    dry -= column(draws.uniform("sea level", 0.3, 0.9))
    pixel = np.broadcast_to(land.pixel, len(canvas))
    paint(
        canvas,
        colors_from(draws, "beach", SAND),
        coverage(-dry - column(draws.uniform("beach", 0, 0.1)), pixel),
    )
    paint(canvas, _countryside(land), coverage(-dry, pixel))


def _trees(canvas: Canvas, land: Land, lattice: Cells, share: np.ndarray) -> None:
    crowns = dots(lattice, share=share, smallest=0.18, largest=0.4)
    paint(canvas, colors_from(land.draws, "tree", WOOD), crowns * np.float32(0.85))


def _streets(
    canvas: Canvas,
    land: Land,
    lattice: Cells,
    *,
    across_every: int,
    along_every: int,
    half_width: float,
) -> None:
    nearest = np.minimum(
        triangle_wave(lattice.across / np.float32(across_every)) * np.float32(across_every),
        triangle_wave(lattice.along / np.float32(along_every)) * np.float32(along_every),
    )
    street = coverage(nearest - np.float32(half_width), lattice.pixel)
    paint(canvas, colors_from(land.draws, "street", ASPHALT), street)


def _park(canvas: Canvas, land: Land, lattice: Cells) -> None:
    """Paint rows of parked cars and stored goods in a third of the cells."""
    rows = triangle_wave(lattice.x * np.float32(6)) < np.float32(0.2)
    rows &= triangle_wave(lattice.y * np.float32(11)) < np.float32(0.36)
    rows &= (np.abs(lattice.x) < np.float32(0.36)) & (np.abs(lattice.y) < np.float32(0.36))
    rows &= bit_share(lattice.bits, 2, 4) < np.float32(0.4)
    paint(canvas, colors_from(land.draws, "goods", HALLS), rows * np.float32(0.7))


def _border(lattice: Cells, half_width: np.ndarray) -> Plane:
    """Return how much of each pixel a line along the cells' borders covers."""
    inside = np.maximum(np.abs(lattice.x), np.abs(lattice.y))
    return coverage(HALF - inside - column(half_width), lattice.pixel)


def _road_bits(land: Land, along: Plane, lane: Plane) -> np.ndarray:
    return hash_cells(land.draws.bits("cars")[:, 0], along, lane)


def _shade(canvas: Canvas, plane: Plane, depth: np.ndarray) -> None:
    """Darken a canvas where the plane is near 0 and lighten it where it is near 1."""
    plane = plane - HALF
    plane *= column(depth)
    plane += np.float32(1)
    canvas *= plane[:, None]


def _sun(land: Land, length: float) -> tuple[np.ndarray, np.ndarray]:
    cosine, sine = directions(land.draws.uniform("sun"))
    return cosine * np.float32(length), sine * np.float32(length)


_PAINTERS: dict[str, Callable[[Land], Canvas]] = {
    "AnnualCrop": _annual_crop,
    "Forest": _forest,
    "HerbaceousVegetation": _herbaceous_vegetation,
    "Highway": _highway,
    "Industrial": _industrial,
    "Pasture": _pasture,
    "PermanentCrop": _permanent_crop,
    "Residential": _residential,
    "River": _river,
    "SeaLake": _sea_lake,
}

LAND_COVER_CLASSES = tuple(_PAINTERS)
"""Names of the classes, as in EuroSAT."""
