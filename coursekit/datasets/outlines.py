"""The outlines of 28 shapes, as tables of signed distances.

A distance is negative inside the shape and zero on its edge; a shape reaches about 1 from its
center.
"""

from collections.abc import Callable, Sequence
from functools import cache
from math import cos, pi, sin

import numpy as np

ATLAS_SIZE = 128  # entries along each side of a table
ATLAS_REACH = 1.3  # a table spans the square from minus this to this

Plane = np.ndarray
Point = tuple[float, float]


@cache
def shape_atlas() -> np.ndarray:
    """Return the distance tables of all shapes, of shape (28, ATLAS_SIZE, ATLAS_SIZE).

    Rounded to 1/4096, so that every machine has the same table.
    """
    steps = np.linspace(-ATLAS_REACH, ATLAS_REACH, ATLAS_SIZE)
    x, y = np.meshgrid(steps, steps)
    planes = [_SHAPES[name](x, y) for name in ALL_SHAPES]
    atlas = (np.round(np.stack(planes) * 4096) / 4096).astype(np.float32)
    atlas.flags.writeable = False
    return atlas


def _disc(x: Plane, y: Plane, radius: float, at: Point = (0, 0)) -> Plane:
    return np.sqrt((x - at[0]) ** 2 + (y - at[1]) ** 2) - radius


def _box(
    x: Plane, y: Plane, half_width: float, half_height: float, at: Point = (0, 0)
) -> Plane:
    dx, dy = np.abs(x - at[0]) - half_width, np.abs(y - at[1]) - half_height
    outside = np.sqrt(np.maximum(dx, 0) ** 2 + np.maximum(dy, 0) ** 2)
    return outside + np.minimum(np.maximum(dx, dy), 0)


def _ellipse(
    x: Plane, y: Plane, radii: Point, at: Point = (0, 0), degrees: float = 0
) -> Plane:
    """Nearly the distance: exact on the edge, good near it."""
    c, s = cos(degrees * pi / 180), sin(degrees * pi / 180)
    u, v = c * (x - at[0]) + s * (y - at[1]), c * (y - at[1]) - s * (x - at[0])
    a, b = radii
    scaled = np.sqrt((u / a) ** 2 + (v / b) ** 2)
    slope = np.sqrt((u / a**2) ** 2 + (v / b**2) ** 2)
    return np.where(slope > 0, scaled * (scaled - 1) / np.maximum(slope, 1e-9), -min(a, b))


def _capsule(x: Plane, y: Plane, start: Point, stop: Point, radius: float) -> Plane:
    """Return the distance to a line with round ends."""
    return np.sqrt(_squared_distance(x, y, start, stop)) - radius


def _squared_distance(x: Plane, y: Plane, start: Point, stop: Point) -> Plane:
    ex, ey = stop[0] - start[0], stop[1] - start[1]
    wx, wy = x - start[0], y - start[1]
    along = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0, 1)
    return (wx - ex * along) ** 2 + (wy - ey * along) ** 2


def _polygon(x: Plane, y: Plane, points: Sequence[Point]) -> Plane:
    """Exact distance; inside by counting the edges that a ray to the right crosses."""
    nearest = np.full_like(x, np.inf)
    inside = np.zeros(x.shape, bool)
    for start, stop in zip(points, [*points[1:], points[0]], strict=True):
        nearest = np.minimum(nearest, _squared_distance(x, y, start, stop))
        if start[1] == stop[1]:
            continue
        between = (start[1] > y) != (stop[1] > y)
        crossing = start[0] + (y - start[1]) * (stop[0] - start[0]) / (stop[1] - start[1])
        inside ^= between & (x < crossing)
    return np.where(inside, -1, 1) * np.sqrt(nearest)


