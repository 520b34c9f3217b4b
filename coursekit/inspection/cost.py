"""What a network costs: parameters, multiply-adds, and what it saves for backward."""

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
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
from coursekit.inspection.receptive import ReceptiveField, one_pixel

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
    """What a model costs on one input.

    Multiply-adds are those of convolutions, matrix products and attention: sums, activations,
    pooling and normalization count as nothing, as is usual. Saved bytes are what autograd keeps
    for the backward pass: each block of memory once, parameters and buffers left out.
    """

    model_name: str
    n_parameters: int
    n_trainable: int
    multiply_adds: int
    saved_bytes: int
    table: pd.DataFrame
    """One row a call of a module, in the order in which they begin; last, what was not called
    (call 0). Costs are those of the row without the modules that it calls, so that columns add
    up to the totals. The receptive field is known up to where branches join, else None."""

    def __repr__(self) -> str:
        return (
            f"ModelSummary({self.model_name}: {self.n_parameters:,} parameters, "
            f"{self.multiply_adds:,} multiply-adds, {self.saved_bytes:,} saved bytes)"
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{title}</th>" for title in _HTML_COLUMNS.values())
        rows = "".join(_html_row(row) for row in self.table.to_dict("records"))
        total = [f"<b>{escape(self.model_name)}, total</b>", "", ""]
        total += [f"<b>{getattr(self, name):,}</b>" for name in _TOTALS]
        last = "".join(f"<td>{cell}</td>" for cell in [*total, "", "", ""])
        return (
            "<table><thead><tr>"
            f"{head}</tr></thead><tbody>{rows}<tr>{last}</tr></tbody></table>"
        )


_TOTALS = ("n_parameters", "n_trainable", "multiply_adds", "saved_bytes")
_HTML_COLUMNS = {
    "name": "module",
    "type": "type",
    "output_shape": "output shape",
    "parameters": "parameters",
    "trainable": "trainable",
    "multiply_adds": "multiply-adds",
    "saved_bytes": "saved bytes",
    "receptive_field": "receptive field",
    "stride": "stride",
    "padding": "padding",
}


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
        Without the batch.
    batch_size : int, default=1
        Multiply-adds and saved bytes are those of the batch.

    Raises
    ------
    ShapeError
        If the model cannot read an input of this shape.

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
    table = pd.DataFrame(rows).astype({"output_shape": object})
    parameters = list(model.parameters())
    return ModelSummary(
        model_name=type(model).__name__,
        n_parameters=count_parameters(model),
        n_trainable=sum(p.numel() for p in parameters if p.requires_grad),
        multiply_adds=int(table["multiply_adds"].sum()),
        saved_bytes=int(table["saved_bytes"].sum()),
        table=table,
    )


def measure_saved_bytes(
    model: nn.Module, shape: Sequence[int], *, batch_size: int = 1
) -> int:
    """Return the bytes that autograd saves for the backward pass of a batch in training.

    Parameters
    ----------
    model : nn.Module
        It is copied without its weights and never run.
    shape : (channels, height, width)
        Of one image.
    batch_size : int, default=1

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
    device = own[0].device if own else torch.device("cpu")
    if on_meta or device.type == "meta":
        device = torch.device("meta" if on_meta else "cpu")
    dtype = next((p.dtype for p in own if p.is_floating_point()), torch.float32)
    counter = FlopCounterMode(display=False)
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.random.fork_rng(devices=[]))
        if not on_meta:  # shapes on a device: what is saved depends on its kernels
            stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        twin = _copy_without_values(model, device)
        twin.train(train or twin.training)
        inputs = torch.zeros(tuple(shape), dtype=dtype, device=device)
        calls = _Calls(twin, inputs, counter.get_total_flops)
        # What `save` returns is never asked for: there is no backward pass.
        stack.enter_context(saved_tensors_hooks(calls.save, lambda nothing: nothing))
        if on_meta:
            stack.enter_context(counter)
        try:
            twin(inputs)
        except (RuntimeError, ValueError, IndexError) as error:
            msg = (
                f"{calls.place()} fails on an input of shape {tuple(shape)}: {error}. "
                "input_size is without the batch; batch normalization in train mode needs "
                "batch_size=2 where maps are 1 x 1, or model.eval()."
            )
            raise ShapeError(msg) from error
    return calls.rows + calls.not_called(twin)


def _copy_without_values(model: nn.Module, device: torch.device) -> nn.Module:
    """Return a copy whose tensors are empty ones on `device`, without hooks of others."""
    memo: dict[int, Any] = {}  # what deepcopy takes for a copy of each tensor
    held = [value for module in model.modules() for value in vars(module).values()]
    for tensor in (*model.parameters(), *model.buffers(), *held):
        if isinstance(tensor, Tensor) and id(tensor) not in memo:
            twin = torch.empty_strided(
                tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device
            )
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
        self._open: list[dict[str, Any]] = []
        self._given: list[tuple[ReceptiveField | None, Sequence[int]]] = []
        self._count_flops, self._n_flops = count_flops, 0
        self._n_calls: Counter[str] = Counter()
        self._counted: set[int] = set()
        # Blocks of memory are kept: the address of a freed one would soon be another's.
        own = (*model.parameters(), *model.buffers())
        self._blocks = {one.untyped_storage()._cdata: one.untyped_storage() for one in own}
        self._fields: dict[int, tuple[Tensor, int, ReceptiveField]] = {}
        self._note_field(inputs, one_pixel(model))
        for name, module in model.named_modules():
            module.register_forward_pre_hook(partial(self._enter, name))
            module.register_forward_hook(self._leave)

    def place(self) -> str:
        """Say which module is running."""
        row = self._open[-1] if self._open else {"name": "(model)", "type": "?"}
        return f"The module {row['name']!r} ({row['type']})"

    def save(self, tensor: Tensor) -> None:
        """Count what autograd saves: a view keeps the whole of its block alive."""
        block = tensor.untyped_storage()
        if block._cdata not in self._blocks:
            self._blocks[block._cdata] = block
            self._open[-1]["saved_bytes"] += block.nbytes()

    def not_called(self, model: nn.Module) -> list[dict[str, Any]]:
        """Return rows for the modules with parameters that no call has shown."""
        uncalled = [
            self._row(name, module, call=0, depth=name.count(".") + 1)
            for name, module in model.named_modules()
            if not self._n_calls[name]
        ]
        return [row for row in uncalled if row["parameters"]]

    def _enter(self, name: str, module: nn.Module, inputs: Any) -> None:
        self._settle()
        self._n_calls[name] += 1
        row = self._row(name, module, call=self._n_calls[name], depth=len(self._open))
        self.rows.append(row)
        self._open.append(row)
        given = inputs[0] if inputs else None  # its field now: the layer may overwrite it
        self._given.append((self._field_of(given), getattr(given, "shape", ())))

    def _leave(self, module: nn.Module, _: Any, output: Any) -> None:
        self._settle()
        row, (field, shape) = self._open.pop(), self._given.pop()
        row["output_shape"] = _shape_of(output)
        if not isinstance(output, Tensor):
            return
        if field is not None and (after := field.after(module, shape)):
            self._note_field(output, after)
        field = self._field_of(output)
        if field is not None and field.size is None:
            row["receptive_field"] = "whole image"
        elif field is not None:
            row["receptive_field"], row["stride"] = field.size, field.stride
            row["padding"] = tuple(-start for start in field.start)

    def _settle(self) -> None:
        """Add what was computed since this was called last to the call that is running."""
        n_flops = self._count_flops()
        if self._open:
            self._open[-1]["multiply_adds"] += (n_flops - self._n_flops) // 2
        self._n_flops = n_flops

    def _row(
        self, name: str, module: nn.Module, *, call: int, depth: int
    ) -> dict[str, Any]:
        new = [p for p in module.parameters(recurse=False) if id(p) not in self._counted]
        self._counted |= {id(p) for p in new}
        return {
            "name": name or "(model)",
            "type": type(module).__name__,
            "call": call,
            "depth": depth,
            "output_shape": None,
            "parameters": sum(p.numel() for p in new),
            "trainable": sum(p.numel() for p in new if p.requires_grad),
            "multiply_adds": 0,
            "saved_bytes": 0,
            "receptive_field": None,
            "stride": None,
            "padding": None,
        }

    def _note_field(self, tensor: Tensor, field: ReceptiveField) -> None:
        self._fields[id(tensor)] = (tensor, tensor._version, field)

    def _field_of(self, tensor: Any) -> ReceptiveField | None:
        """Return what is known of a tensor, or of what it is a view of, as after flatten."""
        for one in (tensor, getattr(tensor, "_base", None)):
            known = self._fields.get(id(one))
            # A tensor that was written to since may see more; a part of one, less.
            if known and known[1] == one._version and one.numel() == tensor.numel():
                return known[2]
        return None


def _shape_of(output: Any) -> Any:
    if isinstance(output, Tensor):
        return tuple(output.shape)
    if isinstance(output, dict):
        return {name: _shape_of(value) for name, value in output.items()}
    return (
        [_shape_of(part) for part in output] if isinstance(output, list | tuple) else None
    )


def _html_row(row: dict[str, Any]) -> str:
    cells = []
    for column in _HTML_COLUMNS:
        text, style = escape(_text(row[column])), ""
        if column == "name":
            style = f' style="text-align:left;padding-left:{row["depth"] + 0.5}em"'
            text += f" (call {row['call']})" if row["call"] > 1 else ""
        if column == "output_shape" and row["call"] == 0:
            text = "not called"
        cells.append(f"<td{style}>{text}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return " x ".join(map(str, value))
    if isinstance(value, int):
        return f"{value:,}" if value else "-"
    return str(value)
