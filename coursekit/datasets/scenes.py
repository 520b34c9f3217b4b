"""Pictures of the shapes world: one shaded shape before a background, amid clutter.

A scene says what stands where; `draw_scenes` paints it at any size. The outlines of the 28
shapes are tables of signed distances, negative inside a shape, which reaches about 1 from its
center. Array shapes as in `drawing`; the picture is 2 wide.
"""

from collections.abc import Callable, Sequence
from functools import cache
from math import cos, pi, sin
from types import SimpleNamespace

import numpy as np

from coursekit.datasets.drawing import (
    Canvas,
    Plane,
    add_grain,
    affine,
    column,
    coverage,
    mix,
    paint,
    pixel_positions,
    pixel_width,
    sample_bilinear,
    sample_clouds,
    to_bytes,
    triangle_wave,
)

ATLAS_SIZE = 128  # entries along each side of a table
ATLAS_REACH = 1.3  # a table spans the square from minus this to this

_STEPS = np.linspace(-ATLAS_REACH, ATLAS_REACH, ATLAS_SIZE)
_X, _Y = np.meshgrid(_STEPS, _STEPS)  # of every entry of a table


@cache
def _shape_atlas() -> np.ndarray:
    """Return the distance tables of all shapes, of shape (28, ATLAS_SIZE, ATLAS_SIZE).

    Rounded to 1/4096, so that every machine has the same table.
    """
    planes = [outline() for outline in _OUTLINES.values()]
    return (np.round(np.stack(planes) * 4096) / 4096).astype(np.float32)


Point = tuple[float, float]


def _disc(radius: float, at: Point = (0, 0)) -> Plane:
    return np.sqrt((_X - at[0]) ** 2 + (_Y - at[1]) ** 2) - radius


def _box(half_width: float, half_height: float, at: Point = (0, 0)) -> Plane:
    dx, dy = np.abs(_X - at[0]) - half_width, np.abs(_Y - at[1]) - half_height
    outside = np.sqrt(np.maximum(dx, 0) ** 2 + np.maximum(dy, 0) ** 2)
    return outside + np.minimum(np.maximum(dx, dy), 0)


def _ellipse(a: float, b: float, at: Point = (0, 0), degrees: float = 0) -> Plane:
    """Nearly the distance: exact on the edge, good near it."""
    c, s = cos(degrees * pi / 180), sin(degrees * pi / 180)
    x, y = _X - at[0], _Y - at[1]
    u, v = c * x + s * y, c * y - s * x
    scaled = np.sqrt((u / a) ** 2 + (v / b) ** 2)
    slope = np.sqrt((u / a**2) ** 2 + (v / b**2) ** 2)
    return np.where(slope > 0, scaled * (scaled - 1) / np.maximum(slope, 1e-9), -min(a, b))


def _capsule(start: Point, stop: Point, radius: float) -> Plane:
    """Return the distance to a line with round ends."""
    return np.sqrt(_squared_distance(start, stop)) - radius


def _squared_distance(start: Point, stop: Point) -> Plane:
    ex, ey = stop[0] - start[0], stop[1] - start[1]
    wx, wy = _X - start[0], _Y - start[1]
    along = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0, 1)
    return (wx - ex * along) ** 2 + (wy - ey * along) ** 2


def _polygon(corners: Sequence[Point]) -> Plane:
    """Exact distance; inside by counting the edges that a ray to the right crosses."""
    nearest, inside = np.full_like(_X, np.inf), np.zeros(_X.shape, bool)
    for start, stop in zip(corners, [*corners[1:], corners[0]], strict=True):
        nearest = np.minimum(nearest, _squared_distance(start, stop))
        if start[1] != stop[1]:
            between = (start[1] > _Y) != (stop[1] > _Y)
            slope = stop[0] - start[0], stop[1] - start[1]
            inside ^= between & (start[0] + (_Y - start[1]) * slope[0] / slope[1] > _X)
    return np.where(inside, -1, 1) * np.sqrt(nearest)


def _at(radius: float, degrees: float) -> Point:
    return radius * cos(degrees * pi / 180), radius * sin(degrees * pi / 180)


