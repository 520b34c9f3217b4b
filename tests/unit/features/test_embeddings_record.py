"""Embeddings: what the record takes, what it refuses, and what it gives back."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.features import Embeddings


def make(n=6, labels=True, **known):
    rows = torch.arange(2.0 * n).reshape(n, 2)
    return Embeddings(
        embeddings=rows, labels=torch.arange(n) % 3 if labels else None, **known
    )


@given(st.lists(st.integers(0, 5)))
def test_a_subset_has_the_rows_asked_for_in_that_order(indices):
    picked = make(class_names="abc").subset(indices)
    assert picked.embeddings[:, 0].tolist() == [2.0 * i for i in indices]
    assert picked.labels.tolist() == [i % 3 for i in indices]
    assert picked.class_names == ("a", "b", "c")
    assert picked.n_classes == 3


def test_a_subset_without_labels_has_none():
    assert make(labels=False).subset(np.array([1])).labels is None
    assert make().subset(torch.tensor([5, 0])).labels.tolist() == [2, 0]


def test_a_subset_is_memory_of_its_own():
    whole = make()
    whole.subset(range(6)).embeddings.zero_()
    assert whole.embeddings.sum() == 66


@pytest.mark.parametrize("indices", [[6], [-1], [0, 99]])
def test_an_index_out_of_range_is_told(indices):
    with pytest.raises(SettingsError, match=r"must lie in 0 \.\. 5"):
        make().subset(indices)


def test_all_numbers_become_float32_on_the_cpu():
    record = Embeddings(embeddings=torch.eye(3, dtype=torch.float64), labels=[0, 1, 0])
    assert record.embeddings.dtype == torch.float32
    assert record.labels.dtype == torch.int64
    wanting = torch.eye(2, requires_grad=True)
    assert not Embeddings(embeddings=wanting).embeddings.requires_grad
    assert Embeddings(embeddings=np.eye(2)).n_features == 2


def test_the_number_of_classes_is_known_by_names_or_by_labels():
    assert make().n_classes == 3
    assert make(class_names="abcd").n_classes == 4
    assert make(labels=False).n_classes == 0
    assert repr(make()) == "Embeddings(6 of 2 features, 3 classes)"
    assert repr(make(labels=False)) == "Embeddings(6 of 2 features, no labels)"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (torch.ones(2, 3, 4, 4), r"\(2, 3, 4, 4\).*flatten\(1\)"),
        (torch.ones(3), r"\(3,\)"),
        (torch.ones(2, 2, dtype=torch.int64), "torch.int64"),
    ],
)
def test_what_is_no_matrix_is_refused_with_the_remedy(values, words):
    with pytest.raises(ShapeError, match=words):
        Embeddings(embeddings=values)


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"6 embeddings and labels of shape \(5,\)"):
        Embeddings(embeddings=torch.ones(6, 2), labels=torch.zeros(5))
    with pytest.raises(DataError, match=r"0 \.\. 1, got 0 \.\. 2"):
        make(class_names="ab")
    with pytest.raises(DataError, match=r"0 upward, got -1 \.\. 0"):
        Embeddings(embeddings=torch.ones(2, 2), labels=[-1, 0])
