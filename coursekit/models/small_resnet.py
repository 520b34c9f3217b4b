"""A residual net for images of 32 x 32, with the methods that timm's models have.

Nothing here knows of weights or of any data.
"""

from collections.abc import Sequence

import torch
from timm.layers import create_classifier
from timm.models import checkpoint_seq
from torch import Tensor, nn
from torch.nn import functional as F

from coursekit.errors import SettingsError
from coursekit.models.checks import check_counts, choose_depths
from coursekit.models.residual import BasicBlock

__all__ = ["SmallResNet"]


class SmallResNet(nn.Module):
    """A residual net for small images: one convolution, then blocks that halve the map.

    Parameters
    ----------
    num_classes : int, default=18
        Logits; 0 leaves the head out, so that the net gives embeddings.
    in_chans : int, default=3
        Channels of the images.
    global_pool : str, default="avg"
        ``"avg"``, ``"max"`` or another of timm's; ``""`` leaves the maps as they are.
    drop_rate : float, default=0.0
        Dropout before the head.
    stem_width : int, default=24
        Filters of the first convolution, 5 x 5 with stride 2.
    widths : sequence of int, default=(32, 64, 112)
        Channels of the blocks, each with stride 2.

    Raises
    ------
    SettingsError
        If a width is below 1.

    Notes
    -----
    Arguments and methods have timm's names, not the course's, because timm calls them:
    ``timm.create_model("coursekit_resnet8", pretrained=True)`` takes all that timm's own models
    take. The block is `BasicBlock`, with a projecting shortcut.

    References
    ----------
    .. [1] He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition",
       CVPR 2016, sec. 3.3. https://arxiv.org/abs/1512.03385

    Examples
    --------
    >>> SmallResNet()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 18])
    >>> SmallResNet(num_classes=0)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 112])
    """

    def __init__(
        self,
        num_classes: int = 18,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        stem_width: int = 24,
        widths: Sequence[int] = (32, 64, 112),
    ) -> None:
        super().__init__()
        names = [f"widths[{number}]" for number in range(len(widths))]
        check_counts(
            "SmallResNet",
            in_chans=in_chans,
            stem_width=stem_width,
            **dict(zip(names, widths, strict=True)),
        )
        self.num_classes, self.in_chans = num_classes, in_chans
        self.drop_rate, self.num_features = drop_rate, widths[-1]
        self.grad_checkpointing = False
        self.stem = _Stem(in_chans, stem_width)
        ins = (stem_width, *widths)
        self.stages = nn.Sequential(
            *(BasicBlock(before, after, stride=2) for before, after in zip(ins, widths))  # noqa: B905
        )
        names = ["stem", *(f"stages.{number}" for number in range(len(widths)))]
        self.feature_info = [
            {"num_chs": n_channels, "reduction": 2 ** (number + 1), "module": name}
            for number, (n_channels, name) in enumerate(zip(ins, names, strict=True))
        ]
        self.reset_classifier(num_classes, global_pool)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def get_classifier(self, name_only: bool = False) -> nn.Module | str:
        """Return the head.

        Parameters
        ----------
        name_only : bool, default=False
            Whether to return its name instead.

        Returns
        -------
        Module or str
            ``nn.Identity`` where there are no classes.
        """
        return "fc" if name_only else self.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a new head in place of the old one.

        Parameters
        ----------
        num_classes : int
            Logits; 0 leaves the head out.
        global_pool : str, optional
            As for the class; kept where nothing is said.

        Raises
        ------
        SettingsError
            If `num_classes` is negative.
        """
        if num_classes < 0:
            msg = f"num_classes is 0 (no head) or more, got {num_classes}."
            raise SettingsError(msg)
        self.num_classes = num_classes
        pool = self.global_pool.pool_type if global_pool is None else global_pool
        self.global_pool, self.fc = create_classifier(
            self.num_features, num_classes, pool_type=pool
        )
        self.head_hidden_size = self.num_features * self.global_pool.feat_mult()
        self.global_pool.train(self.training)
        self.fc.train(self.training).to(self.stem.conv.weight)

    def prune_intermediate_layers(
        self,
        indices: int | Sequence[int] = 1,
        prune_norm: bool = False,  # noqa: ARG002
        prune_head: bool = True,
    ) -> list[int]:
        """Take off what comes after the last chosen depth, as timm's models do.

        Parameters
        ----------
        indices : int or sequence of int, default=1
            The last so many depths, or these.
        prune_norm : bool, default=False
            Not used: every block ends normalized.
        prune_head : bool, default=True
            Whether the head goes, too; it must where a block does.

        Returns
        -------
        list of int
            The depths that `indices` names.
        """
        taken = choose_depths(len(self.feature_info), indices)
        last = max(taken)
        if prune_head or last < len(self.stages):
            self.stages = self.stages[:last]
            self.num_features = self.feature_info[last]["num_chs"]
            self.reset_classifier(0, "")
        return taken

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Say whether training computes the blocks twice instead of keeping their maps.

        Parameters
        ----------
        enable : bool, default=True
        """
        self.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:  # noqa: ARG002
        """Return patterns that tell timm which parameters belong to which depth.

        Parameters
        ----------
        coarse : bool, default=False
            Not used: a stage is one block.

        Returns
        -------
        dict of str to str
        """
        return {"stem": r"^stem", "blocks": r"^stages\.(\d+)"}

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the maps before pooling.

        Parameters
        ----------
        x : Tensor of shape (B, in_chans, H, W)

        Returns
        -------
        Tensor of shape (B, num_features, H / 16, W / 16), rounded up
        """
        x = self.stem(x)
        if self.grad_checkpointing and not torch.jit.is_scripting():
            return checkpoint_seq(self.stages, x)
        return self.stages(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return logits, or what feeds the head.

        Parameters
        ----------
        x : Tensor of shape (B, num_features, h, w)
            From `forward_features`.
        pre_logits : bool, default=False
            Whether to stop before the head.

        Returns
        -------
        Tensor of shape (B, num_classes) or (B, num_features)
        """
        x = F.dropout(self.global_pool(x), p=self.drop_rate, training=self.training)
        return x if pre_logits else self.fc(x)

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,  # noqa: ARG002
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Return the maps after chosen depths, as timm's models do.

        Parameters
        ----------
        x : Tensor of shape (B, in_chans, H, W)
        indices : int or sequence of int, optional
            The last so many depths, or these; all where nothing is said. Depth 0 is the stem.
        norm : bool, default=False
            Not used: the maps are normalized already.
        stop_early : bool, default=False
            Whether to leave out the blocks after the last chosen depth.
        output_fmt : {"NCHW"}, default="NCHW"
        intermediates_only : bool, default=False
            Whether the last maps are left out of the result.

        Returns
        -------
        list of Tensor of shape (B, n_channels, h, w), or (Tensor, that list)

        Raises
        ------
        SettingsError
            If `output_fmt` is another one, or there are no such depths.
        """
        if output_fmt != "NCHW":
            msg = f'output_fmt is "NCHW" for a convolutional net, got {output_fmt!r}.'
            raise SettingsError(msg)
        steps = [self.stem, *self.stages]
        taken = choose_depths(len(self.feature_info), indices)
        maps = []
        for depth, step in enumerate(steps[: max(taken) + 1] if stop_early else steps):
            x = step(x)
            if depth in taken:
                maps.append(x)
        return maps if intermediates_only else (x, maps)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        x : Tensor of shape (B, in_chans, H, W)
            Normalized; 32 x 32 is what it was trained on, any size works.

        Returns
        -------
        Tensor of shape (B, num_classes)
        """
        return self.forward_head(self.forward_features(x))


class _Stem(nn.Module):
    """A 5 x 5 convolution with stride 2, normalized."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 5, stride=2, padding=2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))
