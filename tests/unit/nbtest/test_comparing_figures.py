"""Two figures are compared by their numbers, and a difference names the curve or tile."""

import numpy as np
import pytest

from coursekit import figures
from coursekit.nbtest.directives import Directives
from coursekit.nbtest.figure_data import FIGURE_MIME, choose_threshold, compare_figure_data


def data_of(figure):
    return figure._repr_mimebundle_()[0][FIGURE_MIME]


def curves(changes=None, **settings):
    values = {"train": [2.0, 1.0, 0.5], "test": [2.1, 1.2, 0.9]} | (changes or {})
    settings = {"title": "Loss", "x_label": "epoch", "y_label": "loss"} | settings
    return data_of(figures.plot_curves(values, **settings))


def bars(changes=None, **settings):
    values = {"MLP": {"plain": 0.7, "moved": 0.5}, "CNN": {"plain": 0.9, "moved": 0.6}}
    settings = {"title": "Accuracy", "y_label": "share", "y_limits": (0, 1)} | settings
    return data_of(figures.plot_bars(values | (changes or {}), **settings))


def tiles(change=None, *, n=12):
    images = np.random.default_rng(0).integers(0, 256, (n, 28, 28), np.uint8)
    if change is not None:
        images[change] = np.random.default_rng(1).integers(0, 256, (28, 28), np.uint8)
    return data_of(
        figures.show_images(images, [f"digit {i}" for i in range(n)], title="Digits")
    )


def compare(stored, fresh, **settings):
    found = compare_figure_data(stored, fresh, Directives(**settings))
    return None if found is None else found.message


def test_the_same_figure_agrees():
    for draw in (curves, bars, tiles):
        assert compare(draw(), draw()) is None


def test_a_point_of_a_curve_is_told_with_its_curve_place_and_both_numbers():
    told = compare(curves(), curves({"test": [2.1, 1.3, 0.9]}))
    assert "Figure 'Loss' differs" in told
    assert "curve 2 of 2 'test', y of point 2 of 3: stored 1.2, fresh 1.3" in told


def test_a_change_within_tolerance_passes_and_beyond_fails():
    assert compare(curves(), curves({"test": [2.1, 1.2001, 0.9]})) is None
    assert compare(curves(), curves({"test": [2.1, 1.201, 0.9]}))
    assert compare(curves(), curves({"test": [2.1, 1.21, 0.9]}), rtol=0.02) is None
    assert compare(curves(), curves({"test": [2.1, 1.21, 0.9]}), atol=0.02) is None
    assert compare(curves(), curves({"test": [2.1, 1.5, 0.9]}), rtol=0.02)


def test_limits_and_places_of_words_move_with_the_numbers():
    higher = curves({"train": [2.04, 1.0, 0.5], "test": [2.142, 1.2, 0.9]})
    assert compare(curves(), higher, rtol=0.02) is None


def test_tiny_noise_about_zero_is_no_difference():
    stored = curves({"test": [2e6, 0.1, -1e6]})
    assert compare(stored, curves({"test": [2e6, -0.1, -1e6]})) is None
    assert compare(stored, curves({"test": [2e6, -5.0, -1e6]}))


def test_an_end_of_an_axis_near_zero_moves_with_the_largest_number():
    stored = curves({"test": [100.0, 50.0, 1.0]}, y_limits=(0.1, 100))
    moved = curves({"test": [100.0, 50.0, 1.0]}, y_limits=(0.11, 100))
    assert compare(stored, moved) is None
    assert compare(stored, curves({"test": [100.0, 50.0, 1.0]}, y_limits=(0.2, 100)))


def test_on_a_logarithmic_axis_small_numbers_count():
    stored = curves({"test": [2.0, 1e-4, 1.0]}, log="y")
    assert compare(stored, curves({"test": [2.0, 1.005e-4, 1.0]}, log="y"))


@pytest.mark.parametrize(
    ("fresh", "words"),
    [
        (curves(title="Other"), "title: stored 'Loss', fresh 'Other'"),
        (curves(x_label="step"), "label of the x axis: stored 'epoch', fresh 'step'"),
        (curves({"third": [1, 2, 3]}), "3 fresh ('train', 'test', 'third')"),
        (curves({"test": [2.1, 1.2]}), "x of point: 3 stored, 2 fresh"),
        (curves({"test": [2.1, float("1.2"), 9.0]}), "limits of the y axis"),
        (curves(log="y"), "y_scale"),
        (curves(colors={"train": "green"}), "color: stored '#0072b2', fresh '#009e73'"),
        (tiles(), "title"),
    ],
)
def test_each_change_of_a_curve_figure_is_told(fresh, words):
    assert words in compare(curves(), fresh)


