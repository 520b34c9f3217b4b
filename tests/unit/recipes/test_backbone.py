"""The backbone's recipe, what it sees, and the file that it made."""

import hashlib
import os
import re
import subprocess
import sys

import pytest
import timm
import torch

from coursekit import course
from coursekit.assets import data_folder
from coursekit.datasets import (
    HELD_OUT_PAIRS,
    SOURCE_SHAPES,
    UNSEEN_SHAPES,
    make_loader,
    make_shapes,
)
from coursekit.errors import SettingsError
from coursekit.recipes import BackboneRecipe, backbone, train_backbone

WEIGHTS = data_folder() / "weights" / "coursekit_resnet8.shapes.safetensors"
CARD = WEIGHTS.with_suffix(".md")
COMMAND = [sys.executable, "-m", "coursekit.cli", "train", "backbone"]
TINY = BackboneRecipe(n_images=256, n_epochs=1)


@pytest.fixture
def drawn(monkeypatch):
    """Note every set that the recipe draws, and let the test set be a small one."""
    noted = []

    def note(n_images, **options):
        world = make_shapes(min(n_images, 3_000), **options)
        noted.append((n_images, options, world))
        return world

    monkeypatch.setattr(backbone, "make_shapes", note)
    return noted


# --- what it sees ---------------------------------------------------------------------


def test_neither_held_out_pairs_nor_unseen_shapes_are_ever_drawn(drawn, tmp_path):
    train_backbone(tmp_path, recipe=TINY, progress_bar=False, device="cpu")
    backbone._loader(3_000, 0, BackboneRecipe(), is_training=True)
    assert len(drawn) == 3
    for _, _, world in drawn:
        shapes, colors = world.attributes["shape"], world.attributes["color"]
        pairs = set(zip(shapes, colors, strict=True))
        assert not pairs & set(HELD_OUT_PAIRS)
        assert not set(shapes) & set(UNSEEN_SHAPES)
        assert set(shapes) <= set(SOURCE_SHAPES)
    assert set(drawn[-1][2].attributes["shape"]) == set(SOURCE_SHAPES)


def test_held_out_pairs_would_be_drawn_otherwise():
    world = make_shapes(3_000, seed=7)
    pairs = set(zip(world.attributes["shape"], world.attributes["color"], strict=True))
    assert pairs & set(HELD_OUT_PAIRS)


def test_pictures_for_training_and_for_the_test_never_meet(drawn, tmp_path):
    train_backbone(tmp_path, recipe=TINY, progress_bar=False, device="cpu")
    (n_train, train, seen), (n_test, test, fresh) = drawn
    assert train["seed"] == test["seed"]
    assert train.get("start", 0) + max(n_train, BackboneRecipe().n_images) <= test["start"]
    assert n_test >= 5_000
    assert not {i.tobytes() for i in seen.images} & {i.tobytes() for i in fresh.images}


def test_pictures_of_the_roles_are_not_those_of_the_training():
    """The lessons draw with another seed: nothing there was seen before."""
    seen = make_shapes(500, seed=BackboneRecipe().seed, exclude_pairs=HELD_OUT_PAIRS)
    known = {image.tobytes() for image in seen.images}
    lesson = course.dataset("objects").images[:500]
    assert not any(image.tobytes() in known for image in lesson)


# --- settings -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_images": 0}, "n_images must be positive"),
        ({"n_epochs": -1}, "n_epochs must be positive"),
        ({"max_lr": 0.0}, "max_lr must be positive"),
        ({"weight_decay": float("nan")}, "weight_decay must be positive"),
        ({"seed": -1}, "seed of 0 or more"),
        ({"n_images": 100}, "at least one full batch"),
    ],
)
def test_settings_out_of_range_are_refused(changes, words):
    with pytest.raises(SettingsError, match=words):
        BackboneRecipe(**changes)


