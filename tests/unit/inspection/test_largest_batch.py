"""The search for the largest batch: its policy, its counting, and what it leaves behind."""

import gc
import weakref

import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from coursekit.errors import SettingsError, ShapeError
from coursekit.inspection import Trial, largest_batch, measure_saved_bytes, summarize
from coursekit.inspection.batch_search import is_out_of_memory, search_largest
from coursekit.inspection.batch_size import measure_step
from coursekit.inspection.live_saved import LiveSavedBytes

MIB = 2**20
CPU = torch.device("cpu")


def cnn():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(8 * 30 * 30, 10),
    )


# -- the policy ----------------------------------------------------------------------------


def fits_up_to(largest):
    def attempt(size):
        if size > largest:
            msg = "CUDA out of memory. Tried to allocate 2.00 GiB"
            raise torch.OutOfMemoryError(msg)
        return Trial(size, fits=True, n_bytes=size)

    return attempt


@given(largest=st.integers(0, 3000), limit=st.integers(1, 2000), first=st.integers(1, 64))
def test_the_search_finds_what_trying_every_size_would(largest, limit, first):
    def attempt(size):
        assert 1 <= size <= limit
        return Trial(size, size <= largest, None)

    trials = search_largest(attempt, limit=limit, first=first)
    found = max((trial.size for trial in trials if trial.fits), default=0)
    assert found == min(largest, limit)
    sizes = [trial.size for trial in trials]
    assert len(set(sizes)) == len(sizes) <= 2 * limit.bit_length() + 1


def test_running_out_of_memory_is_survived():
    trials = search_largest(fits_up_to(37), limit=4096)
    assert max(trial.size for trial in trials if trial.fits) == 37
    assert [trial.size for trial in trials[:7]] == [1, 2, 4, 8, 16, 32, 64]
    assert trials[6] == Trial(64, fits=False, n_bytes=None)


def test_what_an_attempt_held_is_freed_before_the_next_one():
    held = []

    class Block:
        pass

    def attempt(size):
        assert [one() for one in held] == [None] * len(held)
        block, circle = Block(), []
        circle.append((circle, block))
        held.append(weakref.ref(block))
        if size > 5:
            msg = "out of memory"
            raise RuntimeError(msg)
        circle.clear()
        return Trial(size, fits=True, n_bytes=None)

    trials = search_largest(attempt, limit=100)
    assert max(trial.size for trial in trials if trial.fits) == 5


