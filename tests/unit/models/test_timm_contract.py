"""One list of timm's calls, on the shipped net and on one of timm's own architectures.

timm's own is built without weights, and gets a file of random ones where weights are asked for.
"""

import pytest
import timm
import timm.optim
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.fx import GraphModule
from torchvision.models.feature_extraction import (
    create_feature_extractor,
    get_graph_node_names,
)
from torchvision.transforms import v2

import coursekit.models  # noqa: F401 - registers the course's net

OURS = "coursekit_resnet8"
NAMES = (OURS, "test_resnet")
SIZE = 96


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Random weights for timm's own architectures: name to path."""
    folder, made = tmp_path_factory.mktemp("weights"), {}
    for name in NAMES[1:]:
        torch.manual_seed(0)
        made[name] = str(folder / f"{name}.safetensors")
        save_file(timm.create_model(name).state_dict(), made[name])
    return made


@pytest.fixture
def create(name, files):
    """Create the model with weights, as a user of timm does."""

    def create(**options):
        if name in files:
            overlay = {"file": files[name], **options.pop("pretrained_cfg_overlay", {})}
            options["pretrained_cfg_overlay"] = overlay
        return timm.create_model(name, pretrained=True, **options).eval()

    return create


@pytest.fixture
def images():
    return torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) for key in first
    )


# --- creating -------------------------------------------------------------------------


def test_weights_are_the_files_and_the_same_each_time(name, create, files):
    first, second = create(), create()
    assert same(first.state_dict(), second.state_dict())
    stored = load_file(files.get(name) or first.pretrained_cfg["file"])
    assert all(torch.equal(v, stored[k].to(v)) for k, v in first.state_dict().items())
    assert not same(first.state_dict(), timm.create_model(name).state_dict())


@pytest.mark.parametrize("n_classes", [0, 7])
def test_another_number_of_classes_keeps_all_but_the_head(create, images, n_classes):
    whole, other = create(), create(num_classes=n_classes)
    head = whole.pretrained_cfg["classifier"]
    kept = {k: v for k, v in whole.state_dict().items() if not k.startswith(head)}
    assert same(
        kept, {k: v for k, v in other.state_dict().items() if not k.startswith(head)}
    )
    assert other.num_classes == n_classes
    assert other(images).shape == (2, n_classes or whole.num_features)


