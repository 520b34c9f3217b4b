"""Embeddings: what a network makes of each image, computed once and kept with its label."""

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
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
from coursekit.errors import CourseError, DataError, SettingsError, ShapeError
from coursekit.models import find_head

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
        rows = torch.as_tensor(self.embeddings).detach()
        if rows.ndim != 2 or not rows.is_floating_point():
            msg = (
                "embeddings must be floating point of shape (n_samples, n_features), got "
                f"{rows.dtype} of shape {tuple(rows.shape)}. Pool feature maps first: "
                "maps.mean((2, 3))."
            )
            raise ShapeError(msg)
        object.__setattr__(self, "embeddings", rows.to("cpu", torch.float32))
        if self.labels is None:
            return
        labels = torch.as_tensor(self.labels).detach().to("cpu", torch.int64)
        if labels.shape != (len(rows),):
            msg = (
                f"Every embedding needs one label, got {len(rows)} embeddings and labels of "
                f"shape {tuple(labels.shape)}."
            )
            raise ShapeError(msg)
        object.__setattr__(self, "labels", labels)

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
        if self.class_names or self.labels is None or not len(self.labels):
            return len(self.class_names)
        return int(self.labels.max()) + 1

    def subset(self, indices: Sequence[int] | np.ndarray | Tensor) -> Self:
        """Return the samples at `indices`, in that order."""
        rows = torch.as_tensor(np.asarray(indices, dtype=np.int64))
        labels = None if self.labels is None else self.labels[rows]
        return replace(self, embeddings=self.embeddings[rows], labels=labels)


def embed(
    model: nn.Module,
    data: ImageSet | Tensor | tuple[Tensor, Tensor] | Iterable[Any],
    *,
    layer: str | None = None,
    transform: Callable[[Tensor], Tensor] | None = None,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    progress_bar: bool = True,
) -> Embeddings:
    """Return what `model` gives its head for every sample of `data`, in their order.

    The model runs in evaluation mode and without gradients, and is left as it was.

    Parameters
    ----------
    model : Module
    data : ImageSet, Tensor, pair of Tensors, or loader
        Tensors have the shape (n_samples, ...). Pixels in bytes reach the model as floats
        from 0 to 1.
    layer : str, optional
        The module whose output to take instead, by its name in ``model.named_modules()``.
        Maps (n, channels, height, width) and tokens (n, n_tokens, n_features) are averaged
        over their places.
    transform : callable, optional
        As for `make_loader`; not beside a loader, which has its own.
    batch_size : int, optional
        Samples that go through the model at once. By default what is fast here.
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
    batches, names = _open(model, data, transform, batch_size, home)
    place, is_input = _find_place(model, layer)
    if is_input:
        model = _fold_batch_norm(model, place)
    rows, labels = [], []
    bar = tqdm(batches, desc="embedding", unit="batch", disable=not progress_bar)
    with _taking(model, place, is_input=is_input) as taken, torch.inference_mode():
        for batch in bar:
            inputs, *others = batch if isinstance(batch, tuple | list) else (batch,)
            size = batch_size or _fast_batch_size(inputs.shape[1:], home)
            pieces = inputs.to(home).split(size)
            rows.extend(_run(model, piece, taken, place).cpu() for piece in pieces)
            if others and others[0].ndim == 1 and not others[0].is_floating_point():
                labels.append(others[0].cpu())
    with torch.inference_mode(False):  # so that gradients may go through what uses them
        whole = torch.cat(rows) if rows else torch.empty(0, 0)
        bad = (~whole.isfinite()).any(dim=1).nonzero().flatten().tolist()
        if bad:
            msg = (
                f"The embedding of sample {bad[0]} is NaN or infinite ({len(bad)} of "
                f"{len(whole)} are). Look at that sample, and at the model's weights."
            )
            raise DataError(msg)
        found = torch.cat(labels) if labels else None
    return Embeddings(embeddings=whole, labels=found, class_names=names)


def _open(
    model: nn.Module,
    data: Any,
    transform: Callable | None,
    batch_size: int | None,
    device: torch.device,
) -> tuple[Iterable, tuple[str, ...]]:
    """Return `data` in batches, and the names of its classes."""
    names = getattr(data, "class_names", ())
    has_labels = not isinstance(data, Tensor)
    if isinstance(data, Tensor):
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
        if batch_size is None:
            one = next(iter(make_loader(data, batch_size=1, transform=transform)), None)
            if one is None:
                msg = "There is nothing to embed: the data hold no sample."
                raise DataError(msg)
            batch_size = _fast_batch_size(one[0].shape[1:], device)
        loader = make_loader(data, batch_size=batch_size, transform=transform)
        return (loader if has_labels else (inputs for inputs, _ in loader)), names
    if transform is not None:
        msg = (
            "A loader has a transform of its own: give it to the loader, or give the data."
        )
        raise SettingsError(msg)
    sampler = getattr(data, "sampler", None)
    if getattr(data, "shuffle", False) or isinstance(sampler, RandomSampler):
        msg = "embed keeps the order of the data, but this loader shuffles: shuffle=False."
        raise SettingsError(msg)
    return data, tuple(getattr(getattr(data, "dataset", None), "classes", ()))


def _fast_batch_size(shape: Sequence[int], device: torch.device) -> int:
    """Return how many samples of one shape go through a model at once.

    On a CPU few are fastest, because what a layer gives is still in the cache when the next
    one reads it: 8 images of 224 x 224. An accelerator wants more.
    """
    n_pixels = math.prod(shape[1:]) if len(shape) == 3 else math.prod(shape)
    least, most, usual = (1, 256, 8) if device.type == "cpu" else (8, 4096, 128)
    return min(most, max(least, usual * 224 * 224 // max(1, n_pixels)))


def _find_place(model: nn.Module, layer: str | None) -> tuple[str, bool]:
    """Return a module's name, and whether its input is wanted, as of the head by default."""
    if layer is None:
        try:
            return find_head(model), True
        except SettingsError:  # it was taken off: the embeddings are what the model returns
            return "", False
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    if layer not in names:
        close = get_close_matches(layer, names, n=3) or [name for name in names if name][:8]
        msg = f"{type(model).__name__} has no layer {layer!r}. There are {close}."
        raise SettingsError(msg)
    return layer, False


