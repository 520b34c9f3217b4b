"""Two processes on CPUs embed as one does. They talk over local sockets only."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

WORKER = Path(__file__).with_name("embed_in_processes.py")


def load_worker():
    spec = importlib.util.spec_from_file_location("embed_in_processes", WORKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What one process sees, and each of two."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    worker = load_worker()
    worker.begin(two, worker.make_images())  # by one process; two go on with it
    assert (two / "begun.part").exists()
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc_per_node", "2", "--local_addr", "127.0.0.1", str(WORKER), str(two)]
    run = subprocess.run(launch, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    ranks = [torch.load(two / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    return worker.all_results(one), *ranks


def test_there_really_are_two_processes(results):
    assert [result["n_processes"] for result in results] == [1, 2, 2]


NAMES = ["images", "lazy", "torch", "tensor", "single", "file", "resumed"]


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_is_embedded_once_and_in_order(results, name):
    one, first, second = (result[name] for result in results)
    n_samples = {"torch": 20, "single": 1}.get(name, 21)
    assert len(one["rows"]) == one["n"] == n_samples
    for found in (first, second):
        assert found["labels"] == one["labels"]
        assert found["n"] == one["n"]
        torch.testing.assert_close(torch.tensor(found["rows"]), torch.tensor(one["rows"]))
    assert first["rows"] == second["rows"]


@pytest.mark.parametrize("name", ["images", "lazy", "torch", "tensor"])
def test_the_work_is_shared(results, name):
    one, first, second = (result[name]["n_rows"] for result in results)
    assert max(first, second) <= one // 2 + 4  # and one image that only probes the layout
    assert not any(result[name]["training"] is False for result in results)


def test_two_processes_go_on_with_what_one_began(results):
    one, first, second = (result["resumed"] for result in results)
    assert one["n_rows"] < 21
    assert first["n_rows"] + second["n_rows"] < 21
    assert torch.tensor(first["rows"]).unique(dim=0).shape[0] == 21


def test_all_processes_refuse_a_file_of_another_model(results):
    for result in results:
        assert (
            "holds other embeddings than those asked for. It has: weights"
            in result["refused"]
        )
