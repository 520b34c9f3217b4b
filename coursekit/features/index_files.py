"""Keep a graph of neighbors in a file, with its settings and its sum beside it.

Nothing here knows how a graph is built or searched.
"""

import json
from dataclasses import asdict
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coursekit.errors import CourseError, DataError
from coursekit.features.index_settings import IndexSettings

if TYPE_CHECKING:
    import faiss

__all__ = ["read_index", "write_index"]

_FORMAT = "coursekit search index, version 1"


def write_index(graph: "faiss.IndexHNSW", settings: IndexSettings, path: Path) -> None:
    """Write both files; each replaces the old one when it is whole."""
    import faiss

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    beside = _beside(path).with_name(f"{_beside(path).name}.part")
    try:
        faiss.write_index(graph, str(partial))
        note = {
            "format": _FORMAT,
            "n_rows": graph.ntotal,
            "n_features": graph.d,
            "settings": asdict(settings),
            "bytes": partial.stat().st_size,
            "sha256": _sum(partial),
        }
        beside.write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
        partial.replace(path)
        beside.replace(_beside(path))
    finally:
        partial.unlink(missing_ok=True)
        beside.unlink(missing_ok=True)


def read_index(path: Path) -> tuple["faiss.IndexHNSW", IndexSettings]:
    """Return the graph and its settings.

    Raises
    ------
    DataError
        If a file is missing, cut short, changed or foreign.
    """
    import faiss

    note, settings = _read_note(path)
    if not path.is_file():
        msg = (
            f"There is no index {path}, only its settings beside it. Save the index again."
        )
        raise DataError(msg)
    n_bytes = path.stat().st_size
    if n_bytes != note["bytes"] or _sum(path) != note["sha256"]:
        msg = (
            f"{path} is not the index that {_beside(path).name} tells of: it has {n_bytes} "
            f"bytes, expected {note['bytes']}"
            f"{', and other content' if n_bytes == note['bytes'] else ''}. It was cut short or "
            "changed: build the index again and save it."
        )
        raise DataError(msg)
    try:
        graph = faiss.read_index(str(path))
    except RuntimeError as error:
        msg = f"faiss {faiss.__version__} cannot read {path}: build the index again."
        raise DataError(msg) from error
    given = type(graph).__name__, graph.d, graph.ntotal
    if "HNSW" not in given[0] or given[1:] != (note["n_features"], note["n_rows"]):
        msg = (
            f"{path} holds {given[0]} of {given[2]} x {given[1]}, but beside it stands "
            f"{note['n_rows']} x {note['n_features']}: build the index again and save it."
        )
        raise DataError(msg)
    return graph, settings


def _read_note(path: Path) -> tuple[dict[str, Any], IndexSettings]:
    beside = _beside(path)
    try:
        note = json.loads(beside.read_text(encoding="utf-8"))
        if note["format"] != _FORMAT:
            raise KeyError(note["format"])
        settings = IndexSettings(**note["settings"])
        return {
            key: note[key] for key in ("bytes", "sha256", "n_rows", "n_features")
        }, settings
    except FileNotFoundError as error:
        msg = (
            f"An index has its settings beside it, but there is no {beside}. Only what "
            "SearchIndex.save wrote can be loaded: both files."
        )
        raise DataError(msg) from error
    except (OSError, ValueError, LookupError, TypeError, CourseError) as error:
        msg = f"{beside} does not hold the settings of an index: {error}. Save it again."
        raise DataError(msg) from error


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
