"""The table of the roles that models fill, and what a user's own state dict may be.

torch is imported when a model is asked for. Nothing here reads a setting.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coursekit.assets import fetch
from coursekit.course.clip_forms import (
    CLIP_ASSETS,
    find_own_clip,
    find_real_clip,
    find_shipped_clip,
    opened,
)

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MODEL_ROLES", "ModelRole"]

OWN_STATE = (
    "a file with a state dict of one of torchvision's classifiers, after its name "
    "(resnet18:net.pth), or of the course's net"
)
OWN_TIMM = (
    "a file of weights of one of timm's models, after its name "
    "(efficientnet_lite0:net.safetensors), or a folder that timm.models.save_for_hf wrote"
)
OWN_CLIP = (
    "a folder that open_clip opens as local-dir: (open_clip_config.json and weights), or a file "
    "with weights of ViT-B-32-quickgelu"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRole:
    """What can stand in a role that a model fills.

    Parameters
    ----------
    embedded : callable
        Returns the shipped model.
    real : mapping of str to callable
        By architecture, the first being the one that is taken; each returns a model.
    own : callable
        Gets a path and returns the model whose state dict it holds.
    embedded_title, own_form : str
        In words: what is shipped, and which files can be put in.
    assets : mapping of str to str
        What each real architecture downloads, by its name in the registry.
    """

    embedded: Callable[[], "nn.Module"]
    real: Mapping[str, Callable[[], "nn.Module"]]
    own: Callable[[Path], "nn.Module"]
    embedded_title: str
    own_form: str
    assets: Mapping[str, str]


def _load_shipped(name: str) -> Callable[[], "nn.Module"]:
    def load() -> "nn.Module":
        import timm

        import coursekit.models  # noqa: F401 - registers the course's nets with timm

        return timm.create_model(name, pretrained=True).eval()

    return load


def _load_torchvision(name: str, asset: str) -> Callable[[], "nn.Module"]:
    def load() -> "nn.Module":
        from coursekit.models import build_from_state, read_state

        return build_from_state(name, read_state(fetch(asset)))

    return load


def _load_timm(name: str, asset: str) -> Callable[[], "nn.Module"]:
    def load() -> "nn.Module":
        from coursekit.models import build_from_timm_files

        return build_from_timm_files(fetch(asset), name=name)

    return load


def load_own_timm(path: Path) -> "nn.Module":
    """Return the model of timm's whose weights a file or a folder holds."""
    from coursekit.models import build_from_timm_files

    name, _, file = path.name.rpartition(":")
    return build_from_timm_files(path.with_name(file), name=name or None)


def load_own_state(path: Path) -> "nn.Module":
    """Return the model of the architecture and the file that ``resnet18:net.pth`` names."""
    from coursekit.models import build_from_state, read_state

    name, _, file = path.name.rpartition(":")
    return build_from_state(name or "coursekit_resnet8", read_state(path.with_name(file)))


MODEL_ROLES: Mapping[str, ModelRole] = {
    "backbone": ModelRole(
        embedded=_load_shipped("coursekit_resnet8"),
        real={
            "mobilenet_v2": _load_torchvision("mobilenet_v2", "mobilenet-v2"),
            "alexnet": _load_torchvision("alexnet", "alexnet"),
        },
        own=load_own_state,
        embedded_title="a small residual net, trained on the shapes world",
        own_form=OWN_STATE,
        assets={"mobilenet_v2": "mobilenet-v2", "alexnet": "alexnet"},
    ),
    "timm-backbone": ModelRole(
        embedded=_load_shipped("coursekit_resnet8"),
        real={
            "efficientnet_lite0.ra_in1k": _load_timm(
                "efficientnet_lite0.ra_in1k", "efficientnet-lite0"
            )
        },
        own=load_own_timm,
        embedded_title="the same small residual net, through timm",
        own_form=OWN_TIMM,
        assets={"efficientnet_lite0.ra_in1k": "efficientnet-lite0"},
    ),
    "clip": ModelRole(
        embedded=opened(find_shipped_clip),
        real=dict.fromkeys(CLIP_ASSETS, opened(find_real_clip)),
        own=opened(find_own_clip),
        embedded_title="a small CLIP, trained on captioned shapes",
        own_form=OWN_CLIP,
        assets=CLIP_ASSETS,
    ),
}
"""Name of each role that a model fills, and what can stand in it."""
