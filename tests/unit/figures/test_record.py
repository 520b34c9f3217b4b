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

RNG = np.random.default_rng(0)


def data_of(figure):
    return figure._repr_mimebundle_()[0][FIGURE_MIME]


def only_axes(figure):
    (axes,) = data_of(figure)["axes"]
    return axes


def test_the_reader_of_the_data_knows_the_same_type():
    assert reader.FIGURE_MIME == FIGURE_MIME


def test_curves_are_told_by_name_color_and_numbers():
    curves = {"up": [1, 2, 4.5], "down": [3, 1, 0]}
    figure = figures.plot_curves(curves, title="T", x_label="day", y_label="leaves")
    axes = only_axes(figure)
    assert data_of(figure)["title"] == "T"
    assert (axes["x_label"], axes["y_label"]) == ("day", "leaves")
    up = {"name": "up", "color": "#0072b2", "x": "0 1 2", "y": "1 2 4.5"}
    assert axes["lines"] == [up, axes["lines"][1] | {"name": "down", "y": "3 1 0"}]
    assert axes["y_limits"].startswith("-0.")


def test_bars_are_told_by_name_place_and_height():
    values = {"MLP": {"before": 0.7, "after": 0.5}, "CNN": {"before": 0.9, "after": 0.6}}
    axes = only_axes(figures.plot_bars(values, title="T", y_label="accuracy"))
    assert [bars["name"] for bars in axes["bars"]] == ["before", "after"]
    assert [bars["heights"] for bars in axes["bars"]] == ["0.7 0.9", "0.5 0.6"]
    assert axes["x_ticks"] == "MLP | CNN"
    assert axes["legend"] == "before | after"
    assert axes["texts"] == "0.7 | 0.9 | 0.5 | 0.6"
    assert axes["y_limits"].startswith("0 ")
    assert "patches" not in axes, "bars are not told twice"


def test_points_and_pictures_beside_the_axes_are_told():
    axes = figures.Figure(height=2, title="T").subplots()
    axes.scatter([1, 2], [3, 4], label="dots")
    axes.inset_axes((0, 0, 1, 1)).imshow(np.eye(2))
    told, inset = data_of(axes.figure)["axes"]
    points = {"kind": "PathCollection", "name": "dots", "n": 2, "x": "1 2", "y": "3 4"}
    assert told["points"] == [points]
    assert inset["images"][0]["grid"] == "2 x 2: 1000 0 0 1000"


def test_each_channel_of_an_image_is_told_by_the_means_of_a_coarse_grid():
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[:20, :, 1] = 255
    (image,) = only_axes(figures.show_images(picture, title="T"))["images"]
    size, cells = image["grid"].split(": ")
    planes = [np.array(plane.split(), int) for plane in cells.split(" / ")]
    green = planes[1].reshape([int(n) for n in size.split(" x ")])
    assert (planes[0] == 0).all()
    assert (planes[2] == 0).all()
    assert (green[: len(green) // 2] == 1000).all()
    assert (green[len(green) // 2 :] == 0).all()
    assert image["contrast"] == "0 500 0"


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


@pytest.mark.parametrize(
    ("shape", "limit"), [((16, 32, 32, 3), 10_000), ((100, 8, 8), 20_000)]
)
def test_it_is_small(shape, limit):
    told = data_of(figures.show_images(RNG.random(shape), title="T"))
    assert len(json.dumps(told, indent=1)) < limit
