"""Files of weights: read without running code, and built into the model that they fit."""

import os
import pickle

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from coursekit.errors import SettingsError
from coursekit.models import (
    build_from_state,
    build_from_timm_files,
    find_architecture,
    find_head,
    read_state,
)

# The smallest member of each family of torchvision's, its input size, and its head.
FAMILIES = {
    "mnasnet0_5": (224, "classifier.1"),
    "mobilenet_v2": (224, "classifier.1"),
    "mobilenet_v3_small": (224, "classifier.3"),
    "resnet18": (224, "fc"),
    "shufflenet_v2_x0_5": (224, "fc"),
    "squeezenet1_1": (224, "classifier.1"),
    "efficientnet_b0": (224, "classifier.1"),
    "regnet_x_400mf": (224, "fc"),
    "densenet121": (224, "classifier"),
    "googlenet": (224, "fc"),
}
LARGE = ("alexnet", "convnext_tiny", "inception_v3", "swin_t", "vgg11", "vit_b_32")


def state_of(name, n_classes=1000, device="cpu"):
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device(device if not name.startswith("regnet") else "cpu"):
        model = torchvision.models.get_model(
            name, weights=None, num_classes=n_classes, **options
        )
    return model.state_dict()


# --- which architecture ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "n_classes"),
    [
        *((name, n) for name in FAMILIES for n in (2, 1000)),
        *((name, 1000) for name in LARGE),
    ],
)
def test_an_architecture_is_found_by_names_and_shapes(name, n_classes):
    assert find_architecture(state_of(name, n_classes, "meta")) == name


@pytest.mark.parametrize("name", ["resnet34", "resnet152", "wide_resnet50_2", "vgg13_bn"])
def test_deeper_relatives_are_told_apart(name):
    assert find_architecture(state_of(name, device="meta")) == name


def test_twins_are_told_apart_by_the_name_of_the_file():
    state = state_of("wide_resnet101_2", device="meta")
    assert (
        find_architecture(state, hint="wide_resnet101_2-d733dc28.pth") == "wide_resnet101_2"
    )
    misleading = find_architecture(state, hint="resnet18.pth")
    assert misleading == "wide_resnet101_2", "a name does not make weights fit"


@pytest.mark.parametrize("n_classes", [1, 18, 500])
def test_the_courses_own_net_is_found(n_classes):
    state = timm.create_model("coursekit_resnet8", num_classes=n_classes).state_dict()
    assert find_architecture(state) == "coursekit_resnet8"


@pytest.mark.parametrize("change", ["a layer more", "a layer less", "another shape"])
def test_weights_that_almost_fit_are_refused(change):
    state = state_of("squeezenet1_1", device="meta")
    if change == "a layer more":
        state["layer5.conv.weight"] = torch.zeros(1)
    elif change == "a layer less":
        del state["features.3.squeeze.bias"]
    else:
        state["features.3.squeeze.weight"] = torch.zeros(15, 64, 1, 1)
    with pytest.raises(
        SettingsError, match=r"fit neither.*first names: features\.0\.weight"
    ):
        find_architecture(state)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_files_without_the_heads_that_help_training_are_found_and_built(name):
    state = {k: v for k, v in state_of(name, 7).items() if not k.lower().startswith("aux")}
    assert find_architecture(state) == name
    model = build_from_state(name, state)
    assert not [key for key in model.state_dict() if key.lower().startswith("aux")]
    assert model(torch.zeros(1, 3, 96, 96)).shape == (1, 7)


def test_an_empty_state_is_refused():
    with pytest.raises(SettingsError, match="it is empty"):
        find_architecture({})


# --- building -------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_a_built_model_answers_as_the_one_that_was_saved(name):
    size, head = FAMILIES[name]
    torch.manual_seed(0)
    options = {"init_weights": False} if name == "googlenet" else {}
    saved = torchvision.models.get_model(
        name, weights=None, num_classes=5, **options
    ).eval()
    built = build_from_state(name, saved.state_dict())
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(built(image), saved(image))
    assert not built.training
    config = built.pretrained_cfg
    assert (config["input_size"], config["num_classes"]) == ((3, size, size), 5)
    assert config["classifier"] == find_head(built) == head
    assert config["mean"] == (0.485, 0.456, 0.406)


