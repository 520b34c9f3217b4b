"""The registry: which files there are, where they come from, and how they are checked.

It is read from ``registry.toml`` beside this file. Nothing here opens a connection, or
knows what is in the files.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from typing import Any

from coursekit.errors import AssetError

__all__ = ["Asset", "AssetFile", "asset_names", "get_asset", "parse_registry"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AssetFile:
    """One downloadable file of an asset, and what is made of it.

    Parameters
    ----------
    path : str
        Where it lies under the cache and the mirror, with ``/`` between folders.
    addresses : tuple of str
        Tried in this order.
    hash : str
        ``"sha256:..."``, ``"md5:..."``, ``"sha256-prefix:..."`` where only its beginning is
        published, or ``""`` where nothing is.
    hash_source : str
        Where that hash is published.
    bytes : int or None
        Exact size, None where it is not known.
    verified : bool
        Whether the hash was computed from the file itself, not taken on trust.
    unpacks_to : str
        The file or folder made of it, ``""`` when it is used as it is.
    unpacked_hash, unpacked_bytes, unpacked_verified
        The same three for the unpacked file; a folder has none.
    """

    path: str
    addresses: tuple[str, ...]
    hash: str
    hash_source: str = ""
    bytes: int | None = None
    verified: bool = False
    unpacks_to: str = ""
    unpacked_hash: str = ""
    unpacked_bytes: int | None = None
    unpacked_verified: bool = False

    @property
    def final_path(self) -> str:
        """Where the file or folder that is used lies under the cache."""
        return self.unpacks_to or self.path

    @property
    def makes_folder(self) -> bool:
        """Whether it is an archive of many files, not one compressed file."""
        is_gzip = self.path.endswith(".gz") and not self.path.endswith(".tar.gz")
        return bool(self.unpacks_to) and not is_gzip


@dataclass(frozen=True, kw_only=True, slots=True)
class Asset:
    """One thing to fetch by name: a data set, or a file of weights.

    Parameters
    ----------
    name : str
        What `coursekit.assets.fetch` takes.
    title : str
        For the card, as are `source`, `license` and `citation`.
    role : str
        The role that it fills in the real profile.
    result : str
        The file or folder under the cache that `coursekit.assets.fetch` gives back.
    source, license, citation : str
        The citation gives authors, title and year.
    files : tuple of AssetFile
        All of them are needed.
    """

    name: str
    title: str
    role: str
    result: str
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
    """Return the names of all assets, in the registry's order.

    Examples
    --------
    >>> "mnist" in asset_names()
    True
    """
    return tuple(_read())


def get_asset(name: str) -> Asset:
    """Return what the registry holds under `name`.

    Parameters
    ----------
    name : str
        One of `asset_names`.

    Returns
    -------
    Asset

    Raises
    ------
    AssetError
        If there is no such name; the message lists the names.

    Examples
    --------
    >>> get_asset("eurosat").license
    'MIT'
    """
    registry = _read()
    if name not in registry:
        close = get_close_matches(name, registry, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        msg = f"There is no asset {name!r}.{hint} The assets are: {', '.join(registry)}."
        raise AssetError(msg)
    return registry[name]


def parse_registry(text: str) -> dict[str, Asset]:
    """Return the assets that a registry in TOML describes.

    Parameters
    ----------
    text : str
        As ``registry.toml``: one table an asset, an array ``files`` in each.

    Returns
    -------
    dict of str to Asset
    """
    return {name: _make_asset(name, table) for name, table in tomllib.loads(text).items()}


def _make_asset(name: str, table: Mapping[str, Any]) -> Asset:
    made = tuple(
        AssetFile(**{**file, "addresses": tuple(file["addresses"])})
        for file in table["files"]
    )
    return Asset(name=name, **{**table, "files": made})


def _read() -> dict[str, Asset]:
    text = files("coursekit.assets").joinpath("registry.toml").read_text(encoding="utf-8")
    return parse_registry(text)
