"""Recorded activations and gradients: equal to a slow truth, in order, without residue."""

import inspect
from contextlib import nullcontext
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from coursekit.errors import SettingsError
from coursekit.inspection import record_activations, record_gradients

ARCHITECTURES = {
    "resnet18": (60, {}),
    "googlenet": (130, {"init_weights": False}),
    "densenet121": (366, {}),
}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def network(request):
    torch.manual_seed(0)
    _, settings = ARCHITECTURES[request.param]
    return getattr(torchvision.models, request.param)(weights=None, **settings)


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def small(*, inplace=True):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=inplace), nn.Flatten()
    )


def copied_at_each_call(model, images):
    """The slow truth: one clone a call, on a model whose in-place flags are off."""
    model = deepcopy(model)
    values = []
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
        if not list(module.children()):
            module.register_forward_hook(lambda m, i, o: values.append(o.detach().clone()))
    model(images)
    return values


def n_equal(recorded, truth):
    return sum(torch.equal(c.value, t) for c, t in zip(recorded, truth, strict=True))


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_activations_equal_one_clone_a_call(network, images, mode):
    model = deepcopy(network).train(mode == "train")
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    truth = copied_at_each_call(model, images)
    with torch.set_grad_enabled(mode == "train"), record_activations(model) as recorded:
        model(images)
    assert n_equal(recorded, truth) == len(truth)
    if mode == "eval":
        assert len(truth) in {n for n, _ in ARCHITECTURES.values()}


def test_the_truth_tells_a_missing_copy(network, images, monkeypatch):
    model = deepcopy(network).eval()
    truth = copied_at_each_call(model, images)
    keeper = inspect.unwrap(record_activations).__globals__["Keeper"]
    monkeypatch.setattr(keeper, "keep", lambda self, tensor: tensor.detach())
    with torch.no_grad(), record_activations(model) as recorded:
        model(images)
    assert n_equal(recorded, truth) < 0.8 * len(truth)


def test_copies_work_where_torch_has_no_lazy_ones(images, monkeypatch):
    model = small().eval()
    truth = copied_at_each_call(model, images)
    monkeypatch.delattr(torch, "_lazy_clone")
    with record_activations(model) as recorded:
        model(images)
    assert n_equal(recorded, truth) == 4


def test_gradients_equal_those_of_a_model_without_in_place_layers(
    network, images, monkeypatch
):
    model = deepcopy(network).eval()
    with record_gradients(model) as recorded:
        model(images).square().sum().backward()

    plain, outputs = deepcopy(network).eval(), []
    monkeypatch.setattr(F, "relu", lambda values, inplace=False: torch.relu(values))

    def keep(module, inputs, output):
        output.retain_grad()
        outputs.append(output)

    for module in plain.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
        if not list(module.children()):
            module.register_forward_hook(keep)
    plain(images).square().sum().backward()
    assert len(recorded) == len(outputs)
    for call, output in zip(recorded, outputs, strict=True):
        assert torch.equal(call.value, output.grad), call.name


def test_calls_stand_in_the_order_in_which_they_were_made():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.b, self.a = nn.Linear(2, 2), nn.ReLU(inplace=True)

        def forward(self, x):
            return self.a(self.b(self.a(x + 0)))

    model = Twice()
    with record_activations(model) as recorded:
        output = model(torch.randn(3, 2))
    assert [(c.name, c.index, c.type_name) for c in recorded] == [
        ("a", 0, "ReLU"),
        ("b", 0, "Linear"),
        ("a", 1, "ReLU"),
    ]
    assert torch.equal(recorded["a", 1], output)
    assert torch.equal(recorded["a", -1], recorded["a", 1])
    assert not torch.equal(recorded["a", 0], recorded["a", 1])
    with pytest.raises(SettingsError, match=r"called 2 times.*recorded\['a', 0\]"):
        recorded["a"]


def test_gradients_stand_in_the_order_of_the_forward_pass():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    with record_gradients(model) as recorded:
        model(torch.ones(1, 2)).sum().backward()
    assert [call.name for call in recorded] == ["0", "1", "2"]
    assert torch.equal(recorded["1"], model[2].weight.detach())
    assert torch.equal(recorded["2"], torch.ones(1, 1))


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        (None, ["0", "1", "2.0", "2.1"]),
        ("2.0", ["2.0"]),
        ("2.*", ["2.0", "2.1"]),
        ("*", ["0", "1", "2", "2.0", "2.1"]),
        ("", [""]),
        (nn.ReLU, ["1", "2.1"]),
        (["0", nn.ReLU], ["0", "1", "2.1"]),
        (nn.Sequential, ["", "2"]),
    ],
)
def test_modules_are_chosen_by_name_pattern_and_type(layers, names):
    model = nn.Sequential(
        nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    )
    with record_activations(model, layers) as recorded:
        model(torch.ones(1, 2))
    assert sorted(call.name for call in recorded) == names
    assert list(recorded.names) == names


