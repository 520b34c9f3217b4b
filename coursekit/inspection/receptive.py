"""Receptive fields: computed for a chain of layers, measured for every other network."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from coursekit.errors import SettingsError, ShapeError
from coursekit.seeds import make_generator

__all__ = ["measured_receptive_field", "receptive_field"]

_WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
_POINTWISE = (
    *(nn.Flatten, nn.Identity, nn.LocalResponseNorm, nn.BatchNorm2d, nn.Dropout),
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh),
    *(nn.Hardswish, nn.Hardsigmoid, nn.Dropout2d),
)


class ReceptiveField(NamedTuple):
    """What an output of a network can see; rows before columns."""

    size: tuple[int, int] | None
    """Pixels that it sees; None for the whole image."""
    stride: tuple[int, int]
    """Pixels between the fields of two neighbors."""
    start: tuple[int, int]
    """First pixel that the first output sees; negative where padding is."""

    def after(self, layer: nn.Module, shape: Sequence[int] = ()) -> "ReceptiveField | None":
        """Return the field after one more layer; None where no formula tells it.

        What linear layers and adaptive pooling see depends on the shape of what they are given.
        """
        if self.size is None or isinstance(layer, _POINTWISE):
            return self
        if isinstance(layer, nn.Linear) and len(shape) == 2:
            return self._replace(size=None)
        if isinstance(layer, nn.AdaptiveAvgPool2d):
            outputs = _pair(layer.output_size)
            if outputs == (1, 1):
                return self._replace(size=None)
            return self if outputs == tuple(shape[2:]) else None
        if isinstance(layer, _WINDOWS) and not isinstance(layer.padding, str):
            names = ("kernel_size", "stride", "padding", "dilation")
            windows = zip(*[_pair(getattr(layer, name, 1)) for name in names], strict=True)
            axes = zip(*self, windows, strict=True)
            return ReceptiveField(*zip(*[_slide(*axis) for axis in axes], strict=True))
        return None


def _slide(size: int, step: int, start: int, window: tuple[int, ...]) -> tuple[int, ...]:
    """Araujo, Norris and Sim, "Computing Receptive Fields ...", Distill 2019, eq. 1-4."""
    kernel, stride, padding, dilation = window
    return size + dilation * (kernel - 1) * step, step * stride, start - padding * step


def _pair(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


ONE_PIXEL = ReceptiveField((1, 1), (1, 1), (0, 0))


def receptive_field(layers: nn.Module) -> ReceptiveField:
    """Return what one output of a chain of layers can see, by formula.

    Parameters
    ----------
    layers : nn.Module
        One layer, or an ``nn.Sequential`` of layers and of further ``nn.Sequential``:
        convolutions and pooling of images, and what treats every pixel by itself. What others
        see, such as blocks with branches, can be measured: `measured_receptive_field`.

    Examples
    --------
    >>> two = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), nn.Conv2d(1, 1, 3))
    >>> receptive_field(two)
    ReceptiveField(size=(7, 7), stride=(2, 2), start=(0, 0))
    """
    field = ONE_PIXEL
    for name, layer in layers.named_modules():
        if isinstance(layer, nn.Sequential):
            continue
        after = field.after(layer)
        if after is None:
            msg = (
                f"Layers in a row are followed by formula; {name or 'the model'!r} "
                f"({type(layer).__name__}) is another thing. Ask for the part before it, as "
                "in receptive_field(model.features), or measure: "
                "measured_receptive_field(model, input_size)."
            )
            raise SettingsError(msg)
        field = after
    return field


@dataclass(frozen=True, eq=False)
class MeasuredField:
    """What one output of a network depends on in images of one size."""

    sensitivity: Tensor
    """Mean magnitude of the gradient by each pixel, float64 of shape (height, width)."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First row, first column, rows and columns of the frame around all that matters."""
        (top, left), (bottom, right) = self.sensitivity.nonzero().aminmax(dim=0)
        top, left, bottom, right = map(int, (top, left, bottom, right))
        return top, left, bottom - top + 1, right - left + 1

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the box."""
        return self.box[2:]

    @property
    def effective_size(self) -> float:
        """Side, in pixels, of a square with as many pixels as hold 95 % of the sensitivity."""
        ranked = self.sensitivity.flatten().sort(descending=True).values.cumsum(0)
        return float((ranked < 0.95 * ranked[-1]).sum() + 1) ** 0.5


def measured_receptive_field(
    model: nn.Module, input_size: Sequence[int], *, n_samples: int = 16, seed: int = 0
) -> MeasuredField:
    """Measure by gradients on which pixels the middle output of `model` depends.

    Luo, Li, Urtasun and Zemel, "Understanding the Effective Receptive Field in Deep
    Convolutional Neural Networks", NIPS 2016, https://arxiv.org/abs/1701.04128: deep in a
    network the sensitivity is close to a Gaussian, whose width grows with the square root of
    the number of layers only.

    Parameters
    ----------
    model : nn.Module
        From images to maps of shape (n, channels, rows, columns), or to one row of numbers an
        image. A copy of it is measured, in evaluation mode.
    input_size : (channels, height, width)
    n_samples : int, default=16
        Random images. A pixel that mattered in none of them does not count: with ReLU or max
        pooling the box of few images may be too small.
    seed : int, default=0
        Draws the images.

    Examples
    --------
    >>> two = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 3))
    >>> measured_receptive_field(two, (1, 16, 16)).box
    (6, 6, 5, 5)
    """
    model = copy.deepcopy(model).cpu().float().eval().requires_grad_(False)
    generator = make_generator(seed, "receptive field")
    pixels = torch.randn((n_samples, *input_size), generator=generator).requires_grad_()
    output = model(pixels)
    if output.ndim == 4:
        output = output[:, :, output.shape[2] // 2, output.shape[3] // 2]
    if output.ndim != 2:
        msg = (
            "The model must give maps of shape (n, channels, rows, columns) or one row of "
            f"numbers an image, got {tuple(output.shape)}. Measure a part of it."
        )
        raise ShapeError(msg)
    # Channels are mixed at random: in a plain sum, some would cancel others always.
    weights = torch.randn(output.shape, generator=generator)
    (gradients,) = torch.autograd.grad((output * weights).sum(), pixels)
    return MeasuredField(gradients.abs().double().sum(dim=1).mean(dim=0))
