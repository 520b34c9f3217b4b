"""What the figures show: panels, captions, lines, bars; and what they refuse."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from PIL import Image

from coursekit import figures
from coursekit.errors import SettingsError, ShapeError
from coursekit.figures import PALETTE
from coursekit.figures.base import text_width, wrap_text

NAMED = {"title": "t", "x_label": "x", "y_label": "y"}
MINUS = "\N{MINUS SIGN}"


def drawn(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def captions(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def frames(figure):
    names = {color.lower(): name for name, color in PALETTE.items()}
    return [names[to_hex(axes.spines["left"].get_edgecolor())] for axes in figure.axes]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def pictures(names, side=8):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (len(names), side, side, 3), np.uint8)
    return SimpleNamespace(images=images, names=list(names))


def history(**columns):
    return SimpleNamespace(to_frame=lambda: pd.DataFrame(columns))


# --- text ---------------------------------------------------------------------------------

LATIN = st.characters(codec="latin-1", exclude_categories=["Cc", "Cf"])


@given(st.lists(st.text(LATIN, max_size=9), max_size=9), st.floats(1, 3))
@settings(max_examples=60, deadline=None)
def test_wrapping_loses_nothing_and_keeps_to_the_width(words, width):
    wrapped = wrap_text(" ".join(words), width, size=9)
    assert wrapped.split() == " ".join(words).split()
    lines = [line for line in wrapped.split("\n") if " " in line]
    assert all(text_width(line, size=9) <= width for line in lines)


# --- pictures -----------------------------------------------------------------------------


def test_images_are_drawn_as_they_are_with_captions_and_without_ticks():
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    figure = figures.show_images(pixels, ["one", "two"], title="t")
    for image, shown in zip(pixels, drawn(figure), strict=True):
        np.testing.assert_allclose(shown * 255, image)
    assert captions(figure) == ["one", "two"]
    assert all(len(axes.get_xticks()) == 0 for axes in figure.axes)
    assert figure.get_suptitle() == "t"


@pytest.mark.parametrize(
    ("images", "shapes"),
    [
        (np.zeros((4, 6)), [(4, 6)]),
        (np.zeros((4, 6, 3)), [(4, 6, 3)]),
        (torch.zeros(3, 4, 6), [(4, 6, 3)]),
        (torch.zeros(1, 4, 6), [(4, 6)]),
        (torch.zeros(5, 4, 6), [(4, 6)] * 5),
        (np.zeros((5, 4, 6)), [(4, 6)] * 5),
        (np.zeros((2, 4, 6, 1), np.uint8), [(4, 6)] * 2),
        ([np.zeros((4, 6, 3)), torch.zeros(3, 2, 2)], [(4, 6, 3), (2, 2, 3)]),
        (Image.new("RGB", (6, 4)), [(4, 6, 3)]),
        (pictures("ab"), [(8, 8, 3)] * 2),
    ],
    ids=lambda value: str(getattr(value, "shape", type(value).__name__)),
)
def test_images_of_many_forms_are_understood(images, shapes):
    found = drawn(figures.show_images(images, title="t"))
    assert [image.shape for image in found] == shapes


@pytest.mark.parametrize(("ends", "middle"), [((-1, 1), 0.5), ("each", 0.25)])
def test_value_range_says_what_is_black_and_white(ends, middle):
    image = np.array([[-1.0, 0.0, 3.0]])
    (shown,) = drawn(figures.show_images(image, title="t", value_range=ends))
    np.testing.assert_allclose(shown, [[0, middle, 1]])


def test_small_images_keep_sharp_pixels_and_all_their_proportions():
    figure = figures.show_images([np.zeros((10, 30)), np.zeros((2000, 1000))], title="t")
    kinds = [axes.images[0].get_interpolation() for axes in figure.axes]
    assert kinds == ["nearest", "hanning"]
    width, height = figure.get_size_inches()
    for axes, ratio in zip(figure.axes, (3, 1 / 2), strict=True):
        box = axes.get_position()
        assert box.width * width / (box.height * height) == pytest.approx(ratio)


def test_every_row_of_augmentations_begins_with_the_original():
    image = pictures("a").images[0]
    samples = {"noise": [image // 2, image[:4]], "flip": [image[:, ::-1]] * 2}
    figure = figures.show_augmentations(image, samples, title="t")
    assert captions(figure) == ["original", "noise", "", "original", "flip", ""]
    expected = [image, *samples["noise"], image, *samples["flip"]]
    for shown, one in zip(drawn(figure), expected, strict=True):
        np.testing.assert_allclose(shown * 255, one)


def test_weights_share_one_scale_about_zero_which_is_gray_in_color():
    figure = figures.show_weights(torch.tensor([[[1.0]], [[-4.0]]]), title="t")
    assert [axes.images[0].get_clim() for axes in figure.axes[:2]] == [(-4, 4)] * 2
    weights = np.zeros((2, 3, 2, 2))
    weights[0, 0] = [[2.0, 1.0], [0.0, -2.0]]
    first, second = drawn(figures.show_weights(weights, title="t"))
    np.testing.assert_allclose(second, 0.5)
    np.testing.assert_allclose(first[..., 0], [[1, 0.75], [0.5, 0]])
    np.testing.assert_allclose(first[..., 1:], 0.5)


def test_numbers_of_a_matrix_are_written_or_have_a_bar():
    matrix = [[1, -20], [0.123456, 3000]]
    figure = figures.show_matrix(matrix, title="t", annotate=True)
    assert texts(figure.axes[0]) == ["1", f"{MINUS}20", "0.123", "3,000"]
    assert len(figure.axes) == 1
    figure = figures.show_matrix([np.ones((2, 2)), 9 * np.eye(3)], title="t")
    assert [axes.images[0].get_clim() for axes in figure.axes[:2]] == [(0, 9)] * 2
    assert len(figure.axes) == 3


def test_every_map_keeps_its_place_and_its_own_scale():
    maps = np.stack([np.eye(64), 7 * np.eye(64)[::-1], np.zeros((64, 64)), np.eye(64)])
    (axes,) = figures.show_feature_maps({"conv": maps[None]}, title="t", n_maps=3).axes
    grid, gap = np.ma.filled(axes.images[0].get_array(), np.nan), 3
    np.testing.assert_array_equal(grid[:64, :64], maps[0])
    np.testing.assert_array_equal(grid[:64, 64 + gap :], maps[1] / 7)
    np.testing.assert_array_equal(grid[64 + gap :, :64], maps[2])
    assert np.isnan(grid[64 : 64 + gap]).all()
    assert axes.get_title(loc="left") == "conv: 3 of 4 maps, 64 x 64"


def test_a_window_is_framed_and_its_sum_written():
    picture = np.arange(9).reshape(3, 3)
    given = picture, [[1, -1]], -np.ones((3, 2))
    figure = figures.draw_window(*given, row=2, column=1, title="t")
    corners = [axes.patches[0].get_xy() for axes in figure.axes]
    assert corners == [(0.5, 1.5), (-0.5, -0.5), (0.5, 1.5)]
    assert figure.texts[-1].get_text().endswith(f"7·1 + 8·({MINUS}1) = {MINUS}1")


# --- plots --------------------------------------------------------------------------------


def test_curves_hold_the_numbers_and_their_names_in_their_color_by_their_ends():
    curves = {"low": [3, 0], "high": (torch.tensor([5.0, 6.0]), [0, 3])}
    (axes,) = figures.plot_curves(curves, **NAMED).axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[3, 0], [0, 3]]
    assert axes.lines[1].get_xdata().tolist() == [5, 6]
    colors = {line.get_label(): line.get_color() for line in axes.lines}
    assert colors == {text.get_text(): text.get_color() for text in axes.texts}
    low, high = (text.get_position()[1] for text in axes.texts)
    assert low < high


def test_curves_of_one_color_differ_in_their_dashes():
    figure = figures.plot_curves({f"{i}": [0, i] for i in range(20)}, **NAMED)
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == 20


def test_a_history_has_a_panel_for_each_of_loss_and_accuracy_that_was_measured():
    columns = {"epoch": [1, 2, 3], "loss": [3.0, 2, 1], "val_loss": [math.nan, 2.5, 2]}
    full = figures.plot_history(history(**columns, accuracy=[0.1, 0.2, 0.3]), title="t")
    loss, accuracy = full.axes
    assert [line.get_ydata().tolist() for line in loss.lines] == [[3, 2, 1], [2.5, 2]]
    assert loss.lines[1].get_xdata().tolist() == [2, 3]
    assert [line.get_label() for line in accuracy.lines] == ["training"]
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "loss")
    assert len(figures.plot_history(history(**columns), title="t").axes) == 1


def test_confusion_shows_counts_and_colors_shares_of_the_row():
    figure = figures.plot_confusion([[3, 1], [0, 100]], ["cat", "dog"], title="t")
    np.testing.assert_allclose(drawn(figure)[0], [[0.75, 0.25], [0, 1]])
    assert texts(figure.axes[0]) == ["3", "1", "100"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["cat", "dog"]


def test_every_run_is_a_point_joined_with_its_seed_and_the_mean_written():
    runs = {"scratch": [0.70, 0.72, 0.71], "head": [0.76, 0.75, 0.80]}
    (axes,) = figures.plot_strategies(runs, title="t").axes
    points = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_ydata().tolist() for line in points] == list(runs.values())
    joined = [line.get_ydata().tolist() for line in axes.lines[:3]]
    assert joined == [list(pair) for pair in zip(*runs.values(), strict=True)]
    assert texts(axes) == ["71.0%", "77.0%"]


def test_every_setting_stands_where_its_numbers_say_with_its_name():
    curves = {"HNSW": ([0.8, 0.9], [9e3, 5e3], ["16", ""]), "exact": ([1], [200])}
    figure = figures.plot_trade_off(curves, **NAMED)
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.lines] == ["HNSW", "exact"]
    assert axes.lines[0].get_xydata().tolist() == [[0.8, 9e3], [0.9, 5e3]]
    assert [(note.get_text(), note.xy) for note in axes.texts] == [("16", (0.8, 9e3))]
    assert axes.get_yscale() == "log"


# --- bubbles ------------------------------------------------------------------------------


def test_bubbles_stand_where_they_belong_and_some_are_joined_and_named():
    x, y, sizes = [1, 9, 3, 5], [50, 80, 40, 70], np.array([1, 200, 400, 4])
    look = {"marked": ["b", "a"], "marked_label": "m", "size_label": "s", "log": "x"}
    (axes,) = figures.plot_bubbles(x, y, sizes, ["a", "b", "c", "d"], **look, **NAMED).axes
    others, front = axes.collections[:2]
    assert others.get_offsets().tolist() == [[3, 40], [5, 70]]
    assert others.get_sizes().tolist() == [700, 14]
    assert front.get_sizes().tolist() == [14, 350]
    assert axes.lines[0].get_xydata().tolist() == [[1, 50], [9, 80]]
    assert texts(axes) == ["a", "b"]


# --- right or wrong -----------------------------------------------------------------------


def test_each_query_stands_before_its_neighbors_which_are_right_or_wrong():
    bank, queries = pictures("aabb"), pictures(["a", "SeaLake"])
    near = torch.tensor([[1, 2], [0, 3]])
    figure = figures.show_neighbors(queries, bank, near, title="t")
    assert captions(figure) == ["a", "✓", "✗ b", "Sea Lake", "✗ a", "✗ b"]
    assert frames(figure) == ["black", "green", "vermilion", "black", *["vermilion"] * 2]
    np.testing.assert_allclose(drawn(figure)[2], bank.images[2] / 255)
    ways = {"pixels": [[1], [0], [0]], "embeddings": [[0], [1], [0]]}
    figure = figures.show_neighbors(pictures("aba"), pictures("ab"), ways, title="t")
    told = captions(figure)
    assert told[:4] == ["a\npixels", "✗ b", "b\npixels", "✗ a"]
    assert told[4:8] == ["a\nembeddings", "✓", "b\nembeddings", "✓"]
    assert len(told) == 3 * 2 * 2, "nothing is drawn where the last query has no partner"


def test_predictions_say_the_classes_and_what_is_right():
    found = SimpleNamespace(
        class_names=("Cat", "SeaLake"),
        classes=np.array([[0, 1], [0, 1]]),
        probabilities=np.array([[0.88, 0.12], [0.73, 0.27]]),
        labels=np.array([0, 1]),
    )
    figure = figures.show_predictions(pictures("ab"), found, title="t")
    words = [caption.split() for caption in captions(figure)]
    assert words[0] == ["✓", "88%", "Cat", "12%", "Sea", "Lake"]
    assert words[1] == ["✗", "is", "Sea", "Lake", "73%", "Cat", "27%", "Sea", "Lake"]
    assert frames(figure) == ["green", "vermilion"]


def test_a_receptive_field_is_framed_and_cut_at_the_border():
    field = [4 * np.eye(8)], [(-2, 3, 5, 4)], ["a"]
    figure = figures.show_receptive_field(*field, title="t")
    (frame,) = figure.axes[0].patches
    assert (*frame.get_xy(), frame.get_width(), frame.get_height()) == (2.5, -0.5, 4, 3)
    np.testing.assert_array_equal(drawn(figure)[0], np.eye(8))


# --- misuse -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "error", "words"),
    [
        ("show_images", [np.zeros((2, 0, 4))], ShapeError, r"\(0, 4\)"),
        ("show_images", [torch.zeros(1, 7, 5, 6)], ShapeError, "1 or 3 channels"),
        ("show_images", [np.full((4, 4), 200.0)], SettingsError, r"range=\(0, 255\)"),
        ("show_weights", [np.zeros((2, 16, 3, 3))], ShapeError, "one channel at a time"),
        ("show_feature_maps", [{"fc": np.ones(4)}], ShapeError, r"'fc'.* 3 axes.*\(4,\)"),
        ("plot_confusion", [[1.0, math.nan], ["a", "b"]], ShapeError, "2 axes.*1 NaN"),
        ("show_neighbors", [pictures("ab")] * 2 + [[[0]]], ShapeError, "the 2 queries"),
    ],
)
def test_misuse_is_explained(name, arguments, error, words):
    with pytest.raises(error, match=words):
        getattr(figures, name)(*arguments, title="t")