def _around(radii: Sequence[float], n_points: int) -> list[Point]:
    """Points around the center from the top on, their radii taken in turn."""
    return [_at(radii[i % len(radii)], -90 + 360 * i / n_points) for i in range(n_points)]


def _mirrored(*corners: Point) -> Plane:
    """Return a polygon from its right half, top to bottom."""
    return _polygon([*corners, *[(-x, y) for x, y in reversed(corners) if x != 0]])


def _union(*planes: Plane) -> Plane:
    return np.minimum.reduce(planes)


def _without(plane: Plane, *holes: Plane) -> Plane:
    return np.maximum(plane, -_union(*holes))


def _heart() -> Plane:
    corners = []
    for t in (2 * pi * i / 48 for i in range(48)):
        down = -(13 * cos(t) - 5 * cos(2 * t) - 2 * cos(3 * t) - cos(4 * t)) / 16.5 - 0.12
        corners.append((sin(t) ** 3 * 0.95, down))
    return _polygon(corners)


def _gear() -> Plane:
    tooth = ((0.68, -14), (0.98, -8.5), (0.98, 8.5), (0.68, 14))
    teeth = [_at(radius, 45 * i + degrees) for i in range(8) for radius, degrees in tooth]
    return _without(_polygon(teeth), _disc(0.3))


def _horseshoe() -> Plane:
    bow = np.abs(_disc(0.62, (0, -0.2))) - 0.24
    legs = (_box(0.24, 0.46, (side * 0.62, 0.26)) for side in (-1, 1))
    return _union(np.maximum(bow, _Y + 0.12), *legs)


def _flower() -> Plane:
    petals = [_disc(0.34, at) for at in _around([0.6], 6)]
    return _without(_union(_disc(0.5), *petals), _disc(0.2))


def _propeller() -> Plane:
    places = zip(_around([0.52], 3), (-90, 30, 150), strict=True)
    blades = [_ellipse(0.48, 0.25, at, degrees) for at, degrees in places]
    return _union(_disc(0.2), *blades)


def _house() -> Plane:
    roof = _polygon([(0, -0.95), (0.95, -0.1), (-0.95, -0.1)])
    walls = _without(_box(0.66, 0.5, (0, 0.36)), _box(0.17, 0.3, (0, 0.62)))
    return _union(roof, walls, _box(0.13, 0.3, (0.5, -0.6)))


def _key() -> Plane:
    bow = np.abs(_disc(0.34, (0, -0.54))) - 0.16
    teeth = _box(0.22, 0.1, (0.26, 0.46)), _box(0.26, 0.12, (0.28, 0.86))
    return _union(bow, _box(0.14, 0.6, (0, 0.38)), *teeth)


def _fish() -> Plane:
    tail = _polygon([(0.3, 0), (0.98, -0.52), (0.8, 0), (0.98, 0.52)])
    fin = _polygon([(-0.3, -0.3), (0.3, -0.72), (0.25, -0.2)])
    return _union(_ellipse(0.68, 0.42, (-0.3, 0)), tail, fin)


def _beetle() -> Plane:
    limbs = []
    for side in (-1, 1):
        limbs.append(_capsule((side * 0.1, -0.65), (side * 0.36, -0.98), 0.06))
        for bend in (-0.45, 0, 0.45):
            start, stop = (side * 0.3, 0.2 + 0.5 * bend), (side * 0.86, 0.18 + 1.25 * bend)
            limbs.append(_capsule(start, stop, 0.075))
    return _union(_ellipse(0.42, 0.58, (0, 0.18)), _disc(0.25, (0, -0.52)), *limbs)


def _butterfly() -> Plane:
    upper = (_ellipse(0.52, 0.33, (side * 0.5, -0.38), side * -35) for side in (-1, 1))
    lower = (_ellipse(0.4, 0.28, (side * 0.42, 0.4), side * 40) for side in (-1, 1))
    return _union(_ellipse(0.11, 0.62), *upper, *lower)


