"""What a landscape seen from above is painted with: colors, texture, lines, cells, fields.

Each part takes the random numbers of some images (`Land`) and gives planes, or paints on a
canvas. Array shapes as in `drawing`; lengths count half pictures: a picture is 2 wide.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from coursekit.datasets.drawing import (
    Draws,
    affine,
    column,
    coverage,
    directions,
    hash_cells,
    paint,
    sample_clouds,
    triangle_wave,
)


def _table(*colors: tuple[int, int, int]) -> np.ndarray:
    return np.array(colors, np.float32) / 100


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


def colors_from(
    draws: Draws, name: str, table: np.ndarray, n_colors: int = 1, *, spread: float = 0.04
) -> np.ndarray:
    """Return colors between two random entries of a table, each a little off."""
    first = table[draws.integers(f"{name} 1", len(table), n_columns=n_colors)]
    second = table[draws.integers(f"{name} 2", len(table), n_columns=n_colors)]
    part = draws.uniform(f"{name} mix", 0, 0.5, n_columns=n_colors)[:, :, None]
    change = draws.uniform(f"{name} change", -spread, spread, n_columns=3 * n_colors)
    color = first + (second - first) * part + change.reshape(first.shape)
    return color if n_colors > 1 else color[:, 0]


Plane = np.ndarray
Canvas = np.ndarray


class Land(NamedTuple):
    """The images to paint: their random numbers and the positions of their pixels."""

    draws: Draws
    # Of shape (image_size,), float32: the pixels' centers along one axis.
    positions: np.ndarray

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

    distance: Plane  # distance to its middle, positive on one side, negative on the other
    along: Plane  # how far along it a pixel lies


def mix(first: np.ndarray, second: np.ndarray, plane: Plane) -> Canvas:
    """Return a canvas with the `first` color where the plane is 0, the `second` where it is 1."""
    canvas = plane[:, None] * (second - first)[:, :, None, None]
    canvas += first[:, :, None, None]
    return canvas


def mottle(
    land: Land, name: str, low: float, high: float, *, tile: str = "clouds"
) -> Plane:
    """Return a window of fractal noise at a random place and angle; small sizes are close."""
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
    """Return a parabola at a random angle that passes within `reach` of the center."""
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


class Cells(NamedTuple):
    """A plane cut into cells; every field has the shape of a plane."""

    bits: np.ndarray  # 32 random bits of the cell, uint32, the same for all its pixels.
    x: Plane
    y: Plane  # place in the cell, from -0.5 to 0.5
    along: Plane
    across: Plane  # place in the whole plane, counted in cells
    width: np.ndarray  # width of a cell, of shape (n_images,); the picture is 2 wide
    pixel: np.ndarray  # width of a pixel in cells, of shape (n_images,)


def cells(
    land: Land,
    name: str,
    low: float,
    high: float,
    *,
    warp: float = 0.0,
    bricks: bool = True,
) -> Cells:
    """Return a lattice of cells at a random angle, from `low` to `high` wide.

    Borders wander by `warp` cells; rows of `bricks` are shifted against each other.
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
    """Return a canvas on which every cell has one of eight colors, (n_images, 8, 3)."""
    canvas = land.blank()
    entry = (lattice.bits & np.uint32(7)).astype(np.intp)
    entry += 8 * np.arange(len(palette))[:, None, None]
    for channel in range(3):
        np.take(
            palette[:, :, channel].reshape(-1), entry, out=canvas[:, channel], mode="clip"
        )
    return canvas


def furrows(land: Land, lattice: Cells, name: str, low: float, high: float) -> Plane:
    """Return plow lines, from -0.5 to 0.5, in the one or the other direction of each cell."""
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
    """Paint a house in a share of the cells, with a ridge and a shadow where the `sun` says."""
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
    """Return how much of each pixel a round dot covers, one dot in some of the cells."""
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
