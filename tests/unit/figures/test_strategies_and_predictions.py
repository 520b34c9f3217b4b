"""Every run of a strategy is a point, and every prediction says whether it is right."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from coursekit.datasets import ImageSet
from coursekit.errors import ShapeError
from coursekit.figures import COLORS, Figure, plot_strategies, show_predictions
from coursekit.training import top_predictions

RUNS = {"scratch": [0.70, 0.72, 0.71], "head": [0.76, 0.75, 0.80]}


class TestStrategies:
    def test_every_run_is_a_point_of_its_strategy(self):
        figure = plot_strategies(RUNS, title="The head leads")
        assert isinstance(figure, Figure)
        points = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
        assert [line.get_ydata().tolist() for line in points] == list(RUNS.values())
        assert [set(line.get_xdata()) for line in points] == [{0}, {1}]

    def test_a_line_joins_the_runs_of_each_seed(self):
        figure = plot_strategies(RUNS, title="The head leads")
        lines = [
            line.get_ydata().tolist()
            for line in figure.axes[0].lines
            if line.get_marker() == "None" and len(line.get_xdata()) == len(RUNS)
        ]
        assert lines[:3] == [list(pair) for pair in zip(*RUNS.values(), strict=True)]

    def test_the_mean_is_written(self):
        figure = plot_strategies(RUNS, title="The head leads")
        assert [text.get_text() for text in figure.axes[0].texts] == ["71.0%", "77.0%"]

    def test_one_run_has_no_spread(self):
        figure = plot_strategies({"a": [0.5], "b": [0.6]}, title="One seed")
        assert not figure.axes[0].containers

    @pytest.mark.parametrize("runs", [{}, {"a": []}, {"a": [0.5], "b": [0.5, 0.6]}])
    def test_strategies_have_the_same_number_of_runs(self, runs):
        with pytest.raises(ShapeError, match="same number of runs"):
            plot_strategies(runs, title="x")


@pytest.fixture
def images():
    pixels = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3), dtype=np.uint8)
    return ImageSet(images=pixels, labels=[0, 1, 1], class_names=("Cat", "SeaLake"))


@pytest.fixture
def found(images):
    logits = [[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]]
    return top_predictions(logits, images.labels, k=2, class_names=images.class_names)


class TestPredictions:
    def test_captions_say_the_classes_and_what_is_right(self, images, found):
        figure = show_predictions(images, found, title="Three images")
        captions = [axes.get_title(loc="left") for axes in figure.axes]
        words = [caption.split() for caption in captions]
        assert words[0] == ["✓", "88%", "Cat", "12%", "Sea", "Lake"]
        assert words[1][:4] == ["✗", "is", "Sea", "Lake"]

    def test_frames_are_green_or_vermilion(self, images, found):
        figure = show_predictions(images, found, title="Three images")
        colors = [to_hex(axes.spines["left"].get_edgecolor()) for axes in figure.axes]
        green, red = COLORS["green"].lower(), COLORS["vermilion"].lower()
        assert colors == [green, red, green]

    def test_without_labels_nothing_is_judged(self, images):
        found = top_predictions([[2.0, 0.0]] * 3, k=1)
        figure = show_predictions(images, found, title="Three images")
        assert not any("✓" in axes.get_title(loc="left") for axes in figure.axes)

    def test_sizes_of_images_may_differ(self, found):
        pictures = [np.zeros((8, 16, 3)), np.zeros((300, 100)), np.zeros((4, 4, 1))]
        assert len(show_predictions(pictures, found, title="Sizes").axes) == 3

    def test_images_and_rows_must_match(self, images, found):
        with pytest.raises(ShapeError, match=r"3 images and 2 rows.*subset"):
            show_predictions(images, found.subset([0, 1]), title="x")
