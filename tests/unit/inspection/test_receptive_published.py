"""Receptive fields of whole published networks, built to the definitions of the table.

The table is that of Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional
Neural Networks", Distill 2019: fields of the last map before pooling over the image.
"""

import pytest
import torch
import torchvision
from torch import nn

from coursekit.inspection import measured_receptive_field, receptive_field, summarize


class Unit(nn.Module):
    """A bottleneck of the first ResNet (v1): its stride in the 3x3, shortcut beside it."""

    def __init__(self, n_in, n_mid, stride):
        super().__init__()
        n_out = 4 * n_mid
        self.body = nn.Sequential(
            nn.Conv2d(n_in, n_mid, 1, bias=False),
            nn.BatchNorm2d(n_mid),
            nn.ReLU(),
            nn.Conv2d(n_mid, n_mid, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(n_mid),
            nn.ReLU(),
            nn.Conv2d(n_mid, n_out, 1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        if n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )
        else:  # where only the size changes, the shortcut is subsampled
            self.shortcut = nn.MaxPool2d(1, stride)

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet_v1_50(width=64):
    """Build the paper's ResNet-v1-50: the stride stands in the last unit of each stage."""
    layers = [nn.Conv2d(3, width, 7, 2, padding=3, bias=False), nn.BatchNorm2d(width)]
    # "Same" padding of an even map puts its one row and column at the far ends.
    layers += [nn.ReLU(), nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, 2)]
    n_in = width
    for n_mid, n_units, last in ((1, 3, 2), (2, 4, 2), (4, 6, 2), (8, 3, 1)):
        for unit in range(n_units):
            stride = last if unit == n_units - 1 else 1
            layers.append(Unit(n_in, n_mid * width, stride))
            n_in = 4 * n_mid * width
    return nn.Sequential(*layers)


def vgg_16():
    layers = []
    for n_out, n_convs in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        n_in = layers[-3].out_channels if layers else 3
        for place in range(n_convs):
            conv = nn.Conv2d(n_in if place == 0 else n_out, n_out, 3, padding=1)
            layers += [conv, nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def alexnet_v2():
    """Build the paper's AlexNet: the version of one tower, without padding at first."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
    )


def torchvision_resnet_50():
    model = torchvision.models.resnet50(weights=None)
    return nn.Sequential(*list(model.children())[:-2])  # without pooling and classifier


@pytest.mark.parametrize(
    ("build", "size", "stride", "padding"),
    [
        (alexnet_v2, 195, 32, 64),
        (vgg_16, 212, 32, 90),
        (resnet_v1_50, 483, 32, 239),
        (torchvision_resnet_50, 427, 32, 213),
    ],
)
def test_published_field(build, size, stride, padding):
    with torch.device("meta"):
        model = build()
    field = receptive_field(model)
    assert field.size == (size, size)
    assert field.stride == (stride, stride)
    assert field.start == (-padding, -padding)
    last = summarize(model, (3, 512, 512)).table.iloc[0]
    assert last["receptive_field"] == (size, size)
    assert last["stride"] == (stride, stride)
    assert last["padding"] == (padding, padding)


def test_the_parameters_are_those_of_a_resnet_50():
    with torch.device("meta"):
        model = resnet_v1_50()
    assert sum(p.numel() for p in model.parameters()) == 25_557_032 - 2_049_000


@pytest.mark.parametrize("position", [(8, 8), (7, 9)])
def test_the_field_of_the_built_resnet_is_the_one_that_gradients_reach(position):
    model = resnet_v1_50(width=1)
    field = receptive_field(model)
    measured = measured_receptive_field(
        model, (3, 544, 544), position=position, n_samples=1
    )
    row, column, height, width = field.box(*position)
    bottom, right = min(544, row + height), min(544, column + width)
    top, left = max(0, row), max(0, column)
    assert measured.box == (top, left, bottom - top, right - left)
