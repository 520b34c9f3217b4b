"""Run a model over batches for what its layers give: fast, in evaluation mode, untouched.

Nothing here knows of files, or where batches come from.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from coursekit.devices import choose_device
from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.features.standin import fast_copy
from coursekit.features.taking import Place, Pool, Taker
from coursekit.inspection.stand_in import device_of, unwrap
from coursekit.training.checks import explain_forward
from coursekit.training.engine import Engine, EngineSettings
from coursekit.training.records import inference

__all__ = ["Runner", "choose_batch_size", "inner_model", "make_engine", "ready"]

_PRECISIONS = {"float32": "no", "bfloat16": "bf16"}
_PIXELS = 224 * 224


def inner_model(model: nn.Module) -> nn.Module:
    """Return the model itself, of one that is compiled or wrapped for several devices.

    Raises
    ------
    SettingsError
        If it is no module, or a script.
    """
    if not isinstance(model, nn.Module):
        msg = f"model must be an nn.Module, got {type(model).__name__}."
        raise SettingsError(msg)
    if isinstance(model, torch.jit.ScriptModule):
        msg = (
            "A scripted or traced model runs outside Python, where no layer can be reached. "
            "Give the model that it was made from."
        )
        raise SettingsError(msg)
    return unwrap(model)


def make_engine(
    model: nn.Module, *, precision: str, device: torch.device | str | None
) -> Engine:
    """Return the engine that computes on `device`, or on the model's, or the fastest.

    "bfloat16" is only allowed: a machine without it computes in float32.

    Raises
    ------
    SettingsError
        If the precision is unknown, or the device is not there.
    """
    if precision not in _PRECISIONS:
        listed = " or ".join(map(repr, _PRECISIONS))
        msg = f"precision must be {listed}, got {precision!r}."
        raise SettingsError(msg)
    if device is None and device_of(model).type not in {"cpu", "meta"}:
        device = device_of(model)
    place = choose_device(None if device is None else str(device))
    if precision == "bfloat16" and not has_bfloat16(place):
        precision = "float32"
    return Engine(EngineSettings(precision=_PRECISIONS[precision]), place)


def has_bfloat16(device: torch.device) -> bool:
    """Return whether `device` computes in bfloat16 by instructions of its own."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return False


def choose_batch_size(shape: tuple[int, ...], device: torch.device) -> int:
    """Return how many samples of `shape` go through a model at once.

    On a CPU few are fastest, because what a layer returns is still in the cache when the
    next one reads it: 8 images of 224 x 224. An accelerator wants more.

    Examples
    --------
    >>> choose_batch_size((3, 224, 224), torch.device("cpu"))
    8
    >>> choose_batch_size((3, 32, 32), torch.device("cpu"))
    256
    """
    n_pixels = math.prod(shape[1:]) if len(shape) == 3 else math.prod(shape)
    least, most, usual = (1, 256, 8) if device.type == "cpu" else (8, 4096, 128)
    return min(most, max(least, usual * _PIXELS // max(1, n_pixels)))


@contextmanager
def ready(
    model: nn.Module,
    places: Mapping[str, Place],
    *,
    engine: Engine,
    pool: Pool,
    batch_size: int | None,
    may_refuse: bool = False,
) -> Iterator["Runner"]:
    """Prepare `model` for a block; afterwards every module is as it was.

    Parameters
    ----------
    model : Module
    places : mapping of str to Place
    engine : Engine
    pool : {"mean", "flatten"}
    batch_size : int or None
        Samples that go through the model at once, if the caller says so.
    may_refuse : bool, default=False
        Leave out places that give nothing of use, instead of raising.
    """
    keep = frozenset(place.layer for place in places.values())
    fast = fast_copy(model, device=engine.device, keep=keep)
    if device_of(fast) != engine.device and fast is model:
        engine.device = device_of(model)
        engine.is_cpu = engine.device.type == "cpu"
    with inference(fast), engine.autocast(), Taker(fast, places, pool=pool) as taker:
        yield Runner(taker, engine, batch_size=batch_size, may_refuse=may_refuse)


class Runner:
    """Gives the rows of batches.

    Parameters
    ----------
    taker : Taker
    engine : Engine
    batch_size : int or None
        Samples at once; chosen by their shape if None.
    may_refuse : bool
        Whether places that give nothing of use are left out.
    """

    def __init__(
        self, taker: Taker, engine: Engine, *, batch_size: int | None, may_refuse: bool
    ) -> None:
        self.taker, self.engine = taker, engine
        self.batch_size, self.may_refuse = batch_size, may_refuse
        self._is_checked = False

    def rows(self, inputs: Tensor, where: str) -> dict[str, Tensor]:
        """Return, by place, float32 rows on the CPU, one for each of `inputs`.

        Raises
        ------
        DataError
            If a row is not finite, or a place gives no tensor.
        SettingsError
            If a place is not passed exactly once.
        ShapeError
            If the model cannot take the inputs, or gives another number of rows.
        """
        n_samples = len(inputs)
        if not n_samples:  # a process that has none of a short batch
            inputs = inputs.new_zeros((1, *inputs.shape[1:]))
        parts: list[dict[str, Tensor]] = []
        n_done = 0
        while n_done < len(inputs):
            size = self._size(inputs)
            piece = inputs[n_done : n_done + size]
            try:
                parts.append(self._run(piece, where, first=n_done))
            except torch.OutOfMemoryError:
                if len(piece) == 1:
                    raise
                self.batch_size = len(piece) // 2
                continue
            n_done += len(piece)
        names = list(parts[0])
        return {name: torch.cat([p[name] for p in parts])[:n_samples] for name in names}

    def _size(self, inputs: Tensor) -> int:
        if self.batch_size is None:
            self.batch_size = choose_batch_size(tuple(inputs.shape[1:]), self.engine.device)
        return self.batch_size

    def _run(self, piece: Tensor, where: str, *, first: int) -> dict[str, Tensor]:
        model = self.taker.model
        placed = self.engine.place(model, piece)
        try:
            found = self.taker.run(placed)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError) as error:
            explained = explain_forward(error, model, placed, where)
            if explained is error:
                raise
            raise explained from error
        if not self._is_checked:
            self._check_places(found, len(piece))
        for name, rows in found.items():
            self._check_rows(rows, piece, f"{where}, {self.taker.places[name]}", first)
        return {name: rows.cpu() for name, rows in found.items()}

    def _check_places(self, found: dict[str, Tensor], n_samples: int) -> None:
        self._is_checked = True
        for name in self.taker.places:
            problem = self.taker.explain(name)
            if problem is not None and not self.may_refuse:
                raise problem
            is_odd = self.may_refuse and len(found.get(name, ())) != n_samples
            if problem is not None or is_odd:
                self.taker.refused[name] = problem or ShapeError()
                found.pop(name, None)

    def _check_rows(self, rows: Tensor, piece: Tensor, where: str, first: int) -> None:
        if len(rows) != len(piece):
            msg = (
                f"In {where}: {len(rows)} rows for {len(piece)} samples. The first axis must "
                "be the samples, in the data - images[None] for a single image - and in what "
                "the layer gives."
            )
            raise ShapeError(msg)
        if rows.isfinite().all():
            return
        row = int((~rows.isfinite().all(1)).nonzero()[0])
        sample = piece[row]
        is_input = sample.is_floating_point() and not sample.isfinite().all()
        why = (
            "The sample itself holds some: look at it."
            if is_input
            else "The sample is finite, so look at the model's weights, or pass "
            'precision="float32".'
        )
        msg = f"In {where}: the embedding of row {first + row} is NaN or infinite. {why}"
        raise DataError(msg)
