"""Memory: saved bytes while they live, timelines, the search for a batch, and giving back."""

import gc
import threading
import time
import weakref
from contextlib import nullcontext, suppress

import pytest
import torch
from torch import nn

from coursekit.errors import SettingsError, ShapeError
from coursekit.inspection import largest_batch, memory, release, track_memory

KIB, MIB = 1024, 2**20


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def leaf(n_kib=1):
    return torch.ones(n_kib * KIB // 4, requires_grad=True)


# -- what is saved for backward ----------------------------------------------------------------


def test_bytes_are_followed_until_they_are_freed():
    with track_memory() as timeline:
        values = leaf().exp()
        assert timeline.mark("now")["saved_bytes"] == KIB
        loss = values.exp().sum()
        del values
        assert timeline.mark("now")["saved_bytes"] == 2 * KIB
        loss.backward()
        assert timeline.mark("now")["saved_bytes"] == 0
        dropped = leaf().exp().sum()
        del dropped
        gc.collect()
        assert timeline.mark("now")["saved_bytes"] == 0
    assert timeline.peaks()["saved_bytes"] == 2 * KIB


def test_memory_counts_once_a_view_as_its_whole_and_parameters_not_at_all():
    layer = nn.Linear(KIB, 3)
    with track_memory() as timeline:
        values = leaf(4).exp()
        kept = [values.sin(), values[:10].cos(), values.square(), layer(values)]
        assert timeline.mark("now")["saved_bytes"] == 4 * KIB
        del kept


def test_a_value_that_was_overwritten_is_still_an_error():
    with track_memory():
        values = leaf().exp()
        loss = values.sin().sum()
        values.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def test_gradients_are_the_same_inside_a_block():
    start, found = torch.tensor(0.5, requires_grad=True), []
    for context in (nullcontext, track_memory):
        with context():
            (first,) = torch.autograd.grad(start.sin().exp(), start, create_graph=True)
            found.append((first, *torch.autograd.grad(first, start)))
    assert found[0] == found[1]


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
    lasted = sum(span.end - span.begin for span in timeline.spans if span.name == "step")
    assert report.loc["step", "lasts (s)"] == pytest.approx(lasted, abs=2e-3)
    for column in ("GPU allocated (MiB)", "GPU reserved (MiB)", "GPU driver (MiB)"):
        assert report[column].tolist() == ["not measured (no CUDA device)"] * 6
    assert timeline.peaks()["driver_bytes"] is None  # not 0


def test_a_mark_is_the_value_at_its_moment():
    with track_memory() as timeline:
        loss = leaf(64).exp().sum()
        timeline.mark("held")
        del loss
        timeline.mark("dropped")
    report = timeline.report()
    assert report.loc["held", "saved for backward (MiB)"] == 0.1
    assert report.loc["dropped", "saved for backward (MiB)"] == 0.0
    assert report["kind"].tolist() == ["whole", "mark", "mark"]


def test_the_thread_sees_memory_that_comes_and_goes():
    with track_memory(interval_seconds=0.005) as timeline:
        before = timeline.mark("before")["resident_bytes"]
        block = torch.ones(200 * MIB // 4)
        time.sleep(0.1)
        del block
        after = timeline.mark("after")["resident_bytes"]
    peak = timeline.peaks()["resident_bytes"]
    assert peak > max(before, after) + 150 * MIB


def test_samples_of_both_threads_stand_in_order_of_time():
    with track_memory(interval_seconds=0.001) as timeline:
        for index in range(200):
            timeline.mark(f"mark {index}")
    seconds = [sample["seconds"] for sample in timeline.samples]
    assert seconds == sorted(set(seconds))


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="no such clock")
def test_sampling_takes_under_one_percent_of_the_processor_however_short_the_interval():
    with track_memory(interval_seconds=1e-4):
        (sampler,) = [t for t in threading.enumerate() if t.name == "memory sampler"]
        clock = time.pthread_getcpuclockid(sampler.ident)
        began, before = time.perf_counter(), time.clock_gettime(clock)
        time.sleep(1.0)
        used, lasted = time.clock_gettime(clock) - before, time.perf_counter() - began
    assert used < 0.01 * lasted


def test_the_thread_and_the_hooks_end_with_a_block_that_fails():
    before = set(threading.enumerate())
    with suppress(KeyError), track_memory() as timeline, timeline.phase("phase"):
        assert len(set(threading.enumerate())) == len(before) + 1
        {}["nothing"]
    assert set(threading.enumerate()) == before
    assert timeline.spans[1].end <= timeline.samples[-1]["seconds"]
    node = leaf().exp().grad_fn  # torch refuses hooks where there are some
    node._raw_saved_result.register_hooks(lambda tensor: tensor, lambda tensor: tensor)


@pytest.fixture
def gpu(monkeypatch):
    """Stand for `torch.cuda`; give the function that sets how many bytes are allocated."""
    held = {"current": 0, "peak": 0}
    fakes = {
        "is_available": lambda: True,
        "current_device": lambda: 0,
        "memory_stats": lambda _: {
            f"{kind}_bytes.all.{when}": factor * held[when]
            for kind, factor in (("allocated", 1), ("reserved", 2))
            for when in held
        },
        "mem_get_info": lambda _: (1000 - 3 * held["current"], 1000),
        "reset_peak_memory_stats": lambda _: held.update(peak=held["current"]),
        "max_memory_allocated": lambda _: held["peak"],
        "get_rng_state": lambda _: None,
        "set_rng_state": lambda *_: None,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return lambda n_bytes: held.update(current=n_bytes, peak=max(n_bytes, held["peak"]))


def test_peaks_of_a_gpu_are_those_of_the_phase(gpu):
    with track_memory(interval_seconds=60) as timeline:
        gpu(90)
        gpu(10)
        with timeline.phase("phase"):
            gpu(40)
            gpu(20)
        gpu(99)
    peaks = timeline.peaks("phase")
    assert peaks["allocated_bytes"] == 40  # the 90 was before the phase
    assert peaks["reserved_bytes"] == 80
    assert peaks["driver_bytes"] == 60  # at its end: the driver tells no peak
    assert timeline.peaks()["allocated_bytes"] == 99
    assert timeline.report().loc["phase", "GPU allocated (MiB)"] == 0.0


# -- the largest batch -------------------------------------------------------------------------


def cnn():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 30 * 30, 10))