def test_the_loss_adds_four_questions_and_the_texture_metrics_look_at_their_own():
    n_logits, n_texture = backbone._N_LOGITS, backbone.N_STATISTICS
    answers = torch.tensor([[0, 1, 2, 3], [4, 5, 0, 6]])
    outputs = torch.randn(
        2, sum(n_logits) + 2 * n_texture, generator=torch.Generator().manual_seed(0)
    )
    starts = [sum(n_logits[:k]) for k in range(4)]
    slow = sum(
        -outputs[i, start : start + n].log_softmax(0)[answers[i, k]] / 2
        for i in range(2)
        for k, (start, n) in enumerate(zip(starts, n_logits, strict=True))
    )
    foretold, true = outputs[:, sum(n_logits) :].chunk(2, dim=1)
    for weight in (0.0, 0.5):
        wanted = slow + weight * (foretold - true).square().mean()
        torch.testing.assert_close(backbone._Loss(weight)(outputs, answers), wanted)
    for k, (start, name) in enumerate(zip(starts, backbone._ANSWERS, strict=True)):
        changed = torch.zeros_like(outputs)
        changed[0, start + answers[0, k]] = 1.0
        changed[1, start + (answers[1, k] + 1) % n_logits[k]] = 1.0
        assert backbone._metric(name)(changed, answers).tolist() == [True, False]


# --- made anew ------------------------------------------------------------------------


def make_anew(folder, hash_seed):
    """Run the command in a folder of its own, as a user does."""
    folder.mkdir()
    done = subprocess.run(
        [*COMMAND, "--images", "384", "--epochs", "1"],
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "weights", done.stdout


def test_the_command_gives_the_same_file_from_two_working_folders(tmp_path):
    (first, said), (second, _) = (
        make_anew(tmp_path / name, seed) for name, seed in (("here", "1"), ("there", "2"))
    )
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    assert len(names) == 3
    file = first / WEIGHTS.name
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert digest == hashlib.sha256((second / WEIGHTS.name).read_bytes()).hexdigest()
    assert (first / names[0]).read_text() == (second / names[0]).read_text()  # the log
    assert digest[:16] in said
    assert "Other bytes than the course ships" in said
    card = (first / CARD.name).read_text(encoding="utf-8")
    assert "`coursekit train backbone --images 384 --epochs 1`" in card
    assert digest in card
    overlay = {"file": str(file)}
    model = timm.create_model(
        "coursekit_resnet8", pretrained=True, pretrained_cfg_overlay=overlay
    )
    assert model.get_classifier().out_features == len(SOURCE_SHAPES)


def test_another_seed_gives_other_weights(tmp_path, drawn):
    hashes = {
        train_backbone(
            tmp_path / str(seed),
            recipe=BackboneRecipe(n_images=128, n_epochs=1, seed=seed),
            progress_bar=False,
            device="cpu",
        ).sha256
        for seed in (0, 1)
    }
    assert len(hashes) == 2


# --- the file that is shipped ---------------------------------------------------------


def card_row(name):
    return re.search(rf"\| {name} \| (.*) \|", CARD.read_text(encoding="utf-8")).group(1)


def test_the_shipped_file_is_small_and_the_one_of_its_card():
    assert WEIGHTS.stat().st_size <= 2_000_000
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() == card_row("SHA-256").strip(
        "`"
    )
    assert card_row("Size").startswith(f"{WEIGHTS.stat().st_size:,} bytes")
    assert card_row("Command") == "`coursekit train backbone`"
    assert card_row("Seed") == str(BackboneRecipe().seed)
    for number in (f"{BackboneRecipe().n_images:,}", f"{BackboneRecipe().n_epochs} epochs"):
        assert number in card_row("Data") + card_row("Recipe")


def test_the_log_has_a_row_an_epoch_and_ends_better_than_it_began():
    rows = WEIGHTS.with_name(f"{WEIGHTS.stem}.log.csv").read_text().splitlines()
    assert len(rows) == 1 + BackboneRecipe().n_epochs
    place = rows[0].split(",").index("loss")
    losses = [float(row.split(",")[place]) for row in rows[1:]]
    assert losses[-1] < 0.5 * losses[0]


def test_its_accuracy_on_fresh_pictures_is_what_the_card_says():
    said = dict(re.findall(r"(\w+) ([\d.]+) %", card_row("Accuracy on fresh pictures")))
    assert set(said) == set(backbone._ANSWERS)
    fresh = make_shapes(4_000, seed=99, exclude_pairs=HELD_OUT_PAIRS)
    model = course.model("backbone")
    loader = make_loader(fresh, batch_size=500, transform=course.transform("backbone"))
    with torch.inference_mode():
        right = torch.cat([model(images).argmax(1) == labels for images, labels in loader])
    assert 100 * right.float().mean() == pytest.approx(float(said["shape"]), abs=1.5)
    assert fresh.class_names == SOURCE_SHAPES
