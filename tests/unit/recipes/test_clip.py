"""The small CLIP: its captions and words, its loss, its recipe, and what was shipped."""

import itertools
import random
from dataclasses import replace

import open_clip
import pytest
import torch
from open_clip.loss import ClipLoss
from torch.nn import functional as F

from coursekit import course
from coursekit.datasets import HELD_OUT_PAIRS
from coursekit.datasets.shapes import caption_shape
from coursekit.models.clip import CheckedTokenizer, open_clip_files
from coursekit.recipes import clip
from coursekit.recipes.clip import CLIP_WORDS, NAMES, draw_caption

STAR = ("star", "red", "small", "striped")
SHORT = replace(clip.RECIPE, n_images=256, n_epochs=2, batch_size=64)


# --- words and captions -----------------------------------------------------------------


def test_every_word_is_one_token_and_captions_come_back_word_by_word(tmp_path):
    clip.write_clip_files(tmp_path)
    words = str(tmp_path / clip.WORDS_FILE)
    opened = open_clip.get_tokenizer(f"local-dir:{tmp_path}", bpe_path=words)
    tokenizer = CheckedTokenizer(opened, is_word_level=True)
    numbers = [tuple(tokenizer.encode(word)) for word in CLIP_WORDS]
    assert {len(number) for number in numbers} == {1}
    assert len({*numbers}) == len(CLIP_WORDS)
    rng = random.Random(0)
    captions = [caption_shape(*names) for names in itertools.product(*NAMES.values())]
    captions = captions[::13] + [draw_caption(STAR, rng)[0] for _ in range(1000)]
    tokens = tokenizer(captions)  # a warning of an unknown word would be an error here
    for caption, row in zip(captions, tokens.tolist(), strict=True):
        assert tokenizer.decode([t for t in row if t][1:-1]).strip() == caption


def test_a_caption_says_what_it_names_and_nothing_else():
    rng, texts = random.Random(1), set()
    for _ in range(3000):
        text, named = draw_caption(STAR, rng)
        assert any(named)
        assert [word in text.split() for word in STAR] == list(named)
        texts.add(text)
    assert {*STAR, "a striped background", caption_shape(*STAR)} <= texts


# --- the loss ---------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_an_ignored_pair_is_as_if_it_were_not_there_and_none_is_the_loss_of_open_clip(
    scale,
):
    generator = torch.Generator().manual_seed(9)
    features = F.normalize(torch.randn(2, 12, 8, generator=generator).double(), dim=2)
    ignore = torch.rand(12, 12, generator=generator) < 0.4
    logits = scale * features[0] @ features[1].T
    slow = torch.zeros((), dtype=torch.float64)
    for own in range(12):
        row = [j for j in range(12) if j == own or not ignore[own, j]]
        column = [i for i in range(12) if i == own or not ignore[i, own]]
        slow += torch.logsumexp(logits[own, row], 0) - logits[own, own]
        slow += torch.logsumexp(logits[column, own], 0) - logits[own, own]
    ours = clip.contrastive_loss(*features, scale=scale, ignore=ignore)
    torch.testing.assert_close(ours, slow / 24)
    none = torch.zeros(12, 12, dtype=torch.bool)
    ours = clip.contrastive_loss(*features, scale=scale, ignore=none)
    torch.testing.assert_close(ours, ClipLoss()(*features, scale))


def test_only_untrue_captions_of_one_color_or_one_shape_count_as_wrong():
    """A red star, a red star, a blue star, a blue disc; texts of the same, less or more."""
    star, disc = 0, 1
    numbers = torch.tensor([[star, 0], [star, 0], [star, 5], [disc, 5]])
    numbers = torch.cat([numbers, torch.zeros_like(numbers)], dim=1)
    # star | a red star | a blue thing | a blue disc
    named = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0]]).bool()
    (_, both), (_, colors), (_, shapes) = clip._opponents(
        numbers[:, None] == numbers, named
    )
    assert both.int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]
    assert colors.int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert shapes.int().tolist() == [[1, 1, 1, 0]] * 3 + [[0, 0, 0, 1]]


def test_a_caption_that_is_true_of_another_picture_does_not_count(monkeypatch):
    seen, captions = [], ["star", "a small red star", "a red disc"]
    named = [(1, 0, 0, 0), (1, 1, 1, 0), (1, 1, 0, 0)]
    drawn = zip(captions, [tuple(map(bool, row)) for row in named], strict=True)
    monkeypatch.setattr(clip, "draw_caption", lambda names, rng: next(drawn))
    note = lambda *, ignore, **_: seen.append(ignore) or torch.zeros(())  # noqa: E731
    monkeypatch.setattr(clip, "contrastive_loss", note)
    model, _, tokenizer = course.clip()
    star, disc = (NAMES["shape"].index(name) for name in ("star", "disc"))
    numbers = torch.tensor([[star, 0, 2, 0], [star, 0, 0, 0], [disc, 0, 0, 0]])
    clip._caption_loss(model, tokenizer.tokenizer, 0)((torch.zeros(3, 96),), numbers)
    assert seen[1].int().tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]


# --- the recipe -------------------------------------------------------------------------


def test_two_trainings_give_the_same_files_that_open_clip_opens(tmp_path, monkeypatch):
    monkeypatch.setattr(clip, "_N_TEST", 60)
    (first, reached), (second, again) = (clip.train(tmp_path / n, SHORT) for n in "ab")
    assert reached == again
    folder = first.parent
    for file in folder.glob("[!c]*"):  # the card tells the date
        assert file.read_bytes() == (second.parent / file.name).read_bytes()
    card = (folder / "clip_small.md").read_text()
    assert "coursekit train clip --images 256 --epochs 2 --seed 7" in card
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    words = str(folder / clip.WORDS_FILE)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}", bpe_path=words)
    opened = open_clip_files(folder, architecture="")
    text = ["a small red star on a striped background"]
    with torch.no_grad():
        expected = opened.model.encode_text(opened.tokenizer(text))
        torch.testing.assert_close(model.eval().encode_text(tokenizer(text)), expected)
    assert sum(p.numel() for p in model.parameters()) <= 500_000


def test_no_training_picture_shows_a_held_out_pair_and_both_kinds_are_measured():
    def pairs_of(pairs, start):
        drawn = clip.draw_pairs(pairs, 500, seed=1, start=start).attributes
        return set(zip(drawn["shape"], drawn["color"], strict=True))

    seen = pairs_of("seen", 0) | pairs_of("seen", clip._STARTS["seen"])
    assert len(seen) > 100
    assert not seen & {*HELD_OUT_PAIRS}
    assert pairs_of("held-out", clip._STARTS["held-out"]) <= {*HELD_OUT_PAIRS}


def test_the_shipped_weights_reach_what_lessons_rely_on():
    """On pictures of another world than that of the card."""
    model, _, tokenizer = course.clip()
    reached = clip.measure_clip(model, tokenizer, n_images=1500, seed=11)
    assert reached["shapes of seen pairs"] > 0.88
    assert reached["shapes of held-out pairs"] > 0.84
    assert reached["colors of held-out pairs"] > 0.97
    assert reached["text-to-image recall@5 of held-out pairs"] > 0.93
