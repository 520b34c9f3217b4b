"""What a lesson gets when it asks for a CLIP: model, preprocess and tokenizer together.

The counterpart of `model_catalog` for three things at once. Nothing here knows what a lesson
does with them.
"""

from typing import TYPE_CHECKING

from coursekit.assets import profile_setting, role_paths
from coursekit.course.clip_forms import find_own_clip, find_real_clip, find_shipped_clip
from coursekit.course.model_catalog import explain_own_file
from coursekit.errors import CourseError

if TYPE_CHECKING:
    from coursekit.models import Clip, ClipSource

__all__ = ["clip", "clip_source"]

_ROLE = "clip"


def clip() -> "Clip":
    """Return what stands in the role ``"clip"``: a model of images and texts.

    It is the user's own if there is one (`use_own_files` or the environment variable
    ``COURSEKIT_ROLE_CLIP``), else the form that the profile has: the small CLIP that the course
    ships, or OpenAI's ``ViT-B-32-quickgelu``.

    Returns
    -------
    Clip
        To be taken apart: ``model, preprocess, tokenizer = course.clip()``. All three are what
        open_clip makes; the last two also say clearly what they cannot take.

    Raises
    ------
    RoleError
        If the user's own file or folder cannot be used.
    AssetError
        If the real form's file is nowhere to be had; the message lists the places searched
        and what to do.

    Examples
    --------
    >>> model, preprocess, tokenizer = clip()
    >>> model.encode_text(tokenizer(["a small red star", "a blue disc"])).shape
    torch.Size([2, 96])
    """
    from coursekit.models import open_clip_source

    source = clip_source()
    own = role_paths().get(_ROLE)
    try:
        return open_clip_source(source)
    except CourseError as error:
        if own is None:
            raise
        raise explain_own_file(_ROLE, own, error) from error


def clip_source() -> "ClipSource":
    """Return what open_clip's own calls take to open what stands in the role ``"clip"``.

    Returns
    -------
    ClipSource
        ``open_clip.create_model_and_transforms(**source.model)`` gives the model and its
        transforms, ``open_clip.get_tokenizer(**source.tokenizer)`` the tokenizer.

    Raises
    ------
    RoleError, AssetError
        As `clip`.

    Notes
    -----
    Import ``coursekit.models`` before: it tells timm, and so open_clip, of the course's image
    tower.

    Examples
    --------
    >>> sorted(clip_source().tokenizer)
    ['bpe_path', 'model_name']
    """
    own = role_paths().get(_ROLE)
    if own is not None:
        try:
            return find_own_clip(own)
        except CourseError as error:
            raise explain_own_file(_ROLE, own, error) from error
    return find_shipped_clip() if profile_setting() == "embedded" else find_real_clip()
