"""find_head, replace_head and put_head: the head is another one, the rest bit for bit."""

import copy
import itertools
import re
import warnings

import pytest
import timm
import torch
import torchvision
from torch import nn

from coursekit.errors import SettingsError, ShapeError
from coursekit.models import (
    build_lenet,
    build_mlp,
    build_residual,
    build_untrained,
    build_zfnet,
    find_head,
    put_head,
    replace_head,
)
from coursekit.training import freeze

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
    "crossvit_tiny_240": "head.0",
    "cspresnet50": "head.fc",
    "deit_tiny_distilled_patch16_224": "head",
    "edgenext_xx_small": "head.fc",
    "efficientformer_l1": "head",
    "efficientnet_lite0": "classifier",
    "efficientvit_m0": "head.linear",
    "ghostnet_050": "classifier",
    "inception_v4": "last_linear",
    "levit_128s": "head.linear",
    "mixer_s32_224": "head",
    "mobilenetv3_small_050": "classifier",
    "mobilevit_xxs": "head.fc",
    "nfnet_l0": "head.fc",
    "regnetx_002": "head.fc",
    "repvit_m0_9": "head.head.l",
    "resnet10t": "fc",
    "rexnet_100": "head.fc",
    "swin_tiny_patch4_window7_224": "head.fc",
    "volo_d1_224": "head",
    "xcit_nano_12_p16_224": "head",
}
OTHER_HEADS = {
    "googlenet": ("aux1.fc2", "aux2.fc2"),
    "inception_v3": ("AuxLogits.fc",),
    "crossvit_tiny_240": ("head.1",),
    "deit_tiny_distilled_patch16_224": ("head_dist",),
    "efficientformer_l1": ("head_dist",),
    "levit_128s": ("head_dist.linear",),
    "repvit_m0_9": ("head.head_dist.l",),
    "volo_d1_224": ("aux_head",),
}
CASES = [
    *[
        pytest.param("torchvision", *item, id=f"torchvision-{item[0]}")
        for item in TORCHVISION.items()
    ],
    *[pytest.param("timm", *item, id=f"timm-{item[0]}") for item in TIMM.items()],
]


def build(library, name):
    """Return a model whose every tensor has another value, without memory for them."""
    with (
        warnings.catch_warnings(),
        torch.device("meta" if "regnet_y" not in name else "cpu"),
    ):
        warnings.simplefilter("ignore")
        if library == "timm":
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
                    kind[key] = (
                        nn.Parameter(filled) if kind is module._parameters else filled
                    )
    return model


def state(model):
    """All parameters and buffers, those that are not saved too."""
    return dict(model.named_parameters()) | dict(model.named_buffers())


class TestEveryFamily:
    def test_no_family_of_torchvision_is_missing(self):
        builders = torchvision.models.list_models(module=torchvision.models)
        families = {torchvision.models.get_model_builder(n).__module__ for n in builders}
        tried = {torchvision.models.get_model_builder(n).__module__ for n in TORCHVISION}
        assert tried == families

    @pytest.mark.parametrize(("library", "name", "head"), CASES)
    def test_the_head_is_new_and_the_rest_bit_equal(self, library, name, head):
        model = build(library, name)
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
        assert state(model).keys() == before.keys()
        assert all(value is before[key] for key, value in state(model).items())
        assert set(freeze(changed).trainable) == own
        assert find_head(changed) == head
        assert getattr(changed, "num_classes", 7) == 7


