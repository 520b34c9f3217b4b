"""Files of which only the beginning of a hash is published, as torch's hub has it in names."""

import hashlib

import pytest

from coursekit.assets import asset_names, get_asset
from coursekit.assets.checks import file_problem

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def path(tmp_path):
    (tmp_path / "w.pth").write_bytes(CONTENT)
    return tmp_path / "w.pth"


@pytest.mark.parametrize("n_digits", [8, 16, 64])
def test_a_file_whose_hash_begins_so_is_whole(path, n_digits):
    known = f"sha256-prefix:{DIGEST[:n_digits]}"
    assert file_problem(path, known_hash=known, n_bytes=None) is None


def test_another_beginning_is_told_with_the_hash_that_was_found(path):
    problem = file_problem(path, known_hash="sha256-prefix:00000000", n_bytes=None)
    assert DIGEST in problem
    assert "not 00000000" in problem


def test_a_beginning_is_not_enough_where_the_whole_hash_is_known(path):
    assert file_problem(path, known_hash=f"sha256:{DIGEST[:8]}", n_bytes=None)
    assert file_problem(path, known_hash=f"sha256-prefix:{DIGEST[1:9]}", n_bytes=None)


def test_one_changed_byte_is_noticed(path):
    path.write_bytes(CONTENT[:-1] + b"S")
    assert file_problem(
        path, known_hash=f"sha256-prefix:{DIGEST[:8]}", n_bytes=len(CONTENT)
    )


@pytest.mark.parametrize("name", ["mobilenet-v2", "alexnet", "efficientnet-lite0"])
def test_the_beginning_is_the_one_in_the_files_name(name):
    (file,) = get_asset(name).files
    digits = file.hash.removeprefix("sha256-prefix:")
    assert len(digits) == 8
    assert all(f"-{digits}.pth" in place for place in (file.path, *file.addresses))
    assert not file.verified


def test_no_more_assets_than_needed_have_such_a_hash():
    short = [n for n in asset_names() if "prefix" in get_asset(n).files[0].hash]
    assert set(short) == {"mobilenet-v2", "alexnet", "efficientnet-lite0"}
