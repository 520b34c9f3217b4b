"""The residual networks for small images, and their plain twins, of any depth 6n + 2.

Nothing here knows about data or training.
"""

from torch import Tensor, nn

from coursekit.errors import SettingsError
from coursekit.models.checks import check_counts
from coursekit.models.residual import BasicBlock
from coursekit.seeds import seeded

__all__ = ["ResidualNet", "build_residual"]

_INITS = ("he", "default")


def build_residual(
    depth: int,
    *,
    n_classes: int,
    seed: int,
    skip: bool = True,
    batch_norm: bool = True,
    width: int = 16,
    in_channels: int = 3,
    init: str = "he",
) -> "ResidualNet":
    """Return a residual network for small images, or the plain network of its depth.

    One convolution, three stages of basic blocks with `width`, twice and four times as many
    channels, the later two at half and a quarter of the size, then the mean of each map and
    a linear layer. Depth counts the convolutions and the linear layer, so it is 6n + 2 for
    n blocks in a stage: 20, 32, 44, 56, 110.

    Parameters
    ----------
    depth : int
        Layers with weights: 8, 14, 20, ..., 56, ...
    n_classes : int
        Outputs.
    seed : int
        Draws the first weights.
    skip : bool, default=True
        Whether blocks add what came in. Without, the network is plain.
    batch_norm : bool, default=True
        Whether a batch normalization follows each convolution.
    width : int, default=16
        Channels of the first stage.
    in_channels : int, default=3
        Channels of the images.
    init : {"he", "default"}, default="he"
        How the first weights of convolutions are drawn: with variance 2 / fan-in, which
        keeps signals through ReLU alive [2]_, or as PyTorch draws them, with a sixth of it.

    Returns
    -------
    ResidualNet
        From images of shape (n_images, in_channels, height, width), of any size, to logits
        (n_images, n_classes).

    Raises
    ------
    SettingsError
        If the depth is not 6n + 2, a number is below 1, or there is no such init.

    Notes
    -----
    Plain and residual networks of one depth have the same parameters, because the shortcuts
    are padded with zeros (option A). The same seed gives both the same weights, so what
    differs in training is the skip alone.

    References
    ----------
    .. [1] He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition",
       CVPR 2016, sec. 4.2. https://arxiv.org/abs/1512.03385
    .. [2] He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", ICCV 2015, sec. 2.2.
       https://arxiv.org/abs/1502.01852

    Examples
    --------
    >>> model = build_residual(20, n_classes=10, seed=0)
    >>> sum(p.numel() for p in model.parameters())
    269722
    """
    check_counts("A residual net", depth=depth)
    if depth < 8 or (depth - 2) % 6:
        msg = (
            "The depth is 6n + 2 for n blocks in each of three stages: 8, 14, 20, ..., 56, "
            f"got {depth}."
        )
        raise SettingsError(msg)
    if init not in _INITS:
        msg = f"init is one of {', '.join(map(repr, _INITS))}, got {init!r}."
        raise SettingsError(msg)
    with seeded(seed, "residual"):
        model = ResidualNet(
            (depth - 2) // 6,
            n_classes=n_classes,
            skip=skip,
            batch_norm=batch_norm,
            width=width,
            in_channels=in_channels,
        )
        if init == "he":
            _draw_as_he(model)
    return model


class ResidualNet(nn.Module):
    """What `build_residual` gives: one convolution, three stages of blocks, one linear layer.

    Parameters
    ----------
    n_blocks : int
        Blocks in each stage.
    n_classes, skip, batch_norm, width, in_channels
        As for `build_residual`.

    Raises
    ------
    SettingsError
        If a number is below 1.

    Notes
    -----
    The names of the parameters (``conv1``, ``bn1``, ``layer1.0.conv1`` ... ``linear``) are
    those of widely shared weights for CIFAR-10, which can be loaded.
    """

    def __init__(
        self,
        n_blocks: int,
        *,
        n_classes: int,
        skip: bool = True,
        batch_norm: bool = True,
        width: int = 16,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        check_counts(
            "ResidualNet",
            n_blocks=n_blocks,
            n_classes=n_classes,
            width=width,
            in_channels=in_channels,
        )

        def stage(n_inputs: int, n_outputs: int, stride: int) -> nn.Sequential:
            """Return the blocks of a stage; the first one changes the shape."""
            firsts = [(n_inputs, stride)] + [(n_outputs, 1)] * (n_blocks - 1)
            blocks = (
                BasicBlock(
                    channels,
                    n_outputs,
                    stride=step,
                    skip=skip,
                    batch_norm=batch_norm,
                    shortcut="pad",
                )
                for channels, step in firsts
            )
            return nn.Sequential(*blocks)

        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=not batch_norm)
        self.bn1 = nn.BatchNorm2d(width) if batch_norm else nn.Identity()
        self.relu = nn.ReLU()
        self.layer1 = stage(width, width, 1)
        self.layer2 = stage(width, 2 * width, 2)
        self.layer3 = stage(2 * width, 4 * width, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(4 * width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        x : Tensor of shape (B, in_channels, H, W)
            Images.

        Returns
        -------
        Tensor of shape (B, n_classes)
        """
        out = self.relu(self.bn1(self.conv1(x)))  # (B, width, H, W)
        out = self.layer1(out)
        out = self.layer2(out)  # (B, 2 width, H / 2, W / 2)
        out = self.layer3(out)  # (B, 4 width, H / 4, W / 4)
        return self.linear(self.flatten(self.pool(out)))


def _draw_as_he(model: nn.Module) -> None:
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
