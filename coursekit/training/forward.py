"""Run one batch through a model and judge the outcome: loss and metrics.

Nothing here knows about gradients, steps or epochs. What goes wrong is explained, with the
batch it happened in.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from coursekit.errors import DataError
from coursekit.training import checks
from coursekit.training.engine import Engine
from coursekit.training.metrics import MetricFunction, sum_over_samples

__all__ = ["BatchResult", "ForwardPass"]


class BatchResult(NamedTuple):
    """What a batch came to."""

    loss: Tensor
    """The mean over its samples, with gradients."""
    n_samples: int
    """Samples of this process; 0 when it had none of a short batch."""
    values: list[Tensor]
    """The loss without gradients, and the sum of each metric."""


class ForwardPass:
    """Computes logits, loss and metrics of batches.

    Parameters
    ----------
    engine : Engine
    loss : callable
    metrics : mapping of str to callable
    """

    def __init__(
        self,
        engine: Engine,
        loss: Callable[[Any, Tensor], Tensor],
        metrics: Mapping[str, MetricFunction],
    ) -> None:
        self.engine, self.loss, self.metrics = engine, loss, metrics

    def run(
        self, model: nn.Module, inputs: Tensor, labels: Tensor, where: str
    ) -> BatchResult:
        """Return the loss of a batch, and the sums of its metrics.

        Raises
        ------
        ShapeError, DataError
            If the batch does not fit the model or the loss.
        """
        n_samples, given = len(labels), labels
        if not n_samples:
            if self.engine.n_processes == 1:
                msg = f"In {where}: the batch has no sample. Leave it out of the loader."
                raise DataError(msg)
            inputs, labels = _one_of_zeros(inputs), _one_of_zeros(labels)
        inputs, labels = self.engine.place(model, inputs), self.engine.to_device(labels)
        with self.engine.autocast():
            outputs = self.outputs(model, inputs, where)
            logits = logits_of(outputs)
            if not self.engine.is_cpu and given.device.type == "cpu":
                checks.check_labels(logits, given, self.loss, where)  # a GPU would just die
            try:
                loss = self.loss(outputs, labels)
            except (RuntimeError, ValueError, IndexError) as error:
                explained = checks.explain_loss(error, logits, labels, self.loss, where)
                if explained is error:
                    raise
                raise explained from error
        values = [loss.detach()]
        with torch.no_grad():
            for name, metric in self.metrics.items():
                per_sample = metric(logits.detach(), labels)
                total = sum_over_samples(name, per_sample, len(labels))
                values.append(total if n_samples else total * 0)
        return BatchResult(loss, n_samples, values)

    def predict(self, model: nn.Module, inputs: Tensor, where: str) -> Tensor:
        """Return the logits of a batch, float32, on the CPU.

        Raises
        ------
        ShapeError, DataError
            If the model cannot take the inputs.
        """
        n_samples = len(inputs)
        placed = self.engine.place(model, inputs if n_samples else _one_of_zeros(inputs))
        with self.engine.autocast():
            outputs = self.outputs(model, placed, where)
        return logits_of(outputs)[:n_samples].float().cpu()

    def outputs(self, model: nn.Module, inputs: Tensor, where: str) -> Any:
        """Return what the model makes of inputs that are on the device.

        Raises
        ------
        ShapeError, DataError
            If the model cannot take them; the message names the layer.
        """
        try:
            return model(inputs)
        except (RuntimeError, ValueError) as error:
            explained = checks.explain_forward(error, model, inputs, where)
            if explained is error:
                raise
            raise explained from error


def logits_of(outputs: Any) -> Tensor:
    """Return the logits among a model's outputs: itself, or the first of several."""
    return outputs if isinstance(outputs, Tensor) else outputs[0]


def _one_of_zeros(batch: Tensor) -> Tensor:
    """Return one sample, for a process that has none: it must run the model all the same."""
    return batch.new_zeros((1, *batch.shape[1:]))
