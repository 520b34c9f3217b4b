"""Embeddings in a file: written bit by bit, read when needed.

The file is one of safetensors, so other programs read it too. It starts with a header of
fixed length, in which a counter says how many rows are whole; labels follow, then the
rows. Nothing here knows about models, or what the rows mean.
"""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from coursekit.errors import DataError

__all__ = [
    "EmbeddingsFile",
    "Header",
    "map_file",
    "pack_header",
    "part_of",
    "read_header",
]

_FORMAT = "coursekit-embeddings-1"
_DIGITS = 15
_COUNTER = b'"n_done": "'


class Header(NamedTuple):
    """What the beginning of a file says."""

    n_samples: int
    n_features: int
    has_labels: bool
    about: dict[str, Any]
    n_done: int = 0
    n_bytes: int = 0
    """Where the header ends."""

    @property
    def begin_rows(self) -> int:
        """The place of the first row in the file."""
        return self.n_bytes + 8 * self.n_samples * self.has_labels

    @property
    def n_bytes_whole(self) -> int:
        """The size of the whole file."""
        return self.begin_rows + 4 * self.n_samples * self.n_features


def pack_header(header: Header) -> bytes:
    """Return the beginning of a file; its length does not depend on ``n_done``."""
    n_samples, n_features = header.n_samples, header.n_features
    n_label_bytes = 8 * n_samples * header.has_labels
    metadata = {
        "format": _FORMAT,
        "n_done": f"{header.n_done:0{_DIGITS}}",
        "about": json.dumps(header.about),
    }
    labels = {
        "dtype": "I64",
        "shape": [n_samples],
        "data_offsets": [0, n_label_bytes],
    }
    rows = {
        "dtype": "F32",
        "shape": [n_samples, n_features],
        "data_offsets": [n_label_bytes, n_label_bytes + 4 * n_samples * n_features],
    }
    content = {"__metadata__": metadata} | ({"labels": labels} if header.has_labels else {})
    text = json.dumps({**content, "embeddings": rows}).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def read_header(path: Path) -> Header:
    """Return what the beginning of the file at `path` says.

    Raises
    ------
    DataError
        If it is no file of embeddings, or a part of it is missing.
    """
    try:
        header = _parse(path)
    except (ValueError, KeyError, TypeError) as error:
        msg = (
            f"{path} is no file of embeddings that coursekit wrote, or its beginning is "
            "damaged. Choose another file, or delete this one."
        )
        raise DataError(msg) from error
    if (size := path.stat().st_size) != header.n_bytes_whole:
        msg = (
            f"{path} should have {header.n_bytes_whole:,} bytes for {header.n_samples:,} "
            f"embeddings of {header.n_features:,} features, but has {size:,}. Delete it, and "
            "embed again."
        )
        raise DataError(msg)
    return header


def _parse(path: Path) -> Header:
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        content = json.loads(stream.read(min(length, path.stat().st_size)))
    metadata = content["__metadata__"]
    if metadata["format"] != _FORMAT:
        raise ValueError(metadata["format"])
    n_samples, n_features = content["embeddings"]["shape"]
    return Header(
        n_samples=n_samples,
        n_features=n_features,
        has_labels="labels" in content,
        about=json.loads(metadata["about"]),
        n_done=int(metadata["n_done"]),
        n_bytes=8 + length,
    )


def map_file(path: Path) -> tuple[Tensor, Tensor | None, dict[str, Any]]:
    """Return embeddings, labels, and what is known about them; read when they are used.

    Changes to the tensors stay in memory.

    Raises
    ------
    DataError
        If the file is damaged, or was not written to its end.
    """
    header = read_header(path)
    if header.n_done != header.n_samples:
        msg = (
            f"{path} holds {header.n_done:,} of {header.n_samples:,} embeddings: writing was "
            "interrupted. Call embed again with the same file to go on."
        )
        raise DataError(msg)
    labels = None
    if header.has_labels:
        labels = _map(path, np.dtype("<i8"), header.n_bytes, (header.n_samples,))
    shape = (header.n_samples, header.n_features)
    return (
        _map(path, np.dtype("<f4"), header.begin_rows, shape),
        labels,
        header.about,
    )


def _map(path: Path, dtype: np.dtype, begin: int, shape: tuple[int, ...]) -> Tensor:
    if not np.prod(shape):
        return torch.from_numpy(np.empty(shape, dtype))
    return torch.from_numpy(np.memmap(path, dtype, mode="c", offset=begin, shape=shape))


class EmbeddingsFile:
    """A file that is being written, under a name that ends in ``.part``.

    Parameters
    ----------
    path : Path
        The name it gets when it is whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = read_header(part_of(path))

    @classmethod
    def create(cls, path: Path, header: Header) -> "EmbeddingsFile":
        """Make a file without rows; it appears at once, or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        with fresh.open("wb") as stream:
            begin = pack_header(header)
            stream.write(begin)
            stream.truncate(header._replace(n_bytes=len(begin)).n_bytes_whole)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(part_of(path))
        return cls(path)

    def write(self, place: int, rows: Tensor, labels: Tensor | None) -> None:
        """Write rows from number `place` on; they count when they are on the disk."""
        header, end = self.header, place + len(rows)
        if end > header.n_samples:
            msg = (
                f"{end} samples are more than the {header.n_samples} the file is made for."
            )
            raise DataError(msg)
        with part_of(self.path).open("r+b") as stream:
            stream.seek(header.begin_rows + 4 * place * header.n_features)
            stream.write(rows.numpy().astype("<f4", copy=False).tobytes())
            if labels is not None:
                stream.seek(header.n_bytes + 8 * place)
                stream.write(labels.numpy().astype("<i8", copy=False).tobytes())
            stream.flush()
            os.fsync(stream.fileno())
            self._count(stream, max(end, header.n_done))

    def finish(self) -> None:
        """Give the file its name."""
        part_of(self.path).replace(self.path)

    def _count(self, stream: Any, n_done: int) -> None:
        """Write the counter, a few bytes of one block, over the old one."""
        stream.seek(0)
        begin = stream.read(self.header.n_bytes)
        stream.seek(begin.index(_COUNTER) + len(_COUNTER))
        stream.write(f"{n_done:0{_DIGITS}}".encode())
        stream.flush()
        os.fsync(stream.fileno())
        self.header = self.header._replace(n_done=n_done)


def part_of(path: Path) -> Path:
    """Return the name of a file that is not finished."""
    return path.with_name(path.name + ".part")
