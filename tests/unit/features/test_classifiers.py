"""Neighbors, votes, probe and head: against scikit-learn, slow loops and a slow training."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from torch import nn

from coursekit.datasets import load_digits, make_loader
from coursekit.errors import DataError, SettingsError
from coursekit.features import (
    Embeddings,
    classify_by_neighbors,
    embed,
    find_neighbors,
    fit_head,
    linear_probe,
    recall_at_k,
)
from coursekit.models import put_head
from coursekit.training import Trainer, TrainSettings

METRICS = ("cosine", "euclidean")


def draw(n_rows, n_features, seed):
    return torch.randn(n_rows, n_features, generator=torch.Generator().manual_seed(seed))


def draw_scaled(n_rows, seed):
    """Features of very different sizes and places, classes that overlap."""
    labels, scales = torch.arange(n_rows) % 4, 10.0 ** torch.linspace(-3, 3, 20)
    rows = draw(4, 20, 9)[labels] + 2 * draw(n_rows, 20, seed) + 4
    return Embeddings(embeddings=rows * scales, labels=labels)


TRAIN, TEST = draw_scaled(60, 0), draw_scaled(300, 1)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("k", "scale"), [(1, 1.0), (3, 1e-3), (150, 1e4)])
def test_agrees_with_scikit_learn(k, metric, scale):
    queries, bank = draw(600, 16, 0) * scale, draw(150, 16, 1) * scale
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


@pytest.mark.parametrize(
    ("queries", "bank", "words"),
    [
        (torch.rand(3), torch.rand(4, 3), r"queries must have .*x\[None\]"),
        (torch.rand(2, 3), torch.full((4, 3), torch.nan), "bank must .* be finite"),
    ],
)
def test_usual_mistakes_are_named(queries, bank, words):
    with pytest.raises(DataError, match=words):
        find_neighbors(queries, bank, k=2)


# --- votes ----------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_votes_agree_with_scikit_learn(metric):
    train, test, ks = TRAIN, TEST, (1, 5, 15)
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
    one = classify_by_neighbors(train, test, k=5, metric=metric)
    assert one.accuracy == votes.accuracies[5]


def test_of_equally_many_votes_the_nearest_voter_decides():
    bank = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [1.0, 0.3]])
    train = Embeddings(embeddings=bank, labels=torch.tensor([2, 1, 1, 2]))
    test = Embeddings(embeddings=torch.tensor([[1.0, -0.1]]))
    found = classify_by_neighbors(train, test, k=[2, 3, 4])
    assert {k: int(one) for k, one in found.predictions.items()} == {2: 2, 3: 1, 4: 2}


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


# --- the probe ------------------------------------------------------------------------


def test_the_probe_is_the_ridge_that_predicts_most_samples_from_all_others():
    X, y = TRAIN.embeddings.double(), TRAIN.labels.numpy()
    mean, deviation = X.mean(0), X.std(0, correction=0)
    X = ((X - mean) / deviation).numpy()
    targets = np.where(y[:, None] == np.arange(4), 1.0, -1.0)
    accuracies = {}
    for alpha in np.logspace(-2, 6, 17):
        right = []
        for i in range(len(y)):  # slow and obvious: one is left out, all others are fitted
            rest = np.arange(len(y)) != i
            ridge = Ridge(alpha=alpha).fit(X[rest], targets[rest])
            right.append(ridge.predict(X[i : i + 1]).argmax() == y[i])
        accuracies[alpha] = np.mean(right)
    best = max(accuracies, key=accuracies.get)  # of equal ones the first
    assert accuracies[best] > min(accuracies.values())
    probe, ridge = linear_probe(TRAIN, TEST), Ridge(alpha=best).fit(X, targets)
    found = ridge.predict((TEST.embeddings.double() - mean) / deviation).argmax(axis=1)
    assert np.array_equal(probe.predictions, found)
    assert probe.accuracy == pytest.approx((found == TEST.labels.numpy()).mean())


def test_with_one_sample_a_class_the_squared_error_decides():
    assert linear_probe(TRAIN.subset(range(4)), TEST).accuracy > 0.3


@pytest.mark.parametrize("use", [linear_probe, classify_by_neighbors])
def test_classifiers_need_labels(use):
    with pytest.raises(SettingsError, match="with labels"):
        use(Embeddings(embeddings=torch.rand(3, 20)), TEST)


# --- the head -------------------------------------------------------------------------


def accuracy(head, samples):
    """Return the share of samples whose largest logit is that of their label."""
    return (head(samples.embeddings).argmax(1) == samples.labels).float().mean().item()


def every_epoch(net, digits, seed):
    """As tutorials do it: freeze, replace the head, and run the backbone every time."""
    model = copy.deepcopy(net).requires_grad_(requires_grad=False)
    torch.manual_seed(seed)
    model[5] = nn.Linear(256, 10)
    optimizer = torch.optim.AdamW(model[5].parameters(), lr=1e-2)
    settings = TrainSettings(progress_bar=False)
    trainer = Trainer(model, optimizer=optimizer, settings=settings, device="cpu")
    loader = make_loader(digits[0], batch_size=64, shuffle=True, seed=seed)
    trainer.fit(loader, n_epochs=20)
    return trainer.evaluate(make_loader(digits[1], batch_size=64))["accuracy"]


def test_a_head_is_as_good_as_one_trained_with_the_backbone_and_stands_in_its_place():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 16, 5, stride=2), nn.BatchNorm2d(16), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(256, 10)]
    net = nn.Sequential(*layers).eval()
    digits = load_digits("train").subset(range(600)), load_digits("test").subset(range(300))
    train, test = (embed(net, part, progress_bar=False, device="cpu") for part in digits)
    heads = [fit_head(train, seed=seed) for seed in range(2)]
    cached = [accuracy(head, test) for head in heads]
    slow = [every_epoch(net, digits, seed) for seed in range(2)]
    assert np.mean(cached) >= np.mean(slow) - 0.01
    model, (images, _) = put_head(net, heads[0]).eval(), digits[1].to_tensors()
    with torch.no_grad():
        logits = heads[0](test.embeddings)
        torch.testing.assert_close(model(images), logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("shift", "scale"), [(1000.0, 1.0), (-3.0, 1e-4)])
def test_place_and_size_of_features_and_constant_ones_do_not_matter(shift, scale):
    rows = torch.cat([TRAIN.embeddings[:, 9:12], torch.full((60, 1), 5.0)], dim=1)
    plain, moved = (replace(TRAIN, embeddings=one) for one in (rows, rows * scale + shift))
    found = [accuracy(fit_head(one, seed=0), one) for one in (plain, moved)]
    assert found[0] == pytest.approx(found[1], abs=0.02)


def test_the_seed_decides():
    weights = [fit_head(TRAIN, n_epochs=2, seed=s).weight for s in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
