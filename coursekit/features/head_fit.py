"""`HeadFit`: a head that was trained on embeddings, and how.

Nothing here knows how it was trained.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from coursekit.errors import DataError, ShapeError
from coursekit.features.embeddings import Embeddings
from coursekit.training import History

__all__ = ["HeadFit", "first_layer"]

_ROWS = 4096  # at once, so that a matrix in a file is never read whole


@dataclass(frozen=True, eq=False, kw_only=True)
class HeadFit:
    """A head, and how it was trained.

    Parameters
    ----------
    head : Module
        In evaluation mode, on the CPU. It takes embeddings as they are, so it can stand
        where the head of the backbone stood; see `put_head`.
    history : History
        Its training, epoch by epoch.
    class_names : tuple of str
        One name a logit, or none if they are not known.
    """

    head: nn.Module
    history: History
    class_names: tuple[str, ...] = ()

    def predict(self, embeddings: Embeddings | Tensor) -> Tensor:
        """Return the logits of embeddings.

        Parameters
        ----------
        embeddings : Embeddings, or Tensor of shape (n_samples, n_features)

        Returns
        -------
        Tensor of shape (n_samples, n_classes), float32

        Raises
        ------
        ShapeError
            If they have another number of features than those of the training.
        """
        given = embeddings
        matrix = given.embeddings if isinstance(given, Embeddings) else given.detach().cpu()
        first = first_layer(self.head)
        if matrix.ndim != 2 or matrix.shape[1] != first.in_features:
            msg = (
                f"The head takes embeddings of shape (n_samples, {first.in_features}), got "
                f"{tuple(matrix.shape)}. Embed with the same model and layer as for training."
            )
            raise ShapeError(msg)
        with torch.no_grad():
            return torch.cat([self.head(rows.float()) for rows in matrix.split(_ROWS)])

    def accuracy(self, test: Embeddings) -> float:
        """Return the share of samples whose largest logit is that of their label.

        Parameters
        ----------
        test : Embeddings
            With labels.

        Returns
        -------
        float
            From 0 to 1.

        Raises
        ------
        DataError
            If there are no labels, or no samples.
        """
        if test.labels is None or not len(test):
            msg = "An accuracy needs samples with labels, got none."
            raise DataError(msg)
        return (self.predict(test).argmax(1) == test.labels).float().mean().item()


def first_layer(head: nn.Module) -> nn.Linear:
    """Return the layer that takes the embeddings."""
    return next(layer for layer in head.modules() if isinstance(layer, nn.Linear))
