"""Roles that models fill: which form stands in each, own files, and what is missing."""

import copy
import socket

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from coursekit import assets, course
from coursekit.datasets import make_loader
from coursekit.errors import AssetError, RoleError, SettingsError

ROLES = ("backbone", "timm-backbone")
REAL = {
    ("backbone", None): ("mobilenet-v2", "mobilenet_v2", 224),
    ("backbone", "alexnet"): ("alexnet", "alexnet", 224),
    ("timm-backbone", None): ("efficientnet-lite0", "efficientnet_lite0", 224),
}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    """No setting but an empty cache; whatever a test sets is put back."""
    for name in (
        "COURSEKIT_PROFILE",
        "COURSEKIT_MIRROR",
        *map(assets.role_variable, ROLES),
    ):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("COURSEKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def real(monkeypatch):
    monkeypatch.setenv("COURSEKIT_PROFILE", "real")


@pytest.fixture
def any_hash(monkeypatch):
    """Take every file for whole: these tests have no file with the published hash."""
    for name in ("final_problem", "packed_problem"):
        monkeypatch.setattr(
            f"coursekit.assets.fetching.{name}",
            lambda file, path, thorough=True: None if path.is_file() else "not there",
        )


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("the network is down")

    monkeypatch.setattr("coursekit.assets.fetching.download", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def build(name):
    """Return random weights in the form of the real file."""
    torch.manual_seed(0)
    if name.startswith("efficientnet_lite"):
        return timm.create_model(name).eval()
    return torchvision.models.get_model(name, weights=None).eval()


def put_in_mirror(folder, asset, model):
    path = folder / assets.get_asset(asset).files[0].path
    path.parent.mkdir(parents=True)
    torch.save(model.state_dict(), path)


# --- the embedded form ----------------------------------------------------------------


def test_the_roles_of_models():
    assert tuple(course.MODEL_ROLES) == (*ROLES, "clip")


@pytest.mark.parametrize("role", ROLES)
def test_the_embedded_form_is_the_shipped_net_and_a_new_one_each_time(role):
    first, second = course.model(role), course.model(role)
    assert not first.training
    assert first.pretrained_cfg["architecture"] == "coursekit_resnet8"
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )
    with torch.no_grad():
        first.fc.weight.zero_()
    assert second.fc.weight.any()
    assert course.model(role).fc.weight.any()


@pytest.mark.parametrize("role", ROLES)
def test_the_transform_fits_images_of_any_size_to_the_model(role):
    model, fit = course.model(role), course.transform(role)
    images = torch.rand(2, 3, 64, 64)
    fitted = fit(images)
    assert fitted.shape == (2, *model.pretrained_cfg["input_size"])
    mean = torch.tensor(model.pretrained_cfg["mean"]).view(3, 1, 1)
    std = torch.tensor(model.pretrained_cfg["std"]).view(3, 1, 1)
    smaller = torch.nn.functional.interpolate(
        images, (32, 32), mode="bilinear", antialias=True
    )
    torch.testing.assert_close(fitted, (smaller - mean) / std, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("role", ["land-cover", "photos"])
def test_loaders_take_the_transform_for_images_of_one_size_and_of_many(role):
    images = course.dataset(role).subset(range(4))
    loader = make_loader(images, batch_size=2, transform=course.transform("backbone"))
    model = course.model("backbone")
    for batch, _ in loader:
        assert model(batch).shape == (2, 18)


# --- the real form --------------------------------------------------------------------


@pytest.mark.parametrize(("role", "architecture"), REAL)
def test_the_real_form_is_read_from_the_mirror(
    monkeypatch, tmp_path, real, any_hash, role, architecture
):
    asset, name, size = REAL[role, architecture]
    saved = build(name)
    put_in_mirror(tmp_path / "mirror", asset, saved)
    monkeypatch.setenv("COURSEKIT_MIRROR", str(tmp_path / "mirror"))
    model = course.model(role, architecture=architecture)
    assert not model.training
    config = model.pretrained_cfg
    assert (config["architecture"], config["input_size"]) == (name, (3, size, size))
    fitted = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(model(fitted), saved(fitted))


@pytest.mark.parametrize(("role", "architecture"), REAL)
def test_a_file_with_another_hash_is_not_used(
    monkeypatch, tmp_path, real, no_network, role, architecture
):
    asset = REAL[role, architecture][0]
    path = tmp_path / "mirror" / assets.get_asset(asset).files[0].path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"other weights")
    monkeypatch.setenv("COURSEKIT_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(AssetError, match=r"damaged or another version: its sha256"):
        course.model(role, architecture=architecture)


@pytest.mark.parametrize(("role", "architecture"), REAL)
def test_without_a_network_the_error_has_role_places_and_cure(
    monkeypatch, tmp_path, real, no_network, role, architecture
):
    asset = REAL[role, architecture][0]
    monkeypatch.setenv("COURSEKIT_MIRROR", str(tmp_path / "mirror"))
    (file,) = assets.get_asset(asset).files
    for ask in (
        lambda: course.model(role, architecture=architecture),
        lambda: course.transform(role),
    ):
        with pytest.raises(AssetError) as caught:
            ask()
        said = str(caught.value)
        assert f"role {role!r}" in said
        if architecture is not None:
            continue
        for place in (
            str(tmp_path / "cache" / file.path),
            str(tmp_path / "mirror" / file.path),
            *file.addresses,
        ):
            assert place in said
        assert f"coursekit fetch {asset}" in said
        assert "COURSEKIT_MIRROR" in said
        assert "unset COURSEKIT_PROFILE" in said


def test_the_file_of_timm_is_where_timm_says(real):
    config = timm.get_pretrained_cfg("efficientnet_lite0.ra_in1k")
    (file,) = assets.get_asset("efficientnet-lite0").files
    assert file.addresses == (config.url,)
    assert config.license in assets.get_asset("efficientnet-lite0").license.lower()
    assert file.hash.rpartition(":")[2] in config.url


# --- own files ------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["embedded", "real"])
@pytest.mark.parametrize(
    ("role", "name"),
    [("backbone", "squeezenet1_1"), ("timm-backbone", "efficientnet_lite0")],
)
def test_own_files_stand_before_both_profiles(monkeypatch, tmp_path, profile, role, name):
    monkeypatch.setenv("COURSEKIT_PROFILE", profile)
    saved = build(name)
    save_file(saved.state_dict(), tmp_path / f"{name}.safetensors")
    course.use_own_files(role, tmp_path / f"{name}:{name}.safetensors")
    image = torch.rand(1, 3, 96, 96)
    with torch.inference_mode():
        torch.testing.assert_close(course.model(role)(image), saved(image))
    assert course.transform(role)(image).shape == (1, 3, 224, 224)
    states = {s.profile: s for s in course.role_states() if s.role == role}
    assert {s.state for s in states.values()} == {"yours"}
    assert set(states) == {"embedded", "real"}
    course.use_own_files(role, None)
    assert assets.role_paths() == {}


def test_own_state_of_the_courses_net_with_other_classes_is_used(tmp_path):
    model = copy.deepcopy(course.model("backbone"))
    model.reset_classifier(4)
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}},
        tmp_path / "best.pth",
    )
    course.use_own_files("backbone", tmp_path / "best.pth")
    mine = course.model("backbone")
    assert mine.get_classifier().out_features == 4
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(mine(image), model.eval()(image))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("fault", ["nowhere", "text", "other weights"])
def test_own_files_that_cannot_be_used_change_nothing_and_say_all(tmp_path, role, fault):
    path = tmp_path / "mine.pth"
    if fault == "text":
        path.write_text("weights, honestly")
    elif fault == "other weights":
        torch.save({"layer.weight": torch.ones(2, 2)}, path)
    with pytest.raises(RoleError) as caught:
        course.use_own_files(role, path)
    said = str(caught.value)
    for words in (
        f"role {role!r}",
        str(path),
        "The role takes a file",
        f"unset {assets.role_variable(role)}",
    ):
        assert words in said
    assert assets.role_paths() == {}


