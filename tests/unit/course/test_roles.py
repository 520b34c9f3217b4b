"""Roles: which form stands in each, own files, and what the doctor is told."""

import os
import shutil

import numpy as np
import open_clip
import pytest
import timm
import torch
import torchvision
from PIL import Image

from coursekit import assets, course
from coursekit.assets import data_folder
from coursekit.cli.doctor import examine_roles
from coursekit.course import roles
from coursekit.course.roles import MODEL_ROLES, ROLES
from coursekit.datasets import make_loader, stored
from coursekit.errors import AssetError, RoleError, SettingsError

DATA = ("digits", "objects", "land-cover", "insects", "photos")
MODELS = ("backbone", "timm-backbone", "clip")
BACKBONES = ("backbone", "timm-backbone")
PARTS = ("train", "test")
SHIPPED_CLIP = data_folder() / "weights" / "clip_small"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    """No setting but an empty cache; whatever a test sets is put back."""
    for name in [name for name in os.environ if name.startswith("COURSEKIT_")]:
        monkeypatch.delenv(name)
    for role in DATA + MODELS:  # so that what use_own_files sets is taken away too
        monkeypatch.setenv(assets.role_variable(role), "")
    monkeypatch.setenv("COURSEKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def real(monkeypatch):
    monkeypatch.setenv("COURSEKIT_PROFILE", "real")


def save_classes(folder, names=("ants", "bees"), count=10):
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            color = (20 * number, 10 * index, 99)
            Image.new("RGB", (20, 30), color).save(folder / name / f"{index}.png")
    return folder


def states_of(role):
    found = [f for f in examine_roles() if f.name.partition(",")[0] == role]
    return {f.name.removeprefix(f"{role}, "): f for f in found}


def test_the_roles_and_what_they_download():
    assert tuple(ROLES) == DATA
    assert tuple(MODEL_ROLES) == MODELS
    for role, entry in {**ROLES, **MODEL_ROLES}.items():
        assert assets.read_registry()[entry.asset].role == role


# --- data ------------------------------------------------------------------------------


@pytest.mark.parametrize("role", DATA)
def test_every_embedded_role_gives_images_without_a_network(role):
    train, test = (course.dataset(role, part=part) for part in PARTS)
    assert len(train) >= 10
    assert train.images[0].dtype == np.uint8
    seen = {image.tobytes() for image in train.images}
    assert role == "photos" or not any(image.tobytes() in seen for image in test.images)


@pytest.mark.parametrize("role", DATA)
def test_the_real_profile_downloads(monkeypatch, real, role):
    monkeypatch.setattr(stored, "load_download", lambda *given: given)
    assert course.dataset(role, part="test") == (ROLES[role].asset, "test")


@pytest.mark.parametrize(
    ("profile", "role", "shape"),
    [("embedded", "digits", (28, 28, 1)), ("real", "land-cover", (64, 64, 3))],
)
def test_own_files_stand_before_both_profiles_in_the_form_of_the_role(
    monkeypatch, tmp_path, profile, role, shape
):
    save_classes(tmp_path / "mine")
    monkeypatch.setenv("COURSEKIT_PROFILE", profile)
    monkeypatch.setenv(assets.role_variable(role), str(tmp_path / "mine"))
    mine = course.dataset(role)
    assert mine.class_names == ("ants", "bees")
    assert mine.images.shape == (16, *shape)


def test_a_folder_without_parts_gives_a_fixed_fifth_of_each_class_for_testing(tmp_path):
    course.use_own_files("insects", save_classes(tmp_path / "mine"))
    train, test, again = (course.dataset("insects", part=p) for p in (*PARTS, "test"))
    assert np.bincount(train.labels).tolist() == [8, 8]
    assert np.bincount(test.labels).tolist() == [2, 2]
    assert not set(train.attributes["file"]) & set(test.attributes["file"])
    assert test.attributes["file"].tolist() == again.attributes["file"].tolist()


@pytest.mark.parametrize("inside", ["", "MNIST", "MNIST/raw"])
def test_mnists_unpacked_files_make_digits(monkeypatch, tmp_path, inside):
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").touch()
    monkeypatch.setattr(stored, "load_published", lambda *given: given)
    course.use_own_files("digits", tmp_path / inside)
    assert course.dataset("digits", part="test") == ("mnist", tmp_path, "test")


def test_any_folder_of_images_makes_photos_until_it_is_taken_away(tmp_path):
    course.use_own_files("photos", save_classes(tmp_path / "mine", names=["owls"], count=3))
    assert course.dataset("photos", part="test").class_names == ("0", "1", "2")
    assert os.environ["COURSEKIT_ROLE_PHOTOS"], "processes that are started see them too"
    course.use_own_files("photos", None)
    assert len(course.dataset("photos")) > 3


def test_own_files_that_cannot_be_used_change_nothing_and_say_all(tmp_path):
    folder = save_classes(tmp_path / "mine")
    (folder / "ants" / "1.png").write_bytes(b"")
    (folder / "bees" / "2.png").write_text("no image")
    with pytest.raises(RoleError) as caught:
        course.use_own_files("land-cover", folder)
    said = str(caught.value)
    assert all(f"{file}.png: " in said for file in ("ants/1", "bees/2"))
    assert "role 'land-cover'" in said
    assert "unset COURSEKIT_ROLE_LAND_COVER" in said
    with pytest.raises(RoleError, match="nowhere"):
        course.use_own_files("insects", tmp_path / "nowhere")
    assert assets.role_paths() == {}


# --- models ----------------------------------------------------------------------------


@pytest.mark.parametrize("role", BACKBONES)
def test_the_embedded_net_is_a_new_one_each_time(role):
    first, second = course.model(role), course.model(role)
    assert not first.training
    assert first.pretrained_cfg["architecture"] == "coursekit_resnet8"
    first.fc.weight.data.zero_()
    assert second.fc.weight.any()
    assert course.model(role).fc.weight.any()


@pytest.mark.parametrize("role", ["land-cover", "photos"])
def test_loaders_take_the_transform_for_images_of_one_size_and_of_many(role):
    images = course.dataset(role).subset(range(4))
    loader = make_loader(images, batch_size=2, transform=course.transform("backbone"))
    model = course.model("backbone")
    for batch, _ in loader:
        assert model(batch).shape == (2, 18)


@pytest.mark.parametrize(
    ("role", "name", "make"),
    [
        ("backbone", "mobilenet_v2", torchvision.models.get_model),
        ("timm-backbone", "efficientnet_lite0", timm.create_model),
    ],
)
def test_the_real_net_holds_the_fetched_weights(
    monkeypatch, tmp_path, real, role, name, make
):
    saved = make(name).eval()
    torch.save(saved.state_dict(), tmp_path / MODEL_ROLES[role].asset)
    monkeypatch.setattr(roles, "fetch", lambda asset: tmp_path / asset)
    model, image = course.model(role), torch.rand(1, 3, 64, 64)
    assert not model.training
    assert model.pretrained_cfg["input_size"] == (3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(model(image), saved(image))


@pytest.mark.parametrize(
    ("role", "name", "form"),
    [
        ("backbone", "squeezenet1_1", "{folder}/squeezenet1_1:mine.pth"),
        ("backbone", "squeezenet1_1", "squeezenet1_1:{folder}/mine.pth"),
        ("backbone", "coursekit_resnet8", "{folder}/mine.pth"),
        ("timm-backbone", "coursekit_resnet8", "{folder}/mine.pth"),
        ("timm-backbone", "test_resnet", "{folder}/test_resnet:mine.pth"),
    ],
)
def test_an_own_state_dict_stands_after_the_name_of_its_architecture(
    tmp_path, role, name, form
):
    known = torchvision.models.list_models()
    make = torchvision.models.get_model if name in known else timm.create_model
    saved = make(name, num_classes=4).eval()
    torch.save({"state_dict": saved.state_dict()}, tmp_path / "mine.pth")
    course.use_own_files(role, form.format(folder=tmp_path))
    image = torch.rand(1, 3, 96, 96)
    with torch.inference_mode():
        torch.testing.assert_close(course.model(role)(image), saved(image))
    assert states_of(role)[role].said.startswith("yours: ")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("{folder}/nowhere.pth", r"nowhere\.pth"),
        ("{folder}/resnet81:other.pth", r"no network 'resnet81'.*'resnet18'"),
        ("{folder}/resnet18:other.pth", r"do not fit resnet18"),
    ],
)
def test_weights_that_cannot_be_used_change_nothing_and_say_all(tmp_path, setting, words):
    torch.save({"layer.weight": torch.ones(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(RoleError, match=words) as caught:
        course.use_own_files("backbone", setting.format(folder=tmp_path))
    assert "after its name (resnet18:net.pth)" in str(caught.value)
    assert "unset COURSEKIT_ROLE_BACKBONE" in str(caught.value)
    assert assets.role_paths() == {}


# --- clip ------------------------------------------------------------------------------


def test_clip_is_three_things_that_work_together_and_a_role_like_others():
    model, _, tokenizer = course.clip()
    again, images = course.model("clip"), course.transform("clip")(torch.rand(2, 3, 64, 64))
    model.logit_scale.data.zero_()
    assert again.logit_scale > 1, "it is another one"
    assert not again.training
    assert (
        again.encode_image(images).shape
        == model.encode_text(tokenizer(["a", "disc"])).shape
    )


def test_the_real_clip_is_built_as_its_weights_were_trained(real, monkeypatch, tmp_path):
    """OpenAI's weights under plain ViT-B-32 would give wrong features without a word."""
    monkeypatch.setattr(roles, "fetch", lambda name: tmp_path / name)
    monkeypatch.setattr(
        "coursekit.models.clip.open_clip_files",
        lambda path, *, architecture: (path, architecture),
    )
    assert course.clip() == (tmp_path / "clip-vit-b-32", "ViT-B-32-quickgelu")


@pytest.mark.parametrize("profile", ["embedded", "real"])
def test_ones_own_clip_is_used_or_its_fault_is_told(monkeypatch, tmp_path, profile):
    own = shutil.copytree(SHIPPED_CLIP, tmp_path / "my clip")
    monkeypatch.setenv("COURSEKIT_PROFILE", profile)
    course.use_own_files("clip", own)
    assert course.clip().tokenizer.is_word_level
    assert states_of("clip")["clip"].said.startswith("yours: ")
    config = own / "open_clip_config.json"
    config.write_text(config.read_text().replace('"embed_dim": 96', '"embed_dim": 32'))
    with pytest.raises(RoleError, match=r"(?s)size mismatch.*unset COURSEKIT_ROLE_CLIP"):
        course.clip()
    config.unlink()
    with pytest.raises(RoleError, match=r"'clip'.*my clip.*cannot be used"):
        course.use_own_files("clip", own)


# --- what is missing or misspelled ------------------------------------------------------


@pytest.mark.parametrize("role", DATA + MODELS)
def test_without_downloads_the_error_and_the_doctor_name_the_command(real, role):
    asset = (ROLES | MODEL_ROLES)[role].asset
    with pytest.raises(AssetError, match=rf"(?s)role '{role}'.*coursekit fetch {asset}"):
        course.dataset(role) if role in DATA else course.model(role)
    states = states_of(role)
    assert states["embedded"].said.startswith("ready: ")
    assert states["real"].said.startswith("missing: ")
    assert f"coursekit fetch {asset}" in states["real"].said


def test_the_registered_hashes_are_those_in_the_libraries_addresses():
    urls = {
        "efficientnet-lite0": timm.get_pretrained_cfg("efficientnet_lite0.ra_in1k").url,
        "clip-vit-b-32": open_clip.get_pretrained_url("ViT-B-32-quickgelu", "openai"),
    }
    for asset, url in urls.items():
        (file,) = assets.read_registry()[asset].files
        assert file.addresses == [url]
        assert file.hash.rpartition(":")[2] in url


def test_files_that_are_at_hand_are_ready(monkeypatch, tmp_path):
    monkeypatch.setattr("coursekit.assets.find_file", lambda name: tmp_path)
    assert states_of("digits")["real"].said == f"ready: {tmp_path}"


@pytest.mark.parametrize(
    ("role", "words"),
    [("insects", "gone does not exist"), ("landcover", "Did you mean 'land-cover'?")],
)
def test_own_files_that_are_gone_or_in_no_role_are_reported(
    monkeypatch, tmp_path, role, words
):
    monkeypatch.setenv(assets.role_variable(role), str(tmp_path / "gone"))
    state = states_of(role)[role]
    assert state.is_fatal
    assert words in state.mend


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: course.dataset("Land_Cover"), "Did you mean 'land-cover'.*digits, obj"),
        (lambda: course.dataset("backbone"), r"course\.model\('backbone'\)"),
        (lambda: course.model("digits"), r"course\.dataset\('digits'\).*backbone, timm-b"),
        (lambda: course.use_own_files("galaxies", "x"), "'galaxies' here. The roles are"),
    ],
)
def test_a_role_that_is_none_is_guessed(ask, words):
    with pytest.raises(RoleError, match=words):
        ask()


def test_an_unknown_part_or_profile_is_refused(monkeypatch):
    with pytest.raises(SettingsError, match="one of 'train', 'test', got 'val'"):
        course.dataset("digits", part="val")
    monkeypatch.setenv("COURSEKIT_PROFILE", "reel")
    for ask in (course.profile, lambda: course.dataset("digits"), course.model):
        with pytest.raises(SettingsError, match="COURSEKIT_PROFILE"):
            ask()
