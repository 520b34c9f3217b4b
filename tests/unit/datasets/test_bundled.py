"""load_digits, load_photos and load_photo: right, complete, offline; and when misused."""

import hashlib

import numpy as np
import pytest
from scipy import ndimage
from sklearn.datasets import load_digits as load_small_digits

from coursekit.datasets import PHOTOS, bundled_photos, load_digits, load_photo, load_photos
from coursekit.datasets.bundled_digits import center, enlarge
from coursekit.errors import DataError, SettingsError


@pytest.fixture(scope="module")
def digits():
    return load_digits()


def test_digits_look_like_mnist_in_type_size_and_border(digits):
    assert digits.images.shape == (1797, 28, 28, 1)
    assert digits.images.dtype == np.uint8
    assert digits.images.max(axis=(1, 2, 3)).min() > 200  # white
    inked = (digits.images[..., 0] > 0).any(axis=0)
    assert not inked[0].any()
    assert not inked[:, -1].any()
    assert digits.class_names == tuple("0123456789")


def test_digits_are_centered_by_their_mass(digits):
    ink = digits.images[..., 0].astype(float)
    position = np.arange(28) - 13.5
    mass = ink.sum(axis=(1, 2))
    for axis in (1, 2):
        middle = ink.sum(axis=axis) @ position / mass
        assert (np.abs(middle) <= 0.5 + 1e-9).mean() > 0.99  # a shift of whole pixels
        assert np.abs(middle).max() < 2


def test_enlarging_agrees_with_catmull_rom_in_floating_point():
    small = load_small_digits().images[:20]
    grid = (np.arange(20) + 0.5) / 2.5 - 0.5
    expected = np.array([[_catmull_rom(digit, y, grid) for y in grid] for digit in small])
    raised = np.clip((expected / 16 - 0.5) * 1.6 + 0.5, 0, 1) * 255
    assert np.abs(enlarge(small) - raised).max() <= 0.5 + 1e-6


def _catmull_rom(digit, y, columns):
    """One row of the enlarged digit, by the textbook's kernel."""

    def kernel(distance):
        d = abs(distance)
        if d <= 1:
            return 1.5 * d**3 - 2.5 * d**2 + 1
        return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0

    padded = np.pad(digit, 3, mode="edge")
    rows = sum(padded[i + 3] * kernel(y - i) for i in range(-3, 11))
    return [sum(rows[j + 3] * kernel(x - j) for j in range(-3, 11)) for x in columns]


def test_enlarged_digits_shrink_back_to_what_they_were():
    small = load_small_digits().images[:100]
    back = ndimage.zoom(
        enlarge(small) / 255.0, (1, 0.4, 0.4), order=1, grid_mode=True, mode="nearest"
    )
    likeness = [
        np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(small, back, strict=True)
    ]
    assert min(likeness) > 0.9


def test_a_digit_near_the_border_is_never_cut():
    corner = np.zeros((1, 20, 20), np.int64)
    corner[0, 0, 0] = 255
    corner[0, 19, 19] = 1
    assert center(corner).sum() == 256


def test_the_pixels_are_the_same_on_every_machine(digits):
    """Whole numbers only, so the exact bytes can be asked for."""
    assert hashlib.sha256(digits.images.tobytes()).hexdigest() == DIGITS_SHA256


DIGITS_SHA256 = "84798003431a16801c5f243b46997771d3b004fee79b658275df33a598b5f5fc"


def test_parts_are_stratified_disjoint_and_together_all(digits):
    train, test = load_digits("train"), load_digits("test")
    assert (len(train), len(test)) == (1297, 500)
    assert np.bincount(test.labels).tolist() == [50] * 10
    assert np.bincount(train.labels).min() > 120
    rows = sorted(image.tobytes() for part in (train, test) for image in part.images)
    assert rows == sorted(image.tobytes() for image in digits.images)


def test_nearest_neighbors_read_the_digits(digits):
    from sklearn.neighbors import KNeighborsClassifier

    train, test = load_digits("train"), load_digits("test")
    model = KNeighborsClassifier(3).fit(train.images.reshape(1297, -1) / 255, train.labels)
    assert model.score(test.images.reshape(500, -1) / 255, test.labels) > 0.95


def test_cards_name_source_and_license(digits):
    assert "Kaynak" in digits.card
    assert "CC BY 4.0" in digits.card
    photos = load_photos()
    assert all(name in photos.card for name in photos.class_names)
    assert "CC0" in photos.card


@pytest.mark.parametrize("part", ["validation", "", "Train"])
def test_an_unknown_part_is_refused(part):
    with pytest.raises(SettingsError, match="'all', 'train', 'test'"):
        load_digits(part)


def test_photos_are_read_only_when_asked_for():
    photos = load_photos()
    assert photos.is_lazy
    assert photos.class_names == photos.images.names
    assert len(photos) == len(PHOTOS)
    cat = photos.images[photos.class_names.index("cat")]
    assert np.array_equal(cat, load_photo("cat"))
    few = photos.subset([3, 0])
    assert few.names == ["cat", "astronaut"]
    assert few.images[0].shape == (300, 451, 3)


@pytest.mark.parametrize("name", PHOTOS)
def test_every_photo_is_rgb_and_the_gray_ones_are_gray(name):
    photo = load_photo(name)
    assert photo.dtype == np.uint8
    assert photo.ndim == 3
    assert photo.shape[2] == 3
    assert photo.std() > 5
    gray = (photo == photo[..., :1]).all()
    assert gray == ("gray" in PHOTOS[name].source)


def test_photos_agree_with_scikit_image():
    from skimage import data

    assert np.array_equal(load_photo("cat"), data.chelsea())
    assert np.array_equal(load_photo("camera")[..., 0], data.camera())


def test_an_unknown_photo_names_the_known_ones():
    with pytest.raises(SettingsError, match=r"astronaut, brick.*got 'dog'"):
        load_photo("dog")


def test_missing_photos_are_left_out_and_never_downloaded(monkeypatch, tmp_path):
    cat = bundled_photos._folder() / "chelsea.png"
    (tmp_path / "chelsea.png").write_bytes(cat.read_bytes())
    monkeypatch.setattr(bundled_photos, "_folder", lambda: tmp_path)
    assert load_photos().class_names == ("cat",)
    with pytest.raises(
        DataError, match=r"'coffee' is not where scikit-image keeps it.*coffee\.png"
    ):
        load_photo("coffee")
    (tmp_path / "chelsea.png").unlink()
    with pytest.raises(DataError, match="No photograph lies in"):
        load_photos()
