"""zero_shot_classifier by hand on a model whose towers are a table, and when misused.

That its weights are open_clip's stands in the contract test of the models.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from coursekit.datasets import make_shapes
from coursekit.errors import SettingsError, ShapeError
from coursekit.features import (
    Embeddings,
    embed_images,
    embed_texts,
    recall_at_k,
    zero_shot_classifier,
)

WORDS = ["a", "photo", "of", "star", "disc", "red"]


class Table(nn.Module):
    """A text tower that adds up one row for each word."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.rows = nn.Embedding(len(WORDS) + 1, 4, padding_idx=0)
        self.logit_scale = nn.Parameter(torch.tensor(2.0))
        self.dropout = nn.Dropout(0.5)

    def encode_text(self, tokens):
        return self.dropout(self.rows(tokens)).sum(dim=1)


def tokenizer(texts):
    rows = [[WORDS.index(word) + 1 for word in text.split()] for text in texts]
    return torch.tensor([row + [0] * (6 - len(row)) for row in rows])


@pytest.fixture
def model():
    return Table()


def by_hand(model, text):
    rows = sum(model.rows.weight[WORDS.index(word) + 1] for word in text.split())
    return (rows / rows.norm()).detach()


def test_one_prompt_gives_the_direction_of_its_text(model):
    made = zero_shot_classifier(model, tokenizer, ["star", "disc"], prompts="a {}")
    expected = torch.stack([by_hand(model, "a star"), by_hand(model, "a disc")], dim=1)
    torch.testing.assert_close(made.weights, expected)
    assert made.class_names == ("star", "disc")
    assert made.prompts == ("a {}",)


def test_several_prompts_are_averaged_as_directions(model):
    prompts = ["{}", "a photo of a {}"]
    made = zero_shot_classifier(model, tokenizer, ["star", "disc"], prompts=prompts)
    for column, name in enumerate(["star", "disc"]):
        mean = sum(by_hand(model, prompt.format(name)) for prompt in prompts) / 2
        torch.testing.assert_close(made.weights[:, column], mean / mean.norm())


def test_probabilities_are_a_softmax_of_scaled_cosines(model):
    made = zero_shot_classifier(model, tokenizer, ["star", "disc", "red"])
    images = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    cosines = torch.stack(
        [F.cosine_similarity(images, made.weights[:, column][None]) for column in range(3)],
        dim=1,
    )
    expected = (torch.tensor(2.0).exp() * cosines).softmax(dim=1)
    torch.testing.assert_close(made.probabilities(images), expected, atol=1e-5, rtol=0)
    assert torch.equal(made.predict(images), cosines.argmax(dim=1))
    torch.testing.assert_close(made.probabilities(images).sum(dim=1), torch.ones(5))


def test_the_length_of_an_embedding_does_not_matter(model):
    made = zero_shot_classifier(model, tokenizer, ["star", "disc"])
    images = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(made.logits(3 * images), made.logits(images))
    torch.testing.assert_close(
        made.logits(Embeddings(embeddings=images)), made.logits(images)
    )


def test_the_model_is_left_as_it_was(model):
    model.train()
    first = embed_texts(model, tokenizer, ["a star"])
    assert torch.equal(first, embed_texts(model, tokenizer, "a star"))  # no dropout
    assert model.training
    assert not first.requires_grad
    model.encode_text = None
    with pytest.raises(TypeError):
        embed_texts(model, tokenizer, "a star")
    assert model.training


@pytest.mark.parametrize(
    ("names", "prompts", "words"),
    [
        (["star"], [], "prompts must hold at least one text"),
        (["star"], ["{}", "a photo"], r"must have \{\} where the name .* got 'a photo'"),
        (["star"], ["{}", ""], "not empty, got '' at place 1"),
        ([], "a {}", "class_names must hold at least one text"),
        ("star", "a {}", "must be several texts, got one: 'star'"),
        (["star", "disc", "star"], "a {}", "'star' stands for 2 of 3.*crane"),
        (["star", 3], "a {}", "got 3 at place 1"),
    ],
)
def test_misuse_is_explained(model, names, prompts, words):
    with pytest.raises(SettingsError, match=words):
        zero_shot_classifier(model, tokenizer, names, prompts=prompts)


def test_embeddings_of_another_model_are_refused(model):
    made = zero_shot_classifier(model, tokenizer, ["star", "disc"])
    with pytest.raises(ShapeError, match=r"shape \(n_images, 4\).*got \(2, 7\)"):
        made.predict(torch.zeros(2, 7))


def test_images_are_embedded_by_models_of_open_clip_only(model):
    with pytest.raises(SettingsError, match="model of open_clip is needed, got Table"):
        embed_images(model, make_shapes(2, seed=0))


# --- retrieval ------------------------------------------------------------------------


def test_recall_is_what_a_double_loop_counts():
    generator = torch.Generator().manual_seed(3)
    texts = torch.randn(40, 6, generator=generator)
    images = texts + 1.5 * torch.randn(40, 6, generator=generator)
    similar = F.cosine_similarity(texts[:, None], images[None], dim=2)
    for k, reached in recall_at_k(texts, images, k=(1, 3, 5)).items():
        hits = [i in similar[i].argsort(descending=True)[:k].tolist() for i in range(40)]
        assert reached == pytest.approx(sum(hits) / 40)


def test_recall_grows_with_k_and_ends_at_one():
    texts, images = torch.randn(2, 30, 5, generator=torch.Generator().manual_seed(0))
    reached = list(recall_at_k(texts, images, k=(1, 5, 10, 30)).values())
    assert reached == sorted(reached)
    assert reached[-1] == 1


def test_equal_keys_belong_together():
    texts = torch.eye(3)
    images = texts[[1, 0, 2]]
    assert recall_at_k(texts, images, k=(1,)) == {1: pytest.approx(1 / 3)}
    assert recall_at_k(texts, images, k=(1,), keys=["star", "star", "disc"]) == {1: 1}


def test_embeddings_are_taken_too():
    rows = Embeddings(embeddings=torch.eye(4))
    assert recall_at_k(rows, rows, k=(1,)) == {1: 1.0}


@pytest.mark.parametrize(
    ("n_bank", "k", "keys", "error", "words"),
    [
        (4, (1,), None, ShapeError, "must be as many, got 3, 4 and 3"),
        (3, (1,), ["a", "b"], ShapeError, "got 3, 3 and 2"),
        (3, (1, 5), None, SettingsError, "between 1 and the bank's 3 rows"),
        (3, (), None, SettingsError, "at least one number"),
    ],
)
def test_misuse_of_recall(n_bank, k, keys, error, words):
    with pytest.raises(error, match=words):
        recall_at_k(torch.ones(3, 2), torch.ones(n_bank, 2), k=k, keys=keys)
