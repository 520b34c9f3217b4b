"""Make a faster stand-in of a model: normalizations folded into their convolutions.

Nothing here knows what is computed with it. The model itself stays as it was.
"""

from collections.abc import Iterator
from copy import deepcopy

import torch
from torch import Tensor, nn
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
    modules = list(model.modules())
    has_convolutions = any(type(module) in _CONVOLUTIONS for module in modules)
    return has_convolutions and any(map(_is_normalization, modules))


def _foldable(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield (convolution, normalization) where the second alone uses the first's output."""
    modules = dict(model.named_modules(remove_duplicate=False))
    try:
        nodes = list(_Tracer().trace(model).nodes)
    except Exception:  # noqa: BLE001 - a forward pass that depends on its values, and so on
        return
    calls = [node for node in nodes if node.op == "call_module"]
    ran = [id(modules[node.target]) for node in calls]
    for node in calls:
        before = node.args[0] if node.args else None
        if not _is_normalization(modules[node.target]) or before not in calls:
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


class _Tracer(Tracer):
    """Follows the forward pass down to layers, timm's normalizations among them."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return _is_normalization(module) or super().is_leaf_module(module, name)


def _is_normalization(layer: nn.Module) -> bool:
    return type(layer) in _NORMALIZATIONS or _has_activation(layer)


def _has_activation(layer: nn.Module) -> bool:
    """Return whether it is timm's batch normalization with an activation behind it."""
    return isinstance(layer, nn.BatchNorm2d) and type(layer).__name__ == "BatchNormAct2d"


class _Rest(nn.Module):
    """What is left of timm's batch normalization, under the same names."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.drop, self.act = layer.drop, layer.act

    def forward(self, maps: Tensor) -> Tensor:
        return self.act(self.drop(maps))


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
    rest = _Rest(second) if _has_activation(second) else nn.Identity()
    _put(model, normalization, rest)


def _put(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)
