"""The doctor says what works, and how to mend what does not."""

import sys

import pytest

from coursekit import __version__
from coursekit.cli import doctor


@pytest.fixture
def visit(call, monkeypatch):
    def visit(**settings):
        for name, value in settings.items():
            monkeypatch.setenv(f"COURSEKIT_{name}", str(value))
        code, out = call("doctor")
        return code, " ".join(out.split())

    return visit


def test_all_is_well_with_the_embedded_profile_here_and_nothing_is_written(visit, tmp_path):
    code, out = visit()
    assert code == 0
    assert f"coursekit {__version__}, torch 2" in out
    assert "CPU" in out or "CUDA" in out or "MPS" in out
    assert "The embedded profile is ready" in out
    for role in ("digits", "objects", "land-cover", "insects", "photos"):
        assert f"{role}, embedded ready: " in out
        assert f"{role}, real missing: " in out
    assert "coursekit fetch mnist, 11.6 MB" in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "value", "code", "words"),
    [
        ("ROLE_INSECTS", "nowhere", 1, ["not usable", "COURSEKIT_ROLE_INSECTS"]),
        ("PROFILE", "reel", 1, ["COURSEKIT_PROFILE must be one of"]),
        ("DEVICE", "cuda:99", 1, ["is not on this machine", "cannot be used yet"]),
        ("MIRROR", "nowhere", 0, ["To mend mirror: Set COURSEKIT_MIRROR"]),
        ("CACHE", f"{__file__}/cache", 0, ["To mend cache: Set COURSEKIT_CACHE"]),
    ],
)
def test_what_is_wrong_is_told_with_the_remedy(visit, setting, value, code, words):
    ended, out = visit(**{setting: value})
    assert ended == code, "only what the embedded profile needs decides"
    for word in words:
        assert word in out


def test_a_package_that_is_too_old_or_does_not_load_is_told_with_the_command(monkeypatch):
    versions = {"torch": "1.0", "numpy": "99"}
    monkeypatch.setattr(doctor, "version", lambda name: versions.get(name, "99"))
    monkeypatch.setitem(sys.modules, "coursekit.devices", None)
    found = {finding.name: finding for finding in doctor.examine_machine()}
    assert found["packages"].is_fatal
    assert 'pip install "torch>=2.10"' in found["packages"].mend
    assert "numpy" not in found["packages"].mend
    assert found["device"].is_fatal
    assert "--force-reinstall torch" in found["device"].mend
