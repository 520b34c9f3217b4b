"""Networks and blocks: torchvision's answers, the papers' numbers, seeds."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet

from coursekit.errors import SettingsError
from coursekit.models import (
    BasicBlock,
    build_lenet,
    build_mlp,
    build_mlp_of_size,
    build_residual,
)


def count(model):
    return sum(p.numel() for p in model.parameters())


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


@pytest.mark.parametrize(("n_out", "stride"), [(16, 1), (32, 2)])
@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluation"])
def test_with_torchvisions_weights_it_gives_torchvisions_answer(n_out, stride, mode):
    conv = nn.Conv2d(16, n_out, 1, stride, bias=False)
    project = nn.Sequential(conv, nn.BatchNorm2d(n_out)) if stride > 1 else None
    theirs = shake(resnet.BasicBlock(16, n_out, stride, project)).train(mode)
    ours = BasicBlock(16, n_out, stride=stride).train(mode)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(3, 16, 9, 9)
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x.clone()), atol=1e-4)


def test_a_padded_shortcut_picks_pixels_and_adds_zeros():
    x = torch.randn(2, 4, 5, 5)
    block = BasicBlock(4, 10, stride=2, shortcut="pad")
    skipped = block.downsample(x)
    assert torch.equal(skipped[:, 3:7], x[:, :, ::2, ::2])
    assert skipped[:, :3].abs().sum() == skipped[:, 7:].abs().sum() == 0
    assert count(block) == count(BasicBlock(4, 10, stride=2, skip=False))


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
def test_the_seed_alone_decides_the_weights_which_all_get_a_gradient(name):
    before = torch.get_rng_state()
    model, *others = (BUILDERS[name](seed) for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    one, same, other = (
        nn.utils.parameters_to_vector(m.parameters()) for m in (model, *others)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    logits = model(torch.rand(3, 3, 13, 40))
    assert logits.shape == (3, 5)
    (logits**2).sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize(("depth", "n_parameters"), [(56, 853_018), (110, 1_727_962)])
def test_residual_nets_have_the_parameters_of_the_papers_table(depth, n_parameters):
    """Sec. 4.2, table 6: 0.85 and 1.7 million; plain nets have as many."""
    model = build_residual(depth, n_classes=10, seed=0)
    plain = build_residual(depth, n_classes=10, seed=0, skip=False)
    assert count(model) == count(plain) == n_parameters
    assert torch.equal(model.layer3[0].conv1.weight, plain.layer3[0].conv1.weight)


@pytest.mark.parametrize(("init", "variance"), [("he", 2 / 576), ("default", 1 / 3 / 576)])
def test_he_weights_have_variance_2_by_fan_in_and_pytorchs_a_sixth(init, variance):
    model = build_residual(8, n_classes=2, seed=0, width=64, init=init)
    found = model.layer1[0].conv1.weight.var().item()
    assert found == pytest.approx(variance, rel=0.02)


@pytest.mark.parametrize("n_parameters", [1_000, 37_106, 100_000])
def test_the_nearest_size_is_found(n_parameters):
    model = build_mlp_of_size(n_parameters, (1, 28, 28), 10, seed=0)
    assert abs(count(model) - n_parameters) <= (784 + 1 + 10) / 2, "half a unit"


def test_misuse_is_explained():
    for shape in ((28, 28), (1, 8, 8)):
        with pytest.raises(SettingsError, match="12 x 12 or larger"):
            build_lenet(shape, 10, seed=0)
    with pytest.raises(SettingsError, match=r"6n \+ 2.*got 18"):
        build_residual(18, n_classes=10, seed=0)
