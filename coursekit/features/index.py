"""`SearchIndex`: nearest neighbors found nearly always, and much faster than all are compared.

Nothing here knows what the rows stand for, or how the index lies in a file.
"""

from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from coursekit.errors import SettingsError, ShapeError
from coursekit.features.bounds import to_unit
from coursekit.features.embeddings import Embeddings
from coursekit.features.graphs import (
    add_rows,
    count_bytes,
    make_graph,
    read_rows,
    search_graph,
)
from coursekit.features.index_files import read_index, write_index
from coursekit.features.index_settings import IndexSettings, Storage
from coursekit.features.inputs import Metric, as_matrix, check_k
from coursekit.features.neighbors import Neighbors, find_neighbors
from coursekit.features.recall import measure_recall

__all__ = ["SearchIndex"]


class SearchIndex:
    """A graph of neighbors (HNSW) through which queries walk to theirs.

    Made by faiss [1]_. The same rows, settings and seed make the same graph, as long as one
    thread builds it.

    Parameters
    ----------
    bank : Embeddings, Tensor or ndarray of shape (n_bank, n_features)
        What is searched, on the CPU.
    metric : {"cosine", "euclidean"}, default="cosine"
        What near means.
    n_links : int, default=16
        Links of a row to others (M in [1]_). More cost memory and find more.
    ef_construction : int, default=100
        Candidates held while a row is added. More build a better graph, slower.
    ef_search : int, default=64
        Candidates held during a search. More find more, slower.
    storage : {"float32", "float16"}, default="float32"
        How rows are held. Half the memory is read faster; values are then off by a
        thousandth part.
    seed : int, default=0
        Draws the layer of each row.
    n_threads : int, default=1
        Threads that build. With several the graph differs from run to run.

    Attributes
    ----------
    settings : IndexSettings
        All of that but the bank and `n_threads`.

    Raises
    ------
    ShapeError
        If the bank is not a matrix.
    DataError
        If rows hold NaN, infinity, or, under the cosine, zeros only.
    SettingsError
        If the bank is empty or not on the CPU, or a setting is out of range.

    References
    ----------
    .. [1] Malkov and Yashunin, "Efficient and Robust Approximate Nearest Neighbor Search
       Using Hierarchical Navigable Small World Graphs", TPAMI 2020, sec. 4.
       https://arxiv.org/abs/1603.09320

    Examples
    --------
    >>> bank = torch.eye(8)
    >>> index = SearchIndex(bank)
    >>> index.search(bank[5:6], k=1).indices
    tensor([[5]])
    """

    def __init__(
        self,
        bank: Embeddings | Tensor | np.ndarray,
        *,
        metric: Metric = "cosine",
        n_links: int = 16,
        ef_construction: int = 100,
        ef_search: int = 64,
        storage: Storage = "float32",
        seed: int = 0,
        n_threads: int = 1,
    ) -> None:
        self.settings = IndexSettings(
            metric=metric,
            n_links=n_links,
            ef_construction=ef_construction,
            ef_search=ef_search,
            storage=storage,
            seed=seed,
        )
        rows = as_matrix(bank, "bank", metric=metric)
        check_k(1, len(rows))
        self._graph = make_graph(rows.shape[1], self.settings)
        self.add(rows, n_threads=n_threads)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._graph.ntotal

    def __repr__(self) -> str:
        return f"SearchIndex({len(self)} rows of {self.n_features}, {self.settings.metric})"

    @property
    def n_features(self) -> int:
        """Numbers in a row."""
        return self._graph.d

    @property
    def n_bytes(self) -> int:
        """Bytes of the rows and their links."""
        return count_bytes(self._graph)

    def add(self, rows: Embeddings | Tensor | np.ndarray, *, n_threads: int = 1) -> None:
        """Add rows behind those that are there.

        Parameters
        ----------
        rows : Embeddings, Tensor or ndarray of shape (n_rows, n_features)
            The first gets the index ``len(self)``.
        n_threads : int, default=1
            Threads that build. With several the graph differs from run to run.

        Raises
        ------
        ShapeError
            If the rows have another number of features.
        DataError
            If rows hold NaN, infinity, or, under the cosine, zeros only.
        SettingsError
            If the rows are not on the CPU, `n_threads` is below 1, or numbers are too large
            for the storage.
        """
        add_rows(self._graph, self._prepare(rows, "rows"), n_threads=n_threads)

    def search(
        self,
        queries: Embeddings | Tensor | np.ndarray,
        *,
        k: int,
        ef_search: int | None = None,
    ) -> Neighbors:
        """Find nearly always the `k` rows nearest to each query.

        Parameters
        ----------
        queries : Embeddings, Tensor or ndarray of shape (n_queries, n_features)
            What is looked up, on the CPU.
        k : int
            Neighbors per query, with ``1 <= k <= len(self)``.
        ef_search : int, optional
            For this search, instead of that of the settings. At least `k` is taken.

        Returns
        -------
        Neighbors
            As `find_neighbors` returns them. A query that reaches fewer than `k` rows
            through the graph is looked up exactly.

        Raises
        ------
        ShapeError
            If the queries have another number of features.
        DataError
            If rows hold NaN, infinity, or, under the cosine, zeros only.
        SettingsError
            If `k` or `ef_search` is out of range, or the queries are not on the CPU.
        """
        check_k(k, len(self))
        settings = self.settings.with_ef_search(ef_search)
        wanted = self._prepare(queries, "queries")
        metric = settings.metric
        squared, indices = search_graph(
            self._graph, wanted, k=k, ef_search=settings.ef_search
        )
        values = 1 - squared / 2 if metric == "cosine" else np.sqrt(squared)
        lost = (indices < 0).any(axis=1)
        if lost.any():
            exact = find_neighbors(wanted[lost], read_rows(self._graph), k=k, metric=metric)
            indices[lost], values[lost] = exact.indices, exact.values
        return Neighbors(
            indices=torch.from_numpy(indices),
            values=torch.from_numpy(values),
            metric=metric,
        )

    def recall(
        self,
        queries: Embeddings | Tensor | np.ndarray,
        *,
        k: int,
        ef_search: int | None = None,
        exact: Neighbors | None = None,
    ) -> float:
        """Return the part of the true `k` nearest neighbors that a search finds.

        Parameters
        ----------
        queries : Embeddings, Tensor or ndarray of shape (n_queries, n_features)
            What is looked up.
        k : int
            Neighbors per query.
        ef_search : int, optional
            As of `search`.
        exact : Neighbors, optional
            What `find_neighbors` returned for these queries, this bank and this `k`, so that
            several searches are compared with one.

        Returns
        -------
        float
            Between 0 and 1. A row as near as the last true neighbor counts as one.

        Raises
        ------
        ShapeError
            If the numbers of features differ, or `exact` has other numbers of queries or
            neighbors.
        DataError
            As of `search`.
        SettingsError
            If there is no query, or a setting is out of range.
        """
        found = self.search(queries, k=k, ef_search=ef_search)
        wanted = torch.from_numpy(self._prepare(queries, "queries"))
        return measure_recall(wanted, read_rows(self._graph), found, exact=exact)

    def save(self, path: str | Path) -> None:
        """Write the index to a file, and its settings beside it.

        Parameters
        ----------
        path : str or Path
            The file that faiss reads; ``.json`` is appended for the other.
        """
        write_index(self._graph, self.settings, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or Path
            As given to `save`.

        Returns
        -------
        SearchIndex

        Raises
        ------
        DataError
            If one of the two files is missing, cut short, changed or foreign.
        """
        loaded = cls.__new__(cls)
        loaded._graph, loaded.settings = read_index(Path(path))
        return loaded

    def _prepare(self, values: Embeddings | Tensor | np.ndarray, name: str) -> np.ndarray:
        metric = self.settings.metric
        rows = as_matrix(values, name, metric=metric)
        if rows.device.type != "cpu":
            msg = f"The index is on the CPU, but {name} on {rows.device}. Give it {name}.cpu()."
            raise SettingsError(msg)
        if rows.shape[1] != self.n_features:
            given = tuple(rows.shape)
            msg = f"{name} must have the index's {self.n_features} features, got shape {given}."
            raise ShapeError(msg)
        return (to_unit(rows) if metric == "cosine" else rows).contiguous().numpy()
