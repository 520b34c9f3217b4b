"""fetch: where it looks, what it takes, and what it leaves behind when things go wrong."""

import errno
import gzip
import os
import socket
import zipfile
from pathlib import Path

import pytest

from coursekit.assets import fetch, fetching, find_file, storage
from coursekit.errors import AssetError

BROKEN = OSError(errno.ENOSPC, "No space left on device")


def test_a_download_is_checked_unpacked_and_returned(cache, network, tiny):
    network[tiny.address] = tiny.packed
    assert fetch("letters") == cache / "letters"
    assert (cache / "letters" / "raw").read_bytes() == tiny.letters


def test_what_is_in_the_cache_is_not_downloaded_again(network, tiny):
    network[tiny.address] = tiny.packed
    fetch("letters")
    fetch("letters")
    assert network.asked == [tiny.address]


def test_a_file_that_needs_no_unpacking_is_returned_itself(cache, network, tiny):
    network["https://example.org/plain.bin"] = tiny.letters
    assert fetch("plain") == cache / "weights" / "plain.bin"
    assert find_file("plain") == cache / "weights" / "plain.bin"


def test_the_second_address_is_tried_when_the_first_fails(network, tiny):
    network["https://example.com/second.gz"] = tiny.packed
    assert (fetch("letters") / "raw").read_bytes() == tiny.letters


@pytest.mark.parametrize("form", ["letters/raw", "letters/raw.gz"])
def test_the_mirror_may_hold_the_packed_or_the_unpacked_form(mirror, network, tiny, form):
    (mirror / "letters").mkdir()
    (mirror / form).write_bytes(tiny.packed if form.endswith("gz") else tiny.letters)
    assert (fetch("letters") / "raw").read_bytes() == tiny.letters
    assert network.asked == []


def test_a_mirror_with_an_address_is_asked_for_both_forms_first(monkeypatch, network, tiny):
    monkeypatch.setenv("COURSEKIT_MIRROR", "http://classroom/files")
    network["http://classroom/files/letters/raw.gz"] = tiny.packed
    fetch("letters")
    assert network.asked == [
        "http://classroom/files/letters/raw",
        "http://classroom/files/letters/raw.gz",
    ]


@pytest.mark.parametrize("wrong", [b"", b"<html>log in</html>", b"B" * 100_000])
def test_a_wrong_file_in_the_mirror_is_passed_over_for_the_network(
    mirror, network, tiny, wrong
):
    (mirror / "letters").mkdir()
    (mirror / "letters" / "raw").write_bytes(wrong)
    network[tiny.address] = tiny.packed
    assert (fetch("letters") / "raw").read_bytes() == tiny.letters


def test_one_wrong_byte_is_refused_and_the_two_hashes_named(cache, mirror, network, tiny):
    (mirror / "letters").mkdir()
    wrong = b"Z" + tiny.letters[1:]
    (mirror / "letters" / "raw").write_bytes(wrong)
    with pytest.raises(AssetError, match=r"its sha256 is [0-9a-f]{64}, not [0-9a-f]{64}"):
        fetch("letters")
    assert not (cache / "letters" / "raw").exists()


def test_a_damaged_file_in_the_cache_is_replaced(cache, network, tiny):
    (cache / "letters").mkdir(parents=True)
    (cache / "letters" / "raw").write_bytes(tiny.letters[:-1] + b"!")
    network[tiny.address] = tiny.packed
    fetch("letters")
    assert (cache / "letters" / "raw").read_bytes() == tiny.letters


def test_a_damaged_file_that_cannot_be_replaced_is_not_returned(cache, network, tiny):
    (cache / "letters").mkdir(parents=True)
    (cache / "letters" / "raw").write_bytes(tiny.letters[:-1])
    with pytest.raises(AssetError, match=r"damaged: it has 99,999 bytes, not 100,000"):
        fetch("letters")


def test_a_missing_network_names_role_places_and_every_remedy(mirror, network):
    with pytest.raises(AssetError) as caught:
        fetch("letters")
    message = str(caught.value)
    for word in (
        "role 'digits'",
        str(mirror / "letters" / "raw"),
        "https://example.com/second.gz: ConnectionError: no route to host",
        "coursekit fetch letters",
        "COURSEKIT_MIRROR",
        "COURSEKIT_CACHE",
    ):
        assert word in message


