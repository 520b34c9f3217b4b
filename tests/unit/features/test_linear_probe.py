"""linear_probe: against leaving out one by one and scikit-learn, and when misused."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge, RidgeClassifierCV
from sklearn.preprocessing import StandardScaler
from torch.nn import functional as F

from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.features import Embeddings, linear_probe
from coursekit.features.leave_one_out import leave_one_out


def draw(n_rows, seed, *, n_features=20, n_classes=4):
    """Features of very different sizes and places, classes that overlap."""
    fixed = torch.Generator().manual_seed(9)
    centers = torch.randn(n_classes, n_features, generator=fixed)
    scales = 10.0 ** torch.linspace(-3, 3, n_features)
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n_rows) % n_classes
    rows = centers[labels] + 2 * torch.randn(n_rows, n_features, generator=generator)
    return Embeddings(embeddings=(rows + 4) * scales, labels=labels)


TRAIN, TEST = draw(200, 0), draw(300, 1)


# --- truths -------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_rows", "n_features"), [(14, 5), (9, 30), (12, 12)])
def test_held_out_predictions_are_those_of_leaving_out_one_by_one(n_rows, n_features):
    rng = np.random.default_rng(n_rows)
    X, Y = rng.normal(size=(n_rows, n_features)), rng.normal(size=(n_rows, 3)) + 2
    X -= X.mean(axis=0)
    alphas = (0.01, 1.0, 100.0)
    for alpha, predicted in zip(alphas, leave_one_out(X, Y, alphas), strict=True):
        for i in range(n_rows):
            ridge = Ridge(alpha=alpha).fit(np.delete(X, i, 0), np.delete(Y, i, 0))
            np.testing.assert_allclose(
                predicted[i], ridge.predict(X[i : i + 1])[0], atol=1e-8
            )


def test_agrees_with_scikit_learn():
    probe = linear_probe(TRAIN, TEST)
    scaler = StandardScaler().fit(TRAIN.embeddings.double())
    train, test = (scaler.transform(one.embeddings.double()) for one in (TRAIN, TEST))
    for alpha, accuracy in zip(probe.alphas, probe.held_out_accuracies, strict=True):
        theirs = RidgeClassifierCV([alpha], scoring="accuracy").fit(train, TRAIN.labels)
        assert accuracy == pytest.approx(theirs.best_score_)
    theirs = RidgeClassifierCV([probe.alpha]).fit(train, TRAIN.labels)
    assert np.array_equal(probe.predictions, theirs.predict(test))
    assert probe.accuracy == pytest.approx(theirs.score(test, TEST.labels))


def test_the_regularization_with_the_best_held_out_accuracy_is_chosen():
    probe = linear_probe(TRAIN)
    assert probe.held_out_accuracy == max(probe.held_out_accuracies)
    assert min(probe.held_out_accuracies) < probe.held_out_accuracy - 0.05
    assert probe.accuracy is None
    assert probe.predictions is None


def test_of_equal_accuracies_the_least_error_is_chosen():
    X = (
        torch.cat([torch.zeros(20, 1), torch.ones(20, 1)])
        + 0.01 * torch.arange(40.0)[:, None] % 0.1
    )
    probe = linear_probe((X, (torch.arange(40) >= 20).long()), alphas=(1e3, 1e-2, 10.0))
    assert set(probe.held_out_accuracies) == {1.0}
    assert probe.alpha == 1e-2


# --- the head -----------------------------------------------------------------------------


def test_the_head_takes_embeddings_as_they_are():
    probe = linear_probe(TRAIN, TEST)
    assert probe.head.weight.shape == (4, 20)
    assert torch.equal(probe.head(TEST.embeddings).argmax(dim=1), probe.predictions)


def test_the_head_can_be_trained_on_and_starts_well():
    probe = linear_probe(TRAIN)
    loss = F.cross_entropy(probe.head(TEST.embeddings), TEST.labels)
    assert loss < 0.75 * np.log(4)
    loss.backward()
    assert probe.head.weight.grad.abs().sum() > 0
    smaller, larger = (
        F.cross_entropy(probe.head(TEST.embeddings) * scale, TEST.labels)
        for scale in (0.3, 3)
    )
    assert loss < min(smaller, larger)


def test_nothing_is_drawn():
    before = torch.get_rng_state()
    first, again = linear_probe(TRAIN), linear_probe(TRAIN)
    assert torch.equal(first.head.weight, again.head.weight)
    assert torch.equal(torch.get_rng_state(), before)


# --- laws ---------------------------------------------------------------------------------


def test_scale_and_place_of_a_feature_do_not_matter():
    moved = 3 * TRAIN.embeddings + 5 * TRAIN.embeddings.mean(dim=0)
    first, other = linear_probe(TRAIN), linear_probe((moved, TRAIN.labels))
    assert other.alpha == first.alpha
    assert other.held_out_accuracies == pytest.approx(first.held_out_accuracies, abs=0.006)


def test_features_that_never_change_do_no_harm():
    constant = torch.full((200, 2), 0.1)
    wider = torch.cat([TRAIN.embeddings, constant], dim=1), TRAIN.labels
    probe = linear_probe(
        wider, (torch.cat([TEST.embeddings, torch.full((300, 2), 0.1)], 1), TEST.labels)
    )
    assert probe.accuracy == pytest.approx(linear_probe(TRAIN, TEST).accuracy, abs=0.01)
    assert torch.isfinite(probe.head.weight).all()


def test_more_features_than_samples_are_fine():
    train, test = draw(30, 0, n_features=200), draw(100, 1, n_features=200)
    assert linear_probe(train, test).accuracy > 0.5


def test_two_classes_and_classes_without_samples_are_fine():
    two = draw(60, 0, n_classes=2)
    assert linear_probe(two, two).head.out_features == 2
    named = Embeddings(embeddings=two.embeddings, labels=two.labels * 2, class_names="abcd")
    probe = linear_probe(named, named)
    assert probe.head.out_features == 4
    assert set(probe.predictions.tolist()) <= {0, 2}
    assert linear_probe(two, n_classes=7).head.out_features == 7


def test_without_test_labels_there_are_predictions_but_no_accuracy():
    probe = linear_probe(TRAIN, TEST.embeddings)
    assert probe.predictions.shape == (300,)
    assert probe.accuracy is None
    assert "test accuracy not measured" in repr(probe)


# --- misuse -------------------------------------------------------------------------------


def test_samples_of_one_class_are_refused():
    with pytest.raises(SettingsError, match="two classes, got 5 samples of 1"):
        linear_probe((torch.randn(5, 2), torch.zeros(5, dtype=torch.int64)))
    with pytest.raises(SettingsError, match="two classes, got 0 samples of 0"):
        linear_probe((torch.randn(0, 2), torch.zeros(0, dtype=torch.int64)))


@pytest.mark.parametrize("alphas", [(), (0.0,), (1.0, -1.0), (np.nan,), (np.inf,)])
def test_alphas_must_be_positive(alphas):
    with pytest.raises(SettingsError, match="alphas must be positive numbers"):
        linear_probe(TRAIN, alphas=alphas)


def test_labels_are_needed_and_rows_must_be_finite():
    with pytest.raises(SettingsError, match="train needs labels"):
        linear_probe(TRAIN.embeddings)
    bad = TRAIN.embeddings.clone()
    bad[7, 3] = torch.nan
    with pytest.raises(DataError, match=r"train must be finite, .* in row 7"):
        linear_probe((bad, TRAIN.labels))


def test_other_numbers_of_features_are_refused():
    with pytest.raises(ShapeError, match="same number of features, got 20 and 3"):
        linear_probe(TRAIN, torch.ones(5, 3))


def test_fewer_classes_than_labels_are_refused():
    with pytest.raises(SettingsError, match=r"n_classes must be at least 4.* got 3"):
        linear_probe(TRAIN, n_classes=3)
