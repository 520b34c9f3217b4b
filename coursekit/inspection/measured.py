"""Measure receptive fields by gradients: which pixels an output depends on, how strongly.

The model is copied and never changed. What the layers are is not asked.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from coursekit.errors import SettingsError, ShapeError
from coursekit.inspection.reach import NothingDies
from coursekit.seeds import make_generator, seeded

__all__ = ["MeasuredField", "measured_receptive_field"]

_CHUNK = 8  # images at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class MeasuredField:
    """What one output of a network depends on in images of one size.

    Parameters
    ----------
    sensitivity : Tensor of shape (height, width), float64
        Mean magnitude of the gradient of the output by each pixel, over random images.
    box : (first_row, first_column, n_rows, n_columns)
        The smallest frame around all pixels that the output can depend on.
    position : (row, column) or None
        The output; None when the model gives one row of numbers for an image.
    n_samples : int
        Random images that were averaged.
    """

    sensitivity: Tensor
    box: tuple[int, int, int, int]
    position: tuple[int, int] | None
    n_samples: int

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the box."""
        return self.box[2:]

    @property
    def is_whole_image(self) -> bool:
        """Whether the box is the image."""
        return self.size == tuple(self.sensitivity.shape)

    @property
    def effective_size(self) -> float:
        """Side, in pixels, of a square with as many pixels as hold 95 % of the sensitivity."""
        ranked = self.sensitivity.flatten().sort(descending=True).values.cumsum(0)
        return float((ranked < 0.95 * ranked[-1]).sum() + 1) ** 0.5

    @property
    def deviation(self) -> tuple[float, float]:
        """Standard deviations of the sensitivity along rows and columns, in pixels."""
        mass = self.sensitivity / self.sensitivity.sum()
        return _deviation(mass.sum(dim=1)), _deviation(mass.sum(dim=0))

    def __repr__(self) -> str:
        rows, columns = self.size
        return (
            f"MeasuredField({rows} x {columns} pixels, effectively "
            f"{self.effective_size:.1f} x {self.effective_size:.1f}; {self.n_samples} samples)"
        )


def measured_receptive_field(
    model: nn.Module,
    input_size: Sequence[int],
    *,
    position: tuple[int, int] | None = None,
    n_samples: int = 16,
    seed: int = 0,
) -> MeasuredField:
    """Measure on which pixels one output of `model` depends, and how strongly.

    Parameters
    ----------
    model : nn.Module
        From images of shape (n, channels, height, width) to maps of shape (n, channels,
        rows, columns), or to one row of numbers for an image. It is left as it was.
    input_size : (channels, height, width)
        Of the images.
    position : (row, column), optional
        The output to look at; the middle of the map when not given.
    n_samples : int, default=16
        Random images to average over.
    seed : int, default=0
        Draws the images.

    Returns
    -------
    MeasuredField
        Its `box` is what the output *can* depend on, whatever the weights: it is taken from
        a copy with positive weights, without activations, and with pooling by sums, in
        which no gradient dies or cancels. Its `sensitivity` is that of the model as it is,
        in evaluation mode.

    Raises
    ------
    SettingsError
        If `model` is no module, a number is below 1, or the map has no such position.
    ShapeError
        If `input_size` is not (channels, height, width), or the output is neither a map
        nor one row of numbers.

    Notes
    -----
    The sensitivity of a deep network is close to a Gaussian in the middle of the box, which
    grows with the square root of the number of layers only [1]_, secs. 2 and 3.

    References
    ----------
    .. [1] Luo, Li, Urtasun and Zemel, "Understanding the Effective Receptive Field in Deep
       Convolutional Neural Networks", NIPS 2016. https://arxiv.org/abs/1701.04128

    Examples
    --------
    >>> two = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 3))
    >>> measured_receptive_field(two, (1, 16, 16)).box
    (6, 6, 5, 5)
    """
    _check(model, input_size, n_samples)
    copy = _copy(model)
    generator = make_generator(seed, "receptive field")
    shape = (n_samples, *input_size)
    images = torch.randn(shape, generator=generator)
    with seeded(seed, "forward pass"), torch.enable_grad():
        place = _find_position(copy, images[:1], position)
        gradients = [
            _gradient(copy, chunk, place, generator) for chunk in images.split(_CHUNK)
        ]
        can_reach = _reach(copy.double(), images[:1].double(), place, generator)
    return MeasuredField(
        sensitivity=torch.cat(gradients).abs().double().sum(dim=1).mean(dim=0),
        box=_bounding_box(can_reach),
        position=place,
        n_samples=n_samples,
    )


