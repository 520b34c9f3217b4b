"""Whole experiments: what makes the shipped weights, and runs compared over seeds.

``backbone.py`` and ``clip.py`` make the shipped weights, for the command line.
Comparison: `repeat_runs`, ways x seeds in one table.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["repeat_runs"]


def repeat_runs(
    ways: Mapping[str, Callable[[int], Mapping[str, Any]]],
    seeds: Iterable[int],
    *,
    name: str = "way",
) -> "pd.DataFrame":
    """Run each way with each seed, and return a table with one row a run.

    Parameters
    ----------
    ways : mapping of str to callable
        Takes a seed and returns what came out, such as ``{"accuracy": 0.9}``. A seed should
        decide all that is drawn, data included: then ways are compared in pairs, seed by seed.
    seeds : iterable of int
    name : str, default="way"
        The column that names the ways.

    Returns
    -------
    DataFrame
        Columns `name`, ``seed``, what the ways returned, and ``seconds`` of wall-clock time.
        ``runs.pivot(index="seed", columns=name, values="accuracy")`` has a row for each seed.

    Examples
    --------
    >>> ways = {"half": lambda seed: {"value": seed / 2}, "same": lambda seed: {"value": seed}}
    >>> repeat_runs(ways, [1, 3]).groupby("way")["value"].mean().to_dict()
    {'half': 1.0, 'same': 2.0}
    """
    import pandas as pd  # half a second, paid by those who compare

    rows = []
    for seed in seeds:
        for way, run in ways.items():
            began = time.perf_counter()
            result = dict(run(seed))
            seconds = time.perf_counter() - began
            rows.append({name: way, "seed": seed, **result, "seconds": seconds})
    return pd.DataFrame(rows)
