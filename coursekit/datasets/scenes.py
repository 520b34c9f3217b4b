"""Pictures of the shapes world: one shaded shape before a background, amid clutter.

A `Scene` says what stands where; `draw_scenes` paints it at any size. The outlines of the 28
shapes are tables of signed distances, negative inside a shape, which reaches about 1 from its
center. Array shapes as in `drawing`; the picture is 2 wide.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import cos, pi, sin
from typing import NamedTuple

import numpy as np

from coursekit.datasets.drawing import (
    Canvas,
    Plane,
    affine,
    column,
    coverage,
    gaussian_planes,
    mix,
    paint,
    pixel_positions,
    sample_bilinear,
    sample_clouds,
    to_bytes,
    triangle_wave,
)

ATLAS_SIZE = 128  # entries along each side of a table
ATLAS_REACH = 1.3  # a table spans the square from minus this to this

Point = tuple[float, float]
Points = tuple[Plane, Plane]  # x and y of every entry of a table


@cache
def _shape_atlas() -> np.ndarray:
    """Return the distance tables of all shapes, of shape (28, ATLAS_SIZE, ATLAS_SIZE).

    Rounded to 1/4096, so that every machine has the same table.
    """
    steps = np.linspace(-ATLAS_REACH, ATLAS_REACH, ATLAS_SIZE)
    points = tuple(np.meshgrid(steps, steps))
    planes = [outline(points) for outline in _OUTLINES.values()]
    return (np.round(np.stack(planes) * 4096) / 4096).astype(np.float32)


def _disc(p: Points, radius: float, at: Point = (0, 0)) -> Plane:
    return np.sqrt((p[0] - at[0]) ** 2 + (p[1] - at[1]) ** 2) - radius


def _box(p: Points, half_width: float, half_height: float, at: Point = (0, 0)) -> Plane:
    dx, dy = np.abs(p[0] - at[0]) - half_width, np.abs(p[1] - at[1]) - half_height
    outside = np.sqrt(np.maximum(dx, 0) ** 2 + np.maximum(dy, 0) ** 2)
    return outside + np.minimum(np.maximum(dx, dy), 0)


def _ellipse(
    p: Points, a: float, b: float, at: Point = (0, 0), degrees: float = 0
) -> Plane:
    """Nearly the distance: exact on the edge, good near it."""
    c, s = cos(degrees * pi / 180), sin(degrees * pi / 180)
    x, y = p[0] - at[0], p[1] - at[1]
    u, v = c * x + s * y, c * y - s * x
    scaled = np.sqrt((u / a) ** 2 + (v / b) ** 2)
    slope = np.sqrt((u / a**2) ** 2 + (v / b**2) ** 2)
    return np.where(slope > 0, scaled * (scaled - 1) / np.maximum(slope, 1e-9), -min(a, b))


def _capsule(p: Points, start: Point, stop: Point, radius: float) -> Plane:
    """Return the distance to a line with round ends."""
    return np.sqrt(_squared_distance(p, start, stop)) - radius


def _squared_distance(p: Points, start: Point, stop: Point) -> Plane:
    ex, ey = stop[0] - start[0], stop[1] - start[1]
    wx, wy = p[0] - start[0], p[1] - start[1]
    along = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0, 1)
    return (wx - ex * along) ** 2 + (wy - ey * along) ** 2


def _polygon(p: Points, corners: Sequence[Point]) -> Plane:
    """Exact distance; inside by counting the edges that a ray to the right crosses."""
    x, y = p
    nearest, inside = np.full_like(x, np.inf), np.zeros(x.shape, bool)
    for start, stop in zip(corners, [*corners[1:], corners[0]], strict=True):
        nearest = np.minimum(nearest, _squared_distance(p, start, stop))
        if start[1] != stop[1]:
            between = (start[1] > y) != (stop[1] > y)
            slope = stop[0] - start[0], stop[1] - start[1]
            inside ^= between & (x < start[0] + (y - start[1]) * slope[0] / slope[1])
    return np.where(inside, -1, 1) * np.sqrt(nearest)


def _at(radius: float, degrees: float) -> Point:
    return radius * cos(degrees * pi / 180), radius * sin(degrees * pi / 180)


def _around(radii: Sequence[float], n_points: int) -> list[Point]:
    """Points around the center from the top on, their radii taken in turn."""
    return [_at(radii[i % len(radii)], -90 + 360 * i / n_points) for i in range(n_points)]


def _mirrored(p: Points, *corners: Point) -> Plane:
    """Return a polygon from its right half, top to bottom."""
    return _polygon(p, [*corners, *[(-x, y) for x, y in reversed(corners) if x != 0]])


def _union(*planes: Plane) -> Plane:
    return np.minimum.reduce(planes)


def _without(plane: Plane, *holes: Plane) -> Plane:
    return np.maximum(plane, -_union(*holes))


def _heart(p: Points) -> Plane:
    def height(t: float) -> float:
        return -(13 * cos(t) - 5 * cos(2 * t) - 2 * cos(3 * t) - cos(4 * t)) / 16.5 - 0.12

    turns = [2 * pi * i / 48 for i in range(48)]
    return _polygon(p, [(sin(t) ** 3 * 0.95, height(t)) for t in turns])


def _gear(p: Points) -> Plane:
    tooth = ((0.68, -14), (0.98, -8.5), (0.98, 8.5), (0.68, 14))
    teeth = [_at(radius, 45 * i + degrees) for i in range(8) for radius, degrees in tooth]
    return _without(_polygon(p, teeth), _disc(p, 0.3))


def _horseshoe(p: Points) -> Plane:
    bow = np.abs(_disc(p, 0.62, (0, -0.2))) - 0.24
    legs = (_box(p, 0.24, 0.46, (side * 0.62, 0.26)) for side in (-1, 1))
    return _union(np.maximum(bow, p[1] + 0.12), *legs)


def _flower(p: Points) -> Plane:
    petals = [_disc(p, 0.34, at) for at in _around([0.6], 6)]
    return _without(_union(_disc(p, 0.5), *petals), _disc(p, 0.2))


def _propeller(p: Points) -> Plane:
    places = zip(_around([0.52], 3), (-90, 30, 150), strict=True)
    blades = [_ellipse(p, 0.48, 0.25, at, degrees) for at, degrees in places]
    return _union(_disc(p, 0.2), *blades)


def _house(p: Points) -> Plane:
    roof = _polygon(p, [(0, -0.95), (0.95, -0.1), (-0.95, -0.1)])
    walls = _without(_box(p, 0.66, 0.5, (0, 0.36)), _box(p, 0.17, 0.3, (0, 0.62)))
    return _union(roof, walls, _box(p, 0.13, 0.3, (0.5, -0.6)))


def _key(p: Points) -> Plane:
    bow = np.abs(_disc(p, 0.34, (0, -0.54))) - 0.16
    teeth = _box(p, 0.22, 0.1, (0.26, 0.46)), _box(p, 0.26, 0.12, (0.28, 0.86))
    return _union(bow, _box(p, 0.14, 0.6, (0, 0.38)), *teeth)


def _fish(p: Points) -> Plane:
    tail = _polygon(p, [(0.3, 0), (0.98, -0.52), (0.8, 0), (0.98, 0.52)])
    fin = _polygon(p, [(-0.3, -0.3), (0.3, -0.72), (0.25, -0.2)])
    return _union(_ellipse(p, 0.68, 0.42, (-0.3, 0)), tail, fin)


def _beetle(p: Points) -> Plane:
    limbs = []
    for side in (-1, 1):
        limbs.append(_capsule(p, (side * 0.1, -0.65), (side * 0.36, -0.98), 0.06))
        for bend in (-0.45, 0, 0.45):
            start, stop = (side * 0.3, 0.2 + 0.5 * bend), (side * 0.86, 0.18 + 1.25 * bend)
            limbs.append(_capsule(p, start, stop, 0.075))
    return _union(_ellipse(p, 0.42, 0.58, (0, 0.18)), _disc(p, 0.25, (0, -0.52)), *limbs)


def _butterfly(p: Points) -> Plane:
    wings = []
    for side in (-1, 1):
        wings.append(_ellipse(p, 0.52, 0.33, (side * 0.5, -0.38), side * -35))
        wings.append(_ellipse(p, 0.4, 0.28, (side * 0.42, 0.4), side * 40))
    return _union(_ellipse(p, 0.11, 0.62), *wings)


_BOLT = [(0.32, -1), (-0.72, 0.2), (-0.12, 0.2), (-0.36, 1), (0.72, -0.28), (0.14, -0.28)]
_CHEVRON = [(-0.5, -0.9), (0, -0.9), (0.68, 0), (0, 0.9), (-0.5, 0.9), (0.1, 0)]
_OUTLINES: dict[str, Callable[[Points], Plane]] = {
    "disc": lambda p: _disc(p, 0.85),
    "ring": lambda p: np.abs(_disc(p, 0.68)) - 0.22,
    "square": lambda p: _box(p, 0.76, 0.76),
    "frame": lambda p: _without(_box(p, 0.8, 0.8), _box(p, 0.45, 0.45)),
    "triangle": lambda p: _polygon(p, _around([1.05], 3)),
    "pentagon": lambda p: _polygon(p, _around([0.95], 5)),
    "star": lambda p: _polygon(p, _around([1.05, 0.43], 10)),
    "cross": lambda p: _union(_box(p, 0.88, 0.3), _box(p, 0.3, 0.88)),
    "crescent": lambda p: _without(_disc(p, 0.9), _disc(p, 0.78, (0.45, -0.15))),
    "heart": _heart,
    "arrow": lambda p: _mirrored(p, (0, -1), (0.78, -0.1), (0.28, -0.1), (0.28, 0.95)),
    "semicircle": lambda p: np.maximum(_disc(p, 0.95, (0, 0.4)), p[1] - 0.4),
    "ellipse": lambda p: _ellipse(p, 1.0, 0.52),
    "drop": lambda p: _union(
        _disc(p, 0.56, (0, 0.38)), _polygon(p, [(0, -1), (0.5, 0.1), (-0.5, 0.1)])
    ),
    "horseshoe": _horseshoe,
    "hourglass": lambda p: _mirrored(p, (0.72, -0.92), (0.13, 0), (0.72, 0.92)),
    "bolt": lambda p: _polygon(p, _BOLT),
    "gear": _gear,
    "sparkle": lambda p: _polygon(p, _around([1.05, 0.34], 8)),
    "flower": _flower,
    "propeller": _propeller,
    "dumbbell": lambda p: _union(
        _disc(p, 0.38, (-0.6, 0)), _disc(p, 0.38, (0.6, 0)), _box(p, 0.6, 0.15)
    ),
    "chevron": lambda p: _polygon(p, _CHEVRON),
    "house": _house,
    "fish": _fish,
    "key": _key,
    "beetle": _beetle,
    "butterfly": _butterfly,
}

ALL_SHAPES = tuple(_OUTLINES)
SOURCE_SHAPES, UNSEEN_SHAPES = ALL_SHAPES[:18], ALL_SHAPES[18:]  # to pretrain, to transfer


# Backgrounds


class Pattern(NamedTuple):
    """The background of each image; every field has one entry an image."""

    kind: np.ndarray  # index into `BACKGROUNDS`
    cosine: np.ndarray
    sine: np.ndarray  # direction in which the pattern repeats
    period: np.ndarray  # its length there; the picture is 2 wide
    phase: np.ndarray  # shift along and across, in periods, of shape (n_images, 2)
    fill: np.ndarray  # share of the second color, from 0 to 1

    def along(self, positions: np.ndarray) -> Plane:
        """Return how many periods each pixel lies along the direction."""
        c, s = self.cosine / self.period, self.sine / self.period
        return affine(c, s, self.phase[:, 0], positions)

    def across(self, positions: np.ndarray) -> Plane:
        """Return how many periods each pixel lies across the direction."""
        c, s = self.cosine / self.period, self.sine / self.period
        return affine(-s, c, self.phase[:, 1], positions)

    def waves(self, positions: np.ndarray) -> tuple[Plane, Plane]:
        """Return the distances to the nearest whole period, along and across."""
        return triangle_wave(self.along(positions)), triangle_wave(self.across(positions))

    def cover(self, edge: Plane, positions: np.ndarray) -> Plane:
        """Return the share of the second color from distances in periods."""
        return coverage(edge, _pixel(positions) / self.period)


def _pixel(positions: np.ndarray) -> np.float32:
    """Width of a pixel; the picture is 2 wide."""
    return np.float32(2 / len(positions))


def _plain(pattern: Pattern, positions: np.ndarray) -> Plane:
    slope = pattern.fill * 0.3
    return affine(slope * pattern.cosine, slope * pattern.sine, slope, positions)


def _striped(pattern: Pattern, positions: np.ndarray) -> Plane:
    edge = triangle_wave(pattern.along(positions)) - column(pattern.fill * 0.5)
    return pattern.cover(edge, positions)


def _wavy(pattern: Pattern, positions: np.ndarray) -> Plane:
    bend = triangle_wave(pattern.across(positions) * 0.6)
    bend *= bend * (3 - 4 * bend)  # smooth at both ends, 0 to 0.25
    bend *= 2.8
    edge = triangle_wave(pattern.along(positions) + bend) - column(pattern.fill * 0.5)
    return coverage(edge, _pixel(positions) / pattern.period * 1.3)


def _gridded(pattern: Pattern, positions: np.ndarray) -> Plane:
    nearest = np.minimum(*pattern.waves(positions)) - column(pattern.fill * 0.28)
    return pattern.cover(nearest, positions)


def _checkered(pattern: Pattern, positions: np.ndarray) -> Plane:
    along, across = (
        pattern.cover(wave - 0.25, positions) for wave in pattern.waves(positions)
    )
    return along + across - 2 * along * across


def _dotted(pattern: Pattern, positions: np.ndarray) -> Plane:
    along, across = pattern.waves(positions)
    along *= along
    across *= across
    along += across
    distance = np.sqrt(along, out=along) - column(0.16 + pattern.fill * 0.25)
    return pattern.cover(distance, positions)


def _cloudy(pattern: Pattern, positions: np.ndarray) -> Plane:
    scale = 0.08 / pattern.period
    c, s = scale * pattern.cosine, scale * pattern.sine
    clouds = sample_clouds(c, s, pattern.phase, positions)
    clouds -= column(0.75 - 0.5 * pattern.fill)
    clouds *= 2
    clouds += 0.5
    return np.clip(clouds, 0, 1, out=clouds)


_PATTERNS: dict[str, Callable[[Pattern, np.ndarray], Plane]] = {
    "plain": _plain,
    "striped": _striped,
    "dotted": _dotted,
    "checkered": _checkered,
    "cloudy": _cloudy,
    "gridded": _gridded,
    "wavy": _wavy,
}

BACKGROUNDS = tuple(_PATTERNS)


# Scenes


class Clutter(NamedTuple):
    """Small bars, triangles and dots, a fixed number an image; sizes are half-widths."""

    x: np.ndarray
    y: np.ndarray
    cosine: np.ndarray
    sine: np.ndarray
    length: np.ndarray
    width: np.ndarray
    slant: np.ndarray  # 0 for a bar, 1 for a triangle
    visible: np.ndarray  # of type bool
    color: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything in the pictures; each field has one entry an image, float32 unless said."""

    shape: np.ndarray  # index into the atlas, of shape (n_images,), int64
    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray  # half-width of the shape; the picture is 2 wide
    aspect: np.ndarray  # wider than high above 1
    cosine: np.ndarray
    sine: np.ndarray  # direction in which the shape is turned
    color: np.ndarray  # of shape (n_images, 3)
    pattern: Pattern
    background_colors: np.ndarray  # of shape (n_images, 2, 3)
    behind: Clutter
    front: Clutter
    light_x: np.ndarray
    light_y: np.ndarray  # where the light comes from, of length 1
    relief: np.ndarray  # how strongly the light shades the shape
    shadow: np.ndarray  # opacity of its shadow
    falloff: np.ndarray  # how much darker the picture is away from the light
    contrast: np.ndarray  # below 1, the picture is seen as through haze
    haze: np.ndarray  # brightness of that haze, from 0 to 1
    noise: np.ndarray  # standard deviation of the noise
    noise_keys: np.ndarray  # random bits, of shape (n_images,), uint64


