"""Residual blocks, re-built small: maps plus what two or three convolutions add to them.

Nothing here knows about whole networks, data or training.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from coursekit.errors import SettingsError
from coursekit.models.checks import check_counts

__all__ = ["BasicBlock", "Bottleneck", "PaddedShortcut"]

_SHORTCUTS = ("project", "pad")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, and what came in added to what they give.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels that come in and go out.
    stride : int, default=1
        Of the first convolution.
    skip : bool, default=True
        Whether what came in is added. Without, the block is plain: two convolutions.
    batch_norm : bool, default=True
        Whether a batch normalization follows each convolution. Without it, the
        convolutions have a bias.
    shortcut : {"project", "pad"}, default="project"
        What the skip does where the shape changes: a 1x1 convolution with stride (option B
        of [1]_, as torchvision has it), or every second pixel and channels of zeros, which
        needs no parameters (option A).

    Raises
    ------
    SettingsError
        If a number is below 1 or there is no such shortcut.

    Notes
    -----
    With the projecting shortcut the names of the parameters are torchvision's, so the
    weights of one of its blocks can be loaded. First weights are drawn from torch's global
    generator, as those of any layer.

    References
    ----------
    .. [1] He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition",
       CVPR 2016, sec. 3.2-3.3, fig. 5 left. https://arxiv.org/abs/1512.03385

    Examples
    --------
    >>> import torch
    >>> BasicBlock(64, 128, stride=2)(torch.zeros(1, 64, 56, 56)).shape
    torch.Size([1, 128, 28, 28])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        skip: bool = True,
        batch_norm: bool = True,
        shortcut: str = "project",
    ) -> None:
        super().__init__()
        check_counts(
            "BasicBlock", in_channels=in_channels, out_channels=out_channels, stride=stride
        )
        bias = not batch_norm
        norm = nn.BatchNorm2d if batch_norm else nn.Identity
        self.conv1 = nn.Conv2d(
            in_channels, out_channels, 3, stride=stride, padding=1, bias=bias
        )
        self.bn1 = norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=bias)
        self.bn2 = norm(out_channels)
        self.relu = nn.ReLU()
        kind = _check_shortcut(shortcut)
        self.downsample = (
            _shortcut(in_channels, out_channels, stride, kind=kind, batch_norm=batch_norm)
            if skip
            else None
        )

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
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            out = out + self.downsample(x)
        return self.relu(out)


class Bottleneck(nn.Module):
    """A 1x1 convolution to few channels, a 3x3, a 1x1 back to many, and the skip.

    Parameters
    ----------
    in_channels : int
        Channels that come in.
    width : int
        Channels inside.
    out_channels : int, optional
        Channels that go out; ``4 * width`` where nothing is said.
    stride : int, default=1
        Of the 3x3 convolution.
    groups : int, default=1
        Of the 3x3 convolution. With more than one it is a block of ResNeXt [2]_.

    Raises
    ------
    SettingsError
        If a number is below 1, or `groups` does not divide `width`.

    Notes
    -----
    The stride is at the 3x3 convolution, as in torchvision ("ResNet v1.5"); in [1]_ it is
    at the first 1x1 one, which then leaves out three pixels of four. The names of the
    parameters are torchvision's.

    References
    ----------
    .. [1] He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition",
       CVPR 2016, sec. 4.1, fig. 5 right. https://arxiv.org/abs/1512.03385
    .. [2] Xie, Girshick, Dollár, Tu and He, "Aggregated Residual Transformations for Deep
       Neural Networks", CVPR 2017, fig. 3c. https://arxiv.org/abs/1611.05431

    Examples
    --------
    >>> import torch
    >>> Bottleneck(256, 64)(torch.zeros(1, 256, 56, 56)).shape
    torch.Size([1, 256, 56, 56])
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        out_channels: int | None = None,
        *,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        out_channels = 4 * width if out_channels is None else out_channels
        check_counts(
            "Bottleneck",
            in_channels=in_channels,
            width=width,
            out_channels=out_channels,
            stride=stride,
            groups=groups,
        )
        if width % groups:
            msg = f"groups must divide the channels inside, got groups={groups}, width={width}."
            raise SettingsError(msg)
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(
            width, width, 3, stride=stride, padding=1, groups=groups, bias=False
        )
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(
            in_channels, out_channels, stride, kind="project", batch_norm=True
        )

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
        out = self.relu(self.bn1(self.conv1(x)))  # (B, width, H, W)
        out = self.relu(self.bn2(self.conv2(out)))  # (B, width, H / stride, W / stride)
        out = self.bn3(self.conv3(out))
        return self.relu(out + self.downsample(x))


class PaddedShortcut(nn.Module):
    """The skip without parameters: every `stride`-th pixel, and channels of zeros around.

    Parameters
    ----------
    extra_channels : int
        Channels of zeros to add, half of them before the others.
    stride : int
        Step between the pixels that stay.

    References
    ----------
    .. [1] He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition",
       CVPR 2016, sec. 3.3, option A. https://arxiv.org/abs/1512.03385

    Examples
    --------
    >>> import torch
    >>> PaddedShortcut(16, stride=2)(torch.zeros(1, 16, 32, 32)).shape
    torch.Size([1, 32, 16, 16])
    """

    def __init__(self, extra_channels: int, *, stride: int) -> None:
        super().__init__()
        self.before = extra_channels // 2
        self.after = extra_channels - self.before
        self.pick = nn.AvgPool2d(1, stride=stride)  # windows of one pixel

    def forward(self, x: Tensor) -> Tensor:
        """Return fewer pixels in more channels.

        Parameters
        ----------
        x : Tensor of shape (B, C, H, W)
            The maps that are skipped with.

        Returns
        -------
        Tensor of shape (B, C + extra_channels, H / stride, W / stride), rounded up
        """
        return F.pad(self.pick(x), (0, 0, 0, 0, self.before, self.after))


def _shortcut(
    in_channels: int, out_channels: int, stride: int, *, kind: str, batch_norm: bool
) -> nn.Module:
    """Return what the skip does to the maps: nothing where the shape stays."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    if kind == "pad" and out_channels >= in_channels:
        return PaddedShortcut(out_channels - in_channels, stride=stride)
    if kind == "pad":
        msg = (
            "A padded shortcut can only add channels, got "
            f"in_channels={in_channels}, out_channels={out_channels}. "
            'Use shortcut="project".'
        )
        raise SettingsError(msg)
    conv = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=not batch_norm)
    return nn.Sequential(
        conv, nn.BatchNorm2d(out_channels) if batch_norm else nn.Identity()
    )


def _check_shortcut(kind: str) -> str:
    if kind not in _SHORTCUTS:
        msg = f"shortcut is one of {', '.join(map(repr, _SHORTCUTS))}, got {kind!r}."
        raise SettingsError(msg)
    return kind
