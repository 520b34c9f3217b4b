"""Count what a batch would save for the backward pass, without the memory for it.

Nothing here knows of budgets.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from coursekit.inspection.saved import watch_saved_bytes
from coursekit.inspection.stand_in import NEEDS_VALUES, device_of, imitate, unwrap

__all__ = ["measure_saved_bytes"]


def measure_saved_bytes(
    model: nn.Module, shape: Sequence[int], *, batch_size: int = 1
) -> int:
    """Return the bytes that autograd saves for the backward pass of a batch.

    Parameters
    ----------
    model : nn.Module
        A copy of it without memory is measured, in training mode; it is left as it was.
    shape : (channels, height, width)
        Of one image.
    batch_size : int, default=1

    Returns
    -------
    int
        The batch itself included where it is saved, parameters and buffers not.

    Notes
    -----
    A model whose shapes depend on values is run, as a copy, on batches of two and of three
    images; what `batch_size` takes follows on the line through both.

    Examples
    --------
    >>> measure_saved_bytes(nn.Sequential(nn.Linear(10, 5), nn.Sigmoid()), (10,))
    60
    """
    inner = unwrap(model)
    place = device_of(inner)
    pretended = torch.device("cpu") if place.type == "meta" else place
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            twin = imitate(inner, fake_device=pretended)
            return _count(twin, (batch_size, *shape), pretended)
    except NEEDS_VALUES:
        if place.type == "meta":
            raise
        two, three = (_count(imitate(inner), (n, *shape), place) for n in (2, 3))
        return two + (batch_size - 2) * (three - two)


def _count(twin: nn.Module, shape: Sequence[int], device: torch.device) -> int:
    blocks: list[int] = []
    own = [*twin.parameters(), *twin.buffers()]
    dtype = next((one.dtype for one in own if one.is_floating_point()), torch.float32)
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        torch.inference_mode(False),
        torch.enable_grad(),
        watch_saved_bytes(blocks.append, but=own),
    ):
        twin.train()(torch.zeros(shape, dtype=dtype, device=device))
    return sum(blocks)
