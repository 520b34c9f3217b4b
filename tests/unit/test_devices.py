"""The device is the fastest at hand, unless somebody names one that is there."""

import pytest
import torch

from coursekit.devices import choose_device, describe_device
from coursekit.errors import CourseError, SettingsError


def test_the_environment_decides_where_nobody_names_a_device(monkeypatch):
    monkeypatch.setenv("COURSEKIT_DEVICE", "cpu")
    assert choose_device() == torch.device("cpu")


def test_a_named_device_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("COURSEKIT_DEVICE", "nonsense")
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("has_cuda", "has_mps", "expected"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_the_fastest_device_comes_first(monkeypatch, has_cuda, has_mps, expected):
    monkeypatch.delenv("COURSEKIT_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2 * has_cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: has_mps)
    assert choose_device().type == expected


def test_a_device_that_is_not_here_is_refused_with_those_that_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(SettingsError, match=r"'cuda:3' is not on this machine.*cuda, cpu"):
        choose_device("cuda:3")


def test_what_is_no_device_is_refused_with_those_there_are():
    with pytest.raises(SettingsError, match=r"'gpu' is not on this machine.*cpu"):
        choose_device("gpu")


def test_a_cpu_is_described_by_its_threads():
    assert "thread" in describe_device(torch.device("cpu"))
    assert describe_device(torch.device("cpu")).startswith("CPU (")


@pytest.mark.gpu
def test_a_gpu_is_described_by_name_and_memory():
    assert "GiB" in describe_device(torch.device("cuda"))


def test_every_error_can_be_caught_as_its_builtin():
    assert issubclass(SettingsError, ValueError)
    assert issubclass(SettingsError, CourseError)
