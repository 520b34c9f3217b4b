"""Graphs of neighbors as faiss makes them: built, searched, read back.

faiss is imported where it is used, because it brings an OpenMP runtime of its own beside
that of torch. Nothing here knows of cosines, files or settings beyond the graph's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from coursekit.errors import SettingsError
from coursekit.features.index_settings import IndexSettings
from coursekit.seeds import derive_seed

if TYPE_CHECKING:
    import faiss

__all__ = ["add_rows", "count_bytes", "make_graph", "read_rows", "search_graph"]

_LARGEST_HALF = 65_504.0


def make_graph(n_features: int, settings: IndexSettings) -> "faiss.IndexHNSW":
    """Return a graph without rows, whose layers are drawn from the seed."""
    import faiss

    if settings.storage == "float16":
        kind = faiss.ScalarQuantizer.QT_fp16
        graph = faiss.IndexHNSWSQ(n_features, kind, settings.n_links)
        graph.is_trained = graph.storage.is_trained = True  # float16 has nothing to learn
    else:
        graph = faiss.IndexHNSWFlat(n_features, settings.n_links)
    graph.hnsw.efConstruction = settings.ef_construction
    graph.hnsw.efSearch = settings.ef_search
    graph.hnsw.rng = faiss.RandomGenerator(derive_seed(settings.seed, "layers") % 2**31)
    return graph


def add_rows(graph: "faiss.IndexHNSW", rows: np.ndarray, *, n_threads: int) -> None:
    """Add rows of shape (n_rows, n_features), float32.

    Raises
    ------
    SettingsError
        If `n_threads` is below 1, or numbers are too large for the storage.
    """
    import faiss

    if isinstance(n_threads, bool) or not isinstance(n_threads, int) or n_threads < 1:
        msg = f"n_threads must be a whole number of at least 1, got {n_threads!r}."
        raise SettingsError(msg)
    most = np.abs(rows).max(initial=0)
    if most > _LARGEST_HALF and isinstance(graph, faiss.IndexHNSWSQ):
        msg = (
            f"float16 holds numbers up to {_LARGEST_HALF:g}, got {most:g}. Divide bank and "
            'queries by one number, or use storage="float32".'
        )
        raise SettingsError(msg)
    with _threads(n_threads):
        graph.add(rows)


def search_graph(
    graph: "faiss.IndexHNSW", queries: np.ndarray, *, k: int, ef_search: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return squared distances and indices, of shape (n_queries, k), nearest first.

    Of equal distances that with the lower index comes first. What was not reached has the
    index -1.
    """
    graph.hnsw.efSearch = max(int(ef_search), int(k))
    squared, indices = graph.search(queries, int(k))
    by_index = indices.argsort(axis=1, kind="stable")
    squared = np.take_along_axis(squared, by_index, axis=1)
    order = np.take_along_axis(by_index, squared.argsort(axis=1, kind="stable"), axis=1)
    squared = np.sort(squared, axis=1, kind="stable")
    return np.maximum(squared, 0), np.take_along_axis(indices, order, axis=1)


def read_rows(graph: "faiss.IndexHNSW") -> Tensor:
    """Return the rows as they are held, of shape (n_rows, n_features), float32."""
    return torch.from_numpy(graph.reconstruct_n(0, graph.ntotal))


def count_bytes(graph: "faiss.IndexHNSW") -> int:
    """Return the bytes of the rows and their links."""
    hnsw = graph.hnsw
    tables = 4 * hnsw.neighbors.size() + 8 * hnsw.offsets.size() + 4 * hnsw.levels.size()
    return graph.ntotal * graph.storage.sa_code_size() + tables


@contextmanager
def _threads(n_threads: int) -> Iterator[None]:
    """Let faiss use so many threads in the block; those of torch are others."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(n_threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
