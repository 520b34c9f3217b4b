"""`Trainer`: fit, evaluate, predict.

The loop itself is in `loop`; device, precision and processes are the `Engine`'s, sums the
`Tally`'s, files the `Checkpoint`'s. Nothing here knows how those work.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from coursekit.errors import SettingsError
from coursekit.training import checks
from coursekit.training.batches import Batch, Batches, batches_of, check_can_resume
from coursekit.training.callbacks import Callback, find_listeners
from coursekit.training.checkpoints import Checkpoint
from coursekit.training.engine import Engine, kept_modes
from coursekit.training.forward import ForwardPass
from coursekit.training.history import History
from coursekit.training.loop import end_epoch, evaluate, inference, train_epoch
from coursekit.training.metrics import MetricFunction, find_metrics
from coursekit.training.progress import Progress
from coursekit.training.settings import TrainSettings
from coursekit.training.states import Position, set_random_state, set_state
from coursekit.training.tally import Tally

__all__ = ["Trainer"]


class Trainer:
    """Trains a model, evaluates it, and predicts with it.

    Parameters
    ----------
    model : Module
        Gives logits of shape (n, n_classes). It is moved to the device and trained in place.
    optimizer : torch.optim.Optimizer
        Of the model's parameters.
    loss : callable, default=CrossEntropyLoss()
        Takes what the model returns and labels, returns their mean over the batch.
    metrics : sequence of str or callable, default=("accuracy",)
        See `find_metrics`. All are averaged over samples.
    scheduler : torch.optim.lr_scheduler.LRScheduler, optional
        Moves on after every epoch or step, as the settings say.
    callbacks : sequence of Callback
        Called in this order.
    checkpoint : Checkpoint, optional
        Where and when training is saved.
    settings : TrainSettings
    device : torch.device or str, optional
        By default the fastest at hand.

    Raises
    ------
    TrainingError
        If the model has no parameters to train, or they are not the optimizer's.

    Notes
    -----
    Under ``torchrun`` every process runs the same lines. A batch is then shared by all of
    them, so the loss curve is that of one process (but for batch normalization, whose
    statistics are those of a process).

    Examples
    --------
    >>> from coursekit.datasets import make_loader
    >>> loader = make_loader((torch.eye(4), torch.arange(4)), batch_size=2)
    >>> model = nn.Linear(4, 4)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=5.0)
    >>> quiet = TrainSettings(progress_bar=False)
    >>> history = Trainer(model, optimizer=optimizer, settings=quiet).fit(loader, n_epochs=3)
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        optimizer: torch.optim.Optimizer,
        loss: Callable[[Any, Tensor], Tensor] | None = None,
        metrics: Sequence[str | MetricFunction] = ("accuracy",),
        scheduler: Any = None,
        callbacks: Sequence[Callback] = (),
        checkpoint: Checkpoint | None = None,
        settings: TrainSettings | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        self.settings = settings or TrainSettings()
        self.engine = Engine(self.settings, device)
        self.loss = nn.CrossEntropyLoss() if loss is None else loss
        checks.check_optimizer(model, optimizer, self.loss)
        self.model = model.to(self.engine.device)
        if isinstance(self.loss, nn.Module):
            self.loss.to(self.engine.device)
        self.optimizer, self.scheduler = optimizer, scheduler
        self.forward = ForwardPass(self.engine, self.loss, find_metrics(metrics))
        self.callbacks, self.checkpoint = tuple(callbacks), checkpoint
        self._listeners = find_listeners(self.callbacks)
        self._forget()

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
        train_loader : Loader or DataLoader
            What `make_loader` returns, a torch DataLoader, or another iterable of pairs.
        validation : Loader or DataLoader, optional
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

        Raises
        ------
        SettingsError
            If `n_epochs` is below 1, or `resume` is asked for without a checkpoint.
        TrainingError
            If the loss is NaN or infinite, or a checkpoint does not fit the model.
        ShapeError, DataError
            If a batch does not fit the model, or there is none. The message names it.
        """
        if n_epochs < 1:
            msg = f"n_epochs must be at least 1, got {n_epochs}."
            raise SettingsError(msg)
        batches = self._batches(train_loader)
        held_out = None if validation is None else self._batches(validation)
        saved = self._load(train_loader, resume=resume)
        self._forget()
        position = set_state(self, saved, batches) if saved else Position()
        self.is_first_save = saved is None
        wrapped = self.engine.wrap(self.model)
        with kept_modes(self.model), self._bar(n_epochs, batches) as bar:
            try:
                self.tell("on_fit_begin", n_epochs=n_epochs)
                if saved:
                    engine = self.engine
                    set_random_state(
                        saved, batches, rank=engine.rank, n_processes=engine.n_processes
                    )
                while position.epoch <= n_epochs and not self.history.stopped:
                    row = train_epoch(self, wrapped, batches, position, bar)
                    position = end_epoch(self, row, batches, held_out, position, bar)
            except KeyboardInterrupt:  # a second one, from here on, ends the program
                self._note_interruption(position)
            finally:
                self.tell("on_fit_end")
                self.engine.release()
        return self.history

    def evaluate(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return the loss and the metrics over all samples of `loader`.

        The model's mode and all random generators are left as they were.

        Returns
        -------
        dict of str to float
            ``loss`` and one entry for each metric.
        """
        return evaluate(self, self._batches(loader))

    def predict(self, loader: Iterable[Batch | Tensor]) -> Tensor:
        """Return the logits of all samples of `loader`, in its order.

        Parameters
        ----------
        loader : Loader or DataLoader
            Gives pairs, whose labels are not used, or inputs only.

        Returns
        -------
        Tensor of shape (n_samples, n_classes), float32, on the CPU

        Raises
        ------
        SettingsError
            If the loader shuffles: then nobody could tell whose logits they are.
        """
        batches = self._batches(loader)
        if batches.is_shuffled:
            msg = (
                "predict keeps the order of the data, but this loader shuffles them. Make one "
                "with shuffle=False."
            )
            raise SettingsError(msg)
        logits = []
        with inference(self.model):
            for number, batch in enumerate(batches.epoch(0), start=1):
                inputs = batch if isinstance(batch, Tensor) else batch[0]
                where = f"batch {number} of the prediction"
                logits.append(self.forward.predict(self.model, inputs, where))
        return self.engine.join(logits)  # outside, so that gradients may use it

    def stop(self, reason: str) -> None:
        """End the training after the present epoch; for callbacks."""
        self.history = replace(self.history, stopped=reason)

    def _load(self, loader: Iterable[Batch], *, resume: bool) -> dict[str, Any] | None:
        if self.checkpoint is not None:
            check_can_resume(loader)
        elif resume:
            msg = "resume=True needs to know where: Trainer(..., checkpoint=Checkpoint(folder))."
            raise SettingsError(msg)
        return self.checkpoint.load() if resume else None

    def _note_interruption(self, position: Position) -> None:
        self.tally.read()
        losses = self.tally.step_losses
        reason = f"interrupted in epoch {position.epoch} after {len(losses)} of its steps"
        self.history = replace(self.history.with_steps(losses), stopped=reason)
        self.tally = self.new_tally()

    @property
    def n_steps(self) -> int:
        """Steps made so far, over all epochs."""
        return len(self.history.step_losses) + self.tally.n_steps

    def _forget(self) -> None:
        self.history, self.tally = History(), self.new_tally()
        self.lr = math.nan

    def new_tally(self) -> Tally:
        """Return sums that are zero."""
        read_every = 1 if self.engine.is_cpu else 50
        names = tuple(self.forward.metrics)
        return Tally(names, read_every=read_every, add_up=self.engine.add_up)

    def _batches(self, loader: Iterable[Batch]) -> Batches:
        return batches_of(
            loader, rank=self.engine.rank, n_processes=self.engine.n_processes
        )

    def _bar(self, n_epochs: int, batches: Batches) -> Progress:
        shown = self.settings.progress_bar and self.engine.is_main
        return Progress(n_epochs, batches.n_batches, shown=shown)

    def tell(self, event: str, **kwargs: Any) -> None:
        """Call the method `event` of every callback that has one."""
        for method in self._listeners[event]:
            method(self, **kwargs)
