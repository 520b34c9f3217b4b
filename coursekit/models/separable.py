"""The blocks of MobileNet: a convolution in each channel, then 1x1 across channels.

Nothing here knows about data or training.
"""

from torch import Tensor, nn

from coursekit.errors import SettingsError
from coursekit.models.checks import check_counts
from coursekit.models.squeeze import SqueezeExcitation

__all__ = ["DepthwiseSeparable", "InvertedResidual"]

_ACTIVATIONS = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hard-swish": nn.Hardswish}


class DepthwiseSeparable(nn.Module):
    """A depthwise convolution, which mixes places, then a 1x1, which mixes channels.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels that come in and go out.
    kernel : int, default=3
        Size of the depthwise kernel, odd.
    stride : int, default=1
        Of the depthwise convolution.
    activation : {"relu", "relu6", "hard-swish"}, default="relu"
        What follows the batch normalization after each of the two.

    Raises
    ------
    SettingsError
        If a number is below 1, the kernel is even, or there is no such activation.

    Notes
    -----
    It has ``in_channels * (kernel**2 + out_channels)`` weights in its convolutions, where
    a standard one has ``in_channels * kernel**2 * out_channels``: 1 / out_channels +
    1 / kernel**2 of it. First weights are drawn from torch's global generator, as those of
    any layer.

    References
    ----------
    .. [1] Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto and Adam, "MobileNets:
       Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017,
       sec. 3.1, fig. 3. https://arxiv.org/abs/1704.04861

    Examples
    --------
    >>> import torch
    >>> block = DepthwiseSeparable(32, 64, stride=2)
    >>> block(torch.zeros(2, 32, 112, 112)).shape
    torch.Size([2, 64, 56, 56])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        check_counts(
            "DepthwiseSeparable",
            in_channels=in_channels,
            out_channels=out_channels,
            kernel=kernel,
            stride=stride,
        )
        _check_kernel(kernel)
        self.depthwise = _conv_norm(
            in_channels,
            in_channels,
            kernel,
            stride=stride,
            groups=in_channels,
            activation=activation,
        )
        self.pointwise = _conv_norm(in_channels, out_channels, 1, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps after both convolutions.

        Parameters
        ----------
        x : Tensor of shape (B, in_channels, H, W)
            The maps before them.

        Returns
        -------
        Tensor of shape (B, out_channels, H / stride, W / stride), rounded up
        """
        return self.pointwise(self.depthwise(x))


class InvertedResidual(nn.Module):
    """The block of MobileNet v2 and v3: many channels inside, few outside, and a skip.

    A 1x1 convolution expands the channels, a depthwise one mixes places, and a second 1x1
    goes back to few channels. After that last one nothing is cut off: it is linear.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels that come in and go out. With equal numbers and stride 1 what came in is
        added.
    stride : int, default=1
        Of the depthwise convolution.
    expand_ratio : int, default=6
        Channels inside for each that comes in; with 1 there is no expanding convolution.
    kernel : int, default=3
        Size of the depthwise kernel, odd.
    activation : {"relu6", "relu", "hard-swish"}, default="relu6"
        ReLU6 in v2; ReLU in the early blocks of v3 and hard-swish in the late ones.
    squeeze : bool, default=False
        Whether a squeeze-and-excitation with a quarter of the channels and hard gates
        follows the depthwise convolution, as in most blocks of v3.

    Raises
    ------
    SettingsError
        If a number is below 1, the kernel is even, or there is no such activation.

    References
    ----------
    .. [1] Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: Inverted Residuals and
       Linear Bottlenecks", CVPR 2018, sec. 3. https://arxiv.org/abs/1801.04381
    .. [2] Howard, Sandler, Chu, Chen, Chen, Tan, Wang, Zhu, Pang, Vasudevan, Le and Adam,
       "Searching for MobileNetV3", ICCV 2019, sec. 5. https://arxiv.org/abs/1905.02244

    Examples
    --------
    >>> import torch
    >>> InvertedResidual(24, 24)(torch.zeros(2, 24, 56, 56)).shape
    torch.Size([2, 24, 56, 56])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        expand_ratio: int = 6,
        kernel: int = 3,
        activation: str = "relu6",
        squeeze: bool = False,
    ) -> None:
        super().__init__()
        check_counts(
            "InvertedResidual",
            in_channels=in_channels,
            out_channels=out_channels,
            stride=stride,
            expand_ratio=expand_ratio,
            kernel=kernel,
        )
        _check_kernel(kernel)
        inside = in_channels * expand_ratio
        self.has_skip = stride == 1 and in_channels == out_channels
        self.expand = (
            _conv_norm(in_channels, inside, 1, activation=activation)
            if expand_ratio > 1
            else nn.Identity()
        )
        self.depthwise = _conv_norm(
            inside, inside, kernel, stride=stride, groups=inside, activation=activation
        )
        self.squeeze = (
            SqueezeExcitation(inside, reduction=4, gate="hard-sigmoid")
            if squeeze
            else nn.Identity()
        )
        self.project = _conv_norm(inside, out_channels, 1, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps after the block.

        Parameters
        ----------
        x : Tensor of shape (B, in_channels, H, W)
            The maps before it.

        Returns
        -------
        Tensor of shape (B, out_channels, H / stride, W / stride), rounded up
        """
        out = self.depthwise(self.expand(x))  # (B, inside, H / stride, W / stride)
        out = self.project(self.squeeze(out))
        return out + x if self.has_skip else out


def _conv_norm(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: str | None,
) -> nn.Sequential:
    """Return convolution, batch normalization and, unless None, the activation."""
    if activation is not None and activation not in _ACTIVATIONS:
        msg = f"activation is one of {', '.join(map(repr, _ACTIVATIONS))}, got {activation!r}."
        raise SettingsError(msg)
    layers = [
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
    ]
    if activation is not None:
        layers.append(_ACTIVATIONS[activation]())
    return nn.Sequential(*layers)


def _check_kernel(kernel: int) -> None:
    if kernel % 2 == 0:
        msg = f"The depthwise kernel is odd, so that it has a center, got {kernel}."
        raise SettingsError(msg)
