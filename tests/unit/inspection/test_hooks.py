"""Recorded activations and gradients: equal to a slow truth, in order, without residue."""

from copy import deepcopy

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from coursekit.errors import SettingsError
from coursekit.inspection import record_activations, record_gradients


@pytest.fixture(scope="module", params=["resnet18", "googlenet"])
def network(request):
    torch.manual_seed(0)
    settings = {"init_weights": False} if request.param == "googlenet" else {}
    return getattr(torchvision.models, request.param)(weights=None, **settings).eval()


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def without_in_place(model):
    model = deepcopy(model)
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    return model


def copied_at_each_call(model, images):
    """The slow truth: one clone a call, on a model whose in-place flags are off."""
    model, values = without_in_place(model), []
    for module in model.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda m, i, o: values.append(o.detach().clone()))
    model(images)
    return values


def test_activations_equal_one_clone_a_call(network, images):
    truth = copied_at_each_call(network, images)
    with torch.no_grad(), record_activations(network) as recorded:
        network(images)
    assert len(recorded) == len(truth)
    assert all(torch.equal(*pair) for pair in zip(recorded.values(), truth, strict=True))


def test_gradients_equal_those_of_a_model_without_in_place_layers(
    network, images, monkeypatch
):
    with record_gradients(network) as recorded:
        network(images).square().sum().backward()

    plain, outputs = without_in_place(network), []
    monkeypatch.setattr(F, "relu", lambda values, inplace=False: torch.relu(values))

    def keep(module, inputs, output):
        output.retain_grad()
        outputs.append(output)

    for module in plain.modules():
        if not list(module.children()):
            module.register_forward_hook(keep)
    plain(images).square().sum().backward()
    # ... and they stand in the order of the forward pass.
    for (name, gradient), output in zip(recorded.items(), outputs, strict=True):
        assert torch.equal(gradient, output.grad), name


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.b, self.a = nn.Linear(2, 2), nn.ReLU(inplace=True)

    def forward(self, x):
        return self.a(self.b(self.a(x + 0)))


def test_calls_stand_in_the_order_in_which_they_were_made():
    model = Twice()
    with record_activations(model) as recorded:
        output = model(torch.randn(3, 2))
        again = model(torch.randn(3, 2))
    names = ["a", "b", "a (call 2)", "a (call 3)", "b (call 2)", "a (call 4)"]
    assert list(recorded) == names
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
    with (
        record_activations(model, "") as recorded,
        record_gradients(model, "") as gradients,
    ):
        output, weights = model(values, values, values)
    expected = output.detach().clone()
    output.detach().zero_()
    assert torch.equal(recorded[""][0], expected)
    assert torch.equal(recorded[""][1], weights)
    assert gradients == {"": None}


@pytest.mark.parametrize("record", [record_activations, record_gradients])
def test_hooks_are_gone_after_the_block_and_after_an_error(record):
    model, outputs = Twice(), []

    def run_and_fail():
        outputs.append(model(torch.ones(1, 2)))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), record(model) as recorded:
        run_and_fail()
    n_recorded = len(recorded)
    model(torch.ones(1, 2))
    outputs[0].sum().backward()
    assert len(recorded) == n_recorded == 3
    assert not any(module._forward_hooks for module in model.modules())
    if record is record_gradients:
        assert set(recorded.values()) == {None}


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ("layer1.0.conv", r"no layer 'layer1.0.conv'. Names are like: 'layer1.0.conv\d'"),
        (nn.LSTM, r"no layer LSTM\."),
        ("head*", r"no layer 'head\*'"),
    ],
)
def test_a_layer_that_does_not_exist_is_named_beside_those_that_do(layers, words):
    model = torchvision.models.resnet18(weights=None)
    with pytest.raises(SettingsError, match=words), record_activations(model, layers):
        pass
