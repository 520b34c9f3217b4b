"""Recorded activations and gradients: equal to a slow truth, in order, without residue."""

from contextlib import suppress
from copy import deepcopy

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from coursekit.errors import SettingsError
from coursekit.inspection import record_activations, record_gradients


@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
def test_values_and_gradients_are_those_of_a_model_without_in_place_layers(
    name, monkeypatch
):
    torch.manual_seed(0)
    settings = {"init_weights": False} if name == "googlenet" else {}
    network = torchvision.models.get_model(name, weights=None, **settings).eval()
    plain, images, outputs = deepcopy(network), torch.randn(2, 3, 64, 64), []
    with record_activations(network) as values, record_gradients(network) as gradients:
        network(images).square().sum().backward()

    def keep(module, inputs, output):
        output.retain_grad()
        outputs.append((output, output.detach().clone()))

    monkeypatch.setattr(F, "relu", lambda values, inplace=False: torch.relu(values))
    for module in plain.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
        if not list(module.children()):
            module.register_forward_hook(keep)
    plain(images).square().sum().backward()
    assert list(values) == list(gradients)  # in the order of the forward pass
    for (name, value), (output, expected) in zip(values.items(), outputs, strict=True):
        assert torch.equal(value, expected), name
        assert torch.equal(gradients[name], output.grad), name


class Twice(nn.ModuleDict):
    def forward(self, x):
        return self["a"](self["b"](self["a"](x + 0)))


@pytest.fixture
def twice():
    return Twice({"b": nn.Linear(2, 2), "a": nn.ReLU(inplace=True)})


def test_calls_stand_in_the_order_in_which_they_were_made(twice):
    with record_activations(twice) as recorded:
        output = twice(torch.randn(3, 2))
        again = twice(torch.randn(3, 2))
    assert list(recorded)[:4] == ["a", "b", "a (call 2)", "a (call 3)"]
    assert torch.equal(recorded["a (call 2)"], output)
    assert torch.equal(recorded["a (call 4)"], again)


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        (None, ["0", "1", "2.0", "2.1"]),
        ("2.0", ["2.0"]),
        ("2.*", ["2.0", "2.1"]),
        ("", [""]),
        (nn.ReLU, ["1", "2.1"]),
        (["0", nn.ReLU], ["0", "1", "2.1"]),
    ],
)
def test_layers_are_chosen_by_name_pattern_and_type(layers, names):
    model = nn.Sequential(
        nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    )
    with record_activations(model, layers) as recorded:
        model(torch.ones(1, 2))
    assert list(recorded) == names


def test_nested_outputs_are_copied_and_have_no_gradient():
    model, values = nn.MultiheadAttention(4, 2), torch.ones(3, 1, 4)
    with record_activations(model) as recorded, record_gradients(model) as gradients:
        output, weights = model(values, values, values)
    expected = output.detach().clone()
    output.detach().zero_()
    assert list(recorded) == [""]  # its child out_proj is never called
    assert torch.equal(recorded[""][0], expected)
    assert torch.equal(recorded[""][1], weights)
    assert gradients == {"": None}


def test_a_normalized_weight_is_no_layer_and_its_layer_is_one():
    linear = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    with record_activations(nn.Sequential(linear, nn.ReLU())) as recorded:
        linear(torch.ones(1, 2))
    assert list(recorded) == ["0"]


@pytest.mark.parametrize("record", [record_activations, record_gradients])
def test_hooks_are_gone_after_the_block_and_after_an_error(record, twice):
    with suppress(ZeroDivisionError), record(twice) as recorded:
        output = twice(torch.ones(1, 2))
        1 / 0  # noqa: B018
    twice(torch.ones(1, 2))
    output.sum().backward()
    assert len(recorded) == 3
    assert not any(module._forward_hooks for module in twice.modules())
    if record is record_gradients:
        assert set(recorded.values()) == {None}


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ("layer1.0.conv", r"no layer 'layer1.0.conv', see .*mean 'layer1.0.conv\d'"),
        (nn.LSTM, "no layer LSTM, see"),
    ],
)
def test_a_layer_that_does_not_exist_is_named_beside_those_that_do(layers, words):
    model = torchvision.models.resnet18(weights=None)
    with pytest.raises(SettingsError, match=words), record_activations(model, layers):
        pass
