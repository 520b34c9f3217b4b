"""Downloaded data sets, opened with torchvision's own classes where it has one.

`coursekit.assets` puts the files in place and checks them; nothing here opens a connection.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from coursekit.assets import fetch, get_asset
from coursekit.datasets.folders import ImageFiles, load_folder
from coursekit.datasets.imageset import ImageSet
from coursekit.datasets.splits import split_stratified
from coursekit.errors import DataError, SettingsError

__all__ = [
    "fetch_cifar10",
    "fetch_eurosat",
    "fetch_hymenoptera",
    "fetch_imagenet_sample",
    "fetch_mnist",
    "find_mnist_root",
    "load_mnist_files",
]

_EUROSAT_SEED = 0
_EUROSAT_SIZES = {"train": 0.8, "test": 0.2}
_EUROSAT_PIXELS = 64


def fetch_mnist(part: str = "train") -> ImageSet:
    """Return MNIST's handwritten digits.

    Parameters
    ----------
    part : {"train", "test"}, default="train"
        60,000 or 10,000 images.

    Returns
    -------
    ImageSet
        Gray images of shape (n_images, 28, 28, 1), white on black, and the class names
        ``"0"`` to ``"9"``.

    Raises
    ------
    AssetError
        If the files are nowhere to be had.

    References
    ----------
    .. [1] LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document
       Recognition", Proceedings of the IEEE 86(11), 1998.
       https://doi.org/10.1109/5.726791
    """
    _check_part(part)
    digits = load_mnist_files(fetch("mnist").parent, part=part)
    return replace(digits, card=get_asset("mnist").card)


def load_mnist_files(root: Path, *, part: str = "train") -> ImageSet:
    """Return the digits in four unpacked files of MNIST's form.

    Parameters
    ----------
    root : Path
        Holds ``MNIST/raw/train-images-idx3-ubyte`` and the three others.
    part : {"train", "test"}, default="train"

    Returns
    -------
    ImageSet
        Images of shape (n_images, height, width, 1).

    Raises
    ------
    DataError
        If a file is missing or damaged.
    """
    from torchvision.datasets import MNIST  # torchvision is slow to import

    _check_part(part)
    try:
        opened = MNIST(root, train=part == "train", download=False)
    except (RuntimeError, ValueError, AssertionError, KeyError, OSError) as error:
        msg = (
            f"The four unpacked files of MNIST are needed in {root / 'MNIST' / 'raw'}, but "
            f"one is missing or damaged ({error or type(error).__name__}). Put them there."
        )
        raise DataError(msg) from error
    return ImageSet(
        images=opened.data.numpy()[..., None],
        labels=opened.targets.numpy(),
        class_names=tuple("0123456789"),
        card=f"Own files in MNIST's form from {root}; license: the owner's to say.",
    )


def find_mnist_root(path: Path) -> Path | None:
    """Return the folder that holds ``MNIST/raw`` when `path` is it or lies inside, or None."""
    for root in (path, path.parent, path.parent.parent):
        raw = root / "MNIST" / "raw"
        if path in {root, raw.parent, raw} and (raw / "train-images-idx3-ubyte").is_file():
            return root
    return None


def fetch_cifar10(part: str = "train") -> ImageSet:
    """Return CIFAR-10: small photographs of ten kinds of things.

    Parameters
    ----------
    part : {"train", "test"}, default="train"
        50,000 or 10,000 images.

    Returns
    -------
    ImageSet
        Images of shape (n_images, 32, 32, 3).

    Raises
    ------
    AssetError
        If the files are nowhere to be had.
    DataError
        If torchvision finds other files than its own sums say.

    References
    ----------
    .. [1] Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", technical
       report, University of Toronto, 2009.
       https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf
    """
    from torchvision.datasets import CIFAR10

    _check_part(part)
    root = fetch("cifar10")
    try:
        opened = CIFAR10(root, train=part == "train", download=False)
    except RuntimeError as error:
        msg = f"torchvision refuses the files in {root}: {error}. Delete that folder."
        raise DataError(msg) from error
    return ImageSet(
        images=np.ascontiguousarray(opened.data),
        labels=opened.targets,
        class_names=opened.classes,
        card=get_asset("cifar10").card,
    )


def fetch_eurosat(part: str = "train") -> ImageSet:
    """Return EuroSAT: satellite images of ten kinds of land cover.

    Parameters
    ----------
    part : {"train", "test"}, default="train"
        80 or 20 % of the 27,000 images, the same share of each class.

    Returns
    -------
    ImageSet
        Images of shape (n_images, 64, 64, 3).

    Raises
    ------
    AssetError
        If the files are nowhere to be had.
    DataError
        If files in the folder cannot be read.

    Notes
    -----
    The data set comes in one piece. The split made here is fixed: no seed changes it.

    References
    ----------
    .. [1] Helber, Bischke, Dengel and Borth, "EuroSAT: A Novel Dataset and Deep Learning
       Benchmark for Land Use and Land Cover Classification", IEEE Journal of Selected Topics
       in Applied Earth Observations and Remote Sensing 12(7), 2019.
       https://arxiv.org/abs/1709.00029
    """
    from torchvision.datasets import EuroSAT

    _check_part(part)
    root = fetch("eurosat").parent
    try:
        opened = EuroSAT(root, download=False)
    except (RuntimeError, OSError) as error:
        msg = f"torchvision refuses the files in {root / 'eurosat'}: {error}. Delete it."
        raise DataError(msg) from error
    paths, labels = zip(*opened.samples, strict=True)
    whole = ImageSet(
        images=ImageFiles(paths),
        labels=labels,
        class_names=opened.classes,
        card=get_asset("eurosat").card
        + " Split: 80 % train, 20 % test, stratified, fixed.",
    )
    chosen = split_stratified(whole, _EUROSAT_SIZES, seed=_EUROSAT_SEED)[part]
    return replace(chosen, images=_decode_all(chosen, _EUROSAT_PIXELS))


def fetch_hymenoptera(part: str = "train") -> ImageSet:
    """Return photographs of ants and bees, the data of PyTorch's transfer tutorial.

    Parameters
    ----------
    part : {"train", "test"}, default="train"
        244 or 153 images.

    Returns
    -------
    ImageSet
        Images of different sizes, read from the disk when asked for.

    Raises
    ------
    AssetError
        If the files are nowhere to be had.
    DataError
        If files in the folder cannot be read.

    References
    ----------
    .. [1] Chilamkurthy, "Transfer Learning for Computer Vision Tutorial", 2017.
       https://pytorch.org/tutorials/beginner/transfer_learning_tutorial.html
    """
    _check_part(part)
    photos = load_folder(fetch("hymenoptera") / "hymenoptera_data", part=part)
    return replace(photos, card=get_asset("hymenoptera").card)


def fetch_imagenet_sample() -> ImageSet:
    """Return one photograph of each of ImageNet's 1,000 classes.

    Returns
    -------
    ImageSet
        Images of different sizes, read from the disk when asked for, in the order of
        ImageNet's class index: image 0 is a tench.

    Raises
    ------
    AssetError
        If the files are nowhere to be had.
    DataError
        If files in the folder cannot be read.

    Notes
    -----
    The photographs are probably from ImageNet's training part, so a network pretrained
    there has seen them: accuracies on them flatter.

    References
    ----------
    .. [1] Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge",
       International Journal of Computer Vision 115(3), 2015.
       https://arxiv.org/abs/1409.0575
    """
    photos = load_folder(fetch("imagenet-sample"), flat=True)
    return replace(photos, card=get_asset("imagenet-sample").card)


def _decode_all(image_set: ImageSet, size: int) -> np.ndarray:
    pixels = np.empty((len(image_set), size, size, 3), np.uint8)
    for row, image in enumerate(image_set.images):
        if image.shape != pixels.shape[1:]:
            msg = (
                f"Every image must be {size} x {size} x 3, but image {row} is "
                f"{' x '.join(map(str, image.shape))}. Delete the folder and fetch it again."
            )
            raise DataError(msg)
        pixels[row] = image
    return pixels


def _check_part(part: str) -> None:
    if part not in {"train", "test"}:
        msg = f"part must be 'train' or 'test', got {part!r}."
        raise SettingsError(msg)
