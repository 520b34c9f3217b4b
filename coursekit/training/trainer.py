"""`Trainer`: fit, evaluate and predict, in one process or several."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import length_hint
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import is_initialized
from accelerate.utils import broadcast, synchronize_rng_states
from torch import Tensor, nn
from tqdm.auto import tqdm

from coursekit.devices import choose_device
from coursekit.errors import DataError, SettingsError, ShapeError, TrainingError
from coursekit.training import checks
from coursekit.training.callbacks import (
    Callback,
    Checkpoint,
    History,
    TrainSettings,
    get_random_states,
    set_random_states,
)
from coursekit.training.metrics import SampleSums, accuracy, loss_denominator
from coursekit.training.parameters import hold_statistics

Batch = tuple[Tensor, Tensor]


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
    metrics : sequence of callable, default=(accuracy,)
        Functions of logits and labels that return one number for each sample. All are averaged
        over samples.
    scheduler : torch.optim.lr_scheduler.LRScheduler, optional
        Moves on after every epoch or step, as the settings say.
    callbacks : sequence of Callback
        Called in this order.
    checkpoint : Checkpoint, optional
    settings : TrainSettings, optional
    device : str, optional
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
        metrics: Sequence[Callable[[Tensor, Tensor], Tensor]] = (accuracy,),
        scheduler: Any = None,
        callbacks: Sequence[Callback] = (),
        checkpoint: Checkpoint | None = None,
        settings: TrainSettings | None = None,
        device: str | None = None,
    ) -> None:
        self.settings = settings or TrainSettings()
        self.loss = loss or nn.CrossEntropyLoss()
        if optimizer is not None:
            checks.check_optimizer(model, optimizer, scheduler, self.loss)
        self.device = choose_device(device)
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
        self.metrics = {metric.__name__: metric for metric in metrics}
        self.callbacks, self.checkpoint = tuple(callbacks), checkpoint
        self.history = History()
        self._layout: torch.memory_format | None = None

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
        if self.optimizer is None:
            msg = "Training needs an optimizer: Trainer(model, optimizer=...)."
            raise SettingsError(msg)
        self.history = History()
        saved = self._saved_in().resume(self) if resume else None
        trained = self.model
        if self.n_processes > 1:
            trained = self.accelerator.prepare_model(self.model, device_placement=False)
        n_batches = length_hint(train_loader)  # 0 for a stream, which has no length
        bar = tqdm(
            total=n_epochs * n_batches or None,
            initial=len(self.history) * n_batches,
            unit="batch",
            desc="training",
            disable=not (self.settings.progress_bar and self.accelerator.is_main_process),
        )
        with kept_modes(self.model), bar:
            try:
                self._tell("on_fit_begin")
                if saved:
                    set_random_states(saved, train_loader)
                for epoch in range(len(self.history) + 1, n_epochs + 1):
                    if self.history.stopped:
                        break
                    bar.set_description_str(f"epoch {epoch}/{n_epochs}", refresh=False)
                    self._fit_epoch(trained, train_loader, validation, epoch, bar)
            except KeyboardInterrupt:  # a second one, from here on, ends the program
                self.stop(f"interrupted in epoch {len(self.history) + 1}")
            finally:
                self._tell("on_fit_end")
                if self.n_processes > 1:
                    self.accelerator.free_memory()
        return self.history

    def evaluate(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return loss and metrics over all samples; modes and generators stay as they were."""
        sums = SampleSums(self.metrics, self.accelerator)
        with _inference(self.model):
            for number, batch in enumerate(_batches(loader), start=1):
                with _noted(f"batch {number} of the evaluation"):
                    self._forward(self.model, batch, sums)
        return sums.means()

    def predict(self, loader: Iterable[Batch | Tensor]) -> Tensor:
        """Return the logits of all samples of `loader`, in its order.

        `loader` gives pairs, whose labels are not used, or inputs only. The logits are
        float32, on the CPU, of shape (n_samples, n_classes). Every process predicts all.
        """
        check_order(loader)
        logits = []
        with _inference(self.model):
            for number, batch in enumerate(_batches(loader), start=1):
                with _noted(f"batch {number} of the prediction"):
                    inputs = batch if isinstance(batch, Tensor) else batch[0]
                    outputs = self._outputs(self.model, inputs)
                    logits.append(checks.logits_of(outputs).float().cpu())
        return torch.cat(logits)  # outside, so that gradients may use it

    def stop(self, reason: str) -> None:
        """End the training after the present epoch; for callbacks."""
        self.history.stopped = reason

    def restore_best(self) -> dict[str, float]:
        """Put the weights of the best epoch into the model; return that epoch's row."""
        best = self._saved_in().load("best.pt")
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
        began, sums = time.perf_counter(), SampleSums(self.metrics, self.accelerator)
        self.model.train()
        self._tell("on_epoch_begin", epoch=epoch)
        if self.settings.frozen_batch_norm == "eval":
            hold_statistics(self.model)
        if self.n_processes > 1:  # so that a stock DataLoader shuffles alike everywhere
            synchronize_rng_states(["torch"])
            if generator := getattr(loader, "generator", None):
                synchronize_rng_states(["generator"], generator)
        for number, batch in enumerate(_batches(loader, epoch - 1), start=1):
            with _noted(f"epoch {epoch}, batch {number}"):
                lr = self._step(trained, batch, epoch, sums)
            bar.update()
        row = {"epoch": epoch, **sums.means()}
        if self.n_processes > 1:  # such as running means: those of the first process
            for buffer in self.model.buffers():
                buffer.copy_(broadcast(buffer.detach().clone()))
        if validation is not None:
            row |= {f"val_{name}": v for name, v in self.evaluate(validation).items()}
        row |= {"lr": lr, "seconds": time.perf_counter() - began}
        self.history.epochs.append(row)
        if self.scheduler and self.settings.scheduler_every == "epoch":
            self.scheduler.step()
        hidden = ("epoch", "lr", "seconds")
        bar.set_postfix({name: f"{v:.4g}" for name, v in row.items() if name not in hidden})
        self._tell("on_epoch_end", epoch=epoch, row=row)
        if self.checkpoint:
            if self.accelerator.is_main_process:
                self.checkpoint.save(self, loader)
            self.accelerator.wait_for_everyone()

    def _step(
        self, trained: nn.Module, batch: Batch, epoch: int, sums: SampleSums
    ) -> float:
        """Make a step, and return the rate that it was made with."""
        self.optimizer.zero_grad()
        loss, value = self._forward(trained, batch, sums)
        lr = float(self.optimizer.param_groups[0]["lr"])
        if not math.isfinite(value):  # its gradients would spoil the weights
            msg = (
                f"The loss became {value} at learning rate {lr:g}. Lower the rate, or look for "
                "NaN in this batch, or for labels of which the loss ignores all."
            )
            raise TrainingError(msg)
        self.history.step_losses.append(value)
        known = {"epoch": epoch, "step": len(self.history.step_losses)}
        loss.backward()
        self._tell("on_backward_end", **known)
        self.optimizer.step()
        if self.scheduler and self.settings.scheduler_every == "step":
            self.scheduler.step()
        self._tell("on_step_end", **known)
        return lr

    def _forward(
        self, model: nn.Module, batch: Any, sums: SampleSums
    ) -> tuple[Tensor, float]:
        """Return the loss of a batch to go backward from, and as a number for all processes."""
        inputs, labels = checks.check_batch(batch)
        n_own, every = len(labels), labels
        if self.n_processes > 1:
            own = slice(self.accelerator.process_index, None, self.n_processes)
            n_own = len(labels[own])
            # With less rows than processes some have none: theirs is the first, weighing 0.
            own = own if n_own else slice(1)
            inputs, labels = inputs[own], labels[own]
        outputs = self._outputs(model, inputs)
        logits = checks.logits_of(outputs)
        checks.check_labels(logits, labels, self.loss)
        weight = loss_denominator(self.loss, labels) if n_own else 0.0
        labels = labels.to(self.device, non_blocking=True)
        loss = self.loss(outputs, labels)
        if loss.ndim:
            msg = f'The loss is one number (reduction="mean"), got {tuple(loss.shape)}.'
            raise ShapeError(msg)
        of_metrics = []
        for name, metric in self.metrics.items():
            per_sample = metric(logits.detach(), labels)
            if per_sample.shape != labels.shape[:1]:
                msg = (
                    f"The metric {name!r} must return one value for each sample, shape "
                    f"({len(labels)},), got {tuple(per_sample.shape)}. Do not average inside it."
                )
                raise ShapeError(msg)
            of_metrics.append(per_sample[:n_own].sum())
        value = sums.add(weight, n_own, loss.detach(), of_metrics)
        if self.n_processes > 1:  # so weighted that the mean over processes is the batch's
            loss = loss * (weight * self.n_processes / loss_denominator(self.loss, every))
        return loss, value

    def _outputs(self, model: nn.Module, inputs: Tensor) -> Any:
        """Return what the model makes of `inputs`, or explain why it makes nothing."""
        inputs = inputs.to(self.device, non_blocking=True)
        if inputs.ndim == 4:
            self._layout = self._layout or _choose_layout(self.model, inputs)
            if self._layout is torch.channels_last:
                inputs = _as_channels_last(inputs)
        try:
            return model(inputs)
        except (RuntimeError, ValueError) as error:
            checks.explain_forward(error, self.model, inputs)
            raise

    def _tell(self, event: str, **kwargs: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self, **kwargs)

    def _saved_in(self) -> Checkpoint:
        if self.checkpoint is None:
            msg = "Tell the trainer where: Trainer(..., checkpoint=Checkpoint(folder))."
            raise SettingsError(msg)
        return self.checkpoint


