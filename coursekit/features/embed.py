"""Embeddings: what a network makes of each image, computed once and kept with its label."""

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import symbolic_trace
from torch.fx.experimental.optimization import fuse
from tqdm.auto import tqdm

from coursekit.datasets import ImageSet, make_loader
from coursekit.datasets.imageset import as_places
from coursekit.devices import choose_device
from coursekit.errors import SettingsError, did_you_mean
from coursekit.models import find_head
from coursekit.training.trainer import check_order, kept_modes


@dataclass(frozen=True, eq=False, kw_only=True)
class Embeddings:
    """One embedding for each sample, with its label.

    Parameters
    ----------
    embeddings : Tensor of shape (n_samples, n_features), float32
        On the CPU.
    labels : Tensor of shape (n_samples,), int64, optional
    class_names : tuple of str

    Examples
    --------
    >>> toy = Embeddings(embeddings=torch.eye(3), labels=torch.tensor([0, 1, 0]))
    >>> toy
    Embeddings(3 of 3 features, 2 classes)
    >>> toy.subset([2, 0]).labels
    tensor([0, 0])
    """

    embeddings: Tensor
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.embeddings)

    def __repr__(self) -> str:
        shown = f"{len(self)} of {self.n_features} features"
        if self.labels is None:
            return f"Embeddings({shown}, no labels)"
        return f"Embeddings({shown}, {self.n_classes} class{'es' * (self.n_classes != 1)})"

    @property
    def n_features(self) -> int:
        """Numbers in one embedding."""
        return self.embeddings.shape[1]

    @property
    def n_classes(self) -> int:
        """Number of class names; without them, one more than the largest label."""
        return len(self.class_names) or int(self.labels.max()) + 1

    def subset(self, indices: Sequence[int] | np.ndarray) -> Self:
        """Return the samples at `indices`, in that order."""
        rows = torch.from_numpy(as_places(indices))
        labels = None if self.labels is None else self.labels[rows]
        return replace(self, embeddings=self.embeddings[rows], labels=labels)


def embed(
    model: nn.Module,
    data: ImageSet | Tensor | Iterable[Any],
    *,
    layer: str | None = None,
    transform: Callable[[Tensor], Tensor] | None = None,
    device: str | None = None,
    progress_bar: bool = True,
) -> Embeddings:
    """Return what `model` gives its head for every sample of `data`, in their order.

    The model runs in evaluation mode and without gradients, and is left as it was.

    Parameters
    ----------
    model : Module
    data : ImageSet, Tensor of shape (n_samples, ...), or loader
        Pixels in bytes reach the model as floats from 0 to 1.
    layer : str, optional
        The module whose output to take instead, by its name in ``model.named_modules()``.
        Maps (n, channels, height, width) and tokens (n, n_tokens, n_features) are averaged
        over their places.
    transform : callable, optional
        As for `make_loader`; not beside a loader, which has its own.
    device : str, optional
        By default where the model is; if that is the CPU, a copy goes to the fastest device.
    progress_bar : bool, default=True

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 3))
    >>> embed(model, torch.ones(5, 4), progress_bar=False)
    Embeddings(5 of 2 features, no labels)
    """
    home = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    target = choose_device(device) if device or home.type == "cpu" else home
    if target != home:
        model = copy.deepcopy(model).to(target)
    batches = _open(data, transform, target)
    rows, labels, taken = [], [], []
    head, parts = "", dict(model.named_modules())
    if layer is None:
        with suppress(SettingsError):  # it was taken off: the model returns embeddings
            head = find_head(model)
    elif layer not in parts:
        near = did_you_mean(layer, parts)
        msg = f"{type(model).__name__} has no layer {layer!r}, see model.named_modules().{near}"
        raise SettingsError(msg)
    # Pooled at once: the next layer may work in place.
    if head:
        model = _fold(model, head)
    part = model.get_submodule(head or layer or "")
    register = part.register_forward_pre_hook if head else part.register_forward_hook
    handle = register(lambda _, args, *output: taken.append(_pool((output or args)[0])))
    bar = tqdm(batches, desc="embedding", unit="batch", disable=not progress_bar)
    with handle, kept_modes(model), torch.inference_mode():
        model.eval()
        for batch in bar:
            inputs, *others = batch if isinstance(batch, tuple | list) else (batch,)
            labels += others[:1]
            size = _fast_batch_size(inputs.shape[1:], target)
            for piece in inputs.to(target).split(size):
                model(piece)
                if len(taken) != 1:
                    msg = (
                        f"The layer {head or layer!r} runs {len(taken)} times in one pass. Choose one "
                        "that runs once, such as the block around it."
                    )
                    raise SettingsError(msg)
                rows.append(taken.pop().cpu())
    with torch.inference_mode(False):  # so that gradients may go through what uses them
        whole = torch.cat(rows)
        found = torch.cat(labels).cpu() if labels and not isinstance(data, Tensor) else None
    names = getattr(data, "class_names", ())
    return Embeddings(embeddings=whole, labels=found, class_names=names)


def _open(data: Any, transform: Callable | None, device: torch.device) -> Iterable:
    """Return `data` in batches."""
    if isinstance(data, Tensor):
        data = data, torch.zeros(len(data))
    elif isinstance(data, ImageSet) and not data.is_lazy:
        # Convolutions are fastest on channels that lie last.
        pixels = torch.from_numpy(np.require(data.images, requirements="W"))  # a view
        data = pixels.permute(0, 3, 1, 2), data.labels
    if isinstance(data, tuple | ImageSet):
        one, _ = next(iter(make_loader(data, batch_size=1, transform=transform)))
        size = _fast_batch_size(one.shape[1:], device)
        return make_loader(data, batch_size=size, transform=transform)
    check_order(data)
    if transform is not None:
        msg = "embed keeps the transform of a loader: give the transform to the loader."
        raise SettingsError(msg)
    return data


def _fast_batch_size(shape: Sequence[int], device: torch.device) -> int:
    """Return how many samples of one shape go through a model at once.

    On a CPU few are fastest, because what a layer gives is still in the cache when the next
    one reads it: 8 images of 224 x 224. An accelerator wants more.
    """
    n_pixels = math.prod(shape[1:]) if len(shape) == 3 else math.prod(shape)
    least, most, usual = (1, 256, 8) if device.type == "cpu" else (8, 4096, 128)
    return min(most, max(least, usual * 224 * 224 // max(1, n_pixels)))


def _fold(model: nn.Module, head: str) -> nn.Module:
    """Return a copy whose batch normalization is folded into convolutions, where it can be.

    mobilenet_v2 is 1.7 times as fast then; results differ by rounding, 1e-6 of their size.
    """
    is_leaf = type(model.get_submodule(head)) in {nn.Linear, nn.Conv2d}
    if is_leaf and any(isinstance(part, nn.BatchNorm2d) for part in model.modules()):
        with suppress(Exception):  # what cannot be copied or traced stays as it is
            copied = copy.deepcopy(model).eval()
            called = [n.target for n in symbolic_trace(copied).graph.nodes]
            weighted = [n for n, part in copied.named_modules() if hasattr(part, "weight")]
            # One that runs twice would be folded twice.
            if all(called.count(name) <= 1 for name in weighted):
                return fuse(copied, inplace=True)
    return model


def _pool(value: Tensor) -> Tensor:
    """Return one float32 row for each sample, in memory of its own."""
    if value.ndim == 2:
        return value.to(torch.float32, copy=True)
    places = (1,) if value.ndim == 3 else tuple(range(2, value.ndim))
    return value.mean(places, dtype=torch.float32)
