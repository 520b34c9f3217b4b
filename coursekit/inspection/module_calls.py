"""Follow the calls of a model's modules while it runs, and what each of them costs.

Nothing here knows how costs are counted: whoever counts adds to the call that is running.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

__all__ = ["CallTracker", "ModuleCall", "describe_shape"]


@dataclass(slots=True)
class ModuleCall:
    """One call of one module; costs are its own, without those of modules that it calls."""

    name: str
    module: nn.Module
    depth: int
    n_calls: int
    """Which call of this module it is, from 1 on; 0 for one that was never called."""
    output_shape: Any = None
    multiply_adds: int = 0
    saved_bytes: int = 0
    notes: dict[str, Any] = field(default_factory=dict)


class CallTracker:
    """Keeps the calls of a model's modules, in the order in which they begin.

    Parameters
    ----------
    model : nn.Module
        It gets hooks that are not removed: pass a copy.
    on_enter, on_leave : callable, optional
        Called with (call, arguments) and (call, arguments, output).
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        on_enter: Callable[[ModuleCall, Any], None] | None = None,
        on_leave: Callable[[ModuleCall, Any, Any], None] | None = None,
    ) -> None:
        self.calls: list[ModuleCall] = []
        self._open: list[ModuleCall] = []
        self._n_calls: Counter[str] = Counter()
        self._on_enter, self._on_leave = on_enter, on_leave
        for name, module in model.named_modules():
            module.register_forward_pre_hook(self._enter(name), with_kwargs=True)
            module.register_forward_hook(self._leave, with_kwargs=True)

    @property
    def current(self) -> ModuleCall:
        """The innermost call that is running."""
        return self._open[-1]

    @property
    def last(self) -> ModuleCall | None:
        """The innermost call that is running or, after an error, was running."""
        return self._open[-1] if self._open else None

    def add_multiply_adds(self, n: int) -> None:
        """Add to the call that is running."""
        self.current.multiply_adds += n

    def add_saved_bytes(self, n: int) -> None:
        """Add to the call that is running."""
        self.current.saved_bytes += n

    def _enter(self, name: str) -> Callable[..., None]:
        def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
            self._n_calls[name] += 1
            call = ModuleCall(name, module, len(self._open), self._n_calls[name])
            self.calls.append(call)
            self._open.append(call)
            if self._on_enter is not None:
                self._on_enter(call, (args, kwargs))

        return enter

    def _leave(self, _: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        call = self._open.pop()
        call.output_shape = describe_shape(output)
        if self._on_leave is not None:
            self._on_leave(call, (args, kwargs), output)


def describe_shape(output: Any) -> Any:
    """Return the shapes of the tensors in `output`, nested as they are; None for others.

    Examples
    --------
    >>> import torch
    >>> describe_shape({"logits": torch.ones(1, 3), "names": None})
    {'logits': (1, 3), 'names': None}
    """
    if isinstance(output, Tensor):
        return tuple(output.shape)
    if isinstance(output, dict):
        return {name: describe_shape(value) for name, value in output.items()}
    if isinstance(output, (tuple, list)):
        return [describe_shape(value) for value in output]
    return None
