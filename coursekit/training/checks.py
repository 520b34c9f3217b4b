"""Explain the mistakes that learners make with models, losses and batches."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.optim.lr_scheduler import ReduceLROnPlateau

from coursekit.errors import DataError, ShapeError, TrainingError

_CLASS_LOSSES = ("CrossEntropyLoss", "NLLLoss", "cross_entropy", "nll_loss")


def check_optimizer(
    model: nn.Module, optimizer: Any, scheduler: Any, loss: Callable
) -> None:
    """Raise `TrainingError` if `optimizer` or `scheduler` cannot serve the training of `model`."""
    own = [*model.parameters(), *getattr(loss, "parameters", list)()]
    held = [p for group in optimizer.param_groups for p in group["params"]]
    n_foreign = len({id(p) for p in held} - {id(p) for p in own})
    if n_foreign or not any(p.requires_grad for p in held):
        n_frozen = sum(not p.requires_grad for p in held)
        msg = (
            f"The optimizer must hold parameters of the model it trains, but of its {len(held)}"
            f" {n_foreign} belong to something else and {n_frozen} are frozen. Make it from "
            "this model, after its layers are final: torch.optim.Adam(model.parameters())."
        )
        raise TrainingError(msg)
    if isinstance(optimizer, torch.optim.LBFGS):
        msg = "LBFGS computes the loss several times a step; take SGD, Adam or AdamW."
        raise TrainingError(msg)
    if getattr(scheduler, "optimizer", optimizer) is not optimizer:
        msg = "The scheduler moves another optimizer's rate. Make it anew from this optimizer."
        raise TrainingError(msg)
    if isinstance(scheduler, ReduceLROnPlateau):
        msg = (
            "ReduceLROnPlateau waits for a number of your choice: call its step in a Callback's "
            'on_epoch_end, as in scheduler.step(kwargs["row"]["val_loss"]).'
        )
        raise TrainingError(msg)


def check_batch(batch: Any) -> tuple[Tensor, Tensor]:
    """Return inputs and labels, or raise `DataError` if `batch` is no pair of tensors."""
    parts = batch if isinstance(batch, tuple | list) else [batch]
    match parts:
        case [Tensor() as inputs, Tensor() as labels] if len(inputs) == len(labels) > 0:
            return inputs, labels
    given = ", ".join(str(getattr(part, "shape", type(part).__name__)) for part in parts)
    msg = f"A batch is a pair of tensors (inputs, labels) of one length, got {given}."
    raise DataError(msg)


def logits_of(outputs: Any) -> Tensor:
    """Return what the model put out, or the first of several, such as auxiliary ones."""
    logits = outputs[0] if isinstance(outputs, tuple | list) else outputs
    if not isinstance(logits, Tensor):
        msg = (
            "A model returns logits as a tensor, or a tuple that begins with them, got "
            f"{type(outputs).__name__}. Wrap it in a module that returns the part to train."
        )
        raise DataError(msg)
    return logits


def check_labels(logits: Tensor, labels: Tensor, loss: Callable) -> None:
    """Raise where labels do not fit what the model gives: before a GPU dies of it."""
    shapes = tuple(logits.shape), tuple(labels.shape)
    given = f"Outputs have shape {shapes[0]}, labels {shapes[1]}"
    if getattr(loss, "__name__", type(loss).__name__) not in _CLASS_LOSSES:
        pair = {(len(labels), 1), (len(labels),)}
        # A column and a row would silently become a matrix of all pairs.
        if len(labels) > 1 and set(shapes) == pair:
            msg = f"{given}: all pairs would be compared. Give labels.view_as(outputs)."
            raise ShapeError(msg)
        return
    if len(logits) != len(labels):
        msg = f"{given}. Keep the first axis the batch: x.flatten(1), not x.view(-1, ...)."
        raise ShapeError(msg)
    if labels.ndim > 1 or logits.ndim != 2:
        return  # probabilities of classes, or classes of places
    if labels.dtype != torch.int64:
        msg = f"Classes are numbers of type torch.int64, not {labels.dtype}: labels.long()."
        raise DataError(msg)
    wrong = labels[(labels < 0) | (labels >= logits.shape[1])]
    wrong = wrong[wrong != getattr(loss, "ignore_index", -100)]
    if len(wrong):
        msg = (
            f"Label {wrong[0]} is outside the model's {logits.shape[1]} logits, "
            f"which stand for labels 0 .. {logits.shape[1] - 1}. Give the last layer one "
            "output for each class, or count labels from 0."
        )
        raise DataError(msg)


def explain_forward(error: Exception, model: nn.Module, inputs: Tensor) -> None:
    """Add a note to `error`: which layer of `model` was at work, and what it was given.

    The batch goes through the model once more, to see which layer began and did not return.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return
    names = {layer: name for name, layer in model.named_modules()}
    began: list[tuple[nn.Module, Any]] = []
    note_begin = hooks.register_module_forward_pre_hook(
        lambda layer, args: began.append((layer, args[0] if args else None))
    )
    note_end = hooks.register_module_forward_hook(lambda *_: began.pop() and None)
    with note_begin, note_end, torch.no_grad(), suppress(Exception):
        model(inputs)
    if began:
        layer, given = began[-1]
        kind = type(layer).__name__ if [*layer.children()] else layer
        error.add_note(
            f"An input of shape {tuple(inputs.shape)} reached layer {names.get(layer)!r}, {kind}, "
            f"as {tuple(getattr(given, 'shape', ()))}. {_remedy(error, layer, given)}"
        )


def _remedy(error: Exception, layer: nn.Module, given: Any) -> str:
    shape = getattr(given, "shape", ())
    if "more than 1 value per channel" in str(error):
        return "It cannot normalize a batch of one: pass drop_last=True, or another batch_size."
    if isinstance(layer, nn.Linear) and shape[-1] != layer.in_features:
        new = f"nn.Linear({shape[-1]}, {layer.out_features})"
        return f"Put nn.Flatten() before it, or make it {new}."
    if len(shape) == 4 and shape[-1] == getattr(layer, "in_channels", None):
        return "Channels come second: images.permute(0, 3, 1, 2)."
    return ""
