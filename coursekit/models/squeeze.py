"""Squeeze-and-excitation: each image turns its channels up and down.

Nothing here knows about data or training.
"""

from torch import Tensor, nn

from coursekit.errors import SettingsError
from coursekit.models.checks import check_counts

__all__ = ["SqueezeExcitation"]

_GATES = {"sigmoid": nn.Sigmoid, "hard-sigmoid": nn.Hardsigmoid}


class SqueezeExcitation(nn.Module):
    """Multiply each channel by a gate between 0 and 1 that all channels decide together.

    Squeeze: the mean of each channel. Excite: two linear layers, with few units between
    them, and a sigmoid. The gates depend on the image, the weights do not.

    Parameters
    ----------
    channels : int
        Channels that come in and go out.
    reduction : int, default=16
        How many times fewer units there are between the linear layers; at least one stays.
    gate : {"sigmoid", "hard-sigmoid"}, default="sigmoid"
        What brings the gates between 0 and 1. Hard gates, from MobileNet v3, may be exactly
        0 or 1.

    Raises
    ------
    SettingsError
        If a number is below 1 or there is no such gate.

    Notes
    -----
    The linear layers are 1x1 convolutions on maps of one pixel, which is the same and keeps
    the shapes; their names are torchvision's. First weights are drawn from torch's global
    generator, as those of any layer.

    References
    ----------
    .. [1] Hu, Shen, Albanie, Sun and Wu, "Squeeze-and-Excitation Networks", CVPR 2018,
       sec. 3, fig. 1. https://arxiv.org/abs/1709.01507

    Examples
    --------
    >>> import torch
    >>> block = SqueezeExcitation(64)
    >>> maps = torch.rand(2, 64, 7, 7)
    >>> block(maps).shape, block.gates(maps).shape
    (torch.Size([2, 64, 7, 7]), torch.Size([2, 64]))
    """

    def __init__(
        self, channels: int, reduction: int = 16, *, gate: str = "sigmoid"
    ) -> None:
        super().__init__()
        check_counts("SqueezeExcitation", channels=channels, reduction=reduction)
        if gate not in _GATES:
            msg = f"gate is one of {', '.join(map(repr, _GATES))}, got {gate!r}."
            raise SettingsError(msg)
        n_units = max(1, channels // reduction)
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, n_units, 1)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(n_units, channels, 1)
        self.gate = _GATES[gate]()

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps, each channel times its gate.

        Parameters
        ----------
        x : Tensor of shape (B, channels, H, W)
            The maps.

        Returns
        -------
        Tensor of shape (B, channels, H, W)
        """
        return x * self._excite(x)

    def gates(self, x: Tensor) -> Tensor:
        """Return the gates of each image, between 0 and 1.

        Parameters
        ----------
        x : Tensor of shape (B, channels, H, W)
            The maps that decide.

        Returns
        -------
        Tensor of shape (B, channels)
        """
        return self._excite(x).flatten(1)

    def _excite(self, x: Tensor) -> Tensor:
        means = self.squeeze(x)  # (B, C, 1, 1)
        return self.gate(self.fc2(self.relu(self.fc1(means))))
