"""Heads are found, replaced and put, the rest stays bit for bit; layers have groups."""

import copy
import warnings

import pytest
import timm
import torch
import torchvision
from torch import nn

from coursekit.errors import SettingsError, ShapeError
from coursekit.models import (
    build_residual,
    build_untrained,
    find_head,
    put_head,
    replace_head,
)
from coursekit.models.heads import layer_groups

# The smallest member of each family of torchvision.models, and its head.
TORCHVISION = {
    "alexnet": "classifier.6",
    "convnext_tiny": "classifier.2",
    "densenet121": "classifier",
    "efficientnet_b0": "classifier.1",
    "googlenet": "fc",
    "inception_v3": "fc",
    "maxvit_t": "classifier.5",
    "mnasnet0_5": "classifier.1",
    "mobilenet_v2": "classifier.1",
    "mobilenet_v3_small": "classifier.3",
    "regnet_y_400mf": "fc",
    "resnet18": "fc",
    "shufflenet_v2_x0_5": "fc",
    "squeezenet1_1": "classifier.1",
    "swin_t": "head",
    "vgg11": "classifier.6",
    "vit_b_32": "heads.head",
}
TIMM = {
    "convnext_atto": "head.fc",
    "deit_tiny_distilled_patch16_224": "head",
    "efficientnet_lite0": "classifier",
    "inception_v4": "last_linear",
}
OTHER_HEADS = {
    "googlenet": ("aux1.fc2", "aux2.fc2"),
    "inception_v3": ("AuxLogits.fc",),
    "deit_tiny_distilled_patch16_224": ("head_dist",),
}
CASES = [*TORCHVISION.items(), *TIMM.items()]


def build(name):
    """Return a model whose every tensor has another value, without memory for them."""
    with (
        warnings.catch_warnings(),
        torch.device("meta" if "regnet_y" not in name else "cpu"),
    ):
        warnings.simplefilter("ignore")
        if name in TIMM:
            model = timm.create_model(name)
        else:
            model = torchvision.models.get_model(name, weights=None)
    number = 0
    for module in model.modules():
        for kind in (module._parameters, module._buffers):
            for key, value in kind.items():
                if value is not None:
                    number += 1
                    filled = torch.tensor(number, dtype=value.dtype).expand(value.shape)
                    is_parameter = isinstance(value, nn.Parameter)
                    kind[key] = nn.Parameter(filled) if is_parameter else filled
    return model


def state(model):
    """All parameters and buffers, those that are not saved too."""
    return dict(model.named_parameters()) | dict(model.named_buffers())


def small():
    return build_residual(8, n_classes=3, seed=0, width=4)


# --- find and replace ---------------------------------------------------------------------


def test_no_family_of_torchvision_is_missing():
    builders = torchvision.models.list_models(module=torchvision.models)
    families = {torchvision.models.get_model_builder(n).__module__ for n in builders}
    tried = {torchvision.models.get_model_builder(n).__module__ for n in TORCHVISION}
    assert tried == families


@pytest.mark.parametrize(("name", "head"), CASES)
def test_the_head_is_new_the_rest_bit_equal_and_the_last_group_the_head(name, head):
    model = build(name)
    assert find_head(model) == head
    before = state(model)
    changed = replace_head(model, 7, seed=0)
    heads = (head, *OTHER_HEADS.get(name, ()))
    own = {f"{part}.{kind}" for part in heads for kind in ("weight", "bias")}
    after = state(changed)
    assert after.keys() | own == before.keys() | own
    for key, value in after.items():
        if key in own:
            assert len(value) == 7, key
            assert value.dtype == before[f"{head}.weight"].dtype
        else:
            assert torch.equal(value, before[key]), key
    assert all(value is before[key] for key, value in state(model).items())
    assert find_head(changed) == head
    assert getattr(changed, "num_classes", 7) == 7
    groups = layer_groups(model)
    grouped = [name for group in groups for name in group.parameters]
    assert sorted(grouped) == sorted(name for name, _ in model.named_parameters())
    assert f"{head}.weight" in groups[-1].parameters