@pytest.mark.parametrize("largest", [1, 2, 99, 4095, 5000])
def test_the_search_finds_what_trying_every_size_would(largest, monkeypatch):
    monkeypatch.setattr(memory, "measure_saved_bytes", lambda *_, batch_size: batch_size)
    found = largest_batch(nn.Linear(1, 1), (1,), budget_bytes=largest)
    assert found.batch_size == min(largest, 4096)
    assert len({trial.size for trial in found.trials}) == len(found.trials) <= 25
    assert all(trial.fits == (trial.size <= largest) for trial in found.trials)


def test_running_out_of_memory_is_survived_and_what_was_held_is_freed(monkeypatch):
    held = []

    def run_out(*_, batch_size):
        assert [one() for one in held] == [None] * len(held)
        circle = nn.Identity()
        circle.itself = [circle]
        held.append(weakref.ref(circle))
        if batch_size > 5:
            msg = "CUDA out of memory. Tried to allocate 2.00 GiB"
            raise torch.OutOfMemoryError(msg)
        circle.itself.clear()
        return 0

    monkeypatch.setattr(memory, "measure_saved_bytes", run_out)
    assert largest_batch(nn.Linear(1, 1), (1,), budget_bytes=1).batch_size == 5


def test_a_step_on_a_gpu_leaves_the_model_as_it_was(gpu):
    model = cnn().eval()
    before = [value.clone() for value in model.state_dict().values()]
    gpu(70)
    images, device, random = (4, 3, 32, 32), torch.device("cpu"), torch.get_rng_state()
    assert memory._measure_step(model, images, device) == 70
    assert torch.equal(random, torch.get_rng_state())
    assert all(map(torch.equal, before, model.state_dict().values()))
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("shape", "budget", "error", "words"),
    [
        ((3, 32, 32), None, SettingsError, r"On a CPU.*budget_bytes=2 \* 2\*\*30"),
        ((3, 32, 32), 1000, SettingsError, "Not even a batch of 1 fits"),
        ((1, 32, 32), MIB, ShapeError, "fails on an input of shape.*without the batch"),
    ],
)
def test_misuse_is_explained(shape, budget, error, words):
    with pytest.raises(error, match=words):
        largest_batch(cnn(), shape, budget_bytes=budget)


# -- giving back -------------------------------------------------------------------------------


def test_release_collects_circles(no_gpu):
    circle = [torch.ones(100 * MIB // 4)]
    circle.append(circle)
    release()
    del circle
    freed = release()
    assert freed["resident_bytes"] > 90 * MIB
    assert freed["reserved_bytes"] is None  # not 0


# -- on a GPU ----------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_allocated_peaks_are_exact_and_steps_are_made():
    with track_memory() as timeline, timeline.phase("block"):
        block = torch.ones(64 * MIB // 4, device="cuda")
        del block
    peaks = timeline.peaks("block")
    assert peaks["reserved_bytes"] >= peaks["allocated_bytes"] >= 64 * MIB
    assert peaks["driver_bytes"] > 0
    assert (
        1
        < largest_batch(cnn().cuda(), (3, 32, 32), budget_bytes=64 * MIB).batch_size
        < 4096
    )