def check_order(loader: Any) -> None:
    """Raise if `loader` shuffles: nobody could tell which row is which sample's."""
    sampler = getattr(loader, "sampler", None)
    if getattr(loader, "shuffle", "Random" in type(sampler).__name__):
        msg = "Rows come in the order of the data: make a loader with shuffle=False."
        raise SettingsError(msg)


def _batches(loader: Any, epoch: int = 0) -> Iterator[Any]:
    """Yield the batches of an epoch; that of our own loaders is a function of its number."""
    batch = None
    for batch in loader.batches(epoch) if hasattr(loader, "batches") else loader:
        yield batch
    if batch is None:
        msg = (
            "The loader has no batch: no sample, fewer than one batch and drop_last=True, or a "
            "generator, which gives its batches once."
        )
        raise DataError(msg)


@contextmanager
def _noted(where: str) -> Iterator[None]:
    """Add to an error of a block in which batch it happened."""
    try:
        yield
    except Exception as error:
        error.add_note(f"This happened in {where}.")
        raise


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
def _inference(model: nn.Module) -> Iterator[None]:
    """Run a block in evaluation mode, without gradients, and leave no trace of it."""
    states = get_random_states()
    try:
        with kept_modes(model), torch.inference_mode():
            model.eval()
            yield
    finally:
        set_random_states(states)


def _choose_layout(model: nn.Module, images: Tensor) -> torch.memory_format:
    """Return channels last if `model` has convolutions, which are a quarter faster with it.

    Unless it fails on such an image, as a model may that calls ``view``.
    """
    if not any(isinstance(layer, nn.Conv2d) for layer in model.modules()):
        return torch.contiguous_format
    with kept_modes(model), torch.no_grad(), suppress(Exception):
        model.eval()(_as_channels_last(images[:1]))
        return torch.channels_last
    return torch.contiguous_format


def _as_channels_last(images: Tensor) -> Tensor:
    B, C, H, W = images.shape
    if C == 1 and images.is_contiguous():
        # Both layouts at once: the strides must say which.
        return images.as_strided((B, C, H, W), (H * W, 1, W, 1))
    return images.contiguous(memory_format=torch.channels_last)
