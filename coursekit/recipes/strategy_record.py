"""The record of `compare_strategies`: every run, and what they come to.

Nothing here knows how a run was made.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from coursekit.errors import SettingsError
from coursekit.training import History

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["StrategyComparison", "StrategyRun"]


@dataclass(frozen=True, eq=False, kw_only=True)
class StrategyRun:
    """One strategy, trained once.

    Parameters
    ----------
    strategy : str
        Its name.
    seed : int
        Which images it learned from, its first weights and its augmentation.
    accuracy : float
        Over the test images, from 0 to 1.
    seconds : float
        Of wall-clock time for all that it needed, the test left out.
    n_trained : int
        Parameters that were changed.
    history : History
        Of its training; for a head on frozen features that of the head.
    logits : Tensor of shape (n_test, n_classes), float32
        Of the test images.
    """

    strategy: str
    seed: int
    accuracy: float
    seconds: float
    n_trained: int
    history: History
    logits: Tensor

    def __repr__(self) -> str:
        return f"StrategyRun({self.strategy}, seed {self.seed}: {self.accuracy:.1%})"


@dataclass(frozen=True, eq=False, kw_only=True)
class StrategyComparison:
    """What each strategy came to, on the same images for one seed.

    Parameters
    ----------
    runs : tuple of StrategyRun
        All of them.
    labels : ndarray of shape (n_test,), int64
        The true classes of the test images.
    class_names : tuple of str
        One a class.
    n_images : int
        Images that each run learned from.
    """

    runs: tuple[StrategyRun, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    n_images: int

    @property
    def strategies(self) -> tuple[str, ...]:
        """Their names, in the order of the runs."""
        return tuple(dict.fromkeys(run.strategy for run in self.runs))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in the order of the runs."""
        return tuple(dict.fromkeys(run.seed for run in self.runs))

    @property
    def accuracies(self) -> dict[str, tuple[float, ...]]:
        """For each strategy the accuracy of every seed, from 0 to 1."""
        return {
            name: tuple(run.accuracy for run in self.runs if run.strategy == name)
            for name in self.strategies
        }

    @property
    def means(self) -> dict[str, float]:
        """For each strategy the accuracy averaged over the seeds."""
        return {name: float(np.mean(values)) for name, values in self.accuracies.items()}

    @property
    def spreads(self) -> dict[str, float]:
        """For each strategy the standard deviation of its accuracy; 0 for one seed."""
        return {
            name: float(np.std(values, ddof=len(values) > 1))
            for name, values in self.accuracies.items()
        }

    def run(self, strategy: str, seed: int | None = None) -> StrategyRun:
        """Return one run; by default that of the first seed.

        Raises
        ------
        SettingsError
            If there is none; the message lists what there is.
        """
        seed = self.seeds[0] if seed is None else seed
        for run in self.runs:
            if (run.strategy, run.seed) == (strategy, seed):
                return run
        msg = (
            f"There is no run of {strategy!r} with seed {seed}: strategies "
            f"{', '.join(self.strategies)}, seeds {', '.join(map(str, self.seeds))}."
        )
        raise SettingsError(msg)

    def steps(self, before: str, after: str) -> np.ndarray:
        """Return by how much `after` is better than `before`, seed by seed.

        Parameters
        ----------
        before, after : str
            Strategies.

        Returns
        -------
        ndarray of shape (n_seeds,)
            Differences of accuracies; 0.05 is five points.

        Raises
        ------
        SettingsError
            If one of them was not compared.
        """
        for name in (before, after):
            self.run(name)
        return np.array(self.accuracies[after]) - np.array(self.accuracies[before])

    def to_frame(self) -> "pd.DataFrame":
        """Return a table: one row a run, with strategy, seed, accuracy, seconds, n_trained."""
        import pandas as pd  # half a second, paid by those who want the table

        names = ("strategy", "seed", "accuracy", "seconds", "n_trained")
        return pd.DataFrame(
            [{name: getattr(run, name) for name in names} for run in self.runs]
        )

    def summary(self) -> "pd.DataFrame":
        """Return a table with one row a strategy, averaged over the seeds.

        Returns
        -------
        DataFrame
            By strategy: accuracy and its spread (standard deviation over the seeds), lowest,
            highest, seconds, n_trained.
        """
        groups = self.to_frame().groupby("strategy", sort=False)
        return groups.agg(
            accuracy=("accuracy", "mean"),
            spread=("accuracy", "std"),
            lowest=("accuracy", "min"),
            highest=("accuracy", "max"),
            seconds=("seconds", "mean"),
            n_trained=("n_trained", "first"),
        )

    def __repr__(self) -> str:
        n_seeds = len(self.seeds)
        means = ", ".join(f"{name} {mean:.1%}" for name, mean in self.means.items())
        plural = "" if n_seeds == 1 else "s"
        return (
            f"StrategyComparison({self.n_images} images, {n_seeds} seed{plural}: {means})"
        )

    def _repr_html_(self) -> str:
        percent = "{:.1%}".format
        formats = dict.fromkeys(("accuracy", "spread", "lowest", "highest"), percent)
        formats |= {"seconds": "{:.1f}".format, "n_trained": "{:,}".format}
        return self.summary().to_html(formatters=formats, na_rep="-", border=0)
