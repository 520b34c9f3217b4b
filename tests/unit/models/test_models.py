"""Every model: shapes, types, gradients, seeds, and what is refused."""

import pytest
import torch

from coursekit.errors import SettingsError
from coursekit.models import build_lenet, build_mlp, build_mlp_of_size

INPUTS = [(1, 28, 28), (3, 32, 32), (1, 12, 12), (3, 13, 40)]


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


BUILDERS = {
    "mlp": lambda shape, seed: build_mlp(shape, [16, 8], 5, seed=seed),
    "linear": lambda shape, seed: build_mlp(shape, [], 5, seed=seed),
    "mlp_of_size": lambda shape, seed: build_mlp_of_size(50_000, shape, 5, seed=seed),
    "lenet": lambda shape, seed: build_lenet(shape, 5, seed=seed),
}


@pytest.fixture(params=BUILDERS)
def build(request):
    return BUILDERS[request.param]


@pytest.mark.parametrize("shape", INPUTS, ids=str)
@pytest.mark.parametrize("n_images", [1, 3])
def test_images_become_logits_and_every_parameter_gets_a_gradient(build, shape, n_images):
    model = build(shape, seed=0)
    logits = model(torch.rand(n_images, *shape))
    assert logits.shape == (n_images, 5)
    assert logits.dtype == torch.float32
    (logits**2).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_logits_can_be_negative(build):
    logits = build((1, 28, 28), seed=0)(torch.rand(50, 1, 28, 28))
    assert logits.min() < 0


def test_the_seed_alone_decides_the_weights(build):
    torch.manual_seed(1)
    one = build((1, 28, 28), seed=3).state_dict()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    same = build((1, 28, 28), seed=3).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    other = build((1, 28, 28), seed=4).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("n_parameters", [1_000, 37_106, 100_000])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 10, 10)], ids=str)
def test_the_nearest_size_is_found(n_parameters, shape):
    model = build_mlp_of_size(n_parameters, shape, 10, seed=0)
    n_inputs = torch.Size(shape).numel()
    n_hidden = model[1].out_features
    neighbors = [h * (n_inputs + 1 + 10) + 10 for h in (n_hidden - 1, n_hidden + 1) if h]
    miss = abs(count(model) - n_parameters)
    assert all(miss <= abs(other - n_parameters) for other in neighbors)


def test_lenet_has_the_layers_of_the_lesson():
    model = build_lenet((1, 28, 28), 10, seed=0)
    kinds = [type(layer).__name__ for layer in model]
    stage = ["Conv2d", "MaxPool2d", "ReLU"]
    assert kinds == [*stage, *stage, "Flatten", "Linear", "ReLU", "Linear"]
    assert count(model) == 6 * 26 + 16 * 151 + 84 * 401 + 10 * 85


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: build_mlp((1, 0, 4), [3], 2, seed=0), "at least 1"),
        (lambda: build_mlp((), [3], 2, seed=0), "at least 1"),
        (lambda: build_mlp((4,), [3], 0, seed=0), "at least 1"),
        (
            lambda: build_mlp_of_size(100, (1, 28, 28), 10, seed=0),
            "too few. Ask for at least 805",
        ),
        (lambda: build_lenet((28, 28), 10, seed=0), "channels, height, width"),
        (lambda: build_lenet((1, 8, 8), 10, seed=0), "12 x 12 or larger"),
        (
            lambda: build_lenet((1, 28, 28), 10, seed=0, n_filters=(0, 4)),
            "n_filters=\\(0, 4\\)",
        ),
    ],
)
def test_misuse_is_explained(call, words):
    with pytest.raises(SettingsError, match=words):
        call()
