"""make_land_cover: pure, balanced, distinguishable; and when misused."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.datasets import LAND_COVER_CLASSES, make_land_cover
from coursekit.datasets.draws import Draws
from coursekit.datasets.land_parts import Land
from coursekit.datasets.land_scenes import paint_land
from coursekit.errors import SettingsError

GOLDEN_BLOCKS = [
    [83, 83, 81, 84, 85, 86, 80, 81, 84, 86, 84, 88, 81, 82, 85, 92],
    [124, 108, 116, 107, 116, 126, 128, 117, 122, 127, 126, 125, 113, 118, 130, 124],
    [89, 106, 100, 80, 97, 119, 104, 79, 85, 121, 132, 97, 85, 106, 132, 106],
    [139, 158, 172, 123, 142, 156, 168, 125, 141, 157, 166, 122, 169, 164, 160, 122],
    [49, 52, 52, 52, 51, 53, 56, 54, 52, 55, 56, 54, 53, 54, 56, 56],
    [69, 70, 70, 69, 70, 69, 69, 69, 70, 70, 69, 68, 70, 70, 69, 69],
    [110, 100, 133, 117, 95, 106, 97, 111, 113, 96, 110, 111, 109, 96, 96, 104],
    [102, 107, 103, 55, 106, 94, 56, 59, 70, 52, 80, 149, 76, 84, 146, 140],
    [179, 181, 194, 200, 170, 176, 193, 192, 163, 174, 179, 181, 150, 170, 179, 186],
    [115, 105, 92, 93, 115, 95, 90, 88, 111, 90, 88, 87, 99, 94, 89, 89],
]


def block_means(images):
    """Mean level of each quarter of a side and all channels, of shape (n, 16)."""
    n_images, block = len(images), images.shape[1] // 4
    split = images.reshape(n_images, 4, block, 4, block, 3)
    return split.mean(axis=(2, 4, 5)).reshape(n_images, 16)


@pytest.fixture(scope="module")
def country():
    return make_land_cover(120, seed=3)


@pytest.mark.parametrize(("chunk_size", "n_images"), [(1, 40), (7, 120), (250, 120)])
def test_chunk_size_does_not_change_a_byte(country, chunk_size, n_images):
    drawn = make_land_cover(n_images, seed=3, chunk_size=chunk_size)
    assert np.array_equal(drawn.images, country.images[:n_images])


@settings(max_examples=15, deadline=None)
@given(start=st.integers(0, 119), data=st.data())
def test_any_window_equals_that_part_of_the_whole(country, start, data):
    n_images = data.draw(st.integers(1, min(12, 120 - start)))
    window = make_land_cover(n_images, seed=3, start=start)
    assert np.array_equal(window.images, country.images[start : start + n_images])
    assert np.array_equal(window.labels, country.labels[start : start + n_images])


def test_threads_that_draw_at_once_do_not_disturb_each_other(country):
    with ThreadPoolExecutor(4) as pool:
        parts = list(
            pool.map(lambda i: make_land_cover(30, seed=3, start=30 * i), range(4))
        )
    assert np.array_equal(np.concatenate([part.images for part in parts]), country.images)


def test_seeds_are_different_countries_and_pictures_differ(country):
    other = make_land_cover(120, seed=4)
    assert not (other.images == country.images).all(axis=(1, 2, 3)).any()
    assert len({image.tobytes() for image in country.images}) == 120


def test_every_ten_pictures_hold_each_class_once_in_changing_order(country):
    orders = {tuple(country.labels[first : first + 10]) for first in range(0, 120, 10)}
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len(orders) == 12


def test_class_names_are_those_of_eurosat(country):
    assert country.class_names == LAND_COVER_CLASSES
    assert list(LAND_COVER_CLASSES) == sorted(LAND_COVER_CLASSES)
    assert {"AnnualCrop", "HerbaceousVegetation", "SeaLake"} < set(LAND_COVER_CLASSES)


def test_the_same_landscape_appears_at_any_size():
    small = make_land_cover(30, seed=0, image_size=32).images.astype(float)
    large = make_land_cover(30, seed=0, image_size=64).images.astype(float)
    halved = large.reshape(30, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.abs(halved - small).mean() < 10
    assert np.abs(halved - np.roll(small, 1, axis=0)).mean() > 30


@pytest.mark.parametrize("label", range(10), ids=LAND_COVER_CLASSES)
def test_painters_keep_to_float32_and_to_visible_levels(label):
    positions = ((2 * np.arange(32) + 1 - 32) / 32).astype(np.float32)
    canvas = paint_land(label, Land(Draws(0, "land cover", np.arange(60)), positions))
    assert (
        canvas.dtype == np.float32
    )  # float64 would be slower, and exact on fewer machines
    assert canvas.shape == (60, 3, 32, 32)
    assert np.isfinite(canvas).all()
    assert -0.1 < canvas.min() < canvas.max() < 1.2


@pytest.mark.parametrize("label", range(10), ids=LAND_COVER_CLASSES)
def test_pictures_are_neither_flat_nor_clipped(country, label):
    of_class = country.images[country.labels == label]
    assert of_class.std(axis=(1, 2)).min() > 0.5
    assert ((of_class == 0) | (of_class == 255)).mean() < 0.15


def test_a_linear_model_on_color_statistics_is_above_chance_and_far_from_right():
    from sklearn.linear_model import LogisticRegression

    def features(seed, n_images):
        drawn = make_land_cover(n_images, seed=seed, image_size=32)
        pixels = drawn.images / 255
        statistics = [pixels.mean(axis=(1, 2)), pixels.std(axis=(1, 2))]
        return np.concatenate(statistics, axis=1), drawn.labels

    model = LogisticRegression(C=10, max_iter=500).fit(*features(0, 300))
    assert 0.35 < model.score(*features(1, 500)) < 0.8  # chance is 0.1


def test_what_is_drawn_hardly_changes_with_the_machine():
    """The arithmetic is exact, but a tolerance of one level costs nothing."""
    drawn = block_means(make_land_cover(10, seed=0).images)
    assert np.abs(drawn - np.array(GOLDEN_BLOCKS)).mean() <= 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"n_images": 0}, "n_images must be a whole number, at least 1, got 0"),
        ({"seed": 0.5}, "seed must be a whole number"),
        ({"start": -1}, "start must be"),
        ({"image_size": 7}, "at least 8, got 7"),
        ({"chunk_size": -1}, "chunk_size must be"),
    ],
)
def test_misuse_is_refused(given, words):
    with pytest.raises(SettingsError, match=words):
        make_land_cover(**({"n_images": 2, "seed": 0} | given))
