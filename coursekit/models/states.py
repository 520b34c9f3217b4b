"""Read a file of weights, and build the architecture that the user names for it."""

import pickle
import re
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

from coursekit.errors import SettingsError
from coursekit.models.heads import find_head

_OWN = "coursekit_resnet8"
_PREFIXES = ("module.", "_orig_mod.", "model.")  # of DataParallel, torch.compile, Lightning
_REMEDY = "Name the architecture that they are for, as in resnet18:net.pth."
_UNREADABLE = (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError)


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict that a file holds; code in it is not run.

    Parameters
    ----------
    path : path-like
        Safetensors, or what ``torch.save`` wrote: a state dict, or a checkpoint with one state
        dict in it under any name. A prefix that all names have, such as ``module.``, is
        taken off.

    Raises
    ------
    SettingsError
        If there is no such file, or it holds no state dict.
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
    except (*_UNREADABLE, OSError) as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        msg = f"{path.name} cannot be read as weights ({reason}). {remedy}"
        raise SettingsError(msg) from error
    states = [held] if _is_state(held) else []
    if isinstance(held, Mapping) and not states:
        states = [value for value in held.values() if _is_state(value)]
    if len(states) != 1:
        msg = f"{path.name} holds no state dict, which is a dict of tensors. {remedy}"
        raise SettingsError(msg)
    state = dict(states[0])
    for prefix in _PREFIXES * 2:  # they may stand behind each other
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def build_from_state(name: str, state: Mapping[str, Tensor]) -> nn.Module:
    """Return a model with these weights, in evaluation mode.

    Parameters
    ----------
    name : str
        ``"coursekit_resnet8"`` or one of torchvision's classifiers.
    state : mapping of str to Tensor of any shape
        Its head may have any number of classes.

    Returns
    -------
    Module
        With ``pretrained_cfg`` as timm's models have it: size, mean and standard deviation of
        the images it wants, and the name of its head.

    Raises
    ------
    SettingsError
        If the weights do not fit; the message names what is missing and what is too much.
    """
    # RegNet computes its widths with tensors, so it cannot be built without memory.
    place = "cpu" if name.startswith("regnet") else "meta"
    head = find_head(_build(name, state, place))
    weight = state.get(f"{head}.weight")
    n_classes = 1000 if weight is None else len(weight)
    model = _build(name, state, "cpu", num_classes=n_classes)
    _check_fits(name, model.state_dict(), state)
    whole = OrderedDict(state)
    whole._metadata = {"": model.state_dict()._metadata[""]}  # MNASNet asks for its version
    model.load_state_dict(whole)
    if name != _OWN:
        wants = torchvision.models.get_model_weights(name).DEFAULT.transforms()
        (crop,), (resize,) = wants.crop_size, wants.resize_size
        of_images = {"input_size": (3, crop, crop), "crop_pct": crop / resize}
        of_images |= {"interpolation": wants.interpolation.value}
        of_images |= {"mean": tuple(wants.mean), "std": tuple(wants.std)}
        of_net = {"architecture": name, "num_classes": n_classes, "classifier": head}
        model.pretrained_cfg = of_net | of_images
    return model.eval()


def build_from_timm_files(path: str | Path, *, name: str | None = None) -> nn.Module:
    """Return one of timm's models with the weights that a file or a folder holds.

    Parameters
    ----------
    path : path-like
        A file of weights; or a folder as timm's hub has it and ``timm.models.save_for_hf``
        writes it.
    name : str, optional
        The architecture, with or without a tag. By default the one that begins the file's
        name, as in ``efficientnet_lite0.mine.pth``, or else the course's net.

    Returns
    -------
    Module
        In evaluation mode. ``pretrained_cfg["file"]`` says where the weights lie, so that
        ``timm.create_model(..., pretrained=True, pretrained_cfg_overlay={"file": ...})``
        makes variants of it.

    Raises
    ------
    SettingsError
        If there are no such files, or the weights do not fit.
    """
    folder, overlay, options = Path(path), {}, {}
    if folder.name in ("model.safetensors", "pytorch_model.bin"):
        folder = folder.parent
    if name is None and folder.is_dir():
        name = f"local-dir:{folder}"
        found = [*folder.glob("model.safetensors"), *folder.glob("pytorch_model.bin")]
        if not (folder / "config.json").is_file() or not found:
            msg = (
                f"The folder {folder} has no config.json with model.safetensors beside it: "
                "timm.models.save_for_hf(model, folder, safe_serialization=True) writes both."
            )
            raise SettingsError(msg)
        file = found[0]
    else:
        if name is None:
            name = _named_in(folder.name)
        file, state = Path(path), read_state(path)
        config = timm.get_pretrained_cfg(name)
        head = config.classifier if config else None
        head = head if isinstance(head, str) or head is None else head[0]
        # Both numbers of classes must agree, or timm leaves out what it does not find.
        n_classes = len(state.get(f"{head}.weight", ()))
        options = {"num_classes": n_classes}
        overlay = {"file": str(file), "custom_load": False, "label_offset": 0, **options}
    try:
        model = timm.create_model(
            name, pretrained=True, pretrained_cfg_overlay=overlay or None, **options
        )
    except (*_UNREADABLE, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        msg = f"The weights in {file} do not fit timm's {name}: {reason} {_REMEDY}"
        raise SettingsError(msg) from error
    model.pretrained_cfg["file"] = str(file)
    lists = {
        key: value for key, value in model.pretrained_cfg.items() if type(value) is list
    }
    model.pretrained_cfg |= {key: tuple(value) for key, value in lists.items()}
    return model.eval()


def _named_in(file_name: str) -> str:
    """Return the longest of timm's names, with its tag if there is one, that begins it."""
    known = [*timm.list_models(), *timm.list_pretrained()]
    begun = [n for n in known if re.match(re.escape(n) + r"[._-]", file_name.lower())]
    return max(begun, key=len, default=_OWN)


def _is_state(held: Any) -> bool:
    return isinstance(held, Mapping) and all(isinstance(v, Tensor) for v in held.values())


def _check_fits(name: str, wanted: Mapping, state: Mapping) -> None:
    # Counters of batches are new in torch 0.4.
    missing = [
        k for k in wanted if k not in state and not k.endswith("num_batches_tracked")
    ]
    shapes = {
        k: (tuple(v.shape), tuple(wanted[k].shape)) for k, v in state.items() if k in wanted
    }
    told = {
        "missing": missing,
        "not in it": [key for key in state if key not in wanted],
        "of another shape": [f"{k} {a} for {b}" for k, (a, b) in shapes.items() if a != b],
    }
    if any(told.values()):
        words = [f"{what}: {', '.join(keys[:4])}" for what, keys in told.items() if keys]
        msg = f"These weights do not fit {name}: {'; '.join(words)}. {_REMEDY}"
        raise SettingsError(msg)


def _build(name: str, state: Mapping, device: str, **options: Any) -> nn.Module:
    if name in {"googlenet", "inception_v3"}:
        # Heads that help training are left out of files for use.
        has_helpers = any(key.startswith(("aux", "AuxLogits")) for key in state)
        options |= {"init_weights": False, "aux_logits": has_helpers}
    with torch.device(device):
        if name == _OWN:
            return timm.create_model(name, **options)
        return torchvision.models.get_model(name, weights=None, **options)
