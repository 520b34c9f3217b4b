"""Run one batch through a model and judge the outcome: loss and metrics.

Nothing here knows about gradients, steps or epochs. What goes wrong is explained, with the
batch it happened in.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

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
        n_samples = len(labels)
        if not n_samples:  # the model must run in every process: on anything, for weight 0
            inputs, labels = (
                part.new_zeros((1, *part.shape[1:])) for part in (inputs, labels)
            )
        given = labels
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
