"""Memory: saved bytes while they live, timelines, the search for a batch, and giving back."""

import gc
import threading
import time
import weakref
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from coursekit.errors import SettingsError, ShapeError
from coursekit.inspection import (
    largest_batch,
    measure_saved_bytes,
    release,
    track_memory,
)
from coursekit.inspection.memory import (
    DeviceMemory,
    MemorySample,
    MemoryTimeline,
    Phase,
    Trial,
    list_quantities,
    search_largest,
)

KIB, MIB = 1024, 2**20
NOT_MEASURED = "not measured (no CUDA device)"


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def leaf(n_kib=1):
    return torch.ones(n_kib * KIB // 4, requires_grad=True)


def saved_at(timeline):
    return timeline.mark("now").saved_bytes


# -- what is saved for backward ----------------------------------------------------------------


def test_bytes_are_followed_until_they_are_freed():
    with track_memory() as timeline:
        values = leaf().exp()
        assert saved_at(timeline) == KIB
        loss = values.exp().sum()
        del values
        assert saved_at(timeline) == 2 * KIB
        loss.backward()
        assert saved_at(timeline) == 0
        dropped = leaf().exp().sum()
        del dropped
        gc.collect()
        assert saved_at(timeline) == 0
    assert timeline.peaks()["saved_bytes"] == 2 * KIB


def test_memory_saved_twice_counts_once_and_a_view_counts_as_its_whole():
    with track_memory() as timeline:
        values = leaf(4).exp()
        kept = [values.sin(), values[:10].cos(), values.square()]
        assert saved_at(timeline) == 4 * KIB
        del kept


def test_parameters_do_not_count_and_the_input_does():
    layer = nn.Linear(256, 256)
    with track_memory() as timeline:
        output = layer(torch.ones(2, 256)).sigmoid()
        assert saved_at(timeline) == 2 * 2 * 256 * 4
        del output


def test_a_real_pass_saves_what_was_predicted():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(8, 8, 3)
    )
    with track_memory() as timeline:
        output = model(torch.zeros(5, 3, 16, 16))
        counted = saved_at(timeline)
        del output
    assert counted == measure_saved_bytes(model, (3, 16, 16), batch_size=5)


@pytest.mark.parametrize("is_tracked", [False, True])
def test_a_value_that_was_overwritten_is_still_an_error(is_tracked):
    def run():
        values = leaf().exp()
        loss = values.sin().sum()
        values.mul_(2)
        loss.backward()

    with (
        track_memory() if is_tracked else nullcontext(),
        pytest.raises(RuntimeError, match="modified by an inplace operation"),
    ):
        run()


def test_gradients_are_the_same_inside_a_block():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True))
    images, found = torch.randn(4, 1, 6, 6), []
    for context in (nullcontext, track_memory):
        model.zero_grad()
        with context():
            loss = model(images).square().sum()
            loss.backward(retain_graph=True)
            loss.backward()
        found.append([parameter.grad.clone() for parameter in model.parameters()])
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))
    start = torch.tensor(0.5, requires_grad=True)
    with track_memory():
        (first,) = torch.autograd.grad(start.sin(), start, create_graph=True)
        (second,) = torch.autograd.grad(first, start)
    assert second.item() == pytest.approx(-torch.tensor(0.5).sin().item())


def test_checkpointed_activations_are_not_saved():
    layers = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
    images, found = torch.ones(4, 64, requires_grad=True), []
    for run in (layers, lambda x: checkpoint(layers, x, use_reentrant=False)):
        with track_memory() as timeline:
            loss = run(images).sum()
            found.append(saved_at(timeline))
            loss.backward()
            assert saved_at(timeline) == 0
    assert found[1] < found[0] / 2


def test_sparse_tensors_are_let_through():
    with track_memory() as timeline:
        vector = torch.ones(8, 1, requires_grad=True)
        torch.sparse.mm(torch.eye(8).to_sparse(), vector.exp()).sum().backward()
        assert saved_at(timeline) == 0


# -- over time ---------------------------------------------------------------------------------