def _around(
    radii: Sequence[float], n_points: int, first_degrees: float = -90
) -> list[Point]:
    """Points around the center, their radii taken in turn."""
    angles = [(first_degrees + 360 * i / n_points) * pi / 180 for i in range(n_points)]
    return [
        (radii[i % len(radii)] * cos(a), radii[i % len(radii)] * sin(a))
        for i, a in enumerate(angles)
    ]


def _mirrored(points: Sequence[Point]) -> list[Point]:
    """Return the right half of an outline, top to bottom, closed by its mirror image."""
    return [*points, *[(-px, py) for px, py in reversed(points) if px != 0]]


def _union(*planes: Plane) -> Plane:
    return np.minimum.reduce(planes)


def _without(plane: Plane, *holes: Plane) -> Plane:
    return np.maximum(plane, -_union(*holes))


def _heart(x: Plane, y: Plane) -> Plane:
    turns = [2 * pi * i / 48 for i in range(48)]
    points = [
        (
            sin(t) ** 3 * 0.95,
            -(13 * cos(t) - 5 * cos(2 * t) - 2 * cos(3 * t) - cos(4 * t)) / 16.5 - 0.12,
        )
        for t in turns
    ]
    return _polygon(x, y, points)


def _gear(x: Plane, y: Plane) -> Plane:
    teeth = []
    for tooth in range(8):
        for radius, degrees in ((0.68, -14), (0.98, -8.5), (0.98, 8.5), (0.68, 14)):
            angle = (45 * tooth + degrees) * pi / 180
            teeth.append((radius * cos(angle), radius * sin(angle)))
    return _without(_polygon(x, y, teeth), _disc(x, y, 0.3))


def _horseshoe(x: Plane, y: Plane) -> Plane:
    bow = np.abs(_disc(x, y, 0.62, (0, -0.2))) - 0.24
    legs = _union(
        _box(x, y, 0.24, 0.46, (-0.62, 0.26)), _box(x, y, 0.24, 0.46, (0.62, 0.26))
    )
    return _union(np.maximum(bow, y + 0.12), legs)


def _drop(x: Plane, y: Plane) -> Plane:
    cone = _polygon(x, y, [(0, -1), (0.5, 0.1), (-0.5, 0.1)])
    return _union(_disc(x, y, 0.56, (0, 0.38)), cone)


def _flower(x: Plane, y: Plane) -> Plane:
    petals = [_disc(x, y, 0.34, at) for at in _around([0.6], 6)]
    return _without(_union(_disc(x, y, 0.5), *petals), _disc(x, y, 0.2))


def _propeller(x: Plane, y: Plane) -> Plane:
    blades = [
        _ellipse(x, y, (0.48, 0.25), at, degrees)
        for at, degrees in zip(_around([0.52], 3), (-90, 30, 150), strict=True)
    ]
    return _union(_disc(x, y, 0.2), *blades)


def _key(x: Plane, y: Plane) -> Plane:
    bow = np.abs(_disc(x, y, 0.34, (0, -0.54))) - 0.16
    teeth = (_box(x, y, 0.22, 0.1, (0.26, 0.46)), _box(x, y, 0.26, 0.12, (0.28, 0.86)))
    return _union(bow, _box(x, y, 0.14, 0.6, (0, 0.38)), *teeth)


def _fish(x: Plane, y: Plane) -> Plane:
    tail = _polygon(x, y, [(0.3, 0), (0.98, -0.52), (0.8, 0), (0.98, 0.52)])
    fin = _polygon(x, y, [(-0.3, -0.3), (0.3, -0.72), (0.25, -0.2)])
    return _union(_ellipse(x, y, (0.68, 0.42), (-0.3, 0)), tail, fin)


def _beetle(x: Plane, y: Plane) -> Plane:
    body = _ellipse(x, y, (0.42, 0.58), (0, 0.18))
    head = _disc(x, y, 0.25, (0, -0.52))
    legs = [
        _capsule(
            x, y, (side * 0.3, 0.2 + 0.5 * bend), (side * 0.86, 0.18 + 1.25 * bend), 0.075
        )
        for side in (-1, 1)
        for bend in (-0.45, 0, 0.45)
    ]
    feelers = [_capsule(x, y, (s * 0.1, -0.65), (s * 0.36, -0.98), 0.06) for s in (-1, 1)]
    return _union(body, head, *legs, *feelers)


