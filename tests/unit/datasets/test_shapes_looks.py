"""make_shapes and draw_shape: the object is there, in its color, place and size."""

from dataclasses import replace

import numpy as np
import pytest

from coursekit.datasets import (
    BACKGROUNDS,
    COLORS,
    SIZES,
    SOURCE_SHAPES,
    UNSEEN_SHAPES,
    draw_shape,
    make_shapes,
)
from coursekit.datasets.draws import Draws
from coursekit.datasets.shape_attributes import RADII, RGB
from coursekit.datasets.shape_draws import random_scene
from coursekit.datasets.shape_scenes import draw_scenes

ALL_SHAPES = SOURCE_SHAPES + UNSEEN_SHAPES


@pytest.fixture(scope="module")
def with_and_without():
    """Scenes of 280 pictures, drawn with and without the shape, and how much differs."""
    names = make_shapes(280, seed=0, image_size=8, shapes=ALL_SHAPES).attributes
    scene = random_scene(Draws(0, "shapes", np.arange(280)), **names)
    bare = replace(scene, front=replace(scene.front, visible=np.zeros((280, 1), bool)))
    shown = draw_scenes(bare, image_size=64).astype(int)
    hidden = draw_scenes(replace(bare, opacity=np.zeros(280, np.float32)), image_size=64)
    return scene, names, shown, np.abs(shown - hidden).max(axis=-1)


def test_the_object_is_there_and_as_large_as_it_is_called(with_and_without):
    _, names, _, change = with_and_without
    area = (change > 25).mean(axis=(1, 2))
    assert (area > 0.008).all()
    means = [area[names["size"] == size].mean() for size in SIZES]
    assert means[0] * 1.5 < means[1] < means[2] / 1.5


def test_the_object_stands_where_its_scene_says(with_and_without):
    scene, names, _, change = with_and_without
    solid = np.isin(names["shape"], ["disc", "square", "ring", "cross", "flower", "gear"])
    position = (2 * np.arange(64) + 1 - 64) / 64
    mass = (change > 25).astype(float)
    x = (mass.sum(axis=1) @ position) / mass.sum(axis=(1, 2))
    radius = np.array([RADII[size] for size in names["size"]])
    assert (np.abs(x - scene.x)[solid] < 0.5 * radius[solid]).mean() > 0.95


def test_the_object_has_the_color_it_is_called(with_and_without):
    scene, names, shown, _ = with_and_without
    clear = replace(
        scene, noise=np.zeros(280, np.float32), falloff=np.zeros(280, np.float32)
    )
    nothing = np.zeros(280, np.float32)
    shown = draw_scenes(replace(clear, relief=nothing), image_size=64).astype(float)
    hidden = draw_scenes(replace(clear, relief=nothing, opacity=nothing), image_size=64)
    body = np.abs(shown - hidden).sum(axis=-1) > 90
    table = np.array(list(RGB.values())) * 255
    right = 0
    for index in range(280):
        color = np.median(shown[index][body[index]], axis=0)
        right += (
            COLORS[int(np.abs(table - color).sum(axis=1).argmin())] == names["color"][index]
        )
    assert right / 280 > 0.85


def test_backgrounds_differ_from_each_other():
    drawn = {
        name: draw_shape("disc", size="small", background=name) for name in BACKGROUNDS
    }
    for first in BACKGROUNDS:
        for second in BACKGROUNDS:
            if first < second:
                assert np.abs(drawn[first].astype(int) - drawn[second]).mean() > 4


def test_a_linear_model_on_coarse_pixels_tells_some_shapes_apart():
    from sklearn.linear_model import RidgeClassifier

    def features(seed):
        drawn = make_shapes(
            400,
            seed=seed,
            shapes=["disc", "cross", "bolt"],
            sizes=["large"],
            backgrounds=["plain"],
        )
        gray = drawn.images.mean(axis=-1)
        contrast = np.abs(gray - np.median(gray, axis=(1, 2), keepdims=True))
        return contrast.reshape(400, 16, 2, 16, 2).mean(axis=(2, 4)).reshape(
            400, -1
        ), drawn.labels

    images, labels = features(0)
    model = RidgeClassifier(alpha=1e4).fit(images, labels)
    assert model.score(*features(1)) > 0.5  # chance is 0.33


def test_draw_shape_is_clean_and_centered():
    picture = draw_shape("disc", color="white").astype(int)
    assert picture.shape == (64, 64, 3)
    assert picture[32, 32].min() > 200
    assert (picture[0, 0] == draw_shape("star")[0, 0]).all()
