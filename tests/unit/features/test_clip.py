"""Texts and names by a model whose tower is a table; the rest is in the models' contract."""

import pytest
import torch
from torch import nn

from coursekit.errors import SettingsError
from coursekit.features import embed_images, embed_texts, zero_shot_classifier

WORDS = ["a", "photo", "of", "star", "disc", "red"]


class Table(nn.Module):
    """A text tower that adds up one row for each word."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.rows = nn.Embedding(len(WORDS) + 1, 4, padding_idx=0)

    def encode_text(self, tokens):
        return self.rows(tokens).sum(dim=1)


def tokenizer(texts):
    rows = [[WORDS.index(word) + 1 for word in text.split()] for text in texts]
    return torch.tensor([row + [0] * (6 - len(row)) for row in rows])


@pytest.fixture
def model():
    return Table()


def by_hand(model, text):
    rows = sum(model.rows.weight[WORDS.index(word) + 1] for word in text.split())
    return (rows / rows.norm()).detach()


def test_texts_are_embedded_in_parts(model):
    texts = ["a star", "red disc"] * 200
    found = embed_texts(model, tokenizer, texts)
    torch.testing.assert_close(
        found[:2], torch.stack([by_hand(model, t) for t in texts[:2]])
    )
    assert torch.equal(found, found[:2].repeat(200, 1))


def test_several_prompts_are_averaged_as_directions(model):
    prompts = ["{}", "a photo of a {}"]
    made = zero_shot_classifier(model, tokenizer, ["star", "disc"], prompts=prompts)
    for column, name in enumerate(["star", "disc"]):
        mean = sum(by_hand(model, prompt.format(name)) for prompt in prompts) / 2
        torch.testing.assert_close(made[:, column], mean / mean.norm())


def test_a_prompt_needs_a_place_for_the_name(model):
    with pytest.raises(SettingsError, match=r"must have \{\}"):
        zero_shot_classifier(model, tokenizer, ["star"], prompts="a photo")


def test_images_need_a_model_of_open_clip(model):
    with pytest.raises(SettingsError, match="open_clip"):
        embed_images(model, torch.rand(1, 3, 8, 8))
