"""The folder of real data, which COURSEKIT_REAL names; nothing is copied into the repository."""

import json
import os
from pathlib import Path

import pytest
from torchvision.datasets import CIFAR10


@pytest.fixture(scope="session")
def real():
    """The folder; it holds a part of CIFAR-10, which torchvision is let open.

    torchvision compares md5 sums before it unpickles; those of the part stand beside it.
    """
    folder = Path(os.environ.get("COURSEKIT_REAL", "no-real-data"))
    if not (folder / "MANIFEST.json").is_file():
        pytest.skip(f"no real data in {folder}: set COURSEKIT_REAL to a folder with them")
    sums = json.loads((folder / "cifar10_subset/md5.json").read_text(encoding="utf-8"))
    with pytest.MonkeyPatch.context() as patch:
        batches = [[name, md5] for name, md5 in sums.items() if name.startswith("data")]
        patch.setattr(CIFAR10, "train_list", batches)
        patch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
        patch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
        yield folder
