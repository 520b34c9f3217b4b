"""The doctor says what works, and how to mend what does not."""

import sys

import pytest

from coursekit import __version__
from coursekit.cli import doctor
from coursekit.cli.doctor import RoleState


@pytest.fixture
def visit(call, monkeypatch):
    def visit(**settings):
        for name, value in settings.items():
            monkeypatch.setenv(f"COURSEKIT_{name}", str(value))
        code, out = call("doctor")
        return code, " ".join(out.split())

    return visit


def test_all_is_well_with_the_embedded_profile_here(visit):
    code, out = visit()
    assert code == 0
    assert f"coursekit {__version__}" in out
    assert "torch 2" in out
    assert "CPU" in out or "CUDA" in out or "MPS" in out
    assert "The embedded profile is ready" in out
    for role in ("digits", "objects", "land-cover", "insects", "photos"):
        assert f"{role} │ embedded │ ready" in out
        assert f"{role} │ real │ missing" in out
    assert "coursekit fetch" in out


def test_a_folder_of_your_own_is_marked_yours_or_its_fault_is_told(visit, tmp_path):
    code, out = visit(ROLE_INSECTS=tmp_path / "nowhere")
    assert code == 1
    assert "not usable" in out
    assert "COURSEKIT_ROLE_INSECTS" in out


def test_a_misspelled_profile_is_told(visit):
    code, out = visit(PROFILE="reel")
    assert code == 1
    assert "COURSEKIT_PROFILE must be one of" in out


def test_a_device_that_is_not_there_is_told(visit):
    code, out = visit(DEVICE="cuda:99")
    assert code == 1
    assert "is not on this machine" in out


def test_a_missing_mirror_is_told_but_the_embedded_profile_works(visit, tmp_path):
    code, out = visit(MIRROR=tmp_path / "nowhere")
    assert code == 0
    assert "no such folder" in out
    assert "Set COURSEKIT_MIRROR" in out


def test_a_cache_that_cannot_be_written_is_told(visit, tmp_path):
    (tmp_path / "file").write_text("in the way")
    code, out = visit(CACHE=tmp_path / "file" / "cache")
    assert code == 0
    assert "not writable" in out
    assert "Set COURSEKIT_CACHE" in out


def test_looking_writes_nothing(visit, tmp_path):
    visit()
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_too_old_is_named_with_the_command(visit, monkeypatch):
    versions = {"torch": "1.0", "numpy": "99"}
    monkeypatch.setattr(doctor, "version", lambda name: versions.get(name, "99"))
    found = {finding.name: finding for finding in doctor.examine()}["packages"]
    assert found.is_fatal
    assert 'pip install "torch>=2.10"' in found.mend
    assert "numpy" not in found.mend


def test_torch_that_does_not_load_is_told_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "coursekit.devices", None)
    found = {finding.name: finding for finding in doctor.examine()}["device"]
    assert found.is_fatal
    assert "--force-reinstall torch" in found.mend


@pytest.mark.parametrize(
    ("profile", "state", "code"),
    [("embedded", "not usable", 1), ("real", "missing", 0), ("both", "yours", 0)],
)
def test_only_what_the_embedded_profile_needs_decides_the_exit_code(
    visit, monkeypatch, profile, state, code
):
    states = (RoleState(role="digits", profile=profile, state=state, what="x", mend="y"),)
    monkeypatch.setattr(doctor, "role_states", lambda: states)
    assert visit()[0] == code
