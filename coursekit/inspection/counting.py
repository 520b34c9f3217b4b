"""Count what a model learns.

Nothing here knows what the parameters do.
"""

from torch import nn

__all__ = ["count_parameters"]


def count_parameters(model: nn.Module, *, trainable_only: bool = False) -> int:
    """Return how many numbers `model` holds as parameters; shared ones count once.

    Parameters
    ----------
    model : nn.Module
    trainable_only : bool, default=False
        Leave out those that are frozen.

    Returns
    -------
    int

    Examples
    --------
    >>> count_parameters(nn.Conv2d(3, 6, kernel_size=3))
    168
    """
    return sum(
        parameter.numel()
        for parameter in model.parameters()
        if parameter.requires_grad or not trainable_only
    )
