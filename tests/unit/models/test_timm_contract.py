"""What timm asks of the shipped net besides what lesson 06 asserts of it."""

import pytest
import timm
import timm.optim
import torch
from safetensors.torch import load_file
from torch import nn

import coursekit.models  # noqa: F401 - registers the course's net

NAME, SIZE = "coursekit_resnet8", 96


def create(**options):
    return timm.create_model(NAME, pretrained=True, **options).eval()


@pytest.fixture
def images():
    return torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) for key in first
    )


def test_weights_are_the_files_under_name_and_tag():
    state = create().state_dict()
    stored = load_file(create().pretrained_cfg["file"])
    assert all(torch.equal(v, stored[k].to(v)) for k, v in state.items())
    assert not same(state, timm.create_model(NAME).state_dict())
    assert timm.list_models("coursekit*", pretrained=True) == ["coursekit_resnet8.shapes"]
    tagged = timm.create_model("coursekit_resnet8.shapes", pretrained=True)
    assert same(tagged.state_dict(), state)


def test_the_configuration_says_what_timms_own_say():
    config = create().pretrained_cfg
    reference = timm.create_model("test_resnet").pretrained_cfg
    assert set(config) >= set(reference) - {"url", "hf_hub_id", "license", "origin_url"}
    assert config["num_classes"] == len(create().get_submodule(config["classifier"]).weight)
    assert isinstance(create().get_submodule(config["first_conv"]), nn.Conv2d)
    resolved = timm.data.resolve_data_config({}, model=create())
    assert resolved["input_size"] == (3, 32, 32)
    assert (resolved["mean"], resolved["std"]) == (config["mean"], config["std"])


@pytest.mark.parametrize("chosen", [None, (0, 2), (-1,)])
def test_features_only_gives_maps_that_their_info_describes(images, chosen):
    options = {} if chosen is None else {"out_indices": chosen}
    model = create(features_only=True, **options)
    info, maps = model.feature_info, model(images)
    assert len(maps) == len(chosen or range(4)) == len(info.module_name())
    for made, channels, reduction in zip(
        maps, info.channels(), info.reduction(), strict=True
    ):
        assert made.shape == (2, channels, SIZE // reduction, SIZE // reduction)


def test_the_rates_halve_with_every_depth():
    model = timm.create_model(NAME)
    optimizer = timm.optim.create_optimizer_v2(model, opt="sgd", lr=1.0, layer_decay=0.5)
    names = {id(p): name for name, p in model.named_parameters()}
    found = {}
    for group in optimizer.param_groups:
        for name in (names[id(parameter)] for parameter in group["params"]):
            depth = name[: len("stages.0")] if name.startswith("stages") else name[:2]
            found.setdefault(depth, set()).add(group["lr_scale"])
    assert found["st"] == {0.0625}
    assert [found[f"stages.{n}"] for n in range(3)] == [{0.125}, {0.25}, {0.5}]
    assert found["fc"] == {1.0}
