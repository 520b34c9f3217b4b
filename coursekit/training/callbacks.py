"""Callbacks: what the trainer calls while it works.

Nothing here knows how the trainer does it. A callback is called by our loop; a *hook* is
called by PyTorch inside a model.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from coursekit.errors import SettingsError

if TYPE_CHECKING:
    from coursekit.training.trainer import Trainer

__all__ = ["Callback", "EarlyStopping"]


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
        """After the gradients, before they are clipped and used. Knows: epoch, step."""

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
    """Stops training when a value has not improved for some epochs.

    It looks only at the history, so a resumed training stops where an uninterrupted one
    would.

    Parameters
    ----------
    monitor : str, default="val_loss"
        A column of the history.
    patience : int, default=3
        Epochs without a new best value after which training stops.
    mode : {"min", "max"}, optional
        Whether small or large is good. By default small for names that end in ``loss``.
    min_delta : float, default=0.0
        How much better a value must be to count.

    Raises
    ------
    SettingsError
        If a number is out of range.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 3,
        mode: str | None = None,
        min_delta: float = 0.0,
    ) -> None:
        if patience < 1 or min_delta < 0:
            msg = (
                "patience must be at least 1 and min_delta not negative, got "
                f"{patience} and {min_delta}."
            )
            raise SettingsError(msg)
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta
        self.sign = sign_of(monitor, mode)

    def on_fit_begin(self, trainer: "Trainer", **kwargs: Any) -> None:  # noqa: ARG002
        """Stop at once a training that had been stopped when it was saved."""
        self.on_epoch_end(trainer)

    def on_epoch_end(self, trainer: "Trainer", **kwargs: Any) -> None:  # noqa: ARG002
        """Stop when the patience is over."""
        best, waited = math.inf, 0
        for value in trainer.history.column(self.monitor):
            if self.sign * value < best - self.min_delta:
                best, waited = self.sign * value, 0
            else:
                waited += 1
        if waited >= self.patience:
            trainer.stop(f"{self.monitor} has not improved for {waited} epochs")


def sign_of(monitor: str, mode: str | None) -> int:
    """Return 1 if small values of `monitor` are good, -1 if large ones are."""
    if mode not in (None, "min", "max"):
        msg = f"mode must be 'min', 'max' or None, got {mode!r}."
        raise SettingsError(msg)
    if mode is None:
        mode = "min" if monitor.endswith(("loss", "error")) else "max"
    return 1 if mode == "min" else -1


def find_listeners(callbacks: Sequence[Callback]) -> dict[str, list[Callable[..., None]]]:
    """Return for each event the methods that were overridden, in order."""
    return {
        event: [
            getattr(callback, event)
            for callback in callbacks
            if getattr(type(callback), event, None) is not getattr(Callback, event)
        ]
        for event in vars(Callback)
        if event.startswith("on_")
    }