class Pair(NamedTuple):
    first: Tensor
    rest: dict


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, x):
        x = self.inner(x)
        return Pair(x, {"twice": [2 * x, (x + 1,)], "text": "kept"})


def test_nested_outputs_are_copied_in_their_form():
    model = Nested()
    with record_activations(model, "") as recorded:
        output = model(torch.ones(1, 2))
    first = output.first.detach().clone()
    with torch.no_grad():
        output.first.zero_()
        output.rest["twice"][1][0].zero_()
    kept = recorded[""]
    assert isinstance(kept, Pair)
    assert torch.equal(kept.first, first)
    assert torch.equal(kept.rest["twice"][1][0], first + 1)
    assert kept.rest["text"] == "kept"


def test_gradients_of_nested_outputs_are_none_where_the_loss_does_not_look():
    model = Nested()
    with record_gradients(model, "") as recorded:
        model(torch.ones(1, 2)).rest["twice"][0].sum().backward()
    gradient = recorded[""]
    assert torch.equal(gradient.rest["twice"][0], torch.ones(1, 2))
    assert gradient.rest["twice"][1] == (None,)
    assert torch.equal(gradient.first, 2 * torch.ones(1, 2))


# -- values belong to the recording alone --------------------------------------------------


@pytest.mark.parametrize("layer", [nn.Identity(), nn.Flatten(), nn.Dropout().eval()])
def test_what_passes_through_is_copied_from_the_input(layer):
    array = np.ones((2, 3), np.float32)
    owned = torch.ones(2, 3)
    shared = owned.numpy()
    for images, writer in ((torch.from_numpy(array), array), (owned, shared)):
        model = nn.Sequential(layer)
        with record_activations(model) as recorded:
            model(images)
        writer[...] = 7  # behind torch's back
        assert torch.equal(recorded["0"], torch.ones(2, 3))


def test_what_a_part_returns_outside_a_pass_is_copied():
    model = nn.Sequential(nn.Identity(), nn.Linear(2, 2))
    values = torch.ones(1, 2)
    array = values.numpy()
    with record_activations(model) as recorded:
        model[0](values)
    array[...] = 7
    assert torch.equal(recorded["0"], torch.ones(1, 2))


def test_a_pass_that_failed_is_over():
    model = nn.Sequential(nn.Identity(), nn.Linear(2, 2))
    values = torch.ones(1, 2)
    array = values.numpy()
    with record_activations(model, "0") as recorded:
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            model(torch.ones(1, 3))
        recorded.clear()
        model[0](values)
    array[...] = 7
    assert torch.equal(recorded["0"], torch.ones(1, 2))


@pytest.mark.parametrize("writer", ["torch", "numpy"])
def test_later_writing_changes_neither_the_recording_nor_the_output(writer):
    model = nn.Sequential(nn.Linear(2, 2))
    with torch.no_grad(), record_activations(model) as recorded:
        output = model(torch.ones(1, 2))
    before = output.clone()
    if writer == "torch":
        output.fill_(7)
    else:
        output.numpy()[...] = 7
    assert torch.equal(recorded["0"], before)
    recorded["0"].zero_()
    assert torch.equal(output, torch.full((1, 2), 7.0))


def test_recording_does_not_change_what_the_model_computes(images):
    one, other = small(), small()
    with record_activations(one), record_gradients(one):
        loss = one(images).square().mean()
        loss.backward()
    expected = other(images).square().mean()
    expected.backward()
    assert torch.equal(loss, expected)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)


def test_recorded_values_have_no_gradients(images):
    model = small()
    with record_activations(model) as recorded:
        model(images)
    assert not any(call.value.requires_grad for call in recorded)


# -- statistics ----------------------------------------------------------------------------


def expected_statistics(parts):
    values = torch.cat([part.flatten().double() for part in parts])
    return (
        values.numel(),
        values.mean().item(),
        values.std(correction=0).item(),
        (values == 0).double().mean().item(),
        values.norm().item(),
    )