def _fold_batch_norm(model: nn.Module, head: str) -> nn.Module:
    """Return a copy with batch normalization folded into convolutions, where it can be.

    mobilenet_v2 is 1.7 times as fast then; results differ by rounding, 1e-6 of their size.
    """
    parts = list(model.modules())
    has_hooks = any(part._forward_hooks or part._forward_pre_hooks for part in parts)
    is_leaf = type(model.get_submodule(head)) in {nn.Linear, nn.Conv2d}
    if has_hooks or not is_leaf or not any(isinstance(p, nn.BatchNorm2d) for p in parts):
        return model
    try:
        return fuse(copy.deepcopy(model).eval(), inplace=True)
    except Exception:  # noqa: BLE001 - what cannot be copied or traced stays as it is
        return model


@contextmanager
def _taking(model: nn.Module, name: str, *, is_input: bool) -> Iterator[list[Tensor]]:
    """Collect what a module is given or gives, with the model in evaluation mode."""
    taken: list[Tensor] = []
    part = model.get_submodule(name)
    # Pooled at once: the next layer may work in place.
    if is_input:
        handle = part.register_forward_pre_hook(
            lambda _, args, kwargs: taken.append(_pool((*args, *kwargs.values())[0])),
            with_kwargs=True,
        )
    else:
        handle = part.register_forward_hook(lambda *given: taken.append(_pool(given[-1])))
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield taken
    finally:
        handle.remove()
        for module, was_training in modes:
            module.training = was_training


def _run(model: nn.Module, inputs: Tensor, taken: list[Tensor], place: str) -> Tensor:
    """Run `model` on one batch; return the row of each sample that was taken."""
    taken.clear()
    try:
        model(inputs)
    except (CourseError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, ValueError) as error:
        msg = f"The model cannot take inputs of shape {tuple(inputs.shape)}: {error}"
        raise ShapeError(msg) from error
    if len(taken) != 1:
        msg = (
            f"The layer {place!r} runs {len(taken)} times in one pass. Choose one that runs "
            "once, such as the block around it."
        )
        raise SettingsError(msg)
    if len(taken[0]) != len(inputs):
        msg = (
            f"The layer {place!r} gives {len(taken[0])} rows for {len(inputs)} samples. The "
            "first axis must be the samples."
        )
        raise ShapeError(msg)
    return taken[0]


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
