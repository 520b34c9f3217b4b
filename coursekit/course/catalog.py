"""The catalog: what a lesson gets when it asks for the role ``"digits"`` or ``"photos"``.

A lesson names a role, never a file. Each role has an embedded form, which needs no network,
a real form, which is downloaded once, and takes anybody's own files instead of both.
Nothing here knows what a lesson does with the images.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from coursekit.assets import (
    find_file,
    get_asset,
    profile_setting,
    role_paths,
    role_variable,
    set_role_path,
)
from coursekit.course.model_catalog import get_model_role, load_own_model
from coursekit.course.model_roles import MODEL_ROLES
from coursekit.course.roles import ROLES, did_you_mean, get_role
from coursekit.errors import CourseError, RoleError, SettingsError

if TYPE_CHECKING:  # the data sets need torch, which is slow to import
    from coursekit.datasets import ImageSet

__all__ = [
    "RoleState",
    "dataset",
    "profile",
    "required_assets",
    "role_states",
    "use_own_files",
]

_PARTS = ("train", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleState:
    """Whether a role can be used, for ``coursekit doctor``.

    Parameters
    ----------
    role : str
    profile : str
        ``"embedded"`` or ``"real"``.
    state : str
        ``"ready"``, ``"missing"``, ``"yours"`` or ``"not usable"``.
    what : str
        What stands in the role.
    mend : str
        What to do where it is missing or not usable, else empty.
    """

    role: str
    profile: str
    state: str
    what: str
    mend: str = ""


def profile() -> str:
    """Return ``"embedded"`` or ``"real"``, as ``COURSEKIT_PROFILE`` says.

    Raises
    ------
    SettingsError
        If the variable holds anything else.
    """
    return profile_setting()


def dataset(role: str, *, part: str = "train") -> "ImageSet":
    """Return the images that stand in a role.

    These are the user's own files if there are some (`use_own_files` or the environment
    variable ``COURSEKIT_ROLE_<NAME>``), else the form that the profile has.

    Parameters
    ----------
    role : str
        ``"digits"``, ``"objects"``, ``"land-cover"``, ``"insects"`` or ``"photos"``.
    part : {"train", "test"}, default="train"
        The parts share no image, except those of ``"photos"``, which is a collection with
        one image a class: both names give all of it.

    Returns
    -------
    ImageSet
        In memory, of one size, for digits (n_images, 28, 28, 1), objects (n_images, 32, 32,
        3) and land-cover (n_images, 64, 64, 3). Real insects and photos have different
        sizes and are read from the disk when asked for.

    Raises
    ------
    RoleError
        If there is no such role, or the user's own files cannot be used.
    AssetError
        If the real form's files are nowhere to be had; the message lists the places
        searched and what to do.
    SettingsError
        If there is no such part or profile.
    """
    entry = get_role(role)
    if part not in _PARTS:
        msg = f"part must be one of {', '.join(map(repr, _PARTS))}, got {part!r}."
        raise SettingsError(msg)
    path = role_paths().get(role)
    if path is not None:
        return _load_own(role, path, part)
    return entry.real(part) if profile() == "real" else entry.embedded(part)


def use_own_files(role: str, path: str | os.PathLike[str] | None) -> None:
    """Put your own files in a role, for this process and those it starts.

    They are used as they are, without a hash, in both profiles.

    Parameters
    ----------
    role : str
        As for `dataset`.
    path : path-like or None
        A folder with one folder of images a class, in sub-folders ``train`` and ``test`` or
        not: without them a fifth of each class becomes the test part. For ``"photos"`` any
        folder of images; for ``"digits"`` also MNIST's unpacked files and for ``"objects"``
        CIFAR-10's python files. For the role of a model, a file with its state dict. None
        takes the files away again.

    Raises
    ------
    RoleError
        If there is no such role or the files cannot be used; then nothing is changed.
    """
    if role not in MODEL_ROLES:
        get_role(role)
    if path is not None:
        path = Path(path).expanduser().absolute()
        _check_own(role, path)
    set_role_path(role, path)


def required_assets(role: str) -> tuple[str, ...]:
    """Return the names of what the real form of `role` downloads.

    Parameters
    ----------
    role : str
        One of `ROLES` or `MODEL_ROLES`.

    Returns
    -------
    tuple of str
        Names that `coursekit.assets.fetch` takes.

    Raises
    ------
    RoleError
        If there is no such role.

    Examples
    --------
    >>> required_assets("digits")
    ('mnist',)
    """
    if role in MODEL_ROLES:
        return tuple(get_model_role(role).assets.values())
    return (get_role(role).asset,)


def role_states() -> tuple[RoleState, ...]:
    """Return for every role whether it can be used in either profile.

    Returns
    -------
    tuple of RoleState
        Two records a role, ``"embedded"`` and ``"real"``; where the user's own files stand in
        a role, they are looked through. At the end one for each variable
        ``COURSEKIT_ROLE_<NAME>`` that names no role.
    """
    own = role_paths()
    states = []
    for role in (*ROLES, *MODEL_ROLES):
        if role in own:
            state = _judge_own(role, own[role])
            states += [replace(state, profile=name) for name in ("embedded", "real")]
        else:
            states += [_judge_embedded(role), _judge_real(role)]
    unknown = [name for name in own if name not in ROLES and name not in MODEL_ROLES]
    return (*states, *(_judge_unknown(name, own[name]) for name in unknown))


def _check_own(role: str, path: Path) -> None:
    if role in MODEL_ROLES:
        load_own_model(role, path)
        return
    for part in _PARTS:
        _load_own(role, path, part, is_quick=True)


def _load_own(role: str, path: Path, part: str, *, is_quick: bool = False) -> "ImageSet":
    try:
        return ROLES[role].own(path, part, is_quick=is_quick)
    except CourseError as error:
        msg = (
            f"Your own files in the role {role!r}, {path}, cannot be used: {error}\n"
            f"The role takes {ROLES[role].own_form}. Mend the files, or unset "
            f"{role_variable(role)} to go without them."
        )
        raise RoleError(msg) from error


def _judge_own(role: str, path: Path) -> RoleState:
    try:
        _check_own(role, path)
    except RoleError as error:
        state, mend = "not usable", str(error)
    else:
        state, mend = "yours", ""
    return RoleState(role=role, profile="", state=state, what=str(path), mend=mend)


def _judge_embedded(role: str) -> RoleState:
    title = (MODEL_ROLES.get(role) or ROLES[role]).embedded_title
    return RoleState(role=role, profile="embedded", state="ready", what=title)


def _judge_real(role: str) -> RoleState:
    asset = get_asset(required_assets(role)[0])
    found = find_file(asset.name, thorough=False)
    if found is not None:
        what = f"{asset.title} ({found})"
        return RoleState(role=role, profile="real", state="ready", what=what)
    size = "" if asset.n_bytes is None else f" ({asset.n_bytes / 1e6:,.0f} MB)"
    return RoleState(
        role=role,
        profile="real",
        state="missing",
        what=asset.title,
        mend=(
            f"Run coursekit fetch {asset.name}{size}, or set COURSEKIT_MIRROR to a folder "
            f"that holds {asset.files[0].path}."
        ),
    )


def _judge_unknown(name: str, path: Path) -> RoleState:
    variable = role_variable(name)
    mend = (
        f"{variable} names no role.{did_you_mean(name)} The roles are: "
        f"{', '.join((*ROLES, *MODEL_ROLES))}."
    )
    return RoleState(role=name, profile="", state="not usable", what=str(path), mend=mend)
