"""freeze, unfreeze and groups of rates: what trains, and only that."""

import copy
from dataclasses import replace

import pytest
import timm
import torch
from timm.optim import param_groups_layer_decay
from torch import nn

from coursekit.datasets import make_loader
from coursekit.errors import SettingsError
from coursekit.models import build_residual
from coursekit.models.heads import layer_groups
from coursekit.training import Trainer, TrainSettings, freeze, parameter_groups, unfreeze

QUIET = TrainSettings(progress_bar=False)
HEAD = {"linear.weight", "linear.bias"}


@pytest.fixture
def model():
    """Four groups: conv1, layer1.0, layer2.0 and layer3.0, and the head."""
    return build_residual(8, n_classes=3, seed=0, width=4)


def train(model, settings=QUIET):
    """Train for two epochs; return the parameters and buffers that changed by one bit."""
    before = copy.deepcopy(model.state_dict())
    images = torch.rand(24, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    loader = make_loader((images, torch.arange(24) % 3), batch_size=8, seed=0, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
    trainer = Trainer(model, optimizer=optimizer, settings=settings, device="cpu")
    trainer.fit(loader, validation=loader, n_epochs=2)
    after = model.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_all_but_the_head_is_bit_equal_after_training(model):
    freeze(model)
    assert train(model.eval()) == HEAD
    assert not any(module.training for module in model.modules())


def test_so_are_the_averages_of_a_frozen_block_in_the_middle(model):
    freeze(model, "layer2")
    moved = train(model)
    assert not [name for name in moved if name.startswith("layer2")]
    assert {"layer1.0.bn1.running_mean", "layer3.0.bn1.running_mean"} <= moved


def test_on_request_the_averages_move_and_only_they(model):
    freeze(model)
    moved = train(model, replace(QUIET, frozen_batch_norm="train")) - HEAD
    assert moved
    assert all("running" in name or "num_batches" in name for name in moved)


def test_batch_norm_without_weights_belongs_to_the_layer_around_it():
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False), nn.ReLU())
    model = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    freeze(model)
    assert train(model) == {"3.weight", "3.bias"}


def trainable(model):
    return {name for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ("names", "is_frozen"),
    [
        ("layer1", lambda name: name.startswith("layer1.")),
        (["linear.bias", "conv1"], lambda name: name in ("linear.bias", "conv1.weight")),
        ("*bn?", lambda name: ".bn" in name or name.startswith("bn")),
    ],
)
def test_names_reach_layers_parameters_and_patterns(model, names, is_frozen):
    every = trainable(model)
    freeze(model, names)
    frozen = every - trainable(model)
    assert frozen == {name for name in every if is_frozen(name)} != set()


def test_depth_counts_back_from_the_head(model):
    groups = layer_groups(model)
    freeze(model, "*")
    unfreeze(model, depth=2)
    assert trainable(model) == {n for g in groups[-2:] for n in g.parameters}
    unfreeze(model)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_wrong_name_lists_a_close_one_and_changes_nothing(model):
    words = r"no parameters 'layr3', but in conv1, .*linear\. Did you mean 'layer3"
    with pytest.raises(SettingsError, match=words):
        freeze(model, ["layer1", "layr3"])
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_report_counts_what_trains(model):
    report = freeze(model)
    numbers = [sum(p.numel() for p in part.parameters()) for part in (model, model.linear)]
    assert report.loc["all"].tolist() == numbers
    assert report["train"].tolist() == [0, 0, 0, 0, numbers[1], numbers[1]]


@pytest.mark.parametrize("name", ["resnet18", "deit_tiny_patch16_224"])
def test_rates_are_those_of_timm(name):
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=4)
    theirs = param_groups_layer_decay(model, layer_decay=0.6)
    theirs = {id(p): g["lr_scale"] for g in theirs for p in g["params"]}
    freeze(model)  # frozen ones are in ours, too
    ours = parameter_groups(model, lr=1.0, decay=0.6)
    ours = {id(p): group["lr"] for group in ours for p in group["params"]}
    assert ours == pytest.approx(theirs)
