"""Opening a CLIP: the shipped one against open_clip's own calls, files, and what is said."""

import copy
import shutil
import warnings

import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from coursekit.assets import data_folder
from coursekit.errors import SettingsError
from coursekit.models.clip import (
    CheckedTokenizer,
    model_configuration,
    open_clip_files,
)

NAME = "tiny-for-tests"
TINY = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}
TEXTS = ["a small red star", "a blue disc", "a star"]


@pytest.fixture
def tiny(monkeypatch):
    """An architecture that open_clip knows, standing for ViT-B-32-quickgelu."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, NAME, copy.deepcopy(TINY))
    torch.manual_seed(0)
    return open_clip.CLIP(**copy.deepcopy(TINY)).eval()


@pytest.fixture
def shipped(tmp_path):
    """A copy of the folder that the course ships."""
    return shutil.copytree(data_folder() / "weights/clip_small", tmp_path / "clip_small")


@pytest.fixture(scope="module")
def opened():
    return open_clip_files(data_folder() / "weights/clip_small", architecture=NAME)


def as_program(state):
    """Return a TorchScript program that holds a state dict, as OpenAI's files do."""
    root = nn.Module()
    for name, value in state.items():
        path, _, last = name.rpartition(".")
        module = root
        for part in filter(None, path.split(".")):
            module._modules.setdefault(part, nn.Module())
            module = module._modules[part]
        module.register_buffer(last, value.half() if value.is_floating_point() else value)
    root.register_buffer("input_resolution", torch.tensor(32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # making programs is deprecated, reading is not
        return torch.jit.script(root)


@torch.no_grad()
def test_the_shipped_clip_is_what_open_clips_own_calls_give(opened, shipped):
    name = f"local-dir:{shipped}"
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    tokenizer = open_clip.get_tokenizer(name, bpe_path=str(shipped / "words.txt.gz"))
    tokens, image = opened.tokenizer(TEXTS), Image.new("L", (50, 40), 99)
    assert torch.equal(tokens, tokenizer(TEXTS))
    assert torch.equal(opened.preprocess(image), preprocess(image))
    assert not opened.model.training
    texts = opened.model.encode_text(tokens)
    assert texts.shape == (3, 96)
    torch.testing.assert_close(texts, model.eval().encode_text(tokens))
    config = model_configuration(opened.model)
    assert config == opened.model.pretrained_cfg
    assert config["input_size"] == (3, 32, 32)


@pytest.mark.parametrize("ending", ["safetensors", "pt", "program"])
def test_a_file_of_weights_opens_in_silence(tiny, tmp_path, ending, capfd, caplog):
    path = tmp_path / f"weights.{ending}"
    if ending == "program":  # of OpenAI's kind
        as_program(tiny.state_dict()).save(str(path))
    else:
        (save_file if ending == "safetensors" else torch.save)(tiny.state_dict(), path)
    clip = open_clip_files(path, architecture=NAME)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    tokens = clip.tokenizer(TEXTS)
    with torch.no_grad():
        answers = [model.encode_text(tokens) for model in (clip.model, tiny)]
    torch.testing.assert_close(*answers, atol=1e-2, rtol=1e-2)


def test_nothing_there(shipped):
    with pytest.raises(SettingsError, match=r"schema not found: .*nowhere"):
        open_clip_files(shipped / "nowhere", architecture=NAME)
    (shipped / "open_clip_model.safetensors").unlink()
    with pytest.raises(SettingsError, match=r"weights .* could not be loaded"):
        open_clip_files(shipped, architecture=NAME)


def test_weights_that_do_not_fit_are_named(tiny, shipped, tmp_path):
    path = shipped / "open_clip_model.safetensors"
    state = load_file(path)
    state["text_projection"] = state["text_projection"][:, :40].contiguous()
    save_file(state, path)
    with pytest.raises(SettingsError, match=r"clip_small as a CLIP: .*text_projection"):
        open_clip_files(shipped, architecture=NAME)
    save_file({"fc.weight": torch.zeros(2, 2)}, tmp_path / "head.safetensors")
    with pytest.raises(SettingsError, match=rf"as {NAME}: .*Missing key.*one and the"):
        open_clip_files(tmp_path / "head.safetensors", architecture=NAME)
    (shipped / "open_clip_config.json").write_text("{")
    with pytest.raises(SettingsError, match="clip_small as a CLIP: "):
        open_clip_files(shipped, architecture=NAME)


# --- the tokenizer ------------------------------------------------------------------------


def test_unknown_words_are_named_once_each(opened):
    tokenizer, texts = opened.tokenizer, ["a red dog", "a dog and a zebra ?", "a star"]
    with pytest.warns(UserWarning, match=r"no word 'dog', 'zebra', '\?': the rest") as seen:
        tokens = tokenizer(texts)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert torch.equal(tokens, tokenizer.tokenizer(texts))
    with pytest.warns(UserWarning, match=r"'u', \.\.\.: the rest"):
        tokenizer("q w y z u x v")


def test_what_is_known_is_read_in_silence(opened):
    openai = CheckedTokenizer(open_clip.get_tokenizer("ViT-B-32"), is_word_level=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = [opened.tokenizer(text) for text in ("  A  Small RED star", TEXTS[0])]
        assert torch.equal(*ours)
        assert openai("a zebra called Xqzw").shape == (1, 77)


def test_texts_that_are_cut_off_make_one_warning(opened):
    fits = " ".join(["star"] * 14)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = opened.tokenizer([fits, fits])
    with pytest.warns(UserWarning, match="16 tokens, start") as seen:
        tokens = opened.tokenizer([fits + " red", fits + " star"])
    assert len(seen) == 1
    assert torch.equal(tokens, whole)
