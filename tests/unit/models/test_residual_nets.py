"""Residual and plain networks of any depth, and ZFNet: layers, sizes, gradients, seeds."""

import pytest
import torch
from torch import nn

from coursekit.errors import SettingsError
from coursekit.inspection import receptive_field
from coursekit.models import build_residual, build_zfnet

KINDS = [
    {"skip": skip, "batch_norm": batch_norm}
    for skip in (True, False)
    for batch_norm in (True, False)
]


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def first_gradient(model, *, seed=0):
    """Return the mean size of the gradient of the first layer's weights."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(8, 3, 16, 16, generator=generator)
    labels = torch.arange(8) % 4
    nn.functional.cross_entropy(model(x), labels).backward()
    return model.conv1.weight.grad.abs().mean().item()


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 17, 25)], ids=str)
def test_images_of_any_size_become_logits_and_every_parameter_gets_a_gradient(kind, shape):
    model = build_residual(8, n_classes=5, seed=0, width=8, **kind)
    logits = model(torch.randn(3, *shape))
    assert logits.shape == (3, 5)
    (logits**2).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_in_evaluation_a_batch_of_one_is_enough():
    model = build_residual(8, n_classes=5, seed=0, in_channels=1).eval()
    assert model(torch.randn(1, 1, 20, 20)).shape == (1, 5)


@pytest.mark.parametrize(
    ("depth", "n_parameters"),
    [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)],
)
def test_it_has_the_parameters_of_the_papers_table(depth, n_parameters):
    """Sec. 4.2, table 6: 0.27, 0.46, 0.66, 0.85 and 1.7 million."""
    model = build_residual(depth, n_classes=10, seed=0)
    assert count(model) == n_parameters
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth


def test_the_three_stages_halve_the_size_and_double_the_channels():
    model = build_residual(8, n_classes=4, seed=0, width=4)
    maps = model.conv1(torch.zeros(1, 3, 32, 32))
    shapes = []
    for stage in (model.layer1, model.layer2, model.layer3):
        maps = stage(maps)
        shapes.append(tuple(maps.shape[1:]))
    assert shapes == [(4, 32, 32), (8, 16, 16), (16, 8, 8)]


def test_plain_and_residual_differ_in_the_skip_alone():
    plain, residual = (
        build_residual(14, n_classes=4, seed=3, skip=skip) for skip in (False, True)
    )
    one, two = plain.state_dict(), residual.state_dict()
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    x = torch.randn(2, 3, 16, 16)
    assert not torch.allclose(plain(x), residual(x))


@pytest.mark.parametrize("init", ["he", "default"])
def test_the_seed_alone_decides_the_weights(init):
    def build(seed):
        return build_residual(8, n_classes=4, seed=seed, init=init).state_dict()

    torch.manual_seed(1)
    one = build(3)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    same = build(3)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["conv1.weight"], build(4)["conv1.weight"])


def test_weights_drawn_as_he_have_his_variance():
    model = build_residual(20, n_classes=10, seed=0)
    weight = model.layer3[2].conv2.weight
    assert weight.var().item() == pytest.approx(2 / (64 * 9), rel=0.05)
    bare = build_residual(20, n_classes=10, seed=0, batch_norm=False)
    assert bare.layer3[2].conv2.bias.abs().sum() == 0
    default = build_residual(20, n_classes=10, seed=0, init="default")
    weight = default.layer3[2].conv2.weight
    assert weight.var().item() == pytest.approx(1 / (3 * 64 * 9), rel=0.05)


def test_the_gradient_vanishes_in_a_deep_plain_network_and_a_skip_saves_it():
    def gradient(depth, **kind):
        model = build_residual(
            depth, n_classes=4, seed=0, width=8, batch_norm=False, init="default", **kind
        )
        return first_gradient(model)

    assert gradient(8, skip=False) > 1e3 * gradient(20, skip=False)
    assert gradient(20, skip=True) > 1e5 * gradient(20, skip=False)


def test_it_learns_eight_images_by_heart():
    model = build_residual(8, n_classes=4, seed=0, width=8)
    generator = torch.Generator().manual_seed(0)
    x, labels = torch.randn(8, 3, 12, 12, generator=generator), torch.arange(8) % 4
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"depth": 18}, r"6n \+ 2.*got 18"),
        ({"depth": 2}, r"6n \+ 2.*got 2"),
        ({"depth": 20.0}, r"depth=20\.0"),
        ({"n_classes": 0}, "n_classes=0"),
        ({"width": 0}, "width=0"),
        ({"init": "xavier"}, "init is one of 'he', 'default', got 'xavier'"),
    ],
)
def test_misuse_is_explained(settings, words):
    settings = {"depth": 8, "n_classes": 3, "seed": 0} | settings
    with pytest.raises(SettingsError, match=words):
        build_residual(settings.pop("depth"), **settings)


# --- ZFNet ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zfnet():
    """ZFNet without memory: shapes only."""
    with torch.device("meta"):
        return build_zfnet(10, seed=0)


def test_zfnets_maps_have_the_papers_sizes(zfnet):
    maps = torch.zeros(1, 3, 224, 224, device="meta")
    sizes = {}
    for name, layer in zfnet.named_children():
        maps = layer(maps)
        sizes[name] = tuple(maps.shape[1:])
    assert sizes["conv1"] == (96, 110, 110)
    assert sizes["pool1"] == (96, 55, 55)
    assert sizes["conv2"] == (256, 26, 26)
    assert sizes["pool2"] == (256, 13, 13)
    assert sizes["conv4"] == (384, 13, 13)
    assert sizes["pool5"] == (256, 6, 6)
    assert maps.shape == (1, 10)


def test_zfnet_has_the_layers_of_the_paper(zfnet):
    kinds = [type(layer).__name__ for layer in zfnet]
    stage, conv = ["Conv2d", "ReLU", "MaxPool2d"], ["Conv2d", "ReLU"]
    linear = ["Dropout", "Linear", "ReLU"]
    layers = [*stage, *stage, *conv, *conv, *stage, "Flatten", *linear, *linear, "Linear"]
    assert kinds == layers


def test_zfnets_parameters_are_counted_by_hand(zfnet):
    convs = [(3, 96, 7), (96, 256, 5), (256, 384, 3), (384, 384, 3), (384, 256, 3)]
    linears = [(256 * 36, 4096), (4096, 4096), (4096, 10)]
    expected = sum(o * (i * k * k + 1) for i, o, k in convs)
    expected += sum(o * (i + 1) for i, o in linears)
    assert count(zfnet) == expected


def test_zfnets_first_layer_looks_closer_than_alexnets(zfnet):
    field = receptive_field(zfnet[:1])
    assert (field.size, field.stride) == ((7, 7), (2, 2))


def test_zfnet_needs_a_class():
    with pytest.raises(SettingsError, match="n_classes=0"):
        build_zfnet(0, seed=0)
