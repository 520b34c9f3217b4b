"""Real data through the real profile, without a network.

The folder is named by COURSEKIT_REAL.
Nothing of it is copied into the repository.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import MNIST

from coursekit import assets, course
from coursekit.cli.doctor import role_states
from coursekit.course.roles import ROLES
from coursekit.datasets import load_folder
from coursekit.errors import AssetError

REPOSITORY = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("COURSEKIT_REAL", "no-real-data"))

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not (REAL / "MANIFEST.json").is_file(),
        reason=f"no real data in {REAL}: set COURSEKIT_REAL to a folder that has them",
    ),
]


@pytest.fixture(autouse=True)
def real_profile(monkeypatch, tmp_path):
    """The real profile with an empty cache, the folder as its mirror, and no own files."""
    for role in ROLES:
        monkeypatch.setenv(assets.role_variable(role), "")
    monkeypatch.setenv("COURSEKIT_PROFILE", "real")
    monkeypatch.setenv("COURSEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COURSEKIT_MIRROR", str(REAL))


@pytest.fixture(scope="module")
def sums():
    """Relative path of each file to its sha256, as the folder's manifest has it."""
    sets = json.loads((REAL / "MANIFEST.json").read_text(encoding="utf-8"))
    return {file["path"]: file["sha256"] for one in sets for file in one["files"]}


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


# --- MNIST through the mirror ---------------------------------------------------------


def test_mnist_comes_byte_exact_through_the_mirror_into_a_fresh_cache(tmp_path, sums):
    root = assets.fetch("mnist").parent
    assert root == tmp_path / "cache"
    names = [file.unpacks_to for file in assets.get_asset("mnist").files]
    assert len(names) == 4
    for name in names:
        assert sha256(root / name) == sums[name]
        assert (root / name).read_bytes() == (REAL / name).read_bytes()


def test_a_changed_byte_in_the_mirror_is_not_taken(tmp_path, monkeypatch):
    name = "MNIST/raw/t10k-labels-idx1-ubyte"
    for file in assets.get_asset("mnist").files:
        target = tmp_path / "mirror" / file.unpacks_to
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((REAL / file.unpacks_to).read_bytes())
    content = bytearray((tmp_path / "mirror" / name).read_bytes())
    content[5000] ^= 1
    (tmp_path / "mirror" / name).write_bytes(content)
    monkeypatch.setenv("COURSEKIT_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setattr(
        "coursekit.assets.download",
        lambda *a, **k: (_ for _ in ()).throw(OSError()),
    )
    with pytest.raises(AssetError, match=r"t10k-labels.*its sha256 is"):
        course.dataset("digits")


@pytest.mark.parametrize(("part", "n_images"), [("train", 60_000), ("test", 10_000)])
def test_digits_are_what_torchvision_reads(part, n_images):
    digits = course.dataset("digits", part=part)
    theirs = MNIST(REAL, train=part == "train", download=False)
    assert digits.images.shape == (n_images, 28, 28, 1)
    assert np.array_equal(digits.images[..., 0], theirs.data.numpy())
    assert np.array_equal(digits.labels, theirs.targets.numpy())


def test_one_line_of_a_lesson_works_in_a_process_of_its_own():
    code = "from coursekit import course; print(course.dataset('digits'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "ImageSet(60000 images of 28 x 28 x 1, 10 classes)"


# --- own files in their roles ---------------------------------------------------------


def test_the_part_of_cifar_10_fills_objects():
    course.use_own_files("objects", REAL / "cifar10_subset")
    train, test = (course.dataset("objects", part=part) for part in ("train", "test"))
    assert train.images.shape == (7_728, 32, 32, 3)
    assert test.images.shape == (1_000, 32, 32, 3)
    assert train.class_names[:2] == ("airplane", "automobile")
    assert train.labels[:3].tolist() == [6, 9, 9], "CIFAR-10 starts with a frog, two trucks"
    assert np.bincount(test.labels).min() > 80


def test_ants_and_bees_fill_insects():
    course.use_own_files("insects", REAL / "hymenoptera_data")
    train, test = (course.dataset("insects", part=part) for part in ("train", "test"))
    assert (len(train), len(test)) == (244, 153)
    assert train.class_names == ("ants", "bees")
    assert np.bincount(train.labels).tolist() == [123, 121]
    assert all(image.ndim == 3 and image.shape[2] == 3 for image in test.images)
    assert load_folder(REAL / "hymenoptera_data", part="val", image_size=64).images.any()


def test_the_imagenet_sample_fills_photos_in_the_order_of_the_class_index():
    course.use_own_files("photos", REAL / "imagenet_sample_1000")
    photos = course.dataset("photos")
    index = json.loads((REAL / "imagenet_class_index.json").read_text(encoding="utf-8"))
    assert photos.labels.tolist() == list(range(1000))
    for label, name in enumerate(photos.class_names):
        wnid, word = index[str(label)]
        assert photos.attributes["file"][label] == f"{wnid}_{word}.JPEG"
        assert name in {word, f"{word} ({wnid})"}
    assert len(set(photos.class_names)) == 1000
    assert "crane (n02012849)" in photos.class_names
    assert min(min(photos.images[i].shape[:2]) for i in range(0, 1000, 50)) >= 200


def test_photographs_fill_photos():
    course.use_own_files("photos", REAL / "photos")
    photos = course.dataset("photos")
    assert {"dog", "owl", "parrot", "sunflower", "hot_dog"} <= set(photos.class_names)
    assert all(image.shape[2] == 3 for image in photos.images)
    assert "LICENSE" in photos.card


def test_doctor_is_told_what_stands_in_every_role(monkeypatch):
    course.use_own_files("objects", REAL / "cifar10_subset")
    course.use_own_files("insects", REAL / "hymenoptera_data")
    states = {s.role: s.state for s in role_states() if s.profile != "embedded"}
    assert states == {
        "digits": "ready",
        "objects": "yours",
        "land-cover": "missing",
        "insects": "yours",
        "photos": "missing",
        "backbone": "missing",
        "timm-backbone": "missing",
        "clip": "missing",
    }


def test_nothing_of_the_folder_lies_in_the_repository(sums):
    listed = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    files = [REPOSITORY / name for name in listed.stdout.splitlines()]
    known = set(sums.values())
    copied = [path.name for path in files if path.is_file() and sha256(path) in known]
    assert copied == []
