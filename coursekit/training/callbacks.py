"""What a training is told, tells and leaves: settings, history, callbacks, checkpoints.

A callback is called by our loop; a *hook* is called by PyTorch inside a model.
"""

import math
import random
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from coursekit.errors import SettingsError, TrainingError

if TYPE_CHECKING:
    import pandas as pd

    from coursekit.training.trainer import Trainer


# What a scheduler changes as it moves; other numbers of its state are its settings.
_MOVING = {"last_epoch", "T_cur", "T_i", "_step_count", "_is_initial"}
_MOVING |= {"_get_lr_called_within_step", "best", "num_bad_epochs", "cooldown_counter"}


@dataclass(frozen=True, kw_only=True)
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
        own = self.scheduler_every, self.frozen_batch_norm
        if own[0] not in ("epoch", "step") or own[1] not in ("eval", "train"):
            rule = "scheduler_every must be 'epoch' or 'step', frozen_batch_norm 'eval' or 'train'"
            msg = f"{rule}, got {own}."
            raise SettingsError(msg)


@dataclass(kw_only=True)
class History:
    """The record of one training."""

    epochs: list[dict[str, float]] = field(default_factory=list)
    """One row for each whole epoch: ``epoch`` (from 1), ``loss``, the metrics, the same over
    the validation data as ``val_...``, ``lr`` (of the last step, first group), ``seconds``."""
    step_losses: list[float] = field(default_factory=list)
    """The loss of each step, before that step."""
    stopped: str = ""
    """Why training ended before the last epoch; empty if it did not."""

    def __len__(self) -> int:
        return len(self.epochs)

    def __repr__(self) -> str:
        counts = f"{len(self)} epochs, {len(self.step_losses)} steps"
        return f"History({counts}{self.stopped and '; '}{self.stopped})"

    def n_since_best(self, monitor: str) -> int:
        """Return how many epochs came after the best one, of equal ones the first.

        Small values are good for names that end in ``loss`` or ``error``, large ones otherwise.
        """
        if monitor not in self.epochs[-1]:
            msg = f"The history has no {monitor!r}, only {', '.join(self.epochs[-1])}."
            raise SettingsError(msg)
        is_small_good = monitor.endswith(("loss", "error"))
        worst = math.inf if is_small_good else -math.inf  # what is no number is never best
        values = [worst if math.isnan(v := row[monitor]) else v for row in self.epochs]
        best = (min if is_small_good else max)(values)
        return len(values) - 1 - values.index(best)

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row for each whole epoch."""
        import pandas as pd  # half a second, paid by those who want the table

        return pd.DataFrame(self.epochs)


class Callback:
    """Does nothing, at every moment of a training: override what you need.

    Every method is given the trainer (``trainer.model``, ``trainer.history``,
    ``trainer.stop("why")``) and, by keyword, what is known at that moment. Always take
    ``**kwargs`` too: more may be known later.
    """

    def on_fit_begin(self, trainer: "Trainer", **kwargs: Any) -> None:
        """Before the first epoch, also of a training that is resumed."""

    def on_epoch_begin(self, trainer: "Trainer", **kwargs: Any) -> None:
        """Before an epoch; the model is in training mode. Knows: epoch (from 1)."""

    def on_backward_end(self, trainer: "Trainer", **kwargs: Any) -> None:
        """After the gradients, before they are used: clip them here. Knows: epoch, step."""

    def on_step_end(self, trainer: "Trainer", **kwargs: Any) -> None:
        """After the weights changed. Knows: epoch, step (from 1, over all epochs)."""

    def on_epoch_end(self, trainer: "Trainer", **kwargs: Any) -> None:
        """After an epoch and its validation. Knows: epoch, row (of the history)."""

    def on_fit_end(self, trainer: "Trainer", **kwargs: Any) -> None:
        """After the last epoch, also when training was stopped, interrupted or failed."""


class EarlyStopping(Callback):
    """Stops training when `monitor`, a column of the history, has not improved for some epochs.

    Small values are good for names that end in ``loss``, large ones otherwise.
    """

    def __init__(self, monitor: str = "val_loss", *, patience: int = 3) -> None:
        self.monitor, self.patience = monitor, patience

    def on_epoch_end(self, trainer: "Trainer", **kwargs: Any) -> None:  # noqa: ARG002
        """Stop when the patience is over; only the history decides, so resuming can, too."""
        waited = trainer.history.n_since_best(self.monitor)
        if waited >= self.patience:
            trainer.stop(f"{self.monitor} has not improved for {waited} epochs")


class TensorBoardLogger(Callback):
    """Writes the loss of every step, and every column of the history, after each epoch.

    Look at them with ``tensorboard --logdir FOLDER``; take a folder for each training, so
    that it shows them side by side.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder, self.writer, self.n_written = folder, None, 0

    def on_fit_begin(self, trainer: "Trainer", **kwargs: Any) -> None:  # noqa: ARG002
        """Open the file."""
        from torch.utils.tensorboard import SummaryWriter  # seconds, paid by those who log

        self.n_written = len(trainer.history.step_losses)
        if trainer.accelerator.is_main_process:
            self.writer = SummaryWriter(self.folder)

    def on_epoch_end(self, trainer: "Trainer", **kwargs: Any) -> None:
        """Write the epoch's row, and the losses of its steps."""
        if self.writer is not None:
            losses = trainer.history.step_losses
            for step in range(self.n_written, len(losses)):
                self.writer.add_scalar("step/loss", losses[step], step + 1)
            for name, value in kwargs["row"].items():
                self.writer.add_scalar(f"epoch/{name}", value, len(losses))
            self.n_written = len(losses)
            self.writer.flush()

    def on_fit_end(self, trainer: "Trainer", **kwargs: Any) -> None:  # noqa: ARG002
        """Close the file."""
        if self.writer is not None:
            self.writer.close()


