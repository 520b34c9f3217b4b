"""Read a file of weights, and build the architecture that the user names for it."""

import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from coursekit.errors import SettingsError, did_you_mean
from coursekit.models.heads import find_head, replace_head

OWN = "coursekit_resnet8"
_PREFIXES = ("module.", "_orig_mod.", "model.")  # of DataParallel, torch.compile, Lightning


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict that a file holds; code in it is not run.

    Parameters
    ----------
    path : path-like
        Safetensors, or what ``torch.save`` wrote: a state dict, or a checkpoint with one state
        dict in it under any name. A prefix that all names have, such as ``module.``, is
        taken off.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"There is no file of weights at {path}."
        raise SettingsError(msg)
    remedy = 'Save a state dict: torch.save(model.state_dict(), "weights.pth").'
    try:
        with warnings.catch_warnings():  # a file that torch did not write is told of anyway
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            if path.suffix == ".safetensors":
                held = load_file(path)
            else:
                held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises almost anything
        reason = str(error).split("\n", maxsplit=1)[0]
        msg = f"{path.name} cannot be read as weights ({reason}). {remedy}"
        raise SettingsError(msg) from error
    parts = [held, *held.values()] if isinstance(held, Mapping) else []
    states = [
        part
        for part in parts
        if isinstance(part, Mapping)
        and part
        and all(isinstance(v, Tensor) for v in part.values())
    ]
    if len(states) != 1:
        msg = f"{path.name} holds no state dict, which is a dict of tensors. {remedy}"
        raise SettingsError(msg)
    state = dict(states[0])
    for prefix in _PREFIXES * 2:  # they may stand behind each other
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def build_from_state(
    name: str, state: Mapping[str, Tensor], *, is_timm: bool = False
) -> nn.Module:
    """Return a model with these weights, in evaluation mode.

    Parameters
    ----------
    name : str
        ``"coursekit_resnet8"``, one of torchvision's classifiers, or with `is_timm` one of
        timm's models, with or without a tag.
    state : mapping of str to Tensor of any shape
        Its head may have any number of classes.

    Returns
    -------
    Module
        With ``pretrained_cfg`` as timm's models have it: size, mean and standard deviation of
        the images it wants, and the name of its head.
    """
    known = (timm if is_timm else torchvision.models).list_models()
    is_known = timm.is_model(name) if is_timm else name in [*known, OWN]
    if not is_known:
        library = "timm" if is_timm else "torchvision"
        msg = f"{library} has no network {name!r}.{did_you_mean(name, known)}"
        raise SettingsError(msg)
    is_timm = is_timm or name == OWN
    if is_timm:
        model = timm.create_model(name)
    else:
        options: dict[str, Any] = {"weights": None}
        if name in {"googlenet", "inception_v3"}:
            # Heads that help training are left out of files for use.
            has_helpers = any(key.startswith(("aux", "AuxLogits")) for key in state)
            options |= {"init_weights": False, "aux_logits": has_helpers}
        model = torchvision.models.get_model(name, **options)
    head = find_head(model)
    weight = state.get(f"{head}.weight")
    if weight is not None and len(weight) != len(model.get_submodule(head).weight):
        model = replace_head(model, len(weight), seed=0)
    wanted = model.state_dict()
    counters = {key: value for key, value in wanted.items() if "num_batches" in key}
    given = OrderedDict(counters | dict(state))  # files before torch 0.4 have no counters
    given._metadata = wanted._metadata  # MNASNet reads only what says its version
    try:
        model.load_state_dict(given)
    except RuntimeError as error:
        told = "; ".join(line.strip("\t .")[:250] for line in str(error).splitlines()[1:4])
        msg = (
            f"These weights do not fit {name}: {told}. Name the architecture that they are "
            "for, as in resnet18:net.pth."
        )
        raise SettingsError(msg) from error
    if not is_timm:
        wants = torchvision.models.get_model_weights(name).DEFAULT.transforms()
        (crop,), (resize,) = wants.crop_size, wants.resize_size
        model.pretrained_cfg = {
            "architecture": name,
            "classifier": head,
            "num_classes": len(wanted[f"{head}.weight"]),
            "input_size": (3, crop, crop),
            "crop_pct": crop / resize,
            "interpolation": wants.interpolation.value,
            "mean": tuple(wants.mean),
            "std": tuple(wants.std),
        }
    return model.eval()


def build_from_timm_files(path: str | Path, *, name: str) -> nn.Module:
    """Return one of timm's models with the weights that a file or a folder holds.

    Parameters
    ----------
    path : path-like
        A file of weights, or a folder that ``timm.models.save_for_hf`` wrote.
    name : str
        The architecture of a file; a folder says its own.

    Returns
    -------
    Module
        In evaluation mode. ``pretrained_cfg["file"]`` says where the weights lie, so that
        ``timm.create_model(..., pretrained=True, pretrained_cfg_overlay={"file": ...})``
        makes variants of it.
    """
    file = path = Path(path)
    if not path.is_dir():
        model = build_from_state(name, read_state(path), is_timm=True)
    else:
        file = next(path.glob("*.safetensors"), path / "model.safetensors")
        try:
            model = timm.create_model(f"local-dir:{path}", pretrained=True).eval()
        except (SafetensorError, RuntimeError, OSError, ValueError, KeyError) as error:
            msg = (
                f"timm cannot open the folder {path} ({error}). It needs config.json and "
                "model.safetensors, as timm.models.save_for_hf(model, folder, "
                "safe_serialization=True) writes them."
            )
            raise SettingsError(msg) from error
    model.pretrained_cfg["file"] = str(file)
    return model
