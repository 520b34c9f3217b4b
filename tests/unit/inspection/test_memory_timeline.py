"""Memory over time: phases, marks, peaks, the report, the trainer's callback."""

import subprocess
import sys
import threading
import time

import pytest
import torch
from torch import nn

from coursekit.errors import SettingsError
from coursekit.inspection import (
    DeviceMemory,
    MemorySample,
    MemoryTimeline,
    Phase,
    release,
    track_memory,
)
from coursekit.inspection.quantities import find_peak, list_quantities
from coursekit.training import Callback, Trainer, TrainSettings

KIB, MIB = 1024, 2**20
NOT_MEASURED = "not measured (no CUDA device)"
MEASURED = {"saved": None, "allocator": None, "driver": None}


def has_hooks():
    """Say whether saved tensors meet hooks: where there are some, torch refuses others."""
    node = torch.ones(1, requires_grad=True).exp().grad_fn
    try:
        node._raw_saved_result.register_hooks(lambda tensor: tensor, lambda tensor: tensor)
    except RuntimeError as error:
        return "already been set" in str(error)
    return False


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def saving(n_kib):
    return torch.ones(n_kib * KIB // 4, requires_grad=True).exp().sum()


def threads():
    return set(threading.enumerate())


# -- what is measured ----------------------------------------------------------------------


def test_each_phase_has_its_own_peak_of_saved_bytes():
    with track_memory() as timeline:
        with timeline.phase("small"):
            saving(8)
        with timeline.phase("large"):
            saving(64)
        with timeline.phase("none"), torch.no_grad():
            saving(64)
    peaks = {
        name: timeline.peaks(name)["saved_bytes"] for name in ("small", "large", "none")
    }
    assert peaks == {"small": 8 * KIB, "large": 64 * KIB, "none": 0}
    assert timeline.peaks()["saved_bytes"] == 64 * KIB


def test_a_phase_holds_the_phases_inside_it():
    with track_memory() as timeline, timeline.phase("outer"):
        with timeline.phase("inner"):
            saving(64)
        saving(8)
    assert timeline.peaks("outer")["saved_bytes"] == 64 * KIB
    outer, inner = timeline.phases
    assert outer.begin < inner.begin < inner.end < outer.end


def test_phases_of_one_name_are_taken_together():
    with track_memory() as timeline:
        for n_kib in (8, 16, 4):
            with timeline.phase("step"):
                saving(n_kib)
    assert timeline.peaks("step")["saved_bytes"] == 16 * KIB
    row = timeline.report().loc["step"]
    lasted = sum(phase.end - phase.begin for phase in timeline.phases)
    assert row["lasts (s)"] == pytest.approx(lasted, abs=1e-3)


def test_a_mark_is_the_value_at_its_moment():
    with track_memory() as timeline:
        loss = saving(64)
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
    assert peak > before + 150 * MIB
    assert peak > after + 150 * MIB
    assert len(timeline.samples) > 5


def test_samples_stand_in_order_of_time():
    with track_memory(interval_seconds=0.001) as timeline:
        for index in range(200):
            timeline.mark(f"mark {index}")
    seconds = [sample.seconds for sample in timeline.samples]
    assert seconds == sorted(seconds)
    assert len(set(seconds)) == len(seconds)
    assert seconds[0] >= 0


def test_samples_are_a_table_too(no_gpu):
    with track_memory() as timeline:
        saving(8)
    frame = timeline.to_frame()
    assert list(frame.columns) == [
        "seconds", "resident_bytes", "saved_bytes", "allocated_bytes", "reserved_bytes",
        "driver_bytes", "saved_peak_bytes",
    ]  # fmt: skip
    assert frame["saved_peak_bytes"].max() == 8 * KIB
    assert all(value is None for value in frame["allocated_bytes"])


# -- what is not measured ------------------------------------------------------------------


def test_without_a_gpu_its_columns_say_so_and_are_none_inside(no_gpu):
    with track_memory() as timeline, timeline.phase("forward"):
        saving(8)
    report = timeline.report()
    for column in ("GPU allocated (MiB)", "GPU reserved (MiB)", "GPU driver (MiB)"):
        assert report[column].tolist() == [NOT_MEASURED] * 2
    peaks = timeline.peaks()
    for key in ("allocated_bytes", "reserved_bytes", "driver_bytes"):
        assert peaks[key] is None
    assert all(sample.devices == () for sample in timeline.samples)


def test_saved_bytes_that_are_not_counted_say_so():
    with track_memory():
        assert has_hooks()
    with track_memory(saved=False) as timeline:
        assert not has_hooks()
        saving(8)
    assert timeline.peaks()["saved_bytes"] is None
    words = timeline.report().loc["whole", "saved for backward (MiB)"]
    assert words == "not measured (switched off)"


# -- several devices, from made-up samples -------------------------------------------------


def made_up(seconds, *devices):
    return MemorySample(seconds, MIB, 0, 0, tuple(DeviceMemory(*d) for d in devices))


def test_peaks_of_each_device_come_from_the_samples_of_the_phase():
    samples = [
        made_up(0.0, (1, 90, 5, 95, 7), (0, 0, 0, 0, None)),
        made_up(1.0, (2, 30, 6, 40, 9), (3, 4, 5, 6, None)),
        made_up(2.0, (1, 99, 5, 99, 8), (0, 9, 0, 9, None)),
    ]
    quantities = {one.key: one for one in list_quantities(("cuda:0", "cuda:1"), MEASURED)}
    span = [Phase("phase", 0.0, 1.0)]
    found = {key: find_peak(one, samples, span) for key, one in quantities.items()}
    assert found["allocated_bytes cuda:0"] == 30  # the 90 was before the phase
    assert found["reserved_bytes cuda:0"] == 40
    assert found["driver_bytes cuda:0"] == 9
    assert found["allocated_bytes cuda:1"] == 4
    assert found["driver_bytes cuda:1"] is None


def test_a_report_has_a_column_for_each_device():
    timeline = MemoryTimeline(
        lambda: made_up(1.0), device_names=("cuda:0", "cuda:1"), why_not=MEASURED
    )
    timeline._samples = [made_up(0.0, (MIB, 0, MIB, 0, MIB), (2 * MIB, 0, 0, 0, None))]
    whole = timeline.report().loc["whole"]
    assert whole["GPU allocated cuda:0 (MiB)"] == 1.0
    assert whole["GPU allocated cuda:1 (MiB)"] == 2.0
    assert whole["GPU driver cuda:1 (MiB)"] == "not measured (no answer)"


# -- in the trainer ------------------------------------------------------------------------


def trainer_with(*callbacks):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.Sigmoid(), nn.Linear(32, 3))
    return Trainer(
        model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        callbacks=callbacks,
        settings=TrainSettings(progress_bar=False),
        device="cpu",
    )


