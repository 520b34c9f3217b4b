"""Make a stand-in of a model: the same layers, none of its memory, hooks or state.

Whatever is done with it, the model itself stays as it was. Nothing here knows what that is.
"""

import copy
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
)
from torch.nn.parameter import is_lazy
from torch.nn.utils.prune import BasePruningMethod

from coursekit.errors import SettingsError

__all__ = ["NEEDS_VALUES", "device_of", "imitate", "tensors_in", "unwrap"]

# What a stand-in without values raises where a model looks at them.
NEEDS_VALUES = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
)
_HOOKS = (
    "_backward_hooks",
    "_backward_pre_hooks",
    "_forward_hooks",
    "_forward_hooks_always_called",
    "_forward_hooks_with_kwargs",
    "_forward_pre_hooks_with_kwargs",
    "_load_state_dict_post_hooks",
    "_load_state_dict_pre_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
)
_REGISTERED = ("_buffers", "_modules", "_parameters")
_ATOMS = (bool, int, float, complex, str, bytes, type(None), type)
T = TypeVar("T")


def unwrap(model: nn.Module) -> nn.Module:
    """Return what a compiled or data-parallel `model` wraps, else `model` itself."""
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        elif "_orig_mod" in model._modules:  # what torch.compile returns
            model = model._modules["_orig_mod"]
        else:
            return model


def device_of(model: nn.Module) -> torch.device:
    """Return where the model's first parameter or buffer lies; the CPU if it has none."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def imitate(thing: T, *, fake_device: torch.device | None = None) -> T:
    """Return a copy of a model, or of a nest of tensors, that shares no memory with it.

    Parameters
    ----------
    thing : nn.Module, or tensors in tuples, lists and dicts
        A module's hooks are left out, except those of `torch.nn.utils` that compute weights.
    fake_device : torch.device, optional
        Where the copies of tensors pretend to be. They then have shapes and no values, and
        a `FakeTensorMode` must be active. Values are copied when not given.
    """
    memo: dict[int, Any] = {}
    if isinstance(thing, nn.Module):
        _check(thing)
        return _imitate_module(thing, memo, fake_device)
    _note_tensors(thing, memo, fake_device)
    return _copy_or_share(thing, memo)


def _check(model: nn.Module) -> None:
    if isinstance(model, torch.jit.ScriptModule):
        msg = (
            f"{type(model).__name__} is a script, which has no Python modules to follow. "
            "Pass the model that it was made from."
        )
        raise SettingsError(msg)
    lazy = [name for name, value in model.named_parameters() if is_lazy(value)]
    if lazy:
        msg = (
            f"The parameters {', '.join(lazy[:3])} have no shapes yet. Run the model once on "
            "an example first."
        )
        raise SettingsError(msg)


def _imitate_module(model: nn.Module, memo: dict[int, Any], device: Any) -> nn.Module:
    """Copy module by module, so that what cannot be copied in one does not stop the rest."""
    modules = list(model.modules())
    copies = [object.__new__(type(module)) for module in modules]
    memo |= {id(module): twin for module, twin in zip(modules, copies, strict=True)}
    for module in modules:
        for values in (module._parameters, module._buffers, module.__dict__):
            _note_tensors(values, memo, device)
    for module, twin in zip(modules, copies, strict=True):
        for name, value in module.__dict__.items():
            twin.__dict__[name] = _copy_field(name, value, memo)
    return copies[0]


def _copy_field(name: str, value: Any, memo: dict[int, Any]) -> Any:
    if name == "_forward_pre_hooks":
        return _kept_hooks(value, memo)
    if name in _HOOKS:
        return OrderedDict()
    if name in _REGISTERED:  # not by deepcopy, which takes half the time of the whole
        return type(value)((key, memo.get(id(part), part)) for key, part in value.items())
    return _copy_or_share(value, memo)


def _kept_hooks(hooks: Any, memo: dict[int, Any]) -> Any:
    """Return the hooks that belong to the forward pass: weight norm, pruning and so on."""
    return OrderedDict(
        (key, _copy_or_share(hook, memo))
        for key, hook in hooks.items()
        if type(hook).__module__.startswith("torch.nn.utils.")
        or isinstance(hook, BasePruningMethod)
    )


def _copy_or_share(value: Any, memo: dict[int, Any]) -> Any:
    if isinstance(value, _ATOMS):
        return value
    if type(value) in {tuple, set} and all(isinstance(part, _ATOMS) for part in value):
        return value if isinstance(value, tuple) else set(value)
    try:
        return copy.deepcopy(value, memo)
    except Exception:  # noqa: BLE001 - locks, files, generators: whatever cannot be copied
        return value


def _note_tensors(values: Any, memo: dict[int, Any], device: Any) -> None:
    """Write into `memo` what stands for each tensor."""
    for tensor in tensors_in(values):
        if id(tensor) not in memo:
            memo[id(tensor)] = _imitate_tensor(tensor, device)


def tensors_in(values: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and dicts."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, dict):
        for value in values.values():
            if not isinstance(value, _ATOMS):
                yield from tensors_in(value)
    elif isinstance(values, (tuple, list)):
        for value in values:
            if isinstance(value, _ATOMS):
                continue
            yield from tensors_in(value)


def _imitate_tensor(tensor: Tensor, device: torch.device | None) -> Tensor:
    if device is None:
        twin = tensor.detach().clone()
    elif tensor.layout is torch.strided:
        twin = torch.empty_strided(
            tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device
        )
    else:
        twin = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(twin, requires_grad=tensor.requires_grad)
    return twin.requires_grad_(tensor.requires_grad)