@pytest.mark.parametrize("in_chans", [1, 8])
def test_the_first_convolution_is_adapted_to_other_channels(create, images, in_chans):
    colored, other = create(), create(in_chans=in_chans)
    first = colored.pretrained_cfg["first_conv"] + ".weight"
    before, after = (m.state_dict()[first].float() for m in (colored, other))
    assert after.shape == (before.shape[0], in_chans, *before.shape[2:])
    if in_chans == 1:  # a gray image is one whose colors are equal
        torch.testing.assert_close(after[:, 0], before.sum(1))
        gray = images[:, :1]
        torch.testing.assert_close(
            other(gray), colored(gray.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5
        )
    else:  # repeated, and scaled so that the answers keep their size
        for channel in range(in_chans):
            wanted = before[:, channel % 3] * 3 / in_chans
            torch.testing.assert_close(after[:, channel], wanted)


def test_names_of_models_are_listed_by_pattern(name):
    assert name in timm.list_models(f"{name[:6]}*")
    assert timm.is_model(name)
    assert timm.model_entrypoint(name).__name__ == name
    assert any(
        found.split(".")[0] == name
        for found in timm.list_models(name + "*", pretrained=True)
    )


def test_the_tag_of_the_weights_is_part_of_their_name():
    assert timm.list_models("coursekit*", pretrained=True) == ["coursekit_resnet8.shapes"]
    tagged = timm.create_model("coursekit_resnet8.shapes", pretrained=True)
    plain = timm.create_model(OURS, pretrained=True)
    assert same(tagged.state_dict(), plain.state_dict())
    assert timm.get_pretrained_cfg(OURS).tag == "shapes"
    with pytest.raises(RuntimeError, match="Invalid pretrained tag"):
        timm.create_model("coursekit_resnet8.photos", pretrained=True)


# --- configuration --------------------------------------------------------------------


def test_the_configuration_says_what_timms_own_say(create, files):
    model = create()
    config = model.pretrained_cfg
    reference = timm.create_model(NAMES[1]).pretrained_cfg
    assert set(config) >= set(reference) - {"url", "hf_hub_id", "license", "origin_url"}
    assert len(config["input_size"]) == 3
    assert all(0 < value < 1 for value in (*config["mean"], *config["std"]))
    assert config["num_classes"] == len(model.get_submodule(config["classifier"]).weight)
    assert isinstance(model.get_submodule(config["first_conv"]), nn.Conv2d)
    assert model.default_cfg == config


def test_the_overlay_changes_the_configuration_and_the_file(create, tmp_path):
    model = create(pretrained_cfg_overlay={"mean": (0.1, 0.2, 0.3)})
    assert model.pretrained_cfg["mean"] == (0.1, 0.2, 0.3)
    assert model.pretrained_cfg["std"] == create().pretrained_cfg["std"]
    changed = {key: torch.zeros_like(v) for key, v in model.state_dict().items()}
    save_file(changed, tmp_path / "zeros.safetensors")
    overlay = {"file": str(tmp_path / "zeros.safetensors")}
    zeros = create(pretrained_cfg_overlay=overlay)
    assert not any(value.any() for value in zeros.state_dict().values())


def test_data_configuration_and_transforms_for_evaluation_and_training(create):
    model = create()
    config = timm.data.resolve_data_config({}, model=model)
    assert set(config) == {
        "input_size",
        "interpolation",
        "mean",
        "std",
        "crop_pct",
        "crop_mode",
    }
    for key in config:
        assert config[key] == (model.pretrained_cfg[key] or config[key])
    picture = v2.functional.to_pil_image(torch.rand(3, 120, 150))
    for is_training in (False, True):
        transform = timm.data.create_transform(**config, is_training=is_training)
        made = transform(picture)
        assert (made.shape, made.dtype) == (config["input_size"], torch.float32)
    assert timm.data.resolve_model_data_config(model) == config


# --- features and head ----------------------------------------------------------------


def test_the_two_halves_of_the_forward_pass_make_the_whole(create, images):
    model = create()
    maps = model.forward_features(images)
    assert maps.shape[:2] == (2, model.num_features)
    torch.testing.assert_close(model.forward_head(maps), model(images))
    features = model.forward_head(maps, pre_logits=True)
    assert features.shape == (2, model.head_hidden_size)
    torch.testing.assert_close(model.get_classifier()(features), model(images))
    torch.testing.assert_close(create(num_classes=0)(images), features)


def test_pooling_can_be_left_out_or_be_another(create, images):
    maps = create(num_classes=0, global_pool="")(images)
    assert maps.ndim == 4
    assert create(num_classes=0)(images).ndim == 2
    highest = create(num_classes=0, global_pool="max")(images)
    assert highest.shape == create(num_classes=0)(images).shape
    assert not torch.equal(highest, create(num_classes=0)(images))


def test_the_head_is_replaced_in_place(create, images):
    model = create()
    features = model.forward_head(model.forward_features(images), pre_logits=True)
    model.reset_classifier(5)
    head = model.get_classifier()
    assert isinstance(head, nn.Linear)
    assert (head.out_features, model.num_classes) == (5, 5)
    torch.testing.assert_close(head(features), model(images))
    model.reset_classifier(0)
    assert isinstance(model.get_classifier(), nn.Identity)
    torch.testing.assert_close(model(images), features)
    model.reset_classifier(0, "")
    assert model(images).ndim == 4


def test_dropout_before_the_head_is_at_work_in_training_alone(create, images):
    model = create(drop_rate=0.5)
    torch.testing.assert_close(model(images), create()(images))
    maps = model.forward_features(images)
    model.train()
    torch.manual_seed(0)
    assert not torch.equal(model.forward_head(maps), model.forward_head(maps))


@pytest.mark.parametrize("chosen", [None, (0, 2), (-1,), (1, 2, 3)])
def test_features_only_gives_maps_that_their_info_describes(create, images, chosen):
    options = {} if chosen is None else {"out_indices": chosen}
    model = create(features_only=True, **options)
    maps = model(images)
    assert len(maps) == len(model.feature_info.channels()) >= 1
    for made, n_channels, reduction in zip(
        maps, model.feature_info.channels(), model.feature_info.reduction(), strict=True
    ):
        assert made.shape == (2, n_channels, SIZE // reduction, SIZE // reduction)
    if chosen is not None:
        assert len(maps) == len(chosen)
    assert len(model.feature_info.module_name()) == len(maps)


def test_intermediates_agree_with_the_features_and_the_forward_pass(create, images):
    model = create()
    last, maps = model.forward_intermediates(images)
    torch.testing.assert_close(last, model.forward_features(images))
    torch.testing.assert_close(
        maps, model.forward_intermediates(images, intermediates_only=True)
    )
    two = model.forward_intermediates(images, indices=2, intermediates_only=True)
    torch.testing.assert_close(two, maps[-2:])
    one = model.forward_intermediates(
        images, indices=[1], stop_early=True, intermediates_only=True
    )
    torch.testing.assert_close(one, maps[1:2])
    taken = create(features_only=True, out_indices=tuple(range(len(maps))))(images)
    torch.testing.assert_close(taken, maps, rtol=1e-4, atol=1e-5)


def test_depths_that_do_not_exist_and_other_formats_are_refused(create, images):
    model = create()
    for wrong in ([9], [-9], 99, 0):
        with pytest.raises((AssertionError, ValueError), match=r"out of range|4 depths"):
            model.forward_intermediates(images, indices=wrong)
    with pytest.raises((AssertionError, ValueError), match="NCHW"):
        model.forward_intermediates(images, output_fmt="NLC")


# --- training, copies and files -------------------------------------------------------


def test_the_rates_of_the_course_net_halve_with_every_depth():
    model = timm.create_model(OURS)
    optimizer = timm.optim.create_optimizer_v2(model, opt="sgd", lr=1.0, layer_decay=0.5)
    names = {id(p): name for name, p in model.named_parameters()}
    scales = {
        names[id(p)].partition(".conv")[0].split(".b")[0]: group["lr_scale"]
        for group in optimizer.param_groups
        for p in group["params"]
    }
    depths = ["stem", "stages.0", "stages.1", "stages.2", "fc"]
    found = [
        {scale for key, scale in scales.items() if key.startswith(depth)}
        for depth in depths
    ]
    assert found == [{0.0625}, {0.125}, {0.25}, {0.5}, {1.0}]


@pytest.mark.parametrize("coarse", [False, True])
def test_the_matcher_puts_every_parameter_in_a_group(create, coarse):
    model = create()
    groups = timm.models.group_parameters(model, model.group_matcher(coarse=coarse))
    listed = [name for names in groups.values() for name in names]
    assert sorted(listed) == sorted(name for name, _ in model.named_parameters())


def test_a_step_trains_every_parameter(create, images):
    model = create(num_classes=3).train()
    model(images).square().sum().backward()
    assert all(
        p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters()
    )


def test_a_new_head_stands_where_the_model_does_and_in_its_mode(create):
    for is_training in (False, True):
        model = create().to("meta").train(is_training)
        model.reset_classifier(3)
        assert model.get_classifier().weight.is_meta
        assert model.get_classifier().training == is_training


def test_what_is_saved_is_loaded_again(name, create, images, tmp_path):
    model = create(num_classes=4)
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    again = timm.create_model(name, num_classes=4).eval()
    timm.models.load_checkpoint(again, str(tmp_path / "mine.pth"))
    torch.testing.assert_close(again(images), model(images))
    by_path = timm.create_model(
        name, num_classes=4, checkpoint_path=str(tmp_path / "mine.pth")
    )
    torch.testing.assert_close(by_path.eval()(images), model(images))


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_graphs_scripts_and_extractors_give_the_same(create, images):
    model = create()
    nodes = get_graph_node_names(model)[1]
    info = create(features_only=True).feature_info.module_name()
    assert nodes
    assert isinstance(torch.fx.symbolic_trace(model), GraphModule)
    module = info[1].replace("_", ".") if info[1] not in nodes else info[1]
    node = next(n for n in reversed(nodes) if n.startswith(module))
    extractor = create_feature_extractor(model, {node: "maps"})
    wanted = model.forward_intermediates(images, indices=[1], intermediates_only=True)[0]
    torch.testing.assert_close(extractor(images)["maps"], wanted)
    scripted = torch.jit.script(model)
    torch.testing.assert_close(scripted(images), model(images), rtol=1e-4, atol=1e-5)


def test_the_whole_graph_compiles_as_one(create, images):
    model = create()
    program = torch.export.export(model, (images,))
    torch.testing.assert_close(program.module()(images), model(images))
