"""What a lesson gets when it asks for the role ``"backbone"``: a trained model.

The counterpart of `catalog` for models. Nothing here knows what a lesson does with them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from coursekit.assets import profile_setting, role_paths, role_variable
from coursekit.course.model_roles import MODEL_ROLES, ModelRole
from coursekit.course.roles import ROLES, did_you_mean
from coursekit.errors import CourseError, RoleError, SettingsError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["explain_own_file", "get_model_role", "load_own_model", "model", "transform"]


def model(role: str = "backbone", *, architecture: str | None = None) -> "nn.Module":
    """Return the trained model that stands in a role.

    It is the user's own if there is one (`use_own_files` or the environment variable
    ``COURSEKIT_ROLE_<NAME>``), else the form that the profile has.

    Parameters
    ----------
    role : str, default="backbone"
        One of `MODEL_ROLES`.
    architecture : str, optional
        Of the real form. That of ``"backbone"`` comes in two: ``"mobilenet_v2"``, the first,
        and ``"alexnet"``.

    Returns
    -------
    Module
        A new one each time, in evaluation mode, on the CPU. Its ``pretrained_cfg`` has timm's
        words: ``input_size`` (channels, height, width), ``mean``, ``std``, ``classifier`` (the
        name of its head).

    Raises
    ------
    RoleError
        If there is no such role, or the user's own file cannot be used.
    AssetError
        If the real form's file is nowhere to be had; the message lists the places searched
        and what to do.
    SettingsError
        If the real form does not come in that architecture.

    Examples
    --------
    >>> model("backbone").pretrained_cfg["input_size"]
    (3, 32, 32)
    """
    entry = get_model_role(role)
    if architecture is not None and architecture not in entry.real:
        names = ", ".join(map(repr, entry.real))
        msg = f"The role {role!r} comes in {names} (real profile), got {architecture!r}."
        raise SettingsError(msg)
    own = role_paths().get(role)
    if own is not None:
        return load_own_model(role, own)
    if profile_setting() == "embedded":
        return entry.embedded()
    return entry.real[architecture or next(iter(entry.real))]()


def transform(role: str = "backbone") -> Callable[["Tensor"], "Tensor"]:
    """Return what turns images into inputs of the model that stands in a role.

    Parameters
    ----------
    role : str, default="backbone"
        One of `MODEL_ROLES`.

    Returns
    -------
    callable
        From images in [0, 1] of shape (B, 3, H, W), or one of shape (3, H, W), to normalized
        ones of the model's input size. Use it as ``transform=`` of
        `coursekit.datasets.make_loader`.

    Raises
    ------
    RoleError, AssetError
        As `model`.

    Notes
    -----
    Images that are larger than the input are made smaller until the model's usual crop fits,
    and their middle is cut out, as its authors evaluate it. Smaller ones are enlarged whole:
    nothing at their borders is lost.
    """
    from coursekit.transforms import fit_to_model

    return fit_to_model(model(role).pretrained_cfg)


def get_model_role(role: str) -> ModelRole:
    """Return the entry of a role, or raise a `RoleError` that lists the roles of models."""
    if role in MODEL_ROLES:
        return MODEL_ROLES[role]
    hint = (
        f" It is a role for data: course.dataset({role!r})."
        if role in ROLES
        else did_you_mean(role)
    )
    msg = (
        f"There is no role {role!r} for a model.{hint} These are: {', '.join(MODEL_ROLES)}."
    )
    raise RoleError(msg)


def load_own_model(role: str, path: Path) -> "nn.Module":
    """Return the model of a user's own file, or raise a `RoleError` that says what to do."""
    entry = get_model_role(role)
    try:
        return entry.own(path)
    except CourseError as error:
        raise explain_own_file(role, path, error) from error


def explain_own_file(role: str, path: Path, error: CourseError) -> RoleError:
    """Return the error that says why a user's own file cannot be used, and what to do."""
    entry = get_model_role(role)
    msg = (
        f"Your own file in the role {role!r}, {path}, cannot be used: {error}\n"
        f"The role takes {entry.own_form}. Mend the file, or unset {role_variable(role)} "
        "to go without it."
    )
    return RoleError(msg)