def batches(n_batches=3):
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randn(8, 16, generator=generator), torch.arange(8) % 3)
        for _ in range(n_batches)
    ]


def test_as_a_callback_it_has_a_phase_for_each_epoch_and_validation():
    memory = track_memory()
    trainer_with(memory).fit(batches(), validation=batches(), n_epochs=2)
    names = [phase.name for phase in memory.timeline.phases]
    assert names == ["epoch 1", "validation 1", "epoch 2", "validation 2"]
    assert all(phase.end > phase.begin for phase in memory.timeline.phases)
    assert memory.timeline.peaks("epoch 1")["saved_bytes"] > 8 * 32 * 4
    assert memory.timeline.peaks("validation 1")["saved_bytes"] == 0


def test_a_callback_changes_nothing_in_the_training():
    one = trainer_with().fit(batches(), n_epochs=2)
    other = trainer_with(track_memory()).fit(batches(), n_epochs=2)
    assert one.column("loss") == other.column("loss")


def test_each_fit_has_its_own_timeline():
    memory = track_memory()
    trainer = trainer_with(memory)
    trainer.fit(batches(), n_epochs=1)
    first = memory.timeline
    trainer.fit(batches(), n_epochs=2)
    assert [phase.name for phase in first.phases] == ["epoch 1"]
    assert len(memory.timeline.phases) == 2


