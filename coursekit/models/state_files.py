"""Read a file of weights, find the architecture that it fits, and build that.

Nothing here knows of roles, or where files lie.
"""

import pickle
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
from torchvision.models import get_model_weights, list_models

from coursekit.errors import SettingsError
from coursekit.models.heads import find_head
from coursekit.models.replacing import other_heads

__all__ = ["build_from_state", "find_architecture", "read_state"]

_OWN = "coursekit_resnet8"
_NESTS = ("state_dict", "model")
_AUXILIARY = (
    "aux",
    "AuxLogits",
)  # GoogLeNet's and Inception's, left out where they are used
_LARGEST_HEAD = 4_200_000  # VGG's: 4,096 features, 1,000 classes


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict that a file holds.

    Parameters
    ----------
    path : path-like
        Safetensors, or what ``torch.save`` wrote: a state dict, or a checkpoint that has one
        under ``"state_dict"`` or ``"model"``. Code in it is not run.

    Returns
    -------
    dict of str to Tensor of any shape
        On the CPU. A ``module.`` that ``DataParallel`` put before each name is taken off.

    Raises
    ------
    SettingsError
        If there is no such file, or it holds no state dict.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"There is no file of weights at {path}."
        raise SettingsError(msg)
    try:
        state = _load(path)
    except (
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        OSError,
    ) as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        msg = (
            f"{path.name} cannot be read as weights ({reason}). Save a state dict: "
            'torch.save(model.state_dict(), "weights.pth").'
        )
        raise SettingsError(msg) from error
    for nest in _NESTS:
        if isinstance(state, Mapping) and isinstance(state.get(nest), Mapping):
            state = state[nest]
    if not isinstance(state, Mapping) or not all(
        isinstance(value, Tensor) for value in state.values()
    ):
        msg = (
            f"{path.name} holds no state dict, which is a dict of tensors. Save one: "
            'torch.save(model.state_dict(), "weights.pth").'
        )
        raise SettingsError(msg)
    return {name.removeprefix("module."): value for name, value in state.items()}


def find_architecture(state: Mapping[str, Tensor], *, hint: str = "") -> str:
    """Return the name of the architecture whose names and shapes are those of `state`.

    Parameters
    ----------
    state : mapping of str to Tensor of any shape
    hint : str, optional
        Such as the file's name: architectures named in it are tried first.

    Returns
    -------
    str
        ``"coursekit_resnet8"`` or one of torchvision's classifiers.

    Raises
    ------
    SettingsError
        If it is none of them. The head may have any number of classes.

    Examples
    --------
    >>> find_architecture(torchvision.models.squeezenet1_1().state_dict())
    'squeezenet1_1'
    """
    n_parameters = sum(
        value.numel() for name, value in state.items() if not name.startswith(_AUXILIARY)
    )
    sizes = {_OWN: 264_000} | {
        name: next(iter(get_model_weights(name))).meta["num_params"]
        for name in list_models(module=torchvision.models)
    }
    order = sorted(
        (
            n
            for n, size in sizes.items()
            if abs(size - n_parameters) < 0.2 * size + _LARGEST_HEAD
        ),
        key=lambda name: (
            -len(name) if name in hint.lower() else 0,
            abs(sizes[name] - n_parameters),
        ),
    )
    for name in order if state else ():
        if _fits(name, state):
            return name
    msg = (
        "These weights fit neither coursekit_resnet8 nor any of torchvision's classifiers. "
        f"The file's first names: {', '.join(list(state)[:4]) or 'none, it is empty'}."
    )
    raise SettingsError(msg)


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
        If the weights do not fit.
    """
    head = find_head(_build(name, state, device="meta"))
    weight = state.get(f"{head}.weight")
    n_classes = 1000 if weight is None else len(weight)
    model = _build(name, state, device="cpu", num_classes=n_classes)
    whole = OrderedDict(state)
    whole._metadata = {"": model.state_dict()._metadata[""]}  # MNASNet asks for its version
    try:
        model.load_state_dict(whole)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        msg = f"These weights do not fit {name}: {reason}"
        raise SettingsError(msg) from error
    if name != _OWN:
        model.pretrained_cfg = _torchvision_cfg(name, head, n_classes)
    return model.eval()


def _load(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return load_file(path)
    with warnings.catch_warnings():  # a file that torch did not write is told of anyway
        warnings.filterwarnings("ignore", message="Detected pickle protocol")
        return torch.load(path, map_location="cpu", weights_only=True)


def _fits(name: str, state: Mapping[str, Tensor]) -> bool:
    reference = _build(name, state, device="meta")
    wanted = reference.state_dict()
    optional = {key for key in wanted if key.endswith("num_batches_tracked")}
    if not set(wanted) - optional <= set(state) <= set(wanted):
        return False
    head = find_head(reference)
    heads = tuple(f"{part}." for part in (head, *other_heads(reference, head)))
    return all(
        value.shape == wanted[key].shape
        or (key.startswith(heads) and value.shape[1:] == wanted[key].shape[1:])
        for key, value in state.items()
    )


def _build(
    name: str, state: Mapping[str, Tensor], *, device: str, **options: Any
) -> nn.Module:
    if name in {"googlenet", "inception_v3"}:
        options["init_weights"] = False
        options["aux_logits"] = any(key.startswith(_AUXILIARY) for key in state)
    if name.startswith("regnet"):
        device = "cpu"  # it computes its widths with tensors
    with torch.device(device):
        if name == _OWN:
            return timm.create_model(name, **options)
        return torchvision.models.get_model(name, weights=None, **options)


def _torchvision_cfg(name: str, head: str, n_classes: int) -> dict[str, Any]:
    """Return what torchvision says of its own weights, in timm's words."""
    wants = get_model_weights(name).DEFAULT.transforms()
    (crop,), (resize,) = wants.crop_size, wants.resize_size
    return {
        "architecture": name,
        "input_size": (3, crop, crop),
        "crop_pct": crop / resize,
        "interpolation": wants.interpolation.value,
        "mean": tuple(wants.mean),
        "std": tuple(wants.std),
        "num_classes": n_classes,
        "classifier": head,
    }
