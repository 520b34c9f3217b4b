"""Files of weights: what is read, what is built of it, and what is refused."""

import os

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

import coursekit.models  # noqa: F401 - registers the course's net
from coursekit.errors import SettingsError
from coursekit.models.states import build_from_state, build_from_timm_files, read_state

IMAGE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


# --- reading ------------------------------------------------------------------------------


@pytest.fixture
def state():
    return {"fc.weight": torch.arange(6.0).reshape(2, 3), "model.bias": torch.ones(2)}


@pytest.mark.parametrize("nest", [None, "state_dict", "net"])
@pytest.mark.parametrize("prefix", ["", "model.", "module._orig_mod."])
def test_the_usual_forms_are_read(tmp_path, state, nest, prefix):
    saved = {prefix + key: value for key, value in state.items()}
    path = tmp_path / ("weights.pth" if nest else "weights.safetensors")
    if nest:
        torch.save({"epoch": 3, "best": 0.5, nest: saved}, path)
    else:
        save_file(saved, path)
    found = read_state(path)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_a_file_is_not_run(tmp_path):
    torch.save({"fc.weight": Trap(tmp_path / "sprung")}, tmp_path / "resnet18.pth")
    with pytest.raises(SettingsError, match=r"cannot be read as weights.*state_dict\(\)"):
        read_state(tmp_path / "resnet18.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 cut"])
def test_files_that_hold_no_weights_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SettingsError, match=f"{name} cannot be read"):
        read_state(tmp_path / name)


@pytest.mark.parametrize(
    "saved",
    [torch.ones(3), {"a": 1}, {"net": {"a": torch.ones(1)}, "ema": {"a": torch.ones(1)}}],
)
def test_what_is_no_single_state_dict_is_refused_with_the_remedy(tmp_path, saved):
    torch.save(saved, tmp_path / "w.pth")
    with pytest.raises(SettingsError, match=r"torch\.save\(model\.state_dict\(\)"):
        read_state(tmp_path / "w.pth")
    with pytest.raises(SettingsError, match="no file of weights at"):
        read_state(tmp_path / "nowhere.pth")


# --- torchvision's ------------------------------------------------------------------------


def make(name, n_classes=5):
    torch.manual_seed(0)
    options = {"init_weights": False} if name == "googlenet" else {}
    model = torchvision.models.get_model(
        name, weights=None, num_classes=n_classes, **options
    )
    return model.eval()


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("mnasnet0_5", "classifier.1"),
        ("regnet_x_400mf", "fc"),
        ("squeezenet1_1", "classifier.1"),
        ("googlenet", "fc"),
    ],
)
def test_a_built_model_answers_as_the_one_that_was_saved(name, head):
    saved = make(name)
    built = build_from_state(name, dict(saved.state_dict()))
    with torch.inference_mode():
        torch.testing.assert_close(built(IMAGE), saved(IMAGE))
        if (
            name == "googlenet"
        ):  # the heads that help training are left out of files for use
            state = {k: v for k, v in saved.state_dict().items() if k[:3] != "aux"}
            built = build_from_state(name, state)
            torch.testing.assert_close(built(IMAGE), saved(IMAGE))
    assert not built.training
    assert built.pretrained_cfg["classifier"] == head


def test_the_configuration_is_torchvisions():
    wants = torchvision.models.MobileNet_V2_Weights.DEFAULT.transforms()
    state = make("mobilenet_v2").state_dict()
    old = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    config = build_from_state("mobilenet_v2", old).pretrained_cfg
    assert (config["input_size"], config["num_classes"]) == ((3, 224, 224), 5)
    assert config["crop_pct"] == wants.crop_size[0] / wants.resize_size[0]
    assert config["interpolation"] == wants.interpolation.value
    assert (config["mean"], config["std"]) == (tuple(wants.mean), tuple(wants.std))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("own head", r'Missing.*"fc\.weight", "fc\.bias"; Unexpected.*"fc\.1\.weight"'),
        ("no head", r'Missing.*"fc\.weight", "fc\.bias"\. Name the architecture'),
        ("gray", r"conv1\.weight.*\[64, 1, 7, 7\]\).*\[64, 3, 7, 7\]"),
    ],
)
@pytest.mark.parametrize("is_timm", [False, True])
def test_what_does_not_fit_is_named(change, words, is_timm):
    model = make("resnet18")
    if change == "gray":
        model.conv1 = nn.Conv2d(1, 64, 7, bias=False)
    else:
        own = nn.Sequential(nn.Dropout(), nn.Linear(512, 3))
        model.fc = own if change == "own head" else nn.Identity()
    with pytest.raises(SettingsError, match=rf"do not fit resnet18.*{words}"):
        build_from_state("resnet18", model.state_dict(), is_timm=is_timm)


# --- timm's -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own():
    torch.manual_seed(1)
    return timm.create_model("test_resnet", num_classes=5).eval()


def test_a_file_of_timms_is_built_and_makes_variants(tmp_path, own):
    file = tmp_path / "mine.safetensors"
    save_file(own.state_dict(), file)
    built = build_from_timm_files(file, name="test_resnet.r160_in1k")
    torch.testing.assert_close(built(IMAGE), own(IMAGE))
    config = built.pretrained_cfg
    assert (config["architecture"], config["tag"]) == ("test_resnet", "r160_in1k")
    assert (config["num_classes"], config["file"]) == (5, str(file))
    overlay = {"file": config["file"], "num_classes": 5}
    variant = timm.create_model(
        "test_resnet", pretrained=True, pretrained_cfg_overlay=overlay, num_classes=9
    )
    assert torch.equal(variant.layer1[0].conv1.weight, own.layer1[0].conv1.weight)
    with pytest.raises(SettingsError, match=r"'test_resne'\. Did you mean 'test_resnet'"):
        build_from_timm_files(file, name="test_resne")


def test_a_folder_as_timm_shares_it_is_built(tmp_path, own):
    config = {"pretrained_cfg": {"mean": (0.1, 0.2, 0.3)}}
    timm.models.save_for_hf(own, tmp_path, model_config=config, safe_serialization=True)
    built = build_from_timm_files(tmp_path, name="")
    torch.testing.assert_close(built(IMAGE), own(IMAGE))
    assert list(built.pretrained_cfg["mean"]) == [0.1, 0.2, 0.3]
    assert built.pretrained_cfg["file"] == str(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(SettingsError, match=r"cannot open the folder.*save_for_hf"):
        build_from_timm_files(tmp_path, name="")
    (tmp_path / "config.json").unlink()
    with pytest.raises(SettingsError, match=r"needs config\.json"):
        build_from_timm_files(tmp_path, name="")
