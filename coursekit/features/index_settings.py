"""`IndexSettings`: how a `SearchIndex` is built and searched, checked once.

Nothing here knows of the library that does it.
"""

from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

from coursekit.errors import SettingsError
from coursekit.features.inputs import Metric, check_metric

__all__ = ["IndexSettings", "Storage"]

Storage = Literal["float32", "float16"]


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexSettings:
    """Settings of a `SearchIndex`, which documents them.

    Parameters
    ----------
    metric : {"cosine", "euclidean"}, default="cosine"
        What near means.
    n_links : int, default=16
        Links of a row to others.
    ef_construction : int, default=100
        Candidates held while a row is added.
    ef_search : int, default=64
        Candidates held during a search.
    storage : {"float32", "float16"}, default="float32"
        How rows are held.
    seed : int, default=0
        Draws the layer of each row.

    Raises
    ------
    SettingsError
        If one of them is out of range.
    """

    metric: Metric = "cosine"
    n_links: int = 16
    ef_construction: int = 100
    ef_search: int = 64
    storage: Storage = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        check_metric(self.metric)
        least = {"n_links": 2, "ef_construction": 1, "ef_search": 1, "seed": 0}
        for name, bound in least.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < bound:
                msg = f"{name} must be a whole number of at least {bound}, got {value!r}."
                raise SettingsError(msg)
        if self.storage not in get_args(Storage):
            msg = f'storage must be "float32" or "float16", got {self.storage!r}.'
            raise SettingsError(msg)

    def with_ef_search(self, ef_search: int | None) -> Self:
        """Return the same settings with another `ef_search`, if one is given.

        Parameters
        ----------
        ef_search : int, optional
            Candidates held during a search.

        Returns
        -------
        IndexSettings
        """
        return self if ef_search is None else replace(self, ef_search=ef_search)
