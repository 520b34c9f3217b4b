"""Explain the mistakes that learners make with models, losses and batches.

Nothing here runs while training goes well, but for a few comparisons a batch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from coursekit.errors import DataError, SettingsError, ShapeError, TrainingError

__all__ = ["explain_forward"]

_CLASS_LOSSES = ("CrossEntropyLoss", "NLLLoss", "cross_entropy", "nll_loss")


def check_optimizer(model: nn.Module, optimizer: Any, loss: Callable) -> None:
    """Raise `TrainingError` or `SettingsError` if `optimizer` cannot train `model`."""
    own = {id(p) for p in model.parameters()}
    if not any(p.requires_grad for p in model.parameters()):
        why = "has only frozen parameters" if own else "has no parameters"
        msg = f"{type(model).__name__} {why}, so there is nothing to train."
        raise TrainingError(msg)
    if isinstance(optimizer, torch.optim.LBFGS):
        msg = "LBFGS computes the loss several times a step; take SGD, Adam or AdamW."
        raise SettingsError(msg)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    allowed = own | {id(p) for p in getattr(loss, "parameters", list)()}
    n_foreign = sum(p not in allowed for p in held)
    if n_foreign or not own & set(held):
        msg = (
            f"The optimizer must hold parameters of the model it trains, but {n_foreign} of "
            f"its {len(held)} belong to something else. Make it from this model, after its "
            "layers are final: torch.optim.Adam(model.parameters())."
        )
        raise TrainingError(msg)


def check_batch(batch: Any, where: str) -> tuple[Tensor, Tensor]:
    """Return inputs and labels, or raise `DataError` if `batch` is no pair of tensors."""
    given = type(batch).__name__
    if isinstance(batch, tuple | list) and len(batch) == 2:
        inputs, labels = batch
        given = f"({type(inputs).__name__}, {type(labels).__name__})"
        if isinstance(inputs, Tensor) and isinstance(labels, Tensor):
            if len(inputs) == len(labels) > 0:
                return inputs, labels
            given = f"{len(inputs)} inputs with {len(labels)} labels"
    msg = f"In {where}: a batch is a pair of tensors (inputs, labels) of one length, got {given}."
    raise DataError(msg)


def logits_of(outputs: Any, where: str) -> Tensor:
    """Return what the model put out, or the first of several; raise where it is no tensor."""
    logits = outputs[0] if isinstance(outputs, tuple | list) and outputs else outputs
    if not isinstance(logits, Tensor):
        msg = (
            f"In {where}: the model must return logits as a tensor, or a tuple that begins "
            f"with them, got {type(outputs).__name__}. Wrap it in a module whose forward "
            "returns the part that is trained."
        )
        raise DataError(msg)
    return logits


def check_shapes(logits: Tensor, labels: Tensor, where: str) -> None:
    """Raise where a column and a row would silently become a matrix of all pairs."""
    column, row = (len(labels), 1), (len(labels),)
    shapes = tuple(logits.shape), tuple(labels.shape)
    if len(labels) > 1 and shapes in ((column, row), (row, column)):
        if not labels.is_floating_point():
            return  # classes: the loss itself refuses what does not fit
        remedy = "labels[:, None]" if shapes[1] == row else "labels[:, 0]"
        msg = (
            f"In {where}: outputs of shape {shapes[0]} and labels of shape {shapes[1]} would "
            f"be compared each with each. Give labels as {remedy}."
        )
        raise ShapeError(msg)


def check_labels(logits: Tensor, labels: Tensor, loss: Callable, where: str) -> None:
    """Raise `DataError` if a class is no column of `logits`. Reads the labels."""
    if labels.ndim != 1 or labels.is_floating_point() or logits.ndim != 2:
        return
    if logits.shape[1] == 1 and _name(loss) not in _CLASS_LOSSES:
        return  # yes or no
    wrong = (labels < 0) | (labels >= logits.shape[1])
    wrong &= labels != getattr(loss, "ignore_index", -100)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        msg = (
            f"In {where}: label {int(labels[row])} (row {row}) is outside the model's "
            f"{logits.shape[1]} logits, which stand for labels 0 .. {logits.shape[1] - 1}. "
            "Give the last layer one output for each class, or count labels from 0."
        )
        raise DataError(msg)


def explain_loss(
    error: Exception, logits: Tensor, labels: Tensor, loss: Callable, where: str
) -> Exception:
    """Return what to raise when the loss of a batch could not be computed."""
    name = _name(loss)
    shapes = (
        f"outputs of shape {tuple(logits.shape)}, labels of shape {tuple(labels.shape)}"
    )
    if len(logits) != len(labels):
        msg = (
            f"In {where}: {shapes}. Every input needs one row of outputs: keep the first axis "
            "the batch, x.flatten(1), not x.view(-1, ...)."
        )
        return ShapeError(msg)
    if name in _CLASS_LOSSES:
        if logits.ndim != 2 or labels.ndim != 1:
            msg = f"In {where}: {name} wants (n, n_classes) and (n,), got {shapes}: {error}"
            return ShapeError(msg)
        if labels.dtype != torch.int64:
            msg = (
                f"In {where}: labels are {labels.dtype}, but {name} wants class numbers as "
                "torch.int64. Convert them: labels.long()."
            )
            return DataError(msg)
    elif logits.shape != labels.shape:
        remedy = " Give labels as labels[:, None]." if labels.ndim == 1 else ""
        msg = f"In {where}: {name} wants equal shapes, got {shapes}.{remedy} ({error})"
        return ShapeError(msg)
    elif not labels.is_floating_point():
        msg = f"In {where}: labels are {labels.dtype}; convert them: labels.float()."
        return DataError(msg)
    return with_place(error, where)


def explain_forward(
    error: Exception, model: nn.Module, inputs: Tensor, where: str
) -> Exception:
    """Return what to raise when `model` could not take `inputs`.

    The batch goes through the model once more, to see which layer was at work.
    """
    place = (
        None if isinstance(error, torch.OutOfMemoryError) else _find_place(model, inputs)
    )
    if place is None:
        return with_place(error, where)
    layer, shape = place.layer, place.shape
    at = f"In {where}: an input of shape {tuple(inputs.shape)} reached layer {place.name!r}"
    if "more than 1 value per channel" in str(error):
        msg = (
            f"{at} ({type(layer).__name__}) as a batch of one: {shape}. In training it needs "
            "several values for each channel. Pass drop_last=True, or another batch_size."
        )
        return ShapeError(msg)
    is_leaf = next(layer.children(), None) is None
    weight = next(layer.parameters(recurse=False), None) if is_leaf else None
    if weight is not None and place.dtype != weight.dtype:
        msg = (
            f"{at} as {place.dtype}, its weights are {weight.dtype}. Convert the inputs: "
            "inputs.float(), divided by 255 if they are brightness."
        )
        return DataError(msg)
    if is_leaf and (wanted := _wanted(layer, shape)):
        return ShapeError(
            f"{at}, {layer}, which wants {wanted[0]}, but gets {shape}. {wanted[1]}"
        )
    if not any(word in str(error).lower() for word in ("size", "shape", "dimension")):
        return with_place(error, where)
    if is_leaf and place.name:
        return ShapeError(f"{at}, {layer}, as {shape}, which it cannot take: {error}")
    done = f"after layer {place.last}" if place.last else "before any layer returned"
    msg = f"In {where}: shapes do not fit {done}, in the forward of {type(layer).__name__}: {error}"
    return ShapeError(msg)


def _name(loss: Callable) -> str:
    return getattr(loss, "__name__", type(loss).__name__)


def with_place(error: Exception, where: str) -> Exception:
    """Return `error` with a note of the batch it came from."""
    error.add_note(f"This happened in {where}.")
    return error


class _Place(NamedTuple):
    name: str
    layer: nn.Module
    shape: tuple[int, ...]
    dtype: torch.dtype | None
    last: str
    """The layer that returned last, and the shape of what it returned."""


def _find_place(model: nn.Module, inputs: Tensor) -> _Place | None:
    """Return the innermost module that had begun and not returned; None: all went well."""
    began: list[_Place] = []
    last = ""

    def begin(name: str, layer: nn.Module, args: tuple) -> None:
        first = args[0] if args and isinstance(args[0], Tensor) else None
        shape, dtype = (None, None) if first is None else (tuple(first.shape), first.dtype)
        began.append(_Place(name, layer, shape, dtype, ""))

    def end(name: str, output: Any) -> None:
        nonlocal last
        began.pop()
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        last = f"{name!r} returned {shape}"

    handles = []
    for name, layer in model.named_modules():
        before = lambda m, args, name=name: begin(name, m, args)  # noqa: E731
        after = lambda _, __, output, name=name: end(name, output)  # noqa: E731
        handles += [
            layer.register_forward_pre_hook(before),
            layer.register_forward_hook(after),
        ]
    try:
        with torch.no_grad():
            model(inputs)
    except Exception:  # noqa: BLE001 - it is known already; only the way there matters
        return began[-1]._replace(last=last) if began else None
    finally:
        for handle in handles:
            handle.remove()
    return None


def _wanted(layer: nn.Module, shape: tuple[int, ...] | None) -> tuple[str, str] | None:
    """Return what `layer` wants where `shape` has another size, and a remedy."""
    if shape is None:
        return None
    if isinstance(layer, nn.Linear) and shape[-1:] != (layer.in_features,):
        remedy = (
            "Put nn.Flatten() before it."
            if len(shape) > 2
            else f"Make it nn.Linear({shape[-1]}, {layer.out_features}), or change the size of "
            "the images."
        )
        return f"{layer.in_features} features", remedy
    size = getattr(layer, "in_channels", None) or getattr(layer, "num_features", None)
    if size is None or len(shape) < 2 or shape[1] == size:
        return None
    if len(shape) == 4 and shape[-1] == size:
        return f"{size} channels", "Channels come second: images.permute(0, 3, 1, 2)."
    return f"{size} channels", f"Give the images {size} channels, or the layer {shape[1]}."
