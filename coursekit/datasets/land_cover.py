"""Drawn land cover: ten classes of satellite pictures named after EuroSAT's, from a seed.

Every picture is a function of (seed, number of the picture, its size) alone. A painter takes
the images (`Land`) and paints their canvas in clear air; blur, light, haze, color cast
and noise come last. Array shapes as in `drawing`; lengths count half pictures: a picture is 2
wide.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from coursekit.datasets.drawing import (
    Canvas,
    Draws,
    Plane,
    add_grain,
    affine,
    chunks,
    column,
    coverage,
    hash_cells,
    mix,
    paint,
    pixel_positions,
    pixel_width,
    sample_clouds,
    to_bytes,
    triangle_wave,
)
from coursekit.datasets.imageset import ImageSet


def _table(colors: str) -> np.ndarray:
    """Return colors, written as red, green and blue in percent."""
    return np.array([color.split() for color in colors.split(",")], np.float32) / 100


CROPS = _table(
    "34 48 20, 50 58 27, 62 55 33, 70 61 42, 44 34 25, 55 40 32, 25 38 17, 60 48 38"
)
GRASS = _table("36 48 24, 44 54 29, 33 44 22, 48 52 32")
WOOD = _table("10 20 10, 14 25 12, 12 22 17, 19 25 13")
SCRUB = _table("28 36 19, 36 42 24, 24 33 20")
DRY = _table("52 47 31, 60 52 37, 45 46 28, 50 40 29")
ASPHALT = _table("48 48 49, 60 58 56, 42 42 44, 66 63 58")
TILES = _table("60 32 25, 68 41 31, 50 30 26, 54 51 49, 40 38 40, 72 66 60")
HALLS = _table("86 86 86, 72 74 78, 54 61 70, 60 41 36, 48 48 50, 78 74 66")
LAKE = _table("7 16 28, 9 23 32, 14 27 30, 6 13 22, 12 25 38")
STREAM = _table("12 22 31, 18 27 29, 25 30 28, 10 19 27")
SAND = _table("68 62 48, 58 54 42, 50 50 36")

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
    draws = Draws(seed, "land cover", np.arange(start, start + n_images, dtype=np.uint64))
    labels = draws.balanced("class", len(_PAINTERS))
    images = np.empty((n_images, image_size, image_size, 3), np.uint8)
    for label, painter in enumerate(_PAINTERS.values()):
        rows = np.flatnonzero(labels == label)
        for part in chunks(len(rows), image_size):
            land = Land(draws.rows(rows[part]), pixel_positions(image_size))
            painter(land)
            images[rows[part]] = to_bytes(_seen_from_space(land))
    return ImageSet(images=images, labels=labels, class_names=tuple(_PAINTERS), card=CARD)


def _seen_from_space(land: "Land") -> Canvas:
    """Return the canvas out of focus, in uneven light, through haze, with cast and noise."""
    canvas = land.canvas
    soft = _smoothed(_smoothed(canvas).swapaxes(2, 3)).swapaxes(2, 3)
    canvas += (soft - canvas) * land.number("blur", 0.1, 1)[:, None]
    light = land.mottle("light", 0.02, 0.08, tile="hills") * land.number("uneven", 0, 0.25)
    canvas *= (light + land.number("exposure", 0.6, 1.25))[:, None]
    gray = (0.3 * canvas[:, 0] + 0.59 * canvas[:, 1] + 0.11 * canvas[:, 2])[:, None]
    canvas -= gray
    canvas *= land.number("saturation", 0.5, 1.3)[:, None]
    canvas += gray
    uniform = land.draws.uniform
    haze = HAZE * uniform("haze light", 0.8, 1.1)[:, None]
    paint(canvas, haze, column(uniform("haze") * uniform("haze too", 0, 0.5)))
    canvas *= uniform("cast", 0.91, 1.09, n_columns=3)[:, :, None, None]
    add_grain(canvas, land.draws.bits("grain"), uniform("grain", 0.004, 0.025))
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


# What is drawn with: numbers, colors, texture, lines, cells


@dataclass
class Land:
    """The images to paint: their random numbers, positions of pixels on one axis, and canvas."""

    draws: Draws
    positions: np.ndarray
    canvas: Canvas | None = None

    @property
    def pixel(self) -> np.float32:
        """Width of a pixel."""
        return pixel_width(self.positions)

    def number(self, name: str, low: float, high: float) -> np.ndarray:
        """Return a random number an image, to meet a plane."""
        return column(self.draws.uniform(name, low, high))

    def colors(self, name: str, *tables: np.ndarray, n_colors: int = 1) -> np.ndarray:
        """Return colors between two random entries of the tables, each a little off."""
        table = np.concatenate(tables)
        first, second = (
            table[self.draws.integers(f"{name} {end}", len(table), n_columns=n_colors)]
            for end in (1, 2)
        )
        part = self.draws.uniform(f"{name} mix", 0, 0.5, n_columns=n_colors)[:, :, None]
        change = self.draws.uniform(f"{name} change", -0.04, 0.04, n_columns=3 * n_colors)
        color = first + (second - first) * part + change.reshape(first.shape)
        return color if n_colors > 1 else color[:, 0]

    def mottle(self, name: str, low: float, high: float, *, tile: str = "clouds") -> Plane:
        """Return fractal noise at a random place and angle; small sizes are close."""
        cosine, sine = self.draws.directions(f"{name} turn").T
        scale = self.draws.uniform(f"{name} scale", low, high)
        place = self.draws.uniform(f"{name} place", n_columns=2)
        return sample_clouds(scale * cosine, scale * sine, place, self.positions, tile=tile)

    def curve(self, name: str, *, bend: float, reach: float = 0.5) -> tuple[Plane, Plane]:
        """Return distances to a parabola that passes within `reach` of the center.

        Positive on one side, negative on the other; and how far along it each pixel lies.
        """
        cosine, sine = self.draws.directions(f"{name} turn").T
        along = affine(cosine, sine, np.zeros_like(sine), self.positions)
        offset = self.draws.uniform(f"{name} offset", -reach, reach)
        across = affine(-sine, cosine, offset, self.positions)
        curvature = self.number(f"{name} bend", -bend, bend)
        slope = 2 * curvature * along
        across = (across - curvature * along * along) / np.sqrt(slope * slope + 1)
        return across, along

    def near(self, line: Plane, half_width: np.ndarray | float) -> Plane:
        """Return how much of each pixel lies by a line, from the distances to it."""
        return coverage(np.abs(line) - column(half_width), self.pixel)

    def distance(self, name: str, *, reach: float) -> Plane:
        """Return distances to a point that lies within `reach` of the center on each axis."""
        dx = self.positions - self.number(f"{name} x", -reach, reach)
        dy = self.positions[:, None] - self.number(f"{name} y", -reach, reach)
        return np.sqrt(dx * dx + dy * dy)

    def paint(self, color: np.ndarray, covered: Plane) -> None:
        """Lay a color over the canvas."""
        paint(self.canvas, color, covered)

    def let_some(self, name: str, share: float, painter: Callable[["Land"], None]) -> None:
        """Let a painter add to some of the images."""
        rows = np.flatnonzero(self.draws.happens(name, share))
        if len(rows):
            some = Land(self.draws.rows(rows), self.positions, self.canvas[rows])
            painter(some)
            self.canvas[rows] = some.canvas


class Cells(NamedTuple):
    """A plane cut into cells."""

    bits: np.ndarray  # 32 random bits of the cell, uint32, the same for all its pixels
    x: Plane
    y: Plane  # place in the cell, from -0.5 to 0.5
    along: Plane
    across: Plane  # place in the whole plane, counted in cells
    width: np.ndarray  # width of a cell, of shape (n_images,)
    pixel: np.ndarray  # width of a pixel in cells, of shape (n_images,)

    def share(self, shift: int, n_bits: int) -> Plane:
        """Return some of the bits as a number in ``[0, 1)``, float32."""
        part = (self.bits >> np.uint32(shift)) & np.uint32(2**n_bits - 1)
        return part.astype(np.float32) * np.float32(2.0**-n_bits)

    def is_turned(self) -> np.ndarray:
        """Return in which cells the rows of crops lie the other way."""
        return (self.bits & np.uint32(8)).astype(bool)

    def borders(self, half_width: np.ndarray | float) -> Plane:
        """Return how much of each pixel a line along the cells' borders covers."""
        inside = np.maximum(np.abs(self.x), np.abs(self.y))
        return coverage(0.5 - inside - column(half_width), self.pixel)