def test_other_errors_are_not_swallowed():
    def attempt(size):
        msg = "mat1 and mat2 shapes cannot be multiplied"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        search_largest(attempt, limit=8)


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (torch.OutOfMemoryError("x"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory."), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: ...)"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), True),
        (RuntimeError("shape '[2]' is invalid"), False),
        (ValueError("out of memory"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_lack_of_memory_is_told_from_other_errors(error, answer):
    assert is_out_of_memory(error) is answer


# -- on a CPU: within a budget -------------------------------------------------------------


@pytest.mark.parametrize("name", ["alexnet", "resnet18", "mobilenet_v2"])
def test_saved_bytes_are_those_that_a_real_forward_pass_saves(name):
    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(weights=None)
    counted = measure_saved_bytes(model, (3, 64, 64), batch_size=3)
    with LiveSavedBytes() as saved:
        output = model(torch.zeros(3, 3, 64, 64))
        real = saved.read()[0]
    del output
    assert counted == pytest.approx(real, rel=0.01)  # live ones count buffers too
    whole = summarize(model, (3, 64, 64), batch_size=3, device="meta").saved_bytes
    assert counted == whole


def test_the_largest_batch_is_the_last_within_the_budget():
    model, budget = cnn(), 3 * MIB
    found = largest_batch(model, (3, 32, 32), budget_bytes=budget)
    assert found.n_bytes == measure_saved_bytes(
        model, (3, 32, 32), batch_size=found.batch_size
    )
    assert found.n_bytes <= budget
    more = measure_saved_bytes(model, (3, 32, 32), batch_size=found.batch_size + 1)
    assert more > budget
    assert not found.is_limit
    assert "LargestBatch(" in repr(found)
    assert "saved for backward of 3.0 MiB" in repr(found)


def test_a_budget_larger_than_the_machine_takes_no_memory():
    model = cnn()
    found = largest_batch(model, (3, 32, 32), budget_bytes=2**50, limit=2**24)
    assert found.batch_size == 2**24
    assert found.is_limit
    assert repr(found).startswith("LargestBatch(at least 16777216")


def test_bytes_to_keep_free_are_taken_off_the_budget():
    model = cnn()
    less = largest_batch(model, (3, 32, 32), budget_bytes=3 * MIB, reserve_bytes=MIB)
    assert (
        less.batch_size
        == largest_batch(model, (3, 32, 32), budget_bytes=2 * MIB).batch_size
    )


def test_a_model_whose_layers_need_values_is_measured_on_small_batches():
    class Choosing(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            y = self.layer(x)
            return y.exp() if y.sum().item() > -1e9 else y

    model = Choosing()
    for n in (1, 5, 100):
        with LiveSavedBytes() as saved:
            output = model(torch.zeros(n, 4))
            real = saved.read()[0]
        del output
        assert measure_saved_bytes(model, (4,), batch_size=n) == real


def test_a_model_that_cannot_train_on_one_image_has_a_largest_batch():
    model = nn.Sequential(nn.Conv2d(3, 4, 8), nn.BatchNorm2d(4))
    two = measure_saved_bytes(model, (3, 8, 8), batch_size=2)
    assert largest_batch(model, (3, 8, 8), budget_bytes=two).batch_size == 2
    with pytest.raises(SettingsError, match="Not even a batch of 1 fits"):
        largest_batch(model, (3, 8, 8), budget_bytes=two - 1)


# -- a step for real -----------------------------------------------------------------------


class RunsOut(nn.Module):
    """Says that there is no memory from a batch of some size on, forward or backward."""

    def __init__(self, most, where):
        super().__init__()
        self.inner, self.most, self.where = cnn(), most, where
        self.largest_seen = 0

    def forward(self, images):
        self.largest_seen = max(self.largest_seen, len(images))
        output = self.inner(images)
        if self.where == "forward":
            self._check(len(images))
        else:
            output.register_hook(lambda gradient: self._check(len(images)))
        return output

    def _check(self, n_images):
        if n_images > self.most:
            msg = "CUDA out of memory. Tried to allocate 20.00 GiB"
            raise torch.OutOfMemoryError(msg)


def state_of(model):
    state = {"random": torch.get_rng_state().tolist()}
    for name, tensor in model.state_dict(keep_vars=True).items():
        gradient = None if tensor.grad is None else (id(tensor.grad), tensor.grad.tolist())
        state[name] = (id(tensor), tensor.tolist(), tensor.requires_grad, gradient)
    for name, module in model.named_modules():
        state[name, "mode"] = module.training
        state[name, "hooks"] = (len(module._forward_hooks), len(module._backward_hooks))
    return state


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("most", [1, 5])
def test_steps_are_made_until_one_runs_out(most, where, monkeypatch):
    model = RunsOut(most, where)
    model.inner[1].eval()
    monkeypatch.setitem(largest_batch.__globals__, "makes_steps", lambda device: True)
    before = state_of(model)
    found = largest_batch(model, (3, 32, 32), limit=16)
    assert found.batch_size == most
    assert found.n_bytes is None
    assert found.what == "allocated"
    assert model.largest_seen <= 2 * most + 1
    assert state_of(model) == before


def n_tensors():
    gc.collect()
    return sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects())


@pytest.mark.parametrize("fails", [False, True])
def test_a_step_leaves_no_tensor_and_no_change_behind(fails):
    model = RunsOut(most=2, where="backward").eval()
    model(torch.zeros(2, 3, 32, 32)).sum().backward()  # gradients of somebody else
    before = state_of(model)
    n_before = n_tensors()
    if fails:
        with pytest.raises(torch.OutOfMemoryError):
            measure_step(model, (3, 3, 32, 32), device=CPU)
    else:
        measure_step(model, (2, 3, 32, 32), device=CPU)
    assert n_tensors() <= n_before
    model.largest_seen = 2
    assert state_of(model) == before


# -- left as it was, and misuse ------------------------------------------------------------


@pytest.mark.parametrize("fails", [False, True])
def test_counting_leaves_the_model_as_it_was(fails):
    model = cnn()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    before = state_of(model)
    if fails:
        with pytest.raises(ShapeError):
            largest_batch(model, (3, 31, 31), budget_bytes=MIB)
    else:
        largest_batch(model, (3, 32, 32), budget_bytes=MIB)
    assert state_of(model) == before


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"budget_bytes": None}, SettingsError, r"On a CPU.*budget_bytes=2 \* 2\*\*30"),
        ({"budget_bytes": 0}, SettingsError, "at least 1"),
        ({"limit": 0}, SettingsError, "at least 1"),
        ({"reserve_bytes": -1}, SettingsError, "not negative"),
        (
            {"budget_bytes": 1000},
            SettingsError,
            r"batch of 1 fits.* in a budget of 0.0 MiB",
        ),
        ({"shape": ()}, ShapeError, "of one image"),
        ({"shape": (3, 0, 32)}, ShapeError, "of one image"),
        ({"shape": (1, 32, 32)}, ShapeError, r"cannot read.*\(channels, height, width\)"),
        ({"model": "resnet18"}, SettingsError, "must be an nn.Module, got str"),
        ({"model": nn.ReLU()}, SettingsError, "no parameters to train"),
    ],
)
def test_misuse_is_explained(arguments, error, words):
    given = {"model": cnn(), "shape": (3, 32, 32), "budget_bytes": MIB} | arguments
    with pytest.raises(error, match=words):
        largest_batch(given.pop("model"), given.pop("shape"), **given)
