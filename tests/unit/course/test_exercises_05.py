"""The exercises of lesson 05: solutions are right, and each mistake gets a hint that helps."""

from pathlib import Path

import pytest
import torch
from torch import nn

from coursekit.course import check_exercise
from coursekit.models import replace_head
from coursekit.training import freeze, parameter_groups

BOOK = Path(__file__).parents[3] / "notebooks/solutions/05_transfer_learning.ipynb"


def net():
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def test_freezing_all_but_the_head_is_what_the_helper_does(solved):
    by_hand, helped = net(), replace_head(net(), 3, seed=0)
    assert solved["freeze_all_but"](by_hand, "2") == freeze(helped).n_trainable == 18
    assert [p.requires_grad for p in by_hand.parameters()] == [False, False, True, True]


def test_the_average_does_not_depend_on_the_batches(solved):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(100, 4, generator=generator)
    labels = torch.randint(0, 4, (100,), generator=generator)
    right = (logits.argmax(1) == labels).double().mean().item()
    for size in (1, 7, 64, 100):
        batches = list(zip(logits.split(size), labels.split(size), strict=True))
        assert solved["accuracy_over_samples"](batches) == pytest.approx(right)


def test_rates_are_those_of_the_parameter_groups(solved):
    theirs = [group["lr"] for group in parameter_groups(net(), lr=0.2, decay=0.3)]
    assert solved["rates_by_depth"](len(theirs), 0.2, 0.3) == pytest.approx(theirs)


def test_the_best_epoch_is_the_earliest_of_the_best(solved):
    assert solved["best_epoch"]([0.1, 0.9, 0.9, 0.2]) == 2


MISTAKES = [
    ("05.1", lambda model, name: 10, "still trains"),
    (
        "05.1",
        lambda model, name: len(
            list(
                model.requires_grad_(False)
                .get_submodule(name)
                .requires_grad_()
                .parameters()
            )
        ),
        "numel",
    ),
    (
        "05.2",
        lambda batches: (
            sum((a.argmax(1) == b).double().mean().item() for a, b in batches)
            / len(batches)
        ),
        "mean of the batches' means",
    ),
    (
        "05.3",
        lambda n, lr, decay: [lr * decay**i for i in range(n)],
        "begins with the head",
    ),
    ("05.3", lambda n, lr, decay: [lr * decay ** (n - i) for i in range(n)], "full rate"),
    ("05.4", lambda values: values.index(max(values)), "counts from 0"),
    ("05.4", lambda values: max(values), "Return the number of its epoch"),
    ("05.4", lambda values: len(values), "Restore the best"),
]


@pytest.mark.parametrize(("number", "answer", "words"), MISTAKES)
def test_each_mistake_gets_a_hint_that_helps(number, answer, words):
    result = check_exercise(number, answer)
    assert "not yet" in str(result)
    assert words in str(result)


@pytest.mark.parametrize("number", ["05.1", "05.2", "05.3", "05.4"])
def test_a_blank_is_not_attempted(number):
    assert "not attempted" in str(check_exercise(number, ...))
