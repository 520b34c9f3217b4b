"""fetch_*: tiny files in the form of the real ones, through mirror, cache and torchvision."""

import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets as torchvision_datasets

from coursekit import datasets
from coursekit.assets import fetching, get_asset
from coursekit.datasets.cifar_files import find_cifar_folder
from coursekit.datasets.downloads import find_mnist_root
from coursekit.errors import AssetError, DataError, SettingsError

PARTS = ("train", "test")


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def jpeg(seed, size=(64, 64)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


def idx(array):
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim)
    return header + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def make_zip(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """An empty mirror, an empty cache, and a registry that the tests may bend."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv("COURSEKIT_MIRROR", str(folder))
    monkeypatch.setenv("COURSEKIT_CACHE", str(tmp_path / "cache"))
    bent = {}
    monkeypatch.setattr(fetching, "get_asset", lambda name: bent.get(name, get_asset(name)))

    def put(name, contents):
        files = []
        for file in get_asset(name).files:
            content = contents[file.path.rpartition("/")[2]]
            (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
            (folder / file.path).write_bytes(content)
            known = {"hash": file.hash and f"md5:{md5(content)}", "bytes": len(content)}
            if file.unpacked_hash:
                known["unpacked_hash"] = f"md5:{md5(gzip.decompress(content))}"
                known["unpacked_bytes"] = len(gzip.decompress(content))
            files.append(replace(file, **known))
        bent[name] = replace(get_asset(name), files=tuple(files))

    return put


# --- MNIST ----------------------------------------------------------------------------


def mnist_files(n_train=30, n_test=20):
    rng = np.random.default_rng(0)
    made = {}
    for prefix, count in [("train", n_train), ("t10k", n_test)]:
        images = rng.integers(0, 256, (count, 28, 28), np.uint8)
        made[f"{prefix}-images-idx3-ubyte.gz"] = gzip.compress(idx(images))
        labels = (np.arange(count) % 10).astype(np.uint8)
        made[f"{prefix}-labels-idx1-ubyte.gz"] = gzip.compress(idx(labels))
    return made


def test_mnist_has_the_pixels_of_its_files(mirror):
    files = mnist_files()
    mirror("mnist", files)
    train, test = (datasets.fetch_mnist(part) for part in PARTS)
    pixels = gzip.decompress(files["train-images-idx3-ubyte.gz"])[16:]
    assert train.images.tobytes() == pixels
    assert train.images.shape == (30, 28, 28, 1)
    assert (len(test), test.class_names) == (20, tuple("0123456789"))
    assert test.labels[:3].tolist() == [0, 1, 2]
    assert "1998" in train.card


def test_own_files_of_mnists_form_are_found_from_three_folders(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in mnist_files().items():
        (raw / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
    for start in (raw, raw.parent, tmp_path):
        assert find_mnist_root(start) == tmp_path
    assert find_mnist_root(tmp_path.parent) is None
    assert len(datasets.load_mnist_files(tmp_path, part="test")) == 20


@pytest.mark.parametrize("harm", ["missing", "short", "no idx"])
def test_damaged_files_of_mnists_form_are_a_data_error(tmp_path, harm):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in mnist_files().items():
        (raw / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
    victim = raw / "train-images-idx3-ubyte"
    if harm == "missing":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[:100] if harm == "short" else b"hello world")
    with pytest.raises(DataError, match="four unpacked files of MNIST"):
        datasets.load_mnist_files(tmp_path)


# --- CIFAR-10 -------------------------------------------------------------------------

NAMES = ["airplane", "automobile", "bird"]


def cifar_batch(n_images, seed, protocol=2):
    data = np.random.default_rng(seed).integers(0, 256, (n_images, 3072), np.uint8)
    labels = [index % len(NAMES) for index in range(n_images)]
    return data, pickle.dumps({"data": data, "labels": labels}, protocol=protocol)


def cifar_files(protocol=2):
    files = {
        f"data_batch_{index}": cifar_batch(4, index, protocol)[1] for index in range(1, 6)
    }
    files["test_batch"] = cifar_batch(3, 9, protocol)[1]
    files["batches.meta"] = pickle.dumps({"label_names": NAMES}, protocol=protocol)
    return files


@pytest.fixture
def cifar_folder(tmp_path):
    folder = tmp_path / "mine" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name, content in cifar_files().items():
        (folder / name).write_bytes(content)
    return folder


def test_cifar_10_goes_through_torchvision_and_equals_the_safe_reader(
    mirror, monkeypatch, cifar_folder
):
    files, stream = cifar_files(), io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    mirror("cifar10", {"cifar-10-python.tar.gz": stream.getvalue()})
    theirs = torchvision_datasets.CIFAR10
    batches = [[name, md5(files[name])] for name in sorted(files) if "data" in name]
    monkeypatch.setattr(theirs, "train_list", batches)
    monkeypatch.setattr(theirs, "test_list", [["test_batch", md5(files["test_batch"])]])
    monkeypatch.setattr(theirs, "meta", {**theirs.meta, "md5": md5(files["batches.meta"])})
    for part in PARTS:
        fetched = datasets.fetch_cifar10(part)
        own = datasets.load_cifar_files(cifar_folder, part=part)
        assert np.array_equal(fetched.images, own.images)
        assert np.array_equal(fetched.labels, own.labels)
        assert fetched.class_names == own.class_names == tuple(NAMES)
    assert "2009" in fetched.card


def test_cifar_10_with_other_sums_than_torchvisions_is_refused(mirror):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("cifar-10-batches-py/data_batch_1"))
    mirror("cifar10", {"cifar-10-python.tar.gz": stream.getvalue()})
    with pytest.raises(DataError, match="torchvision refuses the files"):
        datasets.fetch_cifar10()


def test_rows_of_cifar_are_red_green_blue_planes(cifar_folder):
    data, _ = cifar_batch(4, seed=1)
    images = datasets.load_cifar_files(cifar_folder).images
    assert images.shape == (20, 32, 32, 3)
    assert images[0, 0, 1].tolist() == [data[0, 1], data[0, 1025], data[0, 2049]]


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_of_pickle_can_be_read(cifar_folder, protocol):
    for name, content in cifar_files(protocol).items():
        (cifar_folder / name).write_bytes(content)
    assert len(datasets.load_cifar_files(cifar_folder)) == 20


def test_the_folder_above_will_do(cifar_folder):
    assert find_cifar_folder(cifar_folder.parent) == cifar_folder
    assert len(datasets.load_cifar_files(cifar_folder.parent, part="test")) == 3


class Bomb:
    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    "bomb",
    [
        Bomb(os.system, "exit 1"),
        Bomb(eval, "1 + 1"),
        Bomb(getattr, "text", "upper"),
        Bomb(np.load, "/etc/passwd"),
        Bomb(np.memmap, "/etc/passwd"),
        Bomb(__import__, "os"),
    ],
    ids=lambda bomb: bomb.reduced[0].__name__,
)
def test_a_pickle_that_calls_anything_is_refused_before_it_does(cifar_folder, bomb):
    content = pickle.dumps({"data": bomb, "labels": []})
    (cifar_folder / "data_batch_3").write_bytes(content)
    with pytest.raises(DataError, match=r"data_batch_3.*it asks for .* no need of"):
        datasets.load_cifar_files(cifar_folder)


def test_a_malicious_pickle_has_no_effect(cifar_folder, tmp_path):
    mark = tmp_path / "broken_into"
    content = pickle.dumps(Bomb(os.mkdir, str(mark)))
    (cifar_folder / "batches.meta").write_bytes(content)
    with pytest.raises(DataError, match=r"batches\.meta"):
        datasets.load_cifar_files(cifar_folder)
    assert not mark.exists()
    pickle.loads(content)  # noqa: S301 - the test can fail: this one does it
    assert mark.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read"),
        (b"no pickle", "cannot be read"),
        (pickle.dumps([1, 2]), "must hold a dictionary, got list"),
        (pickle.dumps({"labels": [0]}), "'data', uint8 of shape"),
        (pickle.dumps({"data": np.zeros((1, 3072)), "labels": [0]}), "uint8 of shape"),
        (pickle.dumps({"data": np.zeros((1, 12), np.uint8), "labels": [0]}), "3072"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [0]}), "1 for 2"),
        (pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": ["x"]}), "number"),
        (
            pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [7]}),
            "Labels must",
        ),
    ],
)
def test_files_that_hold_something_else_are_refused(cifar_folder, content, words):
    (cifar_folder / "data_batch_2").write_bytes(content)
    with pytest.raises(DataError, match=words):
        datasets.load_cifar_files(cifar_folder)


def test_missing_files_of_cifar_are_named(cifar_folder):
    (cifar_folder / "test_batch").unlink()
    with pytest.raises(DataError, match=r"test_batch\* or batches\.meta is not there"):
        datasets.load_cifar_files(cifar_folder, part="test")


# --- EuroSAT, ants and bees, ImageNet -------------------------------------------------


def test_eurosat_gets_a_fixed_stratified_split(mirror):
    counts = {"Forest": 10, "River": 5, "SeaLake": 15}
    members = {
        f"2750/{name}/{name}_{index}.jpg": jpeg(100 * number + index)
        for number, (name, count) in enumerate(counts.items())
        for index in range(count)
    }
    mirror("eurosat", {"EuroSAT.zip": make_zip(members)})
    train, test = (datasets.fetch_eurosat(part) for part in PARTS)
    assert train.images.shape == (24, 64, 64, 3)
    assert np.bincount(train.labels).tolist() == [8, 4, 12]
    assert np.bincount(test.labels).tolist() == [2, 1, 3]
    again = datasets.fetch_eurosat("test")
    assert np.array_equal(test.images, again.images)
    seen = [{image.tobytes() for image in part.images} for part in (train, test)]
    assert len(seen[0] | seen[1]) == 30, "no image is in both parts, none is lost"
    assert train.class_names == ("Forest", "River", "SeaLake")
    assert "2019" in train.card


def test_eurosat_with_an_image_of_another_size_is_refused(mirror):
    members = {
        f"2750/Forest/{index}.jpg": jpeg(index, size=(32, 64)) for index in range(10)
    }
    mirror("eurosat", {"EuroSAT.zip": make_zip(members)})
    with pytest.raises(DataError, match=r"must be 64 x 64 x 3, but image 0 is 64 x 32 x 3"):
        datasets.fetch_eurosat()


def test_ants_and_bees_leave_out_the_tutorials_broken_link_picture(mirror):
    members = {
        f"hymenoptera_data/{part}/{name}/{index}.jpg": jpeg(index, size=(20 + index, 30))
        for part, count in [("train", 3), ("val", 2)]
        for name in ("ants", "bees")
        for index in range(count)
    }
    members["hymenoptera_data/train/ants/imageNotFound.gif"] = b"GIF89a"
    mirror("hymenoptera", {"hymenoptera_data.zip": make_zip(members)})
    train, test = (datasets.fetch_hymenoptera(part) for part in PARTS)
    assert (len(train), len(test)) == (6, 4)
    assert train.is_lazy
    assert train.class_names == ("ants", "bees")
    assert train.images[2].shape == (30, 22, 3)
    assert "2017" in train.card


def test_the_imagenet_sample_is_in_the_order_of_the_class_index(mirror):
    names = ["n02012849_crane", "n01440764_tench", "n03126707_crane"]
    members = {f"images-main/{name}.JPEG": jpeg(1, size=(50, 40)) for name in names}
    members["images-main/README.md"] = b"# Images"
    content = make_zip(members)
    mirror("imagenet-sample", {"imagenet-sample-images.zip": content})
    sample = datasets.fetch_imagenet_sample()
    assert sample.class_names == ("tench", "crane (n02012849)", "crane (n03126707)")
    assert sample.labels.tolist() == [0, 1, 2]
    assert "2015" in sample.card


@pytest.mark.parametrize(
    "fetch",
    [
        datasets.fetch_mnist,
        datasets.fetch_cifar10,
        datasets.fetch_eurosat,
        datasets.fetch_hymenoptera,
    ],
    ids=lambda fetch: fetch.__name__,
)
def test_a_part_that_does_not_exist_is_refused_before_anything_is_fetched(fetch):
    with pytest.raises(SettingsError, match="part must be 'train' or 'test', got 'val'"):
        fetch("val")


def test_files_that_are_nowhere_are_an_asset_error(mirror, monkeypatch):
    def refuse(*args, **kwargs):
        raise ConnectionError("no network")

    monkeypatch.setattr(fetching, "download", refuse)
    with pytest.raises(AssetError, match="coursekit fetch eurosat"):
        datasets.fetch_eurosat()
