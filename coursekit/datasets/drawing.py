"""What drawn worlds are made of: hashed random numbers, paint, fractal noise.

A world is a function of (seed, number of the picture): every random number is a hash of them
and of a name, so a picture is the same whatever is drawn before it, beside it or in which
process. On pixels only operations are used that IEEE 754 rounds exactly (add, subtract,
multiply, divide, square root, comparison), never a sum over an axis or a library's sine: so
the bytes are the same on every machine. Do not reorder this arithmetic. What every picture goes
through is done in place: NumPy makes a new array for a step with a broadcast operand, which
costs more than its arithmetic.

Shapes throughout, all float32: numbers of images (n_images,), positions of pixels along one
axis (image_size,) from -1 to 1, planes (n_images, height, width), canvases (n_images, 3,
height, width) with values from 0 to 1.
"""

from collections.abc import Iterator
from functools import cache
from math import cos, sin, tau
from statistics import NormalDist

import numpy as np

from coursekit.seeds import derive_seed

Plane = np.ndarray
Canvas = np.ndarray

N_DIRECTIONS = 4096  # steps of a turn: sines from a rounded table are the same everywhere
N_QUANTILES = 1024  # levels of Gaussian noise, ten bits each: three planes from one hash


class Draws:
    """Random numbers for some images of one world, by name.

    A name asked for twice gives the same numbers twice. The hash is the finalizer of SplitMix64
    (Steele, Lea and Flood, OOPSLA 2014, section 5) over a counter, whose start is a SHA-256 of
    seed, world and name.

    Examples
    --------
    >>> alone = Draws(0, "toy", np.array([7], np.uint64)).integers("size", 100)
    >>> together = Draws(0, "toy", np.arange(10, dtype=np.uint64)).integers("size", 100)
    >>> bool(alone[0] == together[7])
    True
    """

    def __init__(self, seed: int, world: str, indices: np.ndarray) -> None:
        self.seed, self.world = seed, world
        self.indices = np.asarray(indices, dtype=np.uint64)

    def bits(self, name: str, n_columns: int | None = None) -> np.ndarray:
        """Return 64 random bits for each image, or of shape (n_images, n_columns)."""
        start = np.uint64(derive_seed(self.seed, self.world, name))
        keys = _mix64(self.indices * np.uint64(0x9E3779B97F4A7C15) + start)
        if n_columns is not None:
            keys = keys[:, None]
        steps = np.arange(1, (n_columns or 1) + 1, dtype=np.uint64)
        return _mix64(keys + steps * np.uint64(0xD1B54A32D192ED03))

    def uniform(
        self, name: str, low: float = 0.0, high: float = 1.0, n_columns: int | None = None
    ) -> np.ndarray:
        """Return numbers in ``[low, high)``, one an image or of shape (n_images, n_columns)."""
        unit = (self.bits(name, n_columns) >> np.uint64(40)).astype(np.float32)
        unit *= np.float32(2**-24)
        return unit * np.float32(high - low) + np.float32(low)

    def integers(
        self, name: str, n_values: int, n_columns: int | None = None
    ) -> np.ndarray:
        """Return whole numbers in ``0 .. n_values - 1``, all equally likely."""
        high = self.bits(name, n_columns) >> np.uint64(32)
        return ((high * np.uint64(n_values)) >> np.uint64(32)).astype(np.int64)

    def happens(self, name: str, probability: float) -> np.ndarray:
        """Return True with this probability for each image, of shape (n_images,)."""
        return self.uniform(name) < np.float32(probability)

    def directions(
        self, name: str, low: float = 0.0, high: float = 1.0, n_columns: int | None = None
    ) -> np.ndarray:
        """Return cosine and sine, on the last axis, of angles from `low` to `high` turns."""
        turns = self.uniform(name, low, high, n_columns)
        steps = np.floor(turns * np.float32(N_DIRECTIONS)).astype(np.int64) % N_DIRECTIONS
        return _direction_table()[steps]

    def balanced(self, name: str, n_values: int) -> np.ndarray:
        """Return whole numbers in ``0 .. n_values - 1`` that come equally often."""
        blocks, places = np.divmod(self.indices, np.uint64(n_values))
        keys = Draws(self.seed, self.world, blocks).bits(name, n_values)
        order = np.argsort(keys, axis=1, kind="stable")
        return order[np.arange(len(order)), places.astype(np.int64)]

    def rows(self, rows: np.ndarray) -> "Draws":
        """Return the draws of some of the images, chosen by position or mask."""
        return Draws(self.seed, self.world, self.indices[rows])


