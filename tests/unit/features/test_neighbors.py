"""Neighbors, votes and recall: against scikit-learn and slow loops, and when misused."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.features import (
    Embeddings,
    classify_by_neighbors,
    find_neighbors,
    neighbors,
    recall_at_k,
)

METRICS = ("cosine", "euclidean")


def draw(n_rows, n_features, seed):
    return torch.randn(n_rows, n_features, generator=torch.Generator().manual_seed(seed))


def blobs(n_rows, seed, n_classes=4):
    """Classes that overlap."""
    labels = torch.arange(n_rows) % n_classes
    return Embeddings(
        embeddings=draw(n_rows, 8, seed) + 1.5 * torch.eye(8)[labels], labels=labels
    )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 3, 150])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
def test_agrees_with_scikit_learn(k, metric, scale):
    queries, bank = draw(40, 16, 0) * scale, draw(150, 16, 1) * scale
    found = find_neighbors(queries, bank, k=k, metric=metric)
    theirs = NearestNeighbors(n_neighbors=k, algorithm="brute", metric=metric)
    distances, indices = theirs.fit(bank.double()).kneighbors(queries.double())
    values = 1 - found.values if metric == "cosine" else found.values
    np.testing.assert_allclose(values, distances, rtol=1e-5, atol=1e-6)
    assert (found.indices.numpy() == indices).mean() > 0.999  # but for near ties


@pytest.mark.parametrize("metric", METRICS)
def test_a_row_far_from_the_origin_is_its_own_first_neighbor(metric):
    bank = draw(200, 16, 0) * 1e-2 + (1000 if metric == "euclidean" else 1)
    found = find_neighbors(bank, bank, k=2, metric=metric)
    assert torch.equal(found.indices[:, 0], torch.arange(200))


@pytest.mark.parametrize("metric", METRICS)
def test_chunks_do_not_change_the_answer(monkeypatch, metric):
    queries, bank = draw(25, 6, 0), draw(40, 6, 1)
    whole = find_neighbors(queries, bank, k=5, metric=metric)
    monkeypatch.setattr(neighbors, "_CHUNK", 4)
    assert torch.equal(
        find_neighbors(queries, bank, k=5, metric=metric).indices, whole.indices
    )


def test_lengths_do_not_matter_to_the_cosine():
    queries, bank = draw(9, 6, 0), draw(40, 6, 1)
    lengths = torch.linspace(0.1, 10, 40)[:, None]
    one, two = (find_neighbors(queries, rows, k=4) for rows in (bank, bank * lengths))
    assert torch.equal(one.indices, two.indices)


@pytest.mark.parametrize(
    ("queries", "bank", "options", "error", "words"),
    [
        (torch.rand(3), torch.rand(4, 3), {}, ShapeError, r"x\[None\]"),
        (torch.rand(2, 3), torch.rand(4, 3), {"k": 5}, SettingsError, "the bank's 4 rows"),
        (
            torch.rand(2, 3),
            torch.full((4, 3), torch.nan),
            {},
            DataError,
            "bank must be finite",
        ),
    ],
)
def test_usual_mistakes_are_named(queries, bank, options, error, words):
    with pytest.raises(error, match=words):
        find_neighbors(queries, bank, **{"k": 2} | options)


# --- votes ----------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_votes_agree_with_scikit_learn(metric):
    train, test, ks = blobs(200, 0), blobs(120, 1), (1, 5, 15)
    votes = classify_by_neighbors(train, test, k=ks, metric=metric)
    assert list(votes.accuracies) == list(ks)
    for k in ks:
        theirs = KNeighborsClassifier(k, algorithm="brute", metric=metric)
        theirs.fit(train.embeddings, train.labels)
        shares = np.sort(theirs.predict_proba(test.embeddings), axis=1)
        clear = shares[:, -1] > shares[:, -2]  # where no two classes have as many votes
        found = votes.predictions[k].numpy()
        assert np.array_equal(found[clear], theirs.predict(test.embeddings)[clear])
        assert votes.accuracies[k] == pytest.approx((found == test.labels.numpy()).mean())
    assert (
        classify_by_neighbors(train, test, k=5, metric=metric).accuracy
        == votes.accuracies[5]
    )


def test_of_equally_many_votes_the_nearest_voter_decides():
    bank = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [1.0, 0.3]])
    train = Embeddings(embeddings=bank, labels=torch.tensor([2, 1, 1, 2]))
    test = Embeddings(embeddings=torch.tensor([[1.0, -0.1]]))
    found = classify_by_neighbors(train, test, k=[2, 3, 4])
    assert {k: int(one) for k, one in found.predictions.items()} == {2: 2, 3: 1, 4: 2}


def test_votes_need_labels():
    plain = Embeddings(embeddings=torch.rand(3, 2))
    with pytest.raises(SettingsError, match="train needs labels"):
        classify_by_neighbors(plain, plain)
    with pytest.raises(SettingsError, match="true labels"):
        _ = classify_by_neighbors(
            blobs(8, 0), Embeddings(embeddings=draw(3, 8, 0))
        ).accuracy


# --- recall ---------------------------------------------------------------------------


def test_recall_is_that_of_a_slow_loop():
    queries = draw(50, 6, 0)
    bank = queries + draw(50, 6, 1)
    cosines = torch.nn.functional.cosine_similarity(queries[:, None], bank[None], dim=2)
    ranks = [(row > row[i]).sum().item() for i, row in enumerate(cosines)]
    found = recall_at_k(queries, bank, k=(1, 5))
    for k in (1, 5):
        assert found[k] == pytest.approx(np.mean([rank < k for rank in ranks]))
    assert 0 < found[1] < found[5] < 1
