"""The networks and blocks that the lessons build, one family a file.

Each `build_` function returns an `nn.Module` whose first weights depend on `seed` alone. Blocks
are layers to build with, and draw theirs from torch's global generator as any layer does.

build_lenet
    The first convolutional network: conv-pool-ReLU twice, then two linear layers.
build_mlp, build_mlp_of_size
    Multilayer perceptrons, by the sizes of their layers or by their number of parameters.
build_residual, ResidualNet
    Residual networks for small images of depth 6n + 2, and their plain twins.
build_zfnet
    AlexNet's relative with smaller kernels in its first layer.

find_head, replace_head, put_head
    The layer of a classifier that makes the logits: its name, and a copy of the model with a
    new one or with one that was fitted elsewhere.
layer_groups, LayerGroup
    A model's layers and blocks from its input to its head.
build_untrained
    A copy of a model with weights as if it had never been trained.

SmallResNet, coursekit_resnet8
    The network that the course ships trained; importing this folder tells timm of it.

read_state, find_architecture, build_from_state
    From a file of weights to the model that they fit.
build_from_timm_files
    The same for timm's models: a file named after one, or a folder as timm shares it.

Clip, ClipSource, find_clip, open_clip_source
    A CLIP that open_clip opens: model, preprocess and tokenizer, and where they are found.
CheckedPreprocess, CheckedTokenizer, TextWarning
    Its preprocess and tokenizer, which say what they cannot take.
model_configuration
    Which images a model of open_clip wants, in timm's words.

BasicBlock, Bottleneck, PaddedShortcut
    Blocks of ResNet and ResNeXt, and the skip without parameters.
DenseBlock
    Block of DenseNet.
DepthwiseSeparable, InvertedResidual
    Blocks of MobileNet v1, and of v2 and v3.
Inception, NaiveInception
    Modules of GoogLeNet, with 1x1 reductions and without.
SqueezeExcitation
    Gates for channels.
"""

from coursekit.models.clip import (
    CheckedPreprocess,
    Clip,
    ClipSource,
    find_clip,
    model_configuration,
    open_clip_source,
)
from coursekit.models.clip_texts import CheckedTokenizer, TextWarning
from coursekit.models.dense import DenseBlock
from coursekit.models.depth import LayerGroup, layer_groups
from coursekit.models.heads import find_head
from coursekit.models.inception import Inception, NaiveInception
from coursekit.models.lenet import build_lenet
from coursekit.models.mlp import build_mlp, build_mlp_of_size
from coursekit.models.replacing import put_head, replace_head
from coursekit.models.residual import BasicBlock, Bottleneck, PaddedShortcut
from coursekit.models.residual_nets import ResidualNet, build_residual
from coursekit.models.separable import DepthwiseSeparable, InvertedResidual
from coursekit.models.shipped_nets import coursekit_resnet8
from coursekit.models.small_resnet import SmallResNet
from coursekit.models.squeeze import SqueezeExcitation
from coursekit.models.state_files import build_from_state, find_architecture, read_state
from coursekit.models.timm_files import build_from_timm_files
from coursekit.models.untrained import build_untrained
from coursekit.models.zfnet import build_zfnet

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "CheckedPreprocess",
    "CheckedTokenizer",
    "Clip",
    "ClipSource",
    "DenseBlock",
    "DepthwiseSeparable",
    "Inception",
    "InvertedResidual",
    "LayerGroup",
    "NaiveInception",
    "PaddedShortcut",
    "ResidualNet",
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
    "find_architecture",
    "find_clip",
    "find_head",
    "layer_groups",
    "model_configuration",
    "open_clip_source",
    "put_head",
    "read_state",
    "replace_head",
]
