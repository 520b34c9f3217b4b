"""What a network costs: parameters, multiply-adds, and what it saves for backward."""

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from coursekit.errors import ShapeError
from coursekit.inspection.receptive import ONE_PIXEL, ReceptiveField

__all__ = ["count_parameters", "measure_saved_bytes", "summarize"]


def count_parameters(model: nn.Module) -> int:
    """Return how many numbers `model` holds as parameters; shared ones count once.

    Examples
    --------
    >>> count_parameters(nn.Conv2d(3, 6, kernel_size=3))
    168
    """
    return sum(parameter.numel() for parameter in model.parameters())


@dataclass(frozen=True, eq=False)
class ModelSummary:
    """What a model costs on one input: sums of the table's columns, and the table.

    Multiply-adds are those of convolutions, matrix products and attention: sums, activations,
    pooling and normalization count as nothing, as is usual. Saved bytes are what autograd keeps
    for the backward pass: each block of memory once, parameters and buffers left out.
    """

    model_name: str
    table: pd.DataFrame
    """One row a call of a module, in the order in which they begin; last, what was not called.
    Costs are those of the row without the modules that it calls. The receptive field is known
    up to where branches join, else None."""

    n_parameters = property(lambda self: int(self.table["parameters"].sum()))
    multiply_adds = property(lambda self: int(self.table["multiply_adds"].sum()))
    saved_bytes = property(lambda self: int(self.table["saved_bytes"].sum()))

    def __repr__(self) -> str:
        return (
            f"ModelSummary({self.model_name}: {self.n_parameters:,} parameters, "
            f"{self.multiply_adds:,} multiply-adds, {self.saved_bytes:,} saved bytes)"
        )

    def _repr_html_(self) -> str:
        total = dict.fromkeys(self.table, "") | {"name": "total", "type": self.model_name}
        total |= self.table.sum(numeric_only=True).to_dict()
        rows = [*self.table.to_dict("records"), total]
        shown = pd.DataFrame(rows, dtype=object).map(_text)
        shown["name"] = shown["name"].map(_indent)
        shown.iloc[-1] = "<b>" + shown.iloc[-1] + "</b>"
        shown.columns = [name.replace("_", " ") for name in shown]
        return shown.to_html(index=False, escape=False, border=0)


def _indent(name: str) -> str:
    depth = 0 if name in ("(model)", "total") else name.count(".") + 1
    return f'<div style="text-align:left;padding-left:{depth}em">{name}</div>'


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return " x ".join(map(str, value))
    if isinstance(value, int):
        return f"{value:,}" if value else "-"
    is_missing = value is None or value != value  # in a column of text pandas makes it NaN
    return "" if is_missing else escape(str(value))


def summarize(
    model: nn.Module, input_size: Sequence[int], *, batch_size: int = 1
) -> ModelSummary:
    """Return what `model` costs on one input, in all and for each call of a module.

    Parameters
    ----------
    model : nn.Module
        It is copied without its weights and never run, so it may lie on the meta device. Its
        mode counts: batch normalization and dropout save other bytes in training.
    input_size : (channels, height, width)
        Without the batch; multiply-adds and saved bytes are those of the batch.

    Examples
    --------
    >>> summarize(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), (3, 32, 32))
    ModelSummary(Sequential: 224 parameters, 194,400 multiply-adds, 41,088 saved bytes)
    """
    shape = (batch_size, *input_size)
    rows = _run(model, shape)
    # Twice, because fused attention and recurrent layers have kernels of their own on a CPU,
    # which torch's counter does not know; on the meta device they are products of matrices.
    for row, counted in zip(rows, _run(model, shape, on_meta=True), strict=True):
        row["multiply_adds"] = counted["multiply_adds"]
    return ModelSummary(type(model).__name__, pd.DataFrame(rows))


def measure_saved_bytes(
    model: nn.Module, shape: Sequence[int], *, batch_size: int = 1
) -> int:
    """Return the bytes that autograd saves for the backward pass of a batch in training.

    As for `summarize`, `shape` is without the batch, and the model is not run.

    Examples
    --------
    >>> measure_saved_bytes(nn.Sequential(nn.Linear(10, 5), nn.Sigmoid()), (10,))
    60
    """
    rows = _run(model, (batch_size, *shape), train=True)
    return sum(row["saved_bytes"] for row in rows)


def _run(
    model: nn.Module, shape: Sequence[int], *, on_meta: bool = False, train: bool = False
) -> list[dict[str, Any]]:
    """Run a copy of `model` on tensors without memory; return one row a call of a module."""
    own = [*model.parameters(), *model.buffers()]
    device = next((t.device for t in own if not t.is_meta), torch.device("cpu"))
    device = torch.device("meta") if on_meta else device
    dtype = next((p.dtype for p in own if p.is_floating_point()), torch.float32)
    # Shapes on a device where it can be: what is saved depends on the device's kernels.
    mode = nullcontext() if on_meta else FakeTensorMode(allow_non_fake_inputs=True)
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(False), torch.enable_grad(), mode:
        twin = _copy_without_values(model, device)
        if train:
            twin.train()
        inputs = torch.zeros(tuple(shape), dtype=dtype, device=device)
        calls = _Calls(twin, inputs, counter.get_total_flops)
        # What `save` returns is never asked for: there is no backward pass.
        saving = saved_tensors_hooks(calls.save, lambda nothing: nothing)
        try:
            with saving, counter if on_meta else nullcontext():
                twin(inputs)
        except (RuntimeError, ValueError, IndexError) as error:
            row = calls.running[-1][0]
            msg = (
                f"The module {row['name']!r} ({row['type']}) fails on an input of shape "
                f"{tuple(shape)}: {error}. input_size is without the batch; batch "
                "normalization in train mode needs batch_size=2 where maps are 1 x 1, or "
                "model.eval()."
            )
            raise ShapeError(msg) from error
    return calls.rows + calls.not_called()


