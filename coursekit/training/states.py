"""Everything a training must remember to go on as if it had never stopped.

Nothing here knows about files: a state is a dictionary of tensors, numbers and strings.
"""

import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from coursekit.errors import TrainingError
from coursekit.training.batches import Batches
from coursekit.training.history import History
from coursekit.training.randomness import get_random_states, set_random_states

if TYPE_CHECKING:
    from coursekit.training.trainer import Trainer

__all__ = ["Position", "get_state", "set_random_state", "set_state"]


@dataclass(slots=True)
class Position:
    """Where in the training: the next batch is number `n_batches` (from 0) of `epoch`."""

    epoch: int = 1
    n_batches: int = 0
    seconds: float = 0.0


def get_state(trainer: "Trainer", position: Position, batches: Batches) -> dict[str, Any]:
    """Return the state of `trainer` between two steps."""
    history = trainer.history
    return {
        "position": asdict(position),
        "n_batches": batches.n_batches,
        "tally": trainer.tally.state_dict(),
        "lr": trainer.lr,
        "history": {
            "epochs": [dict(row) for row in history.epochs],
            "step_losses": torch.from_numpy(history.step_losses),
        },
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "scheduler": trainer.scheduler and trainer.scheduler.state_dict(),
        "scaler": trainer.engine.scaler and trainer.engine.scaler.state_dict(),
        "callbacks": [
            (type(callback).__name__, callback.state_dict())
            for callback in trainer.callbacks
        ],
        "kinds": _kinds(trainer, batches),
        "loaders": trainer.engine.gather(batches.state_dict()),
        "random": trainer.engine.gather(get_random_states()),
    }


def set_state(trainer: "Trainer", state: dict[str, Any], batches: Batches) -> Position:
    """Put `trainer` into a state of `get_state`, all but the random generators.

    Raises
    ------
    TrainingError
        If the state is that of another model, optimizer, scheduler or loader.
    """
    _check_fits(trainer, state, batches)
    trainer.model.load_state_dict(state["model"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    if trainer.scheduler is not None:
        trainer.scheduler.load_state_dict(state["scheduler"])
    if trainer.engine.scaler is not None and state["scaler"]:
        trainer.engine.scaler.load_state_dict(state["scaler"])
    saved = list(state["callbacks"])
    for callback in trainer.callbacks:  # by name, because a logger may have come or gone
        names = [name for name, _ in saved]
        if type(callback).__name__ in names:
            callback.load_state_dict(saved.pop(names.index(type(callback).__name__))[1])
    trainer.tally.load_state_dict(state["tally"])
    trainer.lr = state["lr"]
    epochs = tuple(state["history"]["epochs"])
    losses = np.asarray(state["history"]["step_losses"].numpy())
    trainer.history = History(epochs=epochs, step_losses=losses)
    return Position(**state["position"])


def set_random_state(
    state: dict[str, Any], batches: Batches, *, rank: int, n_processes: int
) -> None:
    """Put the random generators of this process into the state of `get_state`."""
    if n_processes != len(state["random"]):
        msg = (
            f"The checkpoint was made by {len(state['random'])} processes, this is one of "
            f"{n_processes}: random layers such as dropout will draw other numbers."
        )
        warnings.warn(msg, stacklevel=3)
    rank = min(rank, len(state["random"]) - 1)
    batches.load_state_dict(state["loaders"][rank])
    set_random_states(state["random"][rank])


def _kinds(trainer: "Trainer", batches: Batches) -> dict[str, str]:
    parts = {"optimizer": trainer.optimizer, "scheduler": trainer.scheduler}
    kinds = {
        name: "none" if part is None else type(part).__name__
        for name, part in parts.items()
    }
    return kinds | {"precision": trainer.settings.precision, "a loader of": batches.kind}


def _check_fits(trainer: "Trainer", state: dict[str, Any], batches: Batches) -> None:
    advice = "Resume with the one it was trained with, or take another checkpoint folder."
    if differences := _differences(trainer.model, state["model"]):
        msg = f"The checkpoint is of another model: {differences}. {advice}"
        raise TrainingError(msg)
    for name, kind in _kinds(trainer, batches).items():
        if kind != state["kinds"][name]:
            was = state["kinds"][name]
            msg = f"The checkpoint was made with {name} {was}, this is {kind}. {advice}"
            raise TrainingError(msg)
    groups = [len(group["params"]) for group in state["optimizer"]["param_groups"]]
    if groups != [len(group["params"]) for group in trainer.optimizer.param_groups]:
        msg = f"The checkpoint's optimizer had groups of {groups} parameters. {advice}"
        raise TrainingError(msg)
    if state["position"]["n_batches"] and state["n_batches"] != batches.n_batches:
        msg = (
            f"The checkpoint was made inside an epoch of {state['n_batches']} batches, the "
            f"loader has {batches.n_batches}. {advice}"
        )
        raise TrainingError(msg)


def _differences(model: nn.Module, saved: dict[str, Any]) -> str:
    """Return in words how the weights of `model` differ in name and shape; empty: not."""
    own = {name: _shape(value) for name, value in model.state_dict().items()}
    other = {name: _shape(value) for name, value in saved.items()}
    found = [f"{name} is missing" for name in own if name not in other]
    found += [f"{name} is not in this model" for name in other if name not in own]
    found += [
        f"{name} has shape {other[name]} instead of {own[name]}"
        for name in own
        if name in other and own[name] != other[name]
    ]
    more = f", and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(found[:3]) + more


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None
