"""make_shapes: pure, balanced, captioned, visible; and when misused."""

import hashlib
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.datasets import (
    BACKGROUNDS,
    COLORS,
    HELD_OUT_PAIRS,
    SIZES,
    SOURCE_SHAPES,
    UNSEEN_SHAPES,
    caption_shape,
    draw_shape,
    make_shapes,
)
from coursekit.errors import SettingsError

ALL_SHAPES = SOURCE_SHAPES + UNSEEN_SHAPES


@pytest.fixture(scope="module")
def world():
    return make_shapes(300, seed=3)


def same(first, second):
    """Whether two sets agree in everything."""
    return (
        np.array_equal(first.images, second.images)
        and np.array_equal(first.labels, second.labels)
        and first.captions == second.captions
        and all(
            (first.attributes[k] == second.attributes[k]).all() for k in first.attributes
        )
    )


# Purity


@pytest.mark.parametrize(("chunk_size", "n_images"), [(1, 60), (7, 120), (250, 300)])
def test_chunk_size_does_not_change_a_byte(world, chunk_size, n_images):
    drawn = make_shapes(n_images, seed=3, chunk_size=chunk_size)
    assert same(drawn, world.subset(range(n_images)))


@settings(max_examples=25, deadline=None)
@given(start=st.integers(0, 299), data=st.data())
def test_any_window_equals_that_part_of_the_whole(world, start, data):
    n_images = data.draw(st.integers(1, min(20, 300 - start)))
    window = make_shapes(n_images, seed=3, start=start)
    assert same(window, world.subset(range(start, start + n_images)))


def test_one_by_one_in_any_order_gives_the_same_bytes(world):
    for index in np.random.default_rng(0).permutation(300)[:40]:
        alone = make_shapes(1, seed=3, start=int(index))
        assert np.array_equal(alone.images[0], world.images[index])


def test_threads_that_draw_at_once_do_not_disturb_each_other(world):
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda i: make_shapes(75, seed=3, start=75 * i), range(4)))
    assert np.array_equal(np.concatenate([part.images for part in parts]), world.images)


