"""Digits, photographs, tables and downloads: right, complete, offline."""

import hashlib
import inspect
import pickle
import re
import shutil
import struct

import numpy as np
import pytest
import torchvision
from PIL import Image

from coursekit import datasets
from coursekit.datasets import load_digits, load_photos, stored
from coursekit.datasets.stored import PHOTOS, center, load_download, load_published
from coursekit.errors import DataError

PARTS = ("train", "test")

# --- digits


def test_the_digits_are_the_same_on_every_machine_and_centered_by_their_mass():
    images = load_digits().images
    assert images.shape == (1797, 28, 28, 1)
    stays = "84798003431a16801c5f243b46997771d3b004fee79b658275df33a598b5f5fc"
    assert hashlib.sha256(images.tobytes()).hexdigest() == stays
    ink, position = images[..., 0].astype(float), np.arange(28) - 13.5
    for axis in (1, 2):
        middle = ink.sum(axis=axis) @ position / ink.sum(axis=(1, 2))
        assert (np.abs(middle) <= 0.5 + 1e-9).mean() > 0.99  # a shift of whole pixels
    corner = np.zeros((1, 20, 20), np.int64)
    corner[0, 0, 0], corner[0, 19, 19] = 255, 1
    assert center(corner).sum() == 256, "never cut"


def test_parts_of_the_digits_are_stratified_disjoint_and_together_all():
    whole, train, test = load_digits(), load_digits("train"), load_digits("test")
    assert np.bincount(test.labels).tolist() == [50] * 10
    rows = sorted(image.tobytes() for part in (train, test) for image in part.images)
    assert rows == sorted(image.tobytes() for image in whole.images)
    assert "CC BY 4.0" in whole.card


# --- photographs


def test_photos_are_read_when_asked_for_and_agree_with_scikit_image():
    from skimage import data

    photos = load_photos()
    assert photos.is_lazy
    assert photos.class_names == tuple(PHOTOS)
    by_name = dict(zip(photos.class_names, photos.images, strict=True))
    assert np.array_equal(by_name["cat"], data.chelsea())
    assert np.array_equal(by_name["camera"][..., 0], data.camera())
    assert photos.subset([3, 0]).images[0].shape == (300, 451, 3)
    for name, photo in by_name.items():
        assert (photo == photo[..., :1]).all() == ("gray" in PHOTOS[name][1])
        assert name in photos.card


# --- shipped tables, against the libraries that know the same


def test_the_challenge_has_its_winners_first_with_the_errors_of_the_papers():
    winners = datasets.load_ilsvrc_winners()
    assert sorted(set(winners.year)) == list(range(2010, 2018))
    assert winners.groupby("year").top5_error.apply(lambda e: e.iloc[0] == e.min()).all()
    assert winners.drop_duplicates("year").top5_error.is_monotonic_decreasing
    for entry, errors in (("AlexNet", [15.3, 16.4]), ("ResNet", [3.57]), ("SENet", [2.25])):
        assert winners[winners.entry == entry].top5_error.tolist() == errors


def test_classes_and_the_chain_to_convnext_are_as_torchvision_says():
    models = torchvision.models
    categories = models.ResNet50_Weights.DEFAULT.meta["categories"]
    assert datasets.load_imagenet_classes() == tuple(categories)
    assert len(set(categories)) == 1000
    steps = datasets.load_convnext_ablation().set_index("step")
    assert (len(steps), steps.deviation.isna().sum()) == (18, 2)
    assert steps.accuracy["separate d.s. conv (ConvNeXt-T)"] == 81.97
    ends = {
        "ResNet-50 (PyTorch)": models.ResNet50_Weights.IMAGENET1K_V1,
        "separate d.s. conv (ConvNeXt-T)": models.ConvNeXt_Tiny_Weights.DEFAULT,
        "Swin-T": models.Swin_T_Weights.DEFAULT,
    }
    for step, weights in ends.items():
        cost = steps.giga_multiply_adds[step]
        assert cost == pytest.approx(weights.meta["_ops"], abs=0.04)


def test_efficientnets_scale_as_torchvision_builds_them():
    for scaling in datasets.load_efficientnet_scaling().itertuples():
        name = f"efficientnet_{scaling.variant.lower()}"
        source = inspect.getsource(getattr(torchvision.models, name))
        assert f"width_mult={scaling.width}, depth_mult={scaling.depth}" in source
        assert re.findall(r'"dropout", ([\d.]+)', source) == [str(scaling.dropout)]
        weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
        assert weights.transforms().crop_size == [scaling.torchvision_resolution]
        is_other = scaling.resolution != scaling.torchvision_resolution
        assert is_other == (scaling.variant == "B2")


