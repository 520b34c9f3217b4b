"""Load a folder of images as an `ImageSet`.

Nothing here knows which role the folder will fill.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from coursekit.datasets.decoding import decode_image, find_problem, report_problems
from coursekit.datasets.imageset import ImageSet
from coursekit.datasets.layout import (
    find_parts,
    list_classes,
    list_files,
    name_flat,
    require_folder,
)
from coursekit.errors import DataError, SettingsError

__all__ = ["ImageFiles", "load_folder"]

_PARTS = ("train", "val", "test")


class ImageFiles(Sequence):
    """Images that stay on disk and are decoded when asked for.

    Parameters
    ----------
    paths : sequence of path-like
    channels : int, default=3
        3 for RGB, 1 for gray.

    Raises
    ------
    DataError
        When an image is asked for that cannot be decoded; the message names the file.
    """

    def __init__(
        self, paths: Sequence[str | os.PathLike[str]], *, channels: int = 3
    ) -> None:
        self.paths = tuple(map(Path, paths))
        self.channels = channels

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int | slice) -> "np.ndarray | ImageFiles":
        if isinstance(index, slice):
            return ImageFiles(self.paths[index], channels=self.channels)
        path = self.paths[index]
        try:
            return decode_image(path, channels=self.channels)
        except DataError as error:
            msg = f"{path} cannot be used as an image: {error}. Repair or remove it."
            raise DataError(msg) from error


def load_folder(
    path: str | os.PathLike[str],
    *,
    part: str | None = None,
    image_size: int | None = None,
    flat: bool = False,
    channels: int = 3,
    verify: bool = True,
    min_images: int = 2,
) -> ImageSet:
    """Return the images of a folder, with the names of its sub-folders as classes.

    The layout is that of torchvision's `ImageFolder`: one folder a class. Above that there
    may be folders ``train``, ``val`` and ``test`` with the same classes in each.

    Parameters
    ----------
    path : path-like
        The folder.
    part : str, optional
        ``"train"``, ``"val"`` or ``"test"``, for a folder that is stored in parts. A folder
        with only one of ``val`` and ``test`` gives it for both names.
    image_size : int, optional
        Cut out the largest centered square and resize it, so that all images have this
        height and width and stand in memory. Without it they keep their sizes and are read
        from the disk when asked for.
    flat : bool, default=False
        Every image, in sub-folders too, is a class of its own, named after its file. Names
        such as ``n01440764_tench.JPEG`` are sorted by ImageNet's class index.
    channels : int, default=3
        3 for RGB, 1 for gray.
    verify : bool, default=True
        Look at every file first, and report all that cannot be used in one error.
    min_images : int, default=2
        Fewest images of a class in ``train``, or in a folder without parts.

    Returns
    -------
    ImageSet
        With each image's relative path as the attribute ``"file"``. The card names the
        files that were left out because they are no images by their names.

    Raises
    ------
    DataError
        If the folder is missing or not laid out so, a class is empty or too small, the
        parts have different classes, or files cannot be read: the message names them all.
    SettingsError
        If an argument is outside what is allowed.
    """
    folder = Path(path).expanduser()
    _check_settings(part, image_size, channels)
    require_folder(folder)
    if flat:
        paths, names, left_out = _read_flat(folder)
        labels = np.arange(len(paths))
    else:
        folder, classes, left_out = _read_classes(folder, part)
        _check_class_sizes(folder, classes, 1 if part in {"val", "test"} else min_images)
        names = tuple(classes)
        paths = [image for images in classes.values() for image in images]
        labels = np.repeat(
            np.arange(len(names)), [len(images) for images in classes.values()]
        )
    return ImageSet(
        images=_read_images(paths, folder, image_size, channels, verify=verify),
        labels=labels,
        class_names=names,
        attributes={"file": np.array([p.relative_to(folder).as_posix() for p in paths])},
        card=_describe(folder, left_out),
    )


def _read_flat(folder: Path) -> tuple[list[Path], tuple[str, ...], list[str]]:
    images, others = list_files(folder)
    if not images:
        msg = f"{folder} and its sub-folders hold no images. Put some there."
        raise DataError(msg)
    images, names = name_flat(folder, images)
    return images, names, [other.relative_to(folder).as_posix() for other in others]


def _read_classes(
    folder: Path, part: str | None
) -> tuple[Path, dict[str, list[Path]], list[str]]:
    parts = find_parts(folder)
    if part is None and not parts:
        return folder, *list_classes(folder)
    chosen = _choose_part(folder, parts, part)
    _check_same_classes(folder, parts)
    return chosen, *list_classes(chosen)


def _choose_part(folder: Path, parts: dict[str, Path], part: str | None) -> Path:
    if part is None:
        msg = (
            f"{folder} is stored in parts: {', '.join(parts)}. Say which one, for example "
            "part='train'."
        )
        raise DataError(msg)
    other = {"val": "test", "test": "val"}.get(part, part)
    chosen = parts.get(part) or parts.get(other)
    if chosen is None:
        there = f"the parts {', '.join(parts)}" if parts else "no parts"
        msg = (
            f"The part {part!r} needs a sub-folder {part!r} with one folder a class beside "
            f"'train', but {folder} holds {there}. Make it, or load the folder without "
            "part= and split it."
        )
        raise DataError(msg)
    return chosen


def _check_same_classes(folder: Path, parts: dict[str, Path]) -> None:
    found = {part: set(list_classes(path)[0]) for part, path in parts.items()}
    train = found.pop("train")
    lines = [
        f"{part!r} lacks {', '.join(sorted(train - names)) or 'none'} and has "
        f"{', '.join(sorted(names - train)) or 'none'} that 'train' lacks"
        for part, names in found.items()
        if names != train
    ]
    if lines:
        msg = (
            f"Every part must have the same classes, but in {folder} {'; '.join(lines)}. Add "
            "or remove class folders until they agree."
        )
        raise DataError(msg)


def _check_class_sizes(folder: Path, classes: dict[str, list[Path]], fewest: int) -> None:
    small = [f"{name} ({len(c)})" for name, c in classes.items() if len(c) < fewest]
    if small:
        msg = (
            f"Every class needs at least {fewest} images to learn from and to test with, but "
            f"in {folder} these have fewer: {', '.join(small)}. Add images, or remove the "
            "class folder."
        )
        raise DataError(msg)


def _read_images(
    paths: list[Path], folder: Path, image_size: int | None, channels: int, *, verify: bool
) -> np.ndarray | ImageFiles:
    if image_size is None:
        if verify:
            _report(paths, folder, find_problem)
        return ImageFiles(paths, channels=channels)
    pixels = np.empty((len(paths), image_size, image_size, channels), np.uint8)
    rows = dict(zip(paths, range(len(paths)), strict=True))

    def decode(path: Path) -> str | None:
        try:
            pixels[rows[path]] = decode_image(
                path, image_size=image_size, channels=channels
            )
        except DataError as error:
            return str(error)

    _report(paths, folder, decode)
    return pixels


def _report(paths: list[Path], folder: Path, judge: Callable[[Path], str | None]) -> None:
    judged = ((path.relative_to(folder).as_posix(), judge(path)) for path in paths)
    report_problems(((name, said) for name, said in judged if said), folder=folder)


def _check_settings(part: str | None, image_size: int | None, channels: int) -> None:
    if part is not None and part not in _PARTS:
        msg = f"part must be one of {', '.join(map(repr, _PARTS))} or None, got {part!r}."
        raise SettingsError(msg)
    if image_size is not None and (
        not isinstance(image_size, int | np.integer)
        or isinstance(image_size, bool)
        or image_size < 1
    ):
        msg = (
            "image_size must be a whole number of pixels, at least 1, or None to keep the "
            f"sizes, got {image_size!r}."
        )
        raise SettingsError(msg)
    if channels not in {1, 3}:
        msg = f"channels must be 3 (RGB) or 1 (gray), got {channels!r}."
        raise SettingsError(msg)


def _describe(folder: Path, left_out: list[str]) -> str:
    card = f"Own images from {folder}; license: the owner's to say."
    if left_out:
        more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
        card += f" Left out, as no images by their names: {', '.join(left_out[:5])}{more}."
    return card