class TestForward:
    """Small ones run, with one layer and with several."""

    @pytest.mark.parametrize("hidden", [(), (6, 5)])
    @pytest.mark.parametrize(
        ("make", "side"),
        [
            (lambda: torchvision.models.squeezenet1_1(), 64),
            (lambda: torchvision.models.mobilenet_v3_small(), 64),
            (lambda: timm.create_model("levit_128s"), 224),
            (lambda: timm.create_model("test_efficientnet"), 64),
            (lambda: timm.create_model("test_vit"), 160),
            (lambda: timm.create_model("coursekit_resnet8"), 32),
            (lambda: build_residual(8, n_classes=3, seed=0, width=4), 32),
            (lambda: build_lenet((3, 32, 32), 3, seed=0), 32),
        ],
    )
    def test_logits_have_the_asked_number(self, make, side, hidden):
        images = torch.rand(2, 3, side, side)
        model = replace_head(make(), 7, hidden=hidden, dropout=0.2, seed=0).eval()
        assert model(images).shape == (2, 7)
        again = replace_head(model, 4, seed=0).eval()
        assert again(images).shape == (2, 4)
        assert not any("hidden1" in name for name in state(again))

    def test_auxiliary_heads_can_be_taken_off(self):
        model = torchvision.models.googlenet(init_weights=False, num_classes=10)
        kept = replace_head(model, 3, seed=0).train()
        outputs = kept(torch.rand(2, 3, 64, 64))
        assert [part.shape for part in outputs] == [(2, 3)] * 3
        dropped = replace_head(model, 3, auxiliary="drop", seed=0).train()
        assert dropped(torch.rand(2, 3, 64, 64)).shape == (2, 3)
        assert model.aux1 is not None


class TestNewHead:
    @pytest.fixture
    def model(self):
        return build_residual(8, n_classes=3, seed=0, width=4)

    def test_the_seed_decides_its_weights(self, model):
        one, same, other = (replace_head(model, 5, seed=seed) for seed in (0, 0, 1))
        assert torch.equal(one.linear.weight, same.linear.weight)
        assert not torch.equal(one.linear.weight, other.linear.weight)

    def test_no_global_generator_is_moved(self, model):
        before = torch.get_rng_state()
        replace_head(model, 5, seed=0)
        assert torch.equal(before, torch.get_rng_state())

    def test_it_has_type_and_mode_of_the_old_one(self, model):
        changed = replace_head(model.double().eval(), 5, hidden=(4,), seed=0)
        assert {p.dtype for p in changed.linear.parameters()} == {torch.float64}
        assert not any(module.training for module in changed.modules())

    def test_layers_are_as_asked(self, model):
        head = replace_head(model, 5, hidden=(8, 6), dropout=0.3, seed=0).linear
        assert [type(layer).__name__ for layer in head] == [
            "Linear",
            "ReLU",
            "Linear",
            "ReLU",
            "Dropout",
            "Linear",
        ]
        assert head.output.out_features == 5
        assert head.dropout.p == 0.3

    def test_another_layer_can_be_named(self):
        model = build_lenet((3, 32, 32), 3, seed=0)
        assert replace_head(model, 9, layer="hidden", seed=0).hidden.out_features == 9

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"n_classes": 0}, "n_classes=0"),
            ({"hidden": (4, 0)}, r"hidden\[1\]=0"),
            ({"dropout": 1.0}, "below 1, got 1.0"),
            ({"layer": "lineer"}, "no layer 'lineer'. Close names: 'linear'"),
            ({"layer": "conv1"}, "'conv1' is Conv2d"),
            ({"layer": "layer1"}, "'layer1' is Sequential"),
            ({"auxiliary": "keep"}, "'replace' or 'drop'"),
        ],
    )
    def test_what_cannot_be_done_is_named(self, model, settings, words):
        with pytest.raises(SettingsError, match=words):
            replace_head(model, **({"n_classes": 5, "seed": 0} | settings))


class TestFind:
    @pytest.mark.parametrize(
        ("model", "head"),
        [
            (nn.Linear(4, 2), ""),
            (build_mlp((4,), (3,), 2, seed=0), None),
            (
                nn.Sequential(nn.Identity(), build_residual(8, n_classes=3, seed=0)),
                "1.linear",
            ),
        ],
    )
    def test_own_models(self, model, head):
        found = find_head(model)
        assert isinstance(model.get_submodule(found), nn.Linear)
        assert head is None or found == head

    def test_a_head_made_first_is_found_by_its_usual_name(self):
        class Own(nn.Module):
            def __init__(self):
                super().__init__()
                self.head = nn.Linear(4, 2)
                self.body = nn.Linear(4, 4)

        assert find_head(Own()) == "head"

    def test_a_sequential_in_the_place_of_fc_is_the_head(self):
        model = torchvision.models.resnet18(num_classes=3)
        model.fc = nn.Sequential(nn.Linear(512, 8), nn.ReLU(), nn.Linear(8, 3))
        assert find_head(model) == "fc"
        assert set(freeze(model).trainable) == {
            "fc.0.weight",
            "fc.0.bias",
            "fc.2.weight",
            "fc.2.bias",
        }

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (
                lambda: nn.Sequential(nn.Conv2d(3, 4, 3)),
                "last layer with weights is neither",
            ),
            (lambda: nn.Sequential(nn.Linear(2, 2), nn.Conv2d(1, 1, 3)), "is neither"),
            (lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), "is neither"),
            (lambda: nn.Sequential(nn.ReLU()), "is neither"),
            (
                lambda: timm.create_model("test_resnet", num_classes=0),
                r"its 'fc' is Identity",
            ),
            (lambda: nn.MultiheadAttention(4, 1), "is neither"),
        ],
    )
    def test_no_head_is_told_with_the_reason(self, make, words):
        with pytest.raises(SettingsError, match=words):
            find_head(make())


