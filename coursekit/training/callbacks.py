"""Callbacks: what the trainer calls while it works.

A callback is called by our loop; a *hook* is called by PyTorch inside a model.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coursekit.errors import SettingsError

if TYPE_CHECKING:
    from coursekit.training.trainer import Trainer

__all__ = ["Callback", "EarlyStopping", "TensorBoardLogger"]


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
    """Stops training when a column of the history has not improved for some epochs.

    Parameters
    ----------
    monitor : str, default="val_loss"
        Small values are good for names that end in ``loss``, large ones otherwise.
    patience : int, default=3
        Epochs without a new best value after which training stops.
    """

    def __init__(self, monitor: str = "val_loss", *, patience: int = 3) -> None:
        if patience < 1:
            msg = f"patience must be at least 1, got {patience}."
            raise SettingsError(msg)
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


def sign_of(monitor: str, mode: str | None = None) -> int:
    """Return 1 if small values of `monitor` are good, -1 if large ones are."""
    if mode not in (None, "min", "max"):
        msg = f"mode must be 'min', 'max' or None, got {mode!r}."
        raise SettingsError(msg)
    return (
        1 if mode == "min" or (mode is None and monitor.endswith(("loss", "error"))) else -1
    )
