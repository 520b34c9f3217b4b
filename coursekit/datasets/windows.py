"""Which pictures of an endless drawn world are wanted, and how many are drawn at a time.

Nothing here knows what a world shows.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from coursekit.errors import SettingsError

__all__ = ["check_image_size", "check_names", "check_window", "chunks"]

LAST_INDEX = 2**62
CHUNK_PIXELS = 2**16
"""Keeps what one chunk works on in a core's second-level cache."""


def check_window(n_images: int, seed: int, start: int) -> None:
    """Refuse a window of pictures that cannot be drawn.

    Raises
    ------
    SettingsError
        If a number is not whole or is out of range.
    """
    for name, value, least in (
        ("n_images", n_images, 1),
        ("seed", seed, 0),
        ("start", start, 0),
    ):
        _check_whole(name, value, least)
    if start + n_images > LAST_INDEX:
        msg = f"start + n_images must be at most 2**62, got {start + n_images}."
        raise SettingsError(msg)


def check_image_size(image_size: int) -> None:
    """Refuse a size at which nothing can be seen, or which fills the memory.

    Raises
    ------
    SettingsError
        If the size is not a whole number from 8 to 1024.
    """
    _check_whole("image_size", image_size, 8)
    if image_size > 1024:
        msg = f"image_size must be at most 1024 pixels, got {image_size}."
        raise SettingsError(msg)


def check_names(what: str, names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the names as a tuple, or say which one cannot be had.

    Raises
    ------
    SettingsError
        If there is none, one is unknown, or one is given twice.
    """
    if isinstance(names, str):
        msg = f"{what} must be a sequence of names, got the string {names!r}. Write [{names!r}]."
        raise SettingsError(msg)
    names = tuple(names)
    unknown = [name for name in names if name not in known]
    if not names or unknown or len(set(names)) < len(names):
        given = f"got {', '.join(map(repr, names)) or 'none'}"
        msg = f"{what} must be different names out of {', '.join(known)}; {given}."
        raise SettingsError(msg)
    return names


def chunks(n_images: int, image_size: int, chunk_size: int | None) -> Iterator[slice]:
    """Yield slices that cover ``range(n_images)``.

    Parameters
    ----------
    n_images, image_size : int
    chunk_size : int or None
        Pictures a slice; None chooses by the cache.

    Raises
    ------
    SettingsError
        If `chunk_size` is below 1.
    """
    if chunk_size is None:
        chunk_size = max(1, CHUNK_PIXELS // image_size**2)
    _check_whole("chunk_size", chunk_size, 1)
    for first in range(0, n_images, chunk_size):
        yield slice(first, min(first + chunk_size, n_images))


def _check_whole(name: str, value: int, least: int) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        msg = f"{name} must be a whole number, at least {least}, got {value!r}."
        raise SettingsError(msg)
