"""The device is the fastest at hand, unless somebody names one that is there."""

import pytest
import torch

from coursekit.devices import choose_device, describe_device
from coursekit.errors import SettingsError


def test_a_name_wins_over_the_environment_and_that_over_the_fastest(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setenv("COURSEKIT_DEVICE", "cpu")
    assert choose_device() == torch.device("cpu")
    assert choose_device("mps") == torch.device("mps")


@pytest.mark.parametrize(
    ("has_cuda", "has_mps", "expected"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_the_fastest_device_comes_first(monkeypatch, has_cuda, has_mps, expected):
    monkeypatch.delenv("COURSEKIT_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2 * has_cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: has_mps)
    assert choose_device().type == expected


@pytest.mark.parametrize("name", ["cuda:3", "gpu"])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(SettingsError, match=rf"'{name}' is not on this machine.*cuda, cpu"):
        choose_device(name)


def test_a_cpu_is_described_by_its_threads(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert describe_device(torch.device("cpu")).endswith("), 1 thread")


@pytest.mark.gpu
def test_a_gpu_is_described_by_name_and_memory():
    assert "GiB" in describe_device(torch.device("cuda"))
