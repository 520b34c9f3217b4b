"""Decode an image file to pixels, whatever its mode, and say why where that cannot be done.

Nothing here knows about folders, classes or labels.
"""

import os
import struct
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from coursekit.errors import DataError

__all__ = ["IMAGE_SUFFIXES", "decode_image", "find_problem", "report_problems"]

# Those of torchvision.datasets.ImageFolder, so that both see the same files.
IMAGE_SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".ppm",
    ".bmp",
    ".pgm",
    ".tif",
    ".tiff",
    ".webp",
)

_MODES = {"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "I", "F"}
_TRANSPARENT = {"LA", "La", "PA", "RGBA", "RGBa"}
_SIXTEEN_BIT = {"I;16", "I;16B", "I;16L", "I;16N"}
_ANIMATED = {"GIF", "PNG", "TIFF", "WEBP"}  # not MPO: a telephone's photograph is one
_ORIENTATION = 0x0112  # the EXIF tag

# What Pillow raises for files that are damaged in one way or another.
_UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    ZeroDivisionError,
    OverflowError,
    struct.error,
    Image.DecompressionBombError,
)


def decode_image(
    path: str | os.PathLike[str], *, image_size: int | None = None, channels: int = 3
) -> np.ndarray:
    """Return the pixels of an image file.

    Transparent pixels become white, CMYK and palette images RGB, 16-bit brightness is
    scaled to 8 bits, and a photograph that a camera marked as turned (EXIF) is turned.

    Parameters
    ----------
    path : path-like
    image_size : int, optional
        The largest centered square is cut out and resized to this height and width.
    channels : int, default=3
        3 for RGB, 1 for gray.

    Returns
    -------
    ndarray of shape (height, width, channels), uint8

    Raises
    ------
    DataError
        If the file cannot be decoded; the message gives the reason, not the path.
    """
    path = Path(path)
    try:
        if not path.stat().st_size:
            _refuse("empty file (0 bytes)")
        with _open(path) as image:
            _refuse_frames(image)
            if image_size is not None:
                image.draft(None, (2 * image_size, 2 * image_size))  # a hint for JPEG
            pixels = _to_mode(_upright(image), "RGB" if channels == 3 else "L")
            if image_size is not None:
                pixels = ImageOps.fit(
                    pixels, (image_size, image_size), Image.Resampling.BILINEAR
                )
            array = np.asarray(pixels)
    except DataError:
        raise
    except _UNREADABLE as error:
        _refuse(_in_words(error), error)
    return array[..., None] if channels == 1 else array


def find_problem(path: str | os.PathLike[str]) -> str | None:
    """Return why an image file cannot be used, or None, with a quick look at it.

    The header is read, and the end of the file: a JPEG that ends with its end mark and a
    PNG whose parts have the right sums are taken as whole. Anything else is decoded.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    str or None
    """
    path = Path(path)
    try:
        if not path.stat().st_size:
            return "empty file (0 bytes)"
        with _open(path) as image:
            _refuse_frames(image)
            _refuse_mode(image)
            if image.format == "PNG":
                image.verify()
                return None
            if image.format in {"JPEG", "MPO"} and _has_jpeg_end(path):
                return None
            image.draft(None, (1, 1))
            image.load()
    except DataError as error:
        return str(error)
    except _UNREADABLE as error:
        return _in_words(error)
    return None


def report_problems(problems: Iterable[tuple[str, str]], *, folder: Path) -> None:
    """Raise one error that names every file with a problem, if there is one.

    Parameters
    ----------
    problems : iterable of (str, str)
        Name of a file, and what is wrong with it.
    folder : Path
        Where the files lie.

    Raises
    ------
    DataError
        If there is a problem.
    """
    problems = list(problems)
    if not problems:
        return
    files = "1 file" if len(problems) == 1 else f"{len(problems)} files"
    listed = "\n".join(f"- {name}: {problem}" for name, problem in problems)
    msg = (
        f"{files} in {folder} cannot be used as images:\n{listed}\n"
        "Repair or remove them, and load the folder again."
    )
    raise DataError(msg)


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    """Open an image; what Pillow merely warns of, such as a damaged note, is no matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            yield image


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except _UNREADABLE:  # a damaged note about a sound picture
        return image
    return ImageOps.exif_transpose(image) if orientation in range(2, 9) else image


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    _refuse_mode(image)
    if image.mode in _SIXTEEN_BIT or image.mode == "I":
        levels = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if mode == "L" and image.mode != "L":
        image = image.convert("RGB")
    return image.convert(mode)


def _refuse_mode(image: Image.Image) -> None:
    # Pillow opens some 16-bit files as "I", with brightness still below 2**16.
    if image.mode == "F" or (image.mode == "I" and image.format not in {"PNG", "PPM"}):
        _refuse(
            f"32-bit brightness (mode {image.mode}) has no known range: save it as 8-bit"
        )
    if image.mode not in _MODES | _TRANSPARENT | _SIXTEEN_BIT:
        _refuse(f"color mode {image.mode} is not read: save it as RGB")


def _refuse_frames(image: Image.Image) -> None:
    n_frames = getattr(image, "n_frames", 1) if image.format in _ANIMATED else 1
    if n_frames > 1:
        _refuse(f"{n_frames} frames or pages: save one of them as an image of its own")


def _has_jpeg_end(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-2, os.SEEK_END)
        return stream.read() == b"\xff\xd9"


def _in_words(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image, or in a format that cannot be read"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    words = " ".join(str(error).split()) or type(error).__name__
    if "truncated" in words.lower():
        return f"cut short ({words})"
    return f"damaged ({words})"


def _refuse(reason: str, cause: Exception | None = None) -> None:
    raise DataError(reason) from cause
