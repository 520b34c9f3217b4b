"""Find the largest batch that a model can be trained with.

How sizes are searched is not known here, only what a batch takes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from coursekit.errors import SettingsError, ShapeError
from coursekit.inspection.batch_search import Trial, is_out_of_memory, search_largest
from coursekit.inspection.releasing import release
from coursekit.inspection.saved_batch import measure_saved_bytes
from coursekit.inspection.stand_in import device_of, tensors_in, unwrap

__all__ = ["LargestBatch", "largest_batch"]

_MIB = 2**20
_FIRST = 2  # batch normalization cannot train on one image whose maps are 1 x 1


@dataclass(frozen=True, kw_only=True, repr=False)
class LargestBatch:
    """The largest batch that fits, and how it was found.

    Parameters
    ----------
    batch_size : int
    n_bytes : int or None
        What a training step with it takes; None where the device does not say.
    what : str
        What those bytes are.
    budget_bytes : int or None
        Bytes that it may take; None where the device is the limit.
    is_limit : bool
        Whether no larger batch was tried because of the search's own limit.
    trials : tuple of Trial
        Every size that was tried, in order.
    """

    batch_size: int
    n_bytes: int | None
    what: str
    budget_bytes: int | None
    is_limit: bool
    trials: tuple[Trial, ...]

    def __repr__(self) -> str:
        size = f"at least {self.batch_size}" if self.is_limit else f"{self.batch_size}"
        took = (
            "" if self.n_bytes is None else f": {self.n_bytes / _MIB:.1f} MiB {self.what}"
        )
        budget = self.budget_bytes
        of = "" if budget is None else f" of {budget / _MIB:.1f} MiB"
        return f"LargestBatch({size}{took}{of}; {len(self.trials)} trials)"


def largest_batch(
    model: nn.Module,
    shape: Sequence[int],
    *,
    budget_bytes: int | None = None,
    reserve_bytes: int = 0,
    limit: int = 4096,
) -> LargestBatch:
    """Search the largest batch with which `model` can make a training step.

    On a CUDA device steps are really made, until one does not fit. On a CPU none is made:
    the bytes that autograd would save for the backward pass are counted on tensors without
    memory, and compared with a budget.

    Parameters
    ----------
    model : nn.Module
        Measured in training mode, where it is. It is left as it was.
    shape : (channels, height, width)
        Of one image.
    budget_bytes : int, optional
        Bytes that the step may take: on a CPU those saved for the backward pass, on a CUDA
        device the peak of PyTorch's allocator, weights and gradients included. Needed on a
        CPU; without it a CUDA device itself is the limit.
    reserve_bytes : int, default=0
        Bytes to keep free, as for the state of an optimizer: 8 for each parameter for Adam.
    limit : int, default=4096
        The largest batch to try.

    Returns
    -------
    LargestBatch

    Raises
    ------
    SettingsError
        If there is no budget on a CPU, a number is out of range, `model` is no module or has
        nothing to train, or not even one image fits.
    ShapeError
        If the model cannot read images of this shape.

    Notes
    -----
    On a CUDA device leave some percent free: other programs and the fragmentation of a long
    training take memory too.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(1024, 10), nn.Sigmoid())
    >>> largest_batch(model, (1, 32, 32), budget_bytes=1_000_000).batch_size
    241
    """
    _check(model, shape, budget_bytes, reserve_bytes, limit)
    device = device_of(unwrap(model))
    if makes_steps(device):
        held = reserve_bytes if budget_bytes is None else 0  # else it is counted
        what, measure = "allocated", partial(_measure_step, model, shape, device, held)
    elif budget_bytes is None:
        msg = (
            "On a CPU the largest batch is searched within a budget, because exhausting its "
            "memory would stop everything that runs on it. Give budget_bytes, as in "
            "budget_bytes=2 * 2**30."
        )
        raise SettingsError(msg)
    else:
        what, measure = "saved for backward", partial(_measure_saved, model, shape)
    trials = _search(measure, budget_bytes, reserve_bytes, limit)
    best = max((trial for trial in trials if trial.fits), default=None)
    if best is None:
        raise SettingsError(_nothing_fits(trials, budget_bytes, reserve_bytes))
    return LargestBatch(
        batch_size=best.size,
        n_bytes=best.n_bytes,
        what=what,
        budget_bytes=budget_bytes,
        is_limit=best.size == limit,
        trials=trials,
    )


def makes_steps(device: torch.device) -> bool:
    """Return whether the memory of a device may be exhausted without harm to others."""
    return device.type not in {"cpu", "meta"}


def measure_step(
    model: nn.Module,
    shape: Sequence[int],
    *,
    device: torch.device,
    reserve_bytes: int = 0,
) -> int | None:
    """Make one training step without an update; return the peak of what was allocated.

    Parameters
    ----------
    model : nn.Module
        Left as it was: gradients, buffers, mode and random state.
    shape : (n_images, channels, height, width)
    device : torch.device
    reserve_bytes : int, default=0
        Bytes to hold meanwhile.

    Returns
    -------
    int or None
        None where the device does not say.
    """
    is_cuda = device.type == "cuda"
    parameters = [p for p in model.parameters() if p.requires_grad]
    with _untouched(model, device), torch.inference_mode(False), torch.enable_grad():
        if is_cuda:
            torch.cuda.reset_peak_memory_stats(device)
        held = torch.empty(reserve_bytes, dtype=torch.uint8, device=device)
        inputs = torch.zeros(shape, device=device, dtype=parameters[0].dtype)
        outputs = [t for t in tensors_in(model(inputs)) if t.requires_grad]
        total = sum(tensor.sum() for tensor in outputs)
        torch.autograd.grad(total, parameters, allow_unused=True)
        del held
        if not is_cuda:
            return None
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)


def _measure_step(
    model: nn.Module, shape: Sequence[int], device: torch.device, held: int, size: int
) -> int | None:
    return measure_step(model, (size, *shape), device=device, reserve_bytes=held)


def _measure_saved(model: nn.Module, shape: Sequence[int], size: int) -> int:
    return measure_saved_bytes(model, shape, batch_size=size)


def _search(
    measure: Callable[[int], int | None],
    budget_bytes: int | None,
    reserve_bytes: int,
    limit: int,
) -> tuple[Trial, ...]:
    """Search within a budget, and leave no memory behind."""

    def attempt(size: int) -> Trial:
        try:
            n_bytes = measure(size)
        except (RuntimeError, ValueError, IndexError) as error:
            if size == 1 and "more than 1 value per channel" in str(error):
                return Trial(size, fits=False, n_bytes=None)
            if is_out_of_memory(error) or isinstance(error, SettingsError):
                raise
            msg = (
                f"The model cannot read a batch of {size} images: {error} Give shape as "
                "(channels, height, width)."
            )
            raise ShapeError(msg) from error
        fits = n_bytes is None or budget_bytes is None
        return Trial(size, fits or n_bytes + reserve_bytes <= budget_bytes, n_bytes)

    try:
        return search_largest(attempt, limit=limit, first=_FIRST)
    finally:
        release()


@contextmanager
def _untouched(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Run a block in training mode, then put back modes, buffers and random state."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            model.train()
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for buffer, values in buffers:
                buffer.copy_(values)


def _nothing_fits(
    trials: Sequence[Trial], budget_bytes: int | None, reserve_bytes: int
) -> str:
    least = min(trials)
    took = "" if least.n_bytes is None else f", which takes {least.n_bytes / _MIB:.1f} MiB"
    room = "" if budget_bytes is None else f" in a budget of {budget_bytes / _MIB:.1f} MiB"
    free = f" with {reserve_bytes / _MIB:.1f} MiB kept free" if reserve_bytes else ""
    return (
        f"Not even a batch of {least.size} fits{took}{room}{free}. Take smaller images or a "
        "smaller model."
    )


def _check(
    model: nn.Module,
    shape: Sequence[int],
    budget_bytes: int | None,
    reserve_bytes: int,
    limit: int,
) -> None:
    if not isinstance(model, nn.Module):
        msg = f"model must be an nn.Module, got {type(model).__name__}."
        raise SettingsError(msg)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        msg = (
            f"{type(model).__name__} has no parameters to train, so no batch is too large."
        )
        raise SettingsError(msg)
    if not shape or min(shape) < 1:
        msg = f"shape must be (channels, height, width) of one image, got {tuple(shape)}."
        raise ShapeError(msg)
    if limit < 1 or reserve_bytes < 0 or (budget_bytes is not None and budget_bytes < 1):
        msg = (
            "limit and budget_bytes must be at least 1 and reserve_bytes not negative, got "
            f"{limit}, {budget_bytes} and {reserve_bytes}."
        )
        raise SettingsError(msg)
