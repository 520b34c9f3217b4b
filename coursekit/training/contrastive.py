"""The loss that brings images and their texts together, and others apart.

Nothing here knows of networks, words or pictures.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from coursekit.errors import ShapeError

__all__ = ["contrastive_loss"]


def contrastive_loss(
    image_features: Tensor,
    text_features: Tensor,
    *,
    scale: Tensor | float,
    ignore: Tensor | None = None,
) -> Tensor:
    """Return how badly each image finds its own text, and each text its own image.

    Parameters
    ----------
    image_features, text_features : Tensor of shape (n_pairs, n_features)
        Row i of one belongs to row i of the other. They are used as they are: bring them to
        length 1 first, ``F.normalize(features, dim=1)``.
    scale : Tensor of shape () or float
        The inverse of the temperature: ``model.logit_scale.exp()``.
    ignore : Tensor of shape (n_pairs, n_pairs), bool, optional
        Image i and text j that shall not count as a wrong pair, for instance because text j
        is also true of image i. The diagonal counts always.

    Returns
    -------
    Tensor of shape ()
        The mean of two cross-entropies, over the rows and over the columns of the
        matrix of similarities.

    Raises
    ------
    ShapeError
        If the features are not two matrices of one shape, or `ignore` is not square.

    References
    ----------
    .. [1] Radford et al., "Learning Transferable Visual Models From Natural Language
       Supervision", ICML 2021, figure 3. https://arxiv.org/abs/2103.00020

    Examples
    --------
    >>> features = torch.eye(4)
    >>> round(float(contrastive_loss(features, features, scale=100.0)), 4)
    0.0
    """
    if image_features.ndim != 2 or image_features.shape != text_features.shape:
        msg = (
            "image_features and text_features must both have shape (n_pairs, n_features), got "
            f"{tuple(image_features.shape)} and {tuple(text_features.shape)}."
        )
        raise ShapeError(msg)
    logits = scale * image_features @ text_features.T
    own = torch.arange(len(logits), device=logits.device)
    if ignore is not None:
        if ignore.shape != logits.shape:
            msg = (
                f"ignore must have one entry for each of {tuple(logits.shape)} pairs of image "
                f"and text, got {tuple(ignore.shape)}."
            )
            raise ShapeError(msg)
        wrong = ignore.logical_and(own[:, None] != own)
        logits = logits.masked_fill(wrong, -torch.inf)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
