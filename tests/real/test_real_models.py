"""Real weights in the course's own models, and real class names, without a network.

The folder is named by COURSEKIT_REAL.
"""

import json
import os
from pathlib import Path

import pytest
import torch

from coursekit.datasets import load_imagenet_classes
from coursekit.datasets.stored import load_published
from coursekit.models import build_residual

REAL = Path(os.environ.get("COURSEKIT_REAL", "no-real-data"))

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not (REAL / "MANIFEST.json").is_file(),
        reason=f"no real data in {REAL}: set COURSEKIT_REAL to a folder that has them",
    ),
]

# What those weights were trained with: the mean and deviation of ImageNet's colors.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_a_residual_net_with_shared_weights_reaches_their_accuracy():
    path = REAL / "weights" / "resnet20-12fca82f.th"
    saved = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    model = build_residual(20, n_classes=10, seed=0).eval()
    model.load_state_dict({k.removeprefix("module."): v for k, v in saved.items()})

    images = load_published("cifar10", REAL / "cifar10_subset", "test")
    x = torch.from_numpy(images.images).permute(0, 3, 1, 2) / 255  # (1000, 3, 32, 32)
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, DEVIATION))
    with torch.inference_mode():
        guesses = model((x - mean) / deviation).argmax(dim=1)
    assert (guesses.numpy() == images.labels).mean() == pytest.approx(0.915, abs=0.002)


def test_the_shipped_class_names_are_those_of_the_class_index():
    index = json.loads((REAL / "imagenet_class_index.json").read_text(encoding="utf-8"))

    def plain(name):
        return name.lower().replace("_", " ").replace("-", " ").replace("'", "")

    pairs = {name: index[str(i)][1] for i, name in enumerate(load_imagenet_classes())}
    assert len(pairs) == len(index) == 1000
    differ = {name: word for name, word in pairs.items() if plain(name) != plain(word)}
    # The index has two of each; torchvision tells them apart.
    assert differ == {"crane bird": "crane", "maillot tank suit": "maillot"}
