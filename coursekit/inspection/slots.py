"""Places for what is recorded of one call: a value, a gradient that comes later, statistics.

Nothing here knows of modules.
"""

from typing import Any, NamedTuple

from torch import Tensor

from coursekit.inspection.copies import Keeper, map_leaves
from coursekit.inspection.recorded import Call
from coursekit.inspection.streams import Stream

__all__ = ["GradientSlot", "GradientStreamSlot", "Slot", "StreamSlot"]


class Slot:
    """A value that is there at once."""

    def __init__(self, name: str, index: int, type_name: str) -> None:
        self.name, self.index, self.type_name = name, index, type_name
        self.value: Any = None

    def take(self, output: Any, keeper: Keeper) -> list[Any]:
        """Keep what belongs to an output; return handles of hooks, which end it."""
        self.value = map_leaves(keeper.keep, output)
        return []

    def to_call(self) -> Call:
        """Return the call as a record."""
        return Call(self.name, self.index, self.type_name, self.value, None)


class StreamSlot(Slot):
    """Statistics of a value over all passes."""

    def __init__(self, name: str, index: int, type_name: str) -> None:
        super().__init__(name, index, type_name)
        self.stream = Stream()

    def take(self, output: Any, keeper: Keeper) -> list[Any]:  # noqa: ARG002, D102
        map_leaves(self.stream.add, output)
        return []

    def to_call(self) -> Call:  # noqa: D102
        statistics = self.stream.statistics()
        return Call(self.name, self.index, self.type_name, None, statistics)


class GradientSlot(Slot):
    """Gradients that arrive in the backward pass, in the form of the output."""

    def take(self, output: Any, keeper: Keeper) -> list[Any]:  # noqa: D102
        self._gradients: list[Tensor | None] = []
        self._form = map_leaves(self._reserve, output)
        tensors: list[Tensor] = []
        map_leaves(tensors.append, output)
        return [
            tensor.register_hook(self._writer(place, keeper))
            for place, tensor in enumerate(tensors)
            if tensor.requires_grad
        ]

    def to_call(self) -> Call:  # noqa: D102
        self.value = map_leaves(
            lambda place: self._gradients[place.index], self._form, kind=_Place
        )
        return super().to_call()

    def _reserve(self, _: Tensor) -> "_Place":
        self._gradients.append(None)
        return _Place(len(self._gradients) - 1)

    def _writer(self, place: int, keeper: Keeper) -> Any:
        def write(gradient: Tensor) -> None:
            self._gradients[place] = keeper.keep(gradient)

        return write


class GradientStreamSlot(StreamSlot):
    """Statistics of gradients over all passes."""

    def take(self, output: Any, keeper: Keeper) -> list[Any]:  # noqa: ARG002, D102
        tensors: list[Tensor] = []
        map_leaves(tensors.append, output)
        return [one.register_hook(self._add) for one in tensors if one.requires_grad]

    def _add(self, gradient: Tensor) -> None:
        self.stream.add(gradient)


class _Place(NamedTuple):
    """Where in the list of gradients that of a tensor stands."""

    index: int
