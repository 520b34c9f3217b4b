"""The networks and blocks that lessons build twice, the shipped ones, and classifiers' heads.

networks
    `build_mlp`, `build_mlp_of_size`, `build_lenet`, `BasicBlock`, and `build_residual`:
    residual nets and their plain twins.
shipped
    `SmallResNet`, known to timm as `coursekit_resnet8` once this folder is imported.
heads
    `find_head`, `replace_head`, `put_head`, `build_untrained`.
states
    From a file of weights to a model, for the roles.
clip
    A CLIP that open_clip opens: `Clip`.
"""

from coursekit.models.clip import Clip
from coursekit.models.heads import build_untrained, find_head, put_head, replace_head
from coursekit.models.networks import (
    BasicBlock,
    build_lenet,
    build_mlp,
    build_mlp_of_size,
    build_residual,
)
from coursekit.models.shipped import SmallResNet

__all__ = [
    "BasicBlock",
    "Clip",
    "SmallResNet",
    "build_lenet",
    "build_mlp",
    "build_mlp_of_size",
    "build_residual",
    "build_untrained",
    "find_head",
    "put_head",
    "replace_head",
]
