"""The networks and blocks that lessons build twice, the shipped ones, and classifiers' heads.

classics
    `build_mlp`, `build_mlp_of_size`, `build_lenet`, `build_zfnet`.
blocks
    `NaiveInception`, `Inception`, `BasicBlock`, `Bottleneck`, `InvertedResidual`,
    `SqueezeExcitation`, and `build_residual`: residual nets and their plain twins.
shipped
    `SmallResNet`, known to timm as `coursekit_resnet8` once this folder is imported.
heads
    `find_head`, `replace_head`, `put_head`, `build_untrained`;
    `layer_groups`.
states
    From a file of weights to a model: `read_state`, `build_from_state`,
    `build_from_timm_files`.
clip
    A CLIP that open_clip opens: `Clip`, `open_clip_files`, `model_configuration`,
    `CheckedTokenizer`, `TextWarning`.
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
from coursekit.models.clip import (
    CheckedTokenizer,
    Clip,
    TextWarning,
    model_configuration,
    open_clip_files,
)
from coursekit.models.heads import (
    build_untrained,
    find_head,
    layer_groups,
    put_head,
    replace_head,
)
from coursekit.models.shipped import SmallResNet, coursekit_resnet8
from coursekit.models.states import build_from_state, build_from_timm_files, read_state

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "CheckedTokenizer",
    "Clip",
    "Inception",
    "InvertedResidual",
    "NaiveInception",
    "SmallResNet",
    "SqueezeExcitation",
    "TextWarning",
    "build_from_state",
    "build_from_timm_files",
    "build_lenet",
    "build_mlp",
    "build_mlp_of_size",
    "build_residual",
    "build_untrained",
    "build_zfnet",
    "coursekit_resnet8",
    "find_head",
    "layer_groups",
    "model_configuration",
    "open_clip_files",
    "put_head",
    "read_state",
    "replace_head",
]
