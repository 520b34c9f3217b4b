"""Bubbles stand where the numbers say, and the marked ones can be read."""

import itertools

import numpy as np
import pytest
from matplotlib.text import Text

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures import Figure, plot_bubbles

LABELS = {
    "title": "Accuracy against cost",
    "x_label": "operations",
    "y_label": "accuracy (%)",
    "size_label": "million parameters",
}


def things(n=20, seed=0):
    rng = np.random.default_rng(seed)
    x, y, sizes = (
        10 ** rng.uniform(-1, 3, n),
        rng.uniform(55, 90, n),
        rng.uniform(1, 600, n),
    )
    return x, y, sizes, [f"a_network_{number}" for number in range(n)]


def test_every_thing_is_drawn_once_where_it_belongs():
    x, y, sizes, names = things()
    figure = plot_bubbles(x, y, sizes, names, marked=names[:3], log="x", **LABELS)
    assert isinstance(figure, Figure)
    places = np.concatenate([c.get_offsets() for c in figure.axes[0].collections[:2]])
    assert sorted(map(tuple, places.tolist())) == sorted(zip(x, y, strict=True))


def test_areas_are_in_proportion_to_the_sizes():
    figure = plot_bubbles([1, 2], [1, 2], [100, 400], ["a", "b"], **LABELS)
    small, large = figure.axes[0].collections[0].get_sizes()
    assert large == pytest.approx(4 * small)


def test_the_marked_are_joined_in_the_order_of_x():
    figure = plot_bubbles(
        [3, 1, 2],
        [30, 10, 20],
        [1, 1, 1],
        ["c", "a", "b"],
        marked=["c", "a", "b"],
        **LABELS,
    )
    assert figure.axes[0].lines[0].get_xdata().tolist() == [1, 2, 3]


@pytest.mark.parametrize("seed", range(4))
def test_the_names_of_the_marked_do_not_overlap(seed):
    x, y, sizes, names = things(60, seed)
    marked = names[:12]
    figure = plot_bubbles(x, y, sizes, names, marked=marked, log="x", **LABELS)
    figure.draw_without_rendering()
    texts = [text for text in figure.axes[0].texts if text.get_text() in marked]
    assert len(texts) == 12
    # The words alone: an annotation's own extent holds its line, too.
    words = [Text.get_window_extent(text).shrunk(0.98, 0.9) for text in texts]
    assert not [1 for a, b in itertools.combinations(words, 2) if a.overlaps(b)]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"sizes": [1]}, ShapeError, "2, 2, 1, 2"),
        ({"sizes": [1, 0]}, SettingsError, "positive sizes, got 0"),
        ({"marked": ["c"]}, SettingsError, "among the names, got 'c'"),
        ({"x": [0, 1], "log": "x"}, SettingsError, "got 0 on the x axis"),
    ],
)
def test_what_cannot_be_drawn_is_named(changes, error, words):
    given = {"x": [1, 2], "y": [1, 2], "sizes": [1, 2], "names": ["a", "b"]}
    with pytest.raises(error, match=words):
        plot_bubbles(**(given | changes), **LABELS)
