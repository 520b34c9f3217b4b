"""The networks and blocks that lessons build twice, the shipped ones, and classifiers' heads.

classics
    `build_mlp`, `build_mlp_of_size`, `build_lenet`, `build_zfnet`.
blocks
    `NaiveInception`, `Inception`, `BasicBlock`, `Bottleneck`, `InvertedResidual`,
    `SqueezeExcitation`, and `build_residual`: residual nets and their plain twins.
shipped
    `SmallResNet`, known to timm as `coursekit_resnet8` once this folder is imported.
heads
    `find_head`, `replace_head`, `put_head`, `build_untrained`.
states
    From a file of weights to a model, for the roles.
clip
    A CLIP that open_clip opens: `Clip`.
"""

from coursekit.models.blocks import (
    BasicBlock,
    Bottleneck,
    Inception,
    InvertedResidual,
    NaiveInception,
    SqueezeExcitation,
    build_residual,
)
from coursekit.models.classics import build_lenet, build_mlp, build_mlp_of_size, build_zfnet
from coursekit.models.clip import Clip
from coursekit.models.heads import build_untrained, find_head, put_head, replace_head
from coursekit.models.shipped import SmallResNet

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "Clip",
    "Inception",
    "InvertedResidual",
    "NaiveInception",
    "SmallResNet",
    "SqueezeExcitation",
    "build_lenet",
    "build_mlp",
    "build_mlp_of_size",
    "build_residual",
    "build_untrained",
    "build_zfnet",
    "find_head",
    "put_head",
    "replace_head",
]
