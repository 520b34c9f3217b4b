"""Opening a CLIP: folders, files, programs, and clear words about what does not fit."""

import copy
import json
import shutil
import warnings

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from coursekit.assets import data_folder
from coursekit.errors import SettingsError, ShapeError
from coursekit.models import ClipSource, find_clip, model_configuration, open_clip_source

NAME = "tiny-for-tests"
TINY = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 8,
        "heads": 2,
        "layers": 1,
    },
}


@pytest.fixture(scope="module", autouse=True)
def tiny(tmp_path_factory):
    """An architecture that open_clip knows, standing for ViT-B-32-quickgelu."""
    before = copy.deepcopy(open_clip.factory._MODEL_CONFIGS)
    folders = list(open_clip.factory._MODEL_CONFIG_PATHS)
    folder = tmp_path_factory.mktemp("configs")
    (folder / f"{NAME}.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(folder)
    torch.manual_seed(0)
    yield open_clip.CLIP(**copy.deepcopy(TINY)).eval()
    open_clip.factory._MODEL_CONFIG_PATHS[:] = folders
    open_clip.factory._MODEL_CONFIGS.clear()
    open_clip.factory._MODEL_CONFIGS.update(before)


@pytest.fixture
def shipped(tmp_path):
    """A copy of the folder that the course ships."""
    return shutil.copytree(
        data_folder() / "weights" / "clip_small", tmp_path / "clip_small"
    )


def as_program(state):
    """Return a TorchScript program that holds a state dict, as OpenAI's files do."""
    root = nn.Module()
    for name, value in state.items():
        *path, last = name.split(".")
        module = root
        for part in path:
            if not hasattr(module, part):
                module.add_module(part, nn.Module())
            module = getattr(module, part)
        module.register_buffer(last, value.half() if value.is_floating_point() else value)
    for name, value in (
        ("input_resolution", 32),
        ("context_length", 77),
        ("vocab_size", 1),
    ):
        root.register_buffer(name, torch.tensor(value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # making programs is deprecated, reading is not
        return torch.jit.script(root)


def same_texts(model, other):
    tokens = open_clip.get_tokenizer("ViT-B-32")(["a star", "two dogs"])
    with torch.no_grad():
        torch.testing.assert_close(
            model.encode_text(tokens), other.encode_text(tokens), atol=1e-2, rtol=1e-2
        )


# --- what opens -----------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_a_file_of_weights_opens(tiny, tmp_path, ending):
    path = tmp_path / f"weights{ending}"
    save = save_file if ending == ".safetensors" else torch.save
    save(tiny.state_dict(), path)
    opened = open_clip_source(find_clip(path, architecture=NAME))
    same_texts(opened.model, tiny)
    assert not opened.model.training
    assert opened.tokenizer.context_length == 77
    assert opened.preprocess(Image.new("L", (50, 40))).shape == (3, 32, 32)


def test_a_program_of_openais_kind_opens(tiny, tmp_path, capfd):
    path = tmp_path / "ViT-B-32.pt"
    as_program(tiny.state_dict()).save(str(path))
    source = find_clip(path, architecture=NAME)
    assert source.model == {
        "model_name": NAME,
        "pretrained": str(path),
        "weights_only": False,
    }
    same_texts(open_clip_source(source).model, tiny)
    assert capfd.readouterr() == ("", "")


@pytest.mark.filterwarnings("ignore")
def test_the_librarys_own_call_opens_the_program_too(tiny, tmp_path):
    path = tmp_path / "ViT-B-32.pt"
    as_program(tiny.state_dict()).save(str(path))
    source = find_clip(path, architecture=NAME)
    model, _, _ = open_clip.create_model_and_transforms(**source.model)
    same_texts(model, tiny)


def test_a_folder_opens_wherever_it_lies(shipped, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    opened = open_clip_source(find_clip("clip_small", architecture=NAME))
    assert opened.tokenizer.is_word_level
    assert opened.model.pretrained_cfg["input_size"] == (3, 32, 32)
    assert opened.tokenizer("a star").shape == (1, 16)


def test_nothing_is_said_while_a_clip_opens(shipped, capfd, caplog):
    open_clip_source(find_clip(shipped, architecture=NAME))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


# --- what does not --------------------------------------------------------------------


def test_nothing_there(tmp_path):
    with pytest.raises(
        SettingsError, match=r"There is no CLIP at .*nowhere.*open_clip_config"
    ):
        find_clip(tmp_path / "nowhere", architecture=NAME)


def test_a_folder_without_weights(shipped):
    (shipped / "open_clip_model.safetensors").unlink()
    with pytest.raises(SettingsError, match=r"but no weights .* beside it"):
        find_clip(shipped, architecture=NAME)


def test_weights_of_another_size_in_a_folder(shipped):
    path = shipped / "open_clip_model.safetensors"
    state = load_file(path)
    state["text_projection"] = state["text_projection"][:, :40].contiguous()
    save_file(state, path)
    with pytest.raises(
        SettingsError, match=r"size mismatch for text_projection.*one and the"
    ):
        open_clip_source(find_clip(shipped, architecture=NAME))


def test_a_file_of_another_size(tiny, tmp_path):
    state = tiny.state_dict()
    state["visual.proj"] = state["visual.proj"][:, :4].contiguous()
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(
        SettingsError, match=rf"other.*not hold what {NAME} needs.*visual.proj"
    ):
        open_clip_source(find_clip(tmp_path / "other.safetensors", architecture=NAME))


def test_a_file_of_another_model(tmp_path):
    save_file({"fc.weight": torch.zeros(2, 2)}, tmp_path / "head.safetensors")
    with pytest.raises(SettingsError, match=r"Missing key.*one and the same model"):
        open_clip_source(find_clip(tmp_path / "head.safetensors", architecture=NAME))


def test_a_file_that_is_cut_off(tmp_path):
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04 not a whole archive")
    with pytest.raises(SettingsError, match=r"cut.pt cannot be read as weights"):
        open_clip_source(find_clip(tmp_path / "cut.pt", architecture=NAME))


def test_a_damaged_configuration(shipped):
    (shipped / "open_clip_config.json").write_text("{")
    with pytest.raises(SettingsError, match="clip_small does not hold what its config"):
        open_clip_source(find_clip(shipped, architecture=NAME))


def test_an_unknown_architecture():
    source = ClipSource(model={"model_name": "ViT-Z"}, tokenizer={"model_name": "ViT-Z"})
    with pytest.raises(SettingsError, match="'ViT-Z' not found"):
        open_clip_source(source)


def test_a_model_that_is_no_clip():
    with pytest.raises(
        SettingsError, match=r"model of open_clip is needed, got Linear.*clip\("
    ):
        model_configuration(nn.Linear(2, 2))


@pytest.fixture
def preprocess(shipped):
    return open_clip_source(find_clip(shipped, architecture=NAME)).preprocess


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8, 3), np.uint8), torch.zeros(3, 8, 8), "image.png", None]
)
def test_preprocess_takes_pil_images_only(preprocess, image):
    with pytest.raises(ShapeError, match=r"takes one PIL image.*Image\.fromarray"):
        preprocess(image)


@pytest.mark.parametrize(
    "array", [np.zeros((8, 8), np.float32), np.zeros((8, 8), np.uint16)]
)
def test_modes_that_would_turn_white_are_refused(preprocess, array):
    with pytest.raises(SettingsError, match=r"8 bits a channel, got mode '(F|I;16)'"):
        preprocess(Image.fromarray(array))