def cells(
    land: Land, name: str, low: float, high: float, *, warp: float = 0, bricks: bool = True
) -> Cells:
    """Return a lattice of cells at a random angle, from `low` to `high` wide.

    Borders wander by `warp` cells; rows of `bricks` are shifted against each other.
    """
    uniform, positions = land.draws.uniform, land.positions
    cosine, sine = land.draws.directions(f"{name} turn").T
    width = uniform(f"{name} width", low, high)
    height = width * uniform(f"{name} stretch", 0.8, 1.25)
    phase = uniform(f"{name} phase", n_columns=2)
    along = affine(cosine / width, sine / width, phase[:, 0], positions)
    across = affine(-sine / height, cosine / height, phase[:, 1], positions)
    if warp:
        # Two products here and one below round differently: both stay as they are.
        along += land.mottle(f"{name} warp", 0.1, 0.2, tile="hills") * 2 * warp
        across += land.mottle(f"{name} warp too", 0.1, 0.2, tile="hills") * np.float32(
            2 * warp
        )
    row = np.floor(across)
    if bricks:
        along += row * land.number(f"{name} shift", 0.2, 0.8)
    position = np.floor(along)
    bits = hash_cells(land.draws.bits(f"{name} cells"), position, row)
    x, y = along - position - 0.5, across - row - 0.5
    return Cells(bits, x, y, along, across, width, land.pixel / width)


