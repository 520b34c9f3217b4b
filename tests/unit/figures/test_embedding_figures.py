"""Galleries of neighbors, feature maps, maps of points and trade-offs show what they are given."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures import (
    COLORS,
    Figure,
    plot_map,
    plot_trade_off,
    show_feature_maps,
    show_neighbors,
)
from coursekit.figures.figure_data import describe_figure

AXES = {"title": "t", "x_label": "recall", "y_label": "queries per second"}


def pictures(names, seed=0, side=8):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (len(names), side, side, 3), np.uint8)
    return SimpleNamespace(images=images, names=list(names))


def captions(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def shown(axes):
    return np.rint(255 * np.asarray(axes.images[0].get_array())).astype(np.uint8)


# --- galleries -------------------------------------------------------------------------


def test_each_query_stands_before_its_neighbors_which_are_marked_right_or_wrong():
    bank, queries = pictures("aabb"), pictures("ab", seed=1)
    figure = show_neighbors(queries, bank, torch.tensor([[1, 2, 0], [0, 3, 2]]), title="t")
    assert isinstance(figure, Figure)
    assert captions(figure) == ["a", "✓", "✗ b", "✓", "b", "✗ a", "✓", "✓"]
    for axes, index in zip(figure.axes[1:4], (1, 2, 0), strict=True):
        np.testing.assert_array_equal(shown(axes), bank.images[index])
    np.testing.assert_array_equal(shown(figure.axes[4]), queries.images[1])


def test_frames_have_the_color_of_right_and_wrong():
    figure = show_neighbors(pictures("a"), pictures("ab"), [[0, 1]], title="t")
    colors = [axes.spines["left"].get_edgecolor()[:3] for axes in figure.axes]
    expected = [COLORS[name] for name in ("black", "green", "vermilion")]
    assert [
        "#" + "".join(f"{round(255 * c):02X}" for c in color) for color in colors
    ] == expected


def test_each_way_of_searching_has_a_row_for_each_query():
    ways = {"pixels": [[1], [0], [0]], "embeddings": [[0], [1], [0]]}
    figure = show_neighbors(pictures("aba"), pictures("ab"), ways, title="t")
    told = captions(figure)
    assert told[:4] == ["a\npixels", "✗ b", "b\npixels", "✗ a"]
    assert told[4:8] == ["a\nembeddings", "✓", "b\nembeddings", "✓"]
    assert len(told) == 3 * 2 * 2, "nothing is drawn where the last query has no partner"


def test_names_of_several_words_written_as_one_are_taken_apart():
    figure = show_neighbors(
        pictures(["SeaLake"]), pictures(["AnnualCrop"]), [[0]], title="t"
    )
    told = [" ".join(caption.split()) for caption in captions(figure)]
    assert told == ["Sea Lake", "✗ Annual Crop"]


@pytest.mark.parametrize("side", [8, 32, 64])
def test_panels_do_not_cover_each_other(side):
    names = ["HerbaceousVegetation", "PermanentCrop", "River", "b", "c"]
    table = np.arange(20).reshape(5, 4) % 5
    queries = pictures(names, side=side)
    figure = show_neighbors(queries, queries, {"pixels": table, "code": table}, title="t")
    figure.draw_without_rendering()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    assert not [1 for a, b in combinations(boxes, 2) if a.shrunk(0.99, 0.99).overlaps(b)]
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)


@pytest.mark.parametrize(
    ("indices", "error", "words"),
    [
        ([[0]], ShapeError, "each of the 2 queries"),
        ([[0], [2]], SettingsError, r"0 \.\. 1, the places in the bank, got 0 \.\. 2"),
        ([[0], [-1]], SettingsError, r"got -1 \.\. 0"),
        ([[0.5], [0]], SettingsError, "whole numbers"),
        (np.zeros((2, 10), int), SettingsError, "At most 9"),
        ({"a": [[0], [0]], "b": [[0, 1], [1, 0]]}, ShapeError, "same number"),
    ],
)
def test_a_gallery_that_cannot_be_drawn_is_named(indices, error, words):
    with pytest.raises(error, match=words):
        show_neighbors(pictures("ab"), pictures("ab"), indices, title="t")


# --- feature maps ----------------------------------------------------------------------


def test_every_map_keeps_its_place_and_its_own_scale():
    maps = np.stack([np.eye(64), 7 * np.eye(64)[::-1], np.zeros((64, 64))])
    (axes,) = show_feature_maps({"conv": maps}, title="t").axes
    grid = np.ma.filled(axes.images[0].get_array(), np.nan)
    gap = 3
    np.testing.assert_array_equal(grid[:64, :64], maps[0])
    np.testing.assert_array_equal(grid[:64, 64 + gap :], maps[1] / 7)
    np.testing.assert_array_equal(grid[64 + gap :, :64], maps[2])
    assert np.isnan(grid[64 : 64 + gap]).all()
    assert axes.get_title(loc="left") == "conv: 3 maps, 64 x 64"


def test_one_scale_for_a_layer_tells_who_answers_strongest():
    maps = torch.stack([torch.ones(64, 64), torch.zeros(64, 64)])[None]
    (axes,) = show_feature_maps(maps, title="t", scale="layer").axes
    grid = np.ma.filled(axes.images[0].get_array(), np.nan)
    assert grid[0, 0] == 1
    assert grid[0, -1] == 0


def test_the_first_maps_are_drawn_and_the_caption_says_how_many():
    figure = show_feature_maps(
        {"a": np.ones((9, 4, 4)), "b": np.ones((2, 4, 4))}, n_maps=4, title="t"
    )
    assert captions(figure) == ["a: 4 of 9 maps, 4 x 4", "b: 2 maps, 4 x 4"]


@pytest.mark.parametrize(
    ("maps", "options", "error", "words"),
    [
        ({}, {}, ShapeError, "at least one layer"),
        ({"fc": np.ones(4)}, {}, ShapeError, "'fc' has \\(4,\\)"),
        ({"c": np.ones((2, 3, 4, 4))}, {}, ShapeError, "Take one image"),
        ({"c": np.full((1, 2, 2), np.nan)}, {}, SettingsError, "NaN"),
        ({"c": np.ones((1, 2, 2))}, {"n_maps": 0}, SettingsError, "at least 1"),
        ({"c": np.ones((1, 2, 2))}, {"scale": "all"}, SettingsError, "'map' or 'layer'"),
    ],
)
def test_maps_that_cannot_be_drawn_are_named(maps, options, error, words):
    with pytest.raises(error, match=words):
        show_feature_maps(maps, title="t", **options)


# --- maps of points --------------------------------------------------------------------


def test_every_point_is_drawn_once_in_every_panel_under_its_class():
    rng = np.random.default_rng(0)
    planes = {"PCA": rng.normal(size=(30, 2)), "t-SNE": rng.normal(size=(30, 2))}
    labels = rng.integers(0, 9, 30)
    figure = plot_map(planes, labels, list("abcdefghi"), title="t")
    for axes, plane in zip(figure.axes, planes.values(), strict=True):
        for label, dots in enumerate(axes.collections):
            assert dots.get_label() == "abcdefghi"[label]
            np.testing.assert_array_equal(dots.get_offsets(), plane[labels == label])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["PCA", "t-SNE"]


def test_no_two_of_many_classes_look_alike():
    names = [str(n) for n in range(20)]
    (axes,) = plot_map(np.eye(20)[:, :2], np.arange(20), names, title="t").axes
    looks = {
        (tuple(dots.get_facecolor()[0]), dots.get_paths()[0].vertices.tobytes())
        for dots in axes.collections
    }
    assert len(looks) == 20


def test_thumbnails_stand_at_their_points_and_do_not_cover_each_other():
    rng = np.random.default_rng(1)
    plane, labels = rng.normal(size=(80, 2)), rng.integers(0, 3, 80)
    images = rng.integers(0, 256, (80, 8, 8, 3), np.uint8)
    figure = plot_map(plane, labels, list("abc"), images=images, n_images=12, title="t")
    figure.draw_without_rendering()
    boxes = figure.axes[0].artists
    assert 3 <= len(boxes) <= 12
    assert {tuple(box.xy) for box in boxes} <= {tuple(row) for row in plane}
    frames = [box.patch.get_window_extent() for box in boxes]
    assert not [1 for a, b in combinations(frames, 2) if a.overlaps(b)]
    assert describe_figure(figure)["axes"][0]["points"][0]["name"] == "a"


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"points": np.zeros((2, 3))}, ShapeError, r"shape \(2, 2\)"),
        ({"points": np.zeros((3, 2))}, ShapeError, "one row a label"),
        ({"labels": [0, 2]}, SettingsError, "the 2 class names"),
        ({"images": np.zeros((3, 8, 8))}, ShapeError, "each of the 2 points, got 3"),
    ],
)
def test_a_map_that_cannot_be_drawn_is_named(change, error, words):
    given = {"points": np.zeros((2, 2)), "labels": [0, 1], "class_names": "ab"} | change
    points, labels, names = (given.pop(key) for key in ("points", "labels", "class_names"))
    with pytest.raises(error, match=words):
        plot_map(points, labels, names, title="t", **given)


# --- trade-offs ------------------------------------------------------------------------


def test_every_setting_stands_where_its_numbers_say_with_its_name():
    curves = {"HNSW": ([0.8, 0.9], [9e3, 5e3], ["16", ""]), "exact": ([1], [200])}
    figure = plot_trade_off(curves, **AXES)
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.lines] == ["HNSW", "exact"]
    assert axes.lines[0].get_xydata().tolist() == [[0.8, 9e3], [0.9, 5e3]]
    assert [(note.get_text(), note.xy) for note in axes.texts] == [("16", (0.8, 9e3))]
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["HNSW", "exact"]


@pytest.mark.parametrize(
    ("series", "error", "words"),
    [
        ({}, ShapeError, "at least one method"),
        ({"a": ([1, 2], [1])}, ShapeError, "got 2, 1 and 2"),
        ({"a": [1, 2]}, ShapeError, "'a' must be"),
        ({"a": ([1], [0])}, SettingsError, "got 0 as y of 'a'"),
    ],
)
def test_a_trade_off_that_cannot_be_drawn_is_named(series, error, words):
    with pytest.raises(error, match=words):
        plot_trade_off(series, **AXES)