def draw_scenes(scene: Scene, *, image_size: int) -> np.ndarray:
    """Return pictures of the scenes."""
    positions = pixel_positions(image_size)
    planes = np.empty((len(scene.shape), image_size, image_size), np.float32)
    for kind, draw in enumerate(_PATTERNS.values()):
        rows = np.flatnonzero(scene.pattern.kind == kind)
        if len(rows):
            planes[rows] = draw(Pattern(*(v[rows] for v in scene.pattern)), positions)
    canvas = mix(scene.background_colors[:, 0], scene.background_colors[:, 1], planes)
    _draw_clutter(canvas, scene.behind, positions)
    _draw_shape(canvas, scene, positions)
    _draw_clutter(canvas, scene.front, positions)
    across, down = scene.falloff * scene.light_x, scene.falloff * scene.light_y
    canvas *= affine(across, down, np.ones_like(across), positions)[:, None]
    canvas *= column(scene.contrast)[:, None]
    canvas += column(scene.haze * (1 - scene.contrast))[:, None]
    grain = gaussian_planes(scene.noise_keys, 3, image_size**2)
    grain *= column(scene.noise)
    canvas += grain.reshape(canvas.shape)
    return to_bytes(canvas)


def _draw_clutter(canvas: Canvas, clutter: Clutter, positions: np.ndarray) -> None:
    for number in range(clutter.visible.shape[1]):
        rows = np.flatnonzero(clutter.visible[:, number])
        if len(rows):
            item = Clutter(*(values[rows, number] for values in clutter))
            part = canvas[rows]
            paint(part, item.color, _clutter_coverage(item, positions))
            canvas[rows] = part