_BOLT = [(0.32, -1), (-0.72, 0.2), (-0.12, 0.2), (-0.36, 1), (0.72, -0.28), (0.14, -0.28)]
_CHEVRON = [(-0.5, -0.9), (0, -0.9), (0.68, 0), (0, 0.9), (-0.5, 0.9), (0.1, 0)]
_OUTLINES: dict[str, Callable[[], Plane]] = {
    "disc": lambda: _disc(0.85),
    "ring": lambda: np.abs(_disc(0.68)) - 0.22,
    "square": lambda: _box(0.76, 0.76),
    "frame": lambda: _without(_box(0.8, 0.8), _box(0.45, 0.45)),
    "triangle": lambda: _polygon(_around([1.05], 3)),
    "pentagon": lambda: _polygon(_around([0.95], 5)),
    "star": lambda: _polygon(_around([1.05, 0.43], 10)),
    "cross": lambda: _union(_box(0.88, 0.3), _box(0.3, 0.88)),
    "crescent": lambda: _without(_disc(0.9), _disc(0.78, (0.45, -0.15))),
    "heart": _heart,
    "arrow": lambda: _mirrored((0, -1), (0.78, -0.1), (0.28, -0.1), (0.28, 0.95)),
    "semicircle": lambda: np.maximum(_disc(0.95, (0, 0.4)), _Y - 0.4),
    "ellipse": lambda: _ellipse(1.0, 0.52),
    "drop": lambda: _union(
        _disc(0.56, (0, 0.38)), _polygon([(0, -1), (0.5, 0.1), (-0.5, 0.1)])
    ),
    "horseshoe": _horseshoe,
    "hourglass": lambda: _mirrored((0.72, -0.92), (0.13, 0), (0.72, 0.92)),
    "bolt": lambda: _polygon(_BOLT),
    "gear": _gear,
    "sparkle": lambda: _polygon(_around([1.05, 0.34], 8)),
    "flower": _flower,
    "propeller": _propeller,
    "dumbbell": lambda: _union(
        _disc(0.38, (-0.6, 0)), _disc(0.38, (0.6, 0)), _box(0.6, 0.15)
    ),
    "chevron": lambda: _polygon(_CHEVRON),
    "house": _house,
    "fish": _fish,
    "key": _key,
    "beetle": _beetle,
    "butterfly": _butterfly,
}

ALL_SHAPES = tuple(_OUTLINES)
SOURCE_SHAPES, UNSEEN_SHAPES = ALL_SHAPES[:18], ALL_SHAPES[18:]  # to pretrain, to transfer


class Rows(SimpleNamespace):
    """Arrays with one entry an image each, by name."""

    def at(self, rows: np.ndarray | tuple) -> "Rows":
        """Return some of the entries."""
        return Rows(**{name: values[rows] for name, values in vars(self).items()})


BACKGROUNDS = ("plain", "striped", "dotted", "checkered", "cloudy", "gridded", "wavy")


def _draw_pattern(pattern: Rows, name: str, positions: np.ndarray) -> Plane:
    """Return how much each pixel has of the second color."""
    (cosine, sine), fill = pattern.turn.T, pattern.fill
    if name == "plain":
        slope = fill * 0.3
        return affine(slope * cosine, slope * sine, slope, positions)
    if name == "cloudy":
        scale = 0.08 / pattern.period
        clouds = sample_clouds(scale * cosine, scale * sine, pattern.phase, positions)
        return np.clip((clouds - column(0.75 - 0.5 * fill)) * 2 + 0.5, 0, 1)
    c, s = cosine / pattern.period, sine / pattern.period
    along = affine(c, s, pattern.phase[:, 0], positions)  # in periods
    across = affine(-s, c, pattern.phase[:, 1], positions)
    pixel = pixel_width(positions) / pattern.period
    if name == "wavy":
        bend = triangle_wave(across * 0.6)
        bend *= bend * (3 - 4 * bend)  # smooth at both ends, 0 to 0.25
        return coverage(triangle_wave(along + bend * 2.8) - column(fill * 0.5), pixel * 1.3)
    a, b = triangle_wave(along), triangle_wave(across)
    if name == "striped":
        return coverage(a - column(fill * 0.5), pixel)
    if name == "gridded":
        return coverage(np.minimum(a, b) - column(fill * 0.28), pixel)
    if name == "dotted":
        return coverage(np.sqrt(a * a + b * b) - column(0.16 + fill * 0.25), pixel)
    a, b = coverage(a - 0.25, pixel), coverage(b - 0.25, pixel)
    return a + b - 2 * a * b  # checkered


