"""What holds for every test: no network, and one thread unless the caller says more."""

import importlib.util
import os
from pathlib import Path

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
