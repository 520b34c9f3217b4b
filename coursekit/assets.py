"""Files that are downloaded once, checked and cached; and the settings that name folders.

`fetch` looks in the cache, then in the mirror, then at the addresses of ``registry.toml``;
pooch downloads, checks and unpacks. Settings stand in environment variables. Nothing is fetched on
import, and nothing here knows which roles there are or what the files mean.
"""

import errno
import os
import re
import shutil
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pooch

from coursekit.errors import AssetError, SettingsError

_SETTINGS = re.compile(
    "COURSEKIT_(PROFILE|CACHE|MIRROR|DEVICE|REAL|JITTER|STEPS|ROLE_[A-Z_]+)"
)
_ROLE_PREFIX = "COURSEKIT_ROLE_"
_CANNOT_STORE = {errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS}
_PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True, slots=True)
class AssetFile:
    """One downloadable file of an asset, and what is made of it; see ``registry.toml``."""

    path: str
    addresses: list[str]
    hash: str
    bytes: int | None = None
    unpacks_to: str = ""
    unpacked_hash: str = ""


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
    files: list[AssetFile]

    @property
    def n_bytes(self) -> int | None:
        """Bytes to download, None when a size is not known."""
        sizes = [file.bytes for file in self.files]
        return None if None in sizes else sum(sizes)

    @property
    def card(self) -> str:
        """Title, source, license and citation, for an `ImageSet`'s card."""
        return (
            f"{self.title}. Source: {self.source}. License: {self.license}. "
            f"Citation: {self.citation}."
        )


@cache
def read_registry() -> dict[str, Asset]:
    """Return all assets by name, in the registry's order."""
    tables = tomllib.loads((_PACKAGE / "registry.toml").read_text(encoding="utf-8"))
    for table in tables.values():
        table["files"] = [AssetFile(**file) for file in table["files"]]
    return {name: Asset(name=name, **table) for name, table in tables.items()}


def fetch(name: str) -> Path:
    """Return where an asset lies in the cache, after getting what is missing.

    What arrives is checked before it takes its final name, so an interrupted call leaves
    nothing that a later one would take for whole. The error lists the places searched.
    """
    asset, folder = read_registry()[name], cache_folder()
    title = f"{asset.title} (asset {asset.name!r}, role {asset.role!r})"
    for file in asset.files:
        final, tried = folder / (file.unpacks_to or file.path), []
        for place, known_hash, is_packed in _places(file):
            try:  # networks and damaged archives raise almost anything
                if place == final:
                    _check(final, known_hash)
                else:
                    _bring(file, place, known_hash, final, is_packed=is_packed)
                break
            except Exception as error:
                if getattr(error, "errno", None) in _CANNOT_STORE:
                    msg = (
                        f"{title} cannot be stored in {folder}: {error}. Free some space, or "
                        "set COURSEKIT_CACHE to a folder that you may write to."
                    )
                    raise AssetError(msg) from error
                is_missing = isinstance(error, FileNotFoundError)
                why = "not there" if is_missing else f"{type(error).__name__}: {error}"
                tried.append(f"- {place}: {why[:200]}")
        else:
            places = "\n".join(tried)
            msg = (
                f"{title} is not at hand. Places searched, first the cache:\n{places}\n"
                f"With a network, run: coursekit fetch {asset.name}\n"
                f"Without one, set COURSEKIT_MIRROR to a folder that holds {file.path}, or "
                "COURSEKIT_CACHE to a cache that was filled elsewhere by coursekit fetch.\n"
                "Without the files, unset COURSEKIT_PROFILE: the embedded profile needs none."
            )
            raise AssetError(msg)
    return folder / asset.result


def find_file(name: str) -> Path | None:
    """Return where the first file of an asset lies on this machine, unchecked, if all do.

    In the cache or the mirror's folder, from which `fetch` takes it without a network.
    """
    found = []
    for file in read_registry()[name].files:
        places = [place for place, *_ in _places(file) if isinstance(place, Path)]
        found.append(next(filter(Path.exists, places), None))
    return None if None in found else found[0]


