"""Say what is wrong with a model, an optimizer or a batch, and what to do.

Nothing here runs while training goes well, except the checks before its first step.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from coursekit.errors import CourseError, DataError, ShapeError, TrainingError

__all__ = [
    "check_batch",
    "check_labels",
    "check_optimizer",
    "explain_forward",
    "explain_loss",
    "not_finite",
]


def check_optimizer(
    model: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable
) -> None:
    """Raise if `optimizer` would not train `model`.

    Raises
    ------
    TrainingError
        If the model has nothing to train, or the optimizer holds other parameters.
    """
    own = {id(p) for p in model.parameters()}
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    if not trainable:
        why = "has no parameters" if not own else "has only frozen parameters"
        msg = f"{type(model).__name__} {why}, so there is nothing to train."
        raise TrainingError(msg)
    held = [p for group in optimizer.param_groups for p in group["params"]]
    allowed = own | (
        {id(p) for p in loss.parameters()} if isinstance(loss, nn.Module) else set()
    )
    n_foreign = sum(id(p) not in allowed for p in held)
    if n_foreign or not own & {id(p) for p in held}:
        msg = (
            f"The optimizer must hold parameters of the model it trains, but {n_foreign} of "
            f"its {len(held)} belong to something else. Make it from this model, after its "
            "layers are final: torch.optim.Adam(model.parameters())."
        )
        raise TrainingError(msg)


def check_batch(batch: object, where: str) -> tuple[Tensor, Tensor]:
    """Return the inputs and labels of `batch`.

    Raises
    ------
    DataError
        If it is not a pair of tensors of the same length.
    """
    if isinstance(batch, tuple | list) and len(batch) == 2:
        inputs, labels = batch
        if isinstance(inputs, Tensor) and isinstance(labels, Tensor):
            if len(inputs) != len(labels):
                msg = f"In {where}: {len(inputs)} inputs have {len(labels)} labels."
                raise DataError(msg)
            return inputs, labels
        given = f"({type(inputs).__name__}, {type(labels).__name__})"
    else:
        given = type(batch).__name__
    msg = f"In {where}: a batch must be a pair of tensors (inputs, labels), got {given}."
    raise DataError(msg)


def check_labels(logits: Tensor, labels: Tensor, loss: Callable, where: str) -> None:
    """Raise if a label is no column of `logits`. Reads the labels: keep them on the CPU.

    Raises
    ------
    DataError
        With the first wrong label, and the number of columns.
    """
    if (
        labels.ndim != 1
        or labels.dtype.is_floating_point
        or logits.ndim != 2
        or not len(labels)
    ):
        return
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
    try:
        check_labels(logits, labels.cpu(), loss, where)
    except CourseError as explained:
        return explained
    name = (
        type(loss).__name__
        if isinstance(loss, nn.Module)
        else getattr(loss, "__name__", "loss")
    )
    if labels.ndim == 1 and labels.dtype != torch.int64:
        msg = (
            f"In {where}: labels are {labels.dtype}, but {name} wants class numbers as "
            "torch.int64. Convert them: labels.long()."
        )
        return DataError(msg)
    if len(logits) != len(labels):
        msg = (
            f"In {where}: the model made {len(logits)} rows of logits, shape "
            f"{tuple(logits.shape)}, for {len(labels)} labels. Keep the first axis the batch: "
            "x.flatten(1), not x.view(-1, ...)."
        )
        return ShapeError(msg)
    if logits.ndim != 2 or labels.ndim != 1:
        msg = (
            f"In {where}: {name} could not compare logits of shape {tuple(logits.shape)} with "
            f"labels of shape {tuple(labels.shape)}: {error} Classification wants (n, "
            "n_classes) and (n,)."
        )
        return ShapeError(msg)
    return with_place(error, where)


def explain_forward(
    error: Exception, model: nn.Module, inputs: Tensor, where: str
) -> Exception:
    """Return what to raise when `model` could not take `inputs`.

    The batch goes through the model once more, to see which layer it reaches.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return with_place(error, where)
    name, layer, given = _last_layer_reached(model, inputs)
    if layer is None:
        return with_place(error, where)
    shape = tuple(given.shape)
    at = f"In {where}: an input of shape {tuple(inputs.shape)} reached layer {name!r}"
    if "more than 1 value per channel" in str(error):
        msg = (
            f"{at} ({type(layer).__name__}) as a batch of one: {shape}. In training it needs "
            "several values for each channel. Pass drop_last=True, or another batch_size."
        )
        return ShapeError(msg)
    weight = next((p for p in layer.parameters(recurse=False)), None)
    if (
        weight is not None
        and given.dtype != weight.dtype
        and not torch.is_autocast_enabled(given.device.type)
    ):
        msg = (
            f"{at} as {given.dtype}, its weights are {weight.dtype}. Convert the inputs: "
            "inputs.float(), divided by 255 if they are brightness."
        )
        return DataError(msg)
    if (wanted := _wanted(layer, given)) is not None:
        size, axis, remedy = wanted
        msg = f"{at}, {layer}, which wants {size} {axis}, but gets {shape}. {remedy}"
        return ShapeError(msg)
    if any(word in str(error).lower() for word in ("size", "shape", "dimension")):
        msg = f"{at}, {layer}, as {shape}, which it cannot take: {error}"
        return ShapeError(msg)
    return with_place(error, where)