# Scenes: `shapes.random_scene` says what they hold


def draw_scenes(scene: Rows, *, image_size: int) -> np.ndarray:
    """Return pictures of the scenes."""
    positions = pixel_positions(image_size)
    planes = np.empty((len(scene.shape), image_size, image_size), np.float32)
    for kind, name in enumerate(BACKGROUNDS):
        rows = np.flatnonzero(scene.pattern.kind == kind)
        if len(rows):
            planes[rows] = _draw_pattern(scene.pattern.at(rows), name, positions)
    canvas = mix(scene.background_colors[:, 0], scene.background_colors[:, 1], planes)
    _draw_clutter(canvas, scene.behind, positions)
    _draw_shape(canvas, scene, positions)
    _draw_clutter(canvas, scene.front, positions)
    across, down = scene.falloff * scene.light.T
    canvas *= affine(across, down, np.ones_like(across), positions)[:, None]
    canvas *= column(scene.contrast)[:, None]
    canvas += column(scene.haze * (1 - scene.contrast))[:, None]
    add_grain(canvas, scene.noise_keys, scene.noise)
    return to_bytes(canvas)


def _draw_clutter(canvas: Canvas, clutter: Rows, positions: np.ndarray) -> None:
    for number in range(clutter.visible.shape[1]):
        rows = np.flatnonzero(clutter.visible[:, number])
        if len(rows):
            item, part = clutter.at((rows, number)), canvas[rows]
            x, y, (c, s) = item.x, item.y, item.turn.T
            along = np.abs(affine(c, s, -(c * x + s * y), positions))
            across = affine(-s, c, s * x - c * y, positions)
            along += across * column(item.slant * 0.5)
            along -= column(item.length)
            edge = np.maximum(along, np.abs(across) - column(item.width))
            paint(part, item.color, coverage(edge, pixel_width(positions)))
            canvas[rows] = part


def shape_distance(
    which: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    radius: np.ndarray,
    positions: np.ndarray,
    aspect: float | np.ndarray = 1,
    turn: tuple | np.ndarray = (1, 0),
) -> Plane:
    """Return the signed distance of each pixel to a shape's edge, negative inside.

    It is wider than high above an `aspect` of 1; `turn` are cosine and sine of its angle.
    """
    c, s = turn
    to_entry = np.float32((ATLAS_SIZE - 1) / (2 * ATLAS_REACH))
    middle = np.float32((ATLAS_SIZE - 1) / 2)
    wide, high = to_entry / (radius * aspect), to_entry * aspect / radius
    across = affine(c * wide, s * wide, middle - (c * x + s * y) * wide, positions)
    down = affine(-s * high, c * high, middle + (s * x - c * y) * high, positions)
    return sample_bilinear(_shape_atlas(), which, across, down) * column(radius)


def _draw_shape(canvas: Canvas, scene: Rows, positions: np.ndarray) -> None:
    x, y, radius = scene.x, scene.y, scene.radius
    light_x, light_y = scene.light.T
    turned = scene.aspect, scene.turn.T
    reach = 0.16 * radius + 0.05  # of the shadow, away from the light
    distance = shape_distance(scene.shape, x, y, radius, positions, *turned)
    away = x - reach * light_x, y - reach * light_y
    shifted = shape_distance(scene.shape, *away, radius, positions, *turned)
    shade = coverage(shifted, pixel_width(positions) + reach) * column(scene.shadow)
    canvas *= (1 - shade)[:, None]
    # The color under the light: rounded edges, and a soft slope across.
    rim = np.clip(distance * column(1 / (0.28 * radius)) + 1, 0.15, 1)
    slope = (shifted - distance) * column(scene.relief * 0.45 / reach) * rim
    tilt = scene.relief * 0.3 / radius
    across, down = tilt * light_x, tilt * light_y
    slope += affine(across, down, -(across * x + down * y), positions)
    darker, lighter = np.clip(slope, -0.6, 0) + 1, np.clip(slope, 0, 0.8)
    color = scene.color[:, :, None, None] * darker[:, None]
    color += (1 - scene.color)[:, :, None, None] * lighter[:, None]
    paint(canvas, color, coverage(distance, pixel_width(positions)))
