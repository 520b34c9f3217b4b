"""Decide whether a file or an unpacked folder is whole.

A file is whole when its size and hash are the registry's, or, where no hash is published,
when its size is right and an archive can be read to its end. An unpacked folder carries a note of how many files
and bytes went into it. Nothing here writes anything but that note.
"""

import json
import os
from pathlib import Path

import pooch

from coursekit.assets.archives import archive_problem
from coursekit.assets.registry import AssetFile

__all__ = [
    "file_problem",
    "final_problem",
    "folder_problem",
    "packed_problem",
    "seal_folder",
]

_NOTE = ".coursekit.json"


def packed_problem(file: AssetFile, path: Path, *, thorough: bool = True) -> str | None:
    """Return what is wrong with the downloaded file, or None.

    Parameters
    ----------
    file : AssetFile
    path : Path
        Where its downloaded form should be.
    thorough : bool, default=True
        Compare the hash too, not the size alone.
    """
    return file_problem(
        path,
        known_hash=file.hash,
        n_bytes=file.bytes,
        is_archive=bool(file.unpacks_to),
        thorough=thorough,
    )


def final_problem(file: AssetFile, path: Path, *, thorough: bool = True) -> str | None:
    """Return what is wrong with the file or folder that is used, or None.

    Parameters
    ----------
    file : AssetFile
    path : Path
        Where its final form should be.
    thorough : bool, default=True
        Compare the hash too, not the size alone.
    """
    if file.makes_folder:
        return folder_problem(path)
    if not file.unpacks_to:
        return packed_problem(file, path, thorough=thorough)
    known_hash, n_bytes = file.unpacked_hash, file.unpacked_bytes
    return file_problem(path, known_hash=known_hash, n_bytes=n_bytes, thorough=thorough)


def file_problem(
    path: Path,
    *,
    known_hash: str,
    n_bytes: int | None,
    is_archive: bool = False,
    thorough: bool = True,
) -> str | None:
    """Return what is wrong with a file, or None.

    Parameters
    ----------
    path : Path
    known_hash : str
        ``"sha256:..."``, its beginning ``"sha256-prefix:..."``, ``"md5:..."``, or ``""``.
    n_bytes : int or None
        Exact size, None where it is not known.
    is_archive : bool, default=False
        Where there is no hash, read it to its end.
    thorough : bool, default=True
        Compare the hash too, not the size alone.
    """
    if not path.is_file():
        return "it is a folder" if path.is_dir() else "not there"
    found = path.stat().st_size
    if not found or n_bytes not in {None, found}:
        wanted = "" if n_bytes is None else f", not {n_bytes:,}"
        return f"damaged: it has {found:,} bytes{wanted}"
    if not thorough:
        return None
    if not known_hash:
        return archive_problem(path) if is_archive else None
    algorithm, _, wanted = known_hash.partition(":")
    try:
        digest = pooch.file_hash(str(path), alg=algorithm.removesuffix("-prefix"))
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    is_prefix = algorithm.endswith("-prefix")
    if digest.startswith(wanted) if is_prefix else digest == wanted:
        return None
    return f"damaged or another version: its {algorithm} is {digest}, not {wanted}"


def folder_problem(folder: Path) -> str | None:
    """Return what is wrong with an unpacked folder, or None."""
    if not folder.is_dir():
        return "not there"
    try:
        note = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
        wanted = (note["n_files"], note["n_bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        return "it was not unpacked to its end"
    if _measure(folder) != wanted:
        return f"damaged: some of its {wanted[0]:,} files are missing or changed"
    return None


def seal_folder(folder: Path) -> None:
    """Note in `folder` how many files and bytes it holds."""
    n_files, n_bytes = _measure(folder)
    with (folder / _NOTE).open("w", encoding="utf-8") as stream:
        json.dump({"n_files": n_files, "n_bytes": n_bytes}, stream)
        stream.flush()
        os.fsync(stream.fileno())


def _measure(folder: Path) -> tuple[int, int]:
    """Count files and bytes, without hidden files: file browsers leave some behind."""
    n_files = n_bytes = 0
    for where, _, names in os.walk(folder):
        for name in names:
            if not name.startswith("."):
                n_files += 1
                n_bytes += (Path(where) / name).stat().st_size
    return n_files, n_bytes