@dataclass(frozen=True)
class Checkpoint:
    """Saves a training after each epoch, so that it can go on, and its best weights.

    The folder holds ``last.pt``, all that is needed to continue (callbacks begin anew), and
    ``best.pt``, the weights of the best epoch under "model" and its row under "row".

    Parameters
    ----------
    folder : str or Path
    monitor : str, optional
        The column of the history that tells which epoch is best, as `EarlyStopping` judges it.
        By default ``val_loss`` when there is validation, else ``loss``.
    """

    folder: str | Path
    monitor: str | None = None

    def save(self, trainer: "Trainer", loader: Any) -> None:
        """Write ``last.pt``, and ``best.pt`` if the last epoch is the best."""
        row = trainer.history.epochs[-1]
        monitor = self.monitor or ("val_loss" if "val_loss" in row else "loss")
        if trainer.history.n_since_best(monitor) == 0:
            self._write("best.pt", {"model": trainer.model.state_dict(), "row": row})
        state = {
            "parts": [(type(part).__name__, part.state_dict()) for part in _parts(trainer)],
            "history": asdict(trainer.history),
            "random": get_random_states(loader),
        }
        self._write("last.pt", state)

    def resume(self, trainer: "Trainer") -> dict[str, Any] | None:
        """Put `trainer` into the last state, if there is one; return the generators' states."""
        if not Path(self.folder, "last.pt").exists():
            return None
        saved = self.load("last.pt")
        try:
            for part, (kind, state) in zip(_parts(trainer), saved["parts"], strict=True):
                was = {"type": kind, **state}
                for key, value in {
                    "type": type(part).__name__,
                    **part.state_dict(),
                }.items():
                    is_setting = isinstance(value, int | float | str) and key not in _MOVING
                    if is_setting and was.get(key) != value:
                        # A schedule of another length, for one, would climb again.
                        msg = f"{kind} had {key}={was.get(key)}, and now {value}."
                        raise ValueError(msg)  # noqa: TRY301
                part.load_state_dict(state)
        except (RuntimeError, ValueError) as error:
            msg = (
                f"The checkpoint is of another model, optimizer or scheduler: {error} Resume "
                "with those that it was made with, or take another checkpoint folder."
            )
            raise TrainingError(msg) from error
        trainer.history = History(**saved["history"])
        return saved["random"]

    def load(self, name: str) -> dict[str, Any]:
        """Return what was written; it is data only and cannot run code."""
        # A rate of np.logspace stays a number of NumPy's.
        numbers = [np._core.multiarray.scalar, np.dtype, *map(type, map(np.dtype, "fdil?"))]
        path = Path(self.folder, name)
        with torch.serialization.safe_globals(numbers):
            return torch.load(path, map_location="cpu", weights_only=True)

    def _write(self, name: str, state: dict[str, Any]) -> None:
        path = Path(self.folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, path.with_suffix(".part"))
        # At once: a killed training leaves the file before, whole.
        path.with_suffix(".part").replace(path)


def _parts(trainer: "Trainer") -> list[Any]:
    every = trainer.model, trainer.optimizer, trainer.scheduler
    return [part for part in every if part is not None]


def get_random_states(loader: Any = None) -> dict[str, Any]:
    """Return the states of the global generators and a stock DataLoader's, as plain data."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - the one libraries use
    own = getattr(loader, "generator", None)
    return {
        "python": random.getstate(),
        "numpy": (kind, keys.tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        "loader": own and own.get_state(),
    }


def set_random_states(states: dict[str, Any], loader: Any = None) -> None:
    """Put the generators into the states that `get_random_states` returned."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    torch.cuda.set_rng_state_all(states["cuda"][: torch.cuda.device_count()])
    if states["loader"] is not None:
        loader.generator.set_state(states["loader"])
