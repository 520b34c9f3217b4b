"""unpack_archive: what is plain is unpacked, what could leave the folder is refused."""

import contextlib
import io
import stat
import tarfile
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coursekit.assets import unpack_archive
from coursekit.assets.archives import archive_problem
from coursekit.errors import AssetError

BAD_NAMES = {
    "../evil.txt": "leaves the folder",
    "a/../../evil.txt": "leaves the folder",
    "..\\evil.txt": "leaves the folder",
    "/etc/evil.txt": "absolute",
    "\\evil.txt": "absolute",
    "C:/evil.txt": "drive letter",
    "c:evil.txt": "drive letter",
    "\\\\server\\share\\evil.txt": "drive letter",
}


def write_tar(path, *members, mode="w:gz"):
    """Members are (name, content) or a TarInfo."""
    with tarfile.open(path, mode) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                name, content = member
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def write_zip(path, *members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo("x")
            if isinstance(name, str):
                info.filename = name  # past what ZipInfo's constructor would mend
            archive.writestr(info, content)
    return path


def special(name, kind):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = "/etc/passwd"
    return info


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_of_plain_files_is_unpacked(tmp_path, folder, mode):
    path = write_tar(
        tmp_path / "a.tar.gz", ("top/a.txt", b"a"), ("b.txt", b"bb"), mode=mode
    )
    unpack_archive(path, folder)
    assert (folder / "top" / "a.txt").read_bytes() == b"a"
    assert (folder / "b.txt").read_bytes() == b"bb"


def test_a_zip_of_plain_files_is_unpacked(tmp_path, folder):
    unpack_archive(
        write_zip(tmp_path / "a.zip", ("top/a.txt", b"a"), ("b.txt", b"bb")), folder
    )
    assert (folder / "top" / "a.txt").read_bytes() == b"a"


@pytest.mark.parametrize("write", [write_tar, write_zip], ids=["tar", "zip"])
@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_member_that_would_leave_the_folder_is_refused(tmp_path, folder, write, name):
    path = write(tmp_path / "bad.archive", ("good.txt", b"good"), (name, b"evil"))
    with pytest.raises(AssetError, match=BAD_NAMES[name]):
        unpack_archive(path, folder)
    assert not list(folder.iterdir()), "nothing may be unpacked"
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a device"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, folder, kind, word):
    path = write_tar(tmp_path / "bad.tar", special("inside", kind), mode="w")
    with pytest.raises(AssetError, match=rf"'inside' \({word}\)"):
        unpack_archive(path, folder)
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("kind", "word"), [(stat.S_IFLNK, "a link"), (stat.S_IFCHR, "a device")]
)
def test_links_and_devices_in_a_zip_are_refused(tmp_path, folder, kind, word):
    info = zipfile.ZipInfo("inside")
    info.external_attr = (kind | 0o777) << 16
    with pytest.raises(AssetError, match=rf"'inside' \({word}\)"):
        unpack_archive(write_zip(tmp_path / "bad.zip", (info, b"/etc/passwd")), folder)


def test_every_bad_member_is_named_not_the_first_only(tmp_path, folder):
    path = write_tar(
        tmp_path / "bad.tar",
        ("../one", b""),
        special("two", tarfile.SYMTYPE),
        ("/three", b""),
    )
    with pytest.raises(AssetError, match=r"'\.\./one'.*'two'.*'/three'"):
        unpack_archive(path, folder)


def test_a_link_followed_by_a_file_through_it_is_refused(tmp_path, folder):
    link = special("door", tarfile.SYMTYPE)
    link.linkname = str(tmp_path)
    path = write_tar(tmp_path / "bad.tar", link, ("door/evil.txt", b"evil"))
    with pytest.raises(AssetError, match="'door'"):
        unpack_archive(path, folder)
    assert not (tmp_path / "evil.txt").exists()


def test_a_name_that_hides_its_end_behind_a_nul_is_refused(tmp_path, folder):
    path = write_zip(tmp_path / "bad.zip", ("harmless.txtX.exe", b""))
    path.write_bytes(path.read_bytes().replace(b"txtX.exe", b"txt\0.exe"))
    with pytest.raises(AssetError, match=r"'harmless.txt' \(no proper name\)"):
        unpack_archive(path, folder)


def test_an_encrypted_member_is_refused(tmp_path, folder):
    path = write_zip(tmp_path / "a.zip", ("a.txt", b"a"))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    path.write_bytes(content)
    with pytest.raises(AssetError, match="encrypted"):
        unpack_archive(path, folder)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("write", [write_tar, write_zip], ids=["tar", "zip"])
def test_an_archive_cut_short_is_called_damaged(tmp_path, folder, write, share):
    content = bytes(range(256)) * 200
    path = write(tmp_path / "cut.archive", ("a.bin", content))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(AssetError, match=r"cut\.archive is damaged or not an archive"):
        unpack_archive(path, folder)
    assert archive_problem(path).startswith("it is damaged")


def test_whole_archives_have_no_problem(tmp_path):
    assert archive_problem(write_zip(tmp_path / "a.zip", ("a", b"a"))) is None
    assert archive_problem(write_tar(tmp_path / "a.tar.gz", ("a", b"a"))) is None
    assert archive_problem(write_tar(tmp_path / "a.tar", ("a", b"a"), mode="w")) is None


def test_a_changed_byte_is_found_by_the_checksum_of_the_member(tmp_path):
    path = write_zip(tmp_path / "a.zip", ("a.txt", b"hello"))
    path.write_bytes(path.read_bytes().replace(b"hello", b"jello"))
    assert "'a.txt'" in archive_problem(path)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    parts=st.lists(st.sampled_from(["..", ".", "a", "", "C:", "~"]), min_size=1, max_size=5)
)
def test_whatever_the_name_nothing_lands_outside(tmp_path_factory, parts):
    outer = tmp_path_factory.mktemp("outer")
    folder = outer / "middle" / "inner"
    folder.mkdir(parents=True)
    for write in (write_tar, write_zip):
        name = "/".join(parts) + "/evil.txt"
        path = write(tmp_path_factory.mktemp("archive") / "a", (name, b"evil"))
        with contextlib.suppress(AssetError):
            unpack_archive(path, folder)
        found = [p for p in outer.rglob("*") if p.is_file()]
        assert all(p.is_relative_to(folder) for p in found)
