"""Figures of images against texts show the numbers, the texts and what is right."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from coursekit.datasets import ImageSet
from coursekit.errors import SettingsError, ShapeError
from coursekit.figures import COLORS, Figure, show_retrieved, show_similarity

TEXTS = ["a disc", "a large yellow gear on a plain background", "a star"]


@pytest.fixture
def images():
    pixels = np.random.default_rng(0).integers(0, 255, (2, 8, 8, 3), dtype=np.uint8)
    return ImageSet(images=pixels, labels=[0, 1], class_names=("disc", "star"))


def test_every_pair_is_a_cell_with_its_number(images):
    values = [[0.25, -0.5, 1.0], [0.0, 0.125, 0.5]]
    figure = show_similarity(values, images, TEXTS, title="Pairs")
    assert isinstance(figure, Figure)
    axes = figure.axes[0]
    assert axes.images[0].get_array().tolist() == values
    assert [text.get_text() for text in axes.texts] == [
        "0.25",
        "\N{MINUS SIGN}0.50",
        "1.00",
        "0.00",
        "0.12",
        "0.50",
    ]
    written = [label.get_text().replace("\n", " ") for label in axes.get_xticklabels()]
    assert written == TEXTS
    assert len(axes.child_axes) == len(images)


def test_numbers_can_be_percents_or_left_out(images):
    values = np.full((2, 3), 0.5)
    percents = show_similarity(values, images, TEXTS, title="x", value_format="{:.0%}")
    assert percents.axes[0].texts[0].get_text() == "50%"
    bare = show_similarity(values, images.images, TEXTS, title="x", value_format="")
    assert not bare.axes[0].texts


@pytest.mark.parametrize("shape", [(3, 2), (2, 2), (1, 3)])
def test_rows_are_images_and_columns_texts(images, shape):
    with pytest.raises(ShapeError, match="one row for each image and one column for each"):
        show_similarity(np.zeros(shape), images, TEXTS, title="x")


def test_too_many_to_read(images):
    texts = [f"text {n}" for n in range(13)]
    with pytest.raises(SettingsError, match=r"At most 12 .* show_matrix"):
        show_similarity(np.zeros((2, 13)), images, texts, title="x")


def test_found_images_stand_beside_their_text_in_order(images):
    figure = show_retrieved(
        TEXTS[:2], images, [[1, 0], [0, 1]], title="Found", is_right=[[1, 0], [0, 0]]
    )
    assert len(figure.axes) == 4
    for axes, place in zip(figure.axes, (1, 0, 0, 1), strict=True):
        drawn = np.asarray(axes.images[0].get_array())
        np.testing.assert_allclose(drawn, images.images[place] / 255, atol=1e-6)
    frames = [to_hex(axes.spines["left"].get_edgecolor()).upper() for axes in figure.axes]
    assert frames == [COLORS["green"]] + [COLORS["vermilion"]] * 3
    texts = [text.get_text().replace("\n", " ") for text in figure.texts]
    assert texts[-2:] == TEXTS[:2]


def test_a_text_too_long_for_its_row_is_cut(images):
    figure = show_retrieved(["star " * 80], images, [[0]], title="x")
    assert figure.texts[-1].get_text().endswith(" …")


@pytest.mark.parametrize(
    ("texts", "indices", "right", "error", "words"),
    [
        ([], np.zeros((0, 2)), None, ShapeError, "indices"),
        (["a"], [[0], [1]], None, ShapeError, "one row for each of 1 texts"),
        (["a"], [[0, 1]], [[1]], ShapeError, r"is_right must have shape \(1, 2\)"),
        (["a"], [[0, 2]], None, SettingsError, r"must lie in 0 \.\. 1"),
        (["a"], [[0] * 9], None, SettingsError, "at most 8 a text"),
    ],
)
def test_misuse_is_explained(images, texts, indices, right, error, words):
    with pytest.raises(error, match=words):
        show_retrieved(texts, images, indices, title="x", is_right=right)
