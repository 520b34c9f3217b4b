"""The backbone's recipe, what it sees, and the files that it writes and wrote."""

import hashlib
import re
from dataclasses import replace

import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from coursekit import course
from coursekit.assets import data_folder
from coursekit.datasets import HELD_OUT_PAIRS, SOURCE_SHAPES, make_loader, make_shapes
from coursekit.recipes import backbone
from coursekit.recipes.backbone import RECIPE, train
from coursekit.training import History, Trainer

WEIGHTS = data_folder() / "weights" / "coursekit_resnet8.shapes.safetensors"


# --- what it sees and asks --------------------------------------------------------------


def test_neither_held_out_pairs_nor_unseen_shapes_nor_test_pictures_are_seen(monkeypatch):
    drawn = []

    def note(n_images, **options):
        drawn.append(make_shapes(n_images, **options))
        return drawn[-1]

    monkeypatch.setattr(backbone, "make_shapes", note)
    backbone._loader(3_000, 0, RECIPE, is_training=True)
    backbone._loader(3_000, backbone._TEST_START, RECIPE, is_training=False)
    for world in drawn:
        shapes, colors = world.attributes["shape"], world.attributes["color"]
        assert not set(zip(shapes, colors, strict=True)) & set(HELD_OUT_PAIRS)
        assert set(shapes) == set(SOURCE_SHAPES)
    lesson = course.dataset("objects").images[:500]
    known = {image.tobytes() for image in drawn[0].images}
    assert not known & {image.tobytes() for image in (*drawn[1].images, *lesson)}
    assert RECIPE.n_images < backbone._TEST_START


def test_the_loss_adds_four_questions_and_the_texture_metrics_look_at_their_own():
    n_logits, n_texture = backbone._N_LOGITS, backbone._N_STATISTICS
    answers = torch.tensor([[0, 1, 2, 3], [4, 5, 0, 6]])
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(2, sum(n_logits) + 2 * n_texture, generator=generator)
    starts = [sum(n_logits[:k]) for k in range(4)]
    slow = sum(
        -outputs[i, start : start + n].log_softmax(0)[answers[i, k]] / 2
        for i in range(2)
        for k, (start, n) in enumerate(zip(starts, n_logits, strict=True))
    )
    predicted, true = outputs[:, sum(n_logits) :].chunk(2, dim=1)
    wanted = slow + 0.5 * (predicted - true).square().mean()
    torch.testing.assert_close(backbone.pretext_loss(outputs, answers), wanted)
    for k, (start, name) in enumerate(zip(starts, backbone.ANSWERS, strict=True)):
        changed = torch.zeros_like(outputs)
        changed[0, start + answers[0, k]] = 1.0
        changed[1, start + (answers[1, k] + 1) % n_logits[k]] = 1.0
        assert backbone._metric(name)(changed, answers).tolist() == [True, False]


# --- what is written --------------------------------------------------------------------


def test_the_same_recipe_gives_the_same_bytes_and_another_seed_others(tmp_path):
    short = replace(RECIPE, n_images=128, n_epochs=1)
    first, second, other = (
        train(tmp_path / name, replace(short, seed=seed))[0]
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()
    logs = [path.with_suffix(".log.csv").read_bytes() for path in (first, second)]
    assert logs[0] == logs[1]
    card = first.with_suffix(".md").read_text(encoding="utf-8")
    assert "`coursekit train backbone --images 128 --epochs 1 --seed 0`" in card
    assert f"| SHA-256 | `{hashlib.sha256(first.read_bytes()).hexdigest()}` |" in card
    overlay = {"file": str(first)}
    model = timm.create_model(
        "coursekit_resnet8", pretrained=True, pretrained_cfg_overlay=overlay
    )
    assert model.get_classifier().out_features == len(SOURCE_SHAPES)


def test_floats_are_halved_whole_numbers_kept_and_no_date_stands_in_the_file(tmp_path):
    state = {"w": torch.randn(3, 4).t(), "n": torch.tensor(70_001)}
    trainer = Trainer(torch.nn.Linear(1, 1))
    trainer.history = History(epochs=({"loss": 1.0, "seconds": 2.0},))
    weights = tmp_path / "net.safetensors"
    backbone.write_shipped(weights, state, "net", {}, RECIPE, {"shape": 0.9234}, trainer)
    stored = load_file(weights)
    assert stored["n"] == 70_001
    assert torch.equal(stored["w"], state["w"].half())
    with safe_open(weights, "pt") as stream:
        assert not stream.metadata()
    assert (tmp_path / "net.log.csv").read_text() == "loss\n1\n"


# --- the file that is shipped -----------------------------------------------------------


def test_the_shipped_file_is_the_one_of_its_card_and_reaches_what_that_says():
    content, card = WEIGHTS.read_bytes(), WEIGHTS.with_suffix(".md").read_text("utf-8")
    assert f"| SHA-256 | `{hashlib.sha256(content).hexdigest()}` |" in card
    assert "`coursekit train backbone --images 50000 --epochs 30 --seed 7`" in card
    said = dict(re.findall(r"(\w+) ([\d.]+) %", card))
    fresh = make_shapes(4_000, seed=99, exclude_pairs=HELD_OUT_PAIRS)
    loader = make_loader(fresh, batch_size=500, transform=course.transform("backbone"))
    reached = Trainer(course.model("backbone")).evaluate(loader)["accuracy"]
    assert 100 * reached == pytest.approx(float(said["shape"]), abs=1.5)
