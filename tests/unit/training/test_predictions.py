"""top_predictions, against softmax and sorting, and when misused."""

import numpy as np
import pytest
import torch

from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.training import top_predictions


@pytest.fixture(params=range(3))
def logits(request):
    generator = torch.Generator().manual_seed(request.param)
    return 3 * torch.randn(20, 6, generator=generator)


def test_agrees_with_sorting_the_probabilities(logits):
    found = top_predictions(logits, k=6)
    for row, values in enumerate(logits.exp()):
        probabilities = (values / values.sum()).tolist()
        best = sorted(range(6), key=lambda c: -probabilities[c])
        assert found.classes[row].tolist() == best
        assert found.probabilities[row] == pytest.approx([probabilities[c] for c in best])


def test_right_and_wrong_share_all_rows_the_surest_first(logits):
    labels = np.arange(20) % 6
    found = top_predictions(logits, labels, k=2)
    assert sorted([*found.right, *found.wrong]) == list(range(20))
    assert all(logits.argmax(1)[row] == labels[row] for row in found.right)
    for rows in (found.right, found.wrong):
        sure = found.probabilities[rows, 0]
        assert (np.diff(sure) <= 0).all()


def test_a_subset_keeps_what_belongs_together(logits):
    found = top_predictions(logits, np.arange(20) % 6, class_names=list("abcdef"))
    part = found.subset(found.wrong[:3])
    assert len(part) == min(3, len(found.wrong))
    assert not part.is_right.any()
    assert part.to_frame().equals(
        found.to_frame().loc[found.wrong[:3]].reset_index(drop=True)
    )


def test_the_table_names_classes():
    frame = top_predictions([[1.0, 2.0]], [0], k=2, class_names=["cat", "dog"]).to_frame()
    assert frame.columns.tolist() == [
        "label",
        "class_1",
        "probability_1",
        "class_2",
        "probability_2",
    ]
    assert frame.iloc[0][["label", "class_1", "class_2"]].tolist() == ["cat", "dog", "cat"]


def test_nobody_judges_without_labels():
    with pytest.raises(DataError, match="give labels"):
        _ = top_predictions(torch.zeros(2, 3)).wrong


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"logits": torch.zeros(3)}, ShapeError, r"\(n_images, n_classes\), got \(3,\)"),
        ({"k": 4}, SettingsError, "the 3 classes, got k=4"),
        ({"k": 0}, SettingsError, "got k=0"),
        ({"labels": [0]}, ShapeError, "2 images and"),
        ({"labels": [0, 3]}, DataError, r"0 \.\. 2, got 0 \.\. 3"),
        ({"class_names": ["a"]}, ShapeError, "got 1 for 3"),
        ({"logits": torch.full((2, 3), torch.nan)}, DataError, "image 0"),
    ],
)
def test_what_does_not_fit_is_named(settings, error, words):
    with pytest.raises(error, match=words):
        top_predictions(**({"logits": torch.zeros(2, 3)} | settings))
