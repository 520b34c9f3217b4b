"""ImageSet, make_loader and split_stratified: functions of a seed, nothing else."""

import random
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.datasets import ImageSet, make_loader, split_stratified
from coursekit.datasets.imageset import LazyImages
from coursekit.errors import CourseError, SettingsError, ShapeError
from coursekit.seeds import seed_everything


def image_set(n_images=10, *, lazy=False):
    """Random images; image i begins with i, its label is i % 3, its caption "image i"."""
    images = np.random.default_rng(0).integers(0, 256, (n_images, 4, 5, 3), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(n_images)
    return ImageSet(
        images=list(images) if lazy else images,
        labels=np.arange(n_images) % 3,
        class_names=("a", "b", "c"),
        captions=tuple(f"image {i}" for i in range(n_images)),
        attributes={"number": np.arange(n_images)},
        card="numbered",
    )


def noisy(images):
    """Draw from all three generators."""
    noise = torch.rand(images.shape) + float(np.random.rand()) + random.random()
    return images + noise


assert_same = partial(torch.testing.assert_close, rtol=0, atol=0)
lazy_or_not = pytest.mark.parametrize("lazy", [False, True])


# --- ImageSet


@lazy_or_not
@given(indices=st.lists(st.integers(0, 9)), data=st.data())
def test_a_subset_of_a_subset_keeps_everything_that_belongs_together(lazy, indices, data):
    again = data.draw(st.lists(st.integers(0, max(0, len(indices) - 1)))) if indices else []
    part = image_set(lazy=lazy).subset(indices).subset(again)
    rows = [indices[i] for i in again]
    assert [image[0, 0, 0] for image in part.images] == rows
    assert part.labels.tolist() == [row % 3 for row in rows]
    assert list(part.captions or ()) == [f"image {row}" for row in rows]
    assert part.attributes["number"].tolist() == rows
    assert (part.class_names, part.card) == (("a", "b", "c"), "numbered")


def test_lazy_images_are_read_when_asked_for():
    asked, labels = [], [0] * 10
    lazy = LazyImages(asked.append, range(10))
    whole = ImageSet(images=lazy, labels=labels, class_names=("a",))
    few = whole.subset(range(6)).images[2:4]
    assert asked == []
    list(few)
    assert asked == [2, 3]


@pytest.mark.parametrize(
    "draw",
    [
        lambda images, seed: images.sample(20, seed=seed),
        lambda images, seed: split_stratified(images, {"a": 20}, seed=seed)["a"],
    ],
)
def test_the_same_seed_draws_the_same_images_another_draws_others(draw):
    first, again, other = (draw(image_set(90), seed).captions for seed in (0, 0, 1))
    assert first == again != other
    assert len(set(first)) == 20


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": np.zeros((6, 4, 5), np.uint8)}, r"images\[\.\.\., None\]"),
        ({"images": np.zeros((6, 4, 5, 3))}, "uint8.*got float64"),
        ({"labels": [0, 1]}, "6 images, 2 labels"),
        ({"captions": ("one",)}, "1 captions"),
        ({"labels": [0, 1, 2, 3, 0, 0]}, r"0 \.\. 2, one for each.*got 0 \.\. 3"),
    ],
)
def test_what_does_not_fit_together_is_named(changes, words):
    fields = {"images": np.zeros((6, 4, 5, 3), np.uint8), "labels": [0] * 6}
    with pytest.raises(CourseError, match=words):
        ImageSet(class_names=("a", "b", "c"), **(fields | changes))


# --- loaders


@lazy_or_not
def test_batches_are_the_set_in_order(lazy):
    loader = make_loader(image_set(lazy=lazy), batch_size=4)
    images, labels = zip(*loader, strict=True)
    assert (len(loader), loader.n_samples) == (3, 10)
    assert [len(y) for y in labels] == [4, 4, 2]
    together = torch.cat(images), torch.cat(labels)
    assert_same(together, image_set().to_tensors())
    assert (together[0].dtype, together[1].dtype) == (torch.float32, torch.int64)
    dropping = make_loader(image_set(lazy=lazy), batch_size=4, drop_last=True)
    assert [len(y) for _, y in dropping] == [4, 4] == [4] * len(dropping)


@lazy_or_not
def test_each_epoch_has_an_order_of_its_own_and_every_sample_once(lazy):
    loader = make_loader(image_set(lazy=lazy), batch_size=3, shuffle=True, seed=5)
    orders = []
    for epoch in range(3):
        images, labels = map(torch.cat, zip(*loader.batches(epoch), strict=True))
        orders.append(images[:, 0, 0, 0].mul(255).round().int().tolist())
        assert labels.tolist() == [number % 3 for number in orders[-1]]
    assert len(set(map(tuple, orders))) == 3
    assert all(sorted(order) == list(range(10)) for order in orders)


