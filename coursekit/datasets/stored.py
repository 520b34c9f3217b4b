"""Data sets that lie in files: shipped, bundled with a dependency of the course, or downloaded.

`coursekit.assets` puts downloads in place and checks them; here no connection is opened. Their
sources, licenses and citations stand in its registry and come as the card. Libraries that are
slow to import are imported where they are needed.
"""

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coursekit.assets import data_folder, fetch, read_registry
from coursekit.datasets.folders import load_folder, read_image
from coursekit.datasets.imageset import ImageSet, LazyImages
from coursekit.datasets.loading import split_stratified
from coursekit.errors import DataError
from coursekit.seeds import derive_seed

if TYPE_CHECKING:
    import pandas as pd

N_TEST_PER_CLASS = 50
SMALL, BOX, FRAME = 8, 20, 28

DIGITS_CARD = """\
Handwritten digits, 1,797 gray images, 10 classes.
Source: test part of the UCI data set "Optical Recognition of Handwritten Digits", as bundled
with scikit-learn (8 x 8 pixels, 17 levels); https://doi.org/10.24432/C50P49, CC BY 4.0.
Citation: E. Alpaydin and C. Kaynak, "Cascading Classifiers", Kybernetika 34 (1998) 369-374.
Made of it here: enlarged to 20 x 20 by cubic interpolation, contrast raised, and centered by
the center of mass in 28 x 28, as MNIST's were; white on black.
Split: 50 images of each digit are the test part, 1,297 the training part; the same 13 people
wrote both, so errors on new handwriting are larger than the test part shows."""

# File in scikit-image's folder, and the source as it states it.
PHOTOS = {
    "astronaut": ("astronaut.png", "Eileen Collins, NASA Great Images, public domain"),
    "brick": ("brick.png", "brick wall (gray), CC0Textures, CC0"),
    "camera": ("camera.png", "cameraman (gray), Lav Varshney, CC0"),
    "cat": ("chelsea.png", "the cat Chelsea, Stefan van der Walt, CC0"),
    "cell": ("cell.png", "a cell, microscope (gray), CC0"),
    "clock": ("clock_motion.png", "moving clock (gray), S. van der Walt, public domain"),
    "coffee": ("coffee.png", "cup of coffee, Rachel Michetti, CC0"),
    "coins": ("coins.png", "Greek coins (gray), Brooklyn Museum, no known restrictions"),
    "grass": ("grass.png", "grass (gray), linolafett on DeviantArt, CC0"),
    "gravel": ("gravel.png", "gravel (gray), CC0Textures, CC0"),
    "hubble_deep_field": ("hubble_deep_field.jpg", "galaxies, NASA, public domain"),
    "immunohistochemistry": ("ihc.png", "stained colon, CMMI, no known restrictions"),
    "moon": ("moon.png", "surface of the moon (gray), no source stated"),
    "motorcycle": ("motorcycle_left.png", "Middlebury stereo 2014, Scharstein et al."),
    "page": ("page.png", "scanned page (gray), no source stated"),
    "retina": ("retina.jpg", "a left eye's retina, Häggström (2014), CC0"),
    "rocket": ("rocket.jpg", "Falcon 9 on its launch pad, SpaceX, public domain"),
    "text": ("text.png", "text on paper (gray), Wikipedia, public domain"),
}


def load_digits(part: str = "all") -> ImageSet:
    """Return scikit-learn's handwritten digits, enlarged and centered as MNIST's were.

    White on black, of shape (n_images, 28, 28, 1). The parts are fixed and share no image:
    1,297 to train and 500 to test, 50 of each digit. Centering as in LeCun, Bottou, Bengio
    and Haffner, Proceedings of the IEEE 86 (1998), section III.A.

    Examples
    --------
    >>> load_digits("test")
    ImageSet(500 images of 28 x 28 x 1, 10 classes)
    """
    from sklearn.datasets import load_digits as load_small_digits

    small = load_small_digits()
    keys = np.array([derive_seed("digits", row) for row in range(len(small.target))])
    in_test = np.zeros(len(keys), bool)
    for digit in range(10):
        rows = np.flatnonzero(small.target == digit)
        in_test[rows[np.argsort(keys[rows])[:N_TEST_PER_CLASS]]] = True
    chosen = {"all": np.ones_like(in_test), "train": ~in_test, "test": in_test}[part]
    return ImageSet(
        images=center(enlarge(small.images[chosen]))[..., None],
        labels=small.target[chosen],
        class_names=tuple("0123456789"),
        card=DIGITS_CARD,
    )


