"""Record what the modules of a model return, and the gradients that come back to them.

Nothing here knows what is done with the values.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import nn

from coursekit.errors import SettingsError
from coursekit.inspection.copies import Keeper
from coursekit.inspection.recorded import Recording
from coursekit.inspection.selection import Layers, choose_modules
from coursekit.inspection.slots import (
    GradientSlot,
    GradientStreamSlot,
    Slot,
    StreamSlot,
)
from coursekit.inspection.stand_in import unwrap

__all__ = ["record_activations", "record_gradients"]

Keep = Literal["values", "statistics"]


@contextmanager
def record_activations(
    model: nn.Module, layers: Layers = None, *, keep: Keep = "values"
) -> Iterator[Recording]:
    """Record what modules of `model` return while the block runs.

    Parameters
    ----------
    model : nn.Module
        A compiled one runs uncompiled inside the block, because compiled code has no
        modules; one in DataParallel must run on one device.
    layers : str, type, or several of them, optional
        A name (``"layer1.0.conv1"``), a pattern (``"layer1.*"``), a type (``nn.Conv2d``).
        Without it: every module that has no children.
    keep : {"values", "statistics"}, default="values"
        Copies of the tensors, or running statistics of them over all passes, which take no
        memory.

    Yields
    ------
    Recording
        One entry for each call of a module, in order: a module called twice has two.

    Raises
    ------
    SettingsError
        If `model` is no module or has no such layers, or nothing in it can be recorded.

    Notes
    -----
    An in-place layer such as ``nn.ReLU(inplace=True)`` overwrites the output of the layer
    before it, so a hook that keeps ``output.detach()`` ends up with wrong values in 17 of
    the 52 layers of a ResNet-18. What is kept here are copies. Gradients do not flow
    through them.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True))
    >>> with record_activations(model) as recorded:
    ...     _ = model(torch.ones(1, 2))
    >>> torch.equal(recorded["0"].relu(), recorded["1"])
    True
    """
    kind = StreamSlot if _is_statistics(keep) else Slot
    with _recording(model, layers, kind, "activations") as recording:
        yield recording


@contextmanager
def record_gradients(
    model: nn.Module, layers: Layers = None, *, keep: Keep = "values"
) -> Iterator[Recording]:
    """Record the gradients of a loss with respect to what modules of `model` return.

    Both the forward and the backward pass run inside the block.

    Parameters
    ----------
    model : nn.Module
        As for `record_activations`.
    layers : str, type, or several of them, optional
        As for `record_activations`.
    keep : {"values", "statistics"}, default="values"
        Copies of the gradients, or running statistics of them over all passes.

    Yields
    ------
    Recording
        One entry for each call of a module, in the order of the *forward* pass. It is None
        where no gradient came: outputs that the loss does not use, or that are no tensors.

    Raises
    ------
    SettingsError
        As for `record_activations`.

    Notes
    -----
    The gradient is that of the output as the module returned it, before an in-place layer
    changed it. When several backward passes go through one forward pass, values are those
    of the last one and statistics are of all. Gradients of parameters are not recorded:
    they stand in ``parameter.grad``.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True))
    >>> with record_gradients(model) as recorded:
    ...     model(torch.ones(1, 2)).sum().backward()
    >>> recorded["1"]
    tensor([[1., 1., 1.]])
    """
    kind = GradientStreamSlot if _is_statistics(keep) else GradientSlot
    with _recording(model, layers, kind, "gradients") as recording:
        yield recording


@contextmanager
def _recording(
    model: nn.Module, layers: Layers, kind: type[Slot], what: str
) -> Iterator[Recording]:
    """Fill a slot at each call of a chosen module, and leave no hook behind."""
    inside = _check(model)
    chosen = choose_modules(inside, layers)
    recording, keeper = Recording(tuple(chosen), what), Keeper()
    handles = _Handles()
    is_stream = issubclass(kind, StreamSlot)

    def begin(_: nn.Module, args: tuple, kwargs: dict) -> None:
        handles.forget_dead()
        keeper.begin_pass((args, kwargs))
        if is_stream:  # the calls of this pass add to those of the one before
            recording._restart()

    def hook_for(name: str) -> Any:
        def hook(module: nn.Module, _: Any, output: Any) -> None:
            slot = recording._slot(kind, name, type(module).__name__)
            handles.of_tensors.extend(slot.take(output, keeper))

        return hook

    with ExitStack() as stack:
        if _is_compiled(model):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.callback(handles.remove)
        own = handles.of_modules
        own.append(inside.register_forward_pre_hook(begin, with_kwargs=True, prepend=True))
        for name, module in chosen.items():
            own.append(module.register_forward_hook(hook_for(name)))
        end = inside.register_forward_hook(lambda *_: keeper.end_pass(), always_call=True)
        own.append(end)
        yield recording


class _Handles:
    """The hooks that were set, to be removed."""

    def __init__(self) -> None:
        self.of_modules: list[Any] = []
        self.of_tensors: list[Any] = []
        self._enough = 1024

    def forget_dead(self) -> None:
        """Let go of handles whose tensors are gone, so that a long training holds few."""
        if len(self.of_tensors) > self._enough:
            alive = [one for one in self.of_tensors if one.hooks_dict_ref() is not None]
            self.of_tensors, self._enough = alive, max(1024, 2 * len(alive))

    def remove(self) -> None:
        """Remove every hook."""
        for handle in (*self.of_modules, *self.of_tensors):
            handle.remove()


def _check(model: nn.Module) -> nn.Module:
    """Return the model to put hooks on."""
    if isinstance(model, torch.jit.ScriptModule):
        msg = (
            "A scripted or traced model runs outside Python, where no hook is called. Give the "
            "model that it was made from."
        )
        raise SettingsError(msg)
    if isinstance(model, nn.DataParallel) and len(model.device_ids) > 1:
        msg = (
            f"A DataParallel model runs {len(model.device_ids)} copies of each layer at the "
            "same time, so its calls have no order. Give model.module, which runs on one "
            "device."
        )
        raise SettingsError(msg)
    return unwrap(model) if isinstance(model, nn.Module) else model


def _is_compiled(model: nn.Module) -> bool:
    return any(
        "_orig_mod" in module._modules or module._compiled_call_impl is not None
        for module in model.modules()
    )


def _is_statistics(keep: str) -> bool:
    if keep not in {"values", "statistics"}:
        msg = f"keep must be 'values' or 'statistics', got {keep!r}."
        raise SettingsError(msg)
    return keep == "statistics"