def _contrasted(plane: Plane, contrast: np.ndarray | float) -> Plane:
    """Return the factor of brightness, 1 where the plane is in the middle of 0 to 1."""
    return ((plane - 0.5) * contrast + 1)[:, None]


def patchwork(lattice: Cells, palette: np.ndarray) -> Canvas:
    """Return a canvas on which every cell has one of eight colors, (n_images, 8, 3)."""
    entry = (lattice.bits & np.uint32(7)).astype(np.intp)
    entry += 8 * np.arange(len(palette))[:, None, None]
    colors = palette.reshape(-1, 3).T
    return np.take(colors, entry, axis=1, mode="clip").swapaxes(0, 1)


# What is painted


def paint_houses(
    land: Land, lattice: Cells, roofs: np.ndarray, *, largest: float, sun: float
) -> None:
    """Paint a house in most cells, with a ridge and a shadow of length `sun`."""
    half_x = lattice.share(3, 4) * (largest - 0.2) + 0.2
    half_y = lattice.share(7, 4) * (largest - 0.2) + 0.2
    x = lattice.x - (lattice.share(11, 4) - 0.5) * (0.95 - 2 * half_x)
    y = lattice.y - (lattice.share(15, 4) - 0.5) * (0.95 - 2 * half_y)
    empty = (lattice.share(19, 8) >= 0.85).astype(np.float32) * 9
    shadow_x, shadow_y = (column(way * sun) for way in land.draws.directions("sun").T)
    shadow = _box(x - shadow_x, y - shadow_y, half_x, half_y) + empty
    land.canvas *= (1 - 0.5 * coverage(shadow, lattice.pixel))[:, None]
    roof = patchwork(lattice, roofs)
    ridge = np.where(half_x > half_y, y * shadow_y, x * shadow_x) > 0
    roof *= np.where(ridge, 0.82, 1.05)[:, None]
    land.paint(roof, coverage(_box(x, y, half_x, half_y) + empty, lattice.pixel))


def _box(x: Plane, y: Plane, half_x: Plane, half_y: Plane) -> Plane:
    return np.maximum(np.abs(x) - half_x, np.abs(y) - half_y)


def dots(lattice: Cells, share: np.ndarray, smallest: float) -> Plane:
    """Return how much of each pixel a round dot covers, one dot in a share of the cells."""
    radius = lattice.share(3, 5) * (0.4 - smallest) + smallest
    room = 1 - 2 * radius
    x = lattice.x - (lattice.share(8, 5) - 0.5) * room
    y = lattice.y - (lattice.share(13, 5) - 0.5) * room
    absent = (lattice.share(18, 8) >= share).astype(np.float32)
    return coverage(np.sqrt(x * x + y * y) - radius + absent * 9, lattice.pixel)