def enlarge(small: np.ndarray) -> np.ndarray:
    """Return 8 x 8 digits with values 0 to 16 as 20 x 20 digits with values 0 to 255.

    Whole numbers only, so the pixels are the same on every machine.
    """
    weights = _cubic_weights()  # (20, 8), rows sum to 2000
    exact = weights @ small.astype(np.int64) @ weights.T  # (n, 20, 20), 16 is 16 * 2000**2
    top = 16 * weights[0].sum() ** 2
    # Raise the contrast about the middle by 8/5: strokes reach white, as in MNIST.
    raised = 8 * exact - 3 * top // 2  # black below 3/16, white above 13/16 of the top
    return np.clip((raised * 255 * 2 + 5 * top) // (10 * top), 0, 255)


def center(digits: np.ndarray) -> np.ndarray:
    """Return 20 x 20 digits in 28 x 28, shifted by whole pixels to center their mass."""
    mass = digits.sum(axis=(1, 2))
    position = np.arange(BOX)
    room = FRAME - BOX
    frames = np.zeros((len(digits), FRAME, FRAME), np.uint8)
    rows = np.clip((FRAME // 2 * mass - digits.sum(2) @ position) // mass, 0, room)
    columns = np.clip((FRAME // 2 * mass - digits.sum(1) @ position) // mass, 0, room)
    for frame, digit, row, column in zip(frames, digits, rows, columns, strict=True):
        frame[row : row + BOX, column : column + BOX] = digit
    return frames


def _cubic_weights() -> np.ndarray:
    """Weights of Catmull-Rom interpolation times 2000, of shape (BOX, SMALL), int64.

    Output pixel i lies at (4 i - 3) / 10 input pixels, so every distance is a whole number of
    tenths and every weight a whole number of two-thousandths.
    """
    tenths = 4 * np.arange(BOX) - 3  # 20 outputs for 8 inputs: 2.5 a pixel
    left, t = tenths // 10, tenths % 10
    taps = (  # cubic polynomials in t / 10, times 2 * 10**3
        -(t**3) + 20 * t**2 - 100 * t,
        3 * t**3 - 50 * t**2 + 2000,
        -3 * t**3 + 40 * t**2 + 100 * t,
        t**3 - 10 * t**2,
    )
    weights = np.zeros((BOX, SMALL), np.int64)
    for offset, tap in zip(range(-1, 3), taps, strict=True):
        np.add.at(weights, (np.arange(BOX), np.clip(left + offset, 0, SMALL - 1)), tap)
    return weights


def load_photos() -> ImageSet:
    """Return the photographs in scikit-image's wheel, each a class of its own.

    Lazy, of different sizes, the gray ones with three equal channels. The card states the
    sources.
    """
    folder = Path(find_spec("skimage").origin).parent / "data"  # not imported: that is slow
    names = [name for name, (file, _) in PHOTOS.items() if (folder / file).is_file()]
    lines = [f"- {name}: {PHOTOS[name][1]}" for name in names]
    head = "Photographs bundled with scikit-image (skimage.data); sources as stated there:"
    return ImageSet(
        images=LazyImages(read_image, [folder / PHOTOS[name][0] for name in names]),
        labels=np.arange(len(names)),
        class_names=names,
        card="\n".join([head, *lines]),
    )


def load_ilsvrc_winners() -> "pd.DataFrame":
    """Return the winners of the ImageNet challenge in classification, 2010 to 2017.

    One row an entry: ``year``, ``entry``, ``top5_error`` in percent, ``remark``. The first row
    of a year is the winner's best; 2012 and 2014 have a second row. Source: Russakovsky et
    al., IJCV 115 (2015), section 5.1, for the years to 2014. https://arxiv.org/abs/1409.0575
    """
    return _read_table("ilsvrc_winners.csv")


def load_imagenet_classes() -> tuple[str, ...]:
    """Return the names of ImageNet's 1000 classes, in the order of every model's outputs.

    All different, as torchvision has them: the two cranes and maillots are told apart.

    Examples
    --------
    >>> load_imagenet_classes()[:3]
    ('tench', 'goldfish', 'great white shark')
    """
    path = data_folder() / "imagenet_classes.json"
    return tuple(json.loads(path.read_text(encoding="utf-8")))


def load_convnext_ablation() -> "pd.DataFrame":
    """Return what each step from ResNet-50 to ConvNeXt-T did to its accuracy.

    One row a step, each on top of the ones before: ``step``, ``accuracy`` (ImageNet top-1 in
    percent, mean of three trainings), ``deviation`` over the three (missing where there was
    one), ``giga_multiply_adds``. Kernel sizes 5, 9 and 11 are side branches: the next step
    starts from 7. The last row, Swin-T, is the transformer to compare with. Source: Liu et
    al., CVPR 2022, figure 2 and table 10. https://arxiv.org/abs/2201.03545
    """
    return _read_table("convnext_ablation.csv")


def load_efficientnet_scaling() -> "pd.DataFrame":
    """Return how EfficientNet B0 to B7 scale width, depth and resolution together.

    One row a variant: ``variant``, ``width`` (factor of the channels), ``depth`` (factor of the
    blocks), ``resolution`` (pixels, as published), ``torchvision_resolution`` (pixels of its
    weights; 288 for B2, whose weights come from timm, trained at 256 and tested at 288),
    ``dropout``. Source: Tan and Le, ICML 2019, section 3.3. https://arxiv.org/abs/1905.11946
    """
    return _read_table("efficientnet_scaling.csv")


def _read_table(name: str) -> "pd.DataFrame":
    import pandas as pd

    return pd.read_csv(data_folder() / name)


def load_download(asset: str, part: str = "train") -> ImageSet:
    """Return what the registry names ``"mnist"``, ``"cifar10"``, ``"eurosat"`` and so on.

    EuroSAT comes in one piece. It is cut here, 80 % to train and 20 % to test, the same share
    of each class; no seed changes that. ``"hymenoptera"`` is photographs of ants and bees, of
    different sizes and read when asked. ``"imagenet-sample"`` has no parts: one photograph of
    each of ImageNet's 1,000 classes, in the class index's order. These are probably from
    ImageNet's training part, so a network pretrained there has seen them: accuracies on them
    flatter.
    """
    path, card = fetch(asset), read_registry()[asset].card
    if asset == "eurosat":
        whole = load_folder(path / "2750", image_size=64)
        loaded = split_stratified(whole, {"train": 0.8, "test": 0.2}, seed=0)[part]
        card += " Split: 80 % train, 20 % test, stratified, fixed."
    elif asset == "hymenoptera":
        loaded = load_folder(path / "hymenoptera_data", part=part)
    elif asset == "imagenet-sample":
        loaded = load_folder(path, flat=True)
    else:
        loaded = load_published(asset, path.parent if asset == "mnist" else path, part)
    return replace(loaded, card=card)


def load_published(name: str, root: Path, part: str = "train") -> ImageSet:
    """Return the files in the form that MNIST or CIFAR-10 was published in.

    ``"mnist"`` is four unpacked files in ``MNIST/raw`` of `root`, ``"cifar10"`` the python files
    in ``cifar-10-batches-py``. These are pickles, which can run any program: torchvision
    compares their md5 sums with the published ones before it opens them.
    """
    from torchvision.datasets import CIFAR10, MNIST

    kind, place, is_train = MNIST, "the four unpacked files in MNIST/raw", part == "train"
    if name == "cifar10":
        kind, place = CIFAR10, f"the published python files in {CIFAR10.base_folder}"
    try:
        opened = kind(root, train=is_train, download=False)
    except (RuntimeError, ValueError, AssertionError, KeyError, OSError) as error:
        msg = (
            f"{kind.__name__} needs {place} of {root}, but one is missing or damaged "
            f"({error or type(error).__name__}). Unpack them there again."
        )
        raise DataError(msg) from error
    images = np.ascontiguousarray(opened.data)
    return ImageSet(
        images=images if images.ndim == 4 else images[..., None],
        labels=opened.targets,
        class_names=opened.classes if name == "cifar10" else tuple("0123456789"),
        card=f"Own files in {kind.__name__}'s form from {root}; license: the owner's to say.",
    )
