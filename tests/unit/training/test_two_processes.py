"""Two processes on CPUs train as one does. They talk over local sockets only."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

WORKER = Path(__file__).with_name("two_processes.py")


def load_worker():
    import importlib.util

    spec = importlib.util.spec_from_file_location("two_processes", WORKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of one process, and of each of two."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc_per_node", "2", "--local_addr", "127.0.0.1", str(WORKER), str(two)]
    run = subprocess.run(launch, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    ranks = [torch.load(two / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    return load_worker().all_results(one), *ranks


def assert_close(ours, truth, atol=1e-5):
    if isinstance(truth, dict):
        assert ours.keys() == truth.keys()
        for key in truth:
            assert_close(ours[key], truth[key], atol)
    elif isinstance(truth, list):
        assert len(ours) == len(truth)
        for part, expected in zip(ours, truth, strict=True):
            assert_close(part, expected, atol)
    else:
        assert ours == pytest.approx(truth, abs=atol, rel=0)


def test_there_really_are_two_processes(results):
    assert [result["n_processes"] for result in results] == [1, 2, 2]


@pytest.mark.parametrize("name", ["uneven", "resumed", "stock"])
def test_two_processes_give_the_curve_weights_and_predictions_of_one(results, name):
    one, first, second = results
    assert len(one[name]["steps"]) == 18
    assert_close(first[name], one[name])
    assert second[name] == first[name]


def test_resumed_is_what_was_never_interrupted(results):
    for result in results:
        assert result["resumed"] == result["uneven"]
