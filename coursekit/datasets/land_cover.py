"""Drawn land cover: ten classes of satellite pictures named after EuroSAT's, from a seed.

Every picture is a function of (seed, number of the picture, its size) alone. A painter takes
the images to paint and gives their canvas in clear air; blur, light, haze, color cast and
noise come last.
"""

from collections.abc import Callable

import numpy as np

from coursekit.datasets.drawing import (
    Draws,
    check_window,
    chunks,
    column,
    coverage,
    gaussian_planes,
    hash_cells,
    paint,
    pixel_positions,
    to_bytes,
    triangle_wave,
)
from coursekit.datasets.imageset import ImageSet
from coursekit.datasets.land_parts import (
    ASPHALT,
    CROPS,
    DRY,
    GRASS,
    HALLS,
    LAKE,
    SAND,
    SCRUB,
    STREAM,
    TILES,
    WOOD,
    Canvas,
    Cells,
    Land,
    bit_share,
    cell_borders,
    cells,
    colors_from,
    curve,
    dots,
    houses,
    mix,
    mottle,
    paint_countryside,
    paint_fields,
    paint_line,
    paint_some,
    paint_streets,
    paint_track,
    paint_trees,
    paint_water,
    patchwork,
    shade,
    sun_shift,
    uniform_ground,
)


def _paint_annual_crop(land: Land) -> Canvas:
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
    paint(canvas, colors_from(draws, "pivot", CROPS), coverage(disc, land.pixel) * 0.85)


def _paint_permanent_crop(land: Land) -> Canvas:
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
        canvas, colors_from(draws, "crown", np.concatenate([WOOD, SCRUB])), planted * 0.85
    )
    border = cell_borders(lattice, np.full(len(draws), 0.025, np.float32))
    paint(canvas, colors_from(draws, "border", DRY), border)
    return canvas


def _paint_pasture(land: Land) -> Canvas:
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


def _paint_highway(land: Land) -> Canvas:
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
    bits = hash_cells(draws.bits("cars")[:, 0], np.floor(road.along * 9), lane)
    on_road = np.abs(np.abs(road.distance) - column(half_width * 0.58))
    cars = coverage(on_road - column(half_width * 0.2), land.pixel)
    cars *= bit_share(bits, 0, 8) < 0.16
    paint(canvas, colors_from(draws, "car", HALLS), cars)
    return canvas


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
    paint(canvas, colors_from(draws, "ramp", ASPHALT), coverage(ring, land.pixel))


def _paint_industrial(land: Land) -> Canvas:
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


def _paint_residential(land: Land) -> Canvas:
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


def _paint_forest(land: Land) -> Canvas:
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


def _paint_herbaceous_vegetation(land: Land) -> Canvas:
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


def _paint_river(land: Land) -> Canvas:
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


def _paint_sea_lake(land: Land) -> Canvas:
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


_PAINTERS: dict[str, Callable[[Land], Canvas]] = {
    "AnnualCrop": _paint_annual_crop,
    "Forest": _paint_forest,
    "HerbaceousVegetation": _paint_herbaceous_vegetation,
    "Highway": _paint_highway,
    "Industrial": _paint_industrial,
    "Pasture": _paint_pasture,
    "PermanentCrop": _paint_permanent_crop,
    "Residential": _paint_residential,
    "River": _paint_river,
    "SeaLake": _paint_sea_lake,
}

LAND_COVER_CLASSES = tuple(_PAINTERS)


CARD = """\
Drawn land cover: satellite pictures painted by coursekit.datasets.make_land_cover from a seed.
Ten classes named after EuroSAT's (Helber et al., 2019); no pixel comes from a satellite.
The pictures are free to use as coursekit is (CC BY 4.0)."""

HAZE = np.array([0.66, 0.70, 0.76], np.float32)


def make_land_cover(
    n_images: int, *, seed: int, start: int = 0, image_size: int = 64
) -> ImageSet:
    """Return satellite pictures of ten classes, numbers `start` on of the world of `seed`.

    Of shape (n_images, image_size, image_size, 3); windows that do not overlap share no picture,
    and each class comes once in every ten pictures. The same landscape at any size (8 to 1024
    pixels); only blur and noise differ. The classes are those of Helber et al., "EuroSAT",
    IEEE JSTARS 12, 2019, https://doi.org/10.1109/JSTARS.2019.2918242.

    Examples
    --------
    >>> make_land_cover(20, seed=0)
    ImageSet(20 images of 64 x 64 x 3, 10 classes)
    """
    check_window(n_images, image_size)
    draws = Draws(seed, "land cover", np.arange(start, start + n_images, dtype=np.uint64))
    labels = draws.balanced("class", len(LAND_COVER_CLASSES))
    images = np.empty((n_images, image_size, image_size, 3), np.uint8)
    positions, painters = pixel_positions(image_size), tuple(_PAINTERS.values())
    for label in range(len(LAND_COVER_CLASSES)):
        rows = np.flatnonzero(labels == label)
        for part in chunks(len(rows), image_size):
            land = Land(draws.rows(rows[part]), positions)
            canvas = _blurred(land, painters[label](land))
            images[rows[part]] = to_bytes(_seen_from_space(land, canvas))
    return ImageSet(images=images, labels=labels, class_names=LAND_COVER_CLASSES, card=CARD)


def _seen_from_space(land: Land, canvas: Canvas) -> Canvas:
    """Return the canvas under uneven light, through haze, by a camera with cast and noise."""
    draws = land.draws
    light = mottle(land, "light", 0.02, 0.08, tile="hills")
    light *= column(draws.uniform("uneven", 0, 0.25))
    light += column(draws.uniform("exposure", 0.6, 1.25))
    canvas *= light[:, None]
    gray = 0.3 * canvas[:, 0] + 0.59 * canvas[:, 1] + 0.11 * canvas[:, 2]
    canvas -= gray[:, None]
    canvas *= draws.uniform("saturation", 0.5, 1.3)[:, None, None, None]
    canvas += gray[:, None]
    haze = HAZE * draws.uniform("haze light", 0.8, 1.1)[:, None]
    haze = haze[:, :, None, None] - canvas
    haze *= column(draws.uniform("haze") * draws.uniform("haze too", 0, 0.5))[:, None]
    canvas += haze
    canvas *= draws.uniform("cast", 0.91, 1.09, n_columns=3)[:, :, None, None]
    n_pixels = canvas.shape[-1] ** 2
    grain = gaussian_planes(draws.bits("grain")[:, 0], 3, n_pixels)
    grain *= column(draws.uniform("grain", 0.004, 0.025))
    canvas += grain.reshape(canvas.shape)
    return canvas


def _blurred(land: Land, canvas: Canvas) -> Canvas:
    """Return the canvas a little out of focus, as a lens and the air leave it."""
    strength = land.draws.uniform("blur", 0.1, 1)
    soft = _smoothed(_smoothed(canvas).swapaxes(2, 3)).swapaxes(2, 3)
    soft -= canvas
    soft *= strength[:, None, None, None]
    canvas += soft
    return canvas


def _smoothed(canvas: Canvas) -> Canvas:
    """Return each row weighted 1/2 and its neighbors 1/4; the borders repeat."""
    soft = canvas * 0.5
    quarter = canvas * 0.25
    soft[:, :, 1:] += quarter[:, :, :-1]
    soft[:, :, :-1] += quarter[:, :, 1:]
    soft[:, :, 0] += quarter[:, :, 0]
    soft[:, :, -1] += quarter[:, :, -1]
    return soft
