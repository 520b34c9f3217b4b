"""What was recorded from a model: calls of its modules, in order.

Nothing here knows how the values were got.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd
from torch import Tensor

from coursekit.errors import SettingsError
from coursekit.inspection.streams import Statistics

__all__ = ["Call", "Recording"]


class Call(NamedTuple):
    """One call of one module.

    Parameters
    ----------
    name : str
        Of the module; empty for the model itself.
    index : int
        How many calls of this module were recorded before it.
    type_name : str
        Class of the module.
    value : object
        A tensor, or what the module returns with tensors in it; None where statistics are
        kept instead.
    statistics : Statistics or None
        None where values are kept.
    """

    name: str
    index: int
    type_name: str
    value: Any
    statistics: Statistics | None


class Recording:
    """Calls of modules in the order in which they were made.

    ``recorded["layer1.0.conv1"]`` is what was kept of a module that was called once, and
    ``recorded["layer1.0.relu", 1]`` that of its second call. Iterating gives every `Call`.

    Parameters
    ----------
    names : sequence of str
        Modules that are recorded.
    what : str
        What is recorded, in words.
    """

    def __init__(self, names: tuple[str, ...], what: str) -> None:
        self.names, self.what = names, what
        self._slots: dict[tuple[str, int], Any] = {}
        self._n_calls: Counter[str] = Counter()

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call, in the order of the forward pass."""
        return tuple(slot.to_call() for slot in self._slots.values())

    @property
    def never_called(self) -> tuple[str, ...]:
        """Modules that were to be recorded and were not called."""
        called = {name for name, _ in self._slots}
        return tuple(name for name in self.names if name not in called)

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[Call]:
        return iter(self.calls)

    def __contains__(self, name: object) -> bool:
        return any(name == called for called, _ in self._slots)

    def __getitem__(self, key: str | tuple[str, int]) -> Any:
        name, index = key if isinstance(key, tuple) else (key, None)
        found = [slot for (called, _), slot in self._slots.items() if called == name]
        self._check(name, index, len(found))
        call = found[index or 0].to_call()
        return call.value if call.statistics is None else call.statistics

    def clear(self) -> None:
        """Forget every call; recording goes on."""
        self._slots.clear()
        self._restart()

    def to_frame(self) -> pd.DataFrame:
        """Return a table with one row a call.

        Returns
        -------
        DataFrame
            Columns ``name``, ``type``, ``call`` and ``shape``; where statistics are kept,
            these instead of the shape: ``n_values``, ``mean``, ``deviation``,
            ``zero_share``, ``norm``.
        """
        return pd.DataFrame([_row(call) for call in self])

    def __repr__(self) -> str:
        n_names = len({name for name, _ in self._slots})
        return f"Recording({self.what}: {len(self)} calls of {n_names} modules)"

    def _restart(self) -> None:
        """Count the calls of each module from 0 again."""
        self._n_calls.clear()

    def _slot(self, kind: type, name: str, type_name: str) -> Any:
        """Return the slot of the next call: a new one, or that of an earlier pass."""
        index, self._n_calls[name] = self._n_calls[name], self._n_calls[name] + 1
        if (name, index) not in self._slots:
            self._slots[name, index] = kind(name, index, type_name)
        return self._slots[name, index]

    def _check(self, name: str, index: int | None, n_calls: int) -> None:
        if name not in self.names:
            known = ", ".join(map(repr, self.names[:8]))
            msg = f"{name!r} is not recorded. Recorded are: {known}{', ...' * (len(self.names) > 8)}"
            raise SettingsError(msg)
        if not n_calls:
            msg = (
                f"{name!r} was not called since recording began: run the model inside the "
                "block. Some modules hand their weights to a function and are never called."
            )
            raise SettingsError(msg)
        if index is None and n_calls > 1:
            msg = (
                f"{name!r} was called {n_calls} times. Say which call: recorded[{name!r}, 0] to "
                f"recorded[{name!r}, {n_calls - 1}]; or empty it between batches: "
                "recorded.clear()."
            )
            raise SettingsError(msg)
        if index is not None and not -n_calls <= index < n_calls:
            msg = f"{name!r} was called {n_calls} times, got call {index}, counted from 0."
            raise SettingsError(msg)


def _row(call: Call) -> dict[str, Any]:
    row = {"name": call.name, "type": call.type_name, "call": call.index}
    if call.statistics is not None:
        return row | call.statistics._asdict()
    return row | {"shape": _shape(call.value)}


def _shape(value: Any) -> Any:
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, dict):
        return {key: _shape(part) for key, part in value.items()}
    return [_shape(part) for part in value] if isinstance(value, list | tuple) else None
