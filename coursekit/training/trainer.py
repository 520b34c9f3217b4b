"""`Trainer`: fit, evaluate and predict, with its settings, its record and its checkpoints."""

import copy
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import is_initialized
from accelerate.utils import broadcast, gather_object, synchronize_rng_states
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from tqdm.auto import tqdm

from coursekit.devices import choose_device
from coursekit.errors import DataError, SettingsError, ShapeError, TrainingError
from coursekit.training import checks
from coursekit.training.callbacks import Callback, sign_of
from coursekit.training.metrics import MetricFunction, find_metrics
from coursekit.training.parameters import hold_statistics

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Checkpoint", "History", "TrainSettings", "Trainer", "inference"]

Batch = tuple[Tensor, Tensor]

# What a scheduler changes as it moves; the rest of its state are its settings.
_MOVING = {
    *("last_epoch", "best", "num_bad_epochs", "cooldown_counter", "T_cur", "T_i"),
    *("_step_count", "_last_lr", "_is_initial", "_get_lr_called_within_step"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSettings:
    """How a `Trainer` trains; make a variant with `dataclasses.replace`."""

    scheduler_every: str = "epoch"
    """When the scheduler moves on: "epoch" or "step"."""
    frozen_batch_norm: str = "eval"
    """What batch normalization does while its own weights are frozen: "eval" normalizes by the
    averages that it has and leaves them alone; "train" normalizes by those of the batch and
    moves the averages, so that the layer changes although none of its weights does."""
    progress_bar: bool = True

    def __post_init__(self) -> None:
        choices = {
            "scheduler_every": ("epoch", "step"),
            "frozen_batch_norm": ("eval", "train"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                msg = f"{name} must be one of {allowed}, got {getattr(self, name)!r}."
                raise SettingsError(msg)


@dataclass(frozen=True, eq=False, kw_only=True)
class History:
    """The record of one training."""

    epochs: tuple[Mapping[str, float], ...] = ()
    """One row for each whole epoch: ``epoch`` (from 1), ``loss``, the metrics, the same over
    the validation data as ``val_...``, ``lr`` (of the last step, first group), ``seconds``."""
    step_losses: np.ndarray = field(default_factory=lambda: np.empty(0))
    """The loss of each step, before that step, float64."""
    stopped: str = ""
    """Why training ended before the last epoch; empty if it did not."""

    def __len__(self) -> int:
        return len(self.epochs)

    def __repr__(self) -> str:
        hidden = ("epoch", "seconds")
        last = [
            f"{k} {v:.4g}" for k, v in dict(*self.epochs[-1:]).items() if k not in hidden
        ]
        counts = f"History({len(self)} epochs, {len(self.step_losses)} steps"
        return f"{', '.join([counts, *last])}{self.stopped and '; '}{self.stopped})"

    def column(self, name: str) -> list[float]:
        """Return the value of `name` in each epoch."""
        if self.epochs and name not in self.epochs[-1]:
            msg = f"The history has no {name!r}, only {', '.join(self.epochs[-1])}."
            raise SettingsError(msg)
        return [row[name] for row in self.epochs]

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row for each whole epoch."""
        import pandas as pd  # half a second, paid by those who want the table

        return pd.DataFrame([dict(row) for row in self.epochs])


@dataclass(frozen=True)
class Checkpoint:
    """Saves a training after each epoch, so that it can go on, and its best weights.

    The folder holds ``last.pt``, all that is needed to continue, and ``best.pt``, the weights
    of the best epoch (of equal ones the first) under "model" and its row under "row".

    Parameters
    ----------
    folder : str or Path
    monitor : str, optional
        The column of the history that tells which epoch is best. By default ``val_loss``
        when there is validation, else ``loss``.
    mode : {"min", "max"}, optional
        Whether small or large is good. By default small for names that end in ``loss``.
    """

    folder: str | Path
    monitor: str | None = None
    mode: str | None = None

    def __post_init__(self) -> None:
        sign_of(self.monitor or "loss", self.mode)

    def path(self, name: str) -> Path:
        """Return the file called `name`: "last" or "best"."""
        return Path(self.folder) / f"{name}.pt"

    def save(self, state: dict[str, Any], history: History) -> None:
        """Write ``last.pt``, and ``best.pt`` if the last epoch of `history` is the best."""
        rows = history.epochs
        monitor = self.monitor or ("val_loss" if "val_loss" in rows[-1] else "loss")
        sign = sign_of(monitor, self.mode)
        *before, now = (sign * value for value in history.column(monitor))
        if all(now < value for value in before):
            self._write("best", {"model": state["model"], "row": dict(rows[-1])})
        self._write("last", state)

    def load(self, name: str) -> dict[str, Any]:
        """Return what was written; it is data only and cannot run code."""
        if not self.path(name).exists():
            msg = f"There is no {name} epoch yet in {self.folder}: train with this checkpoint."
            raise TrainingError(msg)
        try:
            return torch.load(self.path(name), map_location="cpu", weights_only=True)
        except Exception as error:
            msg = f"The checkpoint {self.path(name)} is damaged: delete it to start anew."
            raise TrainingError(msg) from error

    def _write(self, name: str, state: dict[str, Any]) -> None:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        torch.save(state, unfinished)
        unfinished.replace(path)  # at once: a killed training leaves the file before, whole


class Trainer:
    """Trains a model, evaluates it, and predicts with it.

    Parameters
    ----------
    model : Module
        Gives logits of shape (n, n_classes), or a tuple that begins with them. It is moved to
        the device and trained in place.
    optimizer : torch.optim.Optimizer, optional
        Of the model's parameters; needed to train, not to evaluate or predict.
    loss : callable, default=CrossEntropyLoss()
        Takes what the model returns and labels, returns their mean over the batch.
    metrics : sequence of str or callable, default=("accuracy",)
        "accuracy", "top5_accuracy", or functions of logits and labels that return one number
        for each sample. All are averaged over samples.
    scheduler : torch.optim.lr_scheduler.LRScheduler, optional
        Moves on after every epoch or step, as the settings say. `ReduceLROnPlateau` is given
        the loss, with ``mode="max"`` the first metric; of the validation data if there are any.
    callbacks : sequence of Callback
        Called in this order.
    checkpoint : Checkpoint, optional
    settings : TrainSettings, optional
    device : torch.device or str, optional
        By default the fastest at hand.

    Notes
    -----
    Under ``torchrun`` or ``accelerate launch`` every process runs the same lines, reads the same
    batches and trains on its rows of each, so the loss curve is that of one process (but for
    batch normalization, whose statistics are those of a process).

    Examples
    --------
    >>> loader = [(torch.eye(4), torch.arange(4))]
    >>> model = nn.Linear(4, 4)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=5.0)
    >>> quiet = TrainSettings(progress_bar=False)
    >>> history = Trainer(model, optimizer=optimizer, settings=quiet).fit(loader, n_epochs=3)
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        optimizer: torch.optim.Optimizer | None = None,
        loss: Callable[[Any, Tensor], Tensor] | None = None,
        metrics: Sequence[str | MetricFunction] = ("accuracy",),
        scheduler: Any = None,
        callbacks: Sequence[Callback] = (),
        checkpoint: Checkpoint | None = None,
        settings: TrainSettings | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        self.settings = settings or TrainSettings()
        self.loss = nn.CrossEntropyLoss() if loss is None else loss
        if optimizer is not None:
            checks.check_optimizer(model, optimizer, self.loss)
        self.device = choose_device(None if device is None else str(device))
        # Only the first Accelerator of a program may have options; all share one state.
        first = {"cpu": self.device.type == "cpu", "mixed_precision": "no"}
        self.accelerator = Accelerator(**({} if is_initialized() else first))
        self.n_processes = self.accelerator.num_processes
        if self.n_processes > 1:
            self.device = self.accelerator.device
        self.model = model.to(self.device)
        if isinstance(self.loss, nn.Module):
            self.loss.to(self.device)
        self.optimizer, self.scheduler = optimizer, scheduler
        self.metrics = find_metrics(metrics)
        self.callbacks, self.checkpoint = tuple(callbacks), checkpoint
        self.history, self.n_steps = History(), 0
        self._layout: torch.memory_format | None = None
        self._lr = math.nan

    def fit(
        self,
        train_loader: Iterable[Batch],
        *,
        validation: Iterable[Batch] | None = None,
        n_epochs: int,
        resume: bool = False,
    ) -> History:
        """Train for `n_epochs` passes over the training data.

        Parameters
        ----------
        train_loader : Loader, DataLoader or list of pairs
            Gives pairs of inputs and labels.
        validation : Loader, DataLoader or list of pairs, optional
            Evaluated after each epoch.
        n_epochs : int
            Of the whole training, those before a resumption included.
        resume : bool, default=False
            Whether to go on from the last checkpoint, if there is one, exactly as if there
            had been no interruption.

        Returns
        -------
        History
            Also when it was interrupted (Ctrl-C): then with the epochs that were finished.
        """
        self._check_fit(train_loader, validation, n_epochs, resume=resume)
        self.history, self.n_steps, self._sums = History(), 0, self._new_sums()
        saved = None
        if resume and self.checkpoint.path("last").exists():
            saved = self.checkpoint.load("last")
            self._set_state(saved)
        trained = self.model
        if self.n_processes > 1:
            trained = self.accelerator.prepare_model(self.model, device_placement=False)
        n_batches = _length(train_loader)
        bar = tqdm(
            total=None if n_batches is None else n_epochs * n_batches,
            initial=len(self.history) * (n_batches or 0),
            unit="batch",
            desc="training",
            disable=not (self.settings.progress_bar and self.accelerator.is_main_process),
        )
        with kept_modes(self.model), bar:
            try:
                self._tell("on_fit_begin", n_epochs=n_epochs)
                if saved:
                    self._set_random_states(saved, train_loader)
                for epoch in range(len(self.history) + 1, n_epochs + 1):
                    if self.history.stopped:
                        break
                    bar.set_description_str(f"epoch {epoch}/{n_epochs}", refresh=False)
                    self._fit_epoch(trained, train_loader, validation, epoch, bar)
            except KeyboardInterrupt:  # a second one, from here on, ends the program
                self._add_losses(self._sums.read())
                self.stop(f"interrupted in epoch {len(self.history) + 1}")
            finally:
                self._tell("on_fit_end")
                if self.n_processes > 1:
                    self.accelerator.free_memory()
        return self.history

    def evaluate(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return the loss and the metrics over all samples of `loader`.

        The model's mode and all random generators are left as they were.
        """
        sums = self._new_sums()
        with inference(self.model):
            for number, batch in enumerate(_batches(loader), start=1):
                self._forward(self.model, batch, sums, f"batch {number} of the evaluation")
        return sums.means()

    def predict(self, loader: Iterable[Batch | Tensor]) -> Tensor:
        """Return the logits of all samples of `loader`, in its order.

        `loader` gives pairs, whose labels are not used, or inputs only. The logits are
        float32, on the CPU, of shape (n_samples, n_classes).
        """
        sampler = getattr(loader, "sampler", None)
        if getattr(loader, "shuffle", "Random" in type(sampler).__name__):
            msg = (
                "predict keeps the order of the data, but this loader shuffles them. Make one "
                "with shuffle=False."
            )
            raise SettingsError(msg)
        logits = []
        with inference(self.model):
            for number, batch in enumerate(_batches(loader), start=1):
                inputs = batch if isinstance(batch, Tensor) else batch[0]
                where, own = (
                    f"batch {number} of the prediction",
                    self._own_rows(len(inputs)),
                )
                rows = slice(own.start, own.stop if len(own) else own.start + 1)
                outputs = self._outputs(self.model, inputs[rows], where)
                logits.append(checks.logits_of(outputs, where)[: len(own)].float().cpu())
        if self.n_processes > 1:  # each has a part of each batch
            parts = gather_object([logits])
            logits = [rows for batch in zip(*parts, strict=True) for rows in batch]
        return torch.cat(logits)  # outside, so that gradients may use it

    def stop(self, reason: str) -> None:
        """End the training after the present epoch; for callbacks."""
        self.history = replace(self.history, stopped=reason)

    def restore_best(self) -> Mapping[str, float]:
        """Put the weights of the best epoch into the model; return that epoch's row."""
        if self.checkpoint is None:
            raise SettingsError(_NO_CHECKPOINT)
        best = self.checkpoint.load("best")
        self.model.load_state_dict(best["model"])
        return best["row"]

    # -- an epoch, a step, a batch ----------------------------------------------------------

    def _fit_epoch(
        self,
        trained: nn.Module,
        loader: Iterable[Batch],
        validation: Iterable[Batch] | None,
        epoch: int,
        bar: tqdm,
    ) -> None:
        began, self._sums = time.perf_counter(), self._new_sums()
        self.model.train()
        self._tell("on_epoch_begin", epoch=epoch)
        if self.settings.frozen_batch_norm == "eval":
            hold_statistics(self.model)
        if self.n_processes > 1:  # so that a stock DataLoader shuffles alike everywhere
            synchronize_rng_states(["torch"])
            for generator in _generators(loader):
                synchronize_rng_states(["generator"], generator)
        for number, batch in enumerate(_batches(loader, epoch - 1), start=1):
            self._step(trained, batch, epoch, f"epoch {epoch}, batch {number}")
            bar.update()
        means, losses = self._sums.means(), self._sums.read()
        self._check_finite(losses, epoch)
        if self.n_processes > 1:  # such as running means: those of the first process
            for buffer in self.model.buffers():
                buffer.copy_(broadcast(buffer.detach().clone()))
        row = {"epoch": epoch, **means}
        if validation is not None:
            self._tell("on_validation_begin", epoch=epoch)
            row |= {f"val_{name}": v for name, v in self.evaluate(validation).items()}
        row |= {"lr": float(self._lr), "seconds": time.perf_counter() - began}
        self.history = replace(self.history, epochs=(*self.history.epochs, row))
        self._add_losses(losses)
        self._move_scheduler(row)
        hidden = ("epoch", "lr", "seconds")
        bar.set_postfix({name: f"{v:.4g}" for name, v in row.items() if name not in hidden})
        self._tell("on_epoch_end", epoch=epoch, row=row)
        if self.checkpoint:
            self._save(loader)
        self._sums = self._new_sums()

    def _step(self, trained: nn.Module, batch: Batch, epoch: int, where: str) -> None:
        self.n_steps += 1
        known = {"epoch": epoch, "step": self.n_steps}
        self._tell("on_step_begin", **known)
        self.optimizer.zero_grad()
        loss = self._forward(trained, batch, self._sums, where)
        self._lr = self.optimizer.param_groups[0]["lr"]
        self._check_finite(self._sums.losses, epoch)
        self._tell("on_forward_end", loss=loss.detach(), **known)
        loss.backward()
        self._tell("on_backward_end", **known)
        self.optimizer.step()
        if self.scheduler and self.settings.scheduler_every == "step":
            self.scheduler.step()
        self._tell("on_step_end", loss=loss.detach(), **known)

    def _forward(self, model: nn.Module, batch: Any, sums: "_Sums", where: str) -> Tensor:
        """Return the loss of a batch, so weighted that the mean over processes is the batch's."""
        inputs, labels = checks.check_batch(batch, where)
        weight = total = _denominator(self.loss, labels, where)
        n_samples = len(labels)
        if self.n_processes > 1:
            own = self._own_rows(len(labels))
            n_samples = len(own)
            # With less rows than processes some have none: theirs is the first, weighing 0.
            own = own if n_samples else range(1)
            inputs, labels = inputs[own.start : own.stop], labels[own.start : own.stop]
            weight = _denominator(self.loss, labels, where) if n_samples else 0.0
        outputs = self._outputs(model, inputs, where)
        logits = checks.logits_of(outputs, where)
        checks.check_shapes(logits, labels, where)
        if self.device.type != "cpu":
            checks.check_labels(
                logits, labels.cpu(), self.loss, where
            )  # a GPU would just die
            labels = labels.to(self.device, non_blocking=True)
        try:
            loss = self.loss(outputs, labels)
        except (RuntimeError, ValueError, IndexError) as error:
            checks.check_labels(logits, labels, self.loss, where)
            explained = checks.explain_loss(error, logits, labels, self.loss, where)
            if explained is error:
                raise
            raise explained from error
        if loss.ndim:
            msg = (
                f'The loss must be one number (reduction="mean"), got {tuple(loss.shape)}.'
            )
            raise ShapeError(msg)
        values = []
        with torch.no_grad():
            for name, metric in self.metrics.items():
                per_sample = metric(logits.detach(), labels)
                if per_sample.shape != (len(labels),):
                    msg = (
                        f"The metric {name!r} must return one value for each sample, shape "
                        f"({len(labels)},), got {tuple(per_sample.shape)}. Do not average "
                        "inside it: batches may differ in size."
                    )
                    raise ShapeError(msg)
                values.append(per_sample.sum() if n_samples else per_sample.sum() * 0)
        sums.add(weight, n_samples, [loss.detach(), *values])
        if self.n_processes == 1:
            return loss
        return loss * (weight * self.n_processes / total)  # gradients will be averaged

    def _outputs(self, model: nn.Module, inputs: Tensor, where: str) -> Any:
        """Return what the model makes of `inputs`, or explain why it makes nothing."""
        inputs = inputs.to(self.device, non_blocking=True)
        if inputs.ndim == 4:
            if self._layout is None:
                self._layout = _choose_layout(self.model, inputs)
            if self._layout is torch.channels_last:
                inputs = _as_channels_last(inputs)
        try:
            return model(inputs)
        except (RuntimeError, ValueError) as error:
            explained = checks.explain_forward(error, self.model, inputs, where)
            if explained is error:
                raise
            raise explained from error

    def _own_rows(self, n_rows: int) -> range:
        rank, n = self.accelerator.process_index, self.n_processes
        return range(n_rows * rank // n, n_rows * (rank + 1) // n)

    def _new_sums(self) -> "_Sums":
        return _Sums(("loss", *self.metrics), self.accelerator, self.device)

    def _add_losses(self, losses: Sequence[float]) -> None:
        joined = np.concatenate([self.history.step_losses, np.asarray(losses, np.float64)])
        self.history = replace(self.history, step_losses=joined)

    def _check_finite(self, losses: Sequence[float], epoch: int) -> None:
        """Raise if one of an epoch's losses is NaN; on a CPU before its gradients are used."""
        if not losses or math.isfinite(self._sums.totals[0]):
            return
        batch, value = next((n, v) for n, v in enumerate(losses, 1) if not math.isfinite(v))
        step = len(self.history.step_losses) + batch
        msg = (
            f"The loss became {value} in epoch {epoch}, step {step} (batch {batch} of the "
            f"epoch), at learning rate {self._lr:g}. Lower the rate, or look for NaN in this "
            "batch."
        )
        raise TrainingError(msg)

    def _move_scheduler(self, row: Mapping[str, float]) -> None:
        if isinstance(self.scheduler, ReduceLROnPlateau):
            column = "loss" if self.scheduler.mode == "min" else next(iter(self.metrics))
            self.scheduler.step(row.get(f"val_{column}", row[column]))
        elif self.scheduler and self.settings.scheduler_every == "epoch":
            self.scheduler.step()

    def _tell(self, event: str, **kwargs: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self, **kwargs)

    def _check_fit(
        self, loader: Any, validation: Any, n_epochs: int, *, resume: bool
    ) -> None:
        if self.optimizer is None:
            msg = "Training needs an optimizer: Trainer(model, optimizer=...)."
            raise SettingsError(msg)
        if n_epochs < 1:
            msg = f"n_epochs must be at least 1, got {n_epochs}."
            raise SettingsError(msg)
        if resume and self.checkpoint is None:
            raise SettingsError(_NO_CHECKPOINT)
        if getattr(self.scheduler, "mode", "min") == "max" and not self.metrics:
            msg = 'A scheduler with mode="max" needs a metric; the loss should get small.'
            raise SettingsError(msg)
        for part in (loader, validation):
            if part is not None and n_epochs > 1 and isinstance(part, Iterator):
                msg = (
                    f"A {type(part).__name__} gives its batches once, and {n_epochs} epochs "
                    "read them again. Make a list of it, or use make_loader."
                )
                raise DataError(msg)

    # -- checkpoints ------------------------------------------------------------------------

    def _save(self, loader: Any) -> None:
        """Save everything that decides how training goes on."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": _plain(self.optimizer.state_dict()),
            "scheduler": self.scheduler and _plain(self.scheduler.state_dict()),
            "kinds": self._kinds(),
            "callbacks": [
                (type(c).__name__, _plain(c.state_dict())) for c in self.callbacks
            ],
            "epochs": [dict(row) for row in self.history.epochs],
            "step_losses": self.history.step_losses.tolist(),
            "random": gather_object([get_random_states()]),
            "generators": [generator.get_state() for generator in _generators(loader)],
        }
        if self.accelerator.is_main_process:
            self.checkpoint.save(state, self.history)
        self.accelerator.wait_for_everyone()

    def _set_state(self, saved: dict[str, Any]) -> None:
        advice = (
            "Resume with the one it was trained with, or take another checkpoint folder."
        )
        for own, was in zip(self._kinds(), saved["kinds"], strict=True):
            if own != was:
                msg = f"The checkpoint was made with {was}, this is {own}. {advice}"
                raise TrainingError(msg)
        try:
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
        except (RuntimeError, ValueError) as error:
            msg = f"The checkpoint is of another model or optimizer: {error} {advice}"
            raise TrainingError(msg) from error
        if self.scheduler is not None:
            for name, own in self.scheduler.state_dict().items():
                was = saved["scheduler"].get(name, own)
                if (
                    name not in _MOVING
                    and isinstance(own, int | float | str)
                    and own != was
                ):
                    msg = f"The checkpoint's scheduler had {name}={was}, this has {own}. {advice}"
                    raise TrainingError(msg)
            self.scheduler.load_state_dict(saved["scheduler"])
        states = list(saved["callbacks"])
        for callback in self.callbacks:  # by name, because a logger may have come or gone
            names = [name for name, _ in states]
            if type(callback).__name__ in names:
                callback.load_state_dict(
                    states.pop(names.index(type(callback).__name__))[1]
                )
        losses = np.asarray(saved["step_losses"], np.float64)
        self.history = History(epochs=tuple(saved["epochs"]), step_losses=losses)
        self.n_steps = len(losses)

    def _set_random_states(self, saved: dict[str, Any], loader: Any) -> None:
        rank = min(self.accelerator.process_index, len(saved["random"]) - 1)
        set_random_states(saved["random"][rank])
        for generator, state in zip(_generators(loader), saved["generators"], strict=False):
            generator.set_state(state)

    def _kinds(self) -> list[str]:
        optimizer, scheduler = (
            type(part).__name__ for part in (self.optimizer, self.scheduler)
        )
        return [f"optimizer {optimizer}", f"scheduler {scheduler}"]


class _Sums:
    """Sums over the samples of an epoch, so that a short last batch counts for what it holds."""

    def __init__(self, names: Sequence[str], accelerator: Accelerator, device: Any) -> None:
        self.names, self.accelerator, self.device = names, accelerator, device
        # Reading a number makes a program wait for its device, and for other processes.
        is_alone = device.type == "cpu" and accelerator.num_processes == 1
        self.read_every = 1 if is_alone else 50
        self.totals, self.n_samples, self.weight = [0.0] * len(names), 0.0, 0.0
        self.losses: list[float] = []
        self._waiting: list[tuple[float, int, list[Tensor]]] = []

    def add(self, weight: float, n_samples: int, values: list[Tensor]) -> None:
        """Count a batch: its mean loss, whose denominator is `weight`, and its metrics' sums."""
        self._waiting.append((weight, n_samples, values))
        if len(self._waiting) >= self.read_every:
            self.read()

    def read(self) -> list[float]:
        """Read what is still on the device; return the loss of each batch."""
        if not self._waiting:
            return self.losses
        waiting, self._waiting = self._waiting, []
        if self.device.type == "cpu":
            table = [[value.item() for value in values] for _, _, values in waiting]
        else:
            table = torch.stack(
                [torch.stack([v.float() for v in vs]) for *_, vs in waiting]
            )
            table = table.tolist()
        rows = [
            [weight, n_samples, weight * loss, *sums]
            for (weight, n_samples, _), (loss, *sums) in zip(waiting, table, strict=True)
        ]
        if self.accelerator.num_processes > 1:
            sums = torch.tensor(rows, dtype=torch.float64, device=self.device)
            rows = self.accelerator.reduce(sums, reduction="sum").tolist()
        for weight, n_samples, *values in rows:
            self.weight += weight
            self.n_samples += n_samples
            self.losses.append(values[0] / weight)
            self.totals = [old + new for old, new in zip(self.totals, values, strict=True)]
        return self.losses

    def means(self) -> dict[str, float]:
        """Return the mean loss, and the mean of each metric over samples."""
        self.read()
        counts = [self.weight] + [self.n_samples] * (len(self.names) - 1)
        table = zip(self.names, self.totals, counts, strict=True)
        return {name: total / count for name, total, count in table}


_NO_CHECKPOINT = "Tell the trainer where: Trainer(..., checkpoint=Checkpoint(folder))."


def _denominator(loss: Callable, labels: Tensor, where: str) -> float:
    """Return what the mean of `loss` was divided by: samples, or their weights."""
    ignored = getattr(loss, "ignore_index", None)
    if ignored is None or labels.is_floating_point() or labels.ndim != 1:
        return len(labels)
    counted = labels[labels != ignored] if (labels == ignored).any() else labels
    if not len(counted):
        msg = (
            f"In {where}: all labels are {ignored}, which the loss ignores (ignore_index)."
        )
        raise DataError(msg)
    weights = getattr(loss, "weight", None)
    if weights is None or not 0 <= counted.min() <= counted.max() < len(weights):
        return len(counted)
    return weights[counted.to(weights.device)].sum().item()


def _batches(loader: Any, epoch: int = 0) -> Iterator[Any]:
    """Yield the batches of an epoch; that of our own loaders is a function of its number."""
    if not isinstance(loader, Iterable):
        msg = (
            "A loader is what make_loader returns, a torch DataLoader, or a list of pairs "
            f"(inputs, labels), got {type(loader).__name__}."
        )
        raise DataError(msg)
    n_batches = 0
    for batch in loader.batches(epoch) if hasattr(loader, "batches") else loader:
        n_batches += 1
        yield batch
    if not n_batches:
        msg = "The loader has no batch: no sample, or fewer than one batch and drop_last=True."
        raise DataError(msg)


def _length(loader: Any) -> int | None:
    try:
        return len(loader)
    except TypeError:  # a stream
        return None


def _generators(loader: Any) -> list[torch.Generator]:
    """Return the generators that a stock DataLoader draws its order from."""
    owners = (loader, getattr(loader, "sampler", None))
    found = {id(g): g for owner in owners if (g := getattr(owner, "generator", None))}
    return list(found.values())


def _plain(state: Any) -> Any:
    """Return `state` with Python's numbers for NumPy's, which a safe reader refuses."""
    if isinstance(state, np.generic):
        return state.item()
    if type(state) in (list, tuple):
        return type(state)(_plain(value) for value in state)
    if isinstance(state, dict):
        changed = copy.copy(state)
        for key, value in state.items():
            changed[key] = _plain(value)
        return changed
    return state


def _choose_layout(model: nn.Module, images: Tensor) -> torch.memory_format:
    """Return channels last if `model` has convolutions, which are a quarter faster with it.

    Unless it fails on such an image, as a model may that calls ``view``.
    """
    if not any(isinstance(layer, nn.Conv2d) for layer in model.modules()):
        return torch.contiguous_format
    with kept_modes(model), torch.no_grad():
        model.eval()
        try:
            model(_as_channels_last(images[:1]))
        except Exception:  # noqa: BLE001 - the usual layout will show it
            return torch.contiguous_format
    return torch.channels_last


def _as_channels_last(images: Tensor) -> Tensor:
    B, C, H, W = images.shape
    if (
        C == 1 and images.is_contiguous()
    ):  # both layouts at once: the strides must say which
        return images.as_strided((B, C, H, W), (H * W, 1, W, 1))
    return images.contiguous(memory_format=torch.channels_last)


@contextmanager
def kept_modes(model: nn.Module) -> Iterator[None]:
    """Run a block, then put every module back into training or evaluation mode."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def kept_random_states() -> Iterator[None]:
    """Run a block, then put all random generators back to where they were."""
    states = get_random_states()
    try:
        yield
    finally:
        set_random_states(states)


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Run a block in evaluation mode, without gradients, and leave no trace of it."""
    with kept_modes(model), kept_random_states(), torch.inference_mode():
        model.eval()
        yield


def get_random_states() -> dict[str, Any]:
    """Return the states of all global generators, as data that a file can hold safely."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - the one libraries use
    states = {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(keys.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def set_random_states(states: dict[str, Any]) -> None:
    """Put the generators into the states that `get_random_states` returned."""
    random.setstate(states["python"])
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"][: torch.cuda.device_count()])
