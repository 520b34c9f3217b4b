"""Every block: shapes, gradients, counts, and the same answer as torchvision's own."""

import pytest
import torch
from torch import nn
from torchvision.models import densenet, mobilenetv2, mobilenetv3, resnet
from torchvision.ops import SqueezeExcitation as TheirSqueezeExcitation

from coursekit.errors import SettingsError
from coursekit.models import (
    BasicBlock,
    Bottleneck,
    DenseBlock,
    DepthwiseSeparable,
    Inception,
    InvertedResidual,
    NaiveInception,
    PaddedShortcut,
    SqueezeExcitation,
)

# What builds a block for 16 channels; channels out; stride.
BLOCKS = {
    "naive_inception": (lambda: NaiveInception(16, 4, 5, 6), 31, 1),
    "inception": (lambda: Inception(16, 4, (2, 5), (3, 6), 7), 22, 1),
    "basic": (lambda: BasicBlock(16, 16), 16, 1),
    "basic_project": (lambda: BasicBlock(16, 24, stride=2), 24, 2),
    "basic_pad": (lambda: BasicBlock(16, 24, stride=2, shortcut="pad"), 24, 2),
    "basic_plain": (lambda: BasicBlock(16, 24, stride=2, skip=False), 24, 2),
    "basic_bare": (lambda: BasicBlock(16, 24, stride=2, batch_norm=False), 24, 2),
    "bottleneck": (lambda: Bottleneck(16, 4), 16, 1),
    "bottleneck_strided": (lambda: Bottleneck(16, 8, stride=2), 32, 2),
    "bottleneck_grouped": (lambda: Bottleneck(16, 8, 20, groups=4), 20, 1),
    "depthwise": (lambda: DepthwiseSeparable(16, 24, stride=2), 24, 2),
    "depthwise_5x5": (
        lambda: DepthwiseSeparable(16, 24, kernel=5, activation="relu6"),
        24,
        1,
    ),
    "inverted": (lambda: InvertedResidual(16, 16), 16, 1),
    "inverted_strided": (lambda: InvertedResidual(16, 24, stride=2), 24, 2),
    "inverted_thin": (lambda: InvertedResidual(16, 16, expand_ratio=1), 16, 1),
    "inverted_v3": (
        lambda: InvertedResidual(16, 24, kernel=5, activation="hard-swish", squeeze=True),
        24,
        1,
    ),
    "squeeze": (lambda: SqueezeExcitation(16, 4), 16, 1),
    "dense": (lambda: DenseBlock(16, 4, 3), 28, 1),
}


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def weights(model):
    """Return the number of weights of convolutions alone."""
    return sum(p.numel() for p in model.parameters() if p.ndim == 4)


def build(name):
    torch.manual_seed(0)
    return BLOCKS[name][0]()


