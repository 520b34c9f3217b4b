"""show_augmentations: the original at the left of every row, and what it refuses."""

import numpy as np
import pytest
import torch
from PIL import Image

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures import show_augmentations

IMAGE = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)


def drawn(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes]


def captions(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def test_every_row_begins_with_the_original_and_names_its_transform():
    samples = {"noise": [IMAGE // 2, IMAGE // 3], "flip": [IMAGE[:, ::-1]] * 2}
    figure = show_augmentations(IMAGE, samples, title="Two transforms")
    pictures = drawn(figure)
    assert captions(figure) == ["original", "noise", "", "original", "flip", ""]
    for panel in (0, 3):
        np.testing.assert_allclose(pictures[panel] * 255, IMAGE)
    np.testing.assert_allclose(pictures[2] * 255, IMAGE // 3)
    np.testing.assert_allclose(pictures[4] * 255, IMAGE[:, ::-1])
    assert figure.get_suptitle() == "Two transforms"


@pytest.mark.parametrize(
    "image", [torch.rand(3, 6, 8), torch.rand(1, 6, 8), Image.new("RGB", (8, 6))]
)
def test_tensors_and_pil_images_are_drawn_and_sizes_may_differ(image):
    small = torch.rand(3, 4, 4)
    figure = show_augmentations(image, {"crop": [small, image]}, title="t")
    assert [picture.shape[:2] for picture in drawn(figure)] == [(6, 8), (4, 4), (6, 8)]


def test_many_samples_fit_on_the_page():
    figure = show_augmentations(
        np.zeros((300, 300, 3)), {"a": [np.zeros((300, 300, 3))] * 8}, title="t"
    )
    assert figure.get_size_inches()[0] <= 9.5 + 1e-6
    assert len(figure.axes) == 9


def test_different_numbers_of_samples_are_refused():
    with pytest.raises(ShapeError, match=r"same number.*'a': 1, 'b': 2"):
        show_augmentations(IMAGE, {"a": [IMAGE], "b": [IMAGE] * 2}, title="t")


def test_no_transform_or_no_sample_is_refused():
    with pytest.raises(ShapeError, match="at least one"):
        show_augmentations(IMAGE, {}, title="t")
    with pytest.raises(ShapeError, match="at least one"):
        show_augmentations(IMAGE, {"a": []}, title="t")


def test_normalized_samples_are_refused_with_the_remedy():
    with pytest.raises(SettingsError, match="normalized has"):
        show_augmentations(IMAGE, {"normalized": [torch.full((3, 6, 8), -2.0)]}, title="t")