def test_swapped_curves_are_told():
    stored = curves()
    swapped = curves({"train": [2.1, 1.2, 0.9], "test": [2.0, 1.0, 0.5]})
    assert "'train'" in compare(stored, swapped)


def test_a_bar_is_told_with_its_number():
    told = compare(bars(), bars({"CNN": {"plain": 0.9, "moved": 0.65}}))
    assert "'moved', height of bar 2 of 2: stored 0.6, fresh 0.65" in told
    assert "0.600" in told, "the number written above it, too"


def test_swapped_names_of_bars_are_told():
    stored = data_of(figures.plot_bars({"a": 0.5, "b": 0.6}, title="T", y_label="y"))
    fresh = data_of(figures.plot_bars({"b": 0.5, "a": 0.6}, title="T", y_label="y"))
    assert "stored 'a | b', fresh 'b | a'" in compare(stored, fresh)


@pytest.mark.parametrize("number", [0, 7, 11])
def test_one_other_tile_of_a_grid_is_told_with_its_place_and_name(number):
    told = compare(tiles(), tiles(change=number))
    assert f"panel {number + 1} of 12 'digit {number}'" in told
    assert "looks different" in told
    assert told.count("panel") == 1


def test_noise_nobody_sees_in_an_image_is_no_difference():
    images = np.random.default_rng(0).random((4, 64, 64))
    noisy = (images + np.random.default_rng(1).normal(0, 4e-3, images.shape)).clip(0, 1)
    stored, fresh = (data_of(figures.show_images(i, title="T")) for i in (images, noisy))
    assert stored != fresh
    assert compare(stored, fresh) is None


def test_another_scale_of_the_colors_is_told():
    one = data_of(figures.show_matrix([[0.0, 1.0]], title="T"))
    two = data_of(figures.show_matrix([[0.0, 2.0]], title="T"))
    assert "end of the color scale 2 of 2: stored 1, fresh 2" in compare(one, two)


def test_durations_are_set_aside_only_when_asked():
    draw = lambda ms: data_of(  # noqa: E731
        figures.plot_bars(
            {"loop": ms, "conv": 0.03}, title="T", y_label="milliseconds", log=True
        )
    )
    stored, fresh = draw(222.0), draw(80.0)
    assert "height of bar" in compare(stored, fresh)
    assert compare(stored, fresh, times=True) is None
    assert compare(stored, fresh, memory=True)
    other = data_of(figures.plot_bars({"loop": 222.0}, title="T", y_label="accuracy"))
    slower = data_of(figures.plot_bars({"loop": 80.0}, title="T", y_label="accuracy"))
    assert compare(other, slower, times=True)


def test_durations_on_both_axes_are_set_aside():
    one, two = (
        data_of(
            figures.plot_curves(
                {"a": ([n, 2 * n], [n, 3 * n])}, title="T", x_label="time (s)", y_label="ms"
            )
        )
        for n in (1.0, 1.7)
    )
    assert compare(one, two, times=True) is None


def test_counts_may_differ_when_the_cell_says_so():
    one, two = (
        data_of(figures.plot_bars({"a": n, "b": 9}, title="T", y_label="images"))
        for n in (5, 6)
    )
    assert compare(one, two)
    assert compare(one, two, counts=1) is None


def test_many_differences_are_cut():
    stored = tiles()
    told = compare(
        stored, data_of(figures.show_images(np.zeros((12, 28, 28)), title="Digits"))
    )
    assert len(told.splitlines()) <= 8
    assert "more differences" in told


def test_data_that_cannot_be_read_are_a_difference_not_a_traceback():
    broken = curves()
    broken["axes"][0]["lines"][0]["y"] = "one two three"
    assert "cannot be read" in compare(broken, curves())
    assert "another version" in compare(curves() | {"version": 0}, curves())
    assert compare({"version": 1, "title": "Loss", "axes": 3}, curves())


def test_pictures_may_differ_more_where_numbers_moved_within_their_tolerance():
    same, moved = curves(), curves({"test": [2.1, 1.21, 0.9]})
    assert choose_threshold(same, same, Directives()) == 0.02
    assert choose_threshold(same, moved, Directives(rtol=0.02)) == 0.1
    assert choose_threshold(same, moved, Directives(rtol=0.02, image_rms=0.3)) == 0.3
    slow, fast = (
        data_of(figures.plot_bars({"a": n}, title="T", y_label="time (s)"))
        for n in (1.0, 2.0)
    )
    assert choose_threshold(slow, fast, Directives(times=True)) == 1.0
