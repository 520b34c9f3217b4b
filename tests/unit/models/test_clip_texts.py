"""CheckedTokenizer: what it cannot read is said, and nothing else is changed."""

import pickle
import warnings

import open_clip
import pytest
import torch

from coursekit.assets import data_folder
from coursekit.errors import SettingsError
from coursekit.models import CheckedTokenizer, TextWarning, find_clip


@pytest.fixture(scope="module")
def tokenizer():
    source = find_clip(data_folder() / "weights" / "clip_small", architecture="")
    opened = open_clip.get_tokenizer(**source.tokenizer)
    return CheckedTokenizer(opened, is_word_level=True)


@pytest.fixture(scope="module")
def openai():
    return CheckedTokenizer(open_clip.get_tokenizer("ViT-B-32"), is_word_level=False)


def test_unknown_words_are_named_once_each(tokenizer):
    with pytest.warns(TextWarning, match=r"no word 'dog', 'zebra', '\?': the rest") as seen:
        tokens = tokenizer(["a red dog", "a dog and a zebra ?", "a star"])
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert tokens.shape == (3, 16)


def test_the_tokens_are_the_librarys_all_the_same(tokenizer):
    texts = ["a red dog", "a star"]
    with pytest.warns(TextWarning):
        tokens = tokenizer(texts)
    assert torch.equal(tokens, tokenizer.tokenizer(texts))


def test_many_unknown_words_are_counted(tokenizer):
    with pytest.warns(TextWarning, match=r"'u' and 2 more"):
        tokenizer("q w y z u x v")


def test_capitals_and_spaces_do_not_make_words_unknown(tokenizer):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(tokenizer("  A  Small RED star"), tokenizer("a small red star"))


def test_a_text_of_the_full_length_is_read_whole_and_a_longer_one_reported(tokenizer):
    fits = " ".join(["star"] * 14)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenizer(fits)
    with pytest.warns(
        TextWarning, match="is longer than 16 tokens, start and end included"
    ):
        tokens = tokenizer(fits + " red")
    assert torch.equal(tokens, tokenizer(fits))


def test_several_long_texts_make_one_warning(openai):
    with pytest.warns(TextWarning, match="like 1 more texts") as seen:
        openai([" ".join(["star"] * 90)] * 2 + ["a star"])
    assert len(seen) == 1


def test_parts_of_words_can_spell_everything(openai):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert openai("a zebra called Xqzw").shape == (1, 77)
    assert openai.find_unknown("a zebra called Xqzw") == []


@pytest.mark.parametrize("texts", [[3], [None], ["a star", b"a star"]])
def test_what_is_no_text_is_refused(tokenizer, texts):
    with pytest.raises(SettingsError, match="reads texts, got"):
        tokenizer(texts)


def test_it_can_be_sent_to_another_process(tokenizer):
    again = pickle.loads(pickle.dumps(tokenizer))  # noqa: S301
    assert torch.equal(again("a red star"), tokenizer("a red star"))
    assert repr(again) == "CheckedTokenizer(words, 16 tokens a text)"