def test_statistics_of_activations_are_those_of_all_passes_together():
    model = small().eval()
    batches = [torch.randn(n, 3, 8, 8) for n in (3, 1, 2)]
    parts = {name: [] for name in "0123"}
    with torch.no_grad():
        for batch in batches:
            with record_activations(model) as whole:
                model(batch)
            for name, values in parts.items():
                values.append(whole[name])
        with record_activations(model, keep="statistics") as recorded:
            for batch in batches:
                model(batch)
    assert len(recorded) == 4
    for name, values in parts.items():
        assert recorded[name] == pytest.approx(expected_statistics(values), rel=1e-5)
    assert recorded["2"].zero_share > 0.2


def test_statistics_keep_the_calls_of_a_module_apart():
    relu = nn.ReLU()
    model = nn.Sequential(relu, nn.Linear(2, 2), relu)
    with record_activations(model, keep="statistics") as recorded:
        for _ in range(5):
            model(torch.ones(1, 2))
    assert [(call.name, call.index) for call in recorded] == [("0", 0), ("1", 0), ("0", 1)]
    assert recorded["0", 0].mean == 1.0
    assert recorded["0", 0].n_values == 10


def test_statistics_of_gradients_hold_the_norm_by_layer():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    images = torch.randn(5, 4)
    with (
        record_gradients(model) as whole,
        record_gradients(model, keep="statistics") as some,
    ):
        model(images).sum().backward()
    frame = some.to_frame().set_index("name")
    for name in ("0", "1", "2"):
        assert frame.loc[name, "norm"] == pytest.approx(whole[name].norm().item())
    assert list(frame.columns) == [
        "type", "call", "n_values", "mean", "deviation", "zero_share", "norm",
    ]  # fmt: skip


# -- no residue ----------------------------------------------------------------------------


def state_of(model):
    """Everything that a hook, a mode or a forward pass could leave behind."""
    state = {"random": torch.get_rng_state().tolist()}
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if "hooks" in key:
                state[name, key] = dict(value)
            elif key not in {"_parameters", "_buffers", "_modules"}:
                state[name, key] = repr(value)
    for name, tensor in model.state_dict(keep_vars=True).items():
        gradient = None if tensor.grad is None else tensor.grad.tolist()
        state[name] = (id(tensor), tensor.tolist(), tensor.requires_grad, gradient)
        state[name, "hooks"] = dict(tensor._backward_hooks or {})
    return state


@pytest.mark.parametrize("record", [record_activations, record_gradients])
@pytest.mark.parametrize("keep", ["values", "statistics"])
@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_as_it_was(record, keep, fails, images):
    model = small().eval()
    own = model[0].register_forward_hook(lambda m, i, o: None)
    before = state_of(model)
    with (
        pytest.raises(ZeroDivisionError) if fails else nullcontext(),
        record(model, keep=keep),
    ):
        model(images)
        assert state_of(model) != before  # the test can see hooks
        assert 1 / (not fails)
    assert state_of(model) == before
    own.remove()


@pytest.mark.parametrize("record", [record_activations, record_gradients])
def test_hooks_that_raise_leave_nothing_behind(record, images):
    model = small().eval()

    def fail(module, inputs, output):
        raise ZeroDivisionError

    handle = model[1].register_forward_hook(fail)
    before = state_of(model)
    with pytest.raises(ZeroDivisionError), record(model) as recorded:
        model(images)
    assert state_of(model) == before
    handle.remove()
    assert [call.name for call in recorded] == ["0"]


@pytest.mark.parametrize("record", [record_activations, record_gradients])
def test_layers_that_are_not_there_leave_nothing_behind(record):
    model = small()
    before = state_of(model)
    with pytest.raises(SettingsError, match="No module"), record(model, ["0", "none"]):
        pass
    assert state_of(model) == before


def test_hooks_on_a_kept_graph_are_removed():
    model = nn.Sequential(nn.Linear(2, 2))
    with record_gradients(model) as recorded:
        loss = model(torch.ones(1, 2)).sum()
    loss.backward()
    assert recorded["0"] is None


def test_nothing_is_recorded_after_the_block(images):
    model = small()
    with record_activations(model) as recorded:
        model(images)
    model(images)
    assert len(recorded) == 4


def test_nested_use_records_twice(images):
    model = small().eval()
    with record_activations(model) as outer:
        with record_activations(model, nn.ReLU) as inner:
            model(images)
        model(images)
    assert len(inner) == 1
    assert len(outer) == 8
    assert torch.equal(inner["2"], outer["2", 0])
    assert inner["2"].data_ptr() != outer["2", 0].data_ptr()


