"""fetch: where it looks, what it takes, what it leaves behind; and the settings."""

import errno
import gzip
import hashlib
import io
import re
import zipfile
from pathlib import Path

import pooch
import pytest
from torchvision import datasets

from coursekit import assets
from coursekit.assets import Asset, AssetFile, fetch, find_file, read_registry
from coursekit.course.roles import MODEL_ROLES, ROLES
from coursekit.errors import AssetError, SettingsError

LETTERS = b"A" * 1000
PACKED = gzip.compress(LETTERS, mtime=0)
FIRST, SECOND = "https://example.org/letters.gz", "https://example.com/second.gz"
FOLDER = "https://example.org/folder.zip"


def zipped():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("top/sub/b.txt", LETTERS)
    return stream.getvalue()


def asset(name, path, known_hash, **unpacked):
    addresses = [FOLDER] if "zip" in path else [FIRST, SECOND]
    file = AssetFile(path=path, hash=known_hash, addresses=addresses, **unpacked)
    result = "letters" if name == "letters" else unpacked.get("unpacks_to", path)
    words = dict.fromkeys(("source", "license", "citation"), "")
    return Asset(name=name, title="T", role="digits", result=result, files=[file], **words)


SHA = f"sha256:{hashlib.sha256(LETTERS).hexdigest()}"
MD5 = f"md5:{hashlib.md5(PACKED, usedforsecurity=False).hexdigest()}"
MADE = [
    asset("letters", "letters/raw.gz", MD5, unpacks_to="letters/raw", unpacked_hash=SHA),
    asset("folder", "folder.zip", "", unpacks_to="folder"),
    asset("plain", "w/plain.bin", SHA),
    asset("hub", "hub.pth", f"sha256-prefix:{SHA[7:15]}"),
]
TINY = {made.name: made for made in MADE}


