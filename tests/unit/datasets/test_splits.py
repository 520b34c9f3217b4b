"""split_stratified: shares of classes, no image twice, and clear refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.datasets import ImageSet, split_stratified
from coursekit.errors import DataError, SettingsError


def numbered(counts):
    """A set whose image i is filled with i; class c has counts[c] images, interleaved."""
    labels = np.concatenate([np.full(count, c) for c, count in enumerate(counts)])
    labels = np.random.default_rng(0).permutation(labels)
    images = np.zeros((len(labels), 2, 2, 1), np.uint8)
    images[:] = np.arange(len(labels))[:, None, None, None] % 256
    names = tuple(f"class{c}" for c in range(len(counts)))
    ids = {"id": np.arange(len(labels))}
    return ImageSet(images=images, labels=labels, class_names=names, attributes=ids)


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(3, 30), min_size=1, max_size=6),
    shares=st.lists(st.floats(0.05, 1.0), min_size=1, max_size=3),
    seed=st.integers(0, 5),
)
def test_parts_are_disjoint_have_every_class_and_the_size_asked_for(counts, shares, seed):
    image_set = numbered(counts)
    n_images, n_classes = sum(counts), len(counts)
    scale = max(1.0, sum(shares))
    sizes = {f"p{i}": int(n_images * s / scale) for i, s in enumerate(shares)}
    if min(sizes.values()) < n_classes:
        return
    parts = split_stratified(image_set, sizes, seed=seed)
    ids = np.concatenate([part.attributes["id"] for part in parts.values()])
    assert len(ids) == len(set(ids.tolist()))
    for name, part in parts.items():
        assert len(part) == sizes[name]
        assert set(part.labels.tolist()) == set(range(n_classes))


def test_classes_keep_their_proportions():
    part = split_stratified(numbered([100, 40, 20]), {"a": 80, "b": 40}, seed=0)["a"]
    assert np.bincount(part.labels).tolist() == [50, 20, 10]


def test_fractions_of_a_whole_use_every_image():
    parts = split_stratified(numbered([33, 21, 13]), {"a": 0.7, "b": 0.2, "c": 0.1}, seed=0)
    assert sum(map(len, parts.values())) == 67
    assert list(parts) == ["a", "b", "c"]


def test_same_seed_same_cut_other_seed_other_cut():
    image_set = numbered([30, 30])
    cuts = [
        split_stratified(image_set, {"a": 20}, seed=seed)["a"].attributes["id"].tolist()
        for seed in (1, 1, 2)
    ]
    assert cuts[0] == cuts[1] != cuts[2]


def test_images_stay_with_their_labels():
    image_set = numbered([20, 20])
    part = split_stratified(image_set, {"a": 0.5}, seed=3)["a"]
    ids = part.attributes["id"]
    assert (part.images[:, 0, 0, 0] == ids).all()
    assert (part.labels == image_set.labels[ids]).all()


def test_a_class_with_too_few_images_is_named_with_its_count():
    with pytest.raises(DataError, match=r"2 parts, but 'class1' has 1\. Add images"):
        split_stratified(numbered([9, 1]), {"a": 4, "b": 4}, seed=0)


def test_a_class_without_images_is_named():
    with pytest.raises(DataError, match=r"'class1' has 0, 'class2' has 1"):
        split_stratified(numbered([9, 0, 1]), {"a": 4, "b": 4}, seed=0)


def test_a_part_with_fewer_places_than_classes_is_named():
    with pytest.raises(DataError, match=r"Part 'b' has 2 places for 3 classes"):
        split_stratified(numbered([9, 9, 9]), {"a": 4, "b": 2}, seed=0)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({}, "at least one part"),
        ({"a": 0}, "larger than 0"),
        ({"a": -0.5}, "larger than 0"),
        ({"a": 3, "b": 0.5}, "all counts or all fractions, got 3, 0.5"),
        ({"a": 0.8, "b": 0.3}, "at most 1, got 0.8, 0.3"),
        ({"a": 15, "b": 10}, "need 25 images, the set has 20"),
    ],
)
def test_impossible_sizes_are_refused(sizes, words):
    with pytest.raises(SettingsError, match=words):
        split_stratified(numbered([10, 10]), sizes, seed=0)
