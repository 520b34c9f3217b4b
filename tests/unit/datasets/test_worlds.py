"""Shapes, land cover and the clip: the same bytes everywhere, balanced, captioned, visible."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.datasets import (
    COLORS,
    HELD_OUT_PAIRS,
    SOURCE_SHAPES,
    UNSEEN_SHAPES,
    draw_shape,
    make_land_cover,
    make_moving_shapes,
    make_shapes,
)
from coursekit.datasets.shapes import caption_shape
from coursekit.errors import SettingsError

ALL_SHAPES = SOURCE_SHAPES + UNSEEN_SHAPES
MAKERS = {"shapes": make_shapes, "land cover": make_land_cover}


# The same bytes: shipped weights and stored outputs of lessons hang on them. What the pictures
# show was looked at when these sums were taken, and captions stand beside it.


STAYS = {
    "9509ad55ce4965b4d3f034d2e29398a3": lambda: make_shapes(200, seed=0),
    "5c58a52baecea0a8fd36def6ea1fadf0": lambda: make_shapes(
        56, seed=2024, image_size=64, shapes=ALL_SHAPES
    ),
    "b32bf74f3ec126d01195342f32737d79": lambda: make_land_cover(50, seed=0),
    "3f7e90ea2f42c42a31ca00c9f6db877e": lambda: make_land_cover(
        50, seed=2024, image_size=32
    ),
    "d730fec85fba06c9602669c899d83a92": lambda: make_moving_shapes(40, seed=0),
    "b48fcdc1a605a3f7b4b048aad4268db2": lambda: np.stack(list(map(draw_shape, ALL_SHAPES))),
}


@pytest.mark.parametrize("expected", STAYS)
def test_the_bytes_are_the_same_on_every_machine(expected):
    made = STAYS[expected]()
    names = str(getattr(made, "captions", None) or getattr(made, "names", ""))
    content = getattr(made, "images", made).tobytes() + names.encode()
    assert hashlib.sha256(content).hexdigest()[:32] == expected


@pytest.fixture(scope="module", params=MAKERS)
def world(request):
    make = MAKERS[request.param]
    return make, make(300, seed=3)


@settings(max_examples=25, deadline=None)
@given(start=st.integers(0, 299), data=st.data())
def test_any_window_equals_that_part_of_the_whole(world, start, data):
    make, whole = world
    n_images = data.draw(st.integers(1, min(20, 300 - start)))
    window = make(n_images, seed=3, start=start)
    part = whole.subset(range(start, start + n_images))
    assert np.array_equal(window.images, part.images)
    assert np.array_equal(window.labels, part.labels)
    assert window.captions == part.captions


def test_a_shorter_clip_is_the_beginning_of_a_longer_one():
    assert np.array_equal(make_moving_shapes(7, seed=1), make_moving_shapes(40, seed=1)[:7])


def test_very_large_numbers_are_drawn_too(world):
    far, alone = (world[0](n, seed=2**63 - 1, start=2**61 + 2 - n) for n in (2, 1))
    assert np.array_equal(far.images[1], alone.images[0])


def test_seeds_are_different_worlds_and_pictures_differ(world):
    make, whole = world
    other = make(300, seed=4)
    assert not (other.images == whole.images).all(axis=(1, 2, 3)).any()
    assert len({image.tobytes() for image in whole.images}) == 300


def test_every_run_of_as_many_pictures_as_classes_has_each_class_once(world):
    _, whole = world
    n = whole.n_classes
    orders = {tuple(whole.labels[first : first + n]) for first in range(0, 300 - n, n)}
    assert all(sorted(order) == list(range(n)) for order in orders)
    assert len(orders) > 10


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_the_same_scene_appears_at_any_size(make):
    small, large = (make(40, seed=0, image_size=n).images.astype(float) for n in (32, 64))
    halved = large.reshape(40, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.abs(halved - small).mean() < 10  # noise and edges
    assert np.abs(halved - np.roll(small, 1, axis=0)).mean() > 30


# Labels, attributes, captions


def test_labels_index_the_requested_shapes_and_captions_say_the_attributes():
    drawn = make_shapes(50, seed=0, shapes=["star", "beetle", "disc"])
    assert drawn.class_names == ("star", "beetle", "disc")
    assert drawn.names == list(drawn.attributes["shape"])
    for caption, *names in zip(drawn.captions, *drawn.attributes.values(), strict=True):
        shape, color, size, background = names
        assert caption == f"a {size} {color} {shape} on a {background} background"


def test_articles_follow_the_sound():
    for thing in ("an arrow", "an hourglass", "a house", "an orange star"):
        assert caption_shape(*reversed(thing.split()[1:])) == thing
    assert caption_shape("ring", background="wavy") == "a ring on a wavy background"


def test_held_out_pairs_are_one_in_ten_and_balanced():
    assert len(set(HELD_OUT_PAIRS)) == len(ALL_SHAPES) * len(COLORS) // 10
    shapes, colors = (Counter(names) for names in zip(*HELD_OUT_PAIRS, strict=True))
    assert shapes == Counter(ALL_SHAPES)
    assert set(colors) == set(COLORS)
    assert set(colors.values()) <= {2, 3}


def test_excluded_pairs_are_never_drawn_all_others_are_and_other_shapes_stay_as_they_were():
    settings = {"seed": 0, "image_size": 8, "shapes": ALL_SHAPES}
    drawn = make_shapes(8400, exclude_pairs=HELD_OUT_PAIRS, **settings).attributes
    pairs = set(zip(drawn["shape"].tolist(), drawn["color"].tolist(), strict=True))
    assert len(pairs) == 252
    assert not pairs & set(HELD_OUT_PAIRS)
    free = make_shapes(200, seed=0)
    barred = make_shapes(200, seed=0, exclude_pairs=[("star", "red")])
    others = free.attributes["shape"] != "star"
    assert np.array_equal(free.images[others], barred.images[others])


# Misuse


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"shapes": ["star", "banana"]},
            "Each shape must be one of disc, .*got star, banana",
        ),
        ({"shapes": []}, "got none"),
        ({"exclude_pairs": [("star", color) for color in COLORS]}, "without a color"),
    ],
)
def test_misuse_is_refused_with_the_remedy(given, words):
    with pytest.raises(SettingsError, match=words):
        make_shapes(2, seed=0, **given)
    with pytest.raises(SettingsError, match=r"Each color must be one of red, .* got mauve"):
        draw_shape("star", color="mauve")
