"""What can stand in the role ``"clip"``: how each form is opened.

open_clip is imported when a model is asked for. Nothing here reads a setting.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from coursekit.assets import data_folder, fetch

if TYPE_CHECKING:
    from torch import nn

    from coursekit.models import ClipSource

__all__ = ["CLIP_ASSETS", "find_own_clip", "find_real_clip", "find_shipped_clip", "opened"]

CLIP_ASSETS = {"ViT-B-32-quickgelu": "clip-vit-b-32"}
"""What each real architecture downloads. Plain ``ViT-B-32`` would take the same weights and
compute other features with them: OpenAI trained with another activation."""

_ARCHITECTURE = next(iter(CLIP_ASSETS))


def find_shipped_clip() -> "ClipSource":
    """Return how to open the small CLIP that the course ships."""
    from coursekit.models import find_clip

    return find_clip(data_folder() / "weights" / "clip_small", architecture=_ARCHITECTURE)


def find_real_clip() -> "ClipSource":
    """Return how to open OpenAI's CLIP, after getting its weights."""
    from coursekit.models import find_clip

    return find_clip(fetch(CLIP_ASSETS[_ARCHITECTURE]), architecture=_ARCHITECTURE)


def find_own_clip(path: Path) -> "ClipSource":
    """Return how to open a user's own file or folder."""
    from coursekit.models import find_clip

    return find_clip(path, architecture=_ARCHITECTURE)


def opened(find: Callable[..., "ClipSource"]) -> Callable[..., "nn.Module"]:
    """Return a function that opens what `find` finds, and returns the model alone."""

    def load(*args: Path) -> "nn.Module":
        from coursekit.models import open_clip_source

        return open_clip_source(find(*args)).model

    return load
