"""Tell what a model costs: shapes, parameters, multiply-adds, saved bytes, what it sees.

A copy of the model is run once, on real values or on tensors that have shapes only. The
model itself is never run. Nothing here knows how the answer is shown.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from coursekit.errors import SettingsError, ShapeError
from coursekit.inspection.examples import Example, make_example
from coursekit.inspection.module_calls import CallTracker, ModuleCall
from coursekit.inspection.operations import OperationCounter
from coursekit.inspection.positions import PositionTracker
from coursekit.inspection.rows import make_table
from coursekit.inspection.saved import watch_saved_bytes
from coursekit.inspection.stand_in import NEEDS_VALUES, device_of, imitate, unwrap
from coursekit.inspection.steps import count_axes
from coursekit.inspection.summary import ModelSummary
from coursekit.seeds import derive_seed

__all__ = ["summarize"]


def summarize(
    model: nn.Module,
    input_size: Sequence[int] | list[Sequence[int]] | None = None,
    *,
    example: Any = None,
    batch_size: int = 1,
    device: str | None = None,
) -> ModelSummary:
    """Return what `model` costs on one input, in all and for each call of a module.

    Parameters
    ----------
    model : nn.Module
        It is copied and never run: mode, values, gradients, hooks and random state stay as
        they are, also after an error. Its hooks are not run, except those of `torch.nn.utils`
        that compute weights. Compiled and data-parallel wrappers are looked through.
    input_size : (channels, height, width), or a list of sizes, one for each input
        Without the batch. The input is random numbers of the type of the parameters.
    example : optional
        The input itself, instead of `input_size`: a tensor, a tuple of arguments, or a dict
        of keyword arguments. Anything that the model can read, such as token numbers.
    batch_size : int, default=1
        Images, with `input_size`. Multiply-adds and saved bytes are those of the batch.
    device : {None, "meta"}
        None copies the model where it is and runs the copy on real values. "meta" runs it on
        tensors that have shapes but neither memory nor values: fast for the largest model,
        with the same answer, unless the shapes depend on values. A model that lies on the
        meta device is always described so, as it would be on the CPU.

    Returns
    -------
    ModelSummary
        Its totals, and its `table` with one row for each call.

    Raises
    ------
    SettingsError
        If `model` is no module or has nothing in it, the example is on another device, the
        forward pass cannot be called so, or it needs values and there are none.
    ShapeError
        If the model cannot read an input of this shape.

    Notes
    -----
    Multiply-adds follow torch's own formulas (`torch.utils.flop_counter`) and agree with the
    ones that torchvision publishes. GPUs, and other versions of torch, may save other bytes
    for the backward pass, because their kernels differ; on "meta", the workspace of a fused
    recurrent layer is not known and left out.

    Examples
    --------
    >>> summarize(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), (3, 32, 32))
    ModelSummary(Sequential: 224 parameters, 194,400 multiply-adds, 41,088 saved bytes)
    """
    if not isinstance(model, nn.Module):
        msg = f"model must be an nn.Module, got {type(model).__name__}."
        raise SettingsError(msg)
    if device not in {None, "meta"}:
        msg = (
            f"device must be None (where the model is) or 'meta', got {device!r}. To describe "
            "the model elsewhere, move it there first: model.to(device)."
        )
        raise SettingsError(msg)
    inner = unwrap(model)
    if type(inner) in {nn.Module, nn.Sequential, nn.ModuleList, nn.ModuleDict} and not any(
        True for _ in inner.children()
    ):
        msg = f"The model has no modules: {type(inner).__name__}() is empty."
        raise SettingsError(msg)
    place = device_of(inner)
    is_fake = device == "meta" or place.type == "meta"
    with _randomness_restored(place), torch.inference_mode(False):
        example = make_example(
            inner,
            input_size,
            example,
            batch_size=batch_size,
            device=torch.device("meta") if is_fake else place,
        )
        return _run(inner, example, fake_device=_pretended(place) if is_fake else None)


def _pretended(place: torch.device) -> torch.device:
    return torch.device("cpu") if place.type == "meta" else place


def _run(
    model: nn.Module, example: Example, *, fake_device: torch.device | None
) -> ModelSummary:
    fake = (
        nullcontext() if fake_device is None else FakeTensorMode(allow_non_fake_inputs=True)
    )
    with fake:
        twin = imitate(model, fake_device=fake_device)
        args, kwargs = imitate(tuple(example), fake_device=fake_device)
        positions = PositionTracker()
        positions.start((args, kwargs), n_axes=count_axes(twin))
        calls = CallTracker(
            twin,
            on_enter=lambda call, _: positions.enter(call.module),
            on_leave=lambda call, inputs, output: _see(positions, call, inputs, output),
        )
        parameters = list(twin.parameters())
        counter = OperationCounter(calls.add_multiply_adds, parameters=parameters)
        with ExitStack() as stack:
            stack.enter_context(torch.enable_grad())
            own = [*parameters, *twin.buffers()]
            stack.enter_context(watch_saved_bytes(calls.add_saved_bytes, but=own))
            stack.enter_context(positions)
            stack.enter_context(counter)
            _call(twin, args, kwargs, calls, example)
        n_used = sum(p.numel() for p in parameters if id(p) in counter.read)
    table = make_table(twin, calls.calls)
    return ModelSummary(
        model_name=type(model).__name__,
        input_shapes=tuple(tuple(tensor.shape) for tensor in example.tensors),
        n_parameters=sum(parameter.numel() for parameter in parameters),
        n_trainable=sum(p.numel() for p in parameters if p.requires_grad),
        n_used=n_used,
        multiply_adds=int(table["multiply_adds"].sum()),
        saved_bytes=int(table["saved_bytes"].sum()),
        table=table,
    )


def _call(
    twin: nn.Module, args: tuple, kwargs: dict, calls: CallTracker, example: Example
) -> None:
    try:
        twin(*args, **kwargs)
    except NEEDS_VALUES as error:
        msg = (
            f"{_place(calls)} needs values, and on the meta device there are none: "
            f"{error}. Describe the model with device=None, where it has memory."
        )
        raise SettingsError(msg) from error
    except Exception as error:
        remedy = "input_size is without the batch; or give the input itself as example=."
        if "more than 1 value per channel" in str(error):
            remedy = (
                "Batch normalization in train mode needs batch_size=2, or model.eval()."
            )
        msg = (
            f"{_place(calls)} fails on {example}: {type(error).__name__}: {error} {remedy}"
        )
        is_shape = isinstance(error, (RuntimeError, ValueError, IndexError))
        raise (ShapeError if is_shape else SettingsError)(msg) from error


def _place(calls: CallTracker) -> str:
    last = calls.last
    if last is None:
        return "The model"
    kind = type(last.module).__name__
    return f"The module {last.name!r} ({kind})" if last.name else f"The model ({kind})"


def _see(positions: PositionTracker, call: ModuleCall, inputs: Any, output: Any) -> None:
    positions.leave(call.module, inputs, output)
    call.notes["signal"] = positions.find(output)


@contextmanager
def _randomness_restored(place: torch.device) -> Iterator[None]:
    """Seed the generators that a forward pass may use, and put them back afterwards."""
    devices = [place] if place.type == "cuda" else []
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(derive_seed(0, "summary"))
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
