"""Own images from a folder, laid out as for torchvision's `ImageFolder`."""

import os
import re
import unicodedata
import warnings
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from coursekit.datasets.imageset import ImageSet, LazyImages
from coursekit.errors import DataError

_PART = re.compile(r"(train|val|test)(ing|id|idation)?", re.IGNORECASE)
_WNID = re.compile(r"n\d{8}_")  # ImageNet's names: n01440764_tench.JPEG


def load_folder(
    path: str | os.PathLike[str],
    *,
    part: str | None = None,
    image_size: int | None = None,
    flat: bool = False,
    channels: int = 3,
) -> ImageSet:
    """Return the images of a folder, with the names of its sub-folders as classes.

    Every file is looked at first; one error names all that cannot be used. The attribute
    ``"file"`` holds each image's relative path, the card lists files that were left out.

    Parameters
    ----------
    path : path-like
        Holds one folder a class; above that there may be folders ``train``, ``val`` and
        ``test`` with the same classes in each.
    part : {"train", "val", "test"}, optional
        For a folder that is stored in parts. If only one of ``val`` and ``test`` is there, it
        serves for both names.
    image_size : int, optional
        Cut out the largest centered square and resize it to this height and width, and keep
        all images in memory. Without it they keep their sizes and stay on the disk.
    flat : bool, default=False
        Every image, in sub-folders too, is a class of its own, named after its file. Names
        such as ``n01440764_tench.JPEG`` are sorted by ImageNet's class index.
    channels : {3, 1}, default=3
        RGB or gray.
    """
    from torchvision.datasets.folder import IMG_EXTENSIONS  # slow to import

    folder = Path(path).expanduser()
    if not folder.is_dir():
        msg = f"{folder} does not exist or is no folder. Give one with a folder a class."
        raise DataError(msg)
    folder = folder if flat else _choose_part(folder, part)
    files = _visible_files(folder)
    images = [file for file in files if file.name.lower().endswith(IMG_EXTENSIONS)]
    paths, classes = (_class_of_each if flat else _class_of_folder)(images, folder)
    pixels = _read_all(paths, folder, image_size=image_size, channels=channels)
    lazy = LazyImages(partial(read_image, channels=channels), paths)
    names = list(dict.fromkeys(classes)) if flat else sorted(set(classes))
    card = f"Own images from {folder}; license: the owner's to say."
    if others := sorted({*files} - {*paths}):
        card += f" Left out: {', '.join(file.name for file in others[:5])}."
    return ImageSet(
        images=lazy if image_size is None else pixels,
        labels=[names.index(name) for name in classes],
        class_names=names,
        attributes={"file": np.array([_place(file, folder) for file in paths])},
        card=card,
    )


def find_parts(folder: Path) -> dict[str, Path]:
    """Return the parts of a data set that is stored in parts: "train", "val", "test".

    None unless "train" is one of them, and not the only part among other folders: then it
    may be the class of trains.
    """
    folders = _subfolders(folder)
    matches = [(_PART.fullmatch(sub.name), sub) for sub in folders]
    parts = {match[1].lower(): sub for match, sub in matches if match}
    return parts if "train" in parts and (len(parts) > 1 or len(folders) == 1) else {}


def read_image(
    path: str | os.PathLike[str], *, image_size: int | None = None, channels: int = 3
) -> np.ndarray:
    """Return the pixels of an image file, uint8, of shape (height, width, channels).

    What a camera marked as turned is turned, transparent pixels become white, and 16-bit
    brightness is scaled to 8 bits (Pillow would clip it).
    """
    with warnings.catch_warnings():  # of damaged notes about a sound picture
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            if image_size is not None:
                image.draft(None, (2 * image_size, 2 * image_size))  # a hint for JPEG
            with suppress(Exception):  # a damaged note; a damaged picture fails below
                ImageOps.exif_transpose(image, in_place=True)
            if image.mode in "IF" and image.format not in {"PNG", "PPM"}:
                msg = "32-bit brightness has no known range: save it as 8-bit"
                raise ValueError(msg)
            if image.mode[0] == "I":
                levels = (np.asarray(image).astype(np.uint32) + 128) // 257
                image = Image.fromarray(levels.astype(np.uint8))
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert("RGB" if channels == 3 else "L")
            if image_size is not None:
                size = (image_size, image_size)
                image = ImageOps.fit(image, size, Image.Resampling.BILINEAR)
            return np.array(image).reshape(image.height, image.width, channels)