# --- downloads: tiny files in the form of the real ones


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def fetched(monkeypatch, tmp_path):
    """A folder that all assets lie in, with a function that fills it."""

    def save(files):
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                (tmp_path / name).write_bytes(content)
            else:
                Image.fromarray(content).save(tmp_path / name, "JPEG")
        return tmp_path

    places = {"mnist": tmp_path / "MNIST"}
    monkeypatch.setattr(stored, "fetch", lambda name: places.get(name, tmp_path))
    return save


def noise(seed, height=64, width=64):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def idx(array):
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim)
    return header + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def test_mnist_has_the_pixels_of_its_files(fetched):
    images, labels = noise(0, 30, 28 * 28)[..., 0].reshape(30, 28, 28), np.arange(30) % 10
    for prefix, n in [("train", 30), ("t10k", 20)]:
        files = {"images-idx3": images[:n], "labels-idx1": labels[:n].astype(np.uint8)}
        raw = {f"MNIST/raw/{prefix}-{name}-ubyte": idx(a) for name, a in files.items()}
        root = fetched(raw)
    train, test = (load_download("mnist", part) for part in PARTS)
    assert np.array_equal(train.images[..., 0], images)
    assert (len(test), test.labels[:3].tolist()) == (20, [0, 1, 2])
    assert "1998" in train.card
    fetched({"MNIST/raw/train-images-idx3-ubyte": b"hello world"})
    with pytest.raises(DataError, match="MNIST needs the four unpacked files"):
        load_published("mnist", root)


def test_cifar_10_is_opened_when_it_has_the_published_sums_and_only_then(
    fetched, monkeypatch
):
    data = np.random.default_rng(0).integers(0, 256, (4, 3072), np.uint8)
    batch = pickle.dumps({"data": data, "labels": [0, 1, 1, 0]}, protocol=2)
    meta = pickle.dumps({"label_names": ["airplane", "bird"]}, protocol=2)
    files = {"data_batch_1": batch, "test_batch": batch, "batches.meta": meta}
    fetched({f"cifar-10-batches-py/{name}": content for name, content in files.items()})
    with pytest.raises(DataError, match="CIFAR10 needs the published python files"):
        load_download("cifar10")
    theirs = torchvision.datasets.CIFAR10
    monkeypatch.setattr(theirs, "train_list", [["data_batch_1", md5(batch)]])
    monkeypatch.setattr(theirs, "test_list", [["test_batch", md5(batch)]])
    monkeypatch.setattr(theirs, "meta", {**theirs.meta, "md5": md5(meta)})
    for part in PARTS:
        loaded = load_download("cifar10", part)
        assert loaded.names == ["airplane", "bird", "bird", "airplane"]
        assert loaded.images[0, 0, 1].tolist() == data[0, [1, 1025, 2049]].tolist()
    assert "2009" in loaded.card


def test_eurosat_gets_a_fixed_stratified_split(fetched):
    paths = [f"2750/Forest/{i}.jpg" for i in range(10)]
    paths += [f"2750/River/{i}.jpg" for i in range(5)]
    fetched({path: noise(seed) for seed, path in enumerate(paths)})
    train, test = (load_download("eurosat", part) for part in PARTS)
    assert train.images.shape == (12, 64, 64, 3)
    assert np.bincount(train.labels).tolist() == [8, 4]
    assert np.bincount(test.labels).tolist() == [2, 1]
    seen = [{image.tobytes() for image in part.images} for part in (train, test)]
    assert len(seen[0] | seen[1]) == 15, "no image is in both parts, none is lost"
    assert np.array_equal(load_download("eurosat", "test").images, test.images)
    assert "2019" in train.card


def test_ants_and_bees_and_the_imagenet_sample(fetched):
    paths = ["train/ants/1", "train/bees/1", "train/bees/2", "val/ants/1", "val/bees/1"]
    root = fetched({f"hymenoptera_data/{p}.jpg": noise(1, 30, 22) for p in paths})
    train, test = (load_download("hymenoptera", part) for part in PARTS)
    assert (len(train), len(test), train.class_names) == (3, 2, ("ants", "bees"))
    shutil.rmtree(root / "hymenoptera_data")
    names = ["n02012849_crane", "n01440764_tench"]
    fetched({f"images-main/{name}.JPEG": noise(1, 40, 50) for name in names})
    assert load_download("imagenet-sample").class_names == ("tench", "crane")
