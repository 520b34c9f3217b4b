"""Unpack zip and tar archives whose members all stay inside the folder.

Nothing here knows where an archive comes from: any may be hostile or damaged.
"""

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath

from coursekit.assets.storage import storage_errors
from coursekit.errors import AssetError

__all__ = ["archive_problem", "unpack_archive"]

# An OSError with an errno is the disk's; without one it is gzip's word for damage.
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError)


def unpack_archive(archive: Path, folder: Path) -> None:
    """Unpack `archive` into `folder`, after a look at the name of every member.

    Parameters
    ----------
    archive : Path
        A zip file, or a tar file whatever its compression.
    folder : Path
        Must exist.

    Raises
    ------
    AssetError
        If a member would leave the folder (an absolute name, ``..``, a drive letter), or is
        a link, a device or encrypted: the message names all of them, and nothing is
        unpacked. Also if the archive is damaged or the disk is full.
    """
    with _damage_named(archive, archive.name):
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, folder)
        else:
            _unpack_tar(archive, folder)


def archive_problem(archive: Path) -> str | None:
    """Read a whole archive, and return what is wrong with it, or None.

    Parameters
    ----------
    archive : Path
        A zip, tar or gzip file; the checksums inside it are compared.

    Returns
    -------
    str or None
    """
    try:
        with _damage_named(archive, "it"):
            if zipfile.is_zipfile(archive):
                with zipfile.ZipFile(archive) as opened:
                    bad = opened.testzip()
                return bad and f"it is damaged: its member {bad!r} is broken"
            _read_to_end(archive)
    except AssetError as error:
        return str(error)
    return None


def _unpack_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        _refuse(archive, ((member.filename, _zip_objection(member)) for member in members))
        for member in members:
            with storage_errors(folder / member.filename):
                opened.extract(member, folder)


def _unpack_tar(archive: Path, folder: Path) -> None:
    # Python 3.11.0 - 3.11.3 have no filter; the check above it refuses what it would.
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as opened:
        members = opened.getmembers()
        _refuse(archive, ((member.name, _tar_objection(member)) for member in members))
        for member in members:
            opened.extract(member, folder, **safely)


def _refuse(archive: Path, judged: Iterator[tuple[str, str | None]]) -> None:
    bad = [f"{name!r} ({objection})" for name, objection in judged if objection]
    if bad:
        msg = (
            f"{archive.name} was not unpacked: members must stay inside their folder and be "
            f"plain files, got {', '.join(bad)}. Do not trust this archive: delete it and "
            "get it from its source again."
        )
        raise AssetError(msg)


def _zip_objection(member: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "a link"
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "a device"
    if member.flag_bits & 1:
        return "encrypted"
    # zipfile swaps separators and cuts at NUL when it reads: judge what the archive says.
    return _name_objection(member.orig_filename)


def _tar_objection(member: tarfile.TarInfo) -> str | None:
    if member.issym() or member.islnk():
        return "a link"
    if not (member.isreg() or member.isdir()):
        return "a device"
    return _name_objection(member.name)


def _name_objection(name: str) -> str | None:
    path = PureWindowsPath(name)  # knows both separators and drive letters
    if path.drive:
        return "a drive letter"
    if path.root:
        return "absolute"
    if ".." in path.parts:
        return "leaves the folder by .."
    return "no proper name" if not name or "\0" in name else None


@contextmanager
def _damage_named(archive: Path, label: str) -> Iterator[None]:
    try:
        yield
    except AssetError:
        raise
    except (*_DAMAGE, OSError, RuntimeError, NotImplementedError) as error:
        if getattr(error, "errno", None):
            with storage_errors(archive):
                raise
        msg = f"{label} is damaged or not an archive: {error or 'it ends too early'}."
        raise AssetError(msg) from error


def _read_to_end(archive: Path) -> None:
    """Read an archive as the kind that its first bytes say, whatever its name."""
    with archive.open("rb") as stream:
        is_gzip = stream.read(2) == b"\x1f\x8b"
    if is_gzip:
        with gzip.open(archive, "rb") as stream:
            while stream.read(1 << 20):
                pass
    if not is_gzip or tarfile.is_tarfile(archive):
        with tarfile.open(archive) as opened:
            opened.getmembers()