def not_finite(
    value: float, *, epoch: int, step: int, batch: int, lr: float
) -> TrainingError:
    """Return the error for a loss that is NaN or infinite."""
    msg = (
        f"The loss became {value} in epoch {epoch}, step {step} (batch {batch} of the epoch), "
        f"at learning rate {lr:g}. Lower the rate, clip the gradients "
        "(TrainSettings(clip_norm=1.0)), or look for NaN in this batch."
    )
    return TrainingError(msg)


def with_place(error: Exception, where: str) -> Exception:
    """Return `error` with a note of the batch it came from."""
    error.add_note(f"This happened in {where}.")
    return error


def _last_layer_reached(
    model: nn.Module, inputs: Tensor
) -> tuple[str, nn.Module | None, Tensor | None]:
    reached = ("", None, None)

    def note(name: str, layer: nn.Module, args: tuple) -> None:
        nonlocal reached
        if args and isinstance(args[0], Tensor):
            reached = (name, layer, args[0])

    leaves = [(n, m) for n, m in model.named_modules() if not list(m.children())]
    handles = [
        layer.register_forward_pre_hook(lambda m, args, name=name: note(name, m, args))
        for name, layer in leaves
    ]
    try:
        with torch.no_grad():
            model(inputs)
    except Exception:  # noqa: BLE001 - it is known already; only the way there matters
        return reached
    finally:
        for handle in handles:
            handle.remove()
    return ("", None, None)


def _wanted(layer: nn.Module, given: Tensor) -> tuple[int, str, str] | None:
    """Return the size that `layer` wants where `given` has another, its axis, a remedy."""
    if isinstance(layer, nn.Linear) and given.shape[-1:] != (layer.in_features,):
        remedy = (
            "Put nn.Flatten() before it."
            if given.ndim > 2
            else f"Make it nn.Linear({given.shape[-1]}, {layer.out_features}), or change the "
            "size of the images."
        )
        return layer.in_features, "features", remedy
    size = getattr(layer, "in_channels", None) or getattr(layer, "num_features", None)
    if size is None or given.ndim < 2 or given.shape[1] == size:
        return None
    if given.ndim == 4 and given.shape[-1] == size:
        remedy = "Channels come second: images.permute(0, 3, 1, 2)."
    else:
        remedy = f"Give the images {size} channels, or the layer {given.shape[1]}."
    return size, "channels", remedy
