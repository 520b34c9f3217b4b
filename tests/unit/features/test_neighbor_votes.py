"""classify_by_neighbors: votes counted by hand, against scikit-learn, for many k at once."""

from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.features import Embeddings, classify_by_neighbors, find_neighbors

METRICS = ("cosine", "euclidean")


def draw(n_rows, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (n_rows,), generator=generator)
    centers = torch.randn(4, 8, generator=torch.Generator().manual_seed(9))
    rows = centers[labels] + 1.2 * torch.randn(n_rows, 8, generator=generator)
    return Embeddings(embeddings=rows, labels=labels, class_names=("a", "b", "c", "d"))


TRAIN, TEST = draw(120, 0), draw(80, 1)


def count_votes(train, test, k, metric):
    """Slow and obvious: of classes with most votes, that of the nearest voter."""
    found = find_neighbors(test, train, k=k, metric=metric).indices
    predictions = []
    for rows in found:
        classes = train.labels[rows].tolist()
        votes = Counter(classes)
        most = max(votes.values())
        predictions.append(next(c for c in classes if votes[c] == most))
    return torch.tensor(predictions)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 2, 5, 40])
def test_votes_are_those_counted_by_hand(k, metric):
    votes = classify_by_neighbors(TRAIN, TEST, k=k, metric=metric)
    wanted = count_votes(TRAIN, TEST, k, metric)
    assert torch.equal(votes.predictions, wanted)
    assert votes.accuracy == pytest.approx((wanted == TEST.labels).double().mean().item())
    torch.testing.assert_close(votes.probabilities.sum(dim=1), torch.ones(80))


@pytest.mark.parametrize("metric", METRICS)
def test_shares_of_votes_agree_with_scikit_learn(metric):
    theirs = KNeighborsClassifier(7, metric=metric, algorithm="brute")
    theirs.fit(TRAIN.embeddings.double().numpy(), TRAIN.labels.numpy())
    votes = classify_by_neighbors(TRAIN, TEST, k=7, metric=metric)
    wanted = theirs.predict_proba(TEST.embeddings.double().numpy())
    np.testing.assert_allclose(votes.probabilities, wanted, atol=1e-6)


def test_votes_weighted_by_distance_agree_with_scikit_learn():
    theirs = KNeighborsClassifier(7, weights="distance", algorithm="brute")
    theirs.fit(TRAIN.embeddings.double().numpy(), TRAIN.labels.numpy())
    asked = torch.cat([TEST.embeddings, TRAIN.embeddings[:10]])  # the last at distance 0
    votes = classify_by_neighbors(
        TRAIN, asked, k=7, metric="euclidean", weights="similarity"
    )
    wanted = theirs.predict_proba(asked.double().numpy())
    np.testing.assert_allclose(votes.probabilities, wanted, atol=1e-5)
    assert torch.equal(votes.predictions[-10:], TRAIN.labels[:10])


def test_votes_weighted_by_cosine_are_those_of_the_paper():
    votes = classify_by_neighbors(TRAIN, TEST, k=9, weights="similarity")
    found = find_neighbors(TEST, TRAIN, k=9)
    worth = (found.similarities.double() / 0.07).exp()
    sums = torch.zeros(80, 4, dtype=torch.float64)
    sums.scatter_add_(1, TRAIN.labels[found.indices], worth)
    wanted = sums / sums.sum(dim=1, keepdim=True)
    torch.testing.assert_close(votes.probabilities.double(), wanted, atol=1e-5, rtol=1e-4)


def test_of_classes_with_equal_votes_the_nearest_voter_decides():
    X = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    votes = classify_by_neighbors(
        (X, torch.tensor([1, 0, 0, 1])),
        torch.zeros(1, 1),
        k=[1, 2, 3, 4],
        metric="euclidean",
    )
    assert votes.all_predictions[:, 0].tolist() == [1, 1, 0, 1]
    assert votes.at(4).probabilities.tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("weights", ["uniform", "similarity"])
def test_many_k_at_once_are_each_k_alone(weights):
    ks = [7, 1, 50]
    together = classify_by_neighbors(TRAIN, TEST, k=ks, weights=weights)
    for k in ks:
        alone = classify_by_neighbors(TRAIN, TEST, k=k, weights=weights)
        one = together.at(k)
        assert torch.equal(one.predictions, alone.predictions)
        assert torch.equal(one.neighbors.indices, alone.neighbors.indices)
        torch.testing.assert_close(one.probabilities, alone.probabilities)
        assert together.accuracies[k] == one.accuracy == alone.accuracy
    assert together.to_frame().to_dict("list") == {
        "k": ks,
        "accuracy": list(together.accuracies.values()),
    }


