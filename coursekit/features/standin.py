"""Make a faster stand-in of a model: normalizations folded into their convolutions.

Nothing here knows what is computed with it. The model itself stays as it was.
"""

from collections.abc import Iterator
from copy import deepcopy

import torch
from torch import nn
from torch.fx import Tracer
from torch.nn.utils.fusion import fuse_conv_bn_eval

from coursekit.errors import CourseError
from coursekit.inspection.stand_in import device_of, imitate

__all__ = ["fast_copy"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def fast_copy(
    model: nn.Module, *, device: torch.device, keep: frozenset[str] = frozenset()
) -> nn.Module:
    """Return what computes the same in evaluation mode, faster or on another device.

    It is `model` itself where nothing would be gained on its own device, where somebody
    listens to its layers, or where it cannot be copied.

    Parameters
    ----------
    model : Module
    device : torch.device
        Where the copy lies.
    keep : frozenset of str
        Layers whose own output is wanted, so that nothing is folded into them.
    """
    is_here = device_of(model) == _indexed(device)
    if _has_listeners(model) or (is_here and not _may_fold(model)):
        return model
    try:
        copied = imitate(model).eval()
    except CourseError:
        return model
    pairs = list(_foldable(copied)) if _may_fold(model) else []
    for convolution, normalization in pairs:
        if convolution not in keep:
            _fold(copied, convolution, normalization)
    copied = copied.to(device)
    if any(isinstance(layer, nn.Conv2d) for layer in copied.modules()):
        copied = copied.to(memory_format=torch.channels_last)
    return copied


def _indexed(device: torch.device) -> torch.device:
    """Return a device with its number, as tensors have it."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def _has_listeners(model: nn.Module) -> bool:
    """Return whether a module has hooks other than those of `torch.nn.utils`."""
    for module in model.modules():
        for hooks in (getattr(module, name) for name in _HOOKS):
            if any(not _is_of_torch(hook) for hook in hooks.values()):
                return True
    return False


def _is_of_torch(hook: object) -> bool:
    return type(hook).__module__.startswith("torch.nn.utils.")


def _may_fold(model: nn.Module) -> bool:
    kinds = {type(module) for module in model.modules()}
    return bool(kinds & set(_CONVOLUTIONS) and kinds & set(_NORMALIZATIONS))


def _foldable(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield (convolution, normalization) where the second alone uses the first's output."""
    modules = dict(model.named_modules(remove_duplicate=False))
    try:
        nodes = list(Tracer().trace(model).nodes)
    except Exception:  # noqa: BLE001 - a forward pass that depends on its values, and so on
        return
    calls = [node for node in nodes if node.op == "call_module"]
    ran = [id(modules[node.target]) for node in calls]
    for node in calls:
        before = node.args[0] if node.args else None
        if type(modules[node.target]) not in _NORMALIZATIONS or before not in calls:
            continue
        pair = modules[before.target], modules[node.target]
        if (
            type(pair[0]) in _CONVOLUTIONS
            and len(before.users) == 1
            and all(ran.count(id(one)) == 1 for one in pair)
            and all(_is_plain(one) for one in pair)
            and pair[1].running_var is not None
        ):
            yield before.target, node.target


def _is_plain(layer: nn.Module) -> bool:
    """Return whether its weights are as they stand, not computed by a hook."""
    has_hooks = any(getattr(layer, name) for name in _HOOKS)
    return not has_hooks and not hasattr(layer, "parametrizations")


def _fold(model: nn.Module, convolution: str, normalization: str) -> None:
    first, second = map(model.get_submodule, (convolution, normalization))
    dtype = first.weight.dtype
    # in float64: rounding the products twice would cost a digit
    folded = fuse_conv_bn_eval(deepcopy(first).double(), deepcopy(second).double())
    _put(model, convolution, folded.to(dtype))
    _put(model, normalization, nn.Identity())


def _put(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)
