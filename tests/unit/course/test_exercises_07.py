"""The exercises of lesson 07: solutions are right, and each mistake gets a hint that helps."""

from pathlib import Path

import pytest
import torch

from coursekit.course import check_exercise
from coursekit.features import recall_at_k

BOOK = Path(__file__).parents[3] / "notebooks/solutions/07_clip.ipynb"


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_probabilities_sum_to_one_and_lengths_do_not_matter(solved):
    image, texts = numbers(8), numbers(5, 8, seed=1)
    found = solved["text_probabilities"](image, texts, 20.0)
    assert found.sum() == pytest.approx(1)
    torch.testing.assert_close(
        found, solved["text_probabilities"](3 * image, 7 * texts, 20.0)
    )


def test_the_vector_of_a_class_has_length_one(solved):
    assert solved["class_vector"](numbers(6, 8)).norm() == pytest.approx(1)


@pytest.mark.parametrize("k", [1, 5])
def test_recall_is_that_of_the_helper(solved, k):
    texts, images = numbers(40, 8), numbers(40, 8) + numbers(40, 8, seed=1)
    cosines = torch.nn.functional.normalize(texts) @ torch.nn.functional.normalize(images).T
    helper = recall_at_k(texts, images, k=(k,))[k]
    assert solved["recall_of"](cosines, k) == pytest.approx(helper)


MISTAKES = [
    ("07.1", lambda image, texts, scale: (scale * texts @ image).softmax(0), "lengths"),
    ("07.2", lambda rows: rows.mean(0), "plain mean"),
    (
        "07.2",
        lambda rows: torch.nn.functional.normalize(rows, dim=1).mean(0),
        "shorter than 1",
    ),
    ("07.3", lambda s, k: 0.0, "Every text finds its own"),
    (
        "07.3",
        lambda s, k: (
            (s.T.topk(k, 1).indices == torch.arange(len(s))[:, None])
            .any(1)
            .double()
            .mean()
            .item()
        ),
        "down the columns",
    ),
]


@pytest.mark.parametrize(("number", "answer", "words"), MISTAKES)
def test_each_mistake_gets_a_hint_that_helps(number, answer, words):
    result = check_exercise(number, answer)
    assert "not yet" in str(result)
    assert words in str(result)


@pytest.mark.parametrize("number", ["07.1", "07.2", "07.3"])
def test_a_blank_is_not_attempted(number):
    assert "not attempted" in str(check_exercise(number, ...))
