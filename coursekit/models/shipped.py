"""The network that the course ships trained, with the methods of timm's models, known to timm.

Arguments and methods have timm's names, not the course's, because timm calls them:
``timm.create_model("coursekit_resnet8", pretrained=True)`` takes what timm's own models take.
What it was trained on is said by the card beside the weights, and made by `coursekit.recipes`.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from timm.layers import create_classifier
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from coursekit.assets import data_folder
from coursekit.models.networks import BasicBlock

WEIGHTS = "weights/coursekit_resnet8.shapes.safetensors"


class SmallResNet(nn.Module):
    """A residual net for small images: one convolution, then blocks that halve the map.

    Parameters
    ----------
    num_classes : int, default=18
        Logits; 0 leaves the head out, so that the net gives embeddings.
    in_chans : int, default=3
        Channels of the images.
    global_pool : str, default="avg"
        How maps are pooled before the head, in timm's words.
    stem_width : int, default=24
        Filters of the first convolution, 5 x 5 with stride 2.
    widths : sequence of int, default=(32, 64, 112)
        Channels of the blocks, each a `BasicBlock` with stride 2.

    Examples
    --------
    >>> import torch
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
        stem_width: int = 24,
        widths: Sequence[int] = (32, 64, 112),
    ) -> None:
        super().__init__()
        self.num_features = widths[-1]
        self.stem = _Stem(in_chans, stem_width)
        sizes = [stem_width, *widths]
        self.stages = nn.Sequential(
            *(BasicBlock(n_in, n_out, stride=2) for n_in, n_out in pairwise(sizes))
        )
        names = ["stem", *(f"stages.{number}" for number in range(len(widths)))]
        self.feature_info = [
            {"num_chs": n_channels, "reduction": 2 ** (number + 1), "module": name}
            for number, (n_channels, name) in enumerate(zip(sizes, names, strict=True))
        ]
        self.reset_classifier(num_classes, global_pool)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def get_classifier(self) -> nn.Module:
        """Return the head; ``nn.Identity`` where there are no classes."""
        return self.fc

    def reset_classifier(self, num_classes: int, global_pool: str = "avg") -> None:
        """Put a new head in place of the old one; 0 classes leave it out."""
        self.num_classes = num_classes
        self.global_pool, self.fc = create_classifier(
            self.num_features, num_classes, global_pool
        )

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:  # noqa: ARG002
        """Return patterns that tell timm which parameters belong to which depth."""
        return {"stem": r"^stem", "blocks": r"^stages\.(\d+)"}

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the maps before pooling, of a 16th of the size of `x`, rounded up."""
        return self.stages(self.stem(x))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return logits of maps from `forward_features`, or what feeds the head."""
        x = self.global_pool(x)
        return x if pre_logits else self.fc(x)

    def forward_intermediates(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the last maps, and those after every depth; the first is the stem."""
        maps = []
        for step in [self.stem, *self.stages]:
            x = step(x)
            maps.append(x)
        return x, maps

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of shape (B, num_classes), for normalized images of any size."""
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


default_cfgs = generate_default_cfgs(
    {
        "coursekit_resnet8.shapes": {
            "file": str(data_folder() / WEIGHTS),
            "num_classes": 18,
            "input_size": (3, 32, 32),
            "pool_size": (2, 2),
            "crop_pct": 1.0,
            "interpolation": "bilinear",
            "mean": (0.5, 0.5, 0.5),
            "std": (0.25, 0.25, 0.25),
            "first_conv": "stem.conv",
            "classifier": "fc",
            "license": "cc-by-4.0",
        },
    }
)


@register_model
def coursekit_resnet8(pretrained: bool = False, **kwargs: Any) -> SmallResNet:
    """Return the course's small residual net, as ``timm.create_model`` calls it.

    Eight layers deep: a convolution, three blocks of two, and the head. `kwargs` are those of
    `SmallResNet` and timm's ``features_only``, ``out_indices`` and ``pretrained_cfg_overlay``.

    Examples
    --------
    >>> import timm
    >>> timm.create_model("coursekit_resnet8", num_classes=10).get_classifier()
    Linear(in_features=112, out_features=10, bias=True)
    """
    return build_model_with_cfg(
        SmallResNet,
        "coursekit_resnet8",
        pretrained,
        # The file holds half precision; adapting its weights must round nothing.
        pretrained_filter_fn=lambda state, _: {k: v.float() for k, v in state.items()},
        feature_cfg={"out_indices": (0, 1, 2, 3), "flatten_sequential": True},
        **kwargs,
    )
