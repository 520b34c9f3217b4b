"""ImageSet keeps images, labels and all that is known about them together."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coursekit.datasets import ImageSet
from coursekit.errors import DataError, SettingsError, ShapeError


def numbered(n_images=6, *, lazy=False):
    """Image i is filled with i, has label i % 3, caption "image i" and attribute i."""
    images = np.zeros((n_images, 4, 5, 3), np.uint8) + np.arange(
        n_images, dtype=np.uint8
    ).reshape(-1, 1, 1, 1)
    return ImageSet(
        images=list(images) if lazy else images,
        labels=np.arange(n_images) % 3,
        class_names=("a", "b", "c"),
        captions=tuple(f"image {i}" for i in range(n_images)),
        attributes={"number": np.arange(n_images)},
        card="numbered",
    )


@pytest.mark.parametrize("lazy", [False, True])
@given(indices=st.lists(st.integers(0, 5)))
def test_a_subset_keeps_everything_that_belongs_together(lazy, indices):
    part = numbered(lazy=lazy).subset(indices)
    assert len(part) == len(indices)
    assert [int(image[0, 0, 0]) for image in part.images] == indices
    assert part.labels.tolist() == [i % 3 for i in indices]
    assert list(part.captions or ()) == [f"image {i}" for i in indices]
    assert part.attributes["number"].tolist() == indices
    assert (part.class_names, part.card) == (("a", "b", "c"), "numbered")


@given(st.lists(st.integers(0, 5), min_size=1), st.data())
def test_a_subset_of_a_lazy_subset_reads_the_right_images(indices, data):
    again = data.draw(st.lists(st.integers(0, len(indices) - 1)))
    part = numbered(lazy=True).subset(indices).subset(again)
    assert [int(image[0, 0, 0]) for image in part.images] == [indices[i] for i in again]


def test_a_slice_of_lazy_images_is_read_when_asked_for():
    reads = []

    class Watched(list):
        def __getitem__(self, index):
            reads.append(index)
            return super().__getitem__(index)

    images = Watched(numbered(lazy=True).images)
    whole = ImageSet(images=images, labels=np.zeros(6), class_names=("a",))
    few = whole.subset(range(6)).images[2:4]
    assert reads == []
    assert [int(image[0, 0, 0]) for image in few] == [2, 3]
    assert reads == [2, 3]


def test_the_same_seed_samples_the_same_images():
    whole = numbered()
    first, again, other = (whole.sample(4, seed=seed) for seed in (0, 0, 1))
    assert first.captions == again.captions != other.captions
    assert len(set(first.captions)) == 4


def test_tensors_have_channels_first_and_brightness_from_0_to_1():
    images, labels = numbered().to_tensors()
    assert images.shape == (6, 3, 4, 5)
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert torch.allclose(images[3], torch.tensor(3 / 255))


def test_tensors_do_not_share_memory_with_the_set():
    whole = numbered()
    images, labels = whole.to_tensors()
    images.fill_(1)
    labels.fill_(0)
    assert whole.images[3, 0, 0, 0] == 3
    assert whole.labels[1] == 1


def test_images_of_different_sizes_are_no_tensor():
    images = [np.zeros((4, 4, 3), np.uint8), np.zeros((8, 6, 3), np.uint8)]
    mixed = ImageSet(images=images, labels=[0, 0], class_names=("a",))
    assert repr(mixed) == "ImageSet(2 images of different sizes, 1 class)"
    with pytest.raises(ShapeError, match=r"2 sizes from \(4, 4, 3\).*image_size="):
        mixed.to_tensors()


def test_the_record_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        numbered().labels = np.zeros(6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": np.zeros((6, 4, 5), np.uint8)}, r"images\[\.\.\., None\]"),
        ({"images": np.zeros((6, 4, 5, 3), np.float32)}, "uint8.*got float32"),
        ({"labels": [0, 1]}, "6 images, 2 labels"),
        ({"labels": [[0]] * 6}, "one label"),
        ({"captions": ("one",)}, "1 captions"),
        ({"attributes": {"color": np.zeros(3)}}, "3 attribute 'color'"),
    ],
)
def test_what_does_not_fit_together_is_named(changes, words):
    fields = {
        "images": np.zeros((6, 4, 5, 3), np.uint8),
        "labels": [0] * 6,
        "class_names": ("a",),
    }
    with pytest.raises(ShapeError, match=words):
        ImageSet(**(fields | changes))


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_without_a_name_is_refused(label):
    images = np.zeros((1, 4, 4, 3), np.uint8)
    with pytest.raises(DataError, match=rf"0 \.\. 2, one for each.*got {label}"):
        ImageSet(images=images, labels=[label], class_names=("a", "b", "c"))


@pytest.mark.parametrize("index", [-1, 6])
def test_an_index_out_of_range_is_refused(index):
    with pytest.raises(SettingsError, match=rf"0 \.\. 5, got {index}"):
        numbered().subset([index])


@pytest.mark.parametrize("n_images", [0, 7])
def test_more_images_than_there_are_cannot_be_sampled(n_images):
    with pytest.raises(SettingsError, match=f"the set's 6 images, got {n_images}"):
        numbered().sample(n_images, seed=0)