@lazy_or_not
def test_iterating_twice_gives_two_epochs_and_global_generators_neither_matter_nor_change(
    lazy,
):
    options = {"batch_size": 3, "shuffle": True, "seed": 5, "transform": noisy}
    loader, twin = (make_loader(image_set(lazy=lazy), **options) for _ in range(2))
    epochs = [list(loader) for _ in range(3)]
    assert not torch.equal(epochs[0][0][0], epochs[1][0][0])
    seed_everything(99)
    drawn = torch.rand(1).item(), np.random.rand(), random.random()
    seed_everything(99)
    for number, epoch in enumerate(epochs):
        assert_same(epoch, list(twin.batches(number)))
        assert_same(epoch, list(twin))  # asking for an epoch by its number does not count
    assert drawn == (torch.rand(1).item(), np.random.rand(), random.random())


def test_an_image_has_its_own_augmentation_and_a_batch_in_memory_is_transformed_whole():
    small = make_loader(image_set(lazy=True), batch_size=1, transform=noisy)
    large = make_loader(image_set(lazy=True), batch_size=10, transform=noisy)
    assert torch.equal(torch.cat([x for x, _ in small]), next(iter(large))[0])
    flipping = make_loader(image_set(), batch_size=4, transform=lambda x: x.flip(0))
    batch, _ = next(iter(flipping))
    assert torch.equal(batch, image_set().to_tensors()[0][:4].flip(0))


def test_nobody_can_change_the_data_and_uint8_is_brightness():
    given = torch.full((4, 2), 7.0), torch.ones(4)
    for batch, labels in make_loader(given, batch_size=2):
        batch.zero_()
        labels.zero_()
    assert given[0].all()
    assert given[1].all()
    pixels = torch.full((2, 1, 2, 2), 255, dtype=torch.uint8)
    assert next(iter(make_loader((pixels, torch.arange(2)), batch_size=2)))[0].max() == 1


def test_images_of_different_sizes_name_the_sizes_and_the_remedy():
    images = [np.zeros((4, 4, 3), np.uint8), np.zeros((5, 4, 3), np.uint8)]
    data = ImageSet(images=images, labels=[0, 0], class_names=("a",))
    with pytest.raises(ShapeError, match=r"\(3, 4, 4\) to \(3, 5, 4\).*image_size="):
        list(make_loader(data, batch_size=2))
    with pytest.raises(ShapeError, match=r"\(4, 4, 3\) to \(5, 4, 3\).*image_size="):
        data.to_tensors()


def test_what_cannot_be_loaded_is_refused():
    with pytest.raises(SettingsError, match="the set's 10 images, got 11"):
        image_set().sample(11, seed=0)
    with pytest.raises(SettingsError, match="needs a seed"):
        make_loader(image_set(), batch_size=2, shuffle=True)
    with pytest.raises(ShapeError, match="got 3 and 4"):
        make_loader((torch.zeros(3, 1), torch.zeros(4)), batch_size=2)


# --- splits


def of_classes(counts):
    """A set whose class c has counts[c] images, interleaved."""
    labels = np.random.default_rng(0).permutation(np.repeat(range(len(counts)), counts))
    names = tuple(f"class{c}" for c in range(len(counts)))
    return replace(image_set(len(labels)), labels=labels, class_names=names)


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(3, 30), min_size=1, max_size=6),
    shares=st.lists(st.floats(0.05, 1.0), min_size=1, max_size=3),
    seed=st.integers(0, 5),
)
def test_parts_are_disjoint_have_every_class_and_the_size_asked_for(counts, shares, seed):
    whole, scale = of_classes(counts), max(1.0, sum(shares))
    sizes = {f"p{i}": int(sum(counts) * s / scale) for i, s in enumerate(shares)}
    if min(sizes.values()) < len(counts):
        return
    parts = split_stratified(whole, sizes, seed=seed)
    ids = np.concatenate([part.attributes["number"] for part in parts.values()])
    assert len(ids) == len(set(ids.tolist()))
    for name, part in parts.items():
        assert len(part) == sizes[name]
        assert set(part.labels.tolist()) == set(range(len(counts)))
        assert (part.labels == whole.labels[part.attributes["number"]]).all()


def test_classes_keep_their_shares_and_fractions_of_a_whole_use_every_image():
    part = split_stratified(of_classes([100, 40, 20]), {"a": 80, "b": 40}, seed=0)["a"]
    assert np.bincount(part.labels).tolist() == [50, 20, 10]
    sizes = {"a": 0.7, "b": 0.2, "c": 0.1}
    parts = split_stratified(of_classes([33, 21, 13]), sizes, seed=0)
    assert sum(map(len, parts.values())) == 67
    assert list(parts) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("counts", "sizes", "words"),
    [
        ([9, 0, 1], {"a": 4, "b": 4}, "Images are class0: 9, class1: 0, class2: 1"),
        ([9, 9, 9], {"a": 4, "b": 2}, "places are a: 4, b: 2.*larger parts"),
        ([9, 9], {"a": 0}, "larger than 0.* got a: 0"),
        ([9, 9], {"a": 3, "b": 0.5}, "all counts or all fractions.*a: 3, b: 0.5"),
        ([9, 9], {"a": 15, "b": 10}, "more than the set's 18 images"),
    ],
)
def test_impossible_splits_are_refused(counts, sizes, words):
    with pytest.raises(ValueError, match=words):
        split_stratified(of_classes(counts), sizes, seed=0)
