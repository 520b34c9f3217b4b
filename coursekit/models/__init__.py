"""The networks that the lessons build, one family a file.

Each function returns an `nn.Module` whose first weights depend on `seed` alone.

build_lenet
    The first convolutional network: conv-pool-ReLU twice, then two linear layers.
build_mlp, build_mlp_of_size
    Multilayer perceptrons, by the sizes of their layers or by their number of parameters.
"""

from coursekit.models.lenet import build_lenet
from coursekit.models.mlp import build_mlp, build_mlp_of_size

__all__ = ["build_lenet", "build_mlp", "build_mlp_of_size"]
