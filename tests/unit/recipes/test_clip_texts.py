"""The captions of the small CLIP: true, varied, and every word of them is one token."""

import itertools
import random

import open_clip
import pytest

from coursekit.datasets import caption_shape, make_shapes
from coursekit.models import CheckedTokenizer
from coursekit.recipes.captions import (
    ATTRIBUTES,
    CLIP_WORDS,
    WORDS_FILE,
    draw_caption,
    write_clip_files,
)

STAR = ("star", "red", "small", "striped")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    write_clip_files(folder, embed_dim=96, context_length=16)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder):
    opened = open_clip.get_tokenizer(
        f"local-dir:{folder}", bpe_path=str(folder / WORDS_FILE)
    )
    return CheckedTokenizer(opened, is_word_level=True)


def read_back(tokenizer, tokens):
    """Return the text of a row of tokens."""
    inner = [t for t in tokens.tolist() if t][1:-1]
    return tokenizer.decode(inner).strip()


def test_every_word_is_one_token_of_its_own(tokenizer):
    tokens = [tokenizer.encode(word) for word in CLIP_WORDS]
    assert all(len(t) == 1 for t in tokens)
    assert len({t[0] for t in tokens}) == len(CLIP_WORDS)


def test_every_caption_of_the_world_comes_back_word_by_word(tokenizer):
    captions = [caption_shape(*names) for names in itertools.product(*ATTRIBUTES.values())]
    assert len(captions) == 28 * 10 * 3 * 7
    tokens = tokenizer(captions)  # a warning would be an error here
    assert tokens.shape == (len(captions), 16)
    for caption, row in zip(captions[::13], tokens[::13], strict=True):
        assert read_back(tokenizer, row) == caption
    assert tokenizer.find_unknown(captions) == []


def test_captions_of_drawn_worlds_have_no_unknown_word(tokenizer):
    world = make_shapes(200, seed=3, shapes=ATTRIBUTES["shape"])
    assert [read_back(tokenizer, row) for row in tokenizer(list(world.captions))] == list(
        world.captions
    )


def test_training_captions_fit_and_have_no_unknown_word(tokenizer):
    rng = random.Random(0)
    drawn = [draw_caption(STAR, rng)[0] for _ in range(3000)]
    longest = [f"there is {caption_shape(*STAR)}", f"a picture of {caption_shape(*STAR)}"]
    tokens = tokenizer(drawn + longest)
    assert [read_back(tokenizer, row) for row in tokens] == drawn + longest
    assert len(set(drawn)) > 150


def test_a_caption_says_what_it_names_and_nothing_else():
    rng = random.Random(1)
    for _ in range(500):
        text, named = draw_caption(STAR, rng)
        assert any(named)
        assert [word in text.split() for word in STAR] == list(named)


def test_bare_words_and_whole_captions_both_occur():
    rng = random.Random(2)
    texts = {draw_caption(STAR, rng)[0] for _ in range(3000)}
    assert {*STAR, "a striped background", caption_shape(*STAR)} <= texts


def test_the_end_is_the_largest_token_as_pooling_wants_it(tokenizer):
    assert tokenizer.eot_token_id == tokenizer.vocab_size - 1
    assert tokenizer("a star")[0].argmax() == 3


def test_the_files_are_the_same_wherever_they_are_written(folder, tmp_path):
    write_clip_files(tmp_path, embed_dim=96, context_length=16)
    for file in folder.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()