def uniform_ground(land: Land, name: str, *tables: np.ndarray, contrast: float) -> Canvas:
    """Return ground of one color, lighter and darker in patches and grains."""
    patches = _contrasted(land.mottle(f"{name} patches", 0.1, 0.3), contrast)
    return land.colors(name, *tables)[:, :, None, None] * patches


def paint_fields(land: Land, lattice: Cells, *, relief: float) -> Canvas:
    """Return fields with plow lines as strong as `relief`, a border around each."""
    canvas = patchwork(lattice, land.colors("crops", CROPS, n_colors=8))
    density = column(lattice.width / land.draws.uniform("fields furrow", 0.08, 0.2))
    lines = np.where(lattice.is_turned(), lattice.along, lattice.across) * density
    plowed = (triangle_wave(lines) * 2 - 0.5) * (lattice.share(4, 4) * relief) + 1
    canvas *= (plowed * (land.mottle("soil", 0.1, 0.3) * 0.24 + 0.88))[:, None]
    border = lattice.borders(land.draws.uniform("border", 0.006, 0.02) / lattice.width)
    hedge = land.colors("field border", WOOD, SCRUB, DRY)
    paint(canvas, hedge, border * land.number("bordered", 0.2, 1))
    return canvas


def paint_countryside(land: Land) -> Canvas:
    """Return fields or woodland, whatever a road or a river runs through."""
    canvas = paint_fields(land, cells(land, "fields", 0.5, 1.4, warp=0.05), relief=0.15)
    woods = land.mottle("woods", 0.06, 0.15) - land.number("woods", 0.25, 1.3)
    leaves = land.mottle("crowns", 0.12, 0.2, tile="crowns") * 0.5 + 0.75
    leaves = land.colors("leaves", WOOD)[:, :, None, None] * leaves[:, None]
    paint(canvas, leaves, np.clip(woods * 30, 0, 1))
    return canvas


def paint_water(land: Land, table: np.ndarray) -> Canvas:
    """Return water of two mingled colors out of a table, with ripples."""
    first, second = land.colors("water", table, n_colors=2).transpose(1, 0, 2)
    canvas = mix(first, second, land.mottle("depth", 0.03, 0.15))
    ripples = land.mottle("ripples", 0.15, 0.25, tile="crowns") - 0.5
    return canvas + (ripples * land.number("ripple", 0, 0.05))[:, None]


def paint_track(land: Land) -> None:
    """Paint a narrow road."""
    line, _ = land.curve("track", bend=0.4, reach=0.8)
    width = land.draws.uniform("track width", 0.015, 0.035)
    land.paint(land.colors("track", ASPHALT, SAND), land.near(line, width))


def paint_trees(land: Land, lattice: Cells, share: np.ndarray) -> None:
    """Paint a tree in a share of the cells."""
    land.paint(land.colors("tree", WOOD), dots(lattice, share, 0.18) * 0.85)


def paint_streets(
    land: Land, lattice: Cells, every: tuple[int, int], half_width: float
) -> None:
    """Paint streets between every so many rows and columns of cells."""
    nearest = np.minimum(
        triangle_wave(lattice.across / every[0]) * every[0],
        triangle_wave(lattice.along / every[1]) * every[1],
    )
    street = coverage(nearest - half_width, lattice.pixel)
    land.paint(land.colors("street", ASPHALT), street)


# The ten classes, each with what only it shows


def _paint_annual_crop(land: Land) -> None:
    lattice = cells(land, "fields", 0.7, 2.2, warp=0.04)
    land.canvas = paint_fields(land, lattice, relief=0.22)
    land.let_some("pivot", 0.15, _irrigated_circle)
    land.let_some("track", 0.3, paint_track)


def _irrigated_circle(land: Land) -> None:
    disc = land.distance("pivot", reach=0.6) - land.number("pivot radius", 0.4, 0.9)
    land.paint(land.colors("pivot", CROPS), coverage(disc, land.pixel) * 0.85)


