"""What is shipped as a table agrees with the libraries that know the same."""

import inspect
import re

import pytest
import torchvision

from coursekit.datasets import (
    load_convnext_ablation,
    load_efficientnet_scaling,
    load_ilsvrc_winners,
    load_imagenet_classes,
)
from coursekit.errors import DataError


def test_a_challenge_a_year_and_its_winner_first():
    winners = load_ilsvrc_winners()
    assert list(winners.columns) == ["year", "entry", "top5_error", "remark"]
    assert sorted(set(winners.year)) == list(range(2010, 2018))
    assert winners.year.is_monotonic_increasing
    assert winners.groupby("year").top5_error.apply(lambda e: e.iloc[0] == e.min()).all()
    firsts = winners.drop_duplicates("year")
    assert firsts.top5_error.is_monotonic_decreasing
    assert firsts.remark.str.startswith("winner").all()


@pytest.mark.parametrize(
    ("entry", "errors"),
    [("AlexNet", [15.3, 16.4]), ("VGG", [7.3]), ("ResNet", [3.57]), ("SENet", [2.25])],
)
def test_entries_have_the_errors_of_the_papers(entry, errors):
    winners = load_ilsvrc_winners()
    assert winners[winners.entry == entry].top5_error.tolist() == errors


def test_the_classes_are_those_of_torchvision_in_order():
    weights = torchvision.models.ResNet50_Weights.DEFAULT
    assert load_imagenet_classes() == tuple(weights.meta["categories"])
    assert len(set(load_imagenet_classes())) == 1000


def test_each_step_to_convnext_is_there():
    steps = load_convnext_ablation().set_index("step")
    assert len(steps) == 18
    assert steps.index.is_unique
    assert steps.accuracy["ResNet-50 (PyTorch)"] == 76.13
    assert steps.accuracy["separate d.s. conv (ConvNeXt-T)"] == 81.97
    assert steps.deviation.isna().sum() == 2, "the reported ResNet-50 and Swin-T"


def test_the_ends_of_the_chain_cost_what_torchvision_says():
    models = torchvision.models
    cost = load_convnext_ablation().set_index("step").giga_multiply_adds
    ends = {
        "ResNet-50 (PyTorch)": models.ResNet50_Weights.IMAGENET1K_V1,
        "separate d.s. conv (ConvNeXt-T)": models.ConvNeXt_Tiny_Weights.DEFAULT,
        "Swin-T": models.Swin_T_Weights.DEFAULT,
    }
    for step, weights in ends.items():
        assert cost[step] == pytest.approx(weights.meta["_ops"], abs=0.04)
    accuracy = load_convnext_ablation().set_index("step").accuracy["ResNet-50 (PyTorch)"]
    metrics = models.ResNet50_Weights.IMAGENET1K_V1.meta["_metrics"]["ImageNet-1K"]
    assert accuracy == metrics["acc@1"]


@pytest.mark.parametrize("row", range(8))
def test_efficientnets_scale_as_torchvision_builds_them(row):
    scaling = load_efficientnet_scaling().iloc[row]
    name = f"efficientnet_{scaling.variant.lower()}"
    source = inspect.getsource(getattr(torchvision.models, name))
    assert f"width_mult={scaling.width}, depth_mult={scaling.depth}" in source
    [dropout] = re.findall(r'"dropout", ([\d.]+)', source)
    assert float(dropout) == scaling.dropout
    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    assert weights.transforms().crop_size == [scaling.torchvision_resolution]


def test_only_b2_has_two_resolutions():
    scaling = load_efficientnet_scaling()
    differs = scaling.resolution != scaling.torchvision_resolution
    assert scaling.variant[differs].tolist() == ["B2"]


def test_a_lost_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(load_ilsvrc_winners.__globals__, "data_folder", lambda: tmp_path)
    with pytest.raises(DataError, match=r"ilsvrc_winners\.csv.*Install coursekit again"):
        load_ilsvrc_winners()