def _clutter_coverage(item: Clutter, positions: np.ndarray) -> Plane:
    x, y, c, s = item.x, item.y, item.cosine, item.sine
    along = np.abs(affine(c, s, -(c * x + s * y), positions))
    across = affine(-s, c, s * x - c * y, positions)
    along += across * column(item.slant * 0.5)
    along -= column(item.length)
    np.abs(across, out=across)
    across -= column(item.width)
    return coverage(np.maximum(along, across, out=along), _pixel(positions))


def shape_distance(
    which: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    radius: np.ndarray,
    positions: np.ndarray,
    turned: tuple = (1.0, 1.0, 0.0),
) -> Plane:
    """Return the signed distance of each pixel to a shape's edge, negative inside.

    `turned` are its aspect, and cosine and sine of its angle.
    """
    aspect, c, s = turned
    to_entry = np.float32((ATLAS_SIZE - 1) / (2 * ATLAS_REACH))
    middle = np.float32((ATLAS_SIZE - 1) / 2)
    wide, high = to_entry / (radius * aspect), to_entry * aspect / radius
    across = affine(c * wide, s * wide, middle - (c * x + s * y) * wide, positions)
    down = affine(-s * high, c * high, middle + (s * x - c * y) * high, positions)
    distance = sample_bilinear(_shape_atlas(), which, across, down)
    distance *= column(radius)
    return distance


