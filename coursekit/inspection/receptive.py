"""Receptive fields: computed for a chain of layers, measured for every other network."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules import activation, batchnorm, conv, dropout, instancenorm, pooling

from coursekit.errors import SettingsError, ShapeError
from coursekit.seeds import make_generator

__all__ = ["measured_receptive_field", "receptive_field"]

_WINDOWS = (conv._ConvNd, pooling._MaxPoolNd, pooling._AvgPoolNd)
_ADAPTIVE = (pooling._AdaptiveAvgPoolNd, pooling._AdaptiveMaxPoolNd)
_MIXING = (  # every position with every other
    nn.GroupNorm,
    nn.Linear,
    nn.MultiheadAttention,
    instancenorm._InstanceNorm,
)
_ALONG_ONE_AXIS = {"Softmax", "LogSoftmax", "Softmin"}  # which may be one of positions
_POINTWISE = (
    nn.Flatten,
    nn.Identity,
    nn.LocalResponseNorm,
    batchnorm._BatchNorm,
    dropout._DropoutNd,
    *(getattr(activation, n) for n in activation.__all__ if n not in _ALONG_ONE_AXIS),
)
_CHUNK = 8  # images at a time, so that large networks fit into memory


class ReceptiveField(NamedTuple):
    """What an output of a network can see; one number an axis, rows before columns."""

    size: tuple[int, ...] | None
    """Pixels that it sees; None for the whole image."""
    stride: tuple[int, ...]
    """Pixels between the fields of two neighbors."""
    start: tuple[int, ...]
    """First pixel that the first output sees; negative where padding is."""

    def after(
        self, layer: nn.Module, input_shape: Sequence[int] = ()
    ) -> "ReceptiveField | None":
        """Return the field after one more layer; None where no formula tells it.

        Without the shape of what the layer is given, adaptive pooling sees the whole image.
        """
        if self.size is None:
            return self
        if isinstance(layer, nn.Linear) and len(input_shape) > 2:
            return None  # it mixes channels that stand last, or columns
        if isinstance(layer, _MIXING):
            return self._replace(size=None)
        if isinstance(layer, _POINTWISE):
            return self
        n_axes = len(self.stride)
        if isinstance(layer, _ADAPTIVE):
            given = input_shape[2:] or (0,) * n_axes
            outputs = _per_axis(layer.output_size, n_axes)
            pairs = [
                (n, n if m is None else m) for n, m in zip(given, outputs, strict=True)
            ]
            if any(m <= 1 or n == 0 or n % m for n, m in pairs):
                return self._replace(size=None)
            kernel = tuple(n // m for n, m in pairs)
            return self._slide(kernel, kernel, (0,) * n_axes, (1,) * n_axes)
        if isinstance(layer, _WINDOWS) and not isinstance(layer, conv._ConvTransposeNd):
            kernel, stride, dilation = (
                _per_axis(getattr(layer, name, 1), n_axes)
                for name in ("kernel_size", "stride", "dilation")
            )
            padding = 0 if layer.padding == "valid" else layer.padding
            if padding == "same":
                padding = tuple(
                    d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True)
                )
            return self._slide(kernel, stride, _per_axis(padding, n_axes), dilation)
        return None

    def _slide(self, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
        """Araujo, Norris and Sim, "Computing Receptive Fields ...", Distill 2019, eq. 1-4."""
        axes = zip(*self, kernel, stride, padding, dilation, strict=True)
        slid = [
            (size + d * (k - 1) * step, step * s, start - p * step)
            for size, step, start, k, s, p, d in axes
        ]
        return ReceptiveField(*zip(*slid, strict=True))


def receptive_field(layers: nn.Module) -> ReceptiveField:
    """Return what one output of a chain of layers can see, by formula.

    Parameters
    ----------
    layers : nn.Module
        One layer, or an ``nn.Sequential`` of layers and of further ``nn.Sequential``.

    Raises
    ------
    SettingsError
        If there is something else in it, as the blocks of a ResNet, whose branches follow
        from their `forward` only. What those see can be measured: `measured_receptive_field`.

    Examples
    --------
    >>> two = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), nn.Conv2d(1, 1, 3))
    >>> receptive_field(two)
    ReceptiveField(size=(7, 7), stride=(2, 2), start=(0, 0))
    """
    field = one_pixel(layers)
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


def one_pixel(model: nn.Module) -> ReceptiveField:
    """Return the field of an input pixel, on as many axes as the layers of `model` have."""
    kinds = (*_WINDOWS, *_ADAPTIVE)
    names = [type(one).__name__ for one in model.modules() if isinstance(one, kinds)]
    n_axes = int(names[0].rstrip("d")[-1]) if names else 2  # Conv2d, AvgPool1d, ...
    return ReceptiveField((1,) * n_axes, (1,) * n_axes, (0,) * n_axes)


@dataclass(frozen=True, eq=False)
class MeasuredField:
    """What one output of a network depends on in images of one size."""

    sensitivity: Tensor
    """Mean magnitude of the gradient by each pixel, float64 of shape (height, width)."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First row, first column, rows and columns of the frame around all that matters."""
        rows, columns = (
            (self.sensitivity > 0).any(dim=dim).nonzero().flatten().tolist()
            for dim in (1, 0)
        )
        if not rows:
            return 0, 0, 0, 0
        return rows[0], columns[0], rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1

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
    if len(input_size) != 3:
        msg = f"input_size must be (channels, height, width), got {tuple(input_size)}."
        raise ShapeError(msg)
    model = copy.deepcopy(model).cpu().float().eval().requires_grad_(False)
    generator = make_generator(seed, "receptive field")
    images = torch.randn((n_samples, *input_size), generator=generator)
    gradients = []
    with torch.enable_grad():
        for chunk in images.split(_CHUNK):
            pixels = chunk.clone().requires_grad_()
            output = _middle(model(pixels))
            # Channels are mixed at random: in a plain sum, some would cancel others always.
            weights = torch.randn(output.shape, generator=generator)
            gradients += torch.autograd.grad((output * weights).sum(), pixels)
    return MeasuredField(torch.cat(gradients).abs().double().sum(dim=1).mean(dim=0))


def _middle(output: Any) -> Tensor:
    if isinstance(output, Tensor) and output.ndim == 2:
        return output
    if isinstance(output, Tensor) and output.ndim == 4:
        return output[:, :, output.shape[2] // 2, output.shape[3] // 2]
    given = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    msg = (
        "The model must give maps of shape (n, channels, rows, columns) or one row of numbers "
        f"an image, got {given}. Measure a part of it."
    )
    raise ShapeError(msg)


def _per_axis(value: Any, n_axes: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, Sequence) else (value,) * n_axes
