"""Build one of timm's models from a file of its weights, or from a folder as timm shares it.

Nothing here knows of roles, or where files lie.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import timm
from timm.models import PretrainedCfg
from torch import nn

from coursekit.errors import SettingsError
from coursekit.models.state_files import find_architecture, read_state

__all__ = ["build_from_timm_files"]

_CONFIG = "config.json"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


class _Files(NamedTuple):
    """What is to be built: a name that timm knows, its weights, and what differs."""

    name: str
    weights: Path
    overlay: Mapping[str, Any] = {}
    arguments: Mapping[str, Any] = {}


def build_from_timm_files(path: str | Path, *, name: str | None = None) -> nn.Module:
    """Return one of timm's models with the weights that a file or a folder holds.

    Parameters
    ----------
    path : path-like
        A file of weights (`read_state` says which) that is named after its architecture, such
        as ``efficientnet_lite0.ra_in1k.safetensors``; or a folder with ``config.json`` and
        ``model.safetensors``, as timm's hub has it and ``timm.models.save_for_hf`` writes it.
    name : str, optional
        The architecture, with or without a tag, whatever the file is called.

    Returns
    -------
    Module
        In evaluation mode. ``pretrained_cfg["file"]`` says where the weights lie, so that
        ``timm.create_model(..., pretrained=True, pretrained_cfg_overlay={"file": ...})``
        makes variants of it.

    Raises
    ------
    SettingsError
        If there are no such files, their architecture is not known to timm, or the weights
        do not fit it.
    """
    path = Path(path)
    files = _Files(name, path) if name else _look_at(path)
    state = read_state(files.weights)
    config = timm.get_pretrained_cfg(files.name)
    overlay = {
        **files.overlay,
        "file": str(files.weights),
        "custom_load": False,
    }
    head = overlay.get("classifier") or (config.classifier if config else None)
    head = head if isinstance(head, str) or head is None else head[0]
    if f"{head}.weight" in state:
        overlay["num_classes"] = len(state[f"{head}.weight"])
        overlay["label_offset"] = 0
    try:
        model = timm.create_model(
            files.name,
            pretrained=True,
            pretrained_cfg_overlay=overlay,
            **{**files.arguments, "num_classes": overlay.get("num_classes", 0)},
        )
    except (RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        msg = (
            f"The weights in {files.weights.name} do not fit timm's {files.name}: {reason}"
        )
        raise SettingsError(msg) from error
    return model.eval()


def _look_at(path: Path) -> _Files:
    folder = path.parent if path.name in _WEIGHTS else path
    if (folder / _CONFIG).is_file():
        return _look_at_folder(folder)
    if path.is_dir():
        msg = (
            f"The folder {path} has no {_CONFIG}. A folder as timm shares it has {_CONFIG} and "
            f"{_WEIGHTS[0]}: timm.models.save_for_hf(model, folder, safe_serialization=True) writes both."
        )
        raise SettingsError(msg)
    state = read_state(path)
    name = _named_in(path.name)
    if name is None:
        try:
            name = find_architecture(state, hint=path.name)
        except SettingsError:
            name = ""
        if not name.startswith("coursekit"):  # torchvision's names of layers are not timm's
            msg = (
                f"{path.name} does not say which of timm's architectures it is for. Begin its "
                "name with the architecture's, such as efficientnet_lite0.mine"
                f"{path.suffix}, or use a folder that timm.models.save_for_hf wrote."
            )
            raise SettingsError(msg)
    return _Files(name, path)


def _named_in(file_name: str) -> str | None:
    """Return the longest name of timm's, with its tag if there is one, that begins it."""
    lowered = file_name.lower()
    names = [
        n for n in timm.list_models() if lowered.startswith((f"{n}.", f"{n}_", f"{n}-"))
    ]
    if not names:
        return None
    name = max(names, key=len)
    tagged = [n for n in timm.list_pretrained(f"{name}.*") if lowered.startswith(f"{n}.")]
    return max(tagged, key=len, default=name)


def _look_at_folder(folder: Path) -> _Files:
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        name, said = config["architecture"], dict(config.get("pretrained_cfg") or {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{folder / _CONFIG} is not a configuration of timm's: {error!r}."
        raise SettingsError(msg) from error
    found = [folder / weights for weights in _WEIGHTS if (folder / weights).is_file()]
    if not found:
        msg = f"{folder} has a {_CONFIG}, but no weights: {' or '.join(_WEIGHTS)}."
        raise SettingsError(msg)
    if not timm.is_model(name):
        msg = (
            f"{folder / _CONFIG} names the architecture {name!r}, which timm does not know."
        )
        raise SettingsError(msg)
    known = {field.name for field in fields(PretrainedCfg)} - {"url", "hf_hub_id", "source"}
    overlay = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in said.items()
        if key in known
    }
    return _Files(name, found[0], overlay, dict(config.get("model_args") or {}))
