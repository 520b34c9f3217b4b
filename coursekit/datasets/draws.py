"""Random numbers that belong to an image: a function of the seed, the image and a name.

Every number is a hash of (seed, image index, name), so it is the same whatever is drawn before
it, beside it or in which process. Nothing here knows what the numbers are for.
"""

from functools import cache
from math import cos, sin, tau
from statistics import NormalDist

import numpy as np

from coursekit.seeds import derive_seed

__all__ = ["Draws", "directions", "gaussian_planes", "hash_cells"]

N_DIRECTIONS = 4096
N_QUANTILES = 1024


class Draws:
    """Random numbers for some images of one world, by name.

    Parameters
    ----------
    seed : int
        The seed of the data set.
    world : str
        Keeps worlds with the same seed apart.
    indices : ndarray of shape (n_images,), uint64
        The number of each image in its world.

    Notes
    -----
    A name asked for twice gives the same numbers twice. The hash is the finalizer of
    SplitMix64 [1]_ over a counter, whose start is a SHA-256 of seed, world and name.

    References
    ----------
    .. [1] Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA
       2014, section 5. https://doi.org/10.1145/2714064.2660195

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

    def __len__(self) -> int:
        return len(self.indices)

    def bits(self, name: str, n_columns: int = 1) -> np.ndarray:
        """Return 64 random bits for each image and column.

        Returns
        -------
        ndarray of shape (n_images, n_columns), uint64
        """
        start = np.uint64(derive_seed(self.seed, self.world, name))
        keys = _mix64(self.indices * np.uint64(0x9E3779B97F4A7C15) + start)
        steps = np.arange(1, n_columns + 1, dtype=np.uint64)
        return _mix64(keys[:, None] + steps * np.uint64(0xD1B54A32D192ED03))

    def uniform(
        self, name: str, low: float = 0.0, high: float = 1.0, n_columns: int | None = None
    ) -> np.ndarray:
        """Return numbers in ``[low, high)``.

        Returns
        -------
        ndarray of shape (n_images,) or (n_images, n_columns), float32
        """
        unit = (self.bits(name, n_columns or 1) >> np.uint64(40)).astype(np.float32)
        unit *= np.float32(2**-24)
        values = unit * np.float32(high - low) + np.float32(low)
        return values if n_columns else values[:, 0]

    def integers(
        self, name: str, n_values: int, n_columns: int | None = None
    ) -> np.ndarray:
        """Return whole numbers in ``0 .. n_values - 1``, all equally likely.

        Returns
        -------
        ndarray of shape (n_images,) or (n_images, n_columns), int64
        """
        high = self.bits(name, n_columns or 1) >> np.uint64(32)
        values = ((high * np.uint64(n_values)) >> np.uint64(32)).astype(np.int64)
        return values if n_columns else values[:, 0]

    def happens(self, name: str, probability: float) -> np.ndarray:
        """Return True with this probability for each image, of shape (n_images,)."""
        return self.uniform(name) < np.float32(probability)

    def balanced(self, name: str, n_values: int) -> np.ndarray:
        """Return whole numbers in ``0 .. n_values - 1`` that come equally often.

        Each run of `n_values` images from a multiple of `n_values` on is a random order of
        all the values.

        Returns
        -------
        ndarray of shape (n_images,), int64
        """
        count = np.uint64(n_values)
        rows = np.arange(len(self))
        block = Draws(self.seed, self.world, self.indices // count)
        order = np.argsort(block.bits(name, n_values), axis=1, kind="stable")
        return order[rows, (self.indices % count).astype(np.int64)]

    def rows(self, rows: np.ndarray) -> "Draws":
        """Return the draws of some of the images, chosen by position or mask."""
        return Draws(self.seed, self.world, self.indices[rows])


def directions(turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return cosine and sine of angles given in turns (1 turn is 360 degrees).

    Parameters
    ----------
    turns : ndarray of float32
        Of any shape; rounded down to a 4096th of a turn.

    Returns
    -------
    cosines, sines : ndarray of float32
        From a rounded table, so that every machine has the same ones.
    """
    steps = np.floor(turns * np.float32(N_DIRECTIONS)).astype(np.int64) % N_DIRECTIONS
    table = _direction_table()
    return table[0][steps], table[1][steps]


def gaussian_planes(keys: np.ndarray, n_planes: int, n_pixels: int) -> np.ndarray:
    """Return Gaussian noise of mean 0 and variance 1 for every pixel.

    Parameters
    ----------
    keys : ndarray of shape (n_images,), uint64
        Random bits of each image.
    n_planes : int
        From 1 to 3 independent planes.
    n_pixels : int

    Returns
    -------
    ndarray of shape (n_images, n_planes, n_pixels), float32
        Quantized to 1024 levels between -3.3 and 3.3.
    """
    word = np.arange(n_pixels, dtype=np.uint32) * np.uint32(0x9E3779B1)
    word = word[None] ^ (keys >> np.uint64(32)).astype(np.uint32)[:, None]
    _mix32(word)
    table = _quantile_table()
    noise = np.empty((len(keys), n_planes, n_pixels), np.float32)
    for plane in range(n_planes):
        level = (word >> np.uint32(10 * plane)) & np.uint32(N_QUANTILES - 1)
        noise[:, plane] = table[level]
    return noise


def hash_cells(keys: np.ndarray, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return 32 random bits for each cell of a lattice.

    Parameters
    ----------
    keys : ndarray of shape (n_images,), uint64
        Random bits of each image.
    columns, rows : ndarray of shape (n_images, height, width), float32
        Whole numbers: the cell of each pixel.

    Returns
    -------
    ndarray of shape (n_images, height, width), uint32
    """
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
def _direction_table() -> tuple[np.ndarray, np.ndarray]:
    angles = [tau * step / N_DIRECTIONS for step in range(N_DIRECTIONS)]
    rounded = (
        np.round(np.array([[f(a) for a in angles] for f in (cos, sin)]) * 2**20) / 2**20
    )
    return rounded[0].astype(np.float32), rounded[1].astype(np.float32)


@cache
def _quantile_table() -> np.ndarray:
    normal = NormalDist()
    levels = [normal.inv_cdf((step + 0.5) / N_QUANTILES) for step in range(N_QUANTILES)]
    return (np.round(np.array(levels) * 2**12) / 2**12).astype(np.float32)
