"""Figures carry what they show as numbers and words, unseen by the reader."""

import json

import matplotlib.figure
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit import figures
from coursekit.figures.record import FIGURE_MIME, describe_figure
from coursekit.nbtest import shown as reader


def data_of(figure):
    return figure._repr_mimebundle_()[0][FIGURE_MIME]


def only_axes(figure):
    (axes,) = data_of(figure)["axes"]
    return axes


def test_the_reader_of_the_data_knows_the_same_type():
    assert reader.FIGURE_MIME == FIGURE_MIME


def test_curves_are_told_by_name_color_and_numbers():
    figure = figures.plot_curves(
        {"up": [1, 2, 4.5], "down": [3, 1, 0]}, title="T", x_label="day", y_label="leaves"
    )
    axes = only_axes(figure)
    assert data_of(figure)["title"] == "T"
    assert (axes["x_label"], axes["y_label"]) == ("day", "leaves")
    assert axes["lines"][0] == {
        "name": "up",
        "color": "#0072b2",
        "x": "0 1 2",
        "y": "1 2 4.5",
    }
    assert axes["lines"][1]["y"] == "3 1 0"
    low, high = map(float, axes["y_limits"].split())
    assert low < 0 < 4.5 < high


def test_bars_are_told_by_name_place_and_height():
    values = {"MLP": {"before": 0.7, "after": 0.5}, "CNN": {"before": 0.9, "after": 0.6}}
    axes = only_axes(figures.plot_bars(values, title="T", y_label="accuracy"))
    assert [(bars["name"], bars["heights"]) for bars in axes["bars"]] == [
        ("before", "0.7 0.9"),
        ("after", "0.5 0.6"),
    ]
    assert axes["x_ticks"] == "MLP | CNN"
    assert axes["legend"] == "before | after"
    assert axes["texts"] == "0.7 | 0.9 | 0.5 | 0.6"
    assert "patches" not in axes, "bars are not told twice"


def test_points_and_pictures_beside_the_axes_are_told():
    axes = figures.Figure(height=2, title="T").subplots()
    axes.scatter([1, 2], [3, 4], label="dots")
    axes.inset_axes((0, 0, 1, 1)).imshow(np.eye(2))
    told, inset = data_of(axes.figure)["axes"]
    points = {"kind": "PathCollection", "name": "dots", "n": 2, "x": "1 2", "y": "3 4"}
    assert told["points"] == [points]
    assert inset["images"][0]["grid"] == "2 x 2: 1000 0 0 1000"


def test_an_image_is_told_by_the_means_of_a_coarse_grid():
    picture = np.zeros((40, 40), np.uint8)
    picture[:20] = 255
    (image,) = only_axes(figures.show_images(picture, title="T"))["images"]
    size, cells = image["grid"].split(": ")
    grid = np.array(cells.split(), int).reshape([int(n) for n in size.split(" x ")])
    assert (grid[:8] == 1000).all()
    assert (grid[8:] == 0).all()
    assert image["contrast"] == "500"


def test_channels_of_a_color_image_are_told_apart():
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[..., 1] = 255
    (image,) = only_axes(figures.show_images(picture, title="T"))["images"]
    red, green, blue = image["grid"].removeprefix("4 x 4: ").split(" / ")
    assert set(red.split()) == set(blue.split()) == {"0"}
    assert set(green.split()) == {"1000"}


def test_numbers_drawn_as_colors_keep_their_scale():
    figure = figures.show_matrix(np.array([[0.0, 1.0], [2.0, 4.0]]), title="T")
    panel, bar = data_of(figure)["axes"]
    assert panel["images"][0]["scale"] == "0 4"
    assert panel["images"][0]["grid"] == "2 x 2: 0 250 500 1000"
    assert bar["kind"] == "color bar"


def test_where_a_title_is_wrapped_does_not_matter():
    long = "A title that is far too long for a figure of this width"
    figure = figures.Figure(width=3, height=3, title=long, layout="none")
    assert "\n" in figure.get_suptitle()
    assert data_of(figure)["title"] == long


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_written_as_words(bad):
    figure = figures.Figure(height=2, title="T")
    figure.subplots().plot([0, 1, 2], [0, bad, 1])
    assert only_axes(figure)["lines"][0]["y"] == f"0 {bad} 1"
    json.dumps(data_of(figure), allow_nan=False)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1e30, 1e30), min_size=201, max_size=900))
def test_a_long_curve_is_told_by_the_means_of_200_parts(values):
    figure = matplotlib.figure.Figure()
    figure.subplots().plot(values)
    told = [float(n) for n in describe_figure(figure)["axes"][0]["lines"][0]["y"].split()]
    parts = np.array_split(np.array(values), 200)
    assert told == pytest.approx([part.mean() for part in parts], rel=1e-5, abs=1e25)


def test_it_is_the_same_however_often_it_is_told_and_changes_nothing():
    figure = figures.plot_bars({"a": 0.25, "b": 0.5}, title="T", y_label="y")
    before = figure.to_png()
    assert data_of(figure) == data_of(figure)
    assert figure.to_png() == before


FIGURES = {
    "images": lambda: figures.show_images(
        np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8),
        [f"class {i}" for i in range(16)],
        title="T",
    ),
    "100 images": lambda: figures.show_images(np.zeros((100, 8, 8), np.uint8), title="T"),
    "matrix": lambda: figures.show_matrix(
        np.random.default_rng(0).random((129, 126)), title="T"
    ),
    "confusion": lambda: figures.plot_confusion(
        np.eye(10) * 9, list("abcdefghij"), title="T"
    ),
    "weights": lambda: figures.show_weights(np.ones((16, 3, 5, 5)), title="T"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_it_is_small(name):
    told = data_of(FIGURES[name]())
    limit = 20_000 if name == "100 images" else 10_000
    assert len(json.dumps(told, indent=1)) < limit
