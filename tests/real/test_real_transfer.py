"""Ants and bees told apart by a head on frozen features of real networks, without a network.

The folder is named by COURSEKIT_REAL.
"""

import os
from pathlib import Path

import pytest
import torch

from coursekit.datasets import load_folder
from coursekit.features import embed, fit_head
from coursekit.models import put_head
from coursekit.models.states import build_from_state, read_state
from coursekit.transforms import preset_from_config

REAL = Path(os.environ.get("COURSEKIT_REAL", "no-real-data"))

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not (REAL / "MANIFEST.json").is_file(),
        reason=f"no real data in {REAL}: set COURSEKIT_REAL to a folder that has them",
    ),
]

FILES = {
    "mobilenet_v2": "mobilenet_v2-from-coral-tf2-ptq-int8.pth",
    "squeezenet1_1": "squeezenet1_1-from-openvino-fp16.pth",
}


def open_backbone(name):
    return build_from_state(name, read_state(REAL / "weights" / FILES[name]))


@pytest.fixture(scope="module")
def parts():
    return [load_folder(REAL / "hymenoptera_data" / part) for part in ("train", "val")]


# The published tutorial reaches 96.1 % with ResNet-18 frozen, 94.1 % fine-tuned.
@pytest.mark.parametrize(
    ("name", "least"), [("mobilenet_v2", 0.95), ("squeezenet1_1", 0.89)]
)
def test_a_head_on_frozen_features_tells_ants_from_bees(parts, name, least):
    backbone = open_backbone(name)
    config = dict(backbone.pretrained_cfg, crop_pct=0.875)
    preset = preset_from_config(config, task="insects")
    train, test = (
        embed(backbone, part, transform=preset.evaluation, progress_bar=False)
        for part in parts
    )
    answers = fit_head(train, n_epochs=50, seed=0)(test.embeddings).argmax(dim=1)
    assert (answers == test.labels).float().mean() >= least


def test_a_fitted_head_in_a_real_network_gives_the_logits_of_its_embeddings(parts):
    backbone = open_backbone("squeezenet1_1")
    preset = preset_from_config(dict(backbone.pretrained_cfg), task="insects")
    images = torch.stack(
        [
            preset.evaluation(
                torch.from_numpy(parts[1].images[i].copy()).permute(2, 0, 1) / 255
            )
            for i in (0, 100)
        ]
    )
    head = torch.nn.Linear(512, 2)
    features = embed(backbone, images, progress_bar=False).embeddings
    with torch.inference_mode():
        logits = put_head(backbone, head)(images)
        torch.testing.assert_close(logits, head(features), rtol=1e-3, atol=1e-3)
