"""Dense blocks: every layer reads the maps of all layers before it.

Nothing here knows about data or training.
"""

import torch
from torch import Tensor, nn

from coursekit.models.checks import check_counts

__all__ = ["DenseBlock"]


class DenseBlock(nn.Module):
    """Layers that each add a few channels to all that came before, by concatenation.

    Parameters
    ----------
    in_channels : int
        Channels that come in.
    growth : int
        Channels that each layer adds.
    n_layers : int
        Layers.
    reduction : int, default=4
        A 1x1 convolution first brings the channels to this many times `growth`, so that
        the 3x3 convolution stays small ("DenseNet-B").

    Raises
    ------
    SettingsError
        If a number is below 1.

    Notes
    -----
    It gives ``in_channels + n_layers * growth`` channels, the first of which are those that
    came in, untouched: a residual block adds, this one keeps. First weights are drawn from
    torch's global generator, as those of any layer.

    References
    ----------
    .. [1] Huang, Liu, van der Maaten and Weinberger, "Densely Connected Convolutional
       Networks", CVPR 2017, sec. 3. https://arxiv.org/abs/1608.06993

    Examples
    --------
    >>> DenseBlock(64, growth=32, n_layers=6)(torch.zeros(1, 64, 56, 56)).shape
    torch.Size([1, 256, 56, 56])
    """

    def __init__(
        self, in_channels: int, growth: int, n_layers: int, *, reduction: int = 4
    ) -> None:
        super().__init__()
        check_counts(
            "DenseBlock",
            in_channels=in_channels,
            growth=growth,
            n_layers=n_layers,
            reduction=reduction,
        )
        self.out_channels = in_channels + n_layers * growth
        self.layers = nn.ModuleList(
            _layer(in_channels + i * growth, growth, inside=reduction * growth)
            for i in range(n_layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return what came in and what each layer adds, in one tensor.

        Parameters
        ----------
        x : Tensor of shape (B, in_channels, H, W)
            The maps before the block.

        Returns
        -------
        Tensor of shape (B, in_channels + n_layers * growth, H, W)
        """
        maps = [x]
        for layer in self.layers:
            maps.append(layer(torch.cat(maps, dim=1)))  # (B, growth, H, W)
        return torch.cat(maps, dim=1)


def _layer(in_channels: int, growth: int, *, inside: int) -> nn.Sequential:
    """Return normalization and ReLU before each convolution, as the paper has it."""
    return nn.Sequential(
        nn.BatchNorm2d(in_channels),
        nn.ReLU(),
        nn.Conv2d(in_channels, inside, 1, bias=False),
        nn.BatchNorm2d(inside),
        nn.ReLU(),
        nn.Conv2d(inside, growth, 3, padding=1, bias=False),
    )
