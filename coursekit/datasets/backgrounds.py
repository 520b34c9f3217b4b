"""Seven patterns to lie behind a shape: planes from 0 (first color) to 1 (second color).

Nothing here knows of shapes, colors or where its numbers come from.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from coursekit.datasets.clouds import sample_clouds
from coursekit.datasets.drawing import affine, column, coverage, triangle_wave

__all__ = ["BACKGROUNDS", "Pattern", "draw_patterns"]

Plane = np.ndarray


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """The background of each image; every field has one entry an image.

    Parameters
    ----------
    kind : ndarray of shape (n_images,), int64
        Index into `BACKGROUNDS`.
    cosine, sine : ndarray of shape (n_images,), float32
        Direction in which the pattern repeats.
    period : ndarray of shape (n_images,), float32
        Its length there; the picture is 2 wide.
    phase : ndarray of shape (n_images, 2), float32
        Shift along and across, in periods, from 0 to 1.
    fill : ndarray of shape (n_images,), float32
        Share of the second color, from 0 to 1.
    """

    kind: np.ndarray
    cosine: np.ndarray
    sine: np.ndarray
    period: np.ndarray
    phase: np.ndarray
    fill: np.ndarray

    def rows(self, rows: np.ndarray) -> "Pattern":
        """Return the patterns of some of the images."""
        return Pattern(**{name: values[rows] for name, values in vars(self).items()})


def draw_patterns(pattern: Pattern, positions: np.ndarray) -> Plane:
    """Return the pattern of each image.

    Parameters
    ----------
    pattern : Pattern
    positions : ndarray of shape (image_size,), float32
        The pixels' centers along one axis.

    Returns
    -------
    ndarray of shape (n_images, image_size, image_size), float32
        From 0 (first color) to 1 (second color).
    """
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
        scale * pattern.cosine,
        scale * pattern.sine,
        pattern.phase,
        positions,
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
"""Names of the patterns."""
