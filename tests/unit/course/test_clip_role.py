"""The role "clip": what stands in it, own files, and a network that is down."""

import shutil
import socket
from pathlib import Path

import open_clip
import pytest
import torch

from coursekit import assets, course
from coursekit.assets import data_folder
from coursekit.datasets import make_shapes
from coursekit.errors import AssetError, RoleError

SHIPPED = data_folder() / "weights" / "clip_small"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    """No setting but an empty cache; whatever a test sets is put back."""
    for name in ("COURSEKIT_PROFILE", "COURSEKIT_MIRROR", "COURSEKIT_ROLE_CLIP"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("COURSEKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def real(monkeypatch):
    monkeypatch.setenv("COURSEKIT_PROFILE", "real")


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("the network is down")

    monkeypatch.setattr("coursekit.assets.download", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def own(tmp_path):
    """A folder of one's own, whose temperature tells it from the shipped one."""
    return shutil.copytree(SHIPPED, tmp_path / "my clip")


def state_of(profile):
    return next(s for s in course.role_states() if (s.role, s.profile) == ("clip", profile))


# --- the embedded form ----------------------------------------------------------------


def test_the_embedded_form_is_three_things_that_work_together():
    model, preprocess, tokenizer = course.clip()
    assert type(model) is open_clip.CLIP
    assert not model.training
    texts = model.encode_text(tokenizer(["a small red star", "a disc"]))
    assert texts.shape == (2, 96)
    assert "Resize(size=32" in repr(preprocess)
    assert tokenizer.is_word_level


def test_each_call_gives_a_new_model():
    first, second = course.clip().model, course.clip().model
    with torch.no_grad():
        first.logit_scale.zero_()
    assert second.logit_scale > 1


def test_the_shipped_files_are_small_and_have_a_card():
    weights = SHIPPED / "open_clip_model.safetensors"
    assert weights.stat().st_size <= 1_000_000
    assert sum(p.numel() for p in course.clip().model.parameters()) <= 500_000
    assert "coursekit train clip" in (SHIPPED / "clip_small.md").read_text()


def test_the_librarys_own_calls_open_the_same():
    source = course.clip_source()
    model, _, _ = open_clip.create_model_and_transforms(**source.model)
    tokenizer = open_clip.get_tokenizer(**source.tokenizer)
    ours = course.clip()
    tokens = tokenizer(["a blue ring"])
    assert torch.equal(tokens, ours.tokenizer(["a blue ring"]))
    with torch.no_grad():
        torch.testing.assert_close(
            model.eval().encode_text(tokens), ours.model.encode_text(tokens)
        )


def test_it_is_a_role_like_those_of_other_models():
    model = course.model("clip")
    assert model.pretrained_cfg["input_size"] == (3, 32, 32)
    images, _ = make_shapes(2, seed=0, image_size=64).to_tensors()
    assert model.encode_image(course.transform("clip")(images)).shape == (2, 96)
    assert course.required_assets("clip") == ("clip-vit-b-32",)
    assert state_of("embedded").state == "ready"


# --- the real form --------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask", [course.clip, course.clip_source, lambda: course.model("clip")]
)
def test_without_a_network_the_error_says_what_to_do(real, no_network, ask):
    with pytest.raises(AssetError) as caught:
        ask()
    message = str(caught.value)
    for part in ("clip-vit-b-32", "clip", "cache", "openaipublic", "COURSEKIT_MIRROR"):
        assert part in message


def test_the_doctor_says_how_to_get_it():
    state = state_of("real")
    assert state.state == "missing"
    assert "coursekit fetch clip-vit-b-32" in state.mend
    assert "open_clip/ViT-B-32.pt" in state.mend


def test_the_real_form_names_the_architecture_that_fits_the_weights(
    real, monkeypatch, tmp_path
):
    """OpenAI's weights under plain ViT-B-32 would give wrong features without a word."""
    path = tmp_path / "mirror" / assets.get_asset("clip-vit-b-32").files[0].path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    monkeypatch.setenv("COURSEKIT_MIRROR", str(tmp_path / "mirror"))
    # nobody here has the published bytes
    monkeypatch.setattr(
        "coursekit.assets.file_problem",
        lambda path, known_hash, thorough=True: None if path.is_file() else "not there",
    )
    source = course.clip_source()
    assert source.model["model_name"] == "ViT-B-32-quickgelu"
    assert source.tokenizer == {"model_name": "ViT-B-32-quickgelu"}
    assert Path(source.model["pretrained"]).read_bytes() == b"weights"


def test_the_registered_hash_is_the_one_in_the_librarys_address():
    address = open_clip.get_pretrained_url("ViT-B-32-quickgelu", "openai")
    file = assets.get_asset("clip-vit-b-32").files[0]
    assert file.addresses == (address,)
    assert file.hash == f"sha256:{address.split('/')[-2]}"


# --- own files ------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["embedded", "real"])
def test_ones_own_folder_is_used_in_both_profiles(monkeypatch, no_network, own, profile):
    monkeypatch.setenv("COURSEKIT_PROFILE", profile)
    course.use_own_files("clip", own)
    assert course.clip_source().model == {"model_name": f"local-dir:{own}"}
    assert course.clip().tokenizer.is_word_level
    assert state_of(profile).state == "yours"
    course.use_own_files("clip", None)


def test_a_folder_that_does_not_open_is_refused_and_nothing_changed(own):
    (own / "open_clip_config.json").unlink()
    with pytest.raises(RoleError, match=r"'clip'.*my clip.*cannot be used") as caught:
        course.use_own_files("clip", own)
    assert "ViT-B-32-quickgelu" in str(caught.value)
    assert course.clip_source().model == {"model_name": f"local-dir:{SHIPPED}"}


@pytest.mark.parametrize("ask", [course.clip, course.clip_source])
def test_what_the_variable_names_is_checked_when_it_is_asked_for(monkeypatch, own, ask):
    monkeypatch.setenv("COURSEKIT_ROLE_CLIP", str(own / "nowhere"))
    with pytest.raises(RoleError, match="unset COURSEKIT_ROLE_CLIP"):
        ask()
    assert state_of("embedded").state == "not usable"


def test_weights_of_another_size_are_ones_own_files_fault(monkeypatch, own):
    config = own / "open_clip_config.json"
    config.write_text(config.read_text().replace('"embed_dim": 96', '"embed_dim": 32'))
    monkeypatch.setenv("COURSEKIT_ROLE_CLIP", str(own))
    with pytest.raises(RoleError, match=r"(?s)size mismatch.*unset COURSEKIT_ROLE_CLIP"):
        course.clip()
