"""Receptive fields: by formula against published values, by measurement, and when misused."""

import copy

import pytest
import torch
import torchvision
from torch import nn

from coursekit.errors import SettingsError, ShapeError
from coursekit.inspection import measured_receptive_field, receptive_field

SIZE = 61


def alexnet():
    """The paper's AlexNet, one tower, without padding at first."""
    layers = [nn.Conv2d(3, 64, 11, 4), nn.ReLU(), nn.MaxPool2d(3, 2)]
    layers += [nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    for n_in, n_out in ((192, 384), (384, 384), (384, 256)):
        layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(3, 2))


def test_published_fields_of_araujo_norris_and_sim():
    with torch.device("meta"):
        vgg_16 = torchvision.models.vgg16(weights=None).features
    assert receptive_field(vgg_16) == ((212, 212), (32, 32), (-90, -90))
    assert receptive_field(alexnet()) == ((195, 195), (32, 32), (-64, -64))


CHAINS = [
    [nn.Conv2d(2, 2, (1, 4), (2, 1), 1, groups=2), nn.MaxPool2d(3, 2, 1), nn.Tanh()],
    [
        nn.Conv2d(2, 2, (3, 2), dilation=2),
        nn.AvgPool2d((2, 3), 1),
        nn.Conv2d(2, 2, 3, (1, 2)),
    ],
    [nn.MaxPool2d(2, 1, 1), nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 2, 2, 2, 1, 2))],
]


@pytest.mark.parametrize("layers", CHAINS)
def test_computed_and_measured_field_agree(layers):
    model = nn.Sequential(*layers)
    torch.manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight)
    (n_rows, n_columns), strides, starts = receptive_field(model)
    shape = model(torch.zeros(1, 2, SIZE, SIZE)).shape[2:]
    first_row, first_column = (
        start + n // 2 * stride
        for start, n, stride in zip(starts, shape, strides, strict=True)
    )
    measured = measured_receptive_field(model, (2, SIZE, SIZE), n_samples=64)
    assert measured.box == (first_row, first_column, n_rows, n_columns)


def test_what_mixes_all_positions_sees_the_whole_image():
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.AdaptiveAvgPool2d(1))
    assert receptive_field(model).size is None
    assert measured_receptive_field(model, (2, 8, 8)).size == (8, 8)


def test_branches_are_measured():
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None)
    stages = nn.Sequential(*list(network.children())[:5])  # up to layer1
    for layer in stages.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.bias, 0.5)
    # 7 at stride 2, 3 at stride 2, four times 3 at stride 4: 7 + 2 * 2 + 4 * 2 * 4
    assert measured_receptive_field(stages, (3, 96, 96)).size == (43, 43)
    with pytest.raises(
        SettingsError, match=r"'4.0' \(BasicBlock\).*measured_receptive_field"
    ):
        receptive_field(stages)


def test_effective_field_is_smaller_and_grows_with_the_root_of_depth():
    sizes = []
    for n_layers in (4, 16):
        model = nn.Sequential(
            *(nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(n_layers))
        )
        for layer in model:
            nn.init.constant_(layer.weight, 1 / 9)
        measured = measured_receptive_field(model, (1, 41, 41))
        assert measured.size == receptive_field(model).size
        assert measured.effective_size < measured.size[0]
        rows = measured.sensitivity.sum(dim=1) / measured.sensitivity.sum()
        variance = (rows * (torch.arange(41) - 20) ** 2).sum().item()
        # n box filters of 3 have the variance 2/3 n: the law of Luo et al., sec. 2
        assert variance == pytest.approx(2 / 3 * n_layers, rel=1e-4)
        sizes.append(measured.effective_size)
    assert 1.7 < sizes[1] / sizes[0] < 2.3  # four times as deep, twice as wide


def test_the_seed_decides_and_nothing_else_is_touched():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).train()
    model[0].weight.requires_grad_(False)
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    one, same, other = (
        measured_receptive_field(model, (1, 9, 9), seed=seed).sensitivity
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(random, torch.get_rng_state())
    assert all(map(torch.equal, before.values(), model.state_dict().values()))
    assert model.training
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True]


@pytest.mark.parametrize(
    "layer",
    [nn.Upsample(scale_factor=2), nn.ConvTranspose2d(4, 1, 2), nn.AdaptiveAvgPool2d(2)],
)
def test_layers_without_a_formula_are_named(layer):
    with pytest.raises(SettingsError, match=rf"'1' \({type(layer).__name__}\)"):
        receptive_field(nn.Sequential(nn.Conv2d(1, 4, 3), layer))


def test_an_output_without_a_middle_is_refused():
    with pytest.raises(ShapeError, match=r"must give maps of shape.*got \(8192,\)"):
        measured_receptive_field(nn.Flatten(0), (8, 8, 8))
