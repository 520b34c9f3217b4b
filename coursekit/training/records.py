"""What a training is told, what it leaves behind, and what it needs to go on."""

import copy
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import Tensor, nn

from coursekit.errors import SettingsError, TrainingError
from coursekit.training.callbacks import sign_of

if TYPE_CHECKING:
    import pandas as pd

    from coursekit.training.trainer import Trainer

__all__ = ["Checkpoint", "History", "TrainSettings", "inference"]

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


def get_state(trainer: "Trainer", loader: Any) -> dict[str, Any]:
    """Return everything that decides how training goes on."""
    return {
        "model": trainer.model.state_dict(),
        "optimizer": _plain(trainer.optimizer.state_dict()),
        "scheduler": trainer.scheduler and _plain(trainer.scheduler.state_dict()),
        "kinds": _kinds(trainer),
        "callbacks": [
            (type(c).__name__, _plain(c.state_dict())) for c in trainer.callbacks
        ],
        "epochs": [dict(row) for row in trainer.history.epochs],
        "step_losses": trainer.history.step_losses.tolist(),
        "random": gather_object([get_random_states()]),
        "generators": [generator.get_state() for generator in generators_of(loader)],
    }


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
    trainer.history = History(epochs=tuple(saved["epochs"]), step_losses=losses)
    trainer.n_steps = len(losses)


def _kinds(trainer: "Trainer") -> list[str]:
    optimizer, scheduler = (
        type(part).__name__ for part in (trainer.optimizer, trainer.scheduler)
    )
    return [f"optimizer {optimizer}", f"scheduler {scheduler}"]


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


def choose_layout(model: nn.Module, images: Tensor) -> torch.memory_format:
    """Return channels last if `model` has convolutions, which are a quarter faster with it.

    Unless it fails on such an image, as a model may that calls ``view``.
    """
    if not any(isinstance(layer, nn.Conv2d) for layer in model.modules()):
        return torch.contiguous_format
    with kept_modes(model), torch.no_grad():
        model.eval()
        try:
            model(as_channels_last(images[:1]))
        except Exception:  # noqa: BLE001 - the usual layout will show it
            return torch.contiguous_format
    return torch.channels_last


def as_channels_last(images: Tensor) -> Tensor:
    B, C, H, W = images.shape
    if (
        C == 1 and images.is_contiguous()
    ):  # both layouts at once: the strides must say which
        return images.as_strided((B, C, H, W), (H * W, 1, W, 1))
    return images.contiguous(memory_format=torch.channels_last)
