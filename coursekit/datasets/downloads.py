"""Downloaded data sets, opened with torchvision's own classes where it has one.

`coursekit.assets` puts the files in place and checks them; here no connection is opened.
Sources, licenses and citations stand in its registry and come as the card. torchvision is
imported where it is needed, because it is slow to import.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from coursekit.assets import fetch, get_asset
from coursekit.datasets.folders import load_folder
from coursekit.datasets.imageset import ImageSet
from coursekit.datasets.loading import split_stratified
from coursekit.errors import DataError


def fetch_mnist(part: str = "train") -> ImageSet:
    """Return MNIST: 60,000 digits to train or 10,000 to test, (n_images, 28, 28, 1)."""
    return _with_card(load_mnist_files(fetch("mnist").parent, part=part), "mnist")


def fetch_cifar10(part: str = "train") -> ImageSet:
    """Return CIFAR-10: 50,000 or 10,000 small photographs, (n_images, 32, 32, 3)."""
    return _with_card(load_cifar_files(fetch("cifar10"), part=part), "cifar10")


def fetch_eurosat(part: str = "train") -> ImageSet:
    """Return EuroSAT, satellite images of ten kinds of land, (n_images, 64, 64, 3).

    The data set comes in one piece. It is cut here, 80 % to train and 20 % to test, the same
    share of each class; no seed changes that.
    """
    whole = load_folder(fetch("eurosat") / "2750", image_size=64)
    chosen = split_stratified(whole, {"train": 0.8, "test": 0.2}, seed=0)[part]
    chosen = _with_card(chosen, "eurosat")
    return replace(
        chosen, card=f"{chosen.card} Split: 80 % train, 20 % test, stratified, fixed."
    )


def fetch_hymenoptera(part: str = "train") -> ImageSet:
    """Return 244 or 153 photographs of ants and bees, of different sizes, read when asked."""
    photos = load_folder(fetch("hymenoptera") / "hymenoptera_data", part=part)
    return _with_card(photos, "hymenoptera")


def fetch_imagenet_sample() -> ImageSet:
    """Return one photograph of each of ImageNet's 1,000 classes, in the class index's order.

    They are probably from ImageNet's training part, so a network pretrained there has seen
    them: accuracies on them flatter.
    """
    return _with_card(load_folder(fetch("imagenet-sample"), flat=True), "imagenet-sample")


def load_mnist_files(root: Path, *, part: str = "train") -> ImageSet:
    """Return the digits in four unpacked files of MNIST's form, in ``MNIST/raw`` of `root`."""
    from torchvision.datasets import MNIST

    try:
        opened = MNIST(root, train=_is_train(part), download=False)
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


def load_cifar_files(root: Path, *, part: str = "train") -> ImageSet:
    """Return CIFAR-10 from its python files, in ``cifar-10-batches-py`` of `root`.

    They are pickles, which can run any program: torchvision compares their md5 sums with the
    published ones before it opens them.
    """
    from torchvision.datasets import CIFAR10

    try:
        opened = CIFAR10(root, train=_is_train(part), download=False)
    except RuntimeError as error:
        msg = (
            f"CIFAR-10's python files are needed in {root / CIFAR10.base_folder}, but one is "
            "missing or is not the published one. Unpack cifar-10-python.tar.gz there again."
        )
        raise DataError(msg) from error
    return ImageSet(
        images=np.ascontiguousarray(opened.data),
        labels=opened.targets,
        class_names=opened.classes,
        card=f"CIFAR-10's python files from {root}.",
    )


def _is_train(part: str) -> bool:
    return {"train": True, "test": False}[part]


def _with_card(image_set: ImageSet, asset: str) -> ImageSet:
    return replace(image_set, card=get_asset(asset).card)
