"""Explain the mistakes that learners make with models, losses and batches.

Nothing here runs while training goes well, but for a few comparisons a batch.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from coursekit.errors import DataError, SettingsError, ShapeError, TrainingError

_CLASS_LOSSES = ("CrossEntropyLoss", "NLLLoss", "cross_entropy", "nll_loss")


def check_optimizer(model: nn.Module, optimizer: Any, loss: Callable) -> None:
    """Raise `TrainingError` or `SettingsError` if `optimizer` cannot train `model`."""
    own = {id(p) for p in model.parameters()}
    if not any(p.requires_grad for p in model.parameters()):
        msg = (
            f"{type(model).__name__} has only frozen parameters: there is nothing to train."
        )
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
    n = len(labels)
    shapes = tuple(logits.shape), tuple(labels.shape)
    # Of classes the loss itself refuses what does not fit.
    if n > 1 and set(shapes) == {(n, 1), (n,)} and labels.is_floating_point():
        remedy = "labels[:, None]" if labels.ndim == 1 else "labels[:, 0]"
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
) -> None:
    """Say why the loss of a batch could not be computed; at least note in `error` where."""
    name, kind = _name(loss), ShapeError
    shapes = (
        f"outputs of shape {tuple(logits.shape)}, labels of shape {tuple(labels.shape)}"
    )
    if len(logits) != len(labels):
        msg = f"{shapes}. Keep the first axis the batch: x.flatten(1), not x.view(-1, ...)."
    elif name in _CLASS_LOSSES and (logits.ndim != 2 or labels.ndim != 1):
        msg = f"{name} wants (n, n_classes) and (n,), got {shapes}: {error}"
    elif name in _CLASS_LOSSES and labels.dtype != torch.int64:
        kind = DataError
        msg = (
            f"labels are {labels.dtype}, but {name} wants class numbers as torch.int64. "
            "Convert them: labels.long()."
        )
    elif name not in _CLASS_LOSSES and logits.shape != labels.shape:
        remedy = " Give labels as labels[:, None]." if labels.ndim == 1 else ""
        msg = f"{name} wants equal shapes, got {shapes}.{remedy} ({error})"
    elif name not in _CLASS_LOSSES and not labels.is_floating_point():
        kind, msg = DataError, f"labels are {labels.dtype}; convert them: labels.float()."
    else:
        error.add_note(f"This happened in {where}.")
        return
    raise kind(f"In {where}: {msg}") from error


def explain_forward(error: Exception, model: nn.Module, inputs: Tensor, where: str) -> None:
    """Say which layer of `model` could not take what; at least note in `error` where.

    The batch goes through the model once more, to see which layer was at work.
    """
    error.add_note(f"This happened in {where}.")
    if isinstance(error, torch.OutOfMemoryError):
        return
    name, layer, given, last = _find_place(model, inputs)
    if layer is None:
        return
    shape, is_leaf = None if given is None else tuple(given.shape), not [*layer.children()]
    at = f"In {where}: an input of shape {tuple(inputs.shape)} reached layer {name!r}, {layer},"
    if "more than 1 value per channel" in str(error):
        msg = (
            f"{at} as a batch of one: {shape}. Pass drop_last=True, or another batch_size."
        )
        raise ShapeError(msg) from error
    weight = next(layer.parameters(recurse=False), None) if is_leaf else None
    if weight is not None and given is not None and given.dtype != weight.dtype:
        msg = (
            f"{at} as {given.dtype}, its weights are {weight.dtype}. Convert the inputs: "
            "inputs.float(), divided by 255 if they are brightness."
        )
        raise DataError(msg) from error
    if is_leaf and shape and (wanted := _wanted(layer, shape)):
        msg = f"{at} which wants {wanted[0]}, but gets {shape}. {wanted[1]}"
        raise ShapeError(msg) from error
    if not any(word in str(error).lower() for word in ("size", "shape", "dimension")):
        return
    if is_leaf and name:
        msg = f"{at} as {shape}, which it cannot take: {error}"
    else:
        done = f"after layer {last}" if last else "before any layer returned"
        kind = type(layer).__name__
        msg = f"In {where}: shapes do not fit {done}, in the forward of {kind}: {error}"
    raise ShapeError(msg) from error


def _name(loss: Callable) -> str:
    return getattr(loss, "__name__", type(loss).__name__)


def _find_place(
    model: nn.Module, inputs: Tensor
) -> tuple[str, nn.Module | None, Tensor | None, str]:
    """Return the innermost module that had begun and not returned, and its name and input.

    Last comes the layer that returned last, and the shape of that. No module: all went well.
    """
    began: list[tuple[str, nn.Module | None, Tensor | None]] = [("", None, None)]
    last = ""
    names = {layer: name for name, layer in model.named_modules()}

    def begin(layer: nn.Module, args: tuple) -> None:
        first = args[0] if args and isinstance(args[0], Tensor) else None
        began.append((names[layer], layer, first))

    def end(layer: nn.Module, _: Any, output: Any) -> None:
        nonlocal last
        began.pop()
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        last = f"{names[layer]!r} returned {shape}"

    handles = [layer.register_forward_pre_hook(begin) for layer in names]
    handles += [layer.register_forward_hook(end) for layer in names]
    try:
        with torch.no_grad():
            model(inputs)
    except Exception:  # noqa: BLE001 - it is known already; only the way there matters
        return *began[-1], last
    finally:
        for handle in handles:
            handle.remove()
    return "", None, None, ""


def _wanted(layer: nn.Module, shape: tuple[int, ...]) -> tuple[str, str] | None:
    """Return what `layer` wants where `shape` has another size, and a remedy."""
    if isinstance(layer, nn.Linear) and shape[-1] != layer.in_features:
        remedy = f"Make it nn.Linear({shape[-1]}, {layer.out_features})."
        if len(shape) > 2:
            remedy = "Put nn.Flatten() before it."
        return f"{layer.in_features} features", remedy
    size = getattr(layer, "in_channels", None) or getattr(layer, "num_features", None)
    if size is None or len(shape) < 2 or shape[1] == size:
        return None
    if len(shape) == 4 and shape[-1] == size:
        return f"{size} channels", "Channels come second: images.permute(0, 3, 1, 2)."
    return f"{size} channels", f"Give the images {size} channels, or the layer {shape[1]}."
