"""Make the example that a model is run on, from a size or from what the caller has.

Nothing here knows what the model is run for.
"""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from coursekit.errors import SettingsError, ShapeError
from coursekit.inspection.stand_in import tensors_in

__all__ = ["Example", "make_example"]


class Example(NamedTuple):
    """What a model is called with: ``model(*args, **kwargs)``."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def tensors(self) -> list[Tensor]:
        """Every tensor in it."""
        return list(tensors_in((self.args, self.kwargs)))

    def __str__(self) -> str:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in self.tensors)
        return f"input of shape {shapes}" if shapes else "input without tensors"


def make_example(
    model: nn.Module,
    input_size: Any,
    example: Any,
    *,
    batch_size: int,
    device: torch.device,
) -> Example:
    """Return the example that was given, or one of random numbers of the size given.

    Raises
    ------
    SettingsError
        If both or none are given, or the example lies on another device than `device`.
    ShapeError
        If a size is not one of positive integers, or the example holds no element.
    """
    if (input_size is None) == (example is None):
        msg = (
            "Give either input_size=(channels, height, width), without the batch, or "
            f"example=, the input itself; got {'none' if example is None else 'both'}."
        )
        raise SettingsError(msg)
    if example is None:
        return _from_sizes(model, input_size, batch_size, device)
    if isinstance(example, Mapping):
        made = Example((), dict(example))
    else:
        made = Example(example if isinstance(example, tuple) else (example,), {})
    _check(made, device)
    return made


def _check(example: Example, device: torch.device) -> None:
    for tensor in example.tensors:
        if tensor.numel() == 0:
            msg = (
                f"The example must hold at least one element, got {example}. Give a batch of "
                "at least one."
            )
            raise ShapeError(msg)
        if device.type != "meta" and tensor.device != device:
            msg = (
                f"The model is on {device}, the example on {tensor.device}. Move one: "
                f"example.to({str(device)!r}), or ask for device='meta'."
            )
            raise SettingsError(msg)


def _from_sizes(
    model: nn.Module, input_size: Any, batch_size: int, device: torch.device
) -> Example:
    if not _is_count(batch_size):
        msg = f"batch_size must be at least 1, got {batch_size!r}."
        raise ShapeError(msg)
    several = isinstance(input_size, list) and bool(input_size)
    sizes = input_size if several and not _is_size(input_size) else [input_size]
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), None)
    tensors = []
    for size in sizes:
        if not _is_size(size):
            msg = (
                "input_size must be (channels, height, width), positive integers without the "
                f"batch, or a list of such sizes, got {input_size!r}."
            )
            raise ShapeError(msg)
        shape = (batch_size, *map(int, size))
        tensors.append(torch.randn(shape, dtype=dtype, device=device))
    return Example(tuple(tensors), {})


def _is_size(size: Any) -> bool:
    return isinstance(size, Sequence) and bool(size) and all(map(_is_count, size))


def _is_count(number: Any) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool) and number >= 1
