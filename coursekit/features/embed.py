"""Embeddings: what a network makes of each image, computed once and kept with its label."""

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse
from torch.utils.data import RandomSampler
from tqdm.auto import tqdm

from coursekit.datasets import ImageSet, make_loader
from coursekit.devices import choose_device
from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.models import find_head
from coursekit.training.trainer import kept_modes

__all__ = ["Embeddings", "embed"]


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

    def __post_init__(self) -> None:
        rows, labels = self.embeddings, self.labels
        if rows.ndim != 2 or (labels is not None and len(labels) != len(rows)):
            msg = (
                "embeddings must have shape (n_samples, n_features) and labels, if any, "
                f"(n_samples,), got {tuple(rows.shape)} and "
                f"{None if labels is None else tuple(labels.shape)}. Pool feature maps first: "
                "maps.mean((2, 3))."
            )
            raise ShapeError(msg)

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
        rows = torch.as_tensor(np.asarray(indices, dtype=np.int64))
        labels = None if self.labels is None else self.labels[rows]
        return replace(self, embeddings=self.embeddings[rows], labels=labels)


def embed(
    model: nn.Module,
    data: ImageSet | Tensor | Iterable[Any],
    *,
    layer: str | None = None,
    transform: Callable[[Tensor], Tensor] | None = None,
    device: torch.device | str | None = None,
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
    device : torch.device or str, optional
        By default where the model is; if that is the CPU, a copy goes to the fastest device.
    progress_bar : bool, default=True

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 3))
    >>> embed(model, torch.ones(5, 4), progress_bar=False)
    Embeddings(5 of 2 features, no labels)
    """
    model = getattr(model, "_orig_mod", model)  # a compiled one runs without our hooks
    home = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    if device is not None or home.type == "cpu":
        target = choose_device(None if device is None else str(device))
        if target != home:
            model, home = copy.deepcopy(model).to(target), target
    batches = _open(model, data, transform, home)
    if layer is None:
        model, place, part = _fold_up_to_head(model)
    else:
        place, part = layer, dict(model.named_modules()).get(layer)
    if part is None:
        names = [name for name, _ in model.named_modules() if name]
        close = get_close_matches(place, names, n=3) or names[:8]
        msg = f"{type(model).__name__} has no layer {place!r}. There are {close}."
        raise SettingsError(msg)
    rows, labels, taken = [], [], []
    # Pooled at once: the next layer may work in place.
    if layer is None and part is not model:
        handle = part.register_forward_pre_hook(
            lambda _, args: taken.append(_pool(args[0]))
        )
    else:
        handle = part.register_forward_hook(lambda *given: taken.append(_pool(given[-1])))
    bar = tqdm(batches, desc="embedding", unit="batch", disable=not progress_bar)
    try:
        with kept_modes(model), torch.inference_mode():
            model.eval()
            for batch in bar:
                inputs, *others = batch if isinstance(batch, tuple | list) else (batch,)
                labels += others[:1]
                for piece in inputs.to(home).split(
                    _fast_batch_size(inputs.shape[1:], home)
                ):
                    model(piece)
                    if len(taken) != 1:
                        msg = (
                            f"The layer {place!r} runs {len(taken)} times in one pass. Choose "
                            "one that runs once, such as the block around it."
                        )
                        raise SettingsError(msg)
                    rows.append(taken.pop().cpu())
    finally:
        handle.remove()
    with torch.inference_mode(False):  # so that gradients may go through what uses them
        whole = torch.cat(rows)
        found = torch.cat(labels).cpu() if labels else None
    bad = (~whole.isfinite()).any(dim=1).nonzero().flatten().tolist()
    if bad:
        msg = (
            f"The embedding of sample {bad[0]} is NaN or infinite ({len(bad)} of "
            f"{len(whole)} are). Look at that sample, and at the model's weights."
        )
        raise DataError(msg)
    names = getattr(data, "class_names", ())
    return Embeddings(embeddings=whole, labels=found, class_names=names)


def _open(
    model: nn.Module, data: Any, transform: Callable | None, device: torch.device
) -> Iterable:
    """Return `data` in batches."""
    is_tensor = isinstance(data, Tensor)
    if is_tensor:
        if data.ndim == 3 and any(isinstance(part, nn.Conv2d) for part in model.modules()):
            msg = (
                "Images have the shape (n, channels, height, width), got "
                f"{tuple(data.shape)}. Of a single image: image[None]."
            )
            raise ShapeError(msg)
        data = data, torch.zeros(len(data), dtype=torch.int64)
    elif isinstance(data, ImageSet) and not data.is_lazy:
        with warnings.catch_warnings():  # the arrays are read-only, and nobody writes here
            warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
            pixels, labels = map(torch.from_numpy, (data.images, data.labels))
        # A view: nothing is copied, and convolutions are fastest on channels that lie last.
        data = pixels.permute(0, 3, 1, 2), labels
    if isinstance(data, tuple | ImageSet):
        one, _ = next(iter(make_loader(data, batch_size=1, transform=transform)))
        size = _fast_batch_size(one.shape[1:], device)
        loader = make_loader(data, batch_size=size, transform=transform)
        return (inputs for inputs, _ in loader) if is_tensor else loader
    is_random = isinstance(getattr(data, "sampler", None), RandomSampler)
    if transform is not None or is_random or getattr(data, "shuffle", False):
        msg = (
            "embed keeps the order and the transform of a loader: make it with shuffle=False "
            "and give the transform to it."
        )
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


def _fold_up_to_head(model: nn.Module) -> tuple[nn.Module, str, nn.Module]:
    """Return the model, the name of its head, and its head; itself if that was taken off.

    Batch normalization is folded into convolutions where it can be, in a copy: mobilenet_v2
    is 1.7 times as fast then; results differ by rounding, 1e-6 of their size.
    """
    try:
        name = find_head(model)
    except SettingsError:  # the embeddings are what the model returns
        return model, "", model
    parts = list(model.modules())
    has_hooks = any(part._forward_hooks or part._forward_pre_hooks for part in parts)
    is_leaf = type(model.get_submodule(name)) in {nn.Linear, nn.Conv2d}
    if is_leaf and not has_hooks and any(isinstance(p, nn.BatchNorm2d) for p in parts):
        with suppress(Exception):  # what cannot be copied or traced stays as it is
            model = fuse(copy.deepcopy(model).eval(), inplace=True)
    return model, name, model.get_submodule(name)


def _pool(value: Any) -> Tensor:
    """Return one float32 row for each sample, in memory of its own."""
    if not isinstance(value, Tensor) or value.ndim < 2:
        given = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        msg = (
            "An embedding is made of a tensor (n_samples, n_features, ...), but the layer "
            f"gives {given}. Choose a layer inside it."
        )
        raise DataError(msg)
    if value.ndim == 2:
        return value.to(torch.float32, copy=True)
    places = (1,) if value.ndim == 3 else tuple(range(2, value.ndim))
    return value.mean(places, dtype=torch.float32)
