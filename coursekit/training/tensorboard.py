"""Write the curves of a training for TensorBoard.

Nothing here knows how the numbers came about.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from coursekit.training.callbacks import Callback

if TYPE_CHECKING:
    from coursekit.training.trainer import Trainer

__all__ = ["TensorBoardLogger"]


class TensorBoardLogger(Callback):
    """Writes the loss of every step, and every column of the history after each epoch.

    Look at them with ``tensorboard --logdir FOLDER``.

    Parameters
    ----------
    folder : str or Path
        One folder a training, so that TensorBoard shows them side by side.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.writer = None
        self.n_written = 0

    def on_fit_begin(self, trainer: "Trainer", **kwargs: Any) -> None:  # noqa: ARG002
        """Open the file; hide what an interrupted training wrote after its checkpoint."""
        from torch.utils.tensorboard import SummaryWriter  # seconds, paid by those who log

        self.n_written = len(trainer.history.step_losses)
        if trainer.engine.is_main:
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
