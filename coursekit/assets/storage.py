"""Write files and folders so that a half-written one is never taken for a whole one.

What is written stands under a temporary name in the same folder, is flushed to the disk,
checked, and only then renamed, which is one step for the operating system. Two processes
that write the same thing each write their own copy; either is whole, and one of them stays.
Nothing here knows where the bytes come from.
"""

import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from coursekit.errors import AssetError

__all__ = [
    "CheckFailedError",
    "Output",
    "discard",
    "explain_storage",
    "new_folder",
    "storage_errors",
    "write_whole",
]

_STALE_SECONDS = 24 * 3600
_FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}


class CheckFailedError(AssetError):
    """What was written is not what was expected; it has been thrown away."""


class Output:
    """A binary file open for writing, whose failures are told apart from a network's.

    Every `OSError` of the file itself becomes an `AssetError` that says what to do.
    """

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._stream, self._path = stream, path

    def write(self, data: bytes) -> int:
        """Write `data`, and return the number of bytes."""
        try:
            return self._stream.write(data)
        except OSError as error:
            raise explain_storage(error, self._path) from error

    def flush(self) -> None:
        """Hand what is buffered to the operating system."""
        try:
            self._stream.flush()
        except OSError as error:
            raise explain_storage(error, self._path) from error


@contextmanager
def write_whole(
    target: Path, *, check: Callable[[Path], str | None] | None = None
) -> Iterator[Output]:
    """Give an output whose bytes appear as `target` when the block ends without error.

    Parameters
    ----------
    target : Path
        Its folder is made when missing; an older file is replaced.
    check : callable, optional
        Gets the path of the finished temporary file and returns what is wrong with it, or
        None. What it objects to is thrown away.

    Raises
    ------
    CheckFailedError
        If `check` objects.
    AssetError
        If the file cannot be stored.
    """
    part, stream = _open_part(target)
    try:
        with stream:
            yield Output(stream, target)
            with storage_errors(target):
                stream.flush()
                os.fsync(stream.fileno())
        problem = check(part) if check else None
        if problem:
            raise CheckFailedError(problem)
        with storage_errors(target):
            _replace(part, target, check)
    finally:
        with suppress(OSError):
            part.unlink()


@contextmanager
def new_folder(target: Path, *, is_whole: Callable[[Path], bool]) -> Iterator[Path]:
    """Give an empty folder that becomes `target` when the block ends without error.

    Parameters
    ----------
    target : Path
        A folder that stands there and is not whole is replaced; a whole one, which another
        process may have put there meanwhile, stays.
    is_whole : callable
        Says whether the folder it is given is complete.

    Raises
    ------
    AssetError
        If the folder cannot be stored.
    """
    part = _part_name(target)
    with storage_errors(target):
        part.mkdir(parents=True)
        _sweep(target.parent)
    try:
        yield part
        with storage_errors(target):
            if target.exists() and not is_whole(target):
                discard(target)
            try:
                part.rename(target)
            except OSError:
                if not is_whole(target):  # else another process was first
                    raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def discard(path: Path) -> None:
    """Take `path`, a file or folder, away in one step, then delete it."""
    gone = _part_name(path)
    with suppress(FileNotFoundError):  # another process did it
        path.rename(gone)
        if gone.is_dir():
            shutil.rmtree(gone, ignore_errors=True)
        else:
            gone.unlink()


def _sync_folder(folder: Path) -> None:
    """Flush the names in `folder` to the disk, where the system can do that."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def explain_storage(error: OSError, path: Path) -> AssetError:
    """Return an error that says why `path` cannot be written and what to do."""
    if isinstance(error, AssetError):
        return error
    if error.errno in _FULL:
        reason = f"the disk is full{_free_words(path)}"
        remedy = "Free some space, or set COURSEKIT_CACHE to a folder on another disk"
    elif error.errno in _CLOSED:
        reason = "the folder is read-only for you"
        remedy = "Set COURSEKIT_CACHE to a folder that you may write to"
    else:
        reason = error.strerror or str(error)
        remedy = "Set COURSEKIT_CACHE to a folder that can be written to"
    msg = (
        f"{path} cannot be stored: {reason}. {remedy}, and try again. Nothing half-written "
        "was kept."
    )
    problem = AssetError(msg)
    problem.errno = error.errno
    return problem


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn every `OSError` of a block into one that says what to do about `path`."""
    try:
        yield
    except OSError as error:
        raise explain_storage(error, path) from error


def _open_part(target: Path) -> tuple[Path, BinaryIO]:
    part = _part_name(target)
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        return part, part.open("xb")  # closed by the caller


def _replace(part: Path, target: Path, check: Callable[[Path], str | None] | None) -> None:
    if target.is_dir():
        discard(target)
    try:
        part.replace(target)
    except PermissionError:  # Windows: another process has the target open
        if not (check and target.is_file() and check(target) is None):
            raise
    _sync_folder(target.parent)


def _part_name(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")


def _sweep(folder: Path) -> None:
    """Delete what processes that were killed long ago left behind."""
    for path in folder.glob(".*.part"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                discard(path)


def _free_words(path: Path) -> str:
    for folder in path.parents:
        with suppress(OSError):
            return f" ({shutil.disk_usage(folder).free / 1e6:,.0f} MB free in {folder})"
    return ""
