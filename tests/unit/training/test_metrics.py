"""Metrics by hand, and top_predictions against softmax and sorting."""

import numpy as np
import pytest
import torch

from coursekit.errors import SettingsError
from coursekit.training import top_predictions
from coursekit.training.metrics import accuracy

LABELS = np.arange(20) % 6


@pytest.fixture
def logits():
    return 3 * torch.randn(20, 6, generator=torch.Generator().manual_seed(0))


def test_of_probabilities_the_largest_is_the_true_class():
    soft = torch.tensor([[0.1, 0.9], [0.6, 0.4]])
    assert accuracy(torch.tensor([[0.0, 1.0], [0.0, 1.0]]), soft).tolist() == [True, False]


def test_one_column_says_yes_above_zero():
    column, labels = torch.tensor([[-1.0], [2.0], [3.0]]), torch.tensor([0.0, 1.0, 0.0])
    assert accuracy(column, labels[:, None]).tolist() == [True, True, False]
    assert accuracy(column, labels.long()).tolist() == [True, True, False]


@pytest.mark.parametrize("shape", [(4, 1), (4, 3)])
def test_continuous_labels_have_no_accuracy(shape):
    with pytest.raises(SettingsError, match=r"metrics=\(\)"):
        accuracy(torch.zeros(shape), torch.full(shape, 2.5))


def test_agrees_with_sorting_the_probabilities(logits):
    found = top_predictions(logits.requires_grad_(), LABELS, k=6, class_names=range(6))
    for row, values in enumerate(logits.detach().exp()):
        probabilities = (values / values.sum()).tolist()
        best = sorted(range(6), key=lambda c: -probabilities[c])
        assert found.classes[row].tolist() == best
        assert found.probabilities[row] == pytest.approx([probabilities[c] for c in best])


def test_right_and_wrong_share_all_rows_the_surest_first(logits):
    found = top_predictions(logits, LABELS, k=2, class_names=list("abcdef"))
    assert sorted([*found.right, *found.wrong]) == list(range(20))
    assert all(logits.argmax(1)[row] == LABELS[row] for row in found.right)
    for rows in (found.right, found.wrong):
        assert (np.diff(found.probabilities[rows, 0]) <= 0).all()
    part = found.subset(found.wrong[:3])
    assert len(part.classes) == len(part.wrong) == min(3, len(found.wrong))
    assert part.class_names == tuple("abcdef")
