"""Handwritten digits that scikit-learn brings along, in the form of MNIST.

Whole numbers only, so the pixels are the same on every machine. Nothing here knows of MNIST's
own files.
"""

import numpy as np

from coursekit.datasets.imageset import ImageSet
from coursekit.errors import SettingsError
from coursekit.seeds import derive_seed

__all__ = ["load_digits"]

PARTS = ("all", "train", "test")
N_TEST_PER_CLASS = 50
SMALL, BOX, FRAME = 8, 20, 28

CARD = """\
Handwritten digits, 1,797 gray images, 10 classes.
Source: test part of the UCI data set "Optical Recognition of Handwritten Digits", as bundled
with scikit-learn (8 x 8 pixels, 17 levels); https://doi.org/10.24432/C50P49, CC BY 4.0.
Citation: E. Alpaydin and C. Kaynak, "Cascading Classifiers", Kybernetika 34 (1998) 369-374.
Made of it here: enlarged to 20 x 20 by cubic interpolation, contrast raised, and centered by
the center of mass in 28 x 28, as MNIST's were; white on black.
Split: 50 images of each digit are the test part, 1,297 the training part; the same 13 people
wrote both, so errors on new handwriting are larger than the test part shows."""


def load_digits(part: str = "all") -> ImageSet:
    """Return scikit-learn's handwritten digits, enlarged and centered as MNIST's were.

    Parameters
    ----------
    part : {"all", "train", "test"}, default="all"
        All 1,797 images, 1,297 for training, or 500 for testing (50 of each digit).

    Returns
    -------
    ImageSet
        Gray images of shape (n_images, 28, 28, 1), white on black, and the class names
        ``"0"`` to ``"9"``.

    Raises
    ------
    SettingsError
        If there is no such part.

    Notes
    -----
    The parts are fixed: no seed changes them, and they share no image.

    References
    ----------
    .. [1] Alpaydin and Kaynak, "Cascading Classifiers", Kybernetika 34 (1998) 369-374.
       https://doi.org/10.24432/C50P49
    .. [2] LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document
       Recognition", Proceedings of the IEEE 86 (1998), section III.A for the centering.
       https://doi.org/10.1109/5.726791

    Examples
    --------
    >>> load_digits("test")
    ImageSet(500 images of 28 x 28 x 1, 10 classes)
    """
    if part not in PARTS:
        msg = f"part must be one of {', '.join(map(repr, PARTS))}, got {part!r}."
        raise SettingsError(msg)
    from sklearn.datasets import load_digits as load_small_digits  # slow to import

    small = load_small_digits()
    chosen = _indices(small.target, part)
    return ImageSet(
        images=center(enlarge(small.images[chosen]))[..., None],
        labels=small.target[chosen],
        class_names=tuple("0123456789"),
        card=CARD,
    )


def enlarge(small: np.ndarray) -> np.ndarray:
    """Return 8 x 8 digits with values 0 to 16 as 20 x 20 digits with values 0 to 255.

    Parameters
    ----------
    small : ndarray of shape (n_images, 8, 8)
        Whole numbers from 0 to 16.

    Returns
    -------
    ndarray of shape (n_images, 20, 20), int64
    """
    weights = _cubic_weights(SMALL, BOX)  # (20, 8), rows sum to 2000
    exact = weights @ small.astype(np.int64) @ weights.T  # (n, 20, 20), 16 is 16 * 2000**2
    top = 16 * weights[0].sum() ** 2
    # Raise the contrast about the middle by 8/5: strokes reach white, as in MNIST.
    raised = 8 * exact - 3 * top // 2  # black below 3/16, white above 13/16 of the top
    return np.clip((raised * 255 * 2 + 5 * top) // (10 * top), 0, 255)


def center(digits: np.ndarray) -> np.ndarray:
    """Return digits placed in 28 x 28 with their center of mass in the middle.

    Parameters
    ----------
    digits : ndarray of shape (n_images, 20, 20)
        Whole numbers from 0 to 255, not all zero.

    Returns
    -------
    ndarray of shape (n_images, 28, 28), uint8
        Shifted by whole pixels, never cut.
    """
    mass = digits.sum(axis=(1, 2))
    position = np.arange(BOX)
    room = FRAME - BOX
    frames = np.zeros((len(digits), FRAME, FRAME), np.uint8)
    rows = np.clip((FRAME // 2 * mass - digits.sum(2) @ position) // mass, 0, room)
    columns = np.clip((FRAME // 2 * mass - digits.sum(1) @ position) // mass, 0, room)
    for frame, digit, row, column in zip(frames, digits, rows, columns, strict=True):
        frame[row : row + BOX, column : column + BOX] = digit
    return frames


def _cubic_weights(n_in: int, n_out: int) -> np.ndarray:
    """Weights of Catmull-Rom interpolation times 2000, of shape (n_out, n_in), int64.

    Output pixel i lies at (4 i - 3) / 10 input pixels, so every distance is a whole number of
    tenths and every weight a whole number of two-thousandths.
    """
    tenths = 4 * np.arange(n_out) - 3  # 20 outputs for 8 inputs: 2.5 a pixel
    left, t = tenths // 10, tenths % 10
    taps = np.stack(  # cubic polynomials in t / 10, times 2 * 10**3
        [
            -(t**3) + 20 * t**2 - 100 * t,
            3 * t**3 - 50 * t**2 + 2000,
            -3 * t**3 + 40 * t**2 + 100 * t,
            t**3 - 10 * t**2,
        ]
    )
    weights = np.zeros((n_out, n_in), np.int64)
    for offset, tap in zip(range(-1, 3), taps, strict=True):
        np.add.at(weights, (np.arange(n_out), np.clip(left + offset, 0, n_in - 1)), tap)
    return weights


def _indices(targets: np.ndarray, part: str) -> np.ndarray:
    """Rows of one part, in the order of the source."""
    keys = np.array([derive_seed("digits", row) for row in range(len(targets))])
    in_test = np.zeros(len(targets), bool)
    for digit in range(10):
        rows = np.flatnonzero(targets == digit)
        in_test[rows[np.argsort(keys[rows])[:N_TEST_PER_CLASS]]] = True
    chosen = {"all": np.ones_like(in_test), "train": ~in_test, "test": in_test}[part]
    return np.flatnonzero(chosen)
