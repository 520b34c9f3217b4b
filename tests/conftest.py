"""What holds for every test: no network, and one thread unless the caller says more."""

import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import settings

_BLOCK = Path(__file__).parent / "network_block"


def pytest_configure(config):
    """Block the network before anything is collected, here and in what tests start."""
    paths = [str(_BLOCK), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    spec = importlib.util.spec_from_file_location(
        "coursekit_network_block", _BLOCK / "sitecustomize.py"
    )
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


# How long an example takes depends on what else the machine does.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU where there is none, and say so."""
    for_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not for_gpu:
        return
    import torch  # only where a test asks for it

    if not torch.cuda.is_available():
        for item in for_gpu:
            item.add_marker(pytest.mark.skip(reason="there is no CUDA device here"))
