"""The first networks of the course: perceptron, LeNet, ZFNet.

Their first weights depend on `seed` alone.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import nn

from coursekit.errors import SettingsError
from coursekit.seeds import seeded


def build_mlp(
    input_shape: Sequence[int], hidden_sizes: Sequence[int], n_classes: int, *, seed: int
) -> nn.Sequential:
    """Return a multilayer perceptron: flatten, then linear layers with ReLU between them.

    Without `hidden_sizes` it is a linear classifier.

    Examples
    --------
    >>> [tuple(p.shape) for p in build_mlp((3, 32, 32), [100], 10, seed=0).parameters()]
    [(100, 3072), (100,), (10, 100), (10,)]
    """
    layers: list[nn.Module] = [nn.Flatten()]
    with seeded(seed, "mlp"):
        for sizes in pairwise([prod(input_shape), *hidden_sizes, n_classes]):
            layers += [nn.Linear(*sizes), nn.ReLU()]
    return nn.Sequential(*layers[:-1])  # logits have no ReLU


def build_mlp_of_size(
    n_parameters: int, input_shape: Sequence[int], n_classes: int, *, seed: int
) -> nn.Sequential:
    """Return the perceptron with one hidden layer whose parameter count is nearest.

    For a fair comparison: a network that is better with as many parameters is better
    because of how they are connected.

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


def build_lenet(
    input_shape: tuple[int, int, int], n_classes: int, *, seed: int
) -> nn.Sequential:
    """Return a small convolutional network: conv-pool-ReLU twice, then two linear layers.

    Parameters
    ----------
    input_shape : (channels, height, width)
        12 pixels high and wide or more, for example (1, 28, 28) or (3, 32, 32).
    n_classes, seed : int

    Notes
    -----
    LeNet-5 [1]_, sec. II.B, has the same two stages of 6 and 16 filters of 5 x 5. It
    differs in what was usual then: tanh units, pooling with trained weights, a second
    convolution that is not connected to every map, one linear layer more.

    References
    ----------
    .. [1] LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document
       Recognition", Proceedings of the IEEE 86(11), 1998. https://doi.org/10.1109/5.726791

    Examples
    --------
    >>> sum(p.numel() for p in build_lenet((1, 28, 28), 10, seed=0).parameters())
    37106
    """
    if len(input_shape) != 3 or min(input_shape[1:]) < 12:
        msg = (
            "LeNet reads images of shape (channels, height, width), 12 x 12 or larger, got "
            f"{tuple(input_shape)}."
        )
        raise SettingsError(msg)
    channels, height, width = input_shape
    rows, columns = (height // 2 - 4) // 2, (width // 2 - 4) // 2  # after both stages
    with seeded(seed, "lenet"):
        layers = OrderedDict(
            conv1=nn.Conv2d(channels, 6, 5, padding=2),
            pool1=nn.MaxPool2d(2),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(6, 16, 5),
            pool2=nn.MaxPool2d(2),
            relu2=nn.ReLU(),
            flatten=nn.Flatten(),
            hidden=nn.Linear(16 * rows * columns, 84),
            relu3=nn.ReLU(),
            output=nn.Linear(84, n_classes),
        )
    return nn.Sequential(layers)


def build_zfnet(n_classes: int = 1000, *, seed: int) -> nn.Sequential:
    """Return ZFNet: 7x7 filters with stride 2 where AlexNet has 11x11 with stride 4.

    It reads images of shape (n_images, 3, 224, 224). The maps have the paper's sizes, for
    which poolings round up; its contrast normalization is left out, as in today's AlexNet.

    References
    ----------
    .. [1] Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks",
       ECCV 2014, sec. 4.1, fig. 3. https://arxiv.org/abs/1311.2901

    Examples
    --------
    >>> import torch
    >>> with torch.device("meta"):  # shapes without memory
    ...     model = build_zfnet(seed=0)
    >>> sum(p.numel() for p in model.parameters())
    62357608
    """
    with seeded(seed, "zfnet"):
        layers = OrderedDict(
            conv1=nn.Conv2d(3, 96, 7, stride=2, padding=1),  # (B, 96, 110, 110)
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(3, stride=2, ceil_mode=True),  # (B, 96, 55, 55)
            conv2=nn.Conv2d(96, 256, 5, stride=2),  # (B, 256, 26, 26)
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(3, stride=2, ceil_mode=True),  # (B, 256, 13, 13)
            conv3=nn.Conv2d(256, 384, 3, padding=1),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(384, 384, 3, padding=1),
            relu4=nn.ReLU(),
            conv5=nn.Conv2d(384, 256, 3, padding=1),
            relu5=nn.ReLU(),
            pool5=nn.MaxPool2d(3, stride=2),  # (B, 256, 6, 6)
            flatten=nn.Flatten(),
            drop6=nn.Dropout(),
            linear6=nn.Linear(256 * 6 * 6, 4096),
            relu6=nn.ReLU(),
            drop7=nn.Dropout(),
            linear7=nn.Linear(4096, 4096),
            relu7=nn.ReLU(),
            linear8=nn.Linear(4096, n_classes),
        )
    return nn.Sequential(layers)