def test_the_real_downloader_without_a_network_gives_the_same_error(cache, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(AssetError, match=r"hymenoptera_data\.zip: ConnectionError"):
        fetch("hymenoptera", progress=False)


def test_the_progress_bar_is_driven_by_the_downloader(cache, monkeypatch, tmp_path):
    seen = []

    class FakeDownloader:
        def __init__(self, progressbar=False, chunk_size=0):
            self.bar = progressbar

        def __call__(self, address, output, pooch):
            seen.append((address, bool(self.bar is not False)))
            output.write(b"x")

    monkeypatch.setattr(fetching.pooch, "HTTPDownloader", FakeDownloader)
    for progress in (True, False):
        with storage.write_whole(tmp_path / "x") as output:
            fetching.download("https://a/b", output, label="b", progress=progress)
    assert seen == [("https://a/b", True), ("https://a/b", False)]


@pytest.mark.parametrize(
    "trouble",
    [
        ConnectionError("reset by peer"),
        TimeoutError("timed out"),
        ValueError("bad address"),
        EOFError(),
    ],
)
def test_an_interrupted_download_leaves_nothing(cache, network, tiny, names_below, trouble):
    network[tiny.address] = trouble
    with pytest.raises(AssetError, match=type(trouble).__name__):
        fetch("letters")
    assert names_below(cache) == []


def test_a_download_cut_short_without_an_error_leaves_nothing(
    cache, network, tiny, names_below
):
    network[tiny.address] = tiny.packed[:-10]
    with pytest.raises(AssetError, match="damaged: it has"):
        fetch("letters")
    assert names_below(cache) == []


def test_ctrl_c_passes_through_and_leaves_nothing(cache, network, tiny, names_below):
    network[tiny.address] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        fetch("letters")
    assert names_below(cache) == []


class FullDisk:
    """A stream that has room for some bytes only."""

    def __init__(self, stream, room):
        self.stream, self.room = stream, room

    def write(self, data):
        if len(data) > self.room:
            raise BROKEN
        self.room -= len(data)
        return self.stream.write(data)

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stream.close()


@pytest.mark.parametrize("room", [0, 70_000])
def test_a_full_disk_is_named_with_what_is_free(
    cache, mirror, network, tiny, monkeypatch, names_below, room
):
    (mirror / "letters").mkdir()
    (mirror / "letters" / "raw").write_bytes(tiny.letters)
    really_open = storage._open_part

    def open_part(target):
        part, stream = really_open(target)
        return part, FullDisk(stream, room)

    monkeypatch.setattr(storage, "_open_part", open_part)
    with pytest.raises(
        AssetError, match=r"role 'digits'.*disk is full \([\d,]+ MB free.*COURSEKIT_CACHE"
    ):
        fetch("letters")
    assert names_below(cache) == []


def test_a_disk_that_turns_out_full_at_the_last_flush_leaves_nothing(
    cache, mirror, network, tiny, monkeypatch, names_below
):
    def fsync(handle):
        raise BROKEN

    (mirror / "letters").mkdir()
    (mirror / "letters" / "raw").write_bytes(tiny.letters)
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(AssetError, match="disk is full"):
        fetch("letters")
    assert names_below(cache) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_device_that_is_really_full_gives_the_same_error(tmp_path):
    with Path("/dev/full").open("wb", buffering=0) as stream:
        output = storage.Output(stream, tmp_path / "letters")
        with pytest.raises(AssetError, match="disk is full"):
            output.write(b"x" * 1_000_000)


def test_a_full_disk_while_unpacking_leaves_no_folder(
    cache, network, tiny, monkeypatch, names_below
):
    network["https://example.org/folder.zip"] = tiny.zipped
    really_extract = zipfile.ZipFile.extract

    def extract(archive, member, folder):
        if member.filename.endswith("b.txt"):
            raise BROKEN
        return really_extract(archive, member, folder)

    monkeypatch.setattr(zipfile.ZipFile, "extract", extract)
    with pytest.raises(AssetError, match="disk is full"):
        fetch("folder")
    assert names_below(cache) == ["folder.zip"]
    monkeypatch.undo()


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_read_only_cache_says_so(cache, network, monkeypatch, tiny, code):
    def refuse(path, mode="r", *args, **kwargs):
        if "x" in mode:
            raise OSError(code, os.strerror(code))
        return really_open(path, mode, *args, **kwargs)

    really_open = Path.open
    network[tiny.address] = tiny.packed
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(AssetError, match=r"read-only for you. Set COURSEKIT_CACHE"):
        fetch("letters")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_folder_without_write_permission_says_so(cache, network, tiny):
    cache.mkdir()
    cache.chmod(0o500)
    network[tiny.address] = tiny.packed
    with pytest.raises(AssetError, match="read-only for you"):
        fetch("letters")
    cache.chmod(0o700)


def test_a_read_only_cache_that_holds_the_file_is_fine(cache, network, tiny, monkeypatch):
    network[tiny.address] = tiny.packed
    fetch("letters")

    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, "read-only")

    for name in ("mkdir", "rename", "replace", "unlink"):
        monkeypatch.setattr(Path, name, refuse)
    assert (fetch("letters") / "raw").is_file()


