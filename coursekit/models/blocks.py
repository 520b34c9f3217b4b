"""Building blocks of lesson 02, and the residual nets made of them.

Blocks draw their first weights from torch's global generator, as any layer does. Parameters
have torchvision's names where it has the block, so that its weights can be loaded.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from coursekit.errors import SettingsError
from coursekit.seeds import seeded


class _Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """Return the maps of all branches, one behind the other."""
        return torch.cat([branch(x) for branch in self.children()], dim=1)


class NaiveInception(_Branches):
    """Convolutions of 1x1, 3x3 and 5x5 and a pooling, all on the same maps.

    The pooled branch gives back as many channels as came in, so a module can only grow.
    As in the paper there are biases and no batch normalization, which came a year later.

    References
    ----------
    .. [1] Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, fig. 2a.
       https://arxiv.org/abs/1409.4842

    Examples
    --------
    >>> NaiveInception(256, 128, 192, 96)(torch.zeros(1, 256, 28, 28)).shape
    torch.Size([1, 672, 28, 28])
    """

    def __init__(self, in_channels: int, n_1x1: int, n_3x3: int, n_5x5: int) -> None:
        super().__init__()
        self.branch_1x1 = _conv_relu(in_channels, n_1x1, kernel=1)
        self.branch_3x3 = _conv_relu(in_channels, n_3x3, kernel=3)
        self.branch_5x5 = _conv_relu(in_channels, n_5x5, kernel=5)
        self.branch_pool = nn.MaxPool2d(3, stride=1, padding=1)


class Inception(_Branches):
    """The module of GoogLeNet: 1x1 convolutions reduce the channels before the dear ones.

    Parameters
    ----------
    in_channels, n_1x1 : int
        Channels that come in, and filters of the 1x1 branch.
    n_3x3, n_5x5 : (int, int)
        Filters of the 1x1 reduction, and of the convolution after it.
    n_pool : int
        Filters of the 1x1 convolution after the pooling.

    Notes
    -----
    torchvision's GoogLeNet has 3x3 in its third branch, a known difference to the paper that
    is kept for its weights; here it is 5x5.

    References
    ----------
    .. [1] Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, fig. 2b, table 1.
       https://arxiv.org/abs/1409.4842

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
        self.branch_1x1 = _conv_relu(in_channels, n_1x1, kernel=1)
        self.branch_3x3 = nn.Sequential(
            _conv_relu(in_channels, n_3x3[0], kernel=1), _conv_relu(*n_3x3, kernel=3)
        )
        self.branch_5x5 = nn.Sequential(
            _conv_relu(in_channels, n_5x5[0], kernel=1), _conv_relu(*n_5x5, kernel=5)
        )
        self.branch_pool = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), _conv_relu(in_channels, n_pool, kernel=1)
        )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, and what came in added to what they give.

    Parameters
    ----------
    in_channels, out_channels : int
    stride : int, default=1
        Of the first convolution.
    skip : bool, default=True
        Whether what came in is added. Without, the block is plain.
    batch_norm : bool, default=True
        Without it, the convolutions have a bias.
    shortcut : {"project", "pad"}, default="project"
        What the skip does where the shape changes: a 1x1 convolution (option B of the paper,
        as torchvision has it), or every second pixel and channels of zeros, which needs no
        parameters (option A).

    References
    ----------
    .. [1] He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition",
       CVPR 2016, sec. 3.3, fig. 5 left. https://arxiv.org/abs/1512.03385

    Examples
    --------
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
        bias = not batch_norm
        norm = nn.BatchNorm2d if batch_norm else nn.Identity
        self.conv1 = nn.Conv2d(
            in_channels, out_channels, 3, stride=stride, padding=1, bias=bias
        )
        self.bn1 = norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=bias)
        self.bn2 = norm(out_channels)
        self.relu = nn.ReLU()
        self.downsample = None
        if skip and stride == 1 and in_channels == out_channels:
            self.downsample = nn.Identity()
        elif skip and shortcut == "pad":
            self.downsample = _PaddedShortcut(out_channels - in_channels, stride=stride)
        elif skip:
            conv = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=bias)
            self.downsample = nn.Sequential(conv, norm(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the size of `x`, divided by the stride and rounded up."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            out = out + self.downsample(x)
        return self.relu(out)


class Bottleneck(nn.Module):
    """A 1x1 convolution to `width` channels, a 3x3, a 1x1 to four times as many, the skip.

    The stride is at the 3x3 convolution, as in torchvision ("ResNet v1.5"); in the paper it is
    at the first 1x1 one, which then leaves out three pixels of four.

    References
    ----------
    .. [1] He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition",
       CVPR 2016, sec. 4.1, fig. 5 right. https://arxiv.org/abs/1512.03385

    Examples
    --------
    >>> Bottleneck(256, 64)(torch.zeros(1, 256, 56, 56)).shape
    torch.Size([1, 256, 56, 56])
    """

    def __init__(self, in_channels: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        out_channels = 4 * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.downsample = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.downsample = _conv_norm(in_channels, out_channels, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the size of `x`, divided by the stride and rounded up."""
        out = self.relu(self.bn1(self.conv1(x)))  # (B, width, H, W)
        out = self.relu(self.bn2(self.conv2(out)))  # (B, width, H / stride, W / stride)
        out = self.bn3(self.conv3(out))
        return self.relu(out + self.downsample(x))


class InvertedResidual(nn.Module):
    """The block of MobileNet v2: many channels inside, few outside, and a skip.

    A 1x1 convolution expands the channels `expand_ratio` times, a depthwise one mixes places,
    and a second 1x1 goes back to few channels. After that last one nothing is cut off: it is
    linear.

    References
    ----------
    .. [1] Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: Inverted Residuals and
       Linear Bottlenecks", CVPR 2018, sec. 3. https://arxiv.org/abs/1801.04381

    Examples
    --------
    >>> InvertedResidual(24, 24)(torch.zeros(2, 24, 56, 56)).shape
    torch.Size([2, 24, 56, 56])
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int = 1, expand_ratio: int = 6
    ) -> None:
        super().__init__()
        inside = in_channels * expand_ratio
        self.has_skip = stride == 1 and in_channels == out_channels
        self.expand = nn.Identity()
        if expand_ratio > 1:
            self.expand = _conv_norm(in_channels, inside, 1, nn.ReLU6())
        spread = {"stride": stride, "padding": 1, "groups": inside}
        self.depthwise = _conv_norm(inside, inside, 3, nn.ReLU6(), **spread)
        self.project = _conv_norm(inside, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the size of `x`, divided by the stride and rounded up."""
        out = self.project(self.depthwise(self.expand(x)))
        return out + x if self.has_skip else out


class SqueezeExcitation(nn.Module):
    """Multiply each channel by a gate between 0 and 1 that all channels decide together.

    Squeeze: the mean of each channel. Excite: two linear layers, with `reduction` times fewer
    units between them, and a sigmoid. The gates depend on the image, the weights do not.
    The linear layers are 1x1 convolutions on maps of one pixel, which is the same.

    References
    ----------
    .. [1] Hu, Shen, Albanie, Sun and Wu, "Squeeze-and-Excitation Networks", CVPR 2018,
       sec. 3, fig. 1. https://arxiv.org/abs/1709.01507

    Examples
    --------
    >>> block = SqueezeExcitation(64)
    >>> maps = torch.rand(2, 64, 7, 7)
    >>> block(maps).shape, block.gates(maps).shape
    (torch.Size([2, 64, 7, 7]), torch.Size([2, 64]))
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        n_units = max(1, channels // reduction)
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, n_units, 1)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(n_units, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps, each channel times its gate."""
        return x * self.gates(x)[:, :, None, None]

    def gates(self, x: Tensor) -> Tensor:
        """Return the gates of each image, of shape (B, channels)."""
        means = self.squeeze(x)  # (B, C, 1, 1)
        return self.gate(self.fc2(self.relu(self.fc1(means)))).flatten(1)


def build_residual(
    depth: int,
    *,
    n_classes: int,
    seed: int,
    skip: bool = True,
    batch_norm: bool = True,
    width: int = 16,
    init: str = "he",
) -> nn.Module:
    """Return a residual network for small images of any size, or the plain one of its depth.

    One convolution, three stages of basic blocks with `width`, twice and four times as many
    channels, the later two at half and a quarter of the size, then the mean of each map and
    a linear layer.

    Parameters
    ----------
    depth : int
        Layers with weights, 6n + 2 for n blocks in a stage: 8, 14, 20, ..., 56, ...
    n_classes, seed : int
    skip : bool, default=True
        Whether blocks add what came in. The shortcuts have no parameters, so the same seed
        gives plain and residual networks the same weights.
    batch_norm : bool, default=True
    width : int, default=16
        Channels of the first stage.
    init : {"he", "default"}, default="he"
        How the first weights of convolutions are drawn: with variance 2 / fan-in, which
        keeps signals through ReLU alive [2]_, or as PyTorch draws them, with a sixth of it.

    Raises
    ------
    SettingsError
        If the depth is not 6n + 2.

    References
    ----------
    .. [1] He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition",
       CVPR 2016, sec. 4.2. https://arxiv.org/abs/1512.03385
    .. [2] He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", ICCV 2015, sec. 2.2.
       https://arxiv.org/abs/1502.01852

    Examples
    --------
    >>> sum(p.numel() for p in build_residual(20, n_classes=10, seed=0).parameters())
    269722
    """
    if depth < 8 or (depth - 2) % 6:
        msg = (
            "The depth is 6n + 2 for n blocks in each of three stages: 8, 14, 20, ..., 56, "
            f"got {depth}."
        )
        raise SettingsError(msg)
    n_blocks, kind = (depth - 2) // 6, {"skip": skip, "batch_norm": batch_norm}
    with seeded(seed, "residual"):
        model = _ResidualNet(n_blocks, n_classes, width, **kind)
        for layer in model.modules() if init == "he" else ():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    return model


class _ResidualNet(nn.Module):
    """Named as widely shared weights for CIFAR-10 are: ``layer1.0.conv1`` ... ``linear``."""

    def __init__(self, n_blocks: int, n_classes: int, width: int, **kind: bool) -> None:
        super().__init__()
        batch_norm = kind["batch_norm"]

        def stage(n_in: int, n_out: int, stride: int) -> nn.Sequential:
            first = BasicBlock(n_in, n_out, stride=stride, shortcut="pad", **kind)
            others = [BasicBlock(n_out, n_out, **kind) for _ in range(n_blocks - 1)]
            return nn.Sequential(first, *others)

        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=not batch_norm)
        self.bn1 = nn.BatchNorm2d(width) if batch_norm else nn.Identity()
        self.relu = nn.ReLU()
        self.layer1 = stage(width, width, 1)
        self.layer2 = stage(width, 2 * width, 2)
        self.layer3 = stage(2 * width, 4 * width, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(4 * width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))  # (B, width, H, W)
        out = self.layer1(out)
        out = self.layer2(out)  # (B, 2 width, H / 2, W / 2)
        out = self.layer3(out)  # (B, 4 width, H / 4, W / 4)
        return self.linear(self.flatten(self.pool(out)))


class _PaddedShortcut(nn.Module):
    """The skip without parameters: every `stride`-th pixel, and channels of zeros around."""

    def __init__(self, extra_channels: int, *, stride: int) -> None:
        super().__init__()
        self.before = extra_channels // 2
        self.after = extra_channels - self.before
        self.pick = nn.AvgPool2d(1, stride=stride)  # windows of one pixel

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(self.pick(x), (0, 0, 0, 0, self.before, self.after))


def _conv_relu(in_channels: int, out_channels: int, *, kernel: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
    return nn.Sequential(conv, nn.ReLU())


def _conv_norm(
    n_in: int, n_out: int, kernel: int, *after: nn.Module, **how: int
) -> nn.Module:
    conv = nn.Conv2d(n_in, n_out, kernel, bias=False, **how)
    return nn.Sequential(conv, nn.BatchNorm2d(n_out), *after)
