"""Get an asset: from the cache, else from the mirror, else from its addresses.

Whatever the source, what arrives is checked before it takes its final name. Nothing is
fetched when this module is imported, and nothing here knows what the files mean.
"""

import gzip
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import pooch

from coursekit.assets.archives import unpack_archive
from coursekit.assets.checks import (
    final_problem,
    folder_problem,
    packed_problem,
    seal_folder,
)
from coursekit.assets.registry import Asset, AssetFile, get_asset
from coursekit.assets.settings import cache_folder, mirror
from coursekit.assets.storage import (
    CheckFailedError,
    Output,
    new_folder,
    storage_errors,
    write_whole,
)
from coursekit.errors import AssetError

__all__ = ["download", "fetch", "find_file"]

_CHUNK = 1 << 16


class _Source(NamedTuple):
    """A place that may hold a file, and whether it holds the final, unpacked form."""

    name: str
    place: Path | str
    is_final: bool


class _NotUsableError(Exception):
    """What one source holds does not help; the next may."""


def fetch(name: str, *, progress: bool = True) -> Path:
    """Return where an asset lies in the cache, after getting what is missing.

    A file found in the cache is checked and used. Otherwise the mirror is searched, for the
    unpacked file as well as for the packed one, and then the addresses of the registry.

    Parameters
    ----------
    name : str
        One of `coursekit.assets.asset_names`.
    progress : bool, default=True
        Show a bar while a file is downloaded.

    Returns
    -------
    Path
        The file or folder under the cache.

    Raises
    ------
    AssetError
        If there is no such asset, if it is nowhere to be had (the message lists the places
        searched), if an archive is hostile, or if the cache cannot be written.

    Notes
    -----
    An interrupted call leaves nothing that a later one would take for whole, and two
    processes may fetch the same asset at once: each brings its own copy, one of them stays.
    """
    asset, cache = get_asset(name), cache_folder()
    for file in asset.files:
        _obtain(asset, file, cache, progress=progress)
    return cache / asset.result


def find_file(name: str, *, thorough: bool = True) -> Path | None:
    """Return where an asset lies on this machine, without fetching or writing anything.

    Parameters
    ----------
    name : str
        One of `coursekit.assets.asset_names`.
    thorough : bool, default=True
        Compare hashes; otherwise sizes only, which takes no time.

    Returns
    -------
    Path or None
        The file or folder in the cache; else the first file in the mirror's folder or the
        packed file in the cache, from which `fetch` takes it without a network; else None.
    """
    asset, cache = get_asset(name), cache_folder()
    found = [_find_one(file, cache, thorough=thorough) for file in asset.files]
    if None in found:
        return None
    at_hand = all(
        path == cache / file.final_path
        for path, file in zip(found, asset.files, strict=True)
    )
    return cache / asset.result if at_hand else found[0]


def download(address: str, output: Output, *, label: str, progress: bool) -> None:
    """Write what stands at `address` to `output`.

    Parameters
    ----------
    address : str
        ``http://`` or ``https://``.
    output : Output
    label : str
        Shown before the bar.
    progress : bool
        Show a bar.
    """
    if not progress:
        pooch.HTTPDownloader(chunk_size=_CHUNK)(address, output, None)
        return
    from tqdm.auto import tqdm  # only where a bar is shown

    with tqdm(unit="B", unit_scale=True, desc=label, leave=False) as bar:
        pooch.HTTPDownloader(progressbar=bar, chunk_size=_CHUNK)(address, output, None)


def _obtain(asset: Asset, file: AssetFile, cache: Path, *, progress: bool) -> None:
    final = cache / file.final_path
    problem = final_problem(file, final)
    if problem is None:
        return
    tried = [f"the cache, {final}: {problem}"]
    for source in _sources(file, cache):
        try:
            _take(source, file, cache, progress=progress)
        except _NotUsableError as reason:
            tried.append(f"{source.name}: {reason}")
        except AssetError as error:
            msg = f"{_name(asset)} could not be fetched. {error}"
            raise AssetError(msg) from error
        else:
            return
    raise AssetError(_explain(asset, file, tried))


