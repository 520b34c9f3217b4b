"""linear_probe against scikit-learn; fit_head against a training with the backbone."""

import copy

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn

from coursekit.datasets import load_digits, make_loader
from coursekit.errors import DataError, SettingsError
from coursekit.features import Embeddings, embed, fit_head, linear_probe
from coursekit.models import put_head
from coursekit.training import Trainer, TrainSettings


def draw(n_rows, seed, *, n_features=20, n_classes=4):
    """Features of very different sizes and places, classes that overlap."""
    centers = torch.randn(n_classes, n_features, generator=torch.Generator().manual_seed(9))
    scales = 10.0 ** torch.linspace(-3, 3, n_features)
    labels = torch.arange(n_rows) % n_classes
    noise = torch.randn(n_rows, n_features, generator=torch.Generator().manual_seed(seed))
    return Embeddings(embeddings=(centers[labels] + 2 * noise + 4) * scales, labels=labels)


TRAIN, TEST = draw(60, 0), draw(300, 1)


# --- the probe ------------------------------------------------------------------------


def test_the_probe_is_the_ridge_that_predicts_most_samples_from_all_others():
    X, mean, deviation = TRAIN.embeddings.double(), *_moments(TRAIN)
    X, y = ((X - mean) / deviation).numpy(), TRAIN.labels.numpy()
    targets = np.where(y[:, None] == np.arange(4), 1.0, -1.0)
    accuracies = {}
    for alpha in np.logspace(-2, 6, 17):
        right = []
        for i in range(len(y)):  # slow and obvious: one is left out, all others are fitted
            rest = np.arange(len(y)) != i
            ridge = Ridge(alpha=alpha).fit(X[rest], targets[rest])
            right.append(ridge.predict(X[i : i + 1]).argmax() == y[i])
        accuracies[alpha] = np.mean(right)
    probe = linear_probe(TRAIN, TEST)
    assert accuracies[probe.alpha] == max(accuracies.values()) > min(accuracies.values())
    ridge = Ridge(alpha=probe.alpha).fit(X, targets)
    found = ridge.predict((TEST.embeddings.double() - mean) / deviation).argmax(axis=1)
    assert np.array_equal(probe.predictions, found)
    assert probe.accuracy == pytest.approx((found == TEST.labels.numpy()).mean())


def _moments(samples):
    rows = samples.embeddings.double()
    return rows.mean(0), rows.std(0, correction=0)


def test_with_one_sample_a_class_the_squared_error_decides():
    few = TRAIN.subset(range(4))
    assert linear_probe(few, TEST).accuracy > 0.3
    assert (
        linear_probe(few, TEST).alpha > 0.01
    )  # the first, where accuracies decide nothing


def test_the_probe_needs_labels():
    for pair in (
        (Embeddings(embeddings=torch.rand(3, 2)), TEST),
        (TRAIN, Embeddings(embeddings=TEST.embeddings)),
    ):
        with pytest.raises(SettingsError, match="with labels"):
            linear_probe(*pair)


# --- the head -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 16, 5, stride=2), nn.BatchNorm2d(16), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(256, 10)]
    return nn.Sequential(*layers).eval()


@pytest.fixture(scope="module")
def digits():
    return load_digits("train").subset(range(600)), load_digits("test").subset(range(300))


@pytest.fixture(scope="module")
def parts(net, digits):
    return tuple(embed(net, part, progress_bar=False, device="cpu") for part in digits)


def test_a_head_is_as_good_as_one_trained_with_the_backbone_in_every_epoch(
    net, digits, parts
):
    cached = [fit_head(parts[0], seed=seed).accuracy(parts[1]) for seed in range(3)]
    slow = [every_epoch(net, digits, seed) for seed in range(3)]
    assert np.mean(cached) >= np.mean(slow) - 0.005


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


def test_a_linear_head_is_near_the_best_that_there_is(parts):
    mean, deviation = _moments(parts[0])
    scaled = ((p.embeddings - mean) / deviation.clamp_min(1e-6) for p in parts)
    x, x_test = (part.numpy() for part in scaled)
    best = LogisticRegression(C=0.1, max_iter=1000).fit(x, parts[0].labels)
    found = fit_head(parts[0], seed=0).accuracy(parts[1])
    assert found >= best.score(x_test, parts[1].labels) - 0.03


def test_a_head_stands_where_that_of_the_model_stood(net, digits, parts):
    fit = fit_head(parts[0], n_epochs=3, seed=0)
    model = put_head(net, fit.head).eval()
    images, _ = digits[1].to_tensors()
    with torch.no_grad():
        torch.testing.assert_close(
            model(images), fit.head(parts[1].embeddings), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize(("shift", "scale"), [(1000.0, 1.0), (-3.0, 1e-4)])
def test_place_and_size_of_features_do_not_matter(shift, scale):
    moved = Embeddings(
        embeddings=TRAIN.embeddings[:, 9:12] * scale + shift, labels=TRAIN.labels
    )
    plain = Embeddings(embeddings=TRAIN.embeddings[:, 9:12], labels=TRAIN.labels)
    found = [fit_head(one, seed=0).accuracy(one) for one in (plain, moved)]
    assert found[0] == pytest.approx(found[1], abs=0.02)


def test_the_seed_decides():
    weights = [fit_head(TRAIN, n_epochs=2, seed=s).head.weight for s in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_constant_feature_counts_for_nothing():
    rows = torch.cat([TRAIN.embeddings, torch.full((60, 1), 5.0)], dim=1)
    fit = fit_head(Embeddings(embeddings=rows, labels=TRAIN.labels), n_epochs=5, seed=0)
    assert fit.head.weight.isfinite().all()


def test_the_head_names_usual_mistakes():
    with pytest.raises(DataError, match="with labels"):
        fit_head(Embeddings(embeddings=torch.rand(4, 2)), seed=0)
    with pytest.raises(DataError, match="are equal"):
        fit_head(Embeddings(embeddings=torch.ones(4, 2), labels=torch.arange(4)), seed=0)
