"""The loop: epochs of steps, steps of batches, and what happens after each.

Nothing here knows how a batch is computed or a file is written. The parts of a `Trainer`
are used, and its history is extended.
"""

import math
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from coursekit.training import checks
from coursekit.training.batches import Batch, Batches
from coursekit.training.engine import kept_modes
from coursekit.training.freezing import hold_statistics
from coursekit.training.progress import Progress
from coursekit.training.randomness import kept_random_states
from coursekit.training.states import Position, get_state

if TYPE_CHECKING:
    from coursekit.training.trainer import Trainer

__all__ = ["end_epoch", "evaluate", "inference", "train_epoch"]


def train_epoch(
    trainer: "Trainer",
    wrapped: nn.Module,
    batches: Batches,
    position: Position,
    bar: Progress,
) -> dict[str, float]:
    """Train from `position` to the end of its epoch; return a row for the history."""
    began, epoch = time.perf_counter() - position.seconds, position.epoch
    every = trainer.checkpoint.every_n_steps if trainer.checkpoint else None
    bar.begin_epoch(epoch, n_done=position.n_batches)
    trainer.model.train()
    trainer.tell("on_epoch_begin", epoch=epoch)
    if trainer.settings.frozen_batch_norm == "eval":
        hold_statistics(trainer.model)
    remaining = batches.epoch(epoch - 1, start=position.n_batches)
    for group in _groups(remaining, trainer.settings.n_accumulate):
        train_step(trainer, wrapped, group, epoch)
        bar.advance(len(group))
        n_done = trainer.tally.n_batches
        if every and trainer.tally.n_steps % every == 0 and n_done != batches.n_batches:
            seconds = time.perf_counter() - began
            save(trainer, Position(epoch, n_done, seconds), batches)
    trainer.engine.share_buffers(trainer.model)
    means = trainer.tally.means()
    check_losses(trainer, epoch)
    position.seconds = time.perf_counter() - began
    return {"epoch": epoch, **means}


def train_step(
    trainer: "Trainer", wrapped: nn.Module, group: Sequence[Batch], epoch: int
) -> None:
    """Change the weights once, by the gradients of all batches of `group`."""
    engine, step = trainer.engine, {"epoch": epoch, "step": trainer.n_steps + 1}
    first = trainer.tally.n_batches + 1
    places = [f"epoch {epoch}, batch {first + index}" for index in range(len(group))]
    pairs = [checks.check_batch(*item) for item in zip(group, places, strict=True)]
    n_samples = engine.total(sum(len(labels) for _, labels in pairs))

    trainer.tell("on_step_begin", **step)
    trainer.optimizer.zero_grad()
    results = []
    for (inputs, labels), where in zip(pairs, places, strict=True):
        is_last = len(results) == len(pairs) - 1
        with nullcontext() if is_last else engine.no_average(wrapped):
            result = trainer.forward.run(wrapped, inputs, labels, where)
            check_now(trainer, result.loss, epoch, first + len(results))
            trainer.tell("on_forward_end", loss=result.values[0], **step)
            engine.backward(result.loss, n_samples=(result.n_samples, n_samples))
        results.append(result)
    trainer.tell("on_backward_end", **step)
    trainer.lr = float(trainer.optimizer.param_groups[0]["lr"])
    was_changed = engine.update(trainer.model, trainer.optimizer)
    if was_changed and trainer.scheduler and trainer.settings.scheduler_every == "step":
        trainer.scheduler.step()
    trainer.tally.add_step(results)
    check_losses(trainer, epoch)
    trainer.tell("on_step_end", loss=results[-1].values[0], **step)


def end_epoch(
    trainer: "Trainer",
    row: dict[str, float],
    batches: Batches,
    held_out: Batches | None,
    position: Position,
    bar: Progress,
) -> Position:
    """Validate, write the epoch into the history, save; return where to go on."""
    began, epoch = time.perf_counter() - position.seconds, position.epoch
    if held_out is not None:
        trainer.tell("on_validation_begin", epoch=epoch)
        row |= {f"val_{name}": value for name, value in evaluate(trainer, held_out).items()}
    row |= {"lr": trainer.lr, "seconds": time.perf_counter() - began}
    history = trainer.history.with_epoch(row, trainer.tally.step_losses)
    trainer.history, trainer.tally = history, trainer.new_tally()
    _move_scheduler(trainer, row)
    bar.show(row)
    trainer.tell("on_epoch_end", epoch=epoch, row=row)
    following = Position(epoch=epoch + 1)
    if trainer.checkpoint:
        if trainer.engine.is_main:
            trainer.checkpoint.save_if_best(trainer.model.state_dict(), trainer.history)
        save(trainer, following, batches)
    return following


def evaluate(trainer: "Trainer", batches: Batches) -> dict[str, float]:
    """Return the means of loss and metrics over all samples."""
    tally = trainer.new_tally()
    with inference(trainer.model):
        for number, batch in enumerate(batches.epoch(0), start=1):
            where = f"batch {number} of the evaluation"
            inputs, labels = checks.check_batch(batch, where)
            tally.add_step([trainer.forward.run(trainer.model, inputs, labels, where)])
    return tally.means()


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Run a block in evaluation mode, without gradients, and leave no trace of it."""
    with kept_modes(model), kept_random_states(), torch.inference_mode():
        model.eval()
        yield


def save(trainer: "Trainer", position: Position, batches: Batches) -> None:
    """Write a checkpoint; a loss that is not finite stops it."""
    trainer.tally.read()
    check_losses(trainer, position.epoch)
    state = get_state(trainer, position, batches)
    if trainer.engine.is_main:
        trainer.checkpoint.save(state, is_first=trainer.is_first_save)
    trainer.is_first_save = False
    trainer.engine.wait()


def check_now(trainer: "Trainer", loss: Tensor, epoch: int, batch: int) -> None:
    """Check a loss before its gradients are used, where reading it costs nothing."""
    if trainer.engine.is_cpu and not math.isfinite(value := loss.item()):
        step, lr = trainer.n_steps + 1, trainer.optimizer.param_groups[0]["lr"]
        raise checks.not_finite(value, epoch=epoch, step=step, batch=batch, lr=lr)


def check_losses(trainer: "Trainer", epoch: int) -> None:
    """Check the losses that have been read from the device so far."""
    if (index := trainer.tally.first_not_finite()) is not None:
        step = len(trainer.history.step_losses) + index + 1
        batch = index * trainer.settings.n_accumulate + 1
        value = trainer.tally.step_losses[index]
        raise checks.not_finite(value, epoch=epoch, step=step, batch=batch, lr=trainer.lr)


def _move_scheduler(trainer: "Trainer", row: dict[str, float]) -> None:
    """Tell the scheduler that an epoch is over, if it waits for that."""
    with warnings.catch_warnings():  # wrong where this process resumed after the last step
        warnings.filterwarnings(
            "ignore", r"Detected call of `lr_scheduler\.step\(\)` before"
        )
        if isinstance(trainer.scheduler, ReduceLROnPlateau):
            trainer.scheduler.step(row.get("val_loss", row["loss"]))
        elif trainer.scheduler and trainer.settings.scheduler_every == "epoch":
            trainer.scheduler.step()


def _groups(batches: Iterator[Batch], n_accumulate: int) -> Iterator[list[Batch]]:
    """Yield lists of `n_accumulate` batches; the last may be shorter."""
    while group := list(islice(batches, n_accumulate)):
        yield group
