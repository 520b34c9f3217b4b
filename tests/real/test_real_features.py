"""Embeddings of real images by a network with real weights, without a network connection.

The folder is named by COURSEKIT_REAL.
"""

import copy
import os
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v2
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.transforms.v2 import functional as F

from coursekit.datasets.stored import load_published
from coursekit.features import Embeddings, classify_by_neighbors, embed, fit_head

REAL = Path(os.environ.get("COURSEKIT_REAL", "no-real-data"))
WEIGHTS = REAL / "weights" / "mobilenet_v2-from-coral-tf2-ptq-int8.pth"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not WEIGHTS.is_file(),
        reason=f"no {WEIGHTS}: set COURSEKIT_REAL to a folder with it",
    ),
]


def prepare(images):
    images = F.resize(images, [96, 96], antialias=True)
    return F.normalize(images, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def net():
    model = mobilenet_v2(weights=None)
    model.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    return model  # in training mode, as it comes


@pytest.fixture(scope="module")
def images():
    train, test = (
        load_published("cifar10", REAL / "cifar10_subset", p) for p in ("train", "test")
    )
    return train.sample(512, seed=0), test.sample(128, seed=0)


@pytest.fixture(scope="module")
def parts(net, images):
    options = {"transform": prepare, "device": "cpu", "progress_bar": False}
    return tuple(embed(net, part, **options) for part in images)


def test_three_ways_agree_on_real_weights(net, images, parts):
    batch = prepare(images[1].subset(range(8)).to_tensors()[0])
    headless = copy.deepcopy(net).eval()
    headless.classifier = nn.Identity()
    hooked, kept = copy.deepcopy(net).eval(), []
    hooked.classifier[1].register_forward_pre_hook(lambda m, args: kept.append(args[0]))
    extractor = create_feature_extractor(copy.deepcopy(net).eval(), ["flatten"])
    with torch.no_grad():
        hooked(batch)
        ways = [headless(batch), kept[0], extractor(batch)["flatten"]]
    found = parts[1].embeddings[:8]
    for one in ways:
        assert (one - ways[0]).abs().max() <= 1e-6 * ways[0].abs().max()
        assert (one - found).abs().max() <= 1e-5 * one.abs().max()  # folded, 52 layers deep


def test_embeddings_beat_pixels(images, parts):
    pixels = []
    for part in images:
        values, labels = part.to_tensors()
        pixels.append(Embeddings(embeddings=values.flatten(1), labels=labels))
    ours = classify_by_neighbors(*parts, k=5).accuracy
    theirs = classify_by_neighbors(*pixels, k=5).accuracy
    assert ours >= theirs + 0.2
    head = fit_head(parts[0], seed=0).accuracy(parts[1])
    assert head >= ours - 0.02
    print(f"\nneighbors on pixels {theirs:.3f}, on embeddings {ours:.3f}, head {head:.3f}")


def test_late_layers_know_more_than_early_ones(net, images):
    options = {"transform": prepare, "device": "cpu", "progress_bar": False}
    early, late = (
        classify_by_neighbors(*(embed(net, p, layer=name, **options) for p in images))
        for name in ("features.1", "features.18")
    )
    assert late.accuracy >= early.accuracy + 0.15
