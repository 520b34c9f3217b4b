"""How a batch goes through a model on this machine: device, precision, processes.

Nothing here knows about epochs, histories or callbacks. The processes are accelerate's;
its wrappers of optimizer and model are not used, because they cost more per step than
everything else that a trainer does, and because its precision is one for a whole program.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import torch
from accelerate import Accelerator
from accelerate.state import is_initialized
from accelerate.utils import broadcast, gather_object
from torch import Tensor, nn

from coursekit.devices import choose_device
from coursekit.errors import SettingsError

__all__ = ["Engine", "EngineSettings", "kept_modes"]


class EngineSettings(NamedTuple):
    """What `coursekit.features` asks of an engine."""

    precision: str = "no"
    clip_norm: float | None = None
    channels_last: bool | None = None


class Engine:
    """Places batches, computes in the right precision, and adds up over processes.

    Parameters
    ----------
    settings : EngineSettings
    device : torch.device or str, optional
        Without it, the fastest at hand; several processes have one each.

    Raises
    ------
    SettingsError
        If the device cannot compute in the precision asked for.
    """

    def __init__(
        self, settings: EngineSettings, device: torch.device | str | None = None
    ) -> None:
        self.settings = settings
        self.device = choose_device(str(device) if device is not None else None)
        first = {"cpu": self.device.type == "cpu", "mixed_precision": "no"}
        self.accelerator = Accelerator(**({} if is_initialized() else first))
        self.n_processes = self.accelerator.num_processes
        self.rank = self.accelerator.process_index
        if self.n_processes > 1:
            self.device = self.accelerator.device
        self.is_cpu = self.device.type == "cpu"
        self.is_main = self.rank == 0
        self.scaler = None
        if settings.precision == "fp16":
            if self.device.type != "cuda":
                msg = (
                    f"precision='fp16' needs a CUDA device, this is {self.device.type!r}. "
                    "Take 'bf16', which needs no scaling of the loss, or 'no'."
                )
                raise SettingsError(msg)
            self.scaler = torch.amp.GradScaler("cuda")
        self._dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(
            settings.precision
        )
        self._channels_last: bool | None = settings.channels_last

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return what to train: `model`, or with several processes one that averages."""
        if self.n_processes == 1:
            return model
        return self.accelerator.prepare_model(model, device_placement=False)

    def release(self) -> None:
        """Let go of what `wrap` made, and the memory that it averaged in."""
        if self.n_processes > 1:
            self.accelerator.free_memory()

    def place(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """Return inputs on the device, in the layout that makes `model` fast."""
        inputs = self.to_device(inputs)
        if inputs.ndim == 4:
            if self._channels_last is None:
                self._channels_last = works_channels_last(model, inputs, self.autocast())
            if self._channels_last:
                return as_channels_last(inputs)
        return inputs

    def to_device(self, values: Tensor) -> Tensor:
        """Return `values` on the device."""
        return values if self.is_cpu else values.to(self.device, non_blocking=True)

    def autocast(self) -> AbstractContextManager:
        """Return the block in which layers compute in the precision of the settings."""
        if self._dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self._dtype)

    def backward(self, loss: Tensor, *, n_samples: tuple[int, int]) -> None:
        """Add the gradients of a batch's mean loss, weighted by its share of the step.

        Parameters
        ----------
        loss : Tensor
            A mean over the samples of this process.
        n_samples : pair of int
            How many those are, and how many the step has in all batches and processes.
        """
        own, total = n_samples
        weight = own * self.n_processes / total  # processes' gradients will be averaged
        if weight != 1:
            loss = loss * weight
        if self.scaler is not None:
            loss = self.scaler.scale(loss)
        loss.backward()

    def no_average(self, wrapped: nn.Module) -> AbstractContextManager:
        """Return a block in which gradients stay in their process, for accumulation."""
        return self.accelerator.no_sync(wrapped) if self.n_processes > 1 else nullcontext()

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> bool:
        """Clip the gradients and change the weights; False if fp16 overflowed instead."""
        if self.settings.clip_norm is not None:
            if self.scaler is not None:
                self.scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), self.settings.clip_norm)
        if self.scaler is None:
            optimizer.step()
            return True
        scale = self.scaler.get_scale()
        self.scaler.step(optimizer)
        self.scaler.update()
        return self.scaler.get_scale() >= scale

    def total(self, n_samples: int) -> int:
        """Return a count summed over all processes."""
        return int(self.add_up([[n_samples]])[0][0])

    def add_up(self, values: list[list[float]]) -> list[list[float]]:
        """Return a table of numbers summed over all processes."""
        if self.n_processes == 1 or not values:
            return values
        table = torch.tensor(values, dtype=torch.float64, device=self.device)
        return self.accelerator.reduce(table, reduction="sum").tolist()

    def join(self, batches: list[Tensor]) -> Tensor:
        """Return the rows of all batches in order; each process has a part of each batch."""
        if self.n_processes == 1:
            return torch.cat(batches)
        parts = gather_object([batches])  # one list for each process, in order
        return torch.cat([rows for batch in zip(*parts, strict=True) for rows in batch])

    def gather(self, value: object) -> list:
        """Return the `value` of each process."""
        return gather_object([value]) if self.n_processes > 1 else [value]

    def share_buffers(self, model: nn.Module) -> None:
        """Give all processes the buffers of the first one, such as running means."""
        if self.n_processes > 1:
            for buffer in model.buffers():
                buffer.copy_(broadcast(buffer.detach().clone()))

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.accelerator.wait_for_everyone()


def as_channels_last(images: Tensor) -> Tensor:
    """Return `images` (B, C, H, W) laid out channel by channel for each pixel.

    One channel is laid out so too: then only the strides differ, and torch would keep
    those that make it compute in the slower layout.
    """
    B, C, H, W = images.shape
    if C == 1 and images.is_contiguous():
        return images.as_strided((B, C, H, W), (H * W, 1, W, 1))
    return images.contiguous(memory_format=torch.channels_last)


def works_channels_last(
    model: nn.Module, images: Tensor, autocast: AbstractContextManager
) -> bool:
    """Return whether `model` has convolutions and takes the first image in that layout.

    One image goes through it in evaluation mode, so nothing of it changes.
    """
    if not any(isinstance(layer, nn.Conv2d) for layer in model.modules()):
        return False
    with kept_modes(model), torch.no_grad(), autocast:
        model.eval()
        try:
            model(as_channels_last(images[:1]))
        except Exception:  # noqa: BLE001 - whatever it is, the usual layout will show it
            return False
    return True


@contextmanager
def kept_modes(model: nn.Module) -> Iterator[None]:
    """Run a block, then put every module back into training or evaluation mode."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
