"""Settings that a user makes outside the notebooks: profile, cache, mirror, own files.

They stand in environment variables, which only this module and `coursekit.devices` read:
``COURSEKIT_PROFILE``, ``COURSEKIT_CACHE``, ``COURSEKIT_MIRROR`` and
``COURSEKIT_ROLE_<NAME>``. Nothing here knows which roles there are, or opens a file.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pooch

from coursekit.errors import SettingsError

__all__ = [
    "PROFILES",
    "cache_folder",
    "mirror",
    "profile_setting",
    "role_paths",
    "role_variable",
    "set_role_path",
]

PROFILES = ("embedded", "real")
_ROLE_PREFIX = "COURSEKIT_ROLE_"


def profile_setting() -> str:
    """Return the chosen profile, ``"embedded"`` unless ``COURSEKIT_PROFILE`` says otherwise.

    Returns
    -------
    str
        ``"embedded"``: drawn and bundled data, no network. ``"real"``: downloaded data.

    Raises
    ------
    SettingsError
        If the variable holds anything else.
    """
    profile = os.environ.get("COURSEKIT_PROFILE", "").strip().lower() or PROFILES[0]
    if profile not in PROFILES:
        msg = (
            f"COURSEKIT_PROFILE must be one of {', '.join(PROFILES)}, got {profile!r}. "
            "Set it to one of them, or unset it for the embedded profile."
        )
        raise SettingsError(msg)
    return profile


def cache_folder() -> Path:
    """Return the folder for downloads: ``COURSEKIT_CACHE``, or the system's cache folder.

    The folder need not exist yet.
    """
    chosen = os.environ.get("COURSEKIT_CACHE", "").strip()
    return _as_path(chosen) if chosen else pooch.os_cache("coursekit")


def mirror() -> Path | str | None:
    """Return what ``COURSEKIT_MIRROR`` names: a folder, a base address, or None.

    Returns
    -------
    Path, str or None
        A path for a folder (also when written as ``file://...``), a str that ends in
        ``"/"`` for a base address such as ``https://example.org/course/``.
    """
    chosen = os.environ.get("COURSEKIT_MIRROR", "").strip()
    if not chosen:
        return None
    if chosen.startswith("file://"):
        return _as_path(url2pathname(urlsplit(chosen).path))
    return chosen.rstrip("/") + "/" if "://" in chosen else _as_path(chosen)


def role_variable(role: str) -> str:
    """Return the name of the environment variable that puts own files in `role`.

    Parameters
    ----------
    role : str
        Such as ``"land-cover"``.

    Returns
    -------
    str

    Examples
    --------
    >>> role_variable("land-cover")
    'COURSEKIT_ROLE_LAND_COVER'
    """
    return _ROLE_PREFIX + role.upper().replace("-", "_")


def role_paths() -> dict[str, Path]:
    """Return the own files in roles: role name to path, from ``COURSEKIT_ROLE_<NAME>``.

    Names are given as the variables spell them, whether or not there is such a role.
    """
    return {
        name.removeprefix(_ROLE_PREFIX).lower().replace("_", "-"): _as_path(value.strip())
        for name, value in sorted(os.environ.items())
        if name.startswith(_ROLE_PREFIX) and value.strip()
    }


def set_role_path(role: str, path: str | os.PathLike[str] | None) -> None:
    """Put `path` in `role` for this process and those it starts; None takes it away.

    Parameters
    ----------
    role : str
        A role's name, such as ``"land-cover"``.
    path : path-like or None
        Kept as an absolute path, so that a later change of folder does not matter.
    """
    if path is None:
        os.environ.pop(role_variable(role), None)
    else:
        os.environ[role_variable(role)] = str(_as_path(path))


def _as_path(path: str | os.PathLike[str]) -> Path:
    return Path(path).expanduser().absolute()