def test_the_seed_alone_decides_its_weights_which_have_the_type_and_mode_of_the_old():
    before, old = torch.get_rng_state(), small().double().eval()
    one, same, other = (replace_head(old, 5, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.linear.weight, same.linear.weight)
    assert not torch.equal(one.linear.weight, other.linear.weight)
    assert torch.equal(before, torch.get_rng_state())
    assert one.linear.weight.dtype == torch.float64
    assert not any(module.training for module in one.modules())


def test_heads_of_own_models_are_found():
    parts = nn.ModuleDict({"head": nn.Linear(4, 2), "body": nn.Linear(4, 4)})
    assert find_head(parts) == "head"
    assert find_head(nn.Linear(4, 2)) == ""
    assert find_head(nn.Sequential(nn.Identity(), small())) == "1.linear"
    layers = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    assert find_head(nn.ModuleDict({"body": nn.Linear(4, 5), "fc": layers})) == "fc"


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.Linear(2, 2), nn.Conv2d(1, 1, 3)),
        lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)),
        lambda: timm.create_model("test_resnet", num_classes=0),
    ],
)
def test_no_head_is_told(make):
    with pytest.raises(SettingsError, match=r"none that can be found\. Was it taken off"):
        find_head(make())


# --- put ----------------------------------------------------------------------------------


def test_the_logits_are_those_of_the_head_on_the_features():
    model, head = small().eval(), nn.Linear(16, 5)
    images, body = torch.rand(4, 3, 16, 16), copy.deepcopy(model)
    body.linear = nn.Identity()
    changed, expected = put_head(model, head), head(body(images))
    head.weight.data.zero_()  # it was copied
    torch.testing.assert_close(changed(images), expected)
    assert find_head(changed) == "linear"
    assert not changed.training


def test_a_linear_head_becomes_a_convolution_where_the_model_has_one():
    model = torchvision.models.squeezenet1_1(num_classes=9).eval()
    head, images = nn.Linear(512, 5), torch.rand(2, 3, 64, 64)
    state, changed = torch.get_rng_state(), put_head(model, head)
    assert torch.equal(torch.get_rng_state(), state), "nothing is drawn"
    expected = head(model.features(images).mean((2, 3)))
    torch.testing.assert_close(changed(images), expected)
    assert isinstance(model.classifier[2], nn.ReLU), "the model stays as it is"
    assert replace_head(changed, 3, seed=0)(images).shape == (2, 3)


def test_a_head_that_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match=r"made for 9 features, but 'linear'.*given 16"):
        put_head(small(), nn.Linear(9, 5))


# --- untrained, groups --------------------------------------------------------------------


def test_every_weight_is_drawn_anew_and_the_seed_decides():
    model = small()
    model(torch.rand(4, 3, 16, 16))  # moves the averages
    model.requires_grad_(False)
    one, same, other = (build_untrained(model, seed=seed) for seed in (1, 1, 2))
    for name, value in state(one).items():
        assert torch.equal(value, state(same)[name])
        if value.ndim > 1:
            assert not torch.equal(value, state(model)[name])
            assert not torch.equal(value, state(other)[name])
        if "running_mean" in name:
            assert not value.any()
    assert all(p.requires_grad for p in one.parameters())


def test_a_parameter_that_no_layer_draws_is_named():
    with pytest.raises(SettingsError, match="'cls_token' of VisionTransformer"):
        build_untrained(timm.create_model("test_vit"), seed=0)


def test_groups_are_layers_with_their_normalization_and_blocks():
    names = [group.name for group in layer_groups(small())]
    assert names == ["conv1", "layer1.0", "layer2.0", "layer3.0", "linear"]
    names = [group.name for group in layer_groups(timm.create_model("coursekit_resnet8"))]
    assert names == ["stem", "stages.0", "stages.1", "stages.2", "fc"]