def _places(file: AssetFile) -> list[tuple[str | Path, str, bool]]:
    """Return the places to search, with the hash of what lies there and whether it is packed."""
    packed = file.path, file.hash, bool(file.unpacks_to)
    plain = file.unpacks_to, file.unpacked_hash, False
    forms = [plain, packed] if file.unpacks_to else [packed]
    places = [(cache_folder() / path, *known) for path, *known in forms]
    if base := mirror():
        at = base.__add__ if isinstance(base, str) else base.joinpath
        # A folder has no hash: from a mirror only its archive is taken.
        places += [(at(path), *known) for path, *known in forms if any(known)]
    return places + [(address, *packed[1:]) for address in file.addresses]


def _bring(
    file: AssetFile, place: str | Path, known_hash: str, final: Path, *, is_packed: bool
) -> None:
    """Put what lies at a place in the cache, checked and unpacked."""
    from tqdm.auto import tqdm  # a bar for notebooks and terminals

    final.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=final.parent, prefix=".part-") as folder:
        brought = Path(folder, "brought")
        if isinstance(place, str):
            with tqdm(unit="B", unit_scale=True, leave=False) as bar:
                pooch.HTTPDownloader(progressbar=bar)(place, str(brought), None)
        else:
            shutil.copyfile(place, brought)
        _check(brought, known_hash)
        if is_packed:
            packed, brought = str(brought), Path(folder, "unpacked")
            unpack = pooch.Decompress(method="gzip", name=str(brought))
            if file.path.endswith((".zip", ".tar.gz")):
                kind = pooch.Unzip if file.path.endswith(".zip") else pooch.Untar
                unpack = kind(extract_dir=str(brought))
            unpack(packed, "download", None)
            _check(brought, file.unpacked_hash)
        if not final.is_dir():  # else another process was first
            brought.replace(final)


def _check(path: Path, known_hash: str) -> None:
    """Refuse a file that is not there or another one; a folder is only there when whole.

    `known_hash` is ``"sha256:..."``, ``"md5:..."``, ``"sha256-prefix:..."`` (the first digits,
    which torch's hub puts in the file's name), or ``""`` where none is published.
    """
    if path.is_dir():
        return
    algorithm, _, wanted = known_hash.partition(":")
    digest = pooch.file_hash(str(path), alg=algorithm.removesuffix("-prefix") or "sha256")
    if not digest.startswith(wanted):
        msg = f"damaged or another version: its {algorithm} is {digest}, not {wanted}"
        raise ValueError(msg)


def profile_setting() -> str:
    """Return ``"embedded"`` (drawn and bundled data, no network) or ``"real"`` (downloads)."""
    ours = [name for name in os.environ if name.upper().startswith("COURSEKIT_")]
    unknown = [name for name in ours if not _SETTINGS.fullmatch(name)]
    if unknown:
        msg = (
            f"The environment variables {', '.join(unknown)} mean nothing to coursekit. Its "
            "settings are COURSEKIT_PROFILE, _CACHE, _MIRROR, _DEVICE and _ROLE_<NAME>, all "
            "in capitals. Rename or unset them."
        )
        raise SettingsError(msg)
    profile = os.environ.get("COURSEKIT_PROFILE", "").strip().lower() or "embedded"
    if profile not in ("embedded", "real"):
        msg = f"COURSEKIT_PROFILE must be one of embedded, real, got {profile!r}."
        raise SettingsError(msg)
    return profile


def cache_folder() -> Path:
    """Return the folder for downloads: ``COURSEKIT_CACHE``, or the system's cache folder."""
    chosen = os.environ.get("COURSEKIT_CACHE", "").strip()
    return _as_path(chosen) if chosen else pooch.os_cache("coursekit")


def mirror() -> Path | str | None:
    """Return what ``COURSEKIT_MIRROR`` names: a folder, a base address (a str), or None."""
    chosen = os.environ.get("COURSEKIT_MIRROR", "").strip()
    if "://" in chosen:
        return chosen.rstrip("/") + "/"
    return _as_path(chosen) if chosen else None


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
    return _find_shipped("data")


def notebooks_folder() -> Path:
    """Return the folder of lessons."""
    return _find_shipped("notebooks")


def _find_shipped(name: str) -> Path:
    """Return a folder inside an installed package, or beside it in the repository."""
    shipped = _PACKAGE / "_shipped" / name
    return shipped if shipped.is_dir() else _PACKAGE.parent / name


def _as_path(path: str | os.PathLike[str]) -> Path:
    return Path(path).expanduser().absolute()