def _copy_without_values(model: nn.Module, device: torch.device) -> nn.Module:
    """Return a copy whose tensors are empty ones on `device`, without hooks of others."""
    memo: dict[int, Any] = {}  # what deepcopy takes for a copy of each tensor
    held = [value for module in model.modules() for value in vars(module).values()]
    for tensor in (*model.parameters(), *model.buffers(), *held):
        if isinstance(tensor, Tensor):
            twin = torch.empty_like(tensor, device=device, requires_grad=False)
            if isinstance(tensor, nn.Parameter):
                twin = nn.Parameter(twin, requires_grad=tensor.requires_grad)
            memo[id(tensor)] = twin
    copied = copy.deepcopy(model, memo)
    for module in copied.modules():
        module._forward_hooks.clear()
    return copied


class _Calls:
    """The calls of a model's modules while it runs, and what each costs by itself."""

    def __init__(
        self, model: nn.Module, inputs: Tensor, count_flops: Callable[[], int]
    ) -> None:
        self.rows: list[dict[str, Any]] = []
        # Of each call that runs: its row, its input's field and shape, and flops before it.
        self.running: list[tuple[dict[str, Any], ReceptiveField | None, Any, int]] = []
        self._count_flops = count_flops
        self._n_calls: Counter[str] = Counter()
        self._counted: set[nn.Parameter] = set()
        # Blocks of memory are kept: the address of a freed one would soon be another's.
        own = (*model.parameters(), *model.buffers())
        self._blocks = {one.untyped_storage()._cdata: one.untyped_storage() for one in own}
        inputs._field = (inputs._version, ONE_PIXEL)
        self._modules = {name or "(model)": one for name, one in model.named_modules()}
        for name, module in self._modules.items():
            module.register_forward_pre_hook(partial(self._enter, name))
            module.register_forward_hook(self._leave)

    def save(self, tensor: Tensor) -> None:
        """Count what autograd saves: a view keeps the whole of its block alive."""
        block = tensor.untyped_storage()
        if block._cdata not in self._blocks:
            self._blocks[block._cdata] = block
            self.running[-1][0]["saved_bytes"] += block.nbytes()

    def not_called(self) -> list[dict[str, Any]]:
        """Return rows for the modules with parameters that no call has shown."""
        rows = [
            self._row(name, module) | {"output_shape": "not called"}
            for name, module in self._modules.items()
            if name not in self._n_calls
        ]
        return [row for row in rows if row["parameters"]]

    def _enter(self, name: str, module: nn.Module, inputs: Any) -> None:
        self._n_calls[name] += 1
        n_calls = self._n_calls[name]
        row = self._row(name if n_calls == 1 else f"{name} (call {n_calls})", module)
        self.rows.append(row)
        given = inputs[0] if inputs else None
        # The field is read now, because the layer may overwrite its input.
        of_input = (_field_of(given), getattr(given, "shape", ()))
        self.running.append((row, *of_input, self._count_flops()))

    def _leave(self, module: nn.Module, _: Any, output: Any) -> None:
        row, field, shape, n_flops = self.running.pop()
        n_new = (self._count_flops() - n_flops) // 2
        row["multiply_adds"] += n_new
        if self.running:  # it is no cost of the module that called this one
            self.running[-1][0]["multiply_adds"] -= n_new
        row["output_shape"] = _shape_of(output)
        if not isinstance(output, Tensor):
            return
        if field is not None and (after := field.after(module, shape)):
            output._field = (output._version, after)
        field = _field_of(output)
        if field is not None and field.size is None:
            row["receptive_field"] = "whole image"
        elif field is not None:
            row["receptive_field"], row["stride"] = field.size, field.stride
            row["padding"] = tuple(-start for start in field.start)

    def _row(self, name: str, module: nn.Module) -> dict[str, Any]:
        new = set(module.parameters(recurse=False)) - self._counted
        self._counted |= new
        return {
            "name": name,
            "type": type(module).__name__,
            "output_shape": None,
            "parameters": sum(p.numel() for p in new),
            "trainable": sum(p.numel() for p in new if p.requires_grad),
            "multiply_adds": 0,
            "saved_bytes": 0,
            "receptive_field": None,
            "stride": None,
            "padding": None,
        }


def _field_of(tensor: Any) -> ReceptiveField | None:
    """Return what is known of a tensor, or of what it is a view of, as after flatten."""
    for one in (tensor, getattr(tensor, "_base", None)):
        version, field = getattr(one, "_field", (None, None))
        # A tensor that was written to since may see more; a part of one, less.
        if field and version == one._version and one.numel() == tensor.numel():
            return field
    return None


def _shape_of(output: Any) -> Any:
    if isinstance(output, Tensor):
        return tuple(output.shape)
    is_several = isinstance(output, list | tuple)
    return [_shape_of(part) for part in output] if is_several else None
