"""Count the bytes that autograd saves for the backward pass.

Nothing here knows of modules or devices.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["block_of", "watch_saved_bytes"]


def watch_saved_bytes(
    on_save: Callable[[int], None], *, but: Iterable[Tensor] = ()
) -> torch.autograd.graph.saved_tensors_hooks:
    """Return a context that reports the bytes of each memory block saved inside it, once.

    Parameters
    ----------
    on_save : callable
        Called with the bytes of a block when something of it is saved for the first time.
        A view keeps the whole of its block alive, so the whole counts.
    but : iterable of Tensor
        Parameters and buffers, whose memory is there anyway.
    """
    # The blocks themselves are kept: a freed one's address would soon be another's.
    blocks = {block._cdata: block for tensor in but if (block := block_of(tensor))}

    def pack(tensor: Tensor) -> Tensor:
        block = block_of(tensor)
        if block is not None and block._cdata not in blocks:
            blocks[block._cdata] = block
            on_save(block.nbytes())
        return tensor

    return torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)


def block_of(tensor: Tensor) -> Any:
    """Return the memory of a tensor, or None where it has no single one (sparse, nested)."""
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):
        return None
