"""The registry: complete, honest about its hashes, and the same as torchvision's."""

import re
from pathlib import PurePosixPath

import pytest
from torchvision import datasets

from coursekit.assets import asset_names, get_asset
from coursekit.course import MODEL_ROLES, ROLES

FILES = [(name, file) for name in asset_names() for file in get_asset(name).files]


@pytest.mark.parametrize("name", asset_names())
def test_every_asset_has_a_card_with_license_and_year(name):
    asset = get_asset(name)
    assert re.search(r"\b(19|20)\d\d\b", asset.citation)
    assert asset.license in asset.card
    assert asset.source in asset.card
    assert asset.role in (*ROLES, *MODEL_ROLES)
    assert asset.files[0].final_path.startswith(asset.result)


@pytest.mark.parametrize(
    ("name", "file"), FILES, ids=lambda value: getattr(value, "path", "")
)
def test_every_file_has_an_address_and_a_well_formed_hash_or_says_it_has_none(name, file):
    assert all(re.match(r"https?://[\w.~/-]+$", address) for address in file.addresses)
    assert re.fullmatch(
        r"(sha256:[0-9a-f]{64}|sha256-prefix:[0-9a-f]{8}|md5:[0-9a-f]{32}|)", file.hash
    )
    assert file.hash_source, "say where the hash comes from, or 'none published'"
    assert (file.hash == "") == (file.hash_source == "none published")
    if not file.hash:
        assert not file.verified
        assert file.makes_folder, "only an archive can be tested without a hash"
    for path in (file.path, file.final_path):
        assert not PurePosixPath(path).is_absolute()
        assert ".." not in PurePosixPath(path).parts


def test_mnist_is_verified_and_its_sums_are_torchvisions():
    asset = get_asset("mnist")
    assert asset.verified
    sums = {file.path.rpartition("/")[2]: file.hash for file in asset.files}
    assert sums == {name: f"md5:{md5}" for name, md5 in datasets.MNIST.resources}


def test_cifar_10_has_torchvisions_address_and_sum():
    (file,) = get_asset("cifar10").files
    assert file.addresses[0] == datasets.CIFAR10.url
    assert file.hash == f"md5:{datasets.CIFAR10.tgz_md5}"
    assert not get_asset("cifar10").verified


def test_eurosat_has_torchvisions_address_and_sum(monkeypatch, tmp_path):
    asked = {}

    def record(url, download_root, md5):
        asked.update(url=url, md5=md5)
        (tmp_path / "eurosat" / "2750" / "River").mkdir(parents=True)
        (tmp_path / "eurosat" / "2750" / "River" / "1.jpg").touch()

    monkeypatch.setattr(datasets.eurosat, "download_and_extract_archive", record)
    datasets.EuroSAT(tmp_path, download=True)
    (file,) = get_asset("eurosat").files
    assert file.addresses[0] == asked["url"]
    assert file.hash == f"md5:{asked['md5']}"


def test_download_sizes_are_summed_or_unknown():
    assert get_asset("mnist").n_bytes == 9_912_422 + 28_881 + 1_648_877 + 4_542
    assert get_asset("imagenet-sample").n_bytes is None


def test_archives_make_folders_and_gzip_makes_files():
    kinds = {file.path: file.makes_folder for _, file in FILES}
    assert kinds["cifar-10-python.tar.gz"]
    assert kinds["EuroSAT.zip"]
    assert not kinds["MNIST/raw/train-images-idx3-ubyte.gz"]
