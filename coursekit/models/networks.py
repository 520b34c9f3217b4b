"""The networks that lessons 01 and 02 build: perceptron, LeNet, residual nets and plain ones.

First weights depend on `seed` alone; those of a single block come from torch's global
generator, as any layer's do.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from coursekit.errors import SettingsError
from coursekit.seeds import seeded


def build_mlp(
    input_shape: Sequence[int], hidden_sizes: Sequence[int], n_classes: int, *, seed: int
) -> nn.Sequential:
    """Return a multilayer perceptron: flatten, then linear layers with ReLU between them.

    Without `hidden_sizes` it is a linear classifier.

    Examples
    --------
    >>> [tuple(p.shape) for p in build_mlp((3, 32, 32), [100], 10, seed=0).parameters()]
    [(100, 3072), (100,), (10, 100), (10,)]
    """
    layers: list[nn.Module] = [nn.Flatten()]
    with seeded(seed, "mlp"):
        for sizes in pairwise([prod(input_shape), *hidden_sizes, n_classes]):
            layers += [nn.Linear(*sizes), nn.ReLU()]
    return nn.Sequential(*layers[:-1])  # logits have no ReLU


def build_mlp_of_size(
    n_parameters: int, input_shape: Sequence[int], n_classes: int, *, seed: int
) -> nn.Sequential:
    """Return the perceptron with one hidden layer whose parameter count is nearest.

    For a fair comparison: a network that is better with as many parameters is better
    because of how they are connected.

    Examples
    --------
    >>> model = build_mlp_of_size(50_000, (1, 28, 28), 10, seed=0)
    >>> sum(p.numel() for p in model.parameters())
    50095
    """
    per_unit = prod(input_shape) + 1 + n_classes
    n_hidden = max(1, round((n_parameters - n_classes) / per_unit))
    return build_mlp(input_shape, [n_hidden], n_classes, seed=seed)


def build_lenet(
    input_shape: tuple[int, int, int], n_classes: int, *, seed: int
) -> nn.Sequential:
    """Return a small convolutional network: conv-pool-ReLU twice, then two linear layers.

    `input_shape` is (channels, height, width), 12 pixels high and wide or more.

    Notes
    -----
    LeNet-5 [1]_, sec. II.B, has the same two stages of 6 and 16 filters of 5 x 5. It
    differs in what was usual then: tanh units, pooling with trained weights, a second
    convolution that is not connected to every map, one linear layer more.

    References
    ----------
    .. [1] LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document
       Recognition", Proceedings of the IEEE 86(11), 1998. https://doi.org/10.1109/5.726791

    Examples
    --------
    >>> sum(p.numel() for p in build_lenet((1, 28, 28), 10, seed=0).parameters())
    37106
    """
    if len(input_shape) != 3 or min(input_shape[1:]) < 12:
        msg = (
            "LeNet reads images of shape (channels, height, width), 12 x 12 or larger, got "
            f"{tuple(input_shape)}."
        )
        raise SettingsError(msg)
    channels, height, width = input_shape
    rows, columns = (height // 2 - 4) // 2, (width // 2 - 4) // 2  # after both stages
    with seeded(seed, "lenet"):
        layers = OrderedDict(
            conv1=nn.Conv2d(channels, 6, 5, padding=2),
            pool1=nn.MaxPool2d(2),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(6, 16, 5),
            pool2=nn.MaxPool2d(2),
            relu2=nn.ReLU(),
            flatten=nn.Flatten(),
            hidden=nn.Linear(16 * rows * columns, 84),
            relu3=nn.ReLU(),
            output=nn.Linear(84, n_classes),
        )
    return nn.Sequential(layers)


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
        how = {"padding": 1, "bias": not batch_norm}
        norm = nn.BatchNorm2d if batch_norm else nn.Identity
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, **how)
        self.bn1 = norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, **how)
        self.bn2 = norm(out_channels)
        self.relu = nn.ReLU()
        self.downsample = None
        if skip and stride == 1 and in_channels == out_channels:
            self.downsample = nn.Identity()
        elif skip and shortcut == "pad":
            before, one_more = divmod(out_channels - in_channels, 2)
            pick = nn.AvgPool2d(1, stride=stride)  # windows of one pixel
            zeros = nn.ZeroPad3d((0, 0, 0, 0, before, before + one_more))
            self.downsample = nn.Sequential(pick, zeros)
        elif skip:
            conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=not batch_norm)
            self.downsample = nn.Sequential(conv, norm(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the size of `x`, divided by the stride and rounded up."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            out = out + self.downsample(x)
        return self.relu(out)


def build_residual(
    depth: int,
    *,
    n_classes: int,
    seed: int,
    skip: bool = True,
    batch_norm: bool = True,
    width: int = 16,
    init: str = "he",
) -> nn.Sequential:
    """Return a residual network for small images of any size, or the plain one of its depth.

    One convolution, three stages of basic blocks with `width`, twice and four times as many
    channels, the later two at half and a quarter of the size, then the mean of each map and
    a linear layer. Parts are named as in widely shared weights for CIFAR-10.

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

    def stage(n_in: int, n_out: int, stride: int) -> nn.Sequential:
        kind = {"skip": skip, "batch_norm": batch_norm, "shortcut": "pad"}
        first = BasicBlock(n_in, n_out, stride=stride, **kind)
        n_others = (depth - 2) // 6 - 1
        return nn.Sequential(
            first, *(BasicBlock(n_out, n_out, **kind) for _ in range(n_others))
        )

    with seeded(seed, "residual"):
        layers = OrderedDict(
            conv1=nn.Conv2d(3, width, 3, padding=1, bias=not batch_norm),
            bn1=nn.BatchNorm2d(width) if batch_norm else nn.Identity(),
            relu=nn.ReLU(),
            layer1=stage(width, width, 1),
            layer2=stage(width, 2 * width, 2),
            layer3=stage(2 * width, 4 * width, 2),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            linear=nn.Linear(4 * width, n_classes),
        )
        model = nn.Sequential(layers)
        for layer in model.modules() if init == "he" else ():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    return model