def test_own_files_that_broke_since_are_not_usable(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSEKIT_ROLE_TIMM_BACKBONE", str(tmp_path / "gone.pth"))
    with pytest.raises(RoleError, match=r"gone\.pth"):
        course.model("timm-backbone")
    (state, _) = [s for s in course.role_states() if s.role == "timm-backbone"]
    assert state.state == "not usable"
    assert "unset COURSEKIT_ROLE_TIMM_BACKBONE" in state.mend


# --- misuse and states ----------------------------------------------------------------


def test_a_role_for_data_is_no_role_for_a_model():
    with pytest.raises(
        RoleError, match=r"course\.dataset\('digits'\).*backbone, timm-backbone"
    ):
        course.model("digits")
    with pytest.raises(RoleError, match="no role 'backbones' for a model"):
        course.transform("backbones")


def test_an_architecture_that_the_real_form_does_not_have_is_refused():
    with pytest.raises(SettingsError, match=r"'mobilenet_v2', 'alexnet'.*got 'resnet50'"):
        course.model("backbone", architecture="resnet50")


@pytest.mark.parametrize("role", ROLES)
def test_states_say_what_is_ready_and_how_to_get_the_rest(role):
    states = {s.profile: s for s in course.role_states() if s.role == role}
    assert states["embedded"].state == "ready"
    assert states["real"].state == "missing"
    asset = course.required_assets(role)[0]
    assert f"coursekit fetch {asset}" in states["real"].mend
    for name in course.required_assets(role):
        assert assets.get_asset(name).role == role