def _draw_shape(canvas: Canvas, scene: Scene, positions: np.ndarray) -> None:
    reach = 0.16 * scene.radius + 0.05  # of the shadow, away from the light
    turned = scene.aspect, scene.cosine, scene.sine
    distance, shifted = (
        shape_distance(scene.shape, x, y, scene.radius, positions, turned)
        for x, y in (
            (scene.x, scene.y),
            (scene.x - reach * scene.light_x, scene.y - reach * scene.light_y),
        )
    )
    shade = coverage(shifted, _pixel(positions) + reach)
    shade *= column(scene.shadow)
    canvas *= (1 - shade)[:, None]
    # The color under the light: rounded edges, and a soft slope across.
    slope = (shifted - distance) * column(scene.relief * 0.45 / reach)
    rim = distance * column(1 / (0.28 * scene.radius))
    rim += 1
    slope *= np.clip(rim, 0.15, 1, out=rim)
    tilt = scene.relief * 0.3 / scene.radius
    across, down = tilt * scene.light_x, tilt * scene.light_y
    slope += affine(across, down, -(across * scene.x + down * scene.y), positions)
    lighter = np.clip(slope, 0, 0.8)
    darker = np.clip(slope, -0.6, 0, out=slope)
    darker += 1
    color = scene.color[:, :, None, None] * darker[:, None]
    color += (1 - scene.color)[:, :, None, None] * lighter[:, None]
    paint(canvas, color, coverage(distance, _pixel(positions)))
