"""Digits, photographs, tables and downloads: right, complete, offline."""

import gzip
import hashlib
import inspect
import io
import pickle
import re
import struct
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torchvision
from PIL import Image

from coursekit import assets, datasets
from coursekit.assets import get_asset
from coursekit.datasets import load_digits, load_photos
from coursekit.datasets.stored import PHOTOS, center, load_download, load_published
from coursekit.errors import AssetError, DataError

PARTS = ("train", "test")

# --- digits


def test_the_digits_are_the_same_on_every_machine_and_centered_by_their_mass():
    images = load_digits().images
    assert images.shape == (1797, 28, 28, 1)
    assert hashlib.sha256(images.tobytes()).hexdigest() == DIGITS_SHA256
    ink, position = images[..., 0].astype(float), np.arange(28) - 13.5
    for axis in (1, 2):
        middle = ink.sum(axis=axis) @ position / ink.sum(axis=(1, 2))
        assert (np.abs(middle) <= 0.5 + 1e-9).mean() > 0.99  # a shift of whole pixels
    corner = np.zeros((1, 20, 20), np.int64)
    corner[0, 0, 0], corner[0, 19, 19] = 255, 1
    assert center(corner).sum() == 256, "never cut"


DIGITS_SHA256 = "84798003431a16801c5f243b46997771d3b004fee79b658275df33a598b5f5fc"


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


@pytest.mark.parametrize("row", range(8))
def test_efficientnets_scale_as_torchvision_builds_them(row):
    scaling = datasets.load_efficientnet_scaling().iloc[row]
    name = f"efficientnet_{scaling.variant.lower()}"
    source = inspect.getsource(getattr(torchvision.models, name))
    assert f"width_mult={scaling.width}, depth_mult={scaling.depth}" in source
    [dropout] = re.findall(r'"dropout", ([\d.]+)', source)
    assert float(dropout) == scaling.dropout
    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    assert weights.transforms().crop_size == [scaling.torchvision_resolution]
    assert (scaling.resolution != scaling.torchvision_resolution) == (
        scaling.variant == "B2"
    )