def test_repeated_use_keeps_earlier_values(images):
    model = small().eval()
    with record_activations(model) as first:
        model(images)
    kept = first["0"].clone()
    with record_activations(model) as second:
        model(2 * images)
        second.clear()
        model(images)
    assert torch.equal(first["0"], kept)
    assert torch.equal(second["0"], kept)


# -- wrapped models ------------------------------------------------------------------------


def test_a_data_parallel_model_on_one_device_is_looked_through(images):
    model = small().eval()
    with record_activations(nn.DataParallel(model), "1") as recorded:
        nn.DataParallel(model)(images)
    assert recorded["1"].shape == (2, 4, 62, 62)


def test_a_data_parallel_model_on_several_devices_is_refused_with_the_remedy():
    model = nn.DataParallel(small())
    model.device_ids = [0, 1]
    with (
        pytest.raises(SettingsError, match=r"2 copies.*model\.module"),
        record_activations(model),
    ):
        pass


class Written(nn.Sequential):
    """Torch 2.6 does not compile the `forward` of its own containers."""

    def forward(self, inputs):
        return super().forward(inputs)


# What torch says to the first patch release of Python 3.13, here an error.
@pytest.mark.filterwarnings("ignore:Guards may run slower:RuntimeWarning")
@pytest.mark.parametrize("compiling", ["function", "method", "part"])
def test_a_compiled_model_runs_uncompiled_inside_the_block(compiling, images):
    n_compiled = []

    def backend(graph, example):
        n_compiled.append(1)
        return graph.forward

    model = Written(*small()).eval()
    truth = copied_at_each_call(model, images)
    if compiling == "function":
        called = torch.compile(model, backend=backend)
    elif compiling == "method":
        model.compile(backend=backend)
        called = model
    else:
        called = nn.Sequential(torch.compile(model, backend=backend))
    with torch.no_grad():
        called(images)
        n_before = len(n_compiled)
        assert n_before
        with record_activations(called) as recorded:
            output = called(images)
        assert n_equal(recorded, truth) == 4
        assert torch.allclose(called(images), output)
    assert len(n_compiled) == n_before  # still compiled, and not again


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_traced_model_is_refused():
    traced = torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2))
    with (
        pytest.raises(SettingsError, match="scripted or traced"),
        record_activations(traced),
    ):
        pass


# -- misuse --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": "resnet18"}, "must be an nn.Module, got str"),
        ({"layers": "conv1"}, r"called 'conv1'.*named_modules"),
        ({"layers": nn.LSTM}, r"no LSTM. Its types are: BatchNorm2d"),
        ({"layers": []}, "at least one module"),
        ({"layers": [3]}, "by name, pattern or type, got int 3"),
        ({"keep": "mean"}, "'values' or 'statistics', got 'mean'"),
    ],
)
@pytest.mark.parametrize("record", [record_activations, record_gradients])
def test_misuse_is_explained(record, arguments, words):
    with (
        pytest.raises(SettingsError, match=words),
        record(**{"model": small()} | arguments),
    ):
        pass


def test_asking_for_what_was_not_recorded_is_explained(images):
    model = nn.MultiheadAttention(4, 2)
    with record_activations(model) as recorded:
        model(*[torch.ones(1, 1, 4)] * 3)
    assert recorded.never_called == ("out_proj",)
    assert "out_proj" not in recorded
    with pytest.raises(SettingsError, match="was not called"):
        recorded["out_proj"]
    with pytest.raises(
        SettingsError, match=r"'conv' is not recorded. Recorded are: 'out_p"
    ):
        recorded["conv"]


def test_a_call_that_was_not_made_is_explained(images):
    model = small()
    with record_activations(model) as recorded:
        model(images)
    with pytest.raises(SettingsError, match="called 1 times, got call 1, counted from 0"):
        recorded["0", 1]


def test_a_recording_says_what_it_holds(images):
    model = small()
    with record_activations(model) as recorded:
        model(images)
    assert repr(recorded) == "Recording(activations: 4 calls of 4 modules)"
    assert recorded.to_frame()["shape"].tolist()[0] == (2, 4, 62, 62)


def test_a_long_training_holds_few_handles():
    model = nn.Sequential(nn.Linear(2, 2))
    with record_gradients(model, keep="statistics") as recorded:
        for _ in range(1500):
            model(torch.ones(1, 2)).sum().backward()
    assert recorded["0"].n_values == 3000
