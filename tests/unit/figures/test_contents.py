"""What the figures show: panels, captions, lines, bars; and what they refuse."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from coursekit.errors import CourseError, SettingsError, ShapeError
from coursekit.figures import (
    COLORS,
    draw_window,
    plot_bars,
    plot_confusion,
    plot_curves,
    plot_history,
    plot_signal,
    plot_spectrogram,
    show_before_after,
    show_flattened,
    show_images,
    show_matrix,
    show_receptive_field,
    show_weights,
)
from coursekit.figures.text import readable_color, text_width, wrap_text

NAMED = {"title": "t", "x_label": "x", "y_label": "y"}


def drawn_images(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def captions(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


class FakeHistory:
    def __init__(self, **columns):
        self.frame = pd.DataFrame(columns)

    def to_frame(self):
        return self.frame


def test_images_are_drawn_as_they_are_with_captions_and_without_ticks():
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    figure = show_images(pixels, ["one", "two"], title="t")
    for image, shown in zip(pixels, drawn_images(figure), strict=True):
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
        (
            torch.zeros(2, 3, 4, 6, dtype=torch.bfloat16, requires_grad=True),
            [(4, 6, 3)] * 2,
        ),
        (
            [np.zeros((4, 6, 3)), torch.zeros(3, 2, 2), np.zeros((9, 9), bool)],
            [(4, 6, 3), (2, 2, 3), (9, 9)],
        ),
        (Image.new("RGB", (6, 4)), [(4, 6, 3)]),
        ((image for image in np.zeros((2, 4, 6))), [(4, 6)] * 2),
    ],
    ids=lambda value: str(getattr(value, "shape", type(value).__name__)),
)
def test_images_of_many_forms_are_understood(images, shapes):
    assert [image.shape for image in drawn_images(show_images(images, title="t"))] == shapes


def test_value_range_says_what_is_black_and_white():
    figure = show_images(np.array([[-1.0, 0.0, 3.0]]), title="t", value_range=(-1, 1))
    np.testing.assert_allclose(drawn_images(figure)[0], [[0, 0.5, 1]])


def test_small_images_keep_sharp_pixels_and_large_ones_are_smoothed():
    figure = show_images([np.zeros((8, 8)), np.zeros((2000, 2000))], title="t")
    kinds = [axes.images[0].get_interpolation() for axes in figure.axes]
    assert kinds == ["nearest", "hanning"]


def test_panels_keep_the_proportions_of_their_images():
    figure = show_images([np.zeros((10, 30)), np.zeros((30, 10))], title="t")
    width, height = figure.get_size_inches()
    for axes, ratio in zip(figure.axes, (3, 1 / 3), strict=True):
        box = axes.get_position()
        assert box.width * width / (box.height * height) == pytest.approx(ratio)


def test_pairs_alternate():
    before, after = np.zeros((2, 4, 4)), np.ones((2, 4, 4))
    figure = show_before_after(before, after, title="t", captions=("in", "out"))
    assert [image.mean() for image in drawn_images(figure)] == [0, 1, 0, 1]
    assert captions(figure) == ["in", "out"] * 2


def test_weights_share_one_scale_about_zero():
    figure = show_weights(torch.tensor([[[1.0]], [[-4.0]]]), title="t")
    limits = [axes.images[0].get_clim() for axes in figure.axes[:2]]
    assert limits == [(-4, 4)] * 2


def test_zero_is_gray_in_weights_with_colors():
    weights = np.zeros((2, 3, 2, 2))
    weights[0, 0] = [[2.0, 1.0], [0.0, -2.0]]
    first, second = drawn_images(show_weights(weights, title="t"))
    np.testing.assert_allclose(second, 0.5)
    np.testing.assert_allclose(first[..., 0], [[1, 0.75], [0.5, 0]])
    np.testing.assert_allclose(first[..., 1:], 0.5)


def test_annotated_numbers_are_those_of_the_matrix():
    figure = show_matrix([[1, -20], [0.123456, 3000]], title="t", annotate=True)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["1", "\N{MINUS SIGN}20", "0.123", "3,000"]
    assert len(figure.axes) == 1  # no color bar


def test_matrices_share_a_scale_unless_told_otherwise():
    matrices = [np.ones((2, 2)), 9 * np.eye(3)]
    shared = show_matrix(matrices, title="t")
    own = show_matrix(matrices, title="t", share_scale=False)
    assert [axes.images[0].get_clim()[1] for axes in shared.axes[:2]] == [9, 9]
    assert [axes.images[0].get_clim()[1] for axes in own.axes] == [2, 9]


def test_sparse_matrices_are_drawn():
    figure = show_matrix(scipy.sparse.eye_array(4).tocsr(), title="t")
    np.testing.assert_array_equal(drawn_images(figure)[0], np.eye(4))


def test_curves_hold_the_numbers_and_their_names():
    figure = plot_curves(
        {
            "a": [1, 2],
            "b": (torch.tensor([5.0, 6.0]), [3, 4]),
            "c": ([0, 1], [1, 1], [0.5, 0.1]),
        },
        **NAMED,
    )
    (axes,) = figure.axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[1, 2], [3, 4], [1, 1]]
    assert axes.lines[1].get_xdata().tolist() == [5, 6]
    assert {text.get_text() for text in axes.texts} == {"a", "b", "c"}
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0.5, 1.5)


def test_names_have_the_color_of_their_line_and_the_order_of_the_ends():
    figure = plot_curves({"low": [3, 0], "high": [0, 3]}, **NAMED, colors={"high": "green"})
    (axes,) = figure.axes
    colors = {line.get_label(): line.get_color() for line in axes.lines}
    places = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert colors["high"] == COLORS["green"]
    assert colors == {text.get_text(): text.get_color() for text in axes.texts}
    assert places["low"] < places["high"]


@pytest.mark.parametrize("end", [0, 1, 5], ids=["below", "inside", "above"])
@pytest.mark.parametrize("n_curves", [1, 9, 40])
def test_names_stand_beside_the_axes_one_under_the_other(end, n_curves):
    curves = {f"curve {i}": [0, 5, end] for i in range(n_curves)}
    figure = plot_curves(curves, **NAMED)
    places = sorted(text.get_position()[1] for text in figure.axes[0].texts)
    assert places[0] >= 0
    assert places[-1] <= 1
    line_height = 1.1 * 9 / 72 / figure.get_figheight()
    assert all(np.diff(places) > line_height)


def test_a_history_has_a_panel_for_loss_and_one_for_accuracy():
    nan = float("nan")
    history = FakeHistory(
        epoch=[1, 2, 3],
        loss=[3.0, 2, 1],
        val_loss=[nan, 2.5, 2],
        accuracy=[0.1, 0.2, 0.3],
        lr=[1, 1, 1],
    )
    loss, accuracy = plot_history(history, title="t").axes
    assert [line.get_ydata().tolist() for line in loss.lines] == [[3, 2, 1], [2.5, 2]]
    assert loss.lines[1].get_xdata().tolist() == [2, 3]
    assert [line.get_label() for line in accuracy.lines] == ["training"]
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "loss")


def test_a_history_without_metrics_has_one_panel():
    assert len(plot_history(FakeHistory(epoch=[1], loss=[2.0]), title="t").axes) == 1


def test_bars_stand_in_order_with_their_numbers():
    figure = plot_bars(
        {"s0": {"MLP": 0.9, "CNN": 0.96}, "s1": {"MLP": 0.5, "CNN": 0.8}},
        title="t",
        y_label="y",
    )
    (axes,) = figure.axes
    assert [bar.get_height() for bar in axes.patches] == [0.9, 0.5, 0.96, 0.8]
    assert [text.get_text() for text in axes.texts] == ["0.900", "0.500", "0.960", "0.800"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["MLP", "CNN"]
    assert axes.get_ylim()[0] == 0


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.96, 0.9114], ["0.960", "0.911"]),
        ([0, 12345], ["0", "12,345"]),
        ([238.0, 0.0837], ["238", "0.0837"]),
        ([1234.5, 0.25], ["1,234.500", "0.250"]),
        ([0.0, 0.0], ["0", "0"]),
    ],
)
def test_numbers_over_bars_are_written_alike_and_none_becomes_zero(values, texts):
    bars = plot_bars({f"{i}": v for i, v in enumerate(values)}, title="t", y_label="y")
    assert [text.get_text() for text in bars.axes[0].texts] == texts


def test_bars_on_a_logarithmic_axis_must_be_positive():
    bars = plot_bars({"a": 1, "b": 1000}, title="t", y_label="y", log=True)
    assert bars.axes[0].get_yscale() == "log"
    with pytest.raises(SettingsError, match="positive values only"):
        plot_bars({"a": 0, "b": 1000}, title="t", y_label="y", log=True)


def test_names_wider_than_their_bar_stand_upright():
    values = {f"features.{i}.convolution": i for i in range(12)}
    labels = plot_bars(values, title="t", y_label="y").axes[0].get_xticklabels()
    assert {label.get_rotation() for label in labels} == {90}
    assert [label.get_text() for label in labels] == list(values)


def test_curves_of_one_color_differ_in_their_dashes():
    figure = plot_curves({f"{i}": [0, i] for i in range(20)}, **NAMED)
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == 20


def test_confusion_shows_counts_and_colors_shares_of_the_row():
    figure = plot_confusion([[3, 1], [0, 100]], ["cat", "dog"], title="t")
    axes = figure.axes[0]
    np.testing.assert_allclose(drawn_images(figure)[0], [[0.75, 0.25], [0, 1]])
    assert [text.get_text() for text in axes.texts] == ["3", "1", "100"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]


def test_signals_and_spectrograms_have_seconds_and_hertz():
    wave = plot_signal(torch.zeros(8000), sample_rate=8000, title="t").axes[0]
    assert wave.lines[0].get_xdata()[-1] == pytest.approx(7999 / 8000)
    axes = plot_spectrogram(np.eye(5), sample_rate=8000, hop_length=80, title="t").axes[0]
    assert axes.images[0].get_extent() == pytest.approx([-0.005, 0.045, -500, 4500])
    assert axes.get_ylim() == (0, 4000)
    assert axes.images[0].origin == "lower"


def test_a_receptive_field_is_framed_and_cut_at_the_border():
    figure = show_receptive_field(np.eye(8), (-2, 3, 5, 4), title="t")
    (frame,) = figure.axes[0].patches
    assert (*frame.get_xy(), frame.get_width(), frame.get_height()) == (2.5, -0.5, 4, 3)


def test_a_window_is_framed_and_its_sum_written():
    figure = draw_window(
        np.arange(16).reshape(4, 4),
        [[1, -1]],
        -np.ones((2, 2)),
        row=1,
        column=0,
        title="t",
        stride=2,
    )
    frames = [axes.patches[0] for axes in figure.axes]
    assert [frame.get_xy() for frame in frames] == [(-0.5, 1.5), (-0.5, -0.5), (-0.5, 0.5)]
    minus = "\N{MINUS SIGN}"
    assert figure.texts[-1].get_text().endswith(f"8·1 + 9·({minus}1) = {minus}1")


def test_the_strip_is_the_order_of_flatten():
    image = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0))
    strip = drawn_images(show_flattened(image, title="t"))[1]
    np.testing.assert_allclose(strip.sum(axis=-1)[0], image.flatten().numpy())
    gray = drawn_images(show_flattened(image[:1], title="t"))[1]
    np.testing.assert_allclose(gray[0], image[0].flatten().numpy())


LATIN = st.characters(codec="latin-1", exclude_categories=["Cc", "Cf"])


@given(st.text(LATIN, min_size=1, max_size=60), st.floats(0.3, 3))
@settings(max_examples=60, deadline=None)
def test_wrapping_loses_nothing_and_keeps_to_the_width(text, width):
    wrapped = wrap_text(text, width, size=9)
    assert "".join(wrapped.split()) == "".join(text.split())
    lines = [line for line in wrapped.split("\n") if len(line) > 1]
    assert all(text_width(line, size=9) <= width for line in lines)


@pytest.mark.parametrize(("color", "text"), [("#08306b", "white"), ("#fde725", "black")])
def test_text_stands_out_from_its_background(color, text):
    assert readable_color(color) == text


NAN = [[1.0, float("nan")]]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: show_images([], title="t"), ShapeError, "at least one item"),
        (lambda: show_images(np.zeros((2, 0, 4)), title="t"), ShapeError, "not empty"),
        (
            lambda: show_images(np.zeros((2, 5, 6)), ["a"], title="t"),
            ShapeError,
            "each of the 2 images, got 1",
        ),
        (
            lambda: show_images(torch.zeros(1, 7, 5, 6), title="t"),
            ShapeError,
            "1, 3 or 4 channels",
        ),
        (
            lambda: show_images(np.array(NAN), title="t"),
            SettingsError,
            "1 of 2 that are NaN",
        ),
        (
            lambda: show_images(np.full((4, 4), 200.0), title="t"),
            SettingsError,
            r"value_range=\(0, 255\)",
        ),
        (
            lambda: show_images(np.zeros((4, 4)), title="t", value_range=(1, 1)),
            SettingsError,
            "low < high",
        ),
        (
            lambda: show_images(np.zeros((4, 4)), title="t", n_columns=0),
            SettingsError,
            "n_columns must be",
        ),
        (lambda: show_images(np.zeros((4, 4)), title=""), SettingsError, "title that says"),
        (
            lambda: show_before_after(np.zeros((2, 4, 4)), np.zeros((3, 4, 4)), title="t"),
            ShapeError,
            "2 before and 3 after",
        ),
        (
            lambda: show_weights(np.zeros((2, 16, 3, 3)), title="t"),
            ShapeError,
            "one channel at a time",
        ),
        (
            lambda: show_weights(np.zeros((2, 3, 3)), title="t", limit=0),
            SettingsError,
            "positive magnitude",
        ),
        (lambda: show_matrix([], title="t"), ShapeError, "at least one item"),
        (lambda: show_matrix(NAN, title="t"), SettingsError, "NaN"),
        (lambda: show_matrix([[1, 2], [3]], title="t"), ShapeError, "rectangular"),
        (lambda: show_matrix(np.zeros((2, 2, 2, 2)), title="t"), ShapeError, "2-D"),
        (
            lambda: show_matrix(np.zeros((50, 50)), title="t", annotate=True),
            SettingsError,
            "have no room",
        ),
        (
            lambda: show_matrix(np.eye(2), title="t", share_scale=False, color_bar=True),
            SettingsError,
            "one scale",
        ),
        (
            lambda: show_receptive_field(-np.eye(3), title="t"),
            SettingsError,
            "not negative",
        ),
        (
            lambda: show_receptive_field(np.eye(3), [(0, 0, 1, 1)] * 2, title="t"),
            ShapeError,
            "each of the 1 maps",
        ),
        (lambda: plot_curves({}, **NAMED), ShapeError, "at least one name"),
        (lambda: plot_curves({"a": ([1, 2], [1])}, **NAMED), ShapeError, "of one length"),
        (
            lambda: plot_curves({"a": NAN[0]}, **NAMED),
            SettingsError,
            "curve 'a' must hold finite",
        ),
        (
            lambda: plot_curves({"a": [0, 1]}, log="y", **NAMED),
            SettingsError,
            "positive numbers only",
        ),
        (
            lambda: plot_curves({"a": [0, 1]}, log="yes", **NAMED),
            SettingsError,
            "'x', 'y' or 'xy'",
        ),
        (
            lambda: plot_history(FakeHistory(epoch=[], loss=[]), title="t"),
            ShapeError,
            "at least one finished epoch",
        ),
        (lambda: plot_bars({}, title="t", y_label="y"), ShapeError, "at least one name"),
        (
            lambda: plot_bars({"a": {"x": 1}, "b": {"y": 1}}, title="t", y_label="y"),
            ShapeError,
            "same bars",
        ),
        (
            lambda: plot_bars({"a": 1}, title="t", y_label="y", spread={"b": 1}),
            ShapeError,
            "same bars",
        ),
        (
            lambda: plot_bars({"a": float("nan")}, title="t", y_label="y"),
            SettingsError,
            "finite",
        ),
        (
            lambda: plot_confusion(np.zeros((2, 3)), ["a", "b"], title="t"),
            ShapeError,
            "one row and one column",
        ),
        (
            lambda: plot_confusion(-np.eye(2), ["a", "b"], title="t"),
            SettingsError,
            "not negative",
        ),
        (
            lambda: plot_signal(np.zeros((2, 3)), sample_rate=1, title="t"),
            ShapeError,
            "1-D",
        ),
        (
            lambda: plot_signal(np.zeros(3), sample_rate=0, title="t"),
            SettingsError,
            "sample_rate must be positive",
        ),
        (
            lambda: plot_spectrogram(
                np.eye(2) * 1j, sample_rate=1, hop_length=1, title="t"
            ),
            SettingsError,
            r"magnitude: \.abs\(\)",
        ),
        (
            lambda: draw_window(
                np.eye(5), np.eye(3), np.eye(5), row=0, column=0, title="t"
            ),
            ShapeError,
            r"response of shape \(3, 3\)",
        ),
        (
            lambda: draw_window(
                np.eye(5), np.eye(3), np.eye(3), row=3, column=0, title="t"
            ),
            SettingsError,
            "name a pixel of the 3 x 3",
        ),
        (
            lambda: show_flattened(np.zeros((4, 4)), title="t", row=3),
            SettingsError,
            "row below it",
        ),
    ],
)
def test_misuse_is_explained(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert isinstance(caught.value, CourseError)