def test_each_phase_has_its_own_peak_and_holds_the_phases_inside_it(no_gpu):
    with track_memory() as timeline:
        with timeline.phase("outer"):
            with timeline.phase("inner"):
                leaf(64).exp().sum()
            with timeline.phase("small"):
                leaf(8).exp().sum()
        for n_kib in (8, 16, 4):
            with timeline.phase("step"):
                leaf(n_kib).exp().sum()
        with timeline.phase("none"), torch.no_grad():
            leaf(64).exp().sum()
    expected = {"outer": 64, "inner": 64, "small": 8, "step": 16, "none": 0}
    found = {name: timeline.peaks(name)["saved_bytes"] // KIB for name in expected}
    assert found == expected
    assert timeline.peaks()["saved_bytes"] == 64 * KIB
    report = timeline.report()
    assert report.index.tolist() == ["whole", *expected]
    lasted = sum(p.end - p.begin for p in timeline.phases if p.name == "step")
    assert report.loc["step", "lasts (s)"] == pytest.approx(lasted, abs=2e-3)
    for column in ("GPU allocated (MiB)", "GPU reserved (MiB)", "GPU driver (MiB)"):
        assert report[column].tolist() == [NOT_MEASURED] * 6
    assert timeline.peaks()["driver_bytes"] is None  # not 0


def test_a_mark_is_the_value_at_its_moment():
    with track_memory() as timeline:
        loss = leaf(64).exp().sum()
        held = timeline.mark("held")
        del loss
        timeline.mark("dropped")
    assert held.saved_bytes == 64 * KIB
    report = timeline.report()
    assert report.loc["held", "saved for backward (MiB)"] == 0.1
    assert report.loc["dropped", "saved for backward (MiB)"] == 0.0
    assert report["kind"].tolist() == ["whole", "mark", "mark"]


def test_the_thread_sees_memory_that_comes_and_goes():
    with track_memory(interval_seconds=0.005) as timeline:
        before = timeline.mark("before").resident_bytes
        block = torch.ones(200 * MIB // 4)
        time.sleep(0.1)
        del block
        after = timeline.mark("after").resident_bytes
    peak = timeline.peaks()["resident_bytes"]
    assert peak > max(before, after) + 150 * MIB


def test_samples_of_both_threads_stand_in_order_of_time():
    with track_memory(interval_seconds=0.001) as timeline:
        for index in range(200):
            timeline.mark(f"mark {index}")
    seconds = [sample.seconds for sample in timeline.samples]
    assert seconds == sorted(set(seconds))


@pytest.mark.skipif(
    not hasattr(time, "pthread_getcpuclockid"), reason="no clock of a thread"
)
def test_sampling_takes_under_one_percent_of_the_processor_however_short_the_interval():
    with track_memory(interval_seconds=1e-4):
        (sampler,) = [t for t in threading.enumerate() if t.name == "memory sampler"]
        clock = time.pthread_getcpuclockid(sampler.ident)
        began, before = time.perf_counter(), time.clock_gettime(clock)
        time.sleep(1.0)
        used, lasted = time.clock_gettime(clock) - before, time.perf_counter() - began
    assert used < 0.01 * lasted


@pytest.mark.parametrize("fails", [False, True])
def test_the_thread_and_the_hooks_end_with_the_block(fails):
    before = set(threading.enumerate())
    try:
        with track_memory() as timeline, timeline.phase("phase"):
            assert len(set(threading.enumerate())) == len(before) + 1
            assert 1 / (not fails)
    except ZeroDivisionError:
        assert fails
    assert set(threading.enumerate()) == before
    assert timeline.phases[0].end <= timeline.samples[-1].seconds
    node = leaf().exp().grad_fn  # torch refuses hooks where there are some
    node._raw_saved_result.register_hooks(lambda tensor: tensor, lambda tensor: tensor)


def test_after_the_end_and_for_an_unknown_phase_the_remedy_is_said():
    with track_memory() as timeline, timeline.phase("forward"):
        pass
    with pytest.raises(SettingsError, match="is over"):
        timeline.mark("late")
    with pytest.raises(SettingsError, match=r"no phase 'backward'. Phases are: 'forward'"):
        timeline.peaks("backward")


# -- several devices, from made-up samples -----------------------------------------------------


def made_up(seconds, *devices):
    return MemorySample(seconds, MIB, 0, 0, tuple(DeviceMemory(*d) for d in devices))


def test_peaks_of_each_device_come_from_the_samples_of_the_phase(no_gpu):
    timeline = MemoryTimeline(lambda: (0, 0))
    timeline.quantities = list_quantities(
        ("cuda:0", "cuda:1"), {"saved": None, "allocator": None, "driver": None}
    )
    timeline.samples = [
        made_up(0.0, (1, 90, 5, 95, 7), (2 * MIB, 0, 0, 0, None)),
        made_up(1.0, (2, 30, 6, 40, 9), (3, 4, 5, 6, None)),
        made_up(2.0, (1, 99, 5, 99, 8), (0, 9, 0, 9, None)),
    ]
    timeline.phases = [Phase("phase", 0.0, 1.0)]
    found = timeline.peaks("phase")
    assert found["allocated_bytes cuda:0"] == 30  # the 90 was before the phase
    assert found["reserved_bytes cuda:0"] == 40
    assert found["driver_bytes cuda:0"] == 9
    assert found["driver_bytes cuda:1"] is None
    whole = timeline.report().loc["whole"]
    assert whole["GPU allocated cuda:1 (MiB)"] == 2.0
    assert whole["GPU driver cuda:1 (MiB)"] == "not measured (no answer)"


# -- the largest batch -------------------------------------------------------------------------


def cnn():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 30 * 30, 10))


