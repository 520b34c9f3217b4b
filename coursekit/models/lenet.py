"""LeNet: the first convolutional network of the course, after the one that read checks.

Nothing here knows about data or training.
"""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from coursekit.errors import SettingsError
from coursekit.seeds import seeded

__all__ = ["build_lenet"]

_KERNEL = 5


def build_lenet(
    input_shape: Sequence[int],
    n_classes: int,
    *,
    seed: int,
    n_filters: tuple[int, int] = (6, 16),
    n_hidden: int = 84,
) -> nn.Sequential:
    """Return a small convolutional network: conv-pool-ReLU twice, then two linear layers.

    Parameters
    ----------
    input_shape : (channels, height, width)
        Height and width of 12 pixels or more, for example (1, 28, 28) or (3, 32, 32).
    n_classes : int
        Outputs.
    seed : int
        Draws the first weights.
    n_filters : (int, int), default=(6, 16)
        Filters of the two convolutions.
    n_hidden : int, default=84
        Units of the hidden linear layer.

    Returns
    -------
    nn.Sequential
        From images of shape (n_images, channels, height, width) to logits
        (n_images, n_classes).

    Raises
    ------
    SettingsError
        If a number is below 1 or the images are smaller than 12 x 12.

    Notes
    -----
    LeNet-5 [1]_, sec. II.B, has the same two stages of 6 and 16 filters of 5 x 5. It
    differs in what was usual then: tanh units, pooling with trained weights, a second
    convolution that is not connected to every map, one linear layer more.

    References
    ----------
    .. [1] LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document
       Recognition", Proceedings of the IEEE 86(11), 1998, sec. II.B.
       https://doi.org/10.1109/5.726791

    Examples
    --------
    >>> model = build_lenet((1, 28, 28), 10, seed=0)
    >>> sum(p.numel() for p in model.parameters())
    37106
    """
    numbers = (*input_shape, *n_filters, n_hidden, n_classes)
    if len(input_shape) != 3 or min(numbers) < 1 or min(input_shape[1:]) < 12:
        msg = (
            "LeNet reads images of shape (channels, height, width), 12 x 12 or larger, into "
            f"at least one class, got {tuple(input_shape)}, n_filters={n_filters}, "
            f"n_hidden={n_hidden}, n_classes={n_classes}."
        )
        raise SettingsError(msg)
    channels, height, width = input_shape
    first, second = n_filters
    n_features = second * _map_size(height) * _map_size(width)
    with seeded(seed, "lenet"):
        layers = OrderedDict(
            conv1=nn.Conv2d(channels, first, _KERNEL, padding=2),
            pool1=nn.MaxPool2d(2),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(first, second, _KERNEL),
            pool2=nn.MaxPool2d(2),
            relu2=nn.ReLU(),
            flatten=nn.Flatten(),
            hidden=nn.Linear(n_features, n_hidden),
            relu3=nn.ReLU(),
            output=nn.Linear(n_hidden, n_classes),
        )
    return nn.Sequential(layers)


def _map_size(size: int) -> int:
    """Return the size of the map after both stages."""
    return (size // 2 - (_KERNEL - 1)) // 2