@pytest.mark.parametrize("size", [(8, 8), (7, 10)], ids=str)
@pytest.mark.parametrize("name", BLOCKS)
def test_maps_keep_their_size_or_are_halved(name, size):
    _, n_channels, stride = BLOCKS[name]
    maps = build(name)(torch.randn(2, 16, *size))
    assert maps.shape == (2, n_channels, *(-(-side // stride) for side in size))
    assert maps.dtype == torch.float32


@pytest.mark.parametrize("name", BLOCKS)
def test_every_parameter_and_the_input_get_a_gradient(name):
    block = build(name)
    x = torch.randn(4, 16, 8, 8, requires_grad=True)
    maps = block(x)
    (maps * torch.randn(maps.shape)).sum().backward()
    for parameter_name, parameter in block.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name
    assert (x.grad.abs().sum((2, 3)) > 0).all()


@pytest.mark.parametrize("name", BLOCKS)
def test_in_evaluation_an_image_does_not_depend_on_its_batch(name):
    block = build(name).eval()
    x = torch.randn(3, 16, 6, 6)
    with torch.inference_mode():
        alone = torch.cat([block(image[None]) for image in x])
        assert torch.allclose(block(x), alone, atol=1e-5)


@pytest.mark.parametrize("name", BLOCKS)
def test_the_input_is_left_as_it_was(name):
    x = torch.randn(2, 16, 6, 6)
    before = x.clone()
    build(name)(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", BLOCKS)
def test_the_global_seed_decides_the_weights(name):
    one, same = build(name).state_dict(), build(name).state_dict()
    assert all(torch.equal(one[key], same[key]) for key in one)


# --- the same answer as torchvision's own ---------------------------------------------


def shake(module):
    """Give a module running statistics and scales that are not 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.running_var):
                values.data.uniform_(0.5, 1.5, generator=generator)
            for values in (layer.bias, layer.running_mean):
                values.data.uniform_(-0.5, 0.5, generator=generator)
    return module


def project(n_in, n_out, stride):
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
    )


def v3(n_in, kernel, n_inside, n_out, *, squeeze, activation, stride):
    settings = mobilenetv3.InvertedResidualConfig(
        n_in, kernel, n_inside, n_out, squeeze, activation, stride, 1, 1.0
    )
    return mobilenetv3.InvertedResidual(settings, nn.BatchNorm2d)


TWINS = {
    "basic": (BasicBlock(16, 16), resnet.BasicBlock(16, 16)),
    "basic_strided": (
        BasicBlock(16, 32, stride=2),
        resnet.BasicBlock(16, 32, 2, project(16, 32, 2)),
    ),
    "bottleneck": (Bottleneck(16, 4), resnet.Bottleneck(16, 4)),
    "bottleneck_strided": (
        Bottleneck(16, 8, stride=2),
        resnet.Bottleneck(16, 8, 2, project(16, 32, 2)),
    ),
    "resnext": (
        Bottleneck(16, 32, 64, groups=4),
        resnet.Bottleneck(16, 16, 1, project(16, 64, 1), groups=4, base_width=32),
    ),
    "mobilenet_v2": (InvertedResidual(16, 16), mobilenetv2.InvertedResidual(16, 16, 1, 6)),
    "mobilenet_v2_strided": (
        InvertedResidual(16, 24, stride=2, expand_ratio=3),
        mobilenetv2.InvertedResidual(16, 24, 2, 3),
    ),
    "mobilenet_v2_thin": (
        InvertedResidual(16, 8, expand_ratio=1),
        mobilenetv2.InvertedResidual(16, 8, 1, 1),
    ),
    "mobilenet_v3_relu": (
        InvertedResidual(16, 16, expand_ratio=4, activation="relu"),
        v3(16, 3, 64, 16, squeeze=False, activation="RE", stride=1),
    ),
    "mobilenet_v3_hard_swish": (
        InvertedResidual(
            16,
            24,
            stride=2,
            expand_ratio=4,
            kernel=5,
            activation="hard-swish",
            squeeze=True,
        ),
        v3(16, 5, 64, 24, squeeze=True, activation="HS", stride=2),
    ),
    "squeeze": (SqueezeExcitation(16, 4), TheirSqueezeExcitation(16, 4)),
    "dense": (DenseBlock(16, 4, 3), densenet._DenseBlock(3, 16, 4, 4, 0.0)),
}


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluation"])
def test_with_torchvisions_weights_it_gives_torchvisions_answer(name, mode):
    ours, theirs = TWINS[name]
    values = shake(theirs).state_dict().values()
    names = ours.state_dict()
    assert len(names) == len(values)
    ours.load_state_dict(dict(zip(names, values, strict=True)))
    x = torch.randn(3, 16, 9, 9)
    with torch.no_grad():
        right = theirs.train(mode)(x.clone())
        assert torch.allclose(ours.train(mode)(x), right, atol=1e-4)


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_residual_blocks_take_torchvisions_weights_by_name(block):
    width = 16 if block is BasicBlock else 4
    theirs = getattr(resnet, block.__name__)(16, width)
    block(16, width).load_state_dict(theirs.state_dict())


# --- what each block is for -----------------------------------------------------------


def test_the_naive_module_grows_and_the_bottleneck_pays_less():
    naive, module = (
        NaiveInception(256, 128, 192, 96),
        Inception(256, 128, (64, 192), (64, 96), 64),
    )
    assert naive.out_channels == 672
    assert weights(naive) == 256 * (128 + 9 * 192 + 25 * 96)
    assert module.out_channels == 480
    assert weights(module) == 256 * (128 + 64 + 64 + 64) + 64 * (9 * 192 + 25 * 96)
    assert count(naive) - weights(naive) == 128 + 192 + 96, "biases"


def test_the_naive_module_hands_on_what_it_pooled():
    x = torch.randn(1, 3, 6, 6)
    pooled = nn.functional.max_pool2d(x, 3, stride=1, padding=1)
    assert torch.equal(NaiveInception(3, 1, 1, 1)(x)[:, 3:], pooled)


def test_every_convolution_of_inception_is_followed_by_relu():
    module = Inception(3, 2, (3, 4), (2, 3), 5)
    x = torch.randn(2, 3, 6, 6)

    def conv(maps, layer):
        padding = layer.kernel_size[0] // 2
        return nn.functional.conv2d(maps, layer.weight, layer.bias, padding=padding).relu()

    convs = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    one, reduce_3x3, three, reduce_5x5, five, pool = convs
    slow = [
        conv(x, one),
        conv(conv(x, reduce_3x3), three),
        conv(conv(x, reduce_5x5), five),
        conv(nn.functional.max_pool2d(x, 3, 1, 1), pool),
    ]
    assert torch.allclose(module(x), torch.cat(slow, 1), atol=1e-6)
    assert (NaiveInception(3, 2, 2, 2)(x)[:, :6] >= 0).all()


def test_inception_3a_has_the_weights_of_the_paper():
    assert (
        weights(Inception(192, 64, (96, 128), (16, 32), 32)) == 163_328
    )  # "159K" = / 1024


@pytest.mark.parametrize("groups", [1, 2, 8, 32])
def test_groups_divide_the_weights_of_the_middle(groups):
    block = Bottleneck(64, 32, groups=groups)
    assert block.conv2.weight.numel() == 32 * 32 * 9 // groups


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_separable_weights_are_the_formula(kernel):
    block = DepthwiseSeparable(12, 20, kernel=kernel)
    assert weights(block) == 12 * kernel**2 + 12 * 20


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("relu", nn.functional.relu),
        ("relu6", nn.functional.relu6),
        ("hard-swish", nn.functional.hardswish),
    ],
)
def test_both_parts_of_a_separable_convolution_are_normalized_and_activated(
    activation, function
):
    block = shake(DepthwiseSeparable(4, 6, stride=2, activation=activation)).eval()
    x = 9 * torch.randn(2, 4, 7, 7)
    (depthwise, first, _), (pointwise, second, _) = block.depthwise, block.pointwise
    inside = nn.functional.conv2d(x, depthwise.weight, None, 2, 1, groups=4)
    inside = function(first(inside))
    slow = function(second(nn.functional.conv2d(inside, pointwise.weight)))
    assert torch.allclose(block(x), slow, atol=1e-5)


def test_the_last_convolution_of_an_inverted_residual_is_linear():
    block = InvertedResidual(8, 12)
    assert not any(isinstance(layer, nn.ReLU6) for layer in block.project)
    assert (block(torch.randn(2, 8, 6, 6)) < 0).any()


def test_a_residual_block_whose_last_scale_is_zero_changes_nothing():
    block = BasicBlock(8, 8)
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(2, 8, 6, 6)  # not negative, so the last ReLU cuts nothing
    assert torch.equal(block(x), x)


def test_a_padded_shortcut_picks_pixels_and_adds_zeros():
    x = torch.randn(2, 4, 5, 5)
    picked = PaddedShortcut(6, stride=2)(x)
    assert torch.equal(picked[:, 3:7], x[:, :, ::2, ::2])
    assert picked[:, :3].abs().sum() == picked[:, 7:].abs().sum() == 0
    assert count(PaddedShortcut(6, stride=2)) == 0


def test_a_dense_block_keeps_what_came_in():
    x = torch.randn(2, 6, 5, 5)
    maps = DenseBlock(6, 4, 3)(x)
    assert torch.equal(maps[:, :6], x)
    assert maps.shape[1] == 18


@pytest.mark.parametrize("gate", ["sigmoid", "hard-sigmoid"])
def test_gates_lie_between_0_and_1_and_depend_on_the_image(gate):
    torch.manual_seed(0)
    block = SqueezeExcitation(32, gate=gate)
    x = 5 * torch.randn(6, 32, 4, 4)
    gates = block.gates(x)
    assert gates.shape == (6, 32)
    assert 0 <= gates.min() <= gates.max() <= 1
    assert (gates.std(dim=0) > 0).all()
    assert torch.equal(block(x), x * gates[:, :, None, None])


def test_gates_do_not_depend_on_where_things_are():
    x = torch.randn(2, 16, 4, 4)
    block = SqueezeExcitation(16)
    assert torch.allclose(block.gates(x), block.gates(x.flip(2, 3)), atol=1e-6)


def test_at_least_one_unit_stays_between_the_linear_layers():
    assert SqueezeExcitation(8, reduction=16).fc1.out_channels == 1
    assert count(SqueezeExcitation(64, 16)) == 64 * 4 * 2 + 4 + 64


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: NaiveInception(0, 1, 1, 1), r"at least 1, got in_channels=0"),
        (lambda: NaiveInception(4, 1, 1, 1.5), r"whole numbers.*n_5x5=1\.5"),
        (lambda: Inception(4, 1, 2, (1, 1), 1), r"n_3x3 is a pair.*got 2"),
        (lambda: Inception(4, 1, (1, 1), (1, 1, 1), 1), r"n_5x5 is a pair"),
        (lambda: Inception(4, 1, (1, 0), (1, 1), 1), "n_3x3=0"),
        (lambda: BasicBlock(4, -1), "out_channels=-1"),
        (lambda: BasicBlock(4, 4, shortcut="none"), "shortcut is one of 'project', 'pad'"),
        (lambda: BasicBlock(8, 4, shortcut="pad"), "can only add channels"),
        (lambda: Bottleneck(4, 6, groups=4), "groups must divide"),
        (lambda: Bottleneck(4, 6, stride=0), "stride=0"),
        (lambda: DepthwiseSeparable(4, 4, kernel=2), "is odd"),
        (lambda: DepthwiseSeparable(4, 4, activation="gelu"), "'hard-swish', got 'gelu'"),
        (lambda: InvertedResidual(4, 4, expand_ratio=0), "expand_ratio=0"),
        (lambda: InvertedResidual(4, 4, kernel=4), "is odd"),
        (lambda: SqueezeExcitation(4, True), "reduction=True"),
        (lambda: SqueezeExcitation(4, gate="relu"), "gate is one of"),
        (lambda: DenseBlock(4, 0, 2), "growth=0"),
    ],
)
def test_misuse_is_explained(make, words):
    with pytest.raises(SettingsError, match=words):
        make()
