"""Pictures of the shapes world: one shaded shape before a background, amid clutter.

A `Scene` says what stands where; `draw_scenes` paints it at any size. Array shapes as in
`drawing`; the picture is 2 wide.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from coursekit.datasets.drawing import (
    affine,
    column,
    coverage,
    gaussian_planes,
    paint,
    pixel_positions,
    sample_bilinear,
    sample_clouds,
    to_bytes,
    triangle_wave,
)
from coursekit.datasets.outlines import ATLAS_REACH, ATLAS_SIZE, shape_atlas

Plane = np.ndarray


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """The background of each image; every field has one entry an image."""

    kind: np.ndarray  # index into `BACKGROUNDS`
    cosine: np.ndarray
    sine: np.ndarray  # direction in which the pattern repeats
    period: np.ndarray  # its length there; the picture is 2 wide
    phase: np.ndarray  # shift along and across, in periods, of shape (n_images, 2)
    fill: np.ndarray  # share of the second color, from 0 to 1

    def rows(self, rows: np.ndarray) -> "Pattern":
        """Return the patterns of some of the images."""
        return Pattern(**{name: values[rows] for name, values in vars(self).items()})


def draw_patterns(pattern: Pattern, positions: np.ndarray) -> Plane:
    """Return the pattern of each image."""
    planes = np.empty((len(pattern.kind), len(positions), len(positions)), np.float32)
    for kind, draw in enumerate(_PATTERNS.values()):
        rows = np.flatnonzero(pattern.kind == kind)
        if len(rows):
            planes[rows] = draw(pattern.rows(rows), positions)
    return planes


def _along(pattern: Pattern, positions: np.ndarray) -> Plane:
    """Return how many periods each pixel lies along the direction."""
    return affine(
        pattern.cosine / pattern.period,
        pattern.sine / pattern.period,
        pattern.phase[:, 0],
        positions,
    )


def _across(pattern: Pattern, positions: np.ndarray) -> Plane:
    return affine(
        -pattern.sine / pattern.period,
        pattern.cosine / pattern.period,
        pattern.phase[:, 1],
        positions,
    )


def _softness(pattern: Pattern, positions: np.ndarray) -> np.ndarray:
    """Return the size of a pixel, in periods."""
    return np.float32(2 / len(positions)) / pattern.period


def _plain(pattern: Pattern, positions: np.ndarray) -> Plane:
    slope = pattern.fill * 0.3
    return affine(slope * pattern.cosine, slope * pattern.sine, slope, positions)


def _striped(pattern: Pattern, positions: np.ndarray) -> Plane:
    edge = triangle_wave(_along(pattern, positions)) - column(pattern.fill * 0.5)
    return coverage(edge, _softness(pattern, positions))


def _wavy(pattern: Pattern, positions: np.ndarray) -> Plane:
    bend = triangle_wave(_across(pattern, positions) * 0.6)
    bend *= bend * (3 - 4 * bend)  # smooth at both ends, 0 to 0.25
    bend *= 2.8
    edge = triangle_wave(_along(pattern, positions) + bend) - column(pattern.fill * 0.5)
    return coverage(edge, _softness(pattern, positions) * 1.3)


def _gridded(pattern: Pattern, positions: np.ndarray) -> Plane:
    nearest = np.minimum(
        triangle_wave(_along(pattern, positions)),
        triangle_wave(_across(pattern, positions)),
    )
    nearest -= column(pattern.fill * 0.28)
    return coverage(nearest, _softness(pattern, positions))


def _checkered(pattern: Pattern, positions: np.ndarray) -> Plane:
    softness = _softness(pattern, positions)
    quarter = 0.25
    along = coverage(triangle_wave(_along(pattern, positions)) - quarter, softness)
    across = coverage(triangle_wave(_across(pattern, positions)) - quarter, softness)
    return along + across - 2 * along * across


def _dotted(pattern: Pattern, positions: np.ndarray) -> Plane:
    along = triangle_wave(_along(pattern, positions))
    across = triangle_wave(_across(pattern, positions))
    along *= along
    across *= across
    along += across
    distance = np.sqrt(along, out=along) - column(0.16 + pattern.fill * 0.25)
    return coverage(distance, _softness(pattern, positions))


def _cloudy(pattern: Pattern, positions: np.ndarray) -> Plane:
    scale = 0.08 / pattern.period
    clouds = sample_clouds(
        scale * pattern.cosine, scale * pattern.sine, pattern.phase, positions
    )
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


@dataclass(frozen=True, kw_only=True)
class Clutter:
    """Small bars, triangles and dots, a fixed number an image; sizes are half-widths."""

    x: np.ndarray
    y: np.ndarray
    cosine: np.ndarray
    sine: np.ndarray
    length: np.ndarray
    width: np.ndarray
    slant: np.ndarray  # 0 for a bar, 1 for a triangle.
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
    opacity: np.ndarray  # 1 draws the shape with its shadow, 0 leaves both out.
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
    canvas = _draw_background(scene, positions)
    _draw_clutter(canvas, scene.behind, positions)
    _draw_shape(canvas, scene, positions)
    _draw_clutter(canvas, scene.front, positions)
    _light(canvas, scene, positions)
    return to_bytes(canvas)


def _draw_background(scene: Scene, positions: np.ndarray) -> np.ndarray:
    planes = draw_patterns(scene.pattern, positions)
    first, second = scene.background_colors[:, 0], scene.background_colors[:, 1]
    canvas = planes[:, None] * (second - first)[:, :, None, None]
    canvas += first[:, :, None, None]
    return canvas


def _draw_clutter(canvas: np.ndarray, clutter: Clutter, positions: np.ndarray) -> None:
    for item in range(clutter.visible.shape[1]):
        rows = np.flatnonzero(clutter.visible[:, item])
        if not len(rows):
            continue
        picked = {f.name: getattr(clutter, f.name)[rows, item] for f in fields(Clutter)}
        color = picked.pop("color")
        part = canvas[rows]
        paint(part, color, _clutter_coverage(picked, positions))
        canvas[rows] = part


def _clutter_coverage(item: dict[str, np.ndarray], positions: np.ndarray) -> Plane:
    x, y, c, s = item["x"], item["y"], item["cosine"], item["sine"]
    along = np.abs(affine(c, s, -(c * x + s * y), positions))
    across = affine(-s, c, s * x - c * y, positions)
    along += across * column(item["slant"] * 0.5)
    along -= column(item["length"])
    np.abs(across, out=across)
    across -= column(item["width"])
    edge = np.maximum(along, across, out=along)
    pixel = np.full(len(x), 2 / len(positions), np.float32)
    return coverage(edge, pixel)


def _draw_shape(canvas: np.ndarray, scene: Scene, positions: np.ndarray) -> None:
    reach = 0.16 * scene.radius + 0.05
    turned = {"aspect": scene.aspect, "cosine": scene.cosine, "sine": scene.sine}
    distance, shifted = (
        shape_distance(
            scene.shape,
            scene.x - away * scene.light_x,
            scene.y - away * scene.light_y,
            scene.radius,
            positions,
            **turned,
        )
        for away in (0, reach)
    )
    pixel = np.full(len(reach), 2 / len(positions), np.float32)
    shade = coverage(shifted, pixel + reach)
    shade *= column(scene.shadow * scene.opacity)
    canvas *= (1 - shade)[:, None]
    covered = coverage(distance, pixel)
    covered *= column(scene.opacity)
    paint(canvas, _shaded_color(scene, distance, shifted, reach, positions), covered)


def shape_distance(
    which: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    radius: np.ndarray,
    positions: np.ndarray,
    *,
    aspect: np.ndarray | float = 1.0,
    cosine: np.ndarray | float = 1.0,
    sine: np.ndarray | float = 0.0,
) -> Plane:
    """Return the signed distance of each pixel to a shape's edge, negative inside."""
    to_entry = np.float32((ATLAS_SIZE - 1) / (2 * ATLAS_REACH))
    middle = np.float32((ATLAS_SIZE - 1) / 2)
    aspect, c, s = (np.broadcast_to(np.float32(v), x.shape) for v in (aspect, cosine, sine))
    wide, high = to_entry / (radius * aspect), to_entry * aspect / radius
    across = affine(c * wide, s * wide, middle - (c * x + s * y) * wide, positions)
    down = affine(-s * high, c * high, middle + (s * x - c * y) * high, positions)
    distance = sample_bilinear(shape_atlas(), which, across, down)
    distance *= column(radius)
    return distance


def _shaded_color(
    scene: Scene, distance: Plane, shifted: Plane, reach: np.ndarray, positions: np.ndarray
) -> np.ndarray:
    """Return the shape's color under the light: rounded edges, and a soft slope across."""
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
    return color


def _light(canvas: np.ndarray, scene: Scene, positions: np.ndarray) -> None:
    size = len(positions)
    across, down = scene.falloff * scene.light_x, scene.falloff * scene.light_y
    ones = np.ones(len(across), np.float32)
    canvas *= affine(across, down, ones, positions)[:, None]
    canvas *= scene.contrast[:, None, None, None]
    canvas += (scene.haze * (1 - scene.contrast))[:, None, None, None]
    grain = gaussian_planes(scene.noise_keys, 3, size * size)
    grain *= scene.noise[:, None, None]
    canvas += grain.reshape(canvas.shape)