def _read_all(
    paths: list[Path], folder: Path, *, image_size: int | None, channels: int
) -> np.ndarray:
    """Return all images in one array, small ones without a size, or name all bad files."""
    size = image_size or 8
    pixels = np.empty((len(paths), size, size, channels), np.uint8)
    problems = []
    for row, path in enumerate(paths):
        try:
            pixels[row] = read_image(path, image_size=size, channels=channels)
        except Exception as error:  # noqa: BLE001 - damaged files raise almost anything
            problems.append(f"- {_place(path, folder)}: {error or type(error).__name__}")
    if problems:
        listed = "\n".join(problems)
        msg = (
            f"{len(problems)} of the files in {folder} cannot be used as images:\n{listed}\n"
            "Repair or remove them, and load the folder again."
        )
        raise DataError(msg)
    return pixels


def _choose_part(folder: Path, part: str | None) -> Path:
    parts = find_parts(folder)
    if part is None and not parts:
        return folder
    other = {"val": "test", "test": "val"}.get(part, part)
    chosen = parts.get(part) or parts.get(other)
    if chosen is None:
        msg = (
            f"{folder} is stored in the parts: {', '.join(parts) or 'none'}; got "
            f"part={part!r}. Choose one of them, such as part='train'; without parts, leave "
            "part= out and split the set."
        )
        raise DataError(msg)
    classes = [{sub.name for sub in _subfolders(place)} for place in parts.values()]
    if differing := set.union(*classes) - set.intersection(*classes):
        msg = (
            f"Every part in {folder} must have the same classes, but not all have "
            f"{', '.join(sorted(differing))}. Add or remove class folders until they agree."
        )
        raise DataError(msg)
    return chosen


def _class_of_folder(images: list[Path], folder: Path) -> tuple[list[Path], list[str]]:
    """Return the images below class folders and their classes' names."""
    paths = [path for path in images if path.parent != folder]
    # A name may be stored with composed or with separate accents: it is the same class.
    classes = [unicodedata.normalize("NFC", _place(p, folder).split("/")[0]) for p in paths]
    counts = {unicodedata.normalize("NFC", sub.name): 0 for sub in _subfolders(folder)}
    counts |= Counter(classes)
    if len(counts) < 2 or 0 in counts.values():
        found = ", ".join(f"{name}: {count}" for name, count in counts.items())
        msg = (
            f"{folder} must hold one folder of images a class, at least two, but the folders "
            f"with their numbers of images are: {found or 'none'}. Sort the images so, give "
            "the folder in which they are sorted, or pass flat=True to make every image a "
            "class of its own."
        )
        raise DataError(msg)
    return paths, classes


def _class_of_each(images: list[Path], folder: Path) -> tuple[list[Path], list[str]]:
    """Return the images in the order of their classes, and these classes' names."""
    if not images:
        msg = f"{folder} and its sub-folders hold no images. Put some there."
        raise DataError(msg)
    places = [_place(path, folder) for path in images]
    if all(_WNID.match(path.name) for path in images):
        images = sorted(images, key=lambda path: path.stem)
        places = [path.stem[:9] for path in images]
    names = [_WNID.sub("", path.stem) for path in images]
    counts = Counter(names)  # names that occur twice are told apart
    pairs = zip(names, places, strict=True)
    return images, [f"{name} ({p})" if counts[name] > 1 else name for name, p in pairs]


def _visible_files(folder: Path) -> list[Path]:
    found = []
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = filter(_is_visible, folders)
        found += [Path(where, name) for name in names if _is_visible(name)]
    return sorted(found)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(sub for sub in folder.iterdir() if sub.is_dir() and _is_visible(sub.name))


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name not in {"__MACOSX", "__pycache__"}


def _place(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
