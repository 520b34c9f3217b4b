"""``coursekit train``: what it says, and what it refuses."""

import hashlib
from pathlib import Path

import pytest

from coursekit.recipes.backbone import BackboneRecipe, ShippedModel


@pytest.fixture
def trained(monkeypatch):
    """Replace the training by a fake that writes some bytes and notes how it was called."""
    noted = []

    def fake(folder, *, recipe):
        noted.append((Path(folder), recipe))
        weights = Path(folder) / "coursekit_resnet8.shapes.safetensors"
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.write_bytes(b"weights")
        return ShippedModel(
            name="coursekit_resnet8.shapes",
            weights=weights,
            sha256=hashlib.sha256(b"weights").hexdigest(),
            n_bytes=7,
            accuracies={"shape": 0.5, "color": 0.25},
        )

    monkeypatch.setattr("coursekit.recipes.backbone.train_backbone", fake)
    return noted


def test_the_recipe_is_the_shipped_one_unless_told_otherwise(call, trained):
    assert call("train", "backbone")[0] == 0
    words = ("--images", "300", "--epochs", "2", "--seed", "3", "--output", "there")
    assert call("train", "backbone", *words)[0] == 0
    (first, second) = trained
    assert first == (Path("runs/weights"), BackboneRecipe())
    assert second == (Path("there"), BackboneRecipe(n_images=300, n_epochs=2, seed=3))


def test_it_says_what_was_reached_and_whether_it_is_what_is_shipped(
    call, trained, monkeypatch, tmp_path
):
    _, out = call("train", "backbone")
    assert "shape 50.0 %, color 25.0 %" in out
    assert f"7 bytes, SHA-256 {hashlib.sha256(b'weights').hexdigest()[:16]}" in out
    assert "Other bytes than the course ships" in out
    monkeypatch.setattr("coursekit.assets.data_folder", lambda: tmp_path)
    assert "ships no file of this name yet" in call("train", "backbone")[1]
    (tmp_path / "weights").mkdir()
    shipped = tmp_path / "weights" / "coursekit_resnet8.shapes.safetensors"
    shipped.write_bytes(b"weights")
    assert "Byte for byte what the course ships" in call("train", "backbone")[1]


def test_an_unknown_recipe_is_guessed(call, trained):
    code, out = call("train", "backbones")
    assert code
    assert "no recipe 'backbones'" in out
    assert "Did you mean 'backbone'?" in out
    assert not trained


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--images", "64"), "a full batch of pictures"), (("--epochs", "0"), "--epochs")],
)
def test_numbers_that_make_no_training_are_refused(call, trained, words, said):
    code, out = call("train", "backbone", *words)
    assert code
    assert said in " ".join(out.split())
    assert not trained
