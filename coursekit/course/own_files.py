"""Load a user's own files in the form that a role has.

Each loader gets a path, a part, and whether a quick look is enough: then images are checked
but stay on the disk. Nothing here knows where a path was set.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coursekit.datasets import ImageSet

__all__ = [
    "CLASS_FOLDERS",
    "load_own_digits",
    "load_own_insects",
    "load_own_land_cover",
    "load_own_objects",
    "load_own_photos",
]

CLASS_FOLDERS = "a folder with one folder of images a class, in train and test or not"

_SIZES = {"train": 0.8, "test": 0.2}
_SEED = 0


def load_own_digits(path: Path, part: str, *, is_quick: bool) -> "ImageSet":
    """Return own digits, gray and 28 x 28: MNIST's files, or class folders."""
    from coursekit.datasets.downloads import find_mnist_root, load_mnist_files

    root = find_mnist_root(path)
    if root is not None:
        return load_mnist_files(root, part=part)
    return _load_classes(path, part, image_size=28, channels=1, is_quick=is_quick)


def load_own_objects(path: Path, part: str, *, is_quick: bool) -> "ImageSet":
    """Return own objects of 32 x 32: CIFAR-10's python files, or class folders."""
    from coursekit.datasets.downloads import find_cifar_root, load_cifar_files

    root = find_cifar_root(path)
    if root is not None:
        return load_cifar_files(root, part=part)
    return _load_classes(path, part, image_size=32, is_quick=is_quick)


def load_own_land_cover(path: Path, part: str, *, is_quick: bool) -> "ImageSet":
    """Return own land cover of 64 x 64, from class folders."""
    return _load_classes(path, part, image_size=64, is_quick=is_quick)


def load_own_insects(path: Path, part: str, *, is_quick: bool) -> "ImageSet":
    """Return own insects, or whatever else, from class folders, in their own sizes."""
    return _load_classes(path, part, is_quick=is_quick)


def load_own_photos(path: Path, part: str, *, is_quick: bool) -> "ImageSet":  # noqa: ARG001
    """Return own photographs, each a class of its own, in their own sizes."""
    from coursekit.datasets import load_folder

    return load_folder(path, flat=True)


def _load_classes(
    path: Path,
    part: str,
    *,
    is_quick: bool,
    image_size: int | None = None,
    channels: int = 3,
) -> "ImageSet":
    """Load one part of a folder; where it has none, a fifth of each class is for testing."""
    from coursekit.datasets import load_folder, split_stratified
    from coursekit.datasets.folders import find_parts

    settings = {"image_size": None if is_quick else image_size, "channels": channels}
    if path.is_dir() and find_parts(path):
        return load_folder(path, part=part, **settings)
    whole = load_folder(path, **settings)
    return split_stratified(whole, _SIZES, seed=_SEED)[part]
