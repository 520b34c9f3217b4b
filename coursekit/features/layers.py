"""`accuracy_by_layer`: how well each layer of a network tells classes apart.

Nothing here knows how layers are read or neighbors are found.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from coursekit.errors import DataError, SettingsError
from coursekit.features.embed import embed_places
from coursekit.features.inputs import Metric
from coursekit.features.running import inner_model
from coursekit.features.taking import Place, find_place
from coursekit.features.voting import classify_by_neighbors

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LayerAccuracies", "LayerAccuracy", "accuracy_by_layer"]


@dataclass(frozen=True, kw_only=True)
class LayerAccuracy:
    """How well one layer tells classes apart.

    Parameters
    ----------
    layer : str
        Its name; "input of ..." is what the head is given.
    n_features : int
        Numbers in one of its embeddings.
    accuracy : float or None
        From 0 to 1; None if it cannot be measured.
    why : str
        Why it cannot.
    """

    layer: str
    n_features: int
    accuracy: float | None
    why: str = ""

    def __str__(self) -> str:
        shown = f"not measured ({self.why})" if self.accuracy is None else self.accuracy
        return f"{self.layer}: {shown}"


@dataclass(frozen=True, kw_only=True)
class LayerAccuracies:
    """What `accuracy_by_layer` found, from the first layer to the last.

    Parameters
    ----------
    rows : tuple of LayerAccuracy
    k : int
        Neighbors that voted.
    metric : str
        How near they were.
    """

    rows: tuple[LayerAccuracy, ...]
    k: int
    metric: str

    def __len__(self) -> int:
        """Return the number of layers."""
        return len(self.rows)

    def __iter__(self) -> Iterator[LayerAccuracy]:
        return iter(self.rows)

    @property
    def accuracies(self) -> dict[str, float]:
        """The accuracy of each layer that could be measured, by its name."""
        return {row.layer: row.accuracy for row in self.rows if row.accuracy is not None}

    @property
    def best(self) -> LayerAccuracy:
        """The layer with the highest accuracy; of equal ones the first."""
        return max(self.rows, key=lambda row: -1 if row.accuracy is None else row.accuracy)

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row a layer: layer, n_features, accuracy."""
        import pandas as pd  # half a second, paid by those who want the table

        columns = ("layer", "n_features", "accuracy")
        return pd.DataFrame([{c: getattr(row, c) for c in columns} for row in self.rows])


def accuracy_by_layer(
    model: nn.Module,
    train: Any,
    test: Any,
    *,
    layers: Sequence[str] | None = None,
    k: int = 5,
    metric: Metric = "cosine",
    transform: Callable[[Tensor], Tensor] | None = None,
    batch_size: int | None = None,
    precision: str = "float32",
    device: torch.device | str | None = None,
    progress_bar: bool = True,
) -> LayerAccuracies:
    """Return the accuracy of nearest neighbors on the embeddings of each layer.

    All layers are read in one pass over the data.

    Parameters
    ----------
    model : Module
    train, test : ImageSet, pair of Tensors, Loader or DataLoader
        As for `embed`, with labels.
    layers : sequence of str, optional
        By default the stages that the model is made of, as far as they have weights and
        each gives one tensor, and what feeds the head.
    k : int, default=5
        Neighbors that vote.
    metric : {"cosine", "euclidean"}, default="cosine"
        How near they are.
    transform, batch_size, precision, device, progress_bar
        As for `embed`.

    Returns
    -------
    LayerAccuracies

    Raises
    ------
    SettingsError
        If a layer is unknown or does not run exactly once, or `k` is out of range.
    DataError
        If there are no labels, or an embedding is NaN or infinite.

    Notes
    -----
    Maps are averaged over all positions before they are compared, so early layers are
    judged by which colors and edges there are, not by where.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
    >>> data = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    >>> found = accuracy_by_layer(model, data, data, k=1, progress_bar=False)
    >>> found.accuracies
    {'0': 1.0, 'input of 2': 1.0}
    """
    model = inner_model(model)
    places = _given_places(model, layers) if layers is not None else usual_places(model)
    found = [
        embed_places(
            model,
            data,
            places,
            pool="mean",
            transform=transform,
            batch_size=batch_size,
            precision=precision,
            device=device,
            progress_bar=progress_bar,
            may_refuse=layers is None,
        )
        for data in (train, test)
    ]
    rows = []
    for name in found[0]:
        known, asked = found[0][name], found[1][name]
        for part, embeddings in (("train", known), ("test", asked)):
            if embeddings.labels is None:
                msg = f"Accuracy needs labels, but the {part} data have none."
                raise DataError(msg)
        accuracy, why = _vote(known, asked, k, metric)
        rows.append(
            LayerAccuracy(
                layer=name, n_features=known.n_features, accuracy=accuracy, why=why
            )
        )
    return LayerAccuracies(rows=tuple(rows), k=k, metric=metric)


def usual_places(model: nn.Module) -> dict[str, Place]:
    """Return the stages of `model` that have weights, and what feeds its head."""
    last = find_place(model)
    stages = [name for name, part in _stages(model, "") if _has_weights(part)]
    while len(stages) == 1 and list(model.get_submodule(stages[0]).children()):
        (only,) = stages  # everything is inside one part
        inner = _stages(model.get_submodule(only), f"{only}.")
        stages = [name for name, part in inner if _has_weights(part)]
    places = [
        Place(name, "output")
        for name in stages
        if last.side == "output" or not _is_part(name, last.layer)
    ]
    return {str(place): place for place in (*places, last)}


def _stages(part: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield the children of `part`, and those of a plain sequence in its place."""
    for name, child in part.named_children():
        if type(child) in {nn.Sequential, nn.ModuleList, nn.ModuleDict}:
            yield from _stages(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child


def _is_part(name: str, other: str) -> bool:
    """Return whether one is the other, or inside it."""
    return f"{name}.".startswith(f"{other}.") or f"{other}.".startswith(f"{name}.")


def _has_weights(part: nn.Module) -> bool:
    return next(part.parameters(), None) is not None


def _given_places(model: nn.Module, layers: Sequence[str]) -> dict[str, Place]:
    if isinstance(layers, str) or not layers:
        msg = f"layers must be several names, such as ['layer1', 'layer2'], got {layers!r}."
        raise SettingsError(msg)
    return {name: find_place(model, name) for name in layers}


def _vote(known: Any, asked: Any, k: int, metric: Metric) -> tuple[float | None, str]:
    try:
        return classify_by_neighbors(known, asked, k=k, metric=metric).accuracy, ""
    except DataError as error:  # rows of zeros have no direction
        return None, str(error)