def _paint_permanent_crop(land: Land) -> None:
    """Paint orchards and vineyards."""
    draws = land.draws
    lattice = cells(land, "plots", 0.8, 2.2, warp=0.03)
    land.canvas = patchwork(lattice, land.colors("soil", CROPS[2:6], GRASS[:2], n_colors=8))
    spacing = draws.uniform("spacing", 0.13, 0.26)
    density = column(lattice.width / spacing)
    across, along = (triangle_wave(p * density) for p in (lattice.across, lattice.along))
    turned = lattice.is_turned()
    row, between = np.where(turned, along, across), np.where(turned, across, along)
    orchard = column(draws.happens("orchard", 0.55))
    distance = np.where(orchard > 0, np.sqrt(row * row + between * between), row)
    distance = distance - land.number("thickness", 0.2, 0.36)
    planted = coverage(distance, land.pixel / spacing) * (lattice.share(5, 6) < 0.95)
    land.paint(land.colors("crown", WOOD, SCRUB), planted * 0.85)
    land.paint(land.colors("border", DRY), lattice.borders(0.025))


def _paint_pasture(land: Land) -> None:
    land.canvas = uniform_ground(land, "meadow", GRASS, contrast=0.35)
    lattice = cells(land, "paddocks", 0.9, 2.0, warp=0.12)
    land.canvas *= _contrasted(lattice.share(4, 6), 0.16)
    hedge = lattice.borders(land.draws.uniform("hedge", 0.02, 0.05) / lattice.width)
    land.paint(land.colors("hedge", WOOD), hedge * land.number("hedged", 0, 0.9))
    trees = cells(land, "trees", 0.16, 0.3)
    paint_trees(land, trees, land.number("trees", 0, 0.12))
    land.let_some("track", 0.3, _path)


def _path(land: Land) -> None:
    line, _ = land.curve("path", bend=0.5, reach=0.8)
    width = land.draws.uniform("path width", 0.012, 0.025)
    land.paint(land.colors("path", DRY), land.near(line, width))


def _paint_highway(land: Land) -> None:
    """Paint highways through the country."""
    land.canvas = paint_countryside(land)
    land.let_some("crossing", 0.6, paint_track)
    land.let_some("ramp", 0.35, _ramp)
    road, along = land.curve("road", bend=0.35)
    half_width = land.draws.uniform("road width", 0.07, 0.16)
    land.paint(land.colors("verge", GRASS), land.near(road, half_width * 1.5))
    land.paint(land.colors("asphalt", ASPHALT), land.near(road, half_width))
    median = land.colors("median", GRASS, HALLS[:2])
    land.paint(median, land.near(road, half_width * 0.16))
    lane = np.floor(road / column(half_width * 0.5))
    places = hash_cells(land.draws.bits("cars"), np.floor(along * 9), lane)
    on_road = np.abs(np.abs(road) - column(half_width * 0.58))
    cars = coverage(on_road - column(half_width * 0.2), land.pixel)
    cars *= (places & np.uint32(255)).astype(np.float32) / 256 < 0.16
    land.paint(land.colors("car", HALLS), cars)


def _ramp(land: Land) -> None:
    """Paint a circular slip road."""
    ring = np.abs(land.distance("ramp", reach=0.5) - land.number("ramp radius", 0.2, 0.45))
    land.paint(land.colors("ramp", ASPHALT), land.near(ring, 0.03))


def _paint_industrial(land: Land) -> None:
    land.canvas = uniform_ground(land, "yard", ASPHALT, GRASS[:1], contrast=0.4)
    green = land.mottle("green", 0.1, 0.3) > land.number("green share", 0.6, 0.95)
    land.paint(land.colors("lawn", GRASS), green.astype(np.float32) * 0.8)
    lattice = cells(land, "halls", 0.45, 0.85, bricks=False)
    paint_streets(land, lattice, (1, 2), 0.05)
    # Rows of parked cars and stored goods in some of the cells.
    rows = triangle_wave(lattice.x * 6) < 0.2
    rows &= triangle_wave(lattice.y * 11) < 0.36
    rows &= (np.abs(lattice.x) < 0.36) & (np.abs(lattice.y) < 0.36)
    rows &= lattice.share(2, 4) < 0.4
    land.paint(land.colors("goods", HALLS), rows.astype(np.float32) * 0.7)
    roofs = land.colors("halls", HALLS, n_colors=8)
    paint_houses(land, lattice, roofs, largest=0.44, sun=0.07)


