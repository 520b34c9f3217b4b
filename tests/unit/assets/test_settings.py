"""Settings from the environment: what is read, and what is refused."""

import subprocess
import sys
from pathlib import Path

import pooch
import pytest

from coursekit import assets
from coursekit.assets import shipped
from coursekit.errors import AssetError, SettingsError


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in ("PROFILE", "CACHE", "MIRROR", "ROLE_LAND_COVER", "ROLE_DIGITS"):
        monkeypatch.delenv(f"COURSEKIT_{name}", raising=False)


def test_the_profile_is_embedded_unless_set(monkeypatch):
    assert assets.profile_setting() == "embedded"
    monkeypatch.setenv("COURSEKIT_PROFILE", " Real ")
    assert assets.profile_setting() == "real"
    monkeypatch.setenv("COURSEKIT_PROFILE", "")
    assert assets.profile_setting() == "embedded"


def test_an_unknown_profile_lists_the_profiles(monkeypatch):
    monkeypatch.setenv("COURSEKIT_PROFILE", "production")
    with pytest.raises(SettingsError, match="embedded, real, got 'production'"):
        assets.profile_setting()


def test_the_cache_is_the_systems_unless_set(monkeypatch, tmp_path):
    assert assets.cache_folder() == pooch.os_cache("coursekit")
    monkeypatch.setenv("COURSEKIT_CACHE", str(tmp_path))
    assert assets.cache_folder() == tmp_path


def test_a_home_folder_in_a_setting_is_filled_in(monkeypatch):
    monkeypatch.setenv("COURSEKIT_CACHE", "~/files")
    assert assets.cache_folder() == Path.home() / "files"


def test_the_mirror_is_a_folder_a_base_address_or_nothing(monkeypatch, tmp_path):
    assert assets.mirror() is None
    monkeypatch.setenv("COURSEKIT_MIRROR", str(tmp_path))
    assert assets.mirror() == tmp_path
    monkeypatch.setenv("COURSEKIT_MIRROR", tmp_path.as_uri())
    assert assets.mirror() == tmp_path
    monkeypatch.setenv("COURSEKIT_MIRROR", "https://example.org/course")
    assert assets.mirror() == "https://example.org/course/"


def test_own_files_are_found_by_the_names_of_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSEKIT_ROLE_LAND_COVER", str(tmp_path))
    monkeypatch.setenv("COURSEKIT_ROLE_DIGITS", "")
    assert assets.role_paths() == {"land-cover": tmp_path}


def test_a_role_path_set_in_the_program_is_absolute_and_can_be_taken_away(
    monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSEKIT_ROLE_DIGITS", "before")  # so that it is put back
    assets.set_role_path("digits", "mine")
    assert assets.role_paths()["digits"] == tmp_path / "mine"
    assets.set_role_path("digits", None)
    assert assets.role_paths() == {}


def test_shipped_folders_stand_in_the_repository():
    assert (assets.data_folder().parent / "pyproject.toml").is_file()
    assert assets.notebooks_folder().name == "notebooks"


def test_an_installed_package_has_them_inside(tmp_path):
    inside = tmp_path / "coursekit" / "_shipped" / "data"
    inside.mkdir(parents=True)
    (tmp_path / "data").mkdir()
    assert shipped._find("data", package=tmp_path / "coursekit") == inside


def test_a_stray_folder_beside_an_installed_package_is_not_taken(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(AssetError, match="Install coursekit again"):
        shipped._find("data", package=tmp_path / "coursekit")


def test_importing_assets_loads_no_torch_and_opens_no_connection():
    code = (
        "import socket, sys\n"
        "def refuse(*args): raise SystemExit('a connection was opened')\n"
        "socket.socket.connect = refuse\n"
        "import coursekit.assets\n"
        "loaded = {'torch', 'matplotlib', 'numpy', 'requests'} & set(sys.modules)\n"
        "print(*sorted(loaded))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
