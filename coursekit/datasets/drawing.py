"""Paint batches of pictures with arithmetic that gives the same bytes everywhere.

A canvas is a float32 array of shape (n_images, 3, height, width) with values from 0 to 1, a
plane one of shape (n_images, height, width). Positions run from -1 (left, top) to 1 (right,
bottom). Only operations that IEEE 754 rounds exactly are used on pixels - add, subtract,
multiply, divide, square root, comparison -, never a sum over an axis or a library's sine, so a
picture depends on neither batch, threads nor machine. Nothing here knows what is painted.
"""

import numpy as np

__all__ = [
    "affine",
    "column",
    "coverage",
    "paint",
    "pixel_positions",
    "sample_bilinear",
    "to_bytes",
    "triangle_wave",
]


def pixel_positions(image_size: int) -> np.ndarray:
    """Return the positions of the pixels' centers along one axis.

    Returns
    -------
    ndarray of shape (image_size,), float32
        From ``-1 + 1 / image_size`` to ``1 - 1 / image_size``.

    Examples
    --------
    >>> pixel_positions(4)
    array([-0.75, -0.25,  0.25,  0.75], dtype=float32)
    """
    return ((2 * np.arange(image_size) + 1 - image_size) / image_size).astype(np.float32)


def column(values: np.ndarray) -> np.ndarray:
    """Return one number an image, of shape (n_images, 1, 1), to meet a plane."""
    return np.asarray(values, np.float32)[:, None, None]


def affine(
    across: np.ndarray, down: np.ndarray, offset: np.ndarray, positions: np.ndarray
) -> np.ndarray:
    """Return the plane ``across * x + down * y + offset`` of each image.

    Parameters
    ----------
    across, down, offset : ndarray of shape (n_images,), float32
    positions : ndarray of shape (image_size,), float32
        The pixels' centers, the same along both axes.

    Returns
    -------
    ndarray of shape (n_images, image_size, image_size), float32
    """
    along_x = across[:, None] * positions + offset[:, None]
    along_y = down[:, None] * positions
    return along_x[:, None, :] + along_y[:, :, None]


def coverage(distances: np.ndarray, softness: np.ndarray) -> np.ndarray:
    """Return how much of each pixel lies inside, from signed distances to the edge.

    Parameters
    ----------
    distances : ndarray of shape (n_images, height, width), float32
        Negative inside.
    softness : ndarray of shape (n_images,), float32
        The distance over which the edge fades, usually one pixel.

    Returns
    -------
    ndarray of shape (n_images, height, width), float32
        From 0 (outside) to 1 (inside).
    """
    covered = distances * column(-1 / softness)
    covered += 0.5
    return np.clip(covered, 0, 1, out=covered)


def triangle_wave(plane: np.ndarray) -> np.ndarray:
    """Return each value's distance to the nearest whole number, from 0 to 0.5."""
    wave = plane - np.floor(plane + 0.5)
    return np.abs(wave, out=wave)


def paint(canvas: np.ndarray, color: np.ndarray, covered: np.ndarray) -> None:
    """Lay a color over the canvas, in place.

    Parameters
    ----------
    canvas : ndarray of shape (n_images, 3, height, width), float32
    color : ndarray of shape (n_images, 3) or (n_images, 3, height, width), float32
    covered : ndarray of shape (n_images, height, width), float32
        Opacity from 0 to 1.
    """
    if color.ndim == 2:
        color = color[:, :, None, None]
    change = color - canvas
    change *= covered[:, None]
    canvas += change


def sample_bilinear(
    tables: np.ndarray, which: np.ndarray, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Return values of a table between its entries; beyond its border, the border's value.

    Parameters
    ----------
    tables : ndarray of shape (n_tables, height, width), float32
    which : ndarray of shape (n_images,), int64
        The table that each image reads.
    x, y : ndarray of shape (n_images, image_size, image_size), float32
        Column and row, counted in entries from 0.

    Returns
    -------
    ndarray of the shape of `x`, float32
    """
    height, width = tables.shape[1:]
    x = np.clip(x, 0, np.float32(width - 1.001))
    y = np.clip(y, 0, np.float32(height - 1.001))
    left, top = x.astype(np.int32), y.astype(np.int32)
    x -= left
    y -= top
    top *= width
    top += left
    first = (which * (height * width)).astype(np.intp)[:, None, None] + top
    flat = tables.reshape(-1)
    upper = _lerp(flat[first], flat[1:][first], x)
    lower = _lerp(flat[width:][first], flat[width + 1 :][first], x)
    return _lerp(upper, lower, y)


def to_bytes(canvas: np.ndarray) -> np.ndarray:
    """Return the canvas as images of shape (n_images, height, width, 3), uint8."""
    scaled = np.clip(canvas, 0, 1)
    scaled *= 255
    scaled += 0.5
    return np.ascontiguousarray(scaled.astype(np.uint8).transpose(0, 2, 3, 1))


def _lerp(start: np.ndarray, stop: np.ndarray, part: np.ndarray) -> np.ndarray:
    stop -= start
    stop *= part
    stop += start
    return stop
