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
from PIL import Image, ImageOps, UnidentifiedImageError

from coursekit.datasets.imageset import ImageSet, LazyImages
from coursekit.errors import DataError

__all__ = ["find_parts", "load_folder", "read_image"]

_PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
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

    Every file is looked at first; one error names all that cannot be used.

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

    Returns
    -------
    ImageSet
        With each image's relative path as the attribute ``"file"``. The card lists files
        that were left out because they are no images by their names.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        msg = f"{folder} {what}. Give a folder that holds one folder of images a class."
        raise DataError(msg)
    folder = folder if flat else _choose_part(folder, part)
    paths, labels, names = (_find_flat if flat else _find_by_class)(folder)
    pixels = _read_all(paths, folder, image_size=image_size, channels=channels)
    files = np.array([path.relative_to(folder).as_posix() for path in paths])
    lazy = LazyImages(partial(_read_or_say_why, channels=channels), paths)
    others = sorted({*_visible_files(folder)} - {*paths})
    card = f"Own images from {folder}; license: the owner's to say."
    if others:
        card += f" Left out, as no images: {', '.join(path.name for path in others[:5])}."
    return ImageSet(
        images=lazy if image_size is None else pixels,
        labels=labels,
        class_names=names,
        attributes={"file": files},
        card=card,
    )


def find_parts(folder: Path) -> dict[str, Path]:
    """Return the parts of a data set that is stored in parts: "train", "val", "test".

    Those that are there and hold folders; none unless "train" is one of them, and not the
    only part among other folders (it may be the class of trains).
    """
    folders = _subfolders(folder)
    named = {
        part: sub
        for sub in folders
        for part, words in _PARTS.items()
        if sub.name.lower() in words
    }
    if len(named) > 1 and not any(map(_subfolders, folders)):
        msg = (
            f"The folders {', '.join(sub.name for sub in folders)} in {folder} are parts by "
            "their names, but hold no class folders. Sort the images of each part into one "
            "folder a class, or pass flat=True to make every image a class of its own."
        )
        raise DataError(msg)
    parts = {part: sub for part, sub in named.items() if _subfolders(sub)}
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
            if image.mode == "F" or (
                image.mode == "I" and image.format not in {"PNG", "PPM"}
            ):
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


def _read_or_say_why(path: Path, *, channels: int) -> np.ndarray:
    try:
        return read_image(path, channels=channels)
    except Exception as error:  # damaged files raise almost anything
        msg = f"{path} cannot be used as an image: {_in_words(error)}."
        raise DataError(msg) from error


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
            problems.append(f"- {path.relative_to(folder).as_posix()}: {_in_words(error)}")
    if problems:
        files = "1 file" if len(problems) == 1 else f"{len(problems)} files"
        listed = "\n".join(problems)
        msg = (
            f"{files} in {folder} cannot be used as images:\n{listed}\n"
            "Repair or remove them, and load the folder again."
        )
        raise DataError(msg)
    return pixels


def _in_words(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "empty, not an image, or in a format that Pillow cannot read"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, Image.DecompressionBombError):  # at twice Pillow's limit
        limit = 2 * Image.MAX_IMAGE_PIXELS / 1e6
        return f"too large: more than {limit:.0f} megapixels; make it smaller"
    return f"damaged ({' '.join(str(error).split()) or type(error).__name__})"


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
    differing = set.union(*classes) - set.intersection(*classes)
    if differing:
        msg = (
            f"Every part in {folder} must have the same classes, but not all have "
            f"{', '.join(sorted(differing))}. Add or remove class folders until they agree."
        )
        raise DataError(msg)
    return chosen


def _find_by_class(folder: Path) -> tuple[list[Path], list[int], list[str]]:
    """Return the images below class folders, their labels, and the class names."""
    from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset  # slow to import

    names = [sub.name for sub in _subfolders(folder)]
    classes = [unicodedata.normalize("NFC", name) for name in names]
    if twice := sorted({name for name in classes if classes.count(name) > 1}):
        msg = (
            f"{folder} holds two folders for {', '.join(twice)}, spelled alike but stored with "
            "composed and with separate accents. Move the images into one of them."
        )
        raise DataError(msg)
    if len(names) < 2:
        inside = [sub for sub in _subfolders(folder) if _subfolders(sub)]
        remedy = "pass flat=True to make every image a class of its own"
        if inside:
            remedy = f"give the folder of classes, probably {inside[0]}"
        msg = (
            f"Images must lie in one folder a class, at least two, but {folder} holds "
            f"{f'one folder, {names[0]}' if names else 'none'}. Sort them, or {remedy}."
        )
        raise DataError(msg)
    try:
        numbers = {name: label for label, name in enumerate(names)}
        samples = make_dataset(str(folder), numbers, extensions=IMG_EXTENSIONS)
    except FileNotFoundError as error:
        msg = f"{error}\nAdd images in {folder}, or remove the folders."
        raise DataError(msg) from error
    samples = [(Path(path), n) for path, n in samples if _is_visible(Path(path).name)]
    return [path for path, _ in samples], [label for _, label in samples], classes


def _find_flat(folder: Path) -> tuple[list[Path], range, list[str]]:
    """Return the images in the order of their classes, their labels, and class names."""
    from torchvision.datasets.folder import IMG_EXTENSIONS

    files = _visible_files(folder)
    images = [path for path in files if path.name.lower().endswith(IMG_EXTENSIONS)]
    if not images:
        msg = f"{folder} and its sub-folders hold no images. Put some there."
        raise DataError(msg)
    places = [path.relative_to(folder).as_posix() for path in images]
    if all(_WNID.match(path.name) for path in images):
        images = sorted(images, key=lambda path: path.stem)
        places = [path.stem[:9] for path in images]
    names = [_WNID.sub("", path.stem) for path in images]
    counts = Counter(names)  # names that occur twice are told apart
    pairs = zip(names, places, strict=True)
    names = [f"{name} ({place})" if counts[name] > 1 else name for name, place in pairs]
    return images, range(len(images)), names


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
