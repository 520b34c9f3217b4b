"""A short clip of two shapes that move and bounce, to show what a 3-D convolution sees.

Frame t is a function of (seed, t, its size). Nothing here knows of labels.
"""

from typing import NamedTuple

import numpy as np

from coursekit.datasets.drawing import coverage, paint, pixel_positions, to_bytes
from coursekit.datasets.draws import Draws
from coursekit.datasets.shape_atlas import SOURCE_SHAPES
from coursekit.datasets.shape_attributes import RGB
from coursekit.datasets.shape_scenes import shape_distance
from coursekit.datasets.windows import check_image_size, check_window, chunks

__all__ = ["make_moving_shapes"]

N_SHAPES = 2
BRIGHT = ("red", "orange", "yellow", "cyan", "pink", "white")


class _Mover(NamedTuple):
    """One shape and the way it goes; x and y have one entry a frame."""

    shape: int
    color: np.ndarray
    radius: float
    x: np.ndarray
    y: np.ndarray


def make_moving_shapes(n_frames: int, *, seed: int, image_size: int = 32) -> np.ndarray:
    """Return a clip of two shapes that move at constant speed and bounce off the border.

    Parameters
    ----------
    n_frames : int
        At least 1.
    seed : int
        Not negative; decides shapes, colors, places and speeds.
    image_size : int, default=32
        Height and width in pixels, from 8 to 1024.

    Returns
    -------
    ndarray of shape (n_frames, image_size, image_size, 3), uint8
        The first frames of a longer clip are the shorter clip.

    Raises
    ------
    SettingsError
        If a number is out of range.

    Examples
    --------
    >>> make_moving_shapes(16, seed=0).shape
    (16, 32, 32, 3)
    """
    check_window(n_frames, seed, 0)
    check_image_size(image_size)
    clip = np.empty((n_frames, image_size, image_size, 3), np.uint8)
    for frames in chunks(n_frames, image_size, None):
        clip[frames] = _draw(np.arange(frames.start, frames.stop), seed, image_size)
    return clip


def _draw(frames: np.ndarray, seed: int, image_size: int) -> np.ndarray:
    positions = pixel_positions(image_size)
    n_frames = len(frames)
    slope = 0.22 + 0.08 * positions  # darker at the top
    tint = np.array([0.8, 0.9, 1.2], np.float32)
    canvas = np.empty((n_frames, 3, image_size, image_size), np.float32)
    canvas[:] = slope[:, None] * tint[:, None, None]
    pixel = np.full(n_frames, 2 / image_size, np.float32)
    for mover in _movers(frames, seed):
        radius = np.full(n_frames, mover.radius, np.float32)
        which = np.full(n_frames, mover.shape)
        distance = shape_distance(which, mover.x, mover.y, radius, positions)
        paint(canvas, np.tile(mover.color, (n_frames, 1)), coverage(distance, pixel))
    return to_bytes(canvas)


def _movers(frames: np.ndarray, seed: int) -> list[_Mover]:
    draws = Draws(seed, "moving shapes", np.arange(N_SHAPES, dtype=np.uint64))
    shapes = draws.balanced(
        "shape", len(SOURCE_SHAPES)
    )  # different shapes, different colors
    colors = draws.balanced("color", len(BRIGHT))
    radii = draws.uniform("radius", 0.26, 0.36)
    places = draws.uniform("place", 0, 1.5, n_columns=2)
    places[1, 0] += 2  # starts on the other side and comes the other way
    speeds = draws.uniform("speed", 0.09, 0.16, n_columns=2)
    movers = []
    for number in range(N_SHAPES):
        room = np.float32(0.92) - np.float32(1.06) * radii[number]
        x, y = (
            _bounce(places[number, axis] + speeds[number, axis] * frames.astype(np.float32))
            * room
            for axis in range(2)
        )
        rgb = np.array(RGB[BRIGHT[colors[number]]], np.float32)
        movers.append(_Mover(int(shapes[number]), rgb, float(radii[number]), x, y))
    return movers


def _bounce(way: np.ndarray) -> np.ndarray:
    """Return the way along a line folded into -1 to 1, with period 4."""
    folded = way - 4 * np.floor(way * 0.25)
    return np.abs(folded - 2) - 1