def test_another_process_draws_the_same_bytes(world):
    code = (
        "import hashlib; from coursekit.datasets import make_shapes, make_land_cover;"
        "import torch; torch.set_num_threads(2);"
        "s = make_shapes(300, seed=3).images.tobytes();"
        "print(hashlib.sha256(s).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.strip() == hashlib.sha256(world.images.tobytes()).hexdigest()


def test_very_large_numbers_are_drawn_too():
    far = make_shapes(2, seed=2**63 - 1, start=2**61)
    assert np.array_equal(
        far.images[1], make_shapes(1, seed=2**63 - 1, start=2**61 + 1).images[0]
    )


def test_seeds_are_different_worlds_and_neighbors_different_pictures(world):
    other = make_shapes(300, seed=4)
    assert not (other.images == world.images).all(axis=(1, 2, 3)).any()
    assert len({image.tobytes() for image in world.images}) == 300


def test_the_same_scene_appears_at_any_size():
    small = make_shapes(40, seed=0, image_size=32).images.astype(float)
    large = make_shapes(40, seed=0, image_size=64).images.astype(float)
    halved = large.reshape(40, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.abs(halved - small).mean() < 10  # noise and edges
    assert np.abs(halved - np.roll(small, 1, axis=0)).mean() > 50


def test_what_is_drawn_hardly_changes_with_the_machine():
    """The arithmetic is exact, but a tolerance of one level costs nothing."""
    drawn = block_means(make_shapes(6, seed=0).images)
    assert np.abs(drawn - np.array(GOLDEN_BLOCKS)).mean() <= 1


def block_means(images):
    """Mean level of each 8 x 8 block and all channels, of shape (n, 16)."""
    return (
        images.reshape(len(images), 4, 8, 4, 8, 3)
        .mean(axis=(2, 4, 5))
        .reshape(len(images), 16)
    )


GOLDEN_BLOCKS = [
    [105, 104, 112, 105, 105, 123, 130, 106, 96, 95, 96, 108, 105, 93, 109, 99],
    [116, 115, 115, 114, 115, 137, 135, 107, 108, 107, 100, 97, 89, 80, 85, 91],
    [86, 92, 97, 103, 86, 114, 120, 107, 90, 129, 134, 119, 93, 117, 133, 114],
    [137, 145, 145, 144, 127, 173, 155, 143, 134, 144, 190, 144, 136, 130, 145, 142],
    [156, 155, 153, 157, 105, 106, 128, 156, 80, 143, 104, 151, 97, 92, 113, 149],
    [83, 88, 86, 90, 90, 91, 91, 108, 100, 108, 98, 98, 104, 104, 104, 104],
]


# Labels, attributes, captions


def test_labels_index_the_requested_shapes(world):
    assert world.class_names == SOURCE_SHAPES
    assert world.names == list(world.attributes["shape"])
    reordered = make_shapes(50, seed=0, shapes=["star", "beetle", "disc"])
    assert reordered.class_names == ("star", "beetle", "disc")
    assert reordered.names == list(reordered.attributes["shape"])


def test_every_run_of_as_many_pictures_as_classes_has_each_class_once(world):
    for first in range(0, 18 * 16, 18):
        assert sorted(world.labels[first : first + 18]) == list(range(18))
    assert len({tuple(world.labels[i : i + 18]) for i in range(0, 18 * 16, 18)}) == 16


@pytest.mark.parametrize(
    ("attribute", "names"),
    [("color", COLORS), ("size", SIZES), ("background", BACKGROUNDS)],
)
def test_attributes_are_balanced(attribute, names):
    drawn = make_shapes(3000, seed=1, image_size=8).attributes[attribute]
    counts = Counter(drawn.tolist())
    expected = 3000 / len(names)
    assert set(counts) == set(names)
    assert all(abs(n - expected) < 5 * expected**0.5 for n in counts.values())


def test_attributes_are_independent_of_each_other():
    drawn = make_shapes(3000, seed=1, image_size=8).attributes
    pairs = Counter(zip(drawn["color"].tolist(), drawn["background"].tolist(), strict=True))
    assert len(pairs) == 70
    assert max(pairs.values()) < 2 * 3000 / 70


def test_captions_say_the_attributes(world):
    for caption, *names in zip(world.captions, *world.attributes.values(), strict=True):
        shape, color, size, background = names
        assert caption == f"a {size} {color} {shape} on a {background} background"


@pytest.mark.parametrize(
    ("words", "caption"),
    [
        (("star",), "a star"),
        (("arrow",), "an arrow"),
        (("hourglass",), "an hourglass"),
        (("house",), "a house"),
        (("arrow", "red"), "a red arrow"),
        (("star", "orange"), "an orange star"),
        (("ellipse", "", "large"), "a large ellipse"),
        (("ellipse", "", "", "wavy"), "an ellipse on a wavy background"),
    ],
)
def test_articles_follow_the_sound(words, caption):
    assert caption_shape(*words) == caption


def test_one_name_fixes_an_attribute():
    fixed = make_shapes(
        30, seed=0, colors=["red"], sizes=["large"], backgrounds=["plain"], shapes=["key"]
    )
    assert set(fixed.captions) == {"a large red key on a plain background"}


# Held-out pairs


def test_held_out_pairs_are_one_in_ten_and_balanced():
    assert len(set(HELD_OUT_PAIRS)) == len(ALL_SHAPES) * len(COLORS) // 10
    shapes, colors = (Counter(names) for names in zip(*HELD_OUT_PAIRS, strict=True))
    assert set(shapes) == set(ALL_SHAPES)
    assert set(shapes.values()) == {1}
    assert set(colors) == set(COLORS)
    assert set(colors.values()) <= {2, 3}


def test_excluded_pairs_are_never_drawn_and_all_others_are():
    drawn = make_shapes(
        8400, seed=0, image_size=8, shapes=ALL_SHAPES, exclude_pairs=HELD_OUT_PAIRS
    ).attributes
    pairs = set(zip(drawn["shape"].tolist(), drawn["color"].tolist(), strict=True))
    assert len(pairs) == 252
    assert not pairs & set(HELD_OUT_PAIRS)


def test_excluding_pairs_leaves_pictures_of_other_shapes_as_they_were():
    free = make_shapes(200, seed=0)
    barred = make_shapes(200, seed=0, exclude_pairs=[("star", "red")])
    others = free.attributes["shape"] != "star"
    assert np.array_equal(free.images[others], barred.images[others])


# Misuse


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"n_images": 0}, "n_images must be a whole number, at least 1, got 0"),
        ({"n_images": 2.0}, "n_images must be a whole number"),
        ({"seed": -1}, "seed must be a whole number, at least 0, got -1"),
        ({"start": -5}, "start must be"),
        ({"start": 2**62}, r"at most 2\*\*62"),
        ({"image_size": 4}, "image_size must be a whole number, at least 8, got 4"),
        ({"image_size": 5000}, "at most 1024"),
        ({"chunk_size": 0}, "chunk_size must be"),
        ({"shapes": ["star", "banana"]}, "banana"),
        ({"shapes": []}, "got none"),
        ({"shapes": "star"}, r"Write \['star'\]"),
        ({"colors": ["red", "red"]}, "different names"),
        ({"sizes": ["huge"]}, "small, medium, large"),
        ({"backgrounds": ["black"]}, "backgrounds must be"),
        ({"exclude_pairs": [("star", "crimson")]}, "exclude_pairs must hold pairs"),
        ({"exclude_pairs": ["star"]}, "exclude_pairs must hold pairs"),
        (
            {"shapes": ["star"], "colors": ["red"], "exclude_pairs": [("star", "red")]},
            "leaves the shape 'star' without a color",
        ),
    ],
)
def test_misuse_is_refused_with_the_remedy(given, words):
    with pytest.raises(SettingsError, match=words):
        make_shapes(**({"n_images": 2, "seed": 0} | given))


@pytest.mark.parametrize(
    "given",
    [
        {"shape": "blob"},
        {"shape": "star", "color": "mauve"},
        {"shape": "star", "size": "xl"},
    ],
)
def test_draw_shape_names_what_it_knows(given):
    with pytest.raises(SettingsError, match="must be different names out of"):
        draw_shape(given.pop("shape"), **given)