def _copy(model: nn.Module) -> nn.Module:
    """Return a copy on the CPU, in evaluation mode, without the hooks of others."""
    copy = deepcopy(model).cpu().float().eval()
    for module in copy.modules():
        for hooks in (
            module._forward_hooks,
            module._forward_pre_hooks,
            module._backward_hooks,
            module._backward_pre_hooks,
        ):
            hooks.clear()
    return copy.requires_grad_(False)


def _find_position(
    model: nn.Module, image: Tensor, position: tuple[int, int] | None
) -> tuple[int, int] | None:
    try:
        with torch.no_grad():
            output = model(image)
    except RuntimeError as error:
        msg = (
            f"The model cannot read an image of shape {tuple(image.shape[1:])}: {error}. Give "
            "input_size as (channels, height, width)."
        )
        raise ShapeError(msg) from error
    if not isinstance(output, Tensor) or output.ndim not in {2, 4}:
        given = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        msg = (
            "The model must give maps of shape (n, channels, rows, columns) or one row of "
            f"numbers an image, got {given}. Measure a part of it, or wrap it in a module "
            "that picks one output."
        )
        raise ShapeError(msg)
    if output.ndim == 2:
        if position is not None:
            msg = f"The output has no rows and columns, so position must be None, got {position}."
            raise SettingsError(msg)
        return None
    n_rows, n_columns = output.shape[2:]
    row, column = (n_rows // 2, n_columns // 2) if position is None else position
    if not (0 <= row < n_rows and 0 <= column < n_columns):
        msg = f"position must lie in the map of {n_rows} x {n_columns}, got {position}."
        raise SettingsError(msg)
    return row, column


def _gradient(
    model: nn.Module,
    images: Tensor,
    place: tuple[int, int] | None,
    generator: torch.Generator,
    *,
    positive: bool = False,
) -> Tensor:
    """Gradient, by each image, of its output at `place`, channels mixed at random."""
    images = images.clone().requires_grad_()
    output = model(images)
    if place is not None:
        output = output[:, :, place[0], place[1]]
    weights = torch.randn(output.shape, generator=generator, dtype=output.dtype)
    total = (output * (weights.abs() if positive else weights)).sum()
    (gradient,) = torch.autograd.grad(total, images)
    return gradient


def _reach(
    model: nn.Module,
    image: Tensor,
    place: tuple[int, int] | None,
    generator: torch.Generator,
) -> Tensor:
    """Return which pixels, of shape (height, width), the output at `place` can depend on."""
    with NothingDies():
        gradient = _gradient(model, image.abs() + 0.5, place, generator, positive=True)
    return (gradient != 0).any(dim=1)[0]


def _bounding_box(mask: Tensor) -> tuple[int, int, int, int]:
    rows, columns = (mask.any(dim=dim).nonzero().flatten().tolist() for dim in (1, 0))
    if not rows:
        return 0, 0, 0, 0
    return rows[0], columns[0], rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1


def _deviation(mass: Tensor) -> float:
    places = torch.arange(len(mass), dtype=mass.dtype)
    center = (mass * places).sum()
    return float((mass * (places - center) ** 2).sum().sqrt())


def _check(model: nn.Module, input_size: Sequence[int], n_samples: int) -> None:
    if not isinstance(model, nn.Module):
        msg = f"model must be an nn.Module, got {type(model).__name__}."
        raise SettingsError(msg)
    if len(input_size) != 3 or min(input_size) < 1:
        msg = f"input_size must be (channels, height, width), got {tuple(input_size)}."
        raise ShapeError(msg)
    if n_samples < 1:
        msg = f"n_samples must be at least 1, got {n_samples}."
        raise SettingsError(msg)