@pytest.mark.parametrize("first", [1, 2, 7])
@pytest.mark.parametrize("limit", [1, 2, 100, 4096])
@pytest.mark.parametrize("largest", [0, 1, 5, 64, 99, 5000])
def test_the_search_finds_what_trying_every_size_would(largest, limit, first):
    def attempt(size):
        assert 1 <= size <= limit
        return Trial(size, size <= largest, None)

    trials = search_largest(attempt, limit=limit, first=first)
    found = max((trial.size for trial in trials if trial.fits), default=0)
    assert found == min(largest, limit)
    sizes = [trial.size for trial in trials]
    assert len(set(sizes)) == len(sizes) <= 2 * limit.bit_length() + 1


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("x"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_running_out_of_memory_is_survived_and_what_was_held_is_freed(error):
    held = []

    class Block:
        pass

    def attempt(size):
        assert [one() for one in held] == [None] * len(held)
        block, circle = Block(), []
        circle.append((circle, block))
        held.append(weakref.ref(block))
        if size > 5:
            raise type(error)(*error.args)
        circle.clear()
        return Trial(size, fits=True, n_bytes=None)

    trials = search_largest(attempt, limit=100)
    assert max(trial.size for trial in trials if trial.fits) == 5
    assert trials[3] == Trial(8, fits=False, n_bytes=None)


def test_other_errors_are_not_swallowed():
    def attempt(size):
        msg = "mat1 and mat2 shapes cannot be multiplied"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        search_largest(attempt, limit=8)


def test_the_largest_batch_is_the_last_within_the_budget():
    model, budget = cnn().eval(), 3 * MIB
    found = largest_batch(model, (3, 32, 32), budget_bytes=budget)
    fits, more = (
        measure_saved_bytes(model, (3, 32, 32), batch_size=found.batch_size + extra)
        for extra in (0, 1)
    )
    assert fits <= budget < more
    assert Trial(found.batch_size, True, fits) in found.trials
    assert not model.training


def test_a_budget_larger_than_the_machine_takes_no_memory():
    found = largest_batch(cnn(), (3, 32, 32), budget_bytes=2**50, limit=2**24)
    assert found.batch_size == 2**24


def test_a_model_that_cannot_train_on_one_image_has_a_largest_batch():
    model = nn.Sequential(nn.Conv2d(3, 4, 8), nn.BatchNorm2d(4))
    two = measure_saved_bytes(model, (3, 8, 8), batch_size=2)
    assert largest_batch(model, (3, 8, 8), budget_bytes=two).batch_size == 2
    with pytest.raises(SettingsError, match="Not even a batch of 1 fits"):
        largest_batch(model, (3, 8, 8), budget_bytes=two - 1)


@pytest.mark.parametrize(
    ("shape", "budget", "error", "words"),
    [
        ((3, 32, 32), None, SettingsError, r"On a CPU.*budget_bytes=2 \* 2\*\*30"),
        ((3, 32, 32), 1000, SettingsError, r"batch of 1 fits: it takes 0\.\d MiB"),
        ((1, 32, 32), MIB, ShapeError, "fails on an input of shape.*without the batch"),
    ],
)
def test_misuse_is_explained(shape, budget, error, words):
    with pytest.raises(error, match=words):
        largest_batch(cnn(), shape, budget_bytes=budget)


# -- giving back -------------------------------------------------------------------------------


def test_release_collects_circles_and_leaves_what_has_a_name(no_gpu):
    class Circle:
        def __init__(self):
            self.me = self
            self.block = torch.ones(100 * MIB // 4)

    named = torch.ones(1000)
    release()
    Circle()
    freed = release()
    assert freed["resident_bytes"] > 90 * MIB
    assert freed["reserved_bytes"] is None  # not 0
    assert named.sum() == 1000


# -- on a GPU ----------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_allocated_peaks_are_exact_and_steps_are_made():
    with track_memory() as timeline, timeline.phase("block"):
        block = torch.ones(64 * MIB // 4, device="cuda")
        del block
    peaks = timeline.peaks("block")
    key = next(key for key in peaks if key.startswith("allocated_bytes"))
    assert peaks[key] >= 64 * MIB
    model = cnn().cuda()
    before = [value.clone() for value in model.state_dict().values()]
    found = largest_batch(model, (3, 32, 32), budget_bytes=64 * MIB)
    assert 1 < found.batch_size < 4096
    assert all(map(torch.equal, before, model.state_dict().values()))
    assert all(parameter.grad is None for parameter in model.parameters())
