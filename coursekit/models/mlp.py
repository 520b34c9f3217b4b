"""Multilayer perceptrons, which see an image as one long row of numbers.

Nothing here knows about convolutions, data or training.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import nn

from coursekit.errors import SettingsError
from coursekit.seeds import seeded

__all__ = ["build_mlp", "build_mlp_of_size"]


def build_mlp(
    input_shape: Sequence[int], hidden_sizes: Sequence[int], n_classes: int, *, seed: int
) -> nn.Sequential:
    """Return a multilayer perceptron: flatten, then linear layers with ReLU between them.

    Parameters
    ----------
    input_shape : sequence of int
        Of one image, for example ``(channels, height, width)``.
    hidden_sizes : sequence of int
        Units of each hidden layer; none gives a linear classifier.
    n_classes : int
        Outputs.
    seed : int
        Draws the first weights.

    Returns
    -------
    nn.Sequential
        From images of shape (n_images, then `input_shape`) to logits (n_images, n_classes).

    Raises
    ------
    SettingsError
        If a size is below 1.

    Examples
    --------
    >>> [tuple(p.shape) for p in build_mlp((3, 32, 32), [100], 10, seed=0).parameters()]
    [(100, 3072), (100,), (10, 100), (10,)]
    """
    sizes = [*input_shape, *hidden_sizes, n_classes]
    if not input_shape or min(sizes) < 1:
        msg = (
            "input_shape, hidden_sizes and n_classes must hold numbers of at least 1, got "
            f"{tuple(input_shape)}, {tuple(hidden_sizes)} and {n_classes}."
        )
        raise SettingsError(msg)
    widths = [prod(input_shape), *hidden_sizes, n_classes]
    layers: list[nn.Module] = [nn.Flatten()]
    with seeded(seed, "mlp"):
        for n_inputs, n_outputs in pairwise(widths):
            layers += [nn.Linear(n_inputs, n_outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])  # logits have no ReLU


def build_mlp_of_size(
    n_parameters: int, input_shape: Sequence[int], n_classes: int, *, seed: int
) -> nn.Sequential:
    """Return the perceptron with one hidden layer whose parameter count is nearest.

    For a fair comparison: a network that is better with as many parameters is better
    because of how they are connected.

    Parameters
    ----------
    n_parameters : int
        The count to come near to. One hidden unit more or less changes it by the number
        of inputs + 1 + `n_classes`, so it is missed by at most half of that.
    input_shape : sequence of int
        Of one image.
    n_classes : int
        Outputs.
    seed : int
        Draws the first weights.

    Returns
    -------
    nn.Sequential
        As `build_mlp` gives it.

    Raises
    ------
    SettingsError
        If even a single hidden unit takes far more parameters.

    Examples
    --------
    >>> model = build_mlp_of_size(50_000, (1, 28, 28), 10, seed=0)
    >>> sum(p.numel() for p in model.parameters())
    50095
    """
    per_unit = prod(input_shape) + 1 + n_classes
    n_hidden = round((n_parameters - n_classes) / per_unit)
    if n_hidden < 1:
        msg = (
            f"A hidden layer on {prod(input_shape)} inputs takes {per_unit:,} parameters for "
            f"each unit, so {n_parameters:,} are too few. Ask for at least "
            f"{per_unit + n_classes:,}, or make the images smaller."
        )
        raise SettingsError(msg)
    return build_mlp(input_shape, [n_hidden], n_classes, seed=seed)
