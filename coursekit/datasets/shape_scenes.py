"""Paint one shape in front of a background: shaded, with its shadow, amid clutter.

A `Scene` says what stands where; `draw_scenes` paints it at any size. Nothing here knows of
names, captions or random numbers.
"""

from dataclasses import dataclass, fields

import numpy as np

from coursekit.datasets.backgrounds import Pattern, draw_patterns
from coursekit.datasets.drawing import (
    affine,
    column,
    coverage,
    paint,
    pixel_positions,
    sample_bilinear,
    to_bytes,
)
from coursekit.datasets.draws import gaussian_planes
from coursekit.datasets.shape_atlas import ATLAS_REACH, ATLAS_SIZE, shape_atlas

__all__ = ["Clutter", "Scene", "draw_scenes", "shape_distance"]

Plane = np.ndarray


@dataclass(frozen=True, kw_only=True)
class Clutter:
    """Small bars, triangles and dots, a fixed number an image; sizes are half-widths.

    Every field has shape (n_images, n_items), float32; `color` (n_images, n_items, 3).
    """

    x: np.ndarray
    y: np.ndarray
    cosine: np.ndarray
    sine: np.ndarray
    length: np.ndarray
    width: np.ndarray
    slant: np.ndarray
    """0 for a bar, 1 for a triangle."""
    visible: np.ndarray
    """Of type bool."""
    color: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything in the pictures; each field has one entry an image, float32 unless said."""

    shape: np.ndarray
    """Index into the atlas, of shape (n_images,), int64."""
    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray
    """Half-width of the shape; the picture is 2 wide."""
    aspect: np.ndarray
    """Wider than high above 1."""
    cosine: np.ndarray
    sine: np.ndarray
    """Direction in which the shape is turned."""
    color: np.ndarray
    """Of shape (n_images, 3)."""
    opacity: np.ndarray
    """1 draws the shape with its shadow, 0 leaves both out."""
    pattern: Pattern
    background_colors: np.ndarray
    """Of shape (n_images, 2, 3)."""
    behind: Clutter
    front: Clutter
    light_x: np.ndarray
    light_y: np.ndarray
    """Where the light comes from, of length 1."""
    relief: np.ndarray
    """How strongly the light shades the shape."""
    shadow: np.ndarray
    """Opacity of its shadow."""
    falloff: np.ndarray
    """How much darker the picture is away from the light."""
    contrast: np.ndarray
    """Below 1, the picture is seen as through haze."""
    haze: np.ndarray
    """Brightness of that haze, from 0 to 1."""
    noise: np.ndarray
    """Standard deviation of the noise."""
    noise_keys: np.ndarray
    """Random bits, of shape (n_images,), uint64."""


def draw_scenes(scene: Scene, *, image_size: int) -> np.ndarray:
    """Return pictures of the scenes.

    Parameters
    ----------
    scene : Scene
    image_size : int
        Height and width in pixels.

    Returns
    -------
    ndarray of shape (n_images, image_size, image_size, 3), uint8
    """
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
    """Return the signed distance of each pixel to a shape's edge, negative inside.

    Parameters
    ----------
    which : ndarray of shape (n_images,), int64
        Index into the atlas.
    x, y, radius : ndarray of shape (n_images,), float32
        Center and half-width.
    positions : ndarray of shape (image_size,), float32
        The pixels' centers along one axis.
    aspect, cosine, sine : ndarray of shape (n_images,), float32, optional
        Stretch and direction.

    Returns
    -------
    ndarray of shape (n_images, image_size, image_size), float32
        Right near the edge of a shape that is not stretched, within a sixth otherwise.
    """
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