def test_neighbors_are_looked_up_once_for_all_k(monkeypatch):
    from coursekit.features import voting

    calls = []
    monkeypatch.setattr(
        voting,
        "find_neighbors",
        lambda *a, **k: calls.append(k["k"]) or find_neighbors(*a, **k),
    )
    classify_by_neighbors(TRAIN, TEST, k=range(1, 51))
    assert calls == [50]


def test_without_labels_there_are_predictions_but_no_accuracy():
    votes = classify_by_neighbors(TRAIN, TEST.embeddings, k=3)
    assert votes.predictions.shape == (80,)
    with pytest.raises(SettingsError, match=r"true labels.*or \(X, y\)"):
        _ = votes.accuracy


def test_classes_are_those_of_the_names_the_labels_or_the_argument():
    pair = TRAIN.embeddings, TRAIN.labels.clamp_max(2)
    assert classify_by_neighbors(TRAIN, TEST, k=1).probabilities.shape == (80, 4)
    assert classify_by_neighbors(pair, TEST, k=1).probabilities.shape == (80, 3)
    assert classify_by_neighbors(pair, TEST, k=1, n_classes=6).probabilities.shape == (
        80,
        6,
    )


def test_shows_what_it_is():
    votes = classify_by_neighbors(TRAIN, TEST, k=5)
    assert repr(votes) == f"NeighborVotes(80 samples, k=5, accuracy {votes.accuracy:.3f})"
    votes = classify_by_neighbors(TRAIN, TEST, k=[1, 2])
    assert repr(votes) == "NeighborVotes(80 samples, 2 values of k)"


# --- misuse -------------------------------------------------------------------------------


def test_one_answer_of_many_k_must_be_chosen():
    votes = classify_by_neighbors(TRAIN, TEST, k=[3, 5])
    with pytest.raises(SettingsError, match=r"2 values of k: choose one, \.at\(3\)"):
        _ = votes.predictions
    with pytest.raises(SettingsError, match=r"k in \[3, 5\], got k=4"):
        votes.at(4)


@pytest.mark.parametrize("k", [0, 121, [1, 121]])
def test_k_out_of_range_names_the_bank_size(k):
    with pytest.raises(SettingsError, match="the bank's 120 rows"):
        classify_by_neighbors(TRAIN, TEST, k=k)


@pytest.mark.parametrize("k", [[], [2, 2]])
def test_no_k_and_the_same_k_twice_are_refused(k):
    with pytest.raises(SettingsError, match="one k or different ones"):
        classify_by_neighbors(TRAIN, TEST, k=k)


def test_training_samples_need_labels():
    with pytest.raises(SettingsError, match=r"train needs labels: .*\(X, y\)"):
        classify_by_neighbors(TRAIN.embeddings, TEST)
    with pytest.raises(SettingsError, match="train needs labels"):
        classify_by_neighbors(Embeddings(embeddings=TRAIN.embeddings), TEST)


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"train must have one label for each of 120 rows"):
        classify_by_neighbors((TRAIN.embeddings, TRAIN.labels[:5]), TEST)
    with pytest.raises(DataError, match=r"class numbers, 0 upward, as labels, got a -1"):
        classify_by_neighbors((TRAIN.embeddings, TRAIN.labels - 1), TEST)
    with pytest.raises(DataError, match=r"as labels, got torch\.float32"):
        classify_by_neighbors((TRAIN.embeddings, TRAIN.labels.float()), TEST)
    with pytest.raises(SettingsError, match="n_classes must be at least 4"):
        classify_by_neighbors(TRAIN, TEST, n_classes=3)


def test_unknown_weights_name_those_there_are():
    with pytest.raises(SettingsError, match='"uniform" or "similarity", got \'distance\''):
        classify_by_neighbors(TRAIN, TEST, weights="distance")


def test_an_empty_training_set_is_refused():
    empty = torch.empty(0, 8), torch.empty(0, dtype=torch.int64)
    with pytest.raises(SettingsError, match="bank is empty"):
        classify_by_neighbors(empty, TEST)
