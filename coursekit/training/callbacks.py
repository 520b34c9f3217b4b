"""What a training is told, tells and leaves: settings, history, callbacks, checkpoints.

A callback is called by our loop; a *hook* is called by PyTorch inside a model.
"""

import copy
import itertools
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from coursekit.errors import SettingsError, TrainingError

if TYPE_CHECKING:
    import pandas as pd

    from coursekit.training.trainer import Trainer

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
        own = (self.scheduler_every, self.frozen_batch_norm)
        if own not in itertools.product(("epoch", "step"), ("eval", "train")):
            rule = "scheduler_every must be 'epoch' or 'step', frozen_batch_norm 'eval' or 'train'"
            msg = f"{rule}, got {own}."
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
        last = dict(*self.epochs[-1:])
        shown = [f"{k} {v:.4g}" for k, v in last.items() if k not in ("epoch", "seconds")]
        counts = f"History({len(self)} epochs, {len(self.step_losses)} steps"
        return f"{', '.join([counts, *shown])}{self.stopped and '; '}{self.stopped})"

    def column(self, name: str) -> list[float]:
        """Return the value of `name` in each epoch."""
        if self.epochs and name not in self.epochs[-1]:
            msg = f"The history has no {name!r}, only {', '.join(self.epochs[-1])}."
            raise SettingsError(msg)
        return [row[name] for row in self.epochs]

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row for each whole epoch."""
        import pandas as pd  # half a second, paid by those who want the table

        return pd.DataFrame(self.epochs)


class Callback:
    """Does nothing, at every moment of a training: override what you need.

    Every method is given the trainer (``trainer.model``, ``trainer.history``,
    ``trainer.stop("why")``) and, by keyword, what is known at that moment. Always take
    ``**kwargs`` too: more may be known later. Methods that are not overridden cost nothing.
    """

    def on_fit_begin(self, trainer: "Trainer", **kwargs: Any) -> None:
        """Before the first epoch. Knows: n_epochs."""

    def on_epoch_begin(self, trainer: "Trainer", **kwargs: Any) -> None:
        """Before an epoch; the model is in training mode. Knows: epoch (from 1)."""

    def on_step_begin(self, trainer: "Trainer", **kwargs: Any) -> None:
        """Before a step. Knows: epoch, step (from 1, over all epochs)."""

    def on_forward_end(self, trainer: "Trainer", **kwargs: Any) -> None:
        """After the loss of a batch, before its gradients. Knows: epoch, step, loss."""

    def on_backward_end(self, trainer: "Trainer", **kwargs: Any) -> None:
        """After the gradients, before they are used. Knows: epoch, step."""

    def on_step_end(self, trainer: "Trainer", **kwargs: Any) -> None:
        """After the weights changed. Knows: epoch, step, loss (a tensor)."""

    def on_validation_begin(self, trainer: "Trainer", **kwargs: Any) -> None:
        """Before the validation data are evaluated. Knows: epoch."""

    def on_epoch_end(self, trainer: "Trainer", **kwargs: Any) -> None:
        """After an epoch and its validation. Knows: epoch, row (of the history)."""

    def on_fit_end(self, trainer: "Trainer", **kwargs: Any) -> None:
        """After the last epoch, also when training was stopped, interrupted or failed."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must keep: numbers, strings and tensors."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""


class EarlyStopping(Callback):
    """Stops training when `monitor`, a column of the history, has not improved for some epochs.

    Small values are good for names that end in ``loss``, large ones otherwise.
    """

    def __init__(self, monitor: str = "val_loss", *, patience: int = 3) -> None:
        self.monitor, self.patience = monitor, patience

    def on_fit_begin(self, trainer: "Trainer", **kwargs: Any) -> None:  # noqa: ARG002
        """Stop at once a training that had been stopped when it was saved."""
        self.on_epoch_end(trainer)

    def on_epoch_end(self, trainer: "Trainer", **kwargs: Any) -> None:  # noqa: ARG002
        """Stop when the patience is over; only the history decides, so resuming can, too."""
        best, waited, sign = math.inf, 0, sign_of(self.monitor)
        for value in trainer.history.column(self.monitor):
            best, waited = (sign * value, 0) if sign * value < best else (best, waited + 1)
        if waited >= self.patience:
            trainer.stop(f"{self.monitor} has not improved for {waited} epochs")


