"""The record of `compare_augmentations`: every run, and what they come to.

Nothing here knows how a run was made.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from coursekit.errors import SettingsError
from coursekit.training import History

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AugmentationComparison", "AugmentationRun"]


@dataclass(frozen=True, eq=False, kw_only=True)
class AugmentationRun:
    """One network, trained once with one augmentation.

    Parameters
    ----------
    augmentation : str
        Its name.
    seed : int
        Which images it learned from, its first weights, their order and their changes.
    accuracy : float
        Over the test images, from 0 to 1.
    seconds : float
        Of wall-clock time for the training.
    history : History
        Of the training.
    """

    augmentation: str
    seed: int
    accuracy: float
    seconds: float
    history: History

    def __repr__(self) -> str:
        return (
            f"AugmentationRun({self.augmentation}, seed {self.seed}: {self.accuracy:.1%})"
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class AugmentationComparison:
    """What each augmentation came to: for one seed on the same images and first weights.

    Parameters
    ----------
    runs : tuple of AugmentationRun
        All of them.
    baseline : str
        The one that the others are compared with.
    n_images : int
        Images that each run learned from.
    """

    runs: tuple[AugmentationRun, ...]
    baseline: str
    n_images: int

    @property
    def names(self) -> tuple[str, ...]:
        """The augmentations, in the order of the runs."""
        return tuple(dict.fromkeys(run.augmentation for run in self.runs))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in the order of the runs."""
        return tuple(dict.fromkeys(run.seed for run in self.runs))

    @property
    def accuracies(self) -> dict[str, tuple[float, ...]]:
        """For each augmentation the accuracy of every seed, from 0 to 1."""
        return {
            name: tuple(run.accuracy for run in self.runs if run.augmentation == name)
            for name in self.names
        }

    @property
    def means(self) -> dict[str, float]:
        """For each augmentation the mean over the seeds, for `plot_bars`."""
        return {name: float(np.mean(values)) for name, values in self.accuracies.items()}

    @property
    def spreads(self) -> dict[str, float]:
        """For each augmentation the standard deviation over the seeds; 0 for one seed."""
        return {
            name: float(np.std(values, ddof=len(values) > 1))
            for name, values in self.accuracies.items()
        }

    def differences(self, name: str, to: str | None = None) -> np.ndarray:
        """Return by how much `name` is better than another, seed by seed.

        Parameters
        ----------
        name : str
            An augmentation.
        to : str, optional
            The other one; by default the baseline.

        Returns
        -------
        ndarray of shape (n_seeds,)
            Differences of accuracies; 0.05 is five points.

        Raises
        ------
        SettingsError
            If one of them was not compared; the message lists what was.
        """
        accuracies = self.accuracies
        for asked in (name, to or self.baseline):
            if asked not in accuracies:
                msg = (
                    f"{asked!r} was not compared, only {', '.join(map(repr, self.names))}."
                )
                raise SettingsError(msg)
        return np.array(accuracies[name]) - np.array(accuracies[to or self.baseline])

    def to_frame(self) -> "pd.DataFrame":
        """Return a table: one row a run, with augmentation, seed, accuracy and seconds."""
        import pandas as pd  # half a second, paid by those who want the table

        names = ("augmentation", "seed", "accuracy", "seconds")
        return pd.DataFrame(
            [{name: getattr(run, name) for name in names} for run in self.runs]
        )

    def summary(self) -> "pd.DataFrame":
        """Return a table with one row an augmentation, averaged over the seeds.

        Returns
        -------
        DataFrame
            By augmentation: accuracy and its spread (standard deviation over the seeds); the
            mean, the smallest and the largest difference to the baseline on one seed;
            seconds.
        """
        groups = self.to_frame().groupby("augmentation", sort=False)
        table = groups.agg(accuracy=("accuracy", "mean"), spread=("accuracy", "std"))
        differences = {name: self.differences(name) for name in self.names}
        for column, function in (
            ("difference", np.mean),
            ("smallest", np.min),
            ("largest", np.max),
        ):
            table[column] = [function(differences[name]) for name in table.index]
        return table.assign(seconds=groups["seconds"].mean())

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {value:.1%}" for name, value in self.means.items())
        plural = "" if len(self.seeds) == 1 else "s"
        return (
            f"AugmentationComparison({self.n_images} images, {len(self.seeds)} seed{plural}: "
            f"{means})"
        )

    def _repr_html_(self) -> str:
        percent, points = "{:.1%}".format, (lambda value: f"{100 * value:+.1f} points")
        formats = dict.fromkeys(("accuracy", "spread"), percent)
        formats |= dict.fromkeys(("difference", "smallest", "largest"), points)
        formats |= {"seconds": "{:.1f}".format}
        return self.summary().to_html(formatters=formats, na_rep="-", border=0)