def test_a_cache_that_is_a_file_says_where(tmp_path, network, monkeypatch, tiny):
    (tmp_path / "occupied").write_text("not a folder")
    monkeypatch.setenv("COURSEKIT_CACHE", str(tmp_path / "occupied"))
    network[tiny.address] = tiny.packed
    with pytest.raises(AssetError, match=r"occupied.*cannot be stored.*COURSEKIT_CACHE"):
        fetch("letters")


def test_an_archive_becomes_a_folder(cache, network, tiny):
    network["https://example.org/folder.zip"] = tiny.zipped
    assert fetch("folder") == cache / "folder"
    assert (cache / "folder" / "top" / "a.txt").read_bytes() == b"a" * 5000


def test_an_unhashed_archive_that_is_damaged_is_refused(cache, network, tiny, names_below):
    network["https://example.org/folder.zip"] = tiny.zipped[:45] + b"?" + tiny.zipped[46:]
    with pytest.raises(AssetError, match=r"folder\.zip: it is damaged"):
        fetch("folder")
    assert names_below(cache) == []


@pytest.mark.parametrize("harm", ["lose a file", "shorten a file", "lose the note"])
def test_an_unpacked_folder_that_lost_something_is_unpacked_again(
    cache, network, tiny, harm
):
    network["https://example.org/folder.zip"] = tiny.zipped
    folder = fetch("folder")
    if harm == "lose a file":
        (folder / "top" / "a.txt").unlink()
    elif harm == "shorten a file":
        (folder / "top" / "a.txt").write_bytes(b"a")
    else:
        (folder / ".coursekit.json").unlink()
    assert find_file("folder") != folder
    assert (fetch("folder") / "top" / "a.txt").read_bytes() == b"a" * 5000
    assert len(network.asked) == 1


def test_a_file_browsers_hidden_file_does_not_spoil_a_folder(network, tiny):
    network["https://example.org/folder.zip"] = tiny.zipped
    (fetch("folder") / "top" / ".DS_Store").write_bytes(b"icons")
    assert find_file("folder") is not None


def test_a_hostile_archive_is_named_and_not_unpacked(cache, network, tiny, tmp_path):
    network["https://example.org/folder.zip"] = tiny.make_zip({"../evil.txt": b"!"})
    with pytest.raises(AssetError, match=r"'\.\./evil\.txt'"):
        fetch("folder")
    assert not (cache / "folder").exists()
    assert not (tmp_path / "evil.txt").exists()


def test_leftovers_of_killed_processes_are_swept_after_a_day(cache, network, tiny):
    (cache / "letters").mkdir(parents=True)
    old, new = (cache / "letters" / f".raw.{name}.part" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(tiny.letters)
    os.utime(old, (0, 0))
    network[tiny.address] = tiny.packed
    fetch("letters")
    assert not old.exists()
    assert new.exists()


def test_find_file_fetches_and_writes_nothing(cache, mirror, network, tiny, names_below):
    assert find_file("letters") is None
    (mirror / "letters").mkdir()
    (mirror / "letters" / "raw.gz").write_bytes(tiny.packed)
    assert find_file("letters") == mirror / "letters" / "raw.gz"
    assert network.asked == []
    assert not cache.exists()


def test_find_file_compares_hashes_only_when_thorough(cache, network, tiny):
    (cache / "letters").mkdir(parents=True)
    (cache / "letters" / "raw").write_bytes(b"?" * len(tiny.letters))
    assert find_file("letters") is None
    assert find_file("letters", thorough=False) == cache / "letters"


def test_a_packed_file_with_the_right_sum_and_wrong_content_is_refused(
    cache, mirror, network, tiny, monkeypatch
):
    other = gzip.compress(b"other" * 20_000, mtime=0)
    monkeypatch.setattr(fetching, "packed_problem", lambda *given, **known: None)
    network[tiny.address] = other
    with pytest.raises(AssetError, match="sha256"):
        fetch("letters")
    assert not (cache / "letters" / "raw").exists()


def test_an_unknown_name_lists_the_names():
    with pytest.raises(
        AssetError, match=r"Did you mean 'mnist'\? The assets are: mnist, cif"
    ):
        fetch("mnits")