def add_grain(canvas: Canvas, keys: np.ndarray, strength: np.ndarray) -> None:
    """Add Gaussian noise of this standard deviation an image, in place; keys are 64 bits."""
    n_pixels = canvas[0, 0].size
    word = np.arange(n_pixels, dtype=np.uint32) * np.uint32(0x9E3779B1)
    word = word[None] ^ (keys >> np.uint64(32)).astype(np.uint32)[:, None]
    _mix32(word)
    shifts = np.array([0, 10, 20], np.uint32)[:, None]  # ten bits a plane
    noise = _quantile_table()[(word[:, None] >> shifts) & np.uint32(N_QUANTILES - 1)]
    noise *= column(strength)
    canvas += noise.reshape(canvas.shape)


def hash_cells(keys: np.ndarray, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return 32 random bits for the cell of each pixel; keys are 64 bits an image."""
    word = columns.astype(np.int32).view(np.uint32) * np.uint32(0x9E3779B1)
    word += rows.astype(np.int32).view(np.uint32) * np.uint32(0x85EBCA77)
    word ^= (keys >> np.uint64(32)).astype(np.uint32)[:, None, None]
    _mix32(word)
    return word


def _mix64(word: np.ndarray) -> np.ndarray:
    """Scramble 64-bit words: SplitMix64's finalizer."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def _mix32(word: np.ndarray) -> None:
    """Scramble 32-bit words in place: the hash "lowbias32" of Wellons, 2018."""
    word ^= word >> np.uint32(16)
    word *= np.uint32(0x7FEB352D)
    word ^= word >> np.uint32(15)
    word *= np.uint32(0x846CA68B)
    word ^= word >> np.uint32(16)


@cache
def _direction_table() -> np.ndarray:
    """Return cosine and sine of each step of a turn, of shape (N_DIRECTIONS, 2)."""
    angles = [tau * step / N_DIRECTIONS for step in range(N_DIRECTIONS)]
    table = np.array([(cos(angle), sin(angle)) for angle in angles])
    return (np.round(table * 2**20) / 2**20).astype(np.float32)


@cache
def _quantile_table() -> np.ndarray:
    normal = NormalDist()
    levels = [normal.inv_cdf((step + 0.5) / N_QUANTILES) for step in range(N_QUANTILES)]
    return (np.round(np.array(levels) * 2**12) / 2**12).astype(np.float32)


def pixel_positions(image_size: int) -> np.ndarray:
    """Return the positions of the pixels' centers along one axis."""
    return ((2 * np.arange(image_size) + 1 - image_size) / image_size).astype(np.float32)


def pixel_width(positions: np.ndarray) -> np.float32:
    """Return the width of a pixel; the picture is 2 wide."""
    return np.float32(2 / len(positions))


def column(values: np.ndarray) -> np.ndarray:
    """Return one number an image (or one for all), of shape (n_images, 1, 1), for planes."""
    return np.asarray(values, np.float32).reshape(-1, 1, 1)


def affine(
    across: np.ndarray, down: np.ndarray, offset: np.ndarray, positions: np.ndarray
) -> Plane:
    """Return the plane ``across * x + down * y + offset`` of each image."""
    along_x = across[:, None] * positions + offset[:, None]
    return along_x[:, None, :] + (down[:, None] * positions)[:, :, None]


def coverage(distances: Plane, softness: np.ndarray) -> Plane:
    """Return how much of each pixel lies inside, from signed distances to the edge."""
    covered = distances * column(-1 / softness) + 0.5
    return np.clip(covered, 0, 1, out=covered)


def triangle_wave(plane: Plane) -> Plane:
    """Return each value's distance to the nearest whole number, from 0 to 0.5."""
    wave = plane - np.floor(plane + 0.5)
    return np.abs(wave, out=wave)


def paint(canvas: Canvas, color: np.ndarray, covered: Plane) -> None:
    """Lay a color over the canvas, in place."""
    if color.ndim == 2:
        color = color[:, :, None, None]
    change = color - canvas
    change *= covered[:, None]
    canvas += change


def mix(first: np.ndarray, second: np.ndarray, plane: Plane) -> Canvas:
    """Return a canvas of the `first` color where the plane is 0, the `second` where it is 1."""
    canvas = plane[:, None] * (second - first)[:, :, None, None]
    canvas += first[:, :, None, None]
    return canvas


def sample_bilinear(
    tables: np.ndarray, which: np.ndarray, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Return values of each image's table at (x, y), counted in entries; borders go on."""
    height, width = tables.shape[1:]
    x = np.clip(x, 0, np.float32(width - 1.001))
    y = np.clip(y, 0, np.float32(height - 1.001))
    left, top = np.floor(x), np.floor(y)
    first = (which * (height * width))[:, None, None] + (top * width + left).astype(np.intp)
    return _interpolate(tables, first, x - left, y - top)


def _interpolate(tables: np.ndarray, first: np.ndarray, x: Plane, y: Plane) -> Plane:
    """Return values between the entries at `first`, those beside, below, and beside below."""
    flat, width = tables.reshape(-1), tables.shape[-1]
    upper = _lerp(flat[first], flat[1:][first], x)
    lower = _lerp(flat[width:][first], flat[width + 1 :][first], x)
    return _lerp(upper, lower, y)


def _lerp(start: np.ndarray, stop: np.ndarray, part: np.ndarray) -> np.ndarray:
    stop -= start
    stop *= part
    stop += start
    return stop


def to_bytes(canvas: Canvas) -> np.ndarray:
    """Return the canvas as images of shape (n_images, height, width, 3), uint8."""
    scaled = np.clip(canvas, 0, 1) * 255 + 0.5
    return np.ascontiguousarray(scaled.astype(np.uint8).transpose(0, 2, 3, 1))


TILE_SIZE = 256  # Entries along each side of the tile.

# Tile: how many lattice cells lie along a side, and how strong each lattice is.
OCTAVES = {
    "clouds": {4: 1.0, 8: 0.5, 16: 0.25, 32: 0.125, 64: 0.0625, 128: 0.03},
    "hills": {4: 1.0, 8: 0.35, 16: 0.08},
    "crowns": {32: 0.5, 64: 1.0, 128: 0.6},
}


def sample_clouds(
    across: np.ndarray,
    down: np.ndarray,
    phase: np.ndarray,
    positions: np.ndarray,
    *,
    tile: str = "clouds",
) -> np.ndarray:
    """Return one window of a tile of fractal noise for each image, from 0 to 1.

    `across` and `down` are cosine and sine of its angle times its size: 0.5 is as wide as the
    tile. `phase`, of shape (n_images, 2), is its center from 0 to 1. Values are ranks, so a
    threshold of 0.3 covers three tenths of the tile.
    """
    size = np.float32(TILE_SIZE)
    a, b = across[:, None] * positions, down[:, None] * positions
    x = (a + phase[:, :1])[:, None, :] * size - (b * size)[:, :, None]
    y = (b + phase[:, 1:])[:, None, :] * size + (a * size)[:, :, None]
    floor_x, floor_y = np.floor(x), np.floor(y)
    x -= floor_x
    y -= floor_y
    left = floor_x.astype(np.int32) & (TILE_SIZE - 1)
    top = floor_y.astype(np.int32) & (TILE_SIZE - 1)
    first = (top * (TILE_SIZE + 1) + left).astype(np.intp)
    return _interpolate(_cloud_tile(tile), first, x, y)


@cache
def _cloud_tile(name: str) -> np.ndarray:
    """Return a tile without seams, its first row and column repeated at the end."""
    total = np.zeros((TILE_SIZE, TILE_SIZE))
    for n_cells, strength in OCTAVES[name].items():
        draws = Draws(0, "clouds", np.arange(n_cells, dtype=np.uint64))
        lattice = draws.uniform(f"{name} {n_cells}", n_columns=n_cells).astype(np.float64)
        total += strength * _enlarge(_enlarge(lattice).T).T
    ranks = np.empty(TILE_SIZE**2, np.float32)
    order = np.argsort(np.round(total.reshape(-1) * 2**32), kind="stable")
    ranks[order] = (np.arange(TILE_SIZE**2) + 0.5) / TILE_SIZE**2
    return np.pad(ranks.reshape(TILE_SIZE, TILE_SIZE), ((0, 1), (0, 1)), mode="wrap")


def _enlarge(lattice: np.ndarray) -> np.ndarray:
    """Return the rows of a lattice drawn out to the tile's width, smooth at every entry."""
    n_cells = lattice.shape[1]
    place = np.arange(TILE_SIZE) * n_cells / TILE_SIZE
    left = place.astype(int)
    t = place - left
    t = t * t * t * (t * (t * 6 - 15) + 10)
    return lattice[:, left] * (1 - t) + lattice[:, (left + 1) % n_cells] * t


# A chunk of this many pixels works in a core's second-level cache.
CHUNK_PIXELS = 2**16


def chunks(n_images: int, image_size: int) -> Iterator[slice]:
    """Yield slices that cover ``range(n_images)``, small enough for the cache."""
    size = max(1, CHUNK_PIXELS // image_size**2)
    for first in range(0, n_images, size):
        yield slice(first, min(first + size, n_images))