class FakeNetwork(dict):
    """Address to bytes, or to an error that is raised half-way."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def __call__(self, address, output, _):
        self.asked.append(address)
        answer = self.get(address, ConnectionError("no route to host"))
        Path(output).write_bytes(answer if isinstance(answer, bytes) else PACKED[:50])
        if not isinstance(answer, bytes):
            raise answer


@pytest.fixture(autouse=True)
def network(monkeypatch, tmp_path):
    for name in ("PROFILE", "MIRROR", "ROLE_LAND_COVER", "ROLE_DIGITS"):
        monkeypatch.delenv(f"COURSEKIT_{name}", raising=False)
    monkeypatch.setenv("COURSEKIT_CACHE", str(tmp_path / "cache"))
    fake = FakeNetwork()
    monkeypatch.setattr(pooch, "HTTPDownloader", lambda progressbar: fake)
    monkeypatch.setattr(assets, "read_registry", lambda: TINY)
    return fake


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def mirror(monkeypatch, tmp_path):
    (tmp_path / "mirror" / "letters").mkdir(parents=True)
    monkeypatch.setenv("COURSEKIT_MIRROR", str(tmp_path / "mirror"))
    return tmp_path / "mirror"


def test_downloads_are_checked_and_unpacked_and_not_made_again(cache, network):
    network |= {FOLDER: zipped(), FIRST: PACKED}
    for _ in range(2):
        assert fetch("letters") == cache / "letters"
        assert (fetch("letters") / "raw").read_bytes() == LETTERS
        assert (fetch("folder") / "top/sub/b.txt").read_bytes() == LETTERS
    assert network.asked == [FIRST, FOLDER]
    network[FIRST] = LETTERS
    assert fetch("plain") == cache / "w" / "plain.bin"
    assert fetch("hub").read_bytes() == LETTERS
    assert not [path for path in cache.rglob("*") if path.name.startswith(".part")]


@pytest.mark.parametrize("form", ["letters/raw", "letters/raw.gz"])
@pytest.mark.parametrize("place", ["mirror", "cache"])
def test_mirror_and_cache_may_hold_the_packed_or_the_unpacked_form(
    mirror, cache, network, place, form
):
    path = {"mirror": mirror, "cache": cache}[place] / form
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PACKED if form.endswith("gz") else LETTERS)
    assert find_file("letters") == path
    assert (fetch("letters") / "raw").read_bytes() == LETTERS
    assert network.asked == []
    assert find_file("letters") == cache / "letters" / "raw"


def test_a_mirror_with_an_address_is_asked_for_both_forms_first(monkeypatch, network):
    monkeypatch.setenv("COURSEKIT_MIRROR", "http://classroom/files")
    network["http://classroom/files/letters/raw.gz"] = PACKED
    fetch("letters")
    base = "http://classroom/files/letters/raw"
    assert network.asked == [base, f"{base}.gz"]


@pytest.mark.parametrize("wrong", [b"", b"<html>log in</html>", b"B" * 100_000])
def test_what_is_wrong_in_cache_mirror_or_network_is_passed_over(
    mirror, cache, network, wrong
):
    (cache / "letters").mkdir(parents=True)
    for folder in (mirror, cache):
        (folder / "letters" / "raw").write_bytes(wrong)
    network |= {FIRST: wrong or TimeoutError(), SECOND: PACKED}
    assert (fetch("letters") / "raw").read_bytes() == LETTERS
    assert network.asked == [FIRST, SECOND]


def test_nothing_that_is_not_whole_is_kept_and_the_places_searched_are_named(mirror, cache):
    (mirror / "letters" / "raw").write_bytes(b"Z" + LETTERS[1:])
    with pytest.raises(AssetError) as caught:
        fetch("letters")
    for words in (
        f"role 'digits') is not at hand. Places searched, first the cache:\n- {cache}",
        "raw: ValueError: damaged or another version: its sha256 is",
        f"{mirror / 'letters' / 'raw.gz'}: not there",
        f"{SECOND}: ConnectionError: no route to host",
        "coursekit fetch letters",
        "set COURSEKIT_MIRROR to a folder that holds letters/raw.gz",
    ):
        assert words in str(caught.value)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_an_archive_that_does_not_unpack_is_not_taken_the_next_time(cache, network):
    network[FOLDER] = zipped()[:-400]
    with pytest.raises(AssetError, match="BadZipFile"):
        fetch("folder")
    network[FOLDER] = zipped()
    assert (fetch("folder") / "top/sub/b.txt").is_file()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_closed_disk_stops_at_once_with_the_remedy(network, number):
    network |= {FIRST: OSError(number, "no"), SECOND: PACKED}
    with pytest.raises(AssetError, match=r"cannot be stored in .*set COURSEKIT_CACHE"):
        fetch("letters")
    assert network.asked == [FIRST]


# --- the registry

REGISTRY = read_registry()


def test_every_asset_has_a_card_addresses_and_a_hash_or_must_unpack():
    known = r"sha256:[0-9a-f]{64}|sha256-prefix:[0-9a-f]{8}|md5:[0-9a-f]{32}"
    for made in REGISTRY.values():
        assert re.search(r"\b(19|20)\d\d\b", made.citation)
        assert made.license in made.card
        assert made.role in (*ROLES, *MODEL_ROLES)
        for file in made.files:
            assert (file.unpacks_to or file.path).startswith(made.result)
            assert file.addresses
            assert all(re.match(r"https?://[\w.~/-]+$", a) for a in file.addresses)
            assert re.fullmatch(known, file.hash) or (not file.hash and file.unpacks_to)


def test_sums_and_sizes_are_torchvisions():
    mnist, [cifar] = REGISTRY["mnist"], REGISTRY["cifar10"].files
    sums = {file.path.rpartition("/")[2]: file.hash for file in mnist.files}
    assert sums == {name: f"md5:{md5}" for name, md5 in datasets.MNIST.resources}
    assert mnist.n_bytes == 9_912_422 + 28_881 + 1_648_877 + 4_542
    assert cifar.addresses[0] == datasets.CIFAR10.url
    assert cifar.hash == f"md5:{datasets.CIFAR10.tgz_md5}"


# --- settings


def test_profile_cache_and_mirror(monkeypatch, tmp_path):
    assert assets.profile_setting() == "embedded"
    monkeypatch.setenv("COURSEKIT_PROFILE", " Real ")
    assert assets.profile_setting() == "real"
    monkeypatch.setenv("COURSEKIT_CACHE", "~/files")
    assert assets.cache_folder() == Path.home() / "files"
    monkeypatch.setenv("COURSEKIT_CACHE", "")
    assert assets.cache_folder() == pooch.os_cache("coursekit")
    assert assets.mirror() is None
    for given in (tmp_path, "https://example.org/course/"):
        monkeypatch.setenv("COURSEKIT_MIRROR", str(given))
        assert assets.mirror() == given
    monkeypatch.setenv("COURSEKIT_PROFILE", "production")
    with pytest.raises(SettingsError, match="embedded, real, got 'production'"):
        assets.profile_setting()


@pytest.mark.parametrize("name", ["COURSEKIT_ROLE_land_cover", "COURSEKIT_PROFIL"])
def test_a_setting_that_nobody_reads_is_named(monkeypatch, name):
    monkeypatch.setenv(name, "x")
    with pytest.raises(SettingsError, match=f"variables {name} mean nothing"):
        assets.profile_setting()


def test_own_files_are_found_by_variables_that_the_program_may_set(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSEKIT_ROLE_LAND_COVER", str(tmp_path))
    monkeypatch.setenv("COURSEKIT_ROLE_DIGITS", "")
    assert assets.role_paths() == {"land-cover": tmp_path}
    assets.set_role_path("digits", "mine")
    assert assets.role_paths()["digits"] == tmp_path / "mine"
    assets.set_role_path("digits", None)
    assert assets.role_paths() == {"land-cover": tmp_path}
