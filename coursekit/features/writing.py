"""Keep the rows that a model gives: in memory, or in a file that survives interruptions.

Nothing here knows how the rows are computed. Of several processes each has its part of
every batch; the first one writes.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from coursekit.errors import CourseError, DataError
from coursekit.features.embeddings import Embeddings, EmbeddingSource
from coursekit.features.storage import (
    EmbeddingsFile,
    Header,
    part_of,
    read_header,
)
from coursekit.training.engine import Engine

__all__ = ["FileStore", "MemoryStore", "hash_model"]

ROWS_A_WRITE = 256  # as many are lost by an interruption, at most

Rows = Mapping[str, Tensor]


class MemoryStore:
    """Collects the rows of several places, and the labels.

    Parameters
    ----------
    n_samples : int or None
        None if it is not known before.
    engine : Engine
    """

    n_done = 0
    is_finished = False

    def __init__(self, n_samples: int | None, engine: Engine) -> None:
        self.n_samples, self.engine = n_samples, engine
        self.is_filling = n_samples is not None and engine.n_processes == 1
        self.whole: dict[str, Tensor] = {}
        self.parts: dict[str, list[Tensor]] = {}

    def begin(self, n_before: int) -> None:
        """Nothing is here before."""

    def add(self, rows: Rows, labels: Tensor | None) -> None:
        """Keep the rows of one batch."""
        named = dict(rows) if labels is None else {**rows, _LABELS: labels}
        for name, values in named.items():
            if self.is_filling:
                self._fill(name, values)
            else:
                self.parts.setdefault(name, []).append(values)
        self.n_done += len(next(iter(rows.values())))

    def finish(self) -> None:
        """Join what was kept, and see that it is whole."""
        for name, parts in self.parts.items():
            with torch.inference_mode(False):  # gradients may go through what uses it
                self.whole[name] = self.engine.join(parts).clone()
        self.parts = {}
        n_given = self.n_done if self.is_filling else self._n_joined()
        if self.n_samples not in {None, n_given}:
            raise _other_number(n_given, self.n_samples)

    def _n_joined(self) -> int:
        return len(next(iter(self.whole.values()))) if self.whole else 0

    def result(
        self, name: str, *, source: EmbeddingSource, class_names: tuple[str, ...]
    ) -> Embeddings:
        """Return the embeddings of one place."""
        return Embeddings(
            embeddings=self.whole[name],
            labels=self.whole.get(_LABELS),
            class_names=class_names,
            source=replace(source, n_samples=len(self.whole[name])),
        )

    def _fill(self, name: str, values: Tensor) -> None:
        if name not in self.whole:
            with torch.inference_mode(False):
                shape = (self.n_samples, *values.shape[1:])
                self.whole[name] = torch.empty(shape, dtype=values.dtype)
        end = self.n_done + len(values)
        if end > self.n_samples:
            raise _other_number(end, self.n_samples)
        self.whole[name][self.n_done : end] = values


_LABELS = "labels of the samples"


class FileStore:
    """Writes the rows of one place to a file, and goes on where it was left.

    Parameters
    ----------
    path : Path
    engine : Engine
    batch_size : int or None
        Samples a batch, over all processes; None if that is not known.
    """

    def __init__(self, path: Path, engine: Engine, *, batch_size: int | None) -> None:
        self.path, self.engine = path, engine
        self.every = max(1, ROWS_A_WRITE // (batch_size or ROWS_A_WRITE))
        self.rows: list[Tensor] = []
        self.labels: list[Tensor] = []
        self.place, self.n_done, self.is_finished = 0, 0, False

    def open(self, header: Header, identity: Mapping[str, Any]) -> None:
        """Find what was written before, or make a new file.

        Raises
        ------
        DataError
            If there is a file of other embeddings.
        """
        outcome: Any = None
        if self.engine.is_main:
            try:
                outcome = self._find(header, identity)
            except (CourseError, OSError) as error:
                outcome = error
        outcome = self.engine.gather(outcome)[0]  # all processes stop, or none
        if isinstance(outcome, Exception):
            raise outcome
        self.n_done, self.is_finished = outcome

    def begin(self, n_before: int) -> None:
        """Say after how many samples the next rows come."""
        self.place = n_before

    def add(self, rows: Rows, labels: Tensor | None) -> None:
        """Keep the rows of one batch; now and then all that were kept are written."""
        (values,) = rows.values()
        self.rows.append(values)
        if labels is not None:
            self.labels.append(labels)
        if len(self.rows) >= self.every:
            self._write()

    def finish(self) -> None:
        """Write the rest, and give the file its name."""
        if self.rows:
            self._write()
        if self.engine.is_main:
            file = EmbeddingsFile(self.path)
            if file.header.n_done != file.header.n_samples:
                raise _other_number(file.header.n_done, file.header.n_samples)
            file.finish()
        self.engine.wait()

    def result(self, name: str, **known: Any) -> Embeddings:
        """Return the embeddings, read from the file when needed."""
        del name, known  # the file knows
        return Embeddings.load(self.path)

    def _find(self, header: Header, identity: Mapping[str, Any]) -> tuple[int, bool]:
        for path, is_finished in ((self.path, True), (part_of(self.path), False)):
            if path.exists():
                found = read_header(path)
                _check_same(path, found.about.get("identity", {}), identity)
                return found.n_done, is_finished
        EmbeddingsFile.create(self.path, header)
        return 0, False

    def _write(self) -> None:
        rows = self.engine.join(self.rows)
        labels = self.engine.join(self.labels) if self.labels else None
        if self.engine.is_main:
            EmbeddingsFile(self.path).write(self.place, rows, labels)
        self.place += len(rows)
        self.rows, self.labels = [], []


def hash_model(model: nn.Module) -> str:
    """Return a hash of the weights of `model`, whatever device they are on."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        if isinstance(value, Tensor):
            digest.update(f"{name}{value.dtype}{tuple(value.shape)}".encode())
            flat = value.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy())
    return digest.hexdigest()


def _check_same(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    differ = [
        f"{name} {_short(found.get(name))}, not {_short(value)}"
        for name, value in wanted.items()
        if found.get(name) != value
    ]
    if differ:
        msg = (
            f"{path} holds other embeddings than those asked for. It has: "
            f"{'; '.join(differ)}. Choose another file, or delete this one."
        )
        raise DataError(msg)


def _short(value: Any) -> str:
    """Return a value for a sentence; of a hash the beginning is enough."""
    text = str(value)
    return text[:12] + "..." if len(text) == 64 else text


def _other_number(n_given: int, n_promised: int) -> DataError:
    msg = (
        f"The loader gave {n_given} samples or more, but its length says {n_promised}."
        if n_given > n_promised
        else f"The loader gave {n_given} samples, but its length says {n_promised}."
    )
    return DataError(msg)