def _sources(file: AssetFile, cache: Path) -> Iterator[_Source]:
    """Give the places to search after the cache's final form, the nearest first."""
    base = mirror()
    if base is not None and file.unpacked_hash:
        yield _Source(*_in_mirror(base, file.unpacks_to), is_final=True)
    if file.unpacks_to:
        packed = cache / file.path
        yield _Source(f"the cache, {packed}", packed, is_final=False)
    if base is not None:
        yield _Source(*_in_mirror(base, file.path), is_final=False)
    for address in file.addresses:
        yield _Source(address, address, is_final=False)


def _in_mirror(base: Path | str, path: str) -> tuple[str, Path | str]:
    place = base + path if isinstance(base, str) else base / path
    return f"the mirror, {place}", place


def _take(source: _Source, file: AssetFile, cache: Path, *, progress: bool) -> None:
    packed, final = cache / file.path, cache / file.final_path
    if source.is_final:
        check = partial(final_problem, file)
        _copy(source.place, final, check=check, progress=progress)
        return
    check = partial(packed_problem, file)
    if source.place == packed:
        if problem := check(packed):
            raise _NotUsableError(problem)
    else:
        _copy(source.place, packed, check=check, progress=progress)
    if file.makes_folder:
        _unpack_folder(packed, final)
    elif file.unpacks_to:
        _unpack_file(packed, final, file)


def _copy(place: Path | str, target: Path, *, check: partial, progress: bool) -> None:
    with _as_not_usable(), write_whole(target, check=check) as output:
        if isinstance(place, str):
            download(place, output, label=target.name, progress=progress)
        else:
            with place.open("rb") as stream:
                shutil.copyfileobj(stream, output, _CHUNK)


def _unpack_file(packed: Path, final: Path, file: AssetFile) -> None:
    with (
        _as_not_usable(),
        write_whole(final, check=partial(final_problem, file)) as output,
        gzip.open(packed, "rb") as stream,
    ):
        shutil.copyfileobj(stream, output, _CHUNK)


def _unpack_folder(packed: Path, final: Path) -> None:
    with new_folder(final, is_whole=lambda folder: folder_problem(folder) is None) as part:
        unpack_archive(packed, part)
        with storage_errors(final):
            seal_folder(part)


@contextmanager
def _as_not_usable() -> Iterator[None]:
    """Turn what is wrong with a source into a reason; let the cache's own troubles pass."""
    try:
        yield
    except CheckFailedError as error:
        raise _NotUsableError(str(error)) from error
    except AssetError:
        raise
    except FileNotFoundError as error:
        raise _NotUsableError("not there") from error
    except (OSError, ValueError, EOFError, zlib.error, HTTPException) as error:
        words = " ".join(str(error).split())
        short = words if len(words) < 160 else words[:157] + "..."
        raise _NotUsableError(f"{type(error).__name__}: {short}") from error


def _find_one(file: AssetFile, cache: Path, *, thorough: bool) -> Path | None:
    if final_problem(file, cache / file.final_path, thorough=thorough) is None:
        return cache / file.final_path
    for source in _sources(file, cache):
        if isinstance(source.place, str):
            continue
        judge = final_problem if source.is_final else packed_problem
        if judge(file, source.place, thorough=thorough) is None:
            return source.place
    return None


def _name(asset: Asset) -> str:
    return f"{asset.title} (asset {asset.name!r}, role {asset.role!r})"


def _explain(asset: Asset, file: AssetFile, tried: list[str]) -> str:
    places = "\n".join(f"- {line}" for line in tried)
    forms = file.path + (f" or {file.unpacks_to}" if file.unpacked_hash else "")
    return (
        f"{_name(asset)} is not at hand. Places searched:\n{places}\n"
        f"With a network, run: coursekit fetch {asset.name}\n"
        f"Without one, set COURSEKIT_MIRROR to a folder that holds {forms}, or "
        "COURSEKIT_CACHE to a cache that was filled elsewhere by coursekit fetch.\n"
        "Without the files, unset COURSEKIT_PROFILE: the embedded profile needs none."
    )
