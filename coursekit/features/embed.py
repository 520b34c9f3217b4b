"""`embed`: what a network makes of every sample.

The model is run by `running`, batches come from `feeding`, files are `writing`'s. Nothing
here knows how those work.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from coursekit.datasets import ImageSet, Loader
from coursekit.errors import SettingsError, ShapeError
from coursekit.features.embeddings import Embeddings, EmbeddingSource
from coursekit.features.feeding import Feed, open_feed, split_batch
from coursekit.features.running import (
    Runner,
    choose_batch_size,
    inner_model,
    make_engine,
    ready,
)
from coursekit.features.storage import Header
from coursekit.features.taking import Place, Pool, find_place
from coursekit.features.writing import FileStore, MemoryStore, hash_model
from coursekit.training.engine import Engine

__all__ = ["embed", "embed_places"]


def embed(
    model: nn.Module,
    data: ImageSet | Tensor | tuple[Tensor, Tensor] | Loader | Iterable[Any],
    *,
    layer: str | None = None,
    pool: Pool = "mean",
    transform: Callable[[Tensor], Tensor] | None = None,
    batch_size: int | None = None,
    precision: str = "float32",
    device: torch.device | str | None = None,
    progress_bar: bool = True,
    file: str | Path | None = None,
) -> Embeddings:
    """Return what `model` makes of every sample of `data`, in the order of the data.

    The model runs in evaluation mode and without gradients whatever mode it is in, and is
    left exactly as it was, also after an error.

    Parameters
    ----------
    model : Module
        On any device.
    data : ImageSet, Tensor, pair of Tensors, Loader, DataLoader or other iterable
        Samples, with labels or without. Tensors have the shape (n_samples, ...); uint8 ones
        are brightness from 0 to 255, and are given to the model as float32 from 0 to 1, as
        the images of an ImageSet are.
    layer : str, optional
        The module whose output to take, by its name in ``model.named_modules()``. By
        default what is given to the head, see `find_head`; if the head was taken off, what
        the model returns.
    pool : {"mean", "flatten"}, default="mean"
        What makes one row of maps (n, channels, height, width): their mean over all
        positions, or all their numbers. Of tokens (n, n_tokens, n_features) "mean" is that
        over the tokens.
    transform : callable, optional
        What is done to the images before, as for `make_loader`. Not beside a loader, which
        has its own.
    batch_size : int, optional
        Samples that go through the model at once. By default what is fast for samples of
        this size on this device.
    precision : {"float32", "bfloat16"}, default="float32"
        "bfloat16" allows layers to compute with 8 bits of precision, two to three times as
        fast, where the machine has instructions for it. Embeddings are float32 always.
    device : torch.device or str, optional
        Where to compute. By default where the model is, or, if it is on the CPU, on the
        fastest device at hand: then a copy of the model goes there.
    progress_bar : bool, default=True
    file : str or Path, optional
        A file to write to, for sets larger than memory. If it is there already, or was
        begun by a call that was interrupted at any moment, only what is missing is
        computed. It can be read by safetensors, and by `Embeddings.load`.

    Returns
    -------
    Embeddings
        float32 in memory, or, with `file`, read from it when needed.

    Raises
    ------
    SettingsError
        If there is no such layer (close names are listed), or it runs not exactly once; if
        a loader shuffles or drops samples; if an argument is not one of those above.
    ShapeError
        If the samples do not fit the model. The message names the layer that they reached.
    DataError
        If there is no sample, an embedding is NaN or infinite, or `file` holds embeddings
        of another model, layer or data.

    Notes
    -----
    Memory does not grow with the number of samples, but for the embeddings themselves.
    Batch normalization is folded into the convolution before it in a copy of the model,
    where that is possible; results change by rounding, about 1e-6 of their size.

    Under ``torchrun`` every process runs the same lines, computes its part of each batch,
    and gets all embeddings, in order. With `file`, all must see the same folder.

    A file is known by the model's weights, the place in it, the number of samples, all
    labels, and hashes of five samples (of the first alone for a torch DataLoader).

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 3))
    >>> embed(model, torch.ones(5, 4), progress_bar=False)
    Embeddings(5 of 2 features, no labels)
    """
    model = inner_model(model)
    _check_settings(batch_size=batch_size, pool=pool)
    place = find_place(model, layer)
    (found,) = embed_places(
        model,
        data,
        {"": place},
        pool=pool,
        transform=transform,
        batch_size=batch_size,
        precision=precision,
        device=device,
        progress_bar=progress_bar,
        file=file,
    ).values()
    return found


def embed_places(
    model: nn.Module,
    data: Any,
    places: dict[str, Place],
    *,
    pool: Pool,
    transform: Callable | None,
    batch_size: int | None,
    precision: str,
    device: torch.device | str | None,
    progress_bar: bool,
    file: str | Path | None = None,
    may_refuse: bool = False,
) -> dict[str, Embeddings]:
    """Return the embeddings at several places of a model, from one pass over the data.

    See `embed`. With `may_refuse`, places that give nothing of use are left out.
    """
    _check_single(model, data)
    engine = make_engine(model, precision=precision, device=device)

    def choose_size(shape: tuple[int, ...]) -> int:
        size = batch_size or choose_batch_size(shape, engine.device)
        return size * engine.n_processes

    feed = open_feed(data, transform=transform, choose_size=choose_size)
    options = {"engine": engine, "pool": pool, "batch_size": batch_size}
    with ready(model, places, may_refuse=may_refuse, **options) as runner:
        precision = "bfloat16" if engine.settings.precision == "bf16" else "float32"
        known = {
            name: _known(model, str(place), feed, precision)
            for name, place in places.items()
        }
        if file is None:
            store: Any = MemoryStore(feed.n_samples, engine)
        else:
            store = FileStore(Path(file), engine, batch_size=feed.batch_size)
            (of_place,) = known.values()
            header, identity = _begin_file(model, pool, feed, runner, **of_place)
            store.open(header, identity)
        if not store.is_finished:
            _fill(store, feed, runner, engine, progress_bar=progress_bar)
    return {
        name: store.result(name, **of_place)
        for name, of_place in known.items()
        if name not in runner.taker.refused
    }


def _fill(
    store: MemoryStore | FileStore,
    feed: Feed,
    runner: Runner,
    engine: Engine,
    *,
    progress_bar: bool,
) -> None:
    """Run the model over what is not in the store yet."""
    share = {"rank": engine.rank, "n_processes": engine.n_processes}
    n_batches, n_before, batches = feed.batches(n_done=store.n_done, **share)
    store.begin(n_before)
    bar = tqdm(
        total=feed.n_samples,
        initial=n_before,
        desc="embedding",
        unit="sample",
        disable=not (progress_bar and engine.is_main),
    )
    with bar:
        for number, batch in enumerate(batches, start=n_batches + 1):
            where = f"batch {number}"
            inputs, labels = split_batch(batch, where)
            rows = runner.rows(inputs, where)
            store.add(
                rows, labels.cpu() if feed.has_labels and labels is not None else None
            )
            bar.update(len(inputs) * engine.n_processes)
    store.finish()


def _known(model: nn.Module, layer: str, feed: Feed, precision: str) -> dict[str, Any]:
    """Return what is known about the embeddings before they are there."""
    source = EmbeddingSource(
        model=type(model).__name__,
        layer=layer,
        n_samples=feed.n_samples or 0,
        data=feed.description,
        precision=precision,
    )
    return {"class_names": feed.class_names, "source": source}


def _begin_file(
    model: nn.Module,
    pool: Pool,
    feed: Feed,
    runner: Runner,
    *,
    class_names: tuple[str, ...],
    source: EmbeddingSource,
) -> tuple[Header, dict[str, Any]]:
    """Return the beginning of a file, and by what it is known; one sample is embedded."""
    if feed.n_samples is None:
        msg = (
            "A file needs to know how many samples there will be, but this loader cannot "
            "tell. Use an ImageSet, a loader of make_loader, or a DataLoader with a "
            "batch_size over data that have a length."
        )
        raise SettingsError(msg)
    inputs, labels = split_batch(feed.first_batch(), "batch 1")
    (row,) = runner.rows(inputs[:1], "batch 1").values()
    identity = {
        "model": source.model,
        "weights": hash_model(model),
        "layer": source.layer,
        "pool": pool,
        "precision": source.precision,
        "n_samples": feed.n_samples,
        "n_features": row.shape[1],
        "data": feed.fingerprint(),
    }
    has_labels = feed.has_labels and labels is not None
    about = {
        "source": asdict(source),
        "class_names": list(class_names),
        "identity": identity,
    }
    return Header(feed.n_samples, row.shape[1], has_labels, about), identity


def _check_single(model: nn.Module, data: Any) -> None:
    """Raise if `data` are one image: a convolution takes it, and its channels for samples."""
    is_for_images = any(isinstance(layer, nn.Conv2d) for layer in model.modules())
    if is_for_images and isinstance(data, Tensor) and data.ndim == 3:
        msg = (
            "Images have the shape (n, channels, height, width), got "
            f"{tuple(data.shape)}. Of a single image: image[None]."
        )
        raise ShapeError(msg)


def _check_settings(*, batch_size: int | None, pool: str) -> None:
    if pool not in {"mean", "flatten"}:
        msg = f"pool must be 'mean' or 'flatten', got {pool!r}."
        raise SettingsError(msg)
    if batch_size is not None and batch_size < 1:
        msg = f"batch_size must be at least 1, got {batch_size}."
        raise SettingsError(msg)