def _butterfly(x: Plane, y: Plane) -> Plane:
    wings = [
        _ellipse(x, y, radii, (side * across, down), side * degrees)
        for side in (-1, 1)
        for radii, across, down, degrees in (
            ((0.52, 0.33), 0.5, -0.38, -35),
            ((0.4, 0.28), 0.42, 0.4, 40),
        )
    ]
    return _union(_ellipse(x, y, (0.11, 0.62)), *wings)


_SHAPES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "disc": lambda x, y: _disc(x, y, 0.85),
    "ring": lambda x, y: np.abs(_disc(x, y, 0.68)) - 0.22,
    "square": lambda x, y: _box(x, y, 0.76, 0.76),
    "frame": lambda x, y: _without(_box(x, y, 0.8, 0.8), _box(x, y, 0.45, 0.45)),
    "triangle": lambda x, y: _polygon(x, y, _around([1.05], 3)),
    "pentagon": lambda x, y: _polygon(x, y, _around([0.95], 5)),
    "star": lambda x, y: _polygon(x, y, _around([1.05, 0.43], 10)),
    "cross": lambda x, y: _union(_box(x, y, 0.88, 0.3), _box(x, y, 0.3, 0.88)),
    "crescent": lambda x, y: _without(_disc(x, y, 0.9), _disc(x, y, 0.78, (0.45, -0.15))),
    "heart": _heart,
    "arrow": lambda x, y: _polygon(
        x, y, _mirrored([(0, -1), (0.78, -0.1), (0.28, -0.1), (0.28, 0.95)])
    ),
    "semicircle": lambda x, y: np.maximum(_disc(x, y, 0.95, (0, 0.4)), y - 0.4),
    "ellipse": lambda x, y: _ellipse(x, y, (1.0, 0.52)),
    "drop": _drop,
    "horseshoe": _horseshoe,
    "hourglass": lambda x, y: _polygon(
        x, y, _mirrored([(0.72, -0.92), (0.13, 0), (0.72, 0.92)])
    ),
    "bolt": lambda x, y: _polygon(
        x,
        y,
        [(0.32, -1), (-0.72, 0.2), (-0.12, 0.2), (-0.36, 1), (0.72, -0.28), (0.14, -0.28)],
    ),
    "gear": _gear,
    "sparkle": lambda x, y: _polygon(x, y, _around([1.05, 0.34], 8)),
    "flower": _flower,
    "propeller": _propeller,
    "dumbbell": lambda x, y: _union(
        _disc(x, y, 0.38, (-0.6, 0)), _disc(x, y, 0.38, (0.6, 0)), _box(x, y, 0.6, 0.15)
    ),
    "chevron": lambda x, y: _polygon(
        x, y, [(-0.5, -0.9), (0, -0.9), (0.68, 0), (0, 0.9), (-0.5, 0.9), (0.1, 0)]
    ),
    "house": lambda x, y: _union(
        _polygon(x, y, [(0, -0.95), (0.95, -0.1), (-0.95, -0.1)]),
        _without(_box(x, y, 0.66, 0.5, (0, 0.36)), _box(x, y, 0.17, 0.3, (0, 0.62))),
        _box(x, y, 0.13, 0.3, (0.5, -0.6)),
    ),
    "fish": _fish,
    "key": _key,
    "beetle": _beetle,
    "butterfly": _butterfly,
}

SOURCE_SHAPES = tuple(_SHAPES)[:18]  # to pretrain on
UNSEEN_SHAPES = tuple(_SHAPES)[18:]  # for transfer: no shipped network has seen them
ALL_SHAPES = SOURCE_SHAPES + UNSEEN_SHAPES