def test_a_training_that_fails_leaves_neither_thread_nor_hook():
    class Failing(Callback):
        def on_step_end(self, trainer, **kwargs):
            raise ZeroDivisionError

    before, memory = threads(), track_memory()
    with pytest.raises(ZeroDivisionError):
        trainer_with(memory, Failing()).fit(batches(), n_epochs=1)
    assert threads() == before
    assert not has_hooks()
    assert memory.timeline.phases[0].end is not None


# -- the end -------------------------------------------------------------------------------


@pytest.mark.parametrize("fails", [False, True])
def test_the_thread_and_the_hooks_end_with_the_block(fails):
    before = threads()
    try:
        with track_memory() as timeline, timeline.phase("phase"):
            assert len(threads()) == len(before) + 1
            assert 1 / (not fails)
    except ZeroDivisionError:
        assert fails
    assert threads() == before
    assert not has_hooks()
    assert timeline.phases[0].end <= timeline.samples[-1].seconds


def test_monitors_may_be_nested_and_used_again():
    monitor = track_memory()
    with monitor as outer, track_memory() as inner:
        saving(8)
    with monitor as again:
        saving(16)
    assert outer.peaks()["saved_bytes"] == inner.peaks()["saved_bytes"] == 8 * KIB
    assert again.peaks()["saved_bytes"] == 16 * KIB


def test_a_program_may_end_inside_a_block():
    code = (
        "from coursekit.inspection import track_memory\n"
        "track_memory(interval_seconds=0.001).__enter__()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(
    not hasattr(time, "pthread_getcpuclockid"), reason="needs the clock of a thread"
)
def test_sampling_takes_under_one_percent_of_the_processor_however_short_the_interval():
    with track_memory(interval_seconds=1e-4):
        (sampler,) = [t for t in threading.enumerate() if t.name == "memory sampler"]
        began, before = time.perf_counter(), _processor_time(sampler)
        time.sleep(1.0)
        used, lasted = _processor_time(sampler) - before, time.perf_counter() - began
    assert used < 0.01 * lasted


def _processor_time(thread):
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


# -- release -------------------------------------------------------------------------------


def test_release_collects_circles_and_says_what_a_gpu_would(no_gpu):
    class Circle:
        def __init__(self):
            self.me = self
            self.block = torch.ones(100 * MIB // 4)

    release()
    Circle()
    freed = release()
    assert freed.n_objects >= 1
    assert freed.resident_bytes > 90 * MIB
    assert freed.allocated_bytes is None
    assert freed.reserved_bytes is None
    assert str(freed).endswith("GPU not measured (no CUDA device)")


def test_release_leaves_what_has_a_name():
    block = torch.ones(1000)
    release()
    assert block.sum() == 1000


# -- misuse --------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", [0, -1, float("nan")])
def test_an_interval_is_positive(interval):
    with pytest.raises(SettingsError, match="must be positive"):
        track_memory(interval_seconds=interval)


def test_marks_and_phases_are_refused_after_the_end():
    with track_memory() as timeline:
        pass
    with pytest.raises(SettingsError, match="is over"):
        timeline.mark("late")
    with pytest.raises(SettingsError, match="is over"), timeline.phase("late"):
        pass


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_mark_needs_a_name(name):
    with track_memory() as timeline, pytest.raises(SettingsError, match="needs a name"):
        timeline.mark(name)


def test_an_unknown_phase_is_explained():
    with track_memory() as timeline, timeline.phase("forward"):
        pass
    with pytest.raises(SettingsError, match=r"no phase 'backward'. Phases are: 'forward'"):
        timeline.peaks("backward")


def test_a_monitor_that_measures_is_not_used_again():
    monitor = track_memory()
    with monitor, pytest.raises(SettingsError, match="measuring already"), monitor:
        pass
    with monitor:
        pass


def test_a_monitor_that_was_not_used_has_no_timeline():
    with pytest.raises(SettingsError, match="Nothing was measured yet"):
        track_memory().timeline  # noqa: B018


def test_a_timeline_says_how_long_it_is():
    with track_memory() as timeline, timeline.phase("phase"):
        timeline.mark("mark")
    assert repr(timeline).endswith("1 phases, 1 marks)")
