"""The catalog: every role in both profiles, own files, and what doctor is told."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from coursekit import assets, course, datasets
from coursekit.course import catalog
from coursekit.datasets import ImageSet
from coursekit.errors import AssetError, RoleError, SettingsError

ROLES = ("digits", "objects", "land-cover", "insects", "photos")
PARTS = ("train", "test")


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
def calls(monkeypatch):
    """Replace every data set by a fake that notes how it was called."""
    noted = []

    def fake(name):
        def make(*args, **kwargs):
            noted.append((name, args, kwargs))
            return ImageSet(
                images=np.zeros((2, 4, 4, 3), np.uint8), labels=[0, 1], class_names="ab"
            )

        return make

    for name in (
        "make_shapes",
        "make_land_cover",
        "load_digits",
        "load_photos",
        "fetch_mnist",
        "fetch_cifar10",
        "fetch_eurosat",
        "fetch_hymenoptera",
        "fetch_imagenet_sample",
    ):
        monkeypatch.setattr(datasets, name, fake(name), raising=False)
    return noted


def save_classes(folder, names=("ants", "bees"), count=10, size=(20, 30)):
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            color = (20 * number, 10 * index, 99)
            Image.new("RGB", size, color).save(folder / name / f"{index}.png")
    return folder


def state_of(role, profile="real"):
    (state,) = [s for s in course.role_states() if (s.role, s.profile) == (role, profile)]
    return state


# --- which form stands in a role ------------------------------------------------------


def test_the_five_roles():
    assert tuple(course.ROLES) == ROLES


@pytest.mark.parametrize(
    ("role", "part", "call"),
    [
        ("digits", "train", ("load_digits", ("train",), {})),
        ("digits", "test", ("load_digits", ("test",), {})),
        ("photos", "test", ("load_photos", (), {})),
    ],
)
def test_bundled_roles_embedded(calls, role, part, call):
    course.dataset(role, part=part)
    assert calls == [call]


@pytest.mark.parametrize(
    ("role", "function", "n_train", "n_test"),
    [
        ("objects", "make_shapes", 2_000, 1_000),
        ("land-cover", "make_land_cover", 2_000, 1_000),
        ("insects", "make_shapes", 240, 150),
    ],
)
def test_drawn_roles_never_overlap_between_parts(calls, role, function, n_train, n_test):
    for part in PARTS:
        course.dataset(role, part=part)
    (train, test) = calls
    assert train[0] == test[0] == function
    assert train[1][0] >= n_train
    assert test[1][0] >= n_test
    assert train[2]["seed"] == test[2]["seed"]
    assert train[2]["start"] + train[1][0] <= test[2]["start"]


def test_insects_are_two_families_of_unseen_shapes(calls):
    course.dataset("insects")
    assert len(calls[0][2]["shapes"]) == 2
    assert set(calls[0][2]["shapes"]) <= set(datasets.UNSEEN_SHAPES)


@pytest.mark.parametrize(
    ("role", "call"),
    [
        ("digits", ("fetch_mnist", ("test",), {})),
        ("objects", ("fetch_cifar10", ("test",), {})),
        ("land-cover", ("fetch_eurosat", ("test",), {})),
        ("insects", ("fetch_hymenoptera", ("test",), {})),
        ("photos", ("fetch_imagenet_sample", (), {})),
    ],
)
def test_the_real_profile_downloads(calls, monkeypatch, role, call):
    monkeypatch.setenv("COURSEKIT_PROFILE", "real")
    course.dataset(role, part="test")
    assert calls == [call]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("part", PARTS)
def test_every_embedded_role_gives_images_without_a_network(role, part):
    image_set = course.dataset(role, part=part)
    assert len(image_set) >= 10
    assert image_set.images[0].dtype == np.uint8


def test_objects_in_the_two_parts_are_different_pictures():
    train, test = (course.dataset("objects", part=part) for part in PARTS)
    seen = {image.tobytes() for image in train.images}
    assert not any(image.tobytes() in seen for image in test.images)


def test_a_missing_download_names_the_role_and_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSEKIT_PROFILE", "real")
    monkeypatch.setenv("COURSEKIT_MIRROR", str(tmp_path))
    monkeypatch.setattr(
        "coursekit.assets.download",
        lambda *a, **k: (_ for _ in ()).throw(OSError()),
    )
    with pytest.raises(
        AssetError, match=r"role 'land-cover'(.|\n)*coursekit fetch eurosat"
    ):
        course.dataset("land-cover")


# --- own files ------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["embedded", "real"])
def test_own_files_stand_before_both_profiles(monkeypatch, tmp_path, profile):
    save_classes(tmp_path / "mine")
    monkeypatch.setenv("COURSEKIT_PROFILE", profile)
    monkeypatch.setenv("COURSEKIT_ROLE_LAND_COVER", str(tmp_path / "mine"))
    mine = course.dataset("land-cover")
    assert mine.class_names == ("ants", "bees")
    assert mine.images.shape == (16, 64, 64, 3)


def test_a_folder_without_parts_gives_a_fixed_fifth_of_each_class_for_testing(tmp_path):
    course.use_own_files("insects", save_classes(tmp_path / "mine"))
    train, test = (course.dataset("insects", part=part) for part in PARTS)
    assert np.bincount(train.labels).tolist() == [8, 8]
    assert np.bincount(test.labels).tolist() == [2, 2]
    assert not set(train.attributes["file"]) & set(test.attributes["file"])
    again = course.dataset("insects", part="test")
    assert test.attributes["file"].tolist() == again.attributes["file"].tolist()


def test_a_folder_with_parts_is_used_as_it_is(tmp_path):
    save_classes(tmp_path / "mine" / "train", count=3)
    save_classes(tmp_path / "mine" / "val", count=1)
    course.use_own_files("insects", tmp_path / "mine")
    assert [len(course.dataset("insects", part=part)) for part in PARTS] == [6, 2]


@pytest.mark.parametrize(
    ("role", "shape"), [("digits", (28, 28, 1)), ("objects", (32, 32, 3))]
)
def test_own_images_get_the_size_and_channels_of_the_role(tmp_path, role, shape):
    course.use_own_files(role, save_classes(tmp_path / "mine"))
    assert course.dataset(role).images.shape == (16, *shape)


def test_any_folder_of_images_makes_photos(tmp_path):
    course.use_own_files("photos", save_classes(tmp_path / "mine", names=["owls"], count=3))
    assert course.dataset("photos").class_names == ("0", "1", "2")
    assert len(course.dataset("photos", part="test")) == 3


def test_cifars_python_files_are_opened_only_if_they_are_the_published_ones(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "batches.meta").write_bytes(pickle.dumps({}))
    with pytest.raises(RoleError, match="missing or is not the published one"):
        course.use_own_files("objects", tmp_path)


def test_taking_own_files_away_brings_the_profile_back(tmp_path, calls):
    course.use_own_files("photos", save_classes(tmp_path / "mine", count=2))
    course.dataset("photos")
    assert calls == []
    course.use_own_files("photos", None)
    course.dataset("photos")
    assert calls == [("load_photos", (), {})]


def test_processes_that_are_started_see_own_files(tmp_path):
    course.use_own_files("photos", save_classes(tmp_path / "mine", count=2))
    code = "from coursekit.assets import role_paths; print(*role_paths())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["photos"]


def test_own_files_that_cannot_be_used_change_nothing_and_say_all(tmp_path):
    folder = save_classes(tmp_path / "mine")
    (folder / "ants" / "1.png").write_bytes(b"")
    (folder / "bees" / "2.png").write_text("no image")
    with pytest.raises(RoleError) as caught:
        course.use_own_files("land-cover", folder)
    for words in (
        "role 'land-cover'",
        "2 files in",
        "ants/1.png: empty, not an image",
        "bees/2.png: empty, not an image",
        "unset COURSEKIT_ROLE_LAND_COVER",
    ):
        assert words in str(caught.value)
    assert assets.role_paths() == {}


@pytest.mark.parametrize("where", ["nowhere", "a file"])
def test_a_path_that_is_no_folder_is_refused(tmp_path, where):
    (tmp_path / "a file").write_text("")
    with pytest.raises(RoleError, match=where):
        course.use_own_files("insects", tmp_path / where)


# --- misuse ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("land_cover", "land-cover"),
        ("LandCover", "land-cover"),
        ("digit", "digits"),
        ("photo", "photos"),
    ],
)
def test_a_misspelled_role_is_guessed(wrong, meant):
    with pytest.raises(
        RoleError, match=f"Did you mean '{meant}'.*digits, objects, land-cover"
    ):
        course.dataset(wrong)


def test_an_unknown_role_lists_the_roles_everywhere(tmp_path):
    for call in (
        lambda: course.dataset("galaxies"),
        lambda: course.use_own_files("galaxies", tmp_path),
        lambda: course.required_assets("galaxies"),
    ):
        with pytest.raises(
            LookupError, match=r"no role 'galaxies'\. The roles are: digits"
        ):
            call()


def test_an_unknown_part_is_refused():
    with pytest.raises(
        SettingsError, match="part must be one of 'train', 'test', got 'val'"
    ):
        course.dataset("digits", part="val")


def test_an_unknown_profile_is_refused(monkeypatch):
    monkeypatch.setenv("COURSEKIT_PROFILE", "reel")
    with pytest.raises(SettingsError, match="COURSEKIT_PROFILE"):
        course.dataset("digits")


# --- states for doctor ----------------------------------------------------------------


def test_the_profile_is_what_the_setting_says(monkeypatch):
    assert course.profile() == "embedded"
    monkeypatch.setenv("COURSEKIT_PROFILE", "real")
    assert course.profile() == "real"


def test_required_assets_are_in_the_registry():
    for role in ROLES:
        for name in course.required_assets(role):
            assert assets.get_asset(name).role == role


def test_without_downloads_embedded_is_ready_and_real_is_missing_with_the_cure():
    for role in ROLES:
        assert state_of(role, "embedded").state == "ready"
        real = state_of(role)
        assert real.state == "missing"
        assert f"coursekit fetch {course.required_assets(role)[0]}" in real.mend


def test_a_role_whose_files_are_at_hand_is_ready(monkeypatch, tmp_path):
    monkeypatch.setattr(catalog, "find_file", lambda name, *, thorough: tmp_path)
    assert state_of("digits").state == "ready"
    assert str(tmp_path) in state_of("digits").what


def test_own_files_are_yours_in_both_profiles(tmp_path):
    course.use_own_files("insects", save_classes(tmp_path / "mine"))
    for profile in ("embedded", "real"):
        state = state_of("insects", profile)
        assert (state.state, state.what) == ("yours", str(tmp_path / "mine"))


def test_own_files_that_broke_since_are_not_usable(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSEKIT_ROLE_INSECTS", str(tmp_path / "gone"))
    state = state_of("insects")
    assert state.state == "not usable"
    assert "gone does not exist" in state.mend


def test_a_variable_that_names_no_role_is_reported(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSEKIT_ROLE_LANDCOVER", str(tmp_path))
    state = state_of("landcover", "")
    assert state.state == "not usable"
    assert "Did you mean 'land-cover'?" in state.mend


def test_importing_the_course_loads_no_torch():
    code = "import sys, coursekit.course; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False"