class TestPut:
    @pytest.mark.parametrize("hidden", [(), (6,)])
    def test_the_logits_are_those_of_the_head_on_the_features(self, hidden):
        model = build_residual(8, n_classes=3, seed=0, width=4).eval()
        sizes = (16, *hidden, 5)
        head = nn.Sequential(*[nn.Linear(a, b) for a, b in itertools.pairwise(sizes)])
        images = torch.rand(4, 3, 16, 16)
        body = copy.deepcopy(model)
        body.linear = nn.Identity()
        changed = put_head(model, head)
        torch.testing.assert_close(changed(images), head(body(images)))
        assert find_head(changed) == "linear"
        assert not changed.training

    def test_a_convolution_averages_logits_as_the_head_does_features(self):
        model = torchvision.models.squeezenet1_1(num_classes=3).eval()
        head = nn.Sequential(nn.Linear(512, 6), nn.Linear(6, 5))
        head[1].bias.data -= 1
        images = torch.rand(2, 3, 64, 64)
        features = model.features(images).mean((2, 3))
        changed = put_head(model, head)
        torch.testing.assert_close(changed(images), head(features), rtol=1e-4, atol=1e-5)
        assert (changed(images) < 0).any()  # no ReLU cuts them off
        assert isinstance(model.classifier[2], nn.ReLU)

    def test_the_head_that_was_given_is_copied(self):
        head = nn.Linear(16, 5)
        changed = put_head(build_residual(8, n_classes=3, seed=0, width=4), head)
        changed.linear.weight.data.zero_()
        assert head.weight.abs().sum() > 0

    def test_another_number_of_features_is_told(self):
        model = build_residual(8, n_classes=3, seed=0, width=4)
        with pytest.raises(
            ShapeError, match=r"made for 9 features, but 'linear'.*given 16"
        ):
            put_head(model, nn.Linear(9, 5))

    def test_a_head_without_linear_layer_is_refused(self):
        with pytest.raises(SettingsError, match="has none"):
            put_head(build_residual(8, n_classes=3, seed=0, width=4), nn.ReLU())

    def test_layers_for_vectors_do_not_fit_a_convolution(self):
        model = torchvision.models.squeezenet1_1(num_classes=3)
        with pytest.raises(SettingsError, match=r"BatchNorm1d.*made for vectors"):
            put_head(
                model, nn.Sequential(nn.Linear(512, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))
            )


class TestUntrained:
    def test_every_weight_is_drawn_anew_and_the_seed_decides(self):
        model = build_residual(8, n_classes=3, seed=0, width=4)
        model(torch.rand(4, 3, 16, 16))  # moves the averages
        freeze(model)
        one, same, other = (build_untrained(model, seed=seed) for seed in (1, 1, 2))
        for name, value in state(one).items():
            assert torch.equal(value, state(same)[name])
            if value.ndim > 1:
                assert not torch.equal(value, state(model)[name])
                assert not torch.equal(value, state(other)[name])
            if "running_mean" in name:
                assert not value.any()
        assert all(p.requires_grad for p in one.parameters())

    def test_a_parameter_that_no_layer_draws_is_named(self):
        with pytest.raises(
            SettingsError, match=re.escape("'cls_token' of VisionTransformer")
        ):
            build_untrained(timm.create_model("test_vit"), seed=0)


def test_a_large_network_needs_no_memory_on_the_meta_device():
    with torch.device("meta"):
        model = build_zfnet(seed=0)
    assert replace_head(model, 5, seed=0).linear8.weight.is_meta