def test_the_configuration_is_torchvisions():
    config = build_from_state("mobilenet_v2", state_of("mobilenet_v2")).pretrained_cfg
    wants = torchvision.models.MobileNet_V2_Weights.DEFAULT.transforms()
    assert config["crop_pct"] == wants.crop_size[0] / wants.resize_size[0]
    assert config["interpolation"] == wants.interpolation.value
    assert config["std"] == tuple(wants.std)


def test_batch_counters_may_be_missing_as_in_old_files():
    state = state_of("mobilenet_v2")
    old = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    assert find_architecture(old) == "mobilenet_v2"
    assert not build_from_state("mobilenet_v2", old).training


def test_weights_of_another_model_are_refused():
    with pytest.raises(SettingsError, match="do not fit resnet18"):
        build_from_state("resnet18", state_of("squeezenet1_1"))


# --- reading --------------------------------------------------------------------------


@pytest.fixture
def state():
    return {"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.ones(2)}


def check(path, state):
    found = read_state(path)
    assert list(found) == list(state)
    assert all(torch.equal(found[key], state[key]) for key in state)


@pytest.mark.parametrize("is_nested", [False, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_usual_forms_are_read(tmp_path, state, is_nested, prefix):
    saved = {prefix + key: value for key, value in state.items()}
    if is_nested:
        saved = {is_nested: saved, "epoch": 3, "best": 0.5}
    torch.save(saved, tmp_path / "weights.pth")
    check(tmp_path / "weights.pth", state)
    if not is_nested:
        save_file(saved, tmp_path / "weights.safetensors")
        check(tmp_path / "weights.safetensors", dict(sorted(state.items())))


def test_old_files_that_are_no_archives_are_read(tmp_path, state):
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    check(tmp_path / "old.pth", state)


def test_a_part_called_module_keeps_its_name_elsewhere(tmp_path):
    torch.save({"my.module.weight": torch.ones(1)}, tmp_path / "w.pth")
    assert list(read_state(tmp_path / "w.pth")) == ["my.module.weight"]


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_code_in_a_file_is_not_run(tmp_path, writer):
    sprung, path = tmp_path / "sprung", tmp_path / "weights.pth"
    if writer == "torch":
        torch.save({"fc.weight": Trap(sprung)}, path)
    else:
        path.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(SettingsError, match=r"cannot be read as weights.*state_dict\(\)"):
        read_state(path)
    assert not sprung.exists()


def test_a_whole_model_is_refused_with_the_remedy(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "model.pth")
    with pytest.raises(SettingsError, match=r"torch\.save\(model\.state_dict\(\)"):
        read_state(tmp_path / "model.pth")


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x80\x04" * 99])
def test_files_that_hold_no_weights_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SettingsError, match=f"{name} (cannot be read|holds no)"):
        read_state(tmp_path / name)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_half_a_file_is_refused(tmp_path, state, name):
    save = save_file if name.endswith("safetensors") else torch.save
    save(state, tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SettingsError, match="cannot be read as weights"):
        read_state(tmp_path / name)


@pytest.mark.parametrize(
    "saved", [torch.ones(3), [torch.ones(3)], {"a": 1}, {"state_dict": {"a": "b"}}]
)
def test_what_is_no_dict_of_tensors_is_refused(tmp_path, saved):
    torch.save(saved, tmp_path / "w.pth")
    with pytest.raises(SettingsError, match="holds no state dict"):
        read_state(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["nowhere.pth", "."])
def test_a_path_without_a_file_is_refused(tmp_path, name):
    with pytest.raises(SettingsError, match="no file of weights at"):
        read_state(tmp_path / name)


# --- timm's files ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def own():
    torch.manual_seed(1)
    return timm.create_model("test_resnet", num_classes=5).eval()


IMAGE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "file_name",
    [
        "test_resnet.safetensors",
        "test_resnet.r160_in1k.safetensors",
        "test_resnet_ra-37913777.pth",
        "Test_ResNet-mine.pth",
    ],
)
def test_a_file_named_after_its_architecture_is_built(tmp_path, own, file_name):
    save = save_file if file_name.endswith("safetensors") else torch.save
    save(own.state_dict(), tmp_path / file_name)
    built = build_from_timm_files(tmp_path / file_name)
    torch.testing.assert_close(built(IMAGE), own(IMAGE))
    assert not built.training
    assert built.pretrained_cfg["num_classes"] == 5
    assert built.pretrained_cfg["file"] == str(tmp_path / file_name)


@pytest.mark.parametrize(
    ("name", "tag"),
    [("test_efficientnet_gn", "r160_in1k"), ("test_efficientnet", "r160_in1k")],
)
def test_the_longest_name_and_the_tag_are_meant(tmp_path, name, tag):
    model = timm.create_model(name)
    save_file(model.state_dict(), tmp_path / f"{name}.{tag}.safetensors")
    built = build_from_timm_files(tmp_path / f"{name}.{tag}.safetensors")
    assert built.pretrained_cfg["architecture"] == name
    assert built.pretrained_cfg["tag"] == tag


@pytest.mark.parametrize("is_safe", [False, True], ids=["pickled", "safetensors"])
@pytest.mark.parametrize("is_named", [False, True], ids=["folder", "file in it"])
def test_a_folder_as_timm_shares_it_is_built(tmp_path, own, is_named, is_safe):
    config = {"pretrained_cfg": {"mean": (0.1, 0.2, 0.3)}}
    timm.models.save_for_hf(own, tmp_path, model_config=config, safe_serialization=is_safe)
    path = tmp_path / ("model.safetensors" if is_safe else "pytorch_model.bin")
    built = build_from_timm_files(path if is_named else tmp_path)
    torch.testing.assert_close(built(IMAGE), own(IMAGE))
    assert built.pretrained_cfg["mean"] == (0.1, 0.2, 0.3)
    assert built.pretrained_cfg["file"] == str(path)


def test_variants_are_made_of_the_same_file(tmp_path, own):
    torch.save(own.state_dict(), tmp_path / "test_resnet.pth")
    config = build_from_timm_files(tmp_path / "test_resnet.pth").pretrained_cfg
    for options, shape in (({"num_classes": 9}, (1, 9)), ({"in_chans": 8}, (1, 5))):
        overlay = {"file": config["file"], "num_classes": config["num_classes"]}
        variant = timm.create_model(
            "test_resnet",
            pretrained=True,
            pretrained_cfg_overlay=overlay,
            **{"num_classes": 5, **options},
        )
        image = torch.zeros(1, options.get("in_chans", 3), 64, 64)
        assert variant.eval()(image).shape == shape
        assert torch.equal(variant.layer1[0].conv1.weight, own.layer1[0].conv1.weight)


def test_the_courses_net_is_found_under_any_name(tmp_path):
    model = timm.create_model("coursekit_resnet8", num_classes=3).eval()
    save_file(model.state_dict(), tmp_path / "mine.safetensors")
    built = build_from_timm_files(tmp_path / "mine.safetensors")
    torch.testing.assert_close(built(IMAGE), model(IMAGE))


def test_a_file_that_does_not_say_what_it_is_for_is_refused(tmp_path, own):
    torch.save(own.state_dict(), tmp_path / "best.pth")
    with pytest.raises(
        SettingsError, match=r"best\.pth does not say.*efficientnet_lite0\.mine\.pth"
    ):
        build_from_timm_files(tmp_path / "best.pth")


def test_weights_that_do_not_fit_their_name_are_refused(tmp_path, own):
    torch.save(own.state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(SettingsError, match=r"resnet18\.pth do not fit timm's resnet18"):
        build_from_timm_files(tmp_path / "resnet18.pth")


def test_code_in_a_file_of_timms_is_not_run(tmp_path):
    torch.save({"fc.weight": Trap(tmp_path / "sprung")}, tmp_path / "resnet18.pth")
    with pytest.raises(SettingsError, match="cannot be read as weights"):
        build_from_timm_files(tmp_path / "resnet18.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (None, "has no config.json"),
        ("{", "is not a configuration of timm's"),
        ('{"layers": 3}', "is not a configuration of timm's"),
        ('{"architecture": "resnet9000"}', "'resnet9000', which timm does not know"),
        ('{"architecture": "resnet18", "weights": "away"}', "but no weights"),
    ],
)
def test_a_folder_that_is_not_timms_is_refused(tmp_path, config, words):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
        if "away" not in config:
            (tmp_path / "model.safetensors").touch()
    with pytest.raises(SettingsError, match=words):
        build_from_timm_files(tmp_path)
