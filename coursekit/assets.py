"""Files that are downloaded once, checked and cached; and the settings that name folders.

`fetch` looks in the cache, then in the mirror, then at the addresses of ``registry.toml``;
pooch downloads and unpacks. Settings stand in environment variables. Nothing is fetched on
import, and nothing here knows which roles there are or what the files mean.
"""

import errno
import os
import re
import shutil
import tarfile
import tomllib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from importlib.resources import files
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pooch

from coursekit.errors import AssetError, SettingsError

__all__ = [
    "Asset",
    "asset_names",
    "cache_folder",
    "data_folder",
    "fetch",
    "find_file",
    "get_asset",
    "mirror",
    "notebooks_folder",
    "profile_setting",
    "role_paths",
    "role_variable",
    "set_role_path",
]

_PROFILES = ("embedded", "real")
_SETTINGS = re.compile(
    "COURSEKIT_(PROFILE|CACHE|MIRROR|DEVICE|REAL|JITTER|STEPS|ROLE_[A-Z_]+)"
)
_ROLE_PREFIX = "COURSEKIT_ROLE_"
_CANNOT_STORE = {errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS}
_SOURCE_FAILS = (
    OSError,  # requests' errors are among them
    ValueError,
    EOFError,
    HTTPException,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AssetFile:
    """One downloadable file of an asset, and what is made of it; see ``registry.toml``."""

    path: str
    addresses: tuple[str, ...]
    hash: str
    hash_source: str = ""
    bytes: int | None = None
    verified: bool = False
    unpacks_to: str = ""
    unpacked_hash: str = ""
    unpacked_verified: bool = False

    @property
    def final(self) -> tuple[str, str]:
        """Where the file or folder that is used lies under the cache, and its hash."""
        if self.unpacks_to:
            return self.unpacks_to, self.unpacked_hash
        return self.path, self.hash


@dataclass(frozen=True, kw_only=True, slots=True)
class Asset:
    """One thing to fetch by name: a data set, or a file of weights."""

    name: str
    title: str
    role: str  # that it fills in the real profile
    result: str  # the file or folder under the cache that `fetch` gives back
    source: str
    license: str
    citation: str
    files: tuple[AssetFile, ...]

    @property
    def n_bytes(self) -> int | None:
        """Bytes to download, None when a size is not known."""
        sizes = [file.bytes for file in self.files]
        return None if None in sizes else sum(sizes)

    @property
    def verified(self) -> bool:
        """Whether what is used was compared with a hash computed from the file itself."""
        return all(file.verified or file.unpacked_verified for file in self.files)

    @property
    def card(self) -> str:
        """Title, source, license and citation, for an `ImageSet`'s card."""
        return (
            f"{self.title}. Source: {self.source}. License: {self.license}. "
            f"Citation: {self.citation}."
        )


def asset_names() -> tuple[str, ...]:
    """Return the names of all assets, in the registry's order."""
    return tuple(_read_registry())


def get_asset(name: str) -> Asset:
    """Return what the registry holds under `name`."""
    registry = _read_registry()
    if name not in registry:
        msg = f"There is no asset {name!r}. The assets are: {', '.join(registry)}."
        raise AssetError(msg)
    table = registry[name]
    made = [AssetFile(**{**f, "addresses": tuple(f["addresses"])}) for f in table["files"]]
    return Asset(name=name, **{**table, "files": tuple(made)})


def _read_registry() -> dict:
    text = files("coursekit").joinpath("registry.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def fetch(name: str, *, progress: bool = True) -> Path:
    """Return where an asset lies in the cache, after getting what is missing.

    What arrives is checked before it takes its final name, so an interrupted call leaves
    nothing that a later one would take for whole. The error lists the places searched.
    """
    asset, cache = get_asset(name), cache_folder()
    pooch.get_logger().setLevel("WARNING")
    for file in asset.files:
        path, known_hash = file.final
        problem = file_problem(cache / path, known_hash)
        if problem:
            tried = [f"the cache, {cache / path}: {problem}"]
            _obtain(asset, file, cache, tried, progress=progress)
    return cache / asset.result


def find_file(name: str, *, thorough: bool = True) -> Path | None:
    """Return where an asset lies on this machine, without fetching or writing; or None.

    In the cache; else its first file in the mirror's folder, or packed in the cache, from
    which `fetch` takes it without a network. Without `thorough` no hash is compared.
    """
    asset, cache = get_asset(name), cache_folder()
    base, found = mirror(), []
    for file in asset.files:
        forms = [file.final, (file.path, file.hash)]
        places = [(cache / path, known_hash) for path, known_hash in forms]
        if isinstance(base, Path):
            places += [
                (base / path, known_hash) for path, known_hash in forms if known_hash
            ]
        whole = [p for p, h in places if file_problem(p, h, thorough=thorough) is None]
        if not whole:
            return None
        found.append((whole[0], whole[0] == places[0][0]))
    return cache / asset.result if all(here for _, here in found) else found[0][0]


def file_problem(path: Path, known_hash: str, *, thorough: bool = True) -> str | None:
    """Return what is wrong with a file, or None; a folder has its name only when whole.

    `known_hash` is ``"sha256:..."``, ``"md5:..."``, ``"sha256-prefix:..."`` (the first digits,
    which torch's hub puts in the file's name), or ``""`` where none is published.
    """
    if path.is_dir():
        return None
    if not path.is_file():
        return "not there"
    if not path.stat().st_size:
        return "damaged: it is empty"
    if not thorough or not known_hash:
        return None
    algorithm, _, wanted = known_hash.partition(":")
    digest = pooch.file_hash(str(path), alg=algorithm.removesuffix("-prefix"))
    if digest == wanted or (algorithm.endswith("-prefix") and digest.startswith(wanted)):
        return None
    return f"damaged or another version: its {algorithm} is {digest}, not {wanted}"


def download(address: str, output: str, *, progress: bool) -> None:
    """Write what stands at an ``http`` or ``https`` address to the file `output`."""
    from tqdm.auto import tqdm  # a bar for notebooks and terminals

    with tqdm(unit="B", unit_scale=True, leave=False, disable=not progress) as bar:
        pooch.HTTPDownloader(progressbar=bar if progress else False)(address, output, None)


def _obtain(
    asset: Asset, file: AssetFile, cache: Path, tried: list[str], *, progress: bool
) -> None:
    """Put a file in the cache from the first place that has it, and note those that fail."""
    final, packed = cache / file.final[0], cache / file.path
    for place, is_final in _places(file):
        target, known_hash = (final, file.final[1]) if is_final else (packed, file.hash)
        try:
            if target.is_file() and file_problem(target, known_hash):
                target.unlink()  # else pooch would take it
            pooch.retrieve(
                str(place),
                None,  # pooch knows no prefixes: the hash is compared in _bring
                fname=target.name,
                path=target.parent,
                downloader=partial(_bring, known_hash=known_hash, progress=progress),
                processor=None if target == final else partial(_unpack, file, final),
            )
        except _SOURCE_FAILS as error:
            number = getattr(error, "errno", None)
            if number in _CANNOT_STORE or isinstance(error, PermissionError):
                msg = (
                    f"{_title(asset)} cannot be stored in {cache}: {error}. Free some space, "
                    "or set COURSEKIT_CACHE to a folder that you may write to."
                )
                raise AssetError(msg) from error
            reason = "not there" if isinstance(error, FileNotFoundError) else _words(error)
            tried.append(f"{place}: {reason}")
        else:
            return
    raise AssetError(_explain(asset, file, tried))


def _places(file: AssetFile) -> Iterator[tuple[str | Path, bool]]:
    """Give the places to search after the cache, and whether each has the final form."""
    base = mirror()
    if base is not None:
        forms = [(file.unpacks_to, True)] if file.unpacked_hash else []
        for path, is_final in [*forms, (file.path, False)]:
            yield (base + path if isinstance(base, str) else base / path), is_final
    for address in file.addresses:
        yield address, False


def _bring(place: str, output: str, _: None, *, known_hash: str, progress: bool) -> None:
    """Write a file from a place to pooch's temporary one, and check it there."""
    if "://" in place:
        download(place, output, progress=progress)
    else:
        shutil.copyfile(place, output)
    if problem := file_problem(Path(output), known_hash):
        raise ValueError(problem)


def _unpack(file: AssetFile, final: Path, packed: str, action: str, _: None) -> None:
    """Unpack under a temporary name, which becomes the final one when all is there."""
    del action
    part = final.with_name(f".{final.name}.{token_hex(4)}.part")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        if file.path.endswith(".zip"):
            pooch.Unzip(extract_dir=str(part))(packed, "download", None)
        elif file.path.endswith(".tar.gz"):
            pooch.Untar(extract_dir=str(part))(packed, "download", None)
        else:
            pooch.Decompress(name=str(part))(packed, "download", None)
        if problem := file_problem(part, file.unpacked_hash):
            raise ValueError(problem)
        if not final.is_dir():  # else another process was first
            part.replace(final)
    except _SOURCE_FAILS:
        with suppress(OSError):
            Path(packed).unlink()  # so that the next place is asked
        raise
    finally:
        with suppress(OSError):
            part.unlink() if part.is_file() else shutil.rmtree(part)


def _title(asset: Asset) -> str:
    return f"{asset.title} (asset {asset.name!r}, role {asset.role!r})"


def _words(error: Exception) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words if len(words) < 160 else words[:157] + '...'}"


def _explain(asset: Asset, file: AssetFile, tried: list[str]) -> str:
    places = "\n".join(f"- {line}" for line in tried)
    forms = file.path + (f" or {file.unpacks_to}" if file.unpacked_hash else "")
    return (
        f"{_title(asset)} is not at hand. Places searched:\n{places}\n"
        f"With a network, run: coursekit fetch {asset.name}\n"
        f"Without one, set COURSEKIT_MIRROR to a folder that holds {forms}, or "
        "COURSEKIT_CACHE to a cache that was filled elsewhere by coursekit fetch.\n"
        "Without the files, unset COURSEKIT_PROFILE: the embedded profile needs none."
    )


def profile_setting() -> str:
    """Return ``"embedded"`` (drawn and bundled data, no network) or ``"real"`` (downloads)."""
    unknown = [
        name
        for name in os.environ
        if name.upper().startswith("COURSEKIT_") and not _SETTINGS.fullmatch(name)
    ]
    if unknown:
        msg = (
            f"The environment variables {', '.join(unknown)} mean nothing to coursekit. Its "
            "settings are COURSEKIT_PROFILE, _CACHE, _MIRROR, _DEVICE and _ROLE_<NAME>, all "
            "in capitals. Rename or unset them."
        )
        raise SettingsError(msg)
    profile = os.environ.get("COURSEKIT_PROFILE", "").strip().lower() or _PROFILES[0]
    if profile not in _PROFILES:
        msg = (
            f"COURSEKIT_PROFILE must be one of {', '.join(_PROFILES)}, got {profile!r}. "
            "Set it to one of them, or unset it for the embedded profile."
        )
        raise SettingsError(msg)
    return profile


def cache_folder() -> Path:
    """Return the folder for downloads: ``COURSEKIT_CACHE``, or the system's cache folder."""
    chosen = os.environ.get("COURSEKIT_CACHE", "").strip()
    return _as_path(chosen) if chosen else pooch.os_cache("coursekit")


def mirror() -> Path | str | None:
    """Return what ``COURSEKIT_MIRROR`` names: a folder, a base address, or None.

    A folder is a path (also when written as ``file://...``), a base address such as
    ``https://example.org/course/`` a str that ends in ``"/"``.
    """
    chosen = os.environ.get("COURSEKIT_MIRROR", "").strip()
    if not chosen:
        return None
    if chosen.startswith("file://"):
        return _as_path(url2pathname(urlsplit(chosen).path))
    return chosen.rstrip("/") + "/" if "://" in chosen else _as_path(chosen)


def role_variable(role: str) -> str:
    """Return the name of the environment variable that puts own files in `role`.

    Examples
    --------
    >>> role_variable("land-cover")
    'COURSEKIT_ROLE_LAND_COVER'
    """
    return _ROLE_PREFIX + role.upper().replace("-", "_")


def role_paths() -> dict[str, Path]:
    """Return the own files in roles: name, whether or not there is such a role, to path."""
    return {
        name.removeprefix(_ROLE_PREFIX).lower().replace("_", "-"): _as_path(value.strip())
        for name, value in sorted(os.environ.items())
        if name.startswith(_ROLE_PREFIX) and value.strip()
    }


def set_role_path(role: str, path: str | os.PathLike[str] | None) -> None:
    """Put `path` in `role` for this process and those it starts; None takes it away."""
    if path is None:
        os.environ.pop(role_variable(role), None)
    else:
        os.environ[role_variable(role)] = str(_as_path(path))


def data_folder() -> Path:
    """Return the folder of shipped data: tables, and the weights in ``weights/``."""
    return _find_shipped("data", package=Path(__file__).resolve().parent)


def notebooks_folder() -> Path:
    """Return the folder of lessons."""
    return _find_shipped("notebooks", package=Path(__file__).resolve().parent)


def _find_shipped(name: str, *, package: Path) -> Path:
    """Return a folder inside an installed package, or beside it in the repository."""
    shipped, beside = package / "_shipped" / name, package.parent / name
    if shipped.is_dir():
        return shipped
    # site-packages may hold a stray folder of this name: trust only a repository's.
    if beside.is_dir() and (package.parent / "pyproject.toml").is_file():
        return beside
    msg = f"The folder {name!r} is neither {shipped} nor {beside}. Install coursekit again."
    raise AssetError(msg)


def _as_path(path: str | os.PathLike[str]) -> Path:
    return Path(path).expanduser().absolute()
