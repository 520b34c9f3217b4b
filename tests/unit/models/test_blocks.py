"""Blocks and networks: torchvision's answers, the papers' numbers, seeds."""

import pytest
import torch
from torch import nn
from torchvision.models import mobilenetv2, resnet
from torchvision.ops import SqueezeExcitation as TheirSqueezeExcitation

from coursekit.errors import SettingsError
from coursekit.models import (
    BasicBlock,
    Bottleneck,
    Inception,
    InvertedResidual,
    NaiveInception,
    SqueezeExcitation,
    build_lenet,
    build_mlp,
    build_mlp_of_size,
    build_residual,
    build_zfnet,
)


def count(model, *, n_axes=None):
    return sum(p.numel() for p in model.parameters() if n_axes in (None, p.ndim))


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
    "inverted": (InvertedResidual(16, 16), mobilenetv2.InvertedResidual(16, 16, 1, 6)),
    "inverted_strided": (
        InvertedResidual(16, 24, stride=2, expand_ratio=3),
        mobilenetv2.InvertedResidual(16, 24, 2, 3),
    ),
    "inverted_thin": (
        InvertedResidual(16, 8, expand_ratio=1),
        mobilenetv2.InvertedResidual(16, 8, 1, 1),
    ),
    "squeeze": (SqueezeExcitation(16, 4), TheirSqueezeExcitation(16, 4)),
}


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluation"])
def test_with_torchvisions_weights_it_gives_torchvisions_answer(name, mode):
    ours, theirs = TWINS[name]
    values = shake(theirs).state_dict().values()
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
    x = torch.randn(3, 16, 9, 9)
    with torch.no_grad():
        right = theirs.train(mode)(x.clone())
        assert torch.allclose(ours.train(mode)(x), right, atol=1e-4)


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_residual_blocks_take_torchvisions_weights_by_name(block):
    width = 16 if block is BasicBlock else 4
    theirs = getattr(resnet, block.__name__)(16, width)
    block(16, width).load_state_dict(theirs.state_dict())


def test_the_naive_module_grows_and_the_bottleneck_pays_less():
    naive = NaiveInception(256, 128, 192, 96)
    module = Inception(256, 128, (64, 192), (64, 96), 64)
    assert count(naive, n_axes=4) == 256 * (128 + 9 * 192 + 25 * 96)
    assert count(naive, n_axes=1) == 128 + 192 + 96, "biases"
    assert count(module, n_axes=4) == 256 * (128 + 64 * 3) + 64 * (9 * 192 + 25 * 96)
    paper = Inception(192, 64, (96, 128), (16, 32), 32)
    assert count(paper, n_axes=4) == 163_328  # "159K" = / 1024


def test_every_convolution_of_inception_is_followed_by_relu():
    module = Inception(3, 2, (3, 4), (2, 3), 5)
    x = torch.randn(2, 3, 6, 6)

    def conv(maps, layer):
        padding = layer.kernel_size[0] // 2
        return nn.functional.conv2d(maps, layer.weight, layer.bias, padding=padding).relu()

    convs = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    one, reduce_3x3, three, reduce_5x5, five, pool = convs
    pooled = nn.functional.max_pool2d(x, 3, 1, 1)
    slow = [
        conv(x, one),
        conv(conv(x, reduce_3x3), three),
        conv(conv(x, reduce_5x5), five),
        conv(pooled, pool),
    ]
    assert torch.allclose(module(x), torch.cat(slow, 1), atol=1e-6)
    naive = NaiveInception(3, 2, 2, 2)(x)
    assert (naive[:, :6] >= 0).all()
    assert torch.equal(naive[:, 6:], pooled)


def test_a_padded_shortcut_picks_pixels_and_adds_zeros():
    x = torch.randn(2, 4, 5, 5)
    block = BasicBlock(4, 10, stride=2, shortcut="pad")
    skipped = block.downsample(x)
    assert torch.equal(skipped[:, 3:7], x[:, :, ::2, ::2])
    assert skipped[:, :3].abs().sum() == skipped[:, 7:].abs().sum() == 0
    assert count(block) == count(BasicBlock(4, 10, stride=2, skip=False))


def test_a_residual_block_whose_last_scale_is_zero_changes_nothing():
    block = BasicBlock(8, 8)
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(2, 8, 6, 6)  # not negative, so the last ReLU cuts nothing
    assert torch.equal(block(x), x)


