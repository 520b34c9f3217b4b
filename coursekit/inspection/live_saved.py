"""Follow the bytes that autograd holds for the backward pass while a program runs.

Nothing here knows of modules, devices or time. To count what one model saves, see `saved`.
"""

from collections import deque
from threading import Lock, local
from typing import Any

import torch
from torch import Tensor, nn

from coursekit.inspection.saved import block_of

__all__ = ["LiveSavedBytes"]


class _Open(local):
    """The counters that are open in each thread, the outermost first."""

    def __init__(self) -> None:
        self.counters: list[LiveSavedBytes] = []


_open = _Open()


class LiveSavedBytes:
    """A context that knows how many bytes are saved for backward now, and at the highest.

    Memory counts once however many operations saved it, a view counts as the whole that it
    keeps alive, and parameters do not count: they are there anyway. Only what the thread
    that opened the context saves inside it is seen, until it is freed, also after the end.
    Saved-tensor hooks that were active before, such as ``save_on_cpu``, stay so, except in
    torch 2.6, which does not tell which they are: there they rest meanwhile.
    """

    def __init__(self) -> None:
        self._n_bytes, self._peak = 0, 0
        self._n_uses: dict[int, int] = {}  # of each block of memory
        self._freed: deque[tuple[int, int]] = deque()  # filled by whoever frees
        self._lock = Lock()
        self._outer: Any = None

    def __enter__(self) -> "LiveSavedBytes":
        self._outer = _active_hooks()
        _open.counters.append(self)
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, _unpack)
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks.__exit__(*error)
        _open.counters.remove(self)

    def read(self) -> tuple[int, int]:
        """Return the bytes saved now, and the most since this was asked before."""
        with self._lock:
            self._settle()
            peak, self._peak = self._peak, self._n_bytes
            return self._n_bytes, peak

    def _pack(self, tensor: Tensor) -> "_Saved":
        # Without its history: an output saved with it would keep its own graph alive.
        kept, unpack = tensor.detach(), None
        if self._outer is not None:
            kept, unpack = self._outer[0](tensor), self._outer[1]
        saved = _Saved(kept, unpack)
        held = kept.kept if isinstance(kept, _Saved) else kept  # a counter inside a counter
        if isinstance(held, Tensor) and not _is_parameter(tensor):
            block = block_of(held)
            if block is not None:
                self._add(saved, block._cdata, block.nbytes())
        return saved

    def _add(self, saved: "_Saved", key: int, n_bytes: int) -> None:
        with self._lock:
            self._settle()
            n_uses = self._n_uses.get(key, 0)
            self._n_uses[key] = n_uses + 1
            if not n_uses:
                self._n_bytes += n_bytes
                self._peak = max(self._peak, self._n_bytes)
        saved.note = ((key, n_bytes), self._freed)

    def _settle(self) -> None:
        """Take off what was freed: by whoever, in any thread, even inside the lock."""
        while self._freed:
            key, n_bytes = self._freed.popleft()
            self._n_uses[key] -= 1
            if not self._n_uses[key]:
                del self._n_uses[key]
                self._n_bytes -= n_bytes


class _Saved:
    """Stands in the graph for a saved tensor, and tells when it is freed."""

    __slots__ = ("kept", "note", "unpack", "version")

    def __init__(self, kept: Any, unpack: Any) -> None:
        self.kept, self.unpack, self.note = kept, unpack, None
        self.version = kept._version if unpack is None else None

    def __del__(self) -> None:
        if self.note is not None:
            self.note[1].append(self.note[0])


def _unpack(saved: _Saved) -> Tensor:
    """Return the tensor; torch looks for changes in place only where there are no hooks."""
    if saved.unpack is not None:
        return saved.unpack(saved.kept)
    if saved.kept._version != saved.version:
        msg = (
            "one of the variables needed for gradient computation has been modified by an "
            f"inplace operation: a tensor of shape {tuple(saved.kept.shape)} is at version "
            f"{saved.kept._version}; expected version {saved.version} instead."
        )
        raise RuntimeError(msg)
    return saved.kept


def _is_parameter(tensor: Tensor) -> bool:
    return isinstance(tensor, nn.Parameter) or isinstance(tensor._base, nn.Parameter)


def _active_hooks() -> Any:
    """Return the saved-tensor hooks of this thread; torch 2.6 tells of none but ours."""
    ask = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
    if ask is not None:
        return ask(False)
    return (_open.counters[-1]._pack, _unpack) if _open.counters else None
