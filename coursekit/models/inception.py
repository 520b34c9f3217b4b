"""Inception modules: kernels of several sizes side by side, their maps joined.

Nothing here knows about data or training.
"""

import torch
from torch import Tensor, nn

from coursekit.errors import SettingsError
from coursekit.models.checks import check_counts

__all__ = ["Inception", "NaiveInception"]


class NaiveInception(nn.Module):
    """Convolutions of 1x1, 3x3 and 5x5 and a pooling, all on the same maps.

    The pooled branch gives back as many channels as came in, so a module can only grow:
    with 128, 192 and 96 filters, 256 channels become 672.

    Parameters
    ----------
    in_channels : int
        Channels that come in, and channels of the pooled branch.
    n_1x1, n_3x3, n_5x5 : int
        Filters of each size.

    Raises
    ------
    SettingsError
        If a number is below 1.

    Notes
    -----
    As in the paper, each convolution has a bias and is followed by ReLU; batch
    normalization came a year later. First weights are drawn from torch's global
    generator, as those of any layer.

    References
    ----------
    .. [1] Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke and Rabinovich,
       "Going Deeper with Convolutions", CVPR 2015, sec. 4, fig. 2a.
       https://arxiv.org/abs/1409.4842

    Examples
    --------
    >>> NaiveInception(256, 128, 192, 96)(torch.zeros(1, 256, 28, 28)).shape
    torch.Size([1, 672, 28, 28])
    """

    def __init__(self, in_channels: int, n_1x1: int, n_3x3: int, n_5x5: int) -> None:
        super().__init__()
        check_counts(
            "NaiveInception", in_channels=in_channels, n_1x1=n_1x1, n_3x3=n_3x3, n_5x5=n_5x5
        )
        self.out_channels = n_1x1 + n_3x3 + n_5x5 + in_channels
        self.branch_1x1 = _conv_relu(in_channels, n_1x1, kernel=1)
        self.branch_3x3 = _conv_relu(in_channels, n_3x3, kernel=3)
        self.branch_5x5 = _conv_relu(in_channels, n_5x5, kernel=5)
        self.branch_pool = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the branches' maps in one tensor.

        Parameters
        ----------
        x : Tensor of shape (B, in_channels, H, W)
            The maps that all branches read.

        Returns
        -------
        Tensor of shape (B, n_1x1 + n_3x3 + n_5x5 + in_channels, H, W)
        """
        return _join_branches(self, x)


class Inception(nn.Module):
    """The module of GoogLeNet: 1x1 convolutions reduce the channels before the dear ones.

    Parameters
    ----------
    in_channels : int
        Channels that come in.
    n_1x1 : int
        Filters of the 1x1 branch.
    n_3x3 : (int, int)
        Filters of the 1x1 reduction, and of the 3x3 convolution after it.
    n_5x5 : (int, int)
        Filters of the 1x1 reduction, and of the 5x5 convolution after it.
    n_pool : int
        Filters of the 1x1 convolution after the pooling.

    Raises
    ------
    SettingsError
        If a number is below 1, or `n_3x3` or `n_5x5` is no pair.

    Notes
    -----
    As in the paper: with biases, without batch normalization, and 5x5 in the third branch.
    torchvision's GoogLeNet has batch normalization and no biases, and its third branch is
    3x3 (a known difference to the paper, kept for its weights).

    References
    ----------
    .. [1] Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke and Rabinovich,
       "Going Deeper with Convolutions", CVPR 2015, sec. 4, fig. 2b, and table 1 for the
       numbers of filters. https://arxiv.org/abs/1409.4842

    Examples
    --------
    >>> module = Inception(192, 64, (96, 128), (16, 32), 32)  # "inception (3a)"
    >>> module(torch.zeros(1, 192, 28, 28)).shape
    torch.Size([1, 256, 28, 28])
    """

    def __init__(
        self,
        in_channels: int,
        n_1x1: int,
        n_3x3: tuple[int, int],
        n_5x5: tuple[int, int],
        n_pool: int,
    ) -> None:
        super().__init__()
        (reduce_3x3, n_3x3), (reduce_5x5, n_5x5) = _pair(n_3x3=n_3x3), _pair(n_5x5=n_5x5)
        check_counts(
            "Inception",
            in_channels=in_channels,
            n_1x1=n_1x1,
            reduce_3x3=reduce_3x3,
            n_3x3=n_3x3,
            reduce_5x5=reduce_5x5,
            n_5x5=n_5x5,
            n_pool=n_pool,
        )
        self.out_channels = n_1x1 + n_3x3 + n_5x5 + n_pool
        self.branch_1x1 = _conv_relu(in_channels, n_1x1, kernel=1)
        self.branch_3x3 = nn.Sequential(
            _conv_relu(in_channels, reduce_3x3, kernel=1),
            _conv_relu(reduce_3x3, n_3x3, kernel=3),
        )
        self.branch_5x5 = nn.Sequential(
            _conv_relu(in_channels, reduce_5x5, kernel=1),
            _conv_relu(reduce_5x5, n_5x5, kernel=5),
        )
        self.branch_pool = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), _conv_relu(in_channels, n_pool, kernel=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the branches' maps in one tensor.

        Parameters
        ----------
        x : Tensor of shape (B, in_channels, H, W)
            The maps that all branches read.

        Returns
        -------
        Tensor of shape (B, n_1x1 + n_3x3 + n_5x5 + n_pool, H, W)
        """
        return _join_branches(self, x)


def _conv_relu(in_channels: int, out_channels: int, *, kernel: int) -> nn.Sequential:
    """Return a convolution that keeps height and width, and ReLU."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
    return nn.Sequential(conv, nn.ReLU())


def _join_branches(module: nn.Module, x: Tensor) -> Tensor:
    branches = (
        module.branch_1x1(x),
        module.branch_3x3(x),
        module.branch_5x5(x),
        module.branch_pool(x),
    )  # each (B, its channels, H, W)
    return torch.cat(branches, dim=1)


def _pair(**given: object) -> tuple[int, int]:
    """Return the two numbers of the only argument, named for the message."""
    [(name, value)] = given.items()
    if not isinstance(value, tuple | list) or len(value) != 2:
        msg = (
            f"{name} is a pair: filters of the 1x1 reduction and of the convolution after "
            f"it, such as (96, 128), got {value!r}."
        )
        raise SettingsError(msg)
    return tuple(value)
