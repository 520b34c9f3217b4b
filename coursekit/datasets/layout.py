"""Read the layout of a folder of images: parts, classes, files, and what is left out.

Nothing here opens a file.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from coursekit.datasets.decoding import IMAGE_SUFFIXES
from coursekit.errors import DataError

__all__ = [
    "find_parts",
    "is_image_name",
    "list_classes",
    "list_files",
    "name_flat",
    "require_folder",
]

_PART_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_WNID = re.compile(r"n\d{8}(?=_)")


def require_folder(path: Path) -> None:
    """Raise a `DataError` unless `path` is a folder."""
    if path.is_dir():
        return
    if path.exists():
        msg = (
            f"A folder of images is needed, got the file {path}. Give the folder it is in."
        )
    else:
        msg = f"The folder {path} does not exist. Check the spelling, or make it."
    raise DataError(msg)


def find_parts(folder: Path) -> dict[str, Path]:
    """Return the parts of a data set that is stored in parts.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    dict of str to Path
        ``"train"``, ``"val"``, ``"test"``: those that are there and hold folders. Empty
        unless ``"train"`` is one of them, and not the only part among other folders.

    Raises
    ------
    DataError
        If the sub-folders are parts by their names, but hold no class folders.
    """
    folders = _subfolders(folder)
    named = {part: path for path in folders if (part := _part_of(path))}
    parts = {part: path for part, path in named.items() if _subfolders(path)}
    if "train" in parts and (len(parts) > 1 or len(folders) == 1):
        return parts
    if "train" in named and 1 < len(named) == len(folders):
        msg = (
            f"The folders {', '.join(path.name for path in folders)} in {folder} are parts by "
            "their names, but hold no class folders. Sort the images of each part into one "
            "folder a class, or pass flat=True to make every image a class of its own."
        )
        raise DataError(msg)
    return {}


def list_classes(folder: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Return the images of each class folder, and what is left out.

    Parameters
    ----------
    folder : Path
        Holds one folder a class, searched with its sub-folders, as in torchvision's
        `ImageFolder`.

    Returns
    -------
    classes : dict of str to list of Path
        In alphabetical order.
    left_out : list of str
        Files, relative to `folder`, that are not images by their names.

    Raises
    ------
    DataError
        If there are no class folders, images lie beside them, or some have no images.
    """
    loose = [
        path.name
        for path in sorted(folder.iterdir())
        if _is_visible(path) and _is_image(path)
    ]
    folders = _subfolders(folder)
    if loose:
        _refuse_loose(folder, loose, n_folders=len(folders))
    if not folders:
        msg = (
            f"{folder} holds no images. It needs one folder a class, with images "
            f"({', '.join(IMAGE_SUFFIXES)}) in each."
        )
        raise DataError(msg)
    classes, left_out = {}, []
    for path in folders:
        images, others = list_files(path)
        classes[unicodedata.normalize("NFC", path.name)] = images
        left_out += [other.relative_to(folder).as_posix() for other in others]
    _refuse_empty(
        folder, [name for name, images in classes.items() if not images], left_out
    )
    return classes, left_out


def list_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the images in `folder` and below, sorted, and the other visible files."""
    found = sorted(_walk(folder), key=lambda path: path.relative_to(folder).parts)
    images = [path for path in found if _is_image(path)]
    return images, [path for path in found if not _is_image(path)]


def name_flat(folder: Path, images: list[Path]) -> tuple[list[Path], tuple[str, ...]]:
    """Return the images in order of their classes, and each one's class name.

    Parameters
    ----------
    folder : Path
    images : list of Path
        In or below `folder`.

    Returns
    -------
    images : list of Path
        Sorted by ImageNet's wnid when every name starts with one, which is the order of
        ImageNet's class index; else as they were.
    names : tuple of str
        The file name without wnid and suffix. Names that occur twice are told apart by
        their wnid or their relative path.
    """
    stems = [unicodedata.normalize("NFC", path.stem) for path in images]
    if images and all(map(_WNID.match, stems)):
        order = sorted(range(len(images)), key=lambda i: stems[i])
        images, stems = [images[i] for i in order], [stems[i] for i in order]
        names = [stem[10:] for stem in stems]
        details = [stem[:9] for stem in stems]
    else:
        names = stems
        details = [path.relative_to(folder).as_posix() for path in images]
    counts = Counter(names)
    names = [
        name if counts[name] == 1 else f"{name} ({detail})"
        for name, detail in zip(names, details, strict=True)
    ]
    return images, tuple(names)


def is_image_name(name: str) -> bool:
    """Say whether a file's name has the suffix of an image that can be read."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def _walk(folder: Path) -> Iterator[Path]:
    """Give the visible files below `folder`; links to folders are followed, once."""
    seen = {os.path.realpath(folder)}
    for where, folders, names in os.walk(folder, followlinks=True):
        kept = []
        for name in sorted(folders):
            real = os.path.realpath(Path(where) / name)
            if _is_visible(Path(name)) and real not in seen:
                seen.add(real)
                kept.append(name)
        folders[:] = kept
        yield from (Path(where) / name for name in names if _is_visible(Path(name)))


def _is_visible(path: Path) -> bool:
    return not path.name.startswith(".") and path.name not in {"__MACOSX", "__pycache__"}


def _is_image(path: Path) -> bool:
    return is_image_name(path.name) and not path.is_dir()


def _part_of(path: Path) -> str | None:
    name = path.name.lower()
    return next((part for part, names in _PART_NAMES.items() if name in names), None)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and _is_visible(path))


def _refuse_loose(folder: Path, loose: list[str], *, n_folders: int) -> None:
    listed = ", ".join(loose[:5]) + (
        f" and {len(loose) - 5} more" if len(loose) > 5 else ""
    )
    remedy = "Move each into the folder of its class"
    if not n_folders:
        remedy += ", or pass flat=True to make every image a class of its own"
    msg = (
        f"Images must lie in one folder a class, but {folder} holds {len(loose)} outside "
        f"any class folder: {listed}. {remedy}."
    )
    raise DataError(msg)


def _refuse_empty(folder: Path, empty: list[str], left_out: list[str]) -> None:
    if not empty:
        return
    unread = [name for name in left_out if name.split("/")[0] in empty]
    hint = f" Files of other kinds there: {', '.join(unread[:5])}." if unread else ""
    msg = (
        f"Every class folder needs images ({', '.join(IMAGE_SUFFIXES)}), but in {folder} "
        f"these have none: {', '.join(empty)}.{hint} Add images, or remove the folders."
    )
    raise DataError(msg)
