"""The recipe of the small CLIP: repeatable, without held-out pairs, and refusing nonsense."""

import json

import open_clip
import pytest
import torch

from coursekit import course
from coursekit.datasets import HELD_OUT_PAIRS
from coursekit.errors import SettingsError
from coursekit.models import open_clip_files
from coursekit.recipes import ClipRecipe, clip, train_clip
from coursekit.recipes.clip import draw_pairs, measure_clip

SHORT = ClipRecipe(n_images=256, n_epochs=2, batch_size=64, n_test=60)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two short trainings, started in two folders."""
    results = []
    with pytest.MonkeyPatch.context() as patch:
        for number in range(2):
            folder = tmp_path_factory.mktemp(f"elsewhere{number}")
            patch.chdir(folder)
            torch.rand(number)  # whatever was drawn before
            written = train_clip(
                "out" if number else folder, recipe=SHORT, progress_bar=False
            )
            results.append((written, written.weights.absolute()))
    return results


def test_two_trainings_in_two_folders_give_the_same_bytes(made):
    (first, first_file), (second, second_file) = made
    assert first.sha256 == second.sha256
    assert first_file.read_bytes() == second_file.read_bytes()
    assert first.accuracies == second.accuracies
    for name in ("words.txt.gz", "open_clip_config.json", "clip_small.log.csv"):
        assert (first_file.parent / name).read_bytes() == (
            second_file.parent / name
        ).read_bytes()


def test_what_is_written_opens_by_the_librarys_own_calls(made):
    folder = made[0][1].parent
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(
        f"local-dir:{folder}", bpe_path=str(folder / "words.txt.gz")
    )
    opened = open_clip_files(folder, architecture="ViT-B-32-quickgelu")
    text = ["a small red star on a striped background"]
    with torch.no_grad():
        expected = opened.model.encode_text(opened.tokenizer(text))
        torch.testing.assert_close(model.eval().encode_text(tokenizer(text)), expected)
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_it_is_small_enough(made):
    written, file = made[0]
    config = json.loads((file.parent / "open_clip_config.json").read_text())
    model = open_clip.CLIP(**config["model_cfg"])
    assert sum(p.numel() for p in model.parameters()) <= 500_000
    assert written.n_bytes <= 1_000_000


def test_the_card_tells_what_is_needed(made):
    text = (made[0][1].parent / "clip_small.md").read_text()
    for part in (
        "HELD_OUT_PAIRS",
        "bpe_path",
        "coursekit train clip --images 256",
        "SHA-256",
    ):
        assert part in text


def test_no_training_picture_shows_a_held_out_pair():
    numbers = torch.cat([labels for _, labels in clip._loader(SHORT)])
    shapes, colors = clip.ATTRIBUTES["shape"], clip.ATTRIBUTES["color"]
    seen = {(shapes[row[0]], colors[row[1]]) for row in numbers.tolist()}
    assert len(seen) > 100
    assert not seen & set(HELD_OUT_PAIRS)


@pytest.mark.parametrize(("pairs", "expected"), [("seen", False), ("held-out", True)])
def test_pictures_to_measure_on_are_of_the_pairs_they_are_said_to_be(pairs, expected):
    drawn = draw_pairs(pairs, 200, seed=1)
    held_out = {
        pair in HELD_OUT_PAIRS
        for pair in zip(drawn.attributes["shape"], drawn.attributes["color"], strict=True)
    }
    assert held_out == {expected}


def test_only_untrue_captions_of_one_color_or_one_shape_count_as_wrong():
    """A red star, a red star, a blue star, a blue disc; texts of the same, less or more."""
    star, disc = 0, 1
    numbers = torch.tensor([[star, 0], [star, 0], [star, 5], [disc, 5]])
    numbers = torch.cat([numbers, torch.zeros_like(numbers)], dim=1)
    # star | a red star | a blue thing | a blue disc
    named = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0]]).bool()
    parts = clip._opponents(numbers[:, None] == numbers, named)
    (_, both), (_, colors), (_, shapes) = parts
    assert both.int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]
    assert colors.int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert shapes.int().tolist() == [[1, 1, 1, 0]] * 3 + [[0, 0, 0, 1]]


def test_a_caption_that_is_true_of_another_picture_does_not_count(made, monkeypatch):
    seen = []
    monkeypatch.setattr(
        clip,
        "contrastive_loss",
        lambda *, ignore, **_: seen.append(ignore.clone()) or torch.zeros(()),
    )
    folder = made[0][1].parent
    model, _, tokenizer = open_clip_files(folder, architecture="")
    loss = clip._CaptionLoss(model, tokenizer.tokenizer, seed=0)
    star, disc = (clip.ATTRIBUTES["shape"].index(name) for name in ("star", "disc"))
    numbers = torch.tensor([[star, 0, 0, 0], [star, 0, 1, 0], [disc, 0, 0, 0]])
    captions = ["star", "a small red star", "a red disc"]
    named = torch.tensor([[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0]]).bool()
    monkeypatch.setattr(loss, "_draw", lambda _: (captions, named))
    numbers[0, 2] = 2  # a larger star
    numbers[1, 2] = 0
    loss((torch.zeros(3, 96),), numbers)
    assert seen[1].int().tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_images": 0}, "n_images must be positive, got 0"),
        ({"n_epochs": 0}, "n_epochs must be positive"),
        ({"max_lr": -1.0}, "max_lr must be positive"),
        ({"seed": -1}, "seed of 0 or more"),
        ({"n_images": 100}, "at least one full batch"),
    ],
)
def test_a_recipe_refuses_what_cannot_be_trained(changes, words):
    with pytest.raises(SettingsError, match=words):
        ClipRecipe(**changes)


def test_the_shipped_weights_reach_what_lessons_rely_on():
    """On pictures of another world than that of the card."""
    model, _, tokenizer = course.clip()
    reached = measure_clip(model, tokenizer, n_images=1500, seed=11)
    assert reached["shapes of seen pairs"] > 0.88
    assert reached["shapes of held-out pairs"] > 0.84
    assert reached["colors of held-out pairs"] > 0.97
    assert reached["text-to-image recall@5 of held-out pairs"] > 0.93
