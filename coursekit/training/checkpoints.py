"""Checkpoint files that are whole, or are not taken for whole.

Nothing here knows what is in them: dictionaries of tensors, numbers and strings.
"""

import hashlib
import io
import os
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from coursekit.errors import SettingsError, TrainingError
from coursekit.training.callbacks import sign_of
from coursekit.training.history import History

__all__ = ["Checkpoint", "read_checkpoint", "write_checkpoint"]

_MARK = b"\nsha256:"


@dataclass(frozen=True)
class Checkpoint:
    """Where and when a training is saved, so that it can be continued.

    The folder holds ``last.pt`` (all that is needed to continue), ``previous.pt`` (the one
    before, in case the last is damaged) and ``best.pt`` (the weights of the best epoch). A
    training that does not resume replaces the files of an earlier one when it first saves.

    Parameters
    ----------
    folder : str or Path
        Made when it is not there.
    every_n_steps : int, optional
        Save inside an epoch too, after so many steps. By default only after each epoch.
    monitor : str, optional
        The column of the history that tells which epoch is best. By default ``val_loss``
        when there is validation, else ``loss``.
    mode : {"min", "max"}, optional
        Whether small or large is good. By default small for names that end in ``loss``.

    Raises
    ------
    SettingsError
        If a value is not one of those above.
    """

    folder: str | Path
    every_n_steps: int | None = None
    monitor: str | None = None
    mode: str | None = None

    def __post_init__(self) -> None:
        if self.every_n_steps is not None and self.every_n_steps < 1:
            msg = f"every_n_steps must be at least 1, or None, got {self.every_n_steps}."
            raise SettingsError(msg)
        sign_of(self.monitor or "loss", self.mode)

    def path(self, name: str) -> Path:
        """Return the file called `name`: "last", "previous" or "best"."""
        return Path(self.folder) / f"{name}.pt"

    def save(self, state: dict[str, Any], *, is_first: bool) -> None:
        """Make `state` the last checkpoint, and the one that was last the previous one.

        Parameters
        ----------
        state : dict
        is_first : bool
            Whether it is the first of its training: those of earlier ones go away.
        """
        with _explained(self.path("last")):
            temporary = _write_temporary(self.path("last"), state)
            if is_first:
                self.path("previous").unlink(missing_ok=True)
            elif self.path("last").exists():
                self.path("last").replace(self.path("previous"))
            temporary.replace(self.path("last"))
            _sync_folder(self.path("last").parent)

    def save_if_best(self, weights: dict[str, Any], history: History) -> None:
        """Write `weights` to ``best.pt`` if the last epoch of `history` is the best."""
        monitor = self.monitor or (
            "val_loss" if "val_loss" in history.epochs[-1] else "loss"
        )
        sign = sign_of(monitor, self.mode)
        *before, now = [sign * value for value in history.column(monitor)]
        if all(now < value for value in before):
            row = dict(history.epochs[-1])
            write_checkpoint(self.path("best"), {"model": weights, "row": row})

    def load(self) -> dict[str, Any] | None:
        """Return the last checkpoint that is whole; None if there is no file at all.

        Raises
        ------
        TrainingError
            If there are files, and all are damaged.
        """
        damaged = []
        for path in (self.path("last"), self.path("previous")):
            if not path.exists():
                continue
            try:
                state = read_checkpoint(path)
            except TrainingError as error:
                damaged.append(error)
                continue
            if damaged:
                msg = f"{damaged[0]} Training goes on from {path.name}, saved before it."
                warnings.warn(msg, stacklevel=2)
            return state
        if damaged:
            msg = f"{damaged[0]} There is no other: delete the folder to start anew."
            raise TrainingError(msg) from damaged[0]
        return None

    def load_best(self) -> dict[str, Any]:
        """Return the weights of the best epoch, for ``model.load_state_dict``.

        Raises
        ------
        TrainingError
            If nothing was saved yet, or the file is damaged.
        """
        if not self.path("best").exists():
            msg = (
                f"There is no best epoch yet in {self.folder}: train with this checkpoint."
            )
            raise TrainingError(msg)
        return read_checkpoint(self.path("best"))["model"]


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path` so that the file is always an old or a new one, never a part.

    Raises
    ------
    TrainingError
        If it cannot be written, for example because the disk is full.
    """
    with _explained(path):
        _write_temporary(path, state).replace(path)
        _sync_folder(path.parent)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return what `write_checkpoint` wrote; it is data only and cannot run code.

    Raises
    ------
    TrainingError
        If the file is not whole, or not ours.
    """
    content = path.read_bytes()
    body, mark, digest = content.rpartition(_MARK)
    if not mark or hashlib.sha256(body).hexdigest().encode() != digest:
        msg = f"The checkpoint {path} is damaged ({len(content)} bytes, wrong checksum)."
        raise TrainingError(msg)
    return torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)


def _write_temporary(path: Path, state: dict[str, Any]) -> Path:
    """Write `state` beside `path`, down to the disk, and return where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    body = buffer.getbuffer()
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            file.write(body)
            file.write(_MARK + hashlib.sha256(body).hexdigest().encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    return temporary


def _sync_folder(folder: Path) -> None:
    """Bring the new names of a folder to the disk, where the system can do that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class _explained:  # noqa: N801 - used like a function
    """Turns a failure to write into an error that says what to do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: object
    ) -> None:
        if isinstance(error, OSError):
            msg = (
                f"The checkpoint {self.path} could not be written ({error}). The one before "
                "is untouched. Make room, or give the checkpoint another folder."
            )
            raise TrainingError(msg) from error