class TensorBoardLogger(Callback):
    """Writes the loss of every step, and every column of the history after each epoch.

    Look at them with ``tensorboard --logdir FOLDER``; take a folder for each training, so
    that it shows them side by side.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.writer, self.n_written = None, 0

    def on_fit_begin(self, trainer: "Trainer", **kwargs: Any) -> None:  # noqa: ARG002
        """Open the file; hide what an interrupted training wrote after its checkpoint."""
        from torch.utils.tensorboard import SummaryWriter  # seconds, paid by those who log

        self.n_written = len(trainer.history.step_losses)
        if trainer.accelerator.is_main_process:
            purge_step = self.n_written + 1 if self.n_written else None
            self.writer = SummaryWriter(self.folder, purge_step=purge_step)

    def on_epoch_end(self, trainer: "Trainer", **kwargs: Any) -> None:
        """Write the epoch's row, and the losses of its steps."""
        if self.writer is None:
            return
        losses = trainer.history.step_losses
        for step in range(self.n_written, len(losses)):
            self.writer.add_scalar("step/loss", losses[step], step + 1)
        for name, value in kwargs["row"].items():
            if name != "epoch":
                self.writer.add_scalar(f"epoch/{name}", value, len(losses))
        self.n_written = len(losses)
        self.writer.flush()

    def on_fit_end(self, trainer: "Trainer", **kwargs: Any) -> None:  # noqa: ARG002
        """Close the file."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None


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

    def path(self, name: str) -> Path:
        """Return the file called `name`: "last" or "best"."""
        return Path(self.folder) / f"{name}.pt"

    def save(self, state: dict[str, Any], history: History) -> None:
        """Write ``last.pt``, and ``best.pt`` if the last epoch of `history` is the best."""
        row = history.epochs[-1]
        monitor = self.monitor or ("val_loss" if "val_loss" in row else "loss")
        sign = sign_of(monitor, self.mode)
        *before, now = (sign * value for value in history.column(monitor))
        if all(now < value for value in before):
            self._write("best", {"model": state["model"], "row": row})
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
        torch.save(state, path.with_suffix(".part"))
        # At once: a killed training leaves the file before, whole.
        path.with_suffix(".part").replace(path)


def sign_of(monitor: str, mode: str | None = None) -> int:
    """Return 1 if small values of `monitor` are good, -1 if large ones are."""
    mode = mode or ("min" if monitor.endswith(("loss", "error")) else "max")
    return {"min": 1, "max": -1}[mode]


def get_state(trainer: "Trainer", loader: Any) -> dict[str, Any]:
    """Return everything that decides how training goes on."""
    state = {
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "scheduler": trainer.scheduler and trainer.scheduler.state_dict(),
        "kinds": _kinds(trainer),
        "callbacks": [(type(c).__name__, c.state_dict()) for c in trainer.callbacks],
        "epochs": trainer.history.epochs,
        "step_losses": trainer.history.step_losses.tolist(),
        "random": get_random_states(loader),
    }
    return _plain(state)


def set_state(trainer: "Trainer", saved: dict[str, Any]) -> None:
    """Put `trainer` into a state of `get_state`, all but the random generators."""
    advice = "Resume with the one it was trained with, or take another checkpoint folder."
    for own, was in zip(_kinds(trainer), saved["kinds"], strict=True):
        if own != was:
            msg = f"The checkpoint was made with {was}, this is {own}. {advice}"
            raise TrainingError(msg)
    try:
        trainer.model.load_state_dict(saved["model"])
        trainer.optimizer.load_state_dict(saved["optimizer"])
    except (RuntimeError, ValueError) as error:
        msg = f"The checkpoint is of another model or optimizer: {error} {advice}"
        raise TrainingError(msg) from error
    if trainer.scheduler is not None:
        for name, own in trainer.scheduler.state_dict().items():
            was = saved["scheduler"].get(name, own)
            if name not in _MOVING and isinstance(own, int | float | str) and own != was:
                msg = (
                    f"The checkpoint's scheduler had {name}={was}, this has {own}. {advice}"
                )
                raise TrainingError(msg)
        trainer.scheduler.load_state_dict(saved["scheduler"])
    states = list(saved["callbacks"])
    for callback in trainer.callbacks:  # by name, because a logger may have come or gone
        names = [name for name, _ in states]
        if type(callback).__name__ in names:
            callback.load_state_dict(states.pop(names.index(type(callback).__name__))[1])
    losses = np.asarray(saved["step_losses"], np.float64)
    trainer.history = History(epochs=saved["epochs"], step_losses=losses)
    trainer.n_steps = len(losses)


def _kinds(trainer: "Trainer") -> list[str]:
    parts = {"optimizer": trainer.optimizer, "scheduler": trainer.scheduler}
    return [f"{role} {type(part).__name__}" for role, part in parts.items()]


def generators_of(loader: Any) -> list[torch.Generator]:
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


def get_random_states(loader: Any = None) -> dict[str, Any]:
    """Return the states of the global generators and the loader's, as plain data."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - the one libraries use
    return {
        "python": random.getstate(),
        "numpy": (kind, keys.tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        "loader": [generator.get_state() for generator in generators_of(loader)],
    }


def set_random_states(states: dict[str, Any], loader: Any = None) -> None:
    """Put the generators into the states that `get_random_states` returned."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    torch.cuda.set_rng_state_all(states["cuda"][: torch.cuda.device_count()])
    for generator, state in zip(generators_of(loader), states["loader"], strict=True):
        generator.set_state(state)
