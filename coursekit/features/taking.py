"""Take what chosen layers give in a forward pass, one row a sample.

Nothing here knows about data, devices or files.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from coursekit.errors import CourseError, DataError, SettingsError, ShapeError
from coursekit.models.heads import find_head, get_part

__all__ = ["Place", "Pool", "Taker", "find_place"]

Pool = Literal["mean", "flatten"]
"""How maps become one row: see `embed`."""


class Place(NamedTuple):
    """Where in a model to take something."""

    layer: str
    """The name of a module; empty for the model itself."""
    side: Literal["input", "output"]
    """Whether to take what the module is given, or what it gives back."""

    def __str__(self) -> str:
        name = self.layer or "the model"
        return f"input of {name}" if self.side == "input" else name


def find_place(model: nn.Module, layer: str | None = None) -> Place:
    """Return the place that `layer` names; without it, what feeds the head.

    A model whose head was taken off has its embeddings as its output.

    Raises
    ------
    SettingsError
        If there is no such layer; the message lists close names.
    """
    if layer is not None:
        get_part(model, layer)
        return Place(layer, "output")
    try:
        return Place(find_head(model), "input")
    except SettingsError:
        return Place("", "output")


class _Enough(Exception):  # noqa: N818 - not an error: everything has been taken
    """Ends a forward pass of which nothing more is needed."""


class Taker:
    """Runs a model and takes rows at its places; a context that leaves no hook behind.

    Parameters
    ----------
    model : Module
    places : mapping of str to Place
        Under the names that `run` gives them.
    pool : {"mean", "flatten"}
        How maps become one row.
    """

    def __init__(
        self, model: nn.Module, places: Mapping[str, Place], *, pool: Pool = "mean"
    ) -> None:
        self.model, self.places, self.pool = model, dict(places), pool
        self.taken: dict[str, Tensor] = {}
        self.n_calls = dict.fromkeys(self.places, 0)
        self.refused: dict[str, CourseError] = {}
        self._may_stop = False
        self._handles: list[Any] = []

    def __enter__(self) -> "Taker":
        for name, place in self.places.items():
            part = get_part(self.model, place.layer)
            if place.side == "input":
                hook = self._input_hook(name)
                handle = part.register_forward_pre_hook(hook, with_kwargs=True)
            else:
                handle = part.register_forward_hook(self._output_hook(name))
            self._handles.append(handle)
        return self

    def __exit__(self, *error: object) -> None:
        while self._handles:
            self._handles.pop().remove()

    def run(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return, by name, float32 rows of shape (n_samples, n_features).

        The first pass goes to its end, to see that every place is passed once; those after
        it stop where everything has been taken. What cannot be taken is left out, and
        `explain` says why.
        """
        self.taken = {}
        self.n_calls = dict.fromkeys(self.places, 0)
        with suppress(_Enough):
            self.model(inputs)
        self._may_stop = bool(self.taken)
        return {name: rows for name, rows in self.taken.items() if name not in self.refused}

    def explain(self, name: str) -> CourseError | None:
        """Return what is wrong with a place after a pass, or None."""
        n_calls, place = self.n_calls[name], self.places[name]
        if name in self.refused:
            return self.refused[name]
        if n_calls == 1:
            return None
        if n_calls == 0:
            msg = (
                f"The layer {place.layer!r} does not run when the model is called in "
                "evaluation mode, so it gives nothing. Choose one that does."
            )
            return SettingsError(msg)
        msg = (
            f"The layer {place.layer!r} runs {n_calls} times in one pass, so it is not clear "
            "which output is meant. Choose one that runs once, such as the block around it, "
            "or record_activations, which keeps every call."
        )
        return SettingsError(msg)

    def _input_hook(self, name: str) -> Any:
        def hook(_: nn.Module, args: tuple, kwargs: dict) -> None:
            self._take(name, args[0] if args else next(iter(kwargs.values()), None))

        return hook

    def _output_hook(self, name: str) -> Any:
        def hook(_: nn.Module, __: tuple, output: Any) -> None:
            self._take(name, output)

        return hook

    def _take(self, name: str, value: Any) -> None:
        self.n_calls[name] += 1
        if name not in self.refused and name not in self.taken:
            try:
                self.taken[name] = as_rows(value, self.pool, str(self.places[name]))
            except CourseError as error:
                self.refused[name] = error
        n_wanted = len(self.places) - len(self.refused)
        if self._may_stop and len(self.taken) >= n_wanted:
            raise _Enough


def as_rows(value: Any, pool: Pool, where: str) -> Tensor:
    """Return one float32 row for each sample, in memory of its own.

    Raises
    ------
    DataError
        If the layer gives no floating point tensor.
    ShapeError
        If it has not one axis for samples and one for features at least.
    """
    if not isinstance(value, Tensor) or not value.dtype.is_floating_point:
        given = value.dtype if isinstance(value, Tensor) else type(value).__name__
        msg = (
            f"An embedding is made of one floating point tensor, but {where} gives {given}. "
            "Choose a layer inside it."
        )
        raise DataError(msg)
    if value.ndim < 2:
        msg = (
            f"An embedding needs the shape (n_samples, n_features, ...), but {where} gives "
            f"{tuple(value.shape)}. Choose another layer."
        )
        raise ShapeError(msg)
    if pool == "flatten" or value.ndim == 2:
        return value.flatten(1).to(torch.float32, copy=True)
    axes = (1,) if value.ndim == 3 else tuple(range(2, value.ndim))
    return value.mean(axes, dtype=torch.float32)
