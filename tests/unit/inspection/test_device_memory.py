"""GPU memory: who is asked, what happens when he does not answer; on a GPU, the numbers."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from coursekit.inspection import largest_batch, release, track_memory
from coursekit.inspection.device_memory import Devices

MIB = 2**20
UUIDS = ("aaaa", "bbbb")


class FakeNvml(ModuleType):
    """Two devices, which nvidia-ml-py lists in the other order than torch."""

    class NVMLError(Exception):
        pass

    def __init__(self, *, fails_at=""):
        super().__init__("pynvml")
        self.fails_at, self.n_open = fails_at, 0
        self.used = {"GPU-bbbb": 200 * MIB, "GPU-aaaa": 100 * MIB}

    def _may_fail(self, name):
        if name == self.fails_at:
            msg = "Driver Not Loaded"
            raise self.NVMLError(msg)

    def nvmlInit(self):  # noqa: N802
        self._may_fail("init")
        self.n_open += 1

    def nvmlShutdown(self):  # noqa: N802
        self.n_open -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        self._may_fail("handle")
        return uuid

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
        self._may_fail("read")
        return SimpleNamespace(used=self.used[handle])


def fake_gputil(uuids=("GPU-bbbb", "GPU-aaaa")):
    module = ModuleType("GPUtil")
    used = {"GPU-aaaa": 11.0, "GPU-bbbb": 22.0}
    module.getGPUs = lambda: [
        SimpleNamespace(uuid=uuid, memoryUsed=used[uuid]) for uuid in uuids
    ]
    return module


@pytest.fixture
def two_gpus(monkeypatch):
    """Let torch say that it has two CUDA devices, which hold a little."""
    nested = {
        f"{name}_bytes": {"all": {"current": current, "peak": 2 * current}}
        for name, current in (("allocated", 3 * MIB), ("reserved", 4 * MIB))
    }
    resets = []
    fakes = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 2,
        "get_device_properties": lambda index: SimpleNamespace(uuid=UUIDS[index]),
        "memory_stats_as_nested_dict": lambda index: nested,
        "reset_peak_memory_stats": resets.append,
        "memory_allocated": lambda index: 3 * MIB,
        "memory_reserved": lambda index: 4 * MIB,
        "empty_cache": lambda: None,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return resets


def test_a_machine_without_a_gpu_asks_nobody(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    devices = Devices()
    assert (devices.names, devices.read()) == ((), ())
    assert devices.why_not == devices.why_no_driver == "no CUDA device"
    devices.reset_peaks()
    devices.close()


def test_devices_are_found_by_their_name_not_by_their_place(two_gpus, monkeypatch):
    nvml = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    devices = Devices()
    assert devices.driver_source == "nvidia-ml-py"
    assert [one.driver_bytes for one in devices.read()] == [100 * MIB, 200 * MIB]
    assert devices.read()[0][:4] == (3 * MIB, 6 * MIB, 4 * MIB, 8 * MIB)
    devices.close()
    devices.close()
    assert nvml.n_open == 0


@pytest.mark.parametrize("fails_at", ["init", "handle"])
def test_gputil_is_asked_where_nvidia_ml_py_fails(two_gpus, monkeypatch, fails_at):
    nvml = FakeNvml(fails_at=fails_at)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setitem(sys.modules, "GPUtil", fake_gputil())
    devices = Devices()
    assert devices.driver_source == "GPUtil"
    assert [one.driver_bytes for one in devices.read()] == [11 * MIB, 22 * MIB]
    assert nvml.n_open == 0


def test_where_both_fail_the_driver_is_not_measured_and_both_reasons_are_told(
    two_gpus, monkeypatch
):
    monkeypatch.setitem(sys.modules, "pynvml", None)  # as if it were not installed
    monkeypatch.setitem(sys.modules, "GPUtil", fake_gputil(uuids=()))
    with track_memory() as timeline:
        pass
    row = timeline.report().loc["whole"]
    assert row["GPU allocated cuda:0 (MiB)"] == 6.0
    words = row["GPU driver cuda:1 (MiB)"]
    assert words.startswith("not measured (nvidia-ml-py: ")
    assert "GPUtil: nvidia-smi does not list the devices" in words


def test_a_driver_that_stops_answering_gives_none(two_gpus, monkeypatch):
    nvml = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    devices = Devices()
    nvml.fails_at = "read"
    assert [one.driver_bytes for one in devices.read()] == [None, None]


def test_the_real_gputil_can_be_imported_and_finds_nothing(two_gpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setenv("PATH", "")  # no nvidia-smi
    devices = Devices()
    assert "GPUtil: nvidia-smi does not list the devices" in devices.why_no_driver


def test_peaks_begin_anew_at_phases_and_marks_only(two_gpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    with track_memory(interval_seconds=0.001) as timeline:
        assert two_gpus == [0, 1]
        with timeline.phase("phase"):
            assert two_gpus == [0, 1] * 2
        timeline.mark("mark")
        assert two_gpus == [0, 1] * 4


def test_a_report_shows_the_driver_of_each_device(two_gpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    with track_memory() as timeline:
        pass
    row = timeline.report().loc["whole"]
    assert row["GPU driver cuda:0 (MiB)"] == 100.0
    assert row["GPU driver cuda:1 (MiB)"] == 200.0


def test_release_tells_what_the_gpus_gave_back(two_gpus, monkeypatch):
    reserved = iter([4 * MIB, 4 * MIB, 1 * MIB, 0])
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda index: next(reserved))
    freed = release()
    assert (freed.allocated_bytes, freed.reserved_bytes) == (0, 7 * MIB)
    assert "GPU 0.0 MiB of tensors and 7.0 MiB of reserve" in str(freed)


# -- on a GPU ------------------------------------------------------------------------------


@pytest.mark.gpu
def test_allocator_numbers_are_those_of_torch():
    release()
    with track_memory() as timeline:
        with timeline.phase("hold"):
            block = torch.ones(64 * MIB // 4, device="cuda")
            del block
        stats = torch.cuda.memory_stats()
        mark = timeline.mark("after")
    assert mark.devices[0].allocated_bytes == stats["allocated_bytes.all.current"]
    assert mark.devices[0].reserved_bytes == stats["reserved_bytes.all.current"]
    held = timeline.peaks("hold")["allocated_bytes"]
    assert held >= stats["allocated_bytes.all.current"] + 64 * MIB


@pytest.mark.gpu
def test_driver_numbers_are_those_of_nvml():
    import pynvml

    torch.ones(1, device="cuda")
    with track_memory() as timeline:
        sample = timeline.mark("now")
        pynvml.nvmlInit()
        uuid = f"GPU-{torch.cuda.get_device_properties(0).uuid}"
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        used = pynvml.nvmlDeviceGetMemoryInfo(handle).used
        pynvml.nvmlShutdown()
    assert abs(sample.devices[0].driver_bytes - used) < 64 * MIB


@pytest.mark.gpu
def test_release_gives_the_reserve_back():
    block = torch.ones(256 * MIB // 4, device="cuda")
    del block
    assert release().reserved_bytes >= 256 * MIB


@pytest.mark.gpu
def test_saved_bytes_are_part_of_what_is_allocated():
    model = nn.Sequential(nn.Linear(1024, 1024), nn.Tanh()).cuda()
    images = torch.ones(4096, 1024, device="cuda")
    with track_memory() as timeline:
        before = timeline.mark("before").devices[0].allocated_bytes
        output = model(images)
        sample = timeline.mark("after")
    assert output.requires_grad
    assert sample.saved_bytes == 2 * 4096 * 1024 * 4
    assert sample.devices[0].allocated_bytes - before >= 4096 * 1024 * 4


@pytest.mark.gpu
def test_the_largest_batch_of_vgg19_fits_and_leaves_nothing_behind():
    import torchvision

    model = torchvision.models.vgg19(weights=None).cuda()
    release()
    before = torch.cuda.memory_allocated()
    budget = torch.cuda.memory_allocated() + 8 * 2**30
    found = largest_batch(model, (3, 224, 224), budget_bytes=budget)
    assert 8 <= found.batch_size < 400
    assert found.n_bytes <= budget
    assert torch.cuda.memory_allocated() == before
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.gpu
@pytest.mark.slow
def test_the_largest_batch_of_vgg19_for_real_is_the_card():
    import torchvision

    model = torchvision.models.vgg19(weights=None).cuda()
    release()
    before = torch.cuda.memory_allocated()
    total = torch.cuda.get_device_properties(0).total_memory
    found = largest_batch(model, (3, 224, 224))
    assert found.n_bytes > 0.6 * total
    assert not found.is_limit
    assert torch.cuda.memory_allocated() == before