# --- downloads: tiny files in the form of the real ones, through the mirror


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def jpeg(seed, size=(64, 64)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


def make_zip(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """An empty mirror and cache, and a registry whose sums are those of the tiny files."""
    monkeypatch.setenv("COURSEKIT_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("COURSEKIT_CACHE", str(tmp_path / "cache"))
    bent = {}
    monkeypatch.setattr(assets, "get_asset", lambda name: bent.get(name, get_asset(name)))

    def put(name, contents):
        files = []
        for file in get_asset(name).files:
            content = contents[file.path.rpartition("/")[2]]
            path = tmp_path / "mirror" / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            known = {"hash": file.hash and f"md5:{md5(content)}"}
            if file.unpacked_hash:
                known["unpacked_hash"] = f"md5:{md5(gzip.decompress(content))}"
            files.append(replace(file, **known))
        bent[name] = replace(get_asset(name), files=tuple(files))

    return put


def mnist_files():
    def idx(array):
        header = struct.pack(">BBBB", 0, 0, 8, array.ndim)
        shape = struct.pack(f">{array.ndim}I", *array.shape)
        return gzip.compress(header + shape + array.tobytes())

    made, rng = {}, np.random.default_rng(0)
    for prefix, count in [("train", 30), ("t10k", 20)]:
        images = rng.integers(0, 256, (count, 28, 28), np.uint8)
        made[f"{prefix}-images-idx3-ubyte.gz"] = idx(images)
        made[f"{prefix}-labels-idx1-ubyte.gz"] = idx(
            (np.arange(count) % 10).astype(np.uint8)
        )
    return made


def test_mnist_has_the_pixels_of_its_files(mirror, tmp_path):
    files = mnist_files()
    mirror("mnist", files)
    train, test = (load_download("mnist", part) for part in PARTS)
    pixels = gzip.decompress(files["train-images-idx3-ubyte.gz"])[16:]
    assert train.images.tobytes() == pixels
    assert train.images.shape == (30, 28, 28, 1)
    assert (len(test), test.labels[:3].tolist()) == (20, [0, 1, 2])
    assert "1998" in train.card
    raw = tmp_path / "cache" / "MNIST" / "raw"
    (raw / "train-images-idx3-ubyte").write_bytes(b"hello world")
    with pytest.raises(DataError, match="MNIST needs the four unpacked files"):
        load_published("mnist", tmp_path / "cache")


def test_cifar_10_is_opened_when_it_has_the_published_sums_and_only_then(
    mirror, monkeypatch
):
    data = np.random.default_rng(0).integers(0, 256, (4, 3072), np.uint8)
    batch = pickle.dumps({"data": data, "labels": [0, 1, 1, 0]}, protocol=2)
    files = dict.fromkeys(("data_batch_1", "test_batch"), batch)
    files["batches.meta"] = pickle.dumps({"label_names": ["airplane", "bird"]}, protocol=2)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    mirror("cifar10", {"cifar-10-python.tar.gz": stream.getvalue()})
    with pytest.raises(DataError, match="CIFAR10 needs the published python files"):
        load_download("cifar10")
    theirs = torchvision.datasets.CIFAR10
    monkeypatch.setattr(theirs, "train_list", [["data_batch_1", md5(batch)]])
    monkeypatch.setattr(theirs, "test_list", [["test_batch", md5(batch)]])
    monkeypatch.setattr(theirs, "meta", {**theirs.meta, "md5": md5(files["batches.meta"])})
    for part in PARTS:
        fetched = load_download("cifar10", part)
        assert fetched.names == ["airplane", "bird", "bird", "airplane"]
        assert fetched.images[0, 0, 1].tolist() == [
            data[0, 1],
            data[0, 1025],
            data[0, 2049],
        ]
    assert "2009" in fetched.card


def test_eurosat_gets_a_fixed_stratified_split(mirror):
    members = {
        f"2750/{name}/{name}_{index}.jpg": jpeg(100 * number + index)
        for number, (name, count) in enumerate({"Forest": 10, "River": 5}.items())
        for index in range(count)
    }
    mirror("eurosat", {"EuroSAT.zip": make_zip(members)})
    train, test = (load_download("eurosat", part) for part in PARTS)
    assert train.images.shape == (12, 64, 64, 3)
    assert np.bincount(train.labels).tolist() == [8, 4]
    assert np.bincount(test.labels).tolist() == [2, 1]
    seen = [{image.tobytes() for image in part.images} for part in (train, test)]
    assert len(seen[0] | seen[1]) == 15, "no image is in both parts, none is lost"
    assert np.array_equal(load_download("eurosat", "test").images, test.images)
    assert "2019" in train.card


def test_ants_and_bees_and_the_imagenet_sample(mirror):
    members = {
        f"hymenoptera_data/{part}/{name}/{index}.jpg": jpeg(index, size=(20 + index, 30))
        for part, count in [("train", 3), ("val", 2)]
        for name in ("ants", "bees")
        for index in range(count)
    }
    members["hymenoptera_data/train/ants/imageNotFound.gif"] = b"GIF89a"
    mirror("hymenoptera", {"hymenoptera_data.zip": make_zip(members)})
    train, test = (load_download("hymenoptera", part) for part in PARTS)
    assert (len(train), len(test), train.class_names) == (6, 4, ("ants", "bees"))
    assert train.images[2].shape == (30, 22, 3)
    names = ["n02012849_crane", "n01440764_tench"]
    members = {f"images-main/{name}.JPEG": jpeg(1, size=(50, 40)) for name in names}
    mirror("imagenet-sample", {"imagenet-sample-images.zip": make_zip(members)})
    assert load_download("imagenet-sample").class_names == ("tench", "crane")


def test_files_that_are_nowhere_are_an_asset_error(mirror, monkeypatch):
    def refuse(*args, **kwargs):
        raise ConnectionError("no network")

    monkeypatch.setattr(assets, "download", refuse)
    with pytest.raises(AssetError, match="coursekit fetch eurosat"):
        load_download("eurosat")
