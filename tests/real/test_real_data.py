"""Real data through the real profile, without a network."""

import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import MNIST

from coursekit import assets, course
from coursekit.cli.doctor import examine_roles
from coursekit.course.roles import MODEL_ROLES, ROLES
from coursekit.datasets import load_folder
from coursekit.errors import AssetError

pytestmark = pytest.mark.real

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def real_profile(real, monkeypatch, tmp_path):
    """The real profile with an empty cache, the folder as its mirror, and no own files."""
    for role in ROLES:
        monkeypatch.setenv(assets.role_variable(role), "")
    monkeypatch.setenv("COURSEKIT_PROFILE", "real")
    monkeypatch.setenv("COURSEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COURSEKIT_MIRROR", str(real))


@pytest.fixture(scope="module")
def sums(real):
    """Relative path of each file to its sha256, as the folder's manifest has it."""
    sets = json.loads((real / "MANIFEST.json").read_text(encoding="utf-8"))
    return {file["path"]: file["sha256"] for one in sets for file in one["files"]}


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


# --- MNIST through the mirror ---------------------------------------------------------


def test_mnist_comes_byte_exact_through_the_mirror_into_a_fresh_cache(tmp_path, sums):
    root = assets.fetch("mnist").parent
    assert root == tmp_path / "cache"
    names = [file.unpacks_to for file in assets.read_registry()["mnist"].files]
    assert len(names) == 4
    assert all(sha256(root / name) == sums[name] for name in names)


def test_a_changed_byte_in_the_mirror_is_not_taken(real, tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError

    name = "MNIST/raw/t10k-labels-idx1-ubyte"
    content = bytearray((real / name).read_bytes())
    content[5000] ^= 1
    target = tmp_path / "mirror" / name
    target.parent.mkdir(parents=True)
    target.write_bytes(content)
    monkeypatch.setenv("COURSEKIT_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setattr("pooch.HTTPDownloader", refuse)
    for file in assets.read_registry()["mnist"].files:
        if file.unpacks_to != name:
            (tmp_path / "mirror" / file.unpacks_to).symlink_to(real / file.unpacks_to)
    with pytest.raises(AssetError, match=r"t10k-labels.*its sha256 is"):
        course.dataset("digits")


@pytest.mark.parametrize(("part", "n_images"), [("train", 60_000), ("test", 10_000)])
def test_digits_are_what_torchvision_reads(real, part, n_images):
    digits = course.dataset("digits", part=part)
    theirs = MNIST(real, train=part == "train", download=False)
    assert digits.images.shape == (n_images, 28, 28, 1)
    assert np.array_equal(digits.images[..., 0], theirs.data.numpy())
    assert np.array_equal(digits.labels, theirs.targets.numpy())


# --- own files in their roles ---------------------------------------------------------


def test_the_part_of_cifar_10_fills_objects(real):
    course.use_own_files("objects", real / "cifar10_subset")
    train, test = (course.dataset("objects", part=part) for part in ("train", "test"))
    assert train.images.shape == (7_728, 32, 32, 3)
    assert test.images.shape == (1_000, 32, 32, 3)
    assert train.class_names[:2] == ("airplane", "automobile")
    assert train.labels[:3].tolist() == [6, 9, 9], "CIFAR-10 starts with a frog, two trucks"
    assert np.bincount(test.labels).min() > 80


def test_ants_and_bees_fill_insects(real):
    course.use_own_files("insects", real / "hymenoptera_data")
    train, test = (course.dataset("insects", part=part) for part in ("train", "test"))
    assert (len(train), len(test)) == (244, 153)
    assert train.class_names == ("ants", "bees")
    assert np.bincount(train.labels).tolist() == [123, 121]
    assert all(image.ndim == 3 and image.shape[2] == 3 for image in test.images)
    assert load_folder(real / "hymenoptera_data", part="val", image_size=64).images.any()


def test_the_imagenet_sample_fills_photos_in_the_order_of_the_class_index(real):
    course.use_own_files("photos", real / "imagenet_sample_1000")
    photos = course.dataset("photos")
    index = json.loads((real / "imagenet_class_index.json").read_text(encoding="utf-8"))
    assert photos.labels.tolist() == list(range(1000))
    for label, name in enumerate(photos.class_names):
        wnid, word = index[str(label)]
        assert photos.attributes["file"][label] == f"{wnid}_{word}.JPEG"
        assert name in {word, f"{word} ({wnid})"}
    assert len(set(photos.class_names)) == 1000
    assert "crane (n02012849)" in photos.class_names
    assert min(min(photos.images[i].shape[:2]) for i in range(0, 1000, 50)) >= 200


def test_photographs_fill_photos(real):
    course.use_own_files("photos", real / "photos")
    photos = course.dataset("photos")
    assert {"dog", "owl", "parrot", "sunflower", "hot_dog"} <= set(photos.class_names)
    assert all(image.shape[2] == 3 for image in photos.images)
    assert "LICENSE" in photos.card


def test_doctor_is_told_what_stands_in_every_role(real):
    course.use_own_files("objects", real / "cifar10_subset")
    course.use_own_files("insects", real / "hymenoptera_data")
    said = {found.name: found.said.partition(":")[0] for found in examine_roles()}
    missing = ("land-cover", "photos", *MODEL_ROLES)
    states = {name: state for name, state in said.items() if "embedded" not in name}
    assert states == dict.fromkeys((f"{role}, real" for role in missing), "missing") | {
        "objects": "yours",
        "insects": "yours",
        "digits, real": "ready",
    }


def test_nothing_of_the_folder_lies_in_the_repository(sums):
    listed = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    files = [REPOSITORY / name for name in listed.stdout.splitlines()]
    known = set(sums.values())
    copied = [path.name for path in files if path.is_file() and sha256(path) in known]
    assert copied == []