def test_gates_are_those_of_each_image_and_multiply_its_channels():
    block = SqueezeExcitation(32, reduction=64)
    assert block.fc1.out_channels == 1, "at least one unit stays"
    x = 5 * torch.randn(6, 32, 4, 4)
    gates = block.gates(x)
    assert gates.shape == (6, 32)
    assert (gates.std(dim=0) > 0).all()
    assert torch.equal(block(x), x * gates[:, :, None, None])


# --- networks -----------------------------------------------------------------------------


BUILDERS = {
    "mlp": lambda seed: build_mlp((3, 13, 40), [16, 8], 5, seed=seed),
    "mlp_of_size": lambda seed: build_mlp_of_size(50_000, (3, 13, 40), 5, seed=seed),
    "lenet": lambda seed: build_lenet((3, 13, 40), 5, seed=seed),
    "residual": lambda seed: build_residual(8, n_classes=5, width=4, seed=seed),
    "plain": lambda seed: build_residual(
        8, n_classes=5, width=4, skip=False, batch_norm=False, init="default", seed=seed
    ),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_images_become_logits_and_every_parameter_gets_a_gradient(name):
    model = BUILDERS[name](0)
    logits = model(torch.rand(3, 3, 13, 40))
    assert logits.shape == (3, 5)
    (logits**2).sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", BUILDERS)
def test_the_seed_alone_decides_the_weights(name):
    before = torch.get_rng_state()
    one, same, other = (BUILDERS[name](seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    ("depth", "n_parameters"), [(20, 269_722), (56, 853_018), (110, 1_727_962)]
)
def test_residual_nets_have_the_parameters_of_the_papers_table(depth, n_parameters):
    """Sec. 4.2, table 6: 0.27, 0.85 and 1.7 million; plain nets have as many."""
    model = build_residual(depth, n_classes=10, seed=0)
    plain = build_residual(depth, n_classes=10, seed=0, skip=False)
    assert count(model) == count(plain) == n_parameters
    assert torch.equal(model.layer3[0].conv1.weight, plain.layer3[0].conv1.weight)


def test_he_weights_have_variance_2_by_fan_in_and_pytorchs_a_sixth_of_it():
    for init, variance in (("he", 2 / 576), ("default", 1 / 3 / 576)):
        model = build_residual(8, n_classes=2, seed=0, width=64, init=init)
        assert model.layer1[0].conv1.weight.var().item() == pytest.approx(
            variance, rel=0.02
        )


def test_lenet_has_the_layers_of_the_lesson():
    kinds = [type(layer).__name__ for layer in build_lenet((1, 28, 28), 10, seed=0)]
    stage = ["Conv2d", "MaxPool2d", "ReLU"]
    assert kinds == [*stage, *stage, "Flatten", "Linear", "ReLU", "Linear"]


def test_zfnets_maps_have_the_sizes_of_the_paper():
    with torch.device("meta"):
        model, maps, sizes = build_zfnet(seed=0), torch.zeros(1, 3, 224, 224), []
        for layer in model[:13]:
            maps = layer(maps)
            sizes += [maps.shape[-1]] if not isinstance(layer, nn.ReLU) else []
    assert sizes == [110, 55, 26, 13, 13, 13, 13, 6]


@pytest.mark.parametrize("n_parameters", [1_000, 37_106, 100_000])
def test_the_nearest_size_is_found(n_parameters):
    model = build_mlp_of_size(n_parameters, (1, 28, 28), 10, seed=0)
    n_hidden = model[1].out_features
    neighbors = [h * (784 + 1 + 10) + 10 for h in (n_hidden - 1, n_hidden + 1) if h]
    miss = abs(count(model) - n_parameters)
    assert all(miss <= abs(other - n_parameters) for other in neighbors)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: build_mlp_of_size(100, (1, 28, 28), 10, seed=0), "Ask for at least 805"),
        (lambda: build_lenet((28, 28), 10, seed=0), "channels, height, width"),
        (lambda: build_lenet((1, 8, 8), 10, seed=0), "12 x 12 or larger"),
        (lambda: build_residual(18, n_classes=10, seed=0), r"6n \+ 2.*got 18"),
    ],
)
def test_misuse_is_explained(call, words):
    with pytest.raises(SettingsError, match=words):
        call()