def _paint_residential(land: Land) -> None:
    land.canvas = uniform_ground(land, "gardens", GRASS, DRY[:2], contrast=0.5)
    trees = cells(land, "trees", 0.1, 0.16)
    paint_trees(land, trees, land.number("trees", 0.1, 0.5))
    lattice = cells(land, "houses", 0.2, 0.34, bricks=False, warp=0.08)
    paint_streets(land, lattice, (2, 5), 0.13)
    roofs = land.colors("roofs", TILES, n_colors=8)
    paint_houses(land, lattice, roofs, largest=0.36, sun=0.14)


def _paint_forest(land: Land) -> None:
    first, second = land.colors("leaves", WOOD, n_colors=2).transpose(1, 0, 2)
    land.canvas = mix(first, second, land.mottle("stands", 0.1, 0.35))
    crowns = land.mottle("crowns", 0.12, 0.22, tile="crowns")
    land.canvas *= _contrasted(crowns, land.number("depth", 0.35, 0.9))
    land.let_some("clearing", 0.25, _clearing)


def _clearing(land: Land) -> None:
    bare = land.mottle("clearing", 0.05, 0.15) - land.number("cleared", 0.75, 0.95)
    land.paint(land.colors("cleared", GRASS, SCRUB, DRY), np.clip(bare * 20, 0, 0.8))


def _paint_herbaceous_vegetation(land: Land) -> None:
    """Paint dry grass and scrub."""
    patches = land.mottle("patches", 0.12, 0.3) - land.number("share", 0.35, 0.65)
    patches = np.clip(patches * land.number("sharpness", 2.5, 9) + 0.5, 0, 1)
    land.canvas = mix(land.colors("dry", DRY), land.colors("scrub", SCRUB), patches)
    stems = land.mottle("stems", 0.12, 0.25, tile="crowns")
    land.canvas *= _contrasted(stems, land.number("depth", 0.1, 0.4))
    bushes = dots(cells(land, "bushes", 0.09, 0.14), land.number("bushes", 0, 0.4), 0.2)
    land.paint(land.colors("bush", WOOD), bushes * 0.7)


def _paint_river(land: Land) -> None:
    """Paint rivers through the country."""
    land.canvas = paint_countryside(land)
    land.let_some("track", 0.3, paint_track)
    meanders = land.mottle("meanders", 0.1, 0.2, tile="hills") - 0.5
    distance = land.curve("river", bend=0.5)[0] + meanders * land.number("wander", 0.2, 1)
    distance = np.abs(distance)
    width = land.number("width", 0.1, 0.28)
    width = width * (0.75 + land.mottle("banks", 0.15, 0.3) * 0.5)
    bank = land.colors("bank", SAND, WOOD, SCRUB)
    land.paint(bank, coverage(distance - width * 1.3, land.pixel * 2))
    land.paint(paint_water(land, STREAM), coverage(distance - width, land.pixel))
    land.let_some("bridge", 0.2, _bridge)


def _bridge(land: Land) -> None:
    line, _ = land.curve("bridge", bend=0.1, reach=0.4)
    land.paint(land.colors("bridge", ASPHALT), land.near(line, 0.035))


def _paint_sea_lake(land: Land) -> None:
    """Paint open water, some with a shore."""
    land.canvas = paint_water(land, LAKE)
    land.let_some("shore", 0.4, _shore)


def _shore(land: Land) -> None:
    coast, _ = land.curve("coast", bend=0.5, reach=0.3)
    coast = coast + (land.mottle("coast", 0.08, 0.2) - 0.5) * 0.6
    dry = land.number("sea level", 0.3, 0.9) - coast
    beach = coverage(dry - land.number("beach", 0, 0.1), land.pixel)
    land.paint(land.colors("beach", SAND), beach)
    land.paint(paint_countryside(land), coverage(dry, land.pixel))


_PAINTERS: dict[str, Callable[[Land], None]] = {
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
