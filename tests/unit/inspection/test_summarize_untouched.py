"""The model and everything global are as before, after success and after errors."""

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn

from coursekit.errors import CourseError
from coursekit.inspection import summarize


class Busy(nn.Module):
    """Writes to everything that a forward pass can write to, then may fail."""

    def __init__(self, fails=False):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(0.5)
        )
        self.average = nn.Parameter(torch.zeros(4), requires_grad=False)
        self.register_buffer("n_seen", torch.zeros(()))
        self.loose = torch.zeros(3)
        self.in_a_list = [torch.zeros(2)]
        self.seen, self.n_calls, self.fails = [], 0, fails

    def forward(self, x):
        x.mul_(2)
        self.n_calls += 1
        self.seen.append(x)
        self.n_seen += 1
        self.loose[0] += 1
        self.in_a_list[0][0] += 1
        self.average.data = self.average.data + 1  # as momentum encoders do
        self.train(not self.training)
        random.random()
        np.random.rand()
        torch.rand(2)
        x = self.body(x + torch.rand(()))
        if self.fails:
            msg = "in the middle"
            raise RuntimeError(msg)
        return x


def global_state():
    python, numpy = random.getstate(), np.random.get_state()
    return {
        "python": python,
        "numpy": (numpy[1].tolist(), numpy[2:]),
        "torch": torch.get_rng_state().tolist(),
        "grad": torch.is_grad_enabled(),
        "fast path": torch.backends.mha.get_fastpath_enabled(),
        "dtype": torch.get_default_dtype(),
        "global hooks": [
            len(getattr(nn.modules.module, name))
            for name in ("_global_forward_hooks", "_global_forward_pre_hooks")
        ],
        "modes": (
            torch.overrides._get_current_function_mode_stack(),
            torch.utils._python_dispatch._get_current_dispatch_mode_stack(),
        ),
    }


def described(value):
    """Everything about a value that can change: identity, and content where it has some."""
    if isinstance(value, torch.Tensor):
        fields = (
            value._version,
            value.requires_grad,
            value.is_leaf,
            value.device,
            value.dtype,
        )
        grad = None if value.grad is None else (id(value.grad), value.grad.tolist())
        return id(value), value.data_ptr(), value.tolist(), grad, fields
    if isinstance(value, nn.Module):
        return id(value)
    if isinstance(value, dict):
        return id(value), [(key, described(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return id(value), [described(item) for item in value]
    return value


def state_of(model):
    return [
        (name, field, described(value))
        for name, module in model.named_modules()
        for field, value in vars(module).items()
    ]


def prepared(fails=False):
    """A model in the middle of its life: a gradient, a frozen layer, hooks, mixed modes."""
    model = Busy(fails)
    model.body[0].weight.grad = torch.ones_like(model.body[0].weight)
    model.body[0].bias.requires_grad_(False)
    model.body[1].eval()
    calls = []
    model.body[0].register_forward_hook(lambda *_: calls.append("forward"))
    model.body[0].register_forward_pre_hook(lambda *_: calls.append("before"))
    model.register_full_backward_hook(lambda *_: calls.append("backward"))
    model.body[2].register_forward_hook(_raise)
    return model, calls


def _raise(*_):
    msg = "a hook that raises"
    raise KeyError(msg)


@pytest.mark.parametrize("device", [None, "meta"])
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_changed_field_by_field(device, fails):
    model, calls = prepared(fails)
    images = torch.rand(2, 3, 8, 8)
    before = state_of(model), global_state(), described(images)
    if fails:
        with pytest.raises(CourseError, match="in the middle") as caught:
            summarize(model, example=images, device=device)
        assert isinstance(caught.value.__cause__, RuntimeError)
        del caught
    else:
        assert summarize(model, example=images, device=device).n_parameters == 124
    assert (state_of(model), global_state(), described(images)) == before
    assert calls == []


def test_the_comparison_sees_every_change_that_a_forward_pass_makes():
    model, _ = prepared()
    model.body[2]._forward_hooks.clear()
    before, world = dict(enumerate(state_of(model))), global_state()
    model(torch.rand(2, 3, 8, 8))
    after = dict(enumerate(state_of(model)))
    changed = {after[i][:2] for i in after if after[i] != before[i]}
    assert {
        ("", "training"),
        ("", "n_calls"),
        ("", "seen"),
        ("", "loose"),
        ("", "in_a_list"),
        ("", "_buffers"),
        ("", "_parameters"),
    } <= changed
    now = global_state()
    assert {name for name in now if now[name] != world[name]} >= {
        "python",
        "numpy",
        "torch",
    }


@pytest.mark.parametrize("mode", [True, False])
def test_the_mode_is_described_as_it_is(mode):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.5)).train(mode)
    n_bytes = summarize(model, (3, 8, 8)).table["saved_bytes"].tolist()[2]
    assert (n_bytes > 0) is mode  # a dropped unit must be remembered


def test_a_hook_that_raises_is_not_run_and_stays():
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    model[0].register_forward_hook(_raise)
    assert summarize(model, (3, 8, 8)).n_parameters == 112
    with pytest.raises(KeyError, match="a hook that raises"):
        model(torch.rand(1, 3, 8, 8))


def test_the_same_call_twice_says_the_same():
    model = Busy()
    one, two = (summarize(model, (3, 8, 8)) for _ in range(2))
    assert one.table.equals(two.table)
    assert copy.deepcopy(one).table.equals(two.table)


def test_no_memory_of_the_model_or_the_example_is_kept():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    summary = summarize(model, example=torch.rand(1, 3, 8, 8))
    values = [*vars(summary).values(), *summary.table.to_numpy().ravel()]
    assert not any(isinstance(value, (torch.Tensor, nn.Module)) for value in values)
