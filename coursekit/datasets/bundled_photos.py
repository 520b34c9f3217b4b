"""Photographs that scikit-image brings along in its wheel.

Read from its folder when asked for, never downloaded. Nothing here knows what they are for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from coursekit.datasets.imageset import ImageSet
from coursekit.errors import DataError, SettingsError

__all__ = ["PHOTOS", "load_photo", "load_photos"]


class Photo(NamedTuple):
    """Where one photograph lies in scikit-image's folder, and whose it is."""

    file: str
    source: str


PHOTOS = {
    "astronaut": Photo("astronaut.png", "Eileen Collins, NASA Great Images, public domain"),
    "brick": Photo("brick.png", "brick wall (gray), CC0Textures, CC0"),
    "camera": Photo("camera.png", "cameraman (gray), Lav Varshney, CC0"),
    "cat": Photo("chelsea.png", "the cat Chelsea, Stefan van der Walt, CC0"),
    "cell": Photo("cell.png", "a cell, microscope (gray), CC0"),
    "clock": Photo(
        "clock_motion.png", "moving clock (gray), S. van der Walt, public domain"
    ),
    "coffee": Photo("coffee.png", "cup of coffee, Rachel Michetti, CC0"),
    "coins": Photo(
        "coins.png", "Greek coins (gray), Brooklyn Museum, no known restrictions"
    ),
    "grass": Photo("grass.png", "grass (gray), linolafett on DeviantArt, CC0"),
    "gravel": Photo("gravel.png", "gravel (gray), CC0Textures, CC0"),
    "hubble_deep_field": Photo("hubble_deep_field.jpg", "galaxies, NASA, public domain"),
    "immunohistochemistry": Photo("ihc.png", "stained colon, CMMI, no known restrictions"),
    "moon": Photo("moon.png", "surface of the moon (gray), no source stated"),
    "motorcycle": Photo("motorcycle_left.png", "Middlebury stereo 2014, Scharstein et al."),
    "page": Photo("page.png", "scanned page (gray), no source stated"),
    "retina": Photo("retina.jpg", "a left eye's retina, Häggström (2014), CC0"),
    "rocket": Photo("rocket.jpg", "Falcon 9 on its launch pad, SpaceX, public domain"),
    "text": Photo("text.png", "text on paper (gray), Wikipedia, public domain"),
}
"""Name of each photograph: its file, and its source as scikit-image states it."""


def load_photos() -> ImageSet:
    """Return the photographs in scikit-image's wheel, each a class of its own.

    Returns
    -------
    ImageSet
        Lazy, images of different sizes of shape (height, width, 3), the gray ones with three
        equal channels; the class name is the photograph's name. The card states the sources.

    Raises
    ------
    DataError
        If scikit-image is installed without its photographs.

    Examples
    --------
    >>> photos = load_photos()
    >>> photos.images[photos.class_names.index("cat")].shape
    (300, 451, 3)
    """
    names = tuple(name for name in PHOTOS if _path(name).is_file())
    if not names:
        msg = (
            f"No photograph lies in {_folder()}. Install scikit-image again from its wheel: "
            "pip install --force-reinstall scikit-image."
        )
        raise DataError(msg)
    lines = [f"- {name}: {PHOTOS[name].source}" for name in names]
    head = "Photographs bundled with scikit-image (skimage.data); sources as stated there:"
    return ImageSet(
        images=_Photos(names),
        labels=np.arange(len(names)),
        class_names=names,
        card="\n".join([head, *lines]),
    )


def load_photo(name: str) -> np.ndarray:
    """Return one photograph as an array.

    Parameters
    ----------
    name : str
        One of ``PHOTOS``, such as ``"cat"`` or ``"coffee"``.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8
        Gray photographs have three equal channels.

    Raises
    ------
    SettingsError
        If there is no photograph of that name.
    DataError
        If scikit-image is installed without its file; nothing is downloaded.

    Examples
    --------
    >>> load_photo("coffee").shape
    (400, 600, 3)
    """
    if name not in PHOTOS:
        msg = f"The photographs are {', '.join(PHOTOS)}; got {name!r}."
        raise SettingsError(msg)
    path = _path(name)
    if not path.is_file():
        msg = (
            f"The photograph {name!r} is not where scikit-image keeps it: {path}. Install "
            "scikit-image again from its wheel, or choose another photograph."
        )
        raise DataError(msg)
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


@dataclass(frozen=True)
class _Photos(Sequence):
    """Photographs, read when asked for."""

    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> np.ndarray:
        return load_photo(self.names[index])


def _folder() -> Path:
    """Return skimage's data folder, found without importing skimage (which is slow)."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        msg = "scikit-image is not installed. Install it: pip install scikit-image."
        raise DataError(msg)
    return Path(spec.origin).parent / "data"


def _path(name: str) -> Path:
    return _folder() / PHOTOS[name].file
