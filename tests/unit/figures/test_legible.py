"""No text of any figure covers another, leaves the page, or is smaller than 9 points."""

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.text import Text

from coursekit.figures import (
    draw_receptive_field_of_the_eye,
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

LONG = "herbaceous vegetation beside a permanent crop"
LABELS = {
    "title": "A title that says what there is to see here",
    "x_label": "x (m)",
    "y_label": "y (s)",
}
CASES = {}


def rand(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def randn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def case(function):
    CASES[function.__name__] = function
    return function


@case
def images_with_long_captions():
    return show_images(np.zeros((13, 8, 8)), [LONG] * 13, title=LONG * 3)


@case
def images_with_one_long_word():
    return show_images(
        np.zeros((9, 8, 8)), ["Donaudampfschiffahrtsgesellschaft"] * 9, title="t"
    )


@case
def photographs_of_different_sizes():
    sizes = [(100, 300), (300, 100), (200, 200), (100, 100), (250, 200)]
    return show_images([np.zeros(size) for size in sizes], [LONG] * 5, title="t")


@case
def pairs():
    return show_before_after(np.zeros((3, 40, 40)), np.zeros((3, 40, 40)), title=LONG)


@case
def annotated_matrices():
    matrices = [np.full((5, 5), -1234.5), np.ones((3, 3)), np.ones((3, 3))]
    return show_matrix(matrices, [LONG, "kernel", "response"], title="t", annotate=True)


@case
def matrices_with_a_bar():
    return show_matrix(
        1e5 * rand(7, 28, 28), [LONG] * 7, title="t", color_label="activation (mV)"
    )


@case
def one_flat_matrix_with_a_bar():
    return show_matrix(np.random.default_rng(0).normal(size=(3, 60)), title="t")


@case
def templates():
    return show_weights(randn(10, 1, 28, 28), [LONG] * 10, title="t")


@case
def color_filters():
    return show_weights(randn(30, 3, 7, 7), title="t")


@case
def receptive_fields():
    return show_receptive_field(rand(6, 32, 32), [(3, 3, 9, 9)] * 6, [LONG] * 6, title="t")


@case
def curves_that_end_together():
    return plot_curves(
        {f"curve number {i}": [0, 1, 2 + i / 1000] for i in range(12)}, **LABELS
    )


@case
def curves_that_end_together_below():
    return plot_curves({f"curve number {i}": [5, 0] for i in range(9)}, **LABELS)


@case
def more_names_than_there_is_room():
    return plot_curves({f"{LONG} {i}": [0, i] for i in range(9)}, **LABELS)


@case
def curves_with_long_names():
    return plot_curves({LONG * 2: [1, 2], LONG: [2, 1.99]}, **LABELS)


@case
def logarithmic_curves():
    x = 10.0 ** np.arange(-6, 7)
    return plot_curves({"a": (x, x**2)}, log="xy", **LABELS)


@case
def curves_with_given_ticks():
    return plot_curves(
        {"a": ([1, 8, 16, 32, 64], [1, 2, 3, 4, 5])}, x_ticks=[1, 8, 16, 32, 64], **LABELS
    )


@case
def large_numbers():
    return plot_curves({"parameters": np.arange(100) * 1e7}, **LABELS)


@case
def history():
    class Fake:
        def to_frame(self):
            n = np.arange(1.0, 31)
            return pd.DataFrame(
                {
                    "epoch": n,
                    "loss": 1 / n,
                    "val_loss": 1 / n,
                    "accuracy": n / 30,
                    "val_accuracy": n / 30,
                }
            )

    return plot_history(Fake(), title="t")


@case
def many_bars():
    return plot_bars(
        {f"features.{i}.conv": 10**6 + i for i in range(12)}, title="t", y_label="y"
    )


@case
def grouped_bars():
    values = {f"shift {i}": {LONG: 0.91, "CNN": 0.962} for i in range(4)}
    return plot_bars(values, title="t", y_label="accuracy", spread=values)


@case
def negative_bars():
    return plot_bars({"up": 1.5, "down": -2.5}, title="t", y_label="change (points)")


@case
def confusion_of_ten():
    return plot_confusion(
        1000 * np.eye(10), [f"{LONG[:i]}{i}" for i in range(12, 22)], title="t"
    )


@case
def confusion_of_forty():
    return plot_confusion(np.eye(40), [f"class {i}" for i in range(40)], title="t")


@case
def signal():
    return plot_signal(np.zeros(100), sample_rate=44_100, title="t")


@case
def spectrogram():
    return plot_spectrogram(np.eye(65), sample_rate=16_000, hop_length=64, title="t")


@case
def eye():
    return draw_receptive_field_of_the_eye()


@case
def window():
    return draw_window(
        np.zeros((7, 7)), -np.ones((3, 3)), np.zeros((5, 5)), row=1, column=2, title="t"
    )


@case
def flattened():
    return show_flattened(rand(3, 32, 32), title="t")


def visible_texts(figure):
    """Every text that is drawn; ticks outside the limits are not."""
    texts = [text for text in figure.findobj(Text) if text.get_text().strip()]
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            drawn = {id(tick) for tick in axis._update_ticks()}
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if id(tick) not in drawn or not axes.axison:
                    hidden |= {id(tick.label1), id(tick.label2)}
            if not axes.axison:
                hidden.add(id(axis.label))
    return [t for t in texts if t.get_visible() and id(t) not in hidden]


@pytest.fixture(params=CASES, scope="module")
def figure(request):
    return CASES[request.param]()


@pytest.fixture(scope="module")
def png(figure):
    return figure.to_png()


@pytest.fixture(scope="module")
def boxes(figure, png):
    renderer = figure.canvas.get_renderer()
    return [(text, text.get_window_extent(renderer)) for text in visible_texts(figure)]


def test_texts_do_not_overlap(boxes):
    slack = 1.0  # pixels: boxes hold the line's spacing too
    for (one, a), (other, b) in combinations(boxes, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert not (wide > slack and high > slack), (
            f"{one.get_text()!r} on {other.get_text()!r}"
        )


def test_texts_stay_on_the_page(figure, boxes):
    assert boxes
    for text, box in boxes:
        inside = box.x0 >= -1 and box.y0 >= -1
        inside &= box.x1 <= figure.bbox.width + 1 and box.y1 <= figure.bbox.height + 1
        assert inside, f"{text.get_text()!r} leaves the page"


def test_texts_are_large_enough(boxes):
    assert min(text.get_fontsize() for text, _ in boxes) >= 9


def test_pictures_are_small_and_fit_the_page(figure, png):
    assert len(png) < 150_000
    assert figure.get_figwidth() < 9.501
    assert figure.get_figheight() <= 11


def test_plotted_axes_are_named(figure):
    for axes in figure.axes:
        has_ticks = axes.axison and len(axes.get_xticks()) and axes.get_subplotspec()
        is_bars = has_ticks and axes.patches
        if has_ticks and not is_bars and axes.get_label() != "<colorbar>":
            assert axes.get_xlabel()
            assert axes.get_ylabel()


@pytest.mark.parametrize(
    "name",
    ["pairs", "history", "grouped_bars", "spectrogram", "receptive_fields", "window"],
)
def test_the_users_own_settings_do_not_reach_the_picture(name):
    odd = {
        "font.size": 20,
        "lines.linewidth": 9,
        "savefig.dpi": 30,
        "savefig.bbox": "tight",
    }
    odd |= {
        "image.origin": "lower",
        "image.interpolation": "bicubic",
        "axes.facecolor": "red",
    }
    expected = CASES[name]().to_png()
    with mpl.rc_context({**odd, "figure.dpi": 30, "axes.grid": True, "axes.labelsize": 5}):
        assert CASES[name]().to_png() == expected
