"""fit_head, against a training with the backbone in every epoch, and when misused."""

import copy

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from coursekit.datasets import load_digits, make_loader
from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.features import Embeddings, embed, fit_head
from coursekit.models import put_head
from coursekit.training import Trainer, TrainSettings


def build_net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


@pytest.fixture(scope="module")
def net():
    return build_net().eval()


@pytest.fixture(scope="module")
def digits():
    return load_digits("train").subset(range(600)), load_digits("test").subset(range(300))


@pytest.fixture(scope="module")
def parts(net, digits):
    return tuple(embed(net, part, progress_bar=False, device="cpu") for part in digits)


def blobs(n=60, shift=0.0, scale=1.0, seed=0):
    """Two classes that a line separates."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    rows = torch.randn(n, 4, generator=generator) + 4.0 * labels[:, None]
    return Embeddings(embeddings=rows * scale + shift, labels=labels)


# --- truths ---------------------------------------------------------------------------


def test_a_head_is_as_good_as_one_trained_with_the_backbone_in_every_epoch(
    net, digits, parts
):
    train, test = parts
    cached = [fit_head(train, n_epochs=20, seed=seed).accuracy(test) for seed in range(3)]
    slow = [every_epoch(net, digits, seed) for seed in range(3)]
    assert np.mean(cached) >= np.mean(slow) - 0.005


def every_epoch(net, digits, seed):
    """As tutorials do it: freeze, replace the head, and run the backbone every time."""
    model = copy.deepcopy(net)
    for parameter in model.parameters():
        parameter.requires_grad = False
    torch.manual_seed(seed)
    model[5] = nn.Linear(256, 10)
    optimizer = torch.optim.AdamW(model[5].parameters(), lr=1e-2)
    trainer = Trainer(
        model, optimizer=optimizer, settings=TrainSettings(progress_bar=False), device="cpu"
    )
    loader = make_loader(digits[0], batch_size=64, shuffle=True, seed=seed)
    trainer.fit(loader, n_epochs=20)
    return trainer.evaluate(make_loader(digits[1], batch_size=64))["accuracy"]


def test_a_linear_head_is_near_the_best_that_there_is(parts):
    train, test = parts
    rows, deviation = train.embeddings, train.embeddings.std(0).clamp_min(1e-6)
    scaled = ((part.embeddings - rows.mean(0)) / deviation for part in parts)
    x, x_test = (part.numpy() for part in scaled)
    best = LogisticRegression(C=0.1, max_iter=1000).fit(x, train.labels)
    assert fit_head(train, seed=0).accuracy(test) >= best.score(x_test, test.labels) - 0.03


def test_a_head_stands_where_that_of_the_model_stood(net, digits, parts):
    fit = fit_head(parts[0], n_epochs=3, seed=0)
    model = put_head(net, fit.head)
    images, _ = digits[1].to_tensors()
    with torch.no_grad():
        torch.testing.assert_close(
            model.eval()(images), fit.predict(parts[1]), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("hidden", [(), (8,), (8, 6)])
def test_the_history_is_that_of_the_head_that_is_returned(hidden):
    train, held_out = blobs(shift=50.0, scale=7.0), blobs(shift=50.0, scale=7.0, seed=1)
    fit = fit_head(train, hidden=hidden, validation=held_out, n_epochs=15, seed=0)
    assert len(fit.history) == 15
    last = fit.history.epochs[-1]
    assert last["val_accuracy"] == pytest.approx(fit.accuracy(held_out))
    loss = nn.functional.cross_entropy(fit.predict(held_out), held_out.labels).item()
    assert last["val_loss"] == pytest.approx(loss, rel=1e-3, abs=1e-5)
    assert [
        layer.out_features for layer in fit.head.modules() if isinstance(layer, nn.Linear)
    ] == [
        *hidden,
        2,
    ]


# --- laws -----------------------------------------------------------------------------


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (1000.0, 1.0), (-3.0, 1e-4)])
def test_shift_and_scale_of_the_features_do_not_matter(shift, scale):
    plain = fit_head(blobs(), n_epochs=10, seed=0)
    moved = fit_head(blobs(shift=shift, scale=scale), n_epochs=10, seed=0)
    assert moved.accuracy(blobs(shift=shift, scale=scale, seed=1)) > 0.97
    assert moved.history.column("loss") == pytest.approx(
        plain.history.column("loss"), rel=0.02
    )


def test_the_seed_decides_everything_and_leaves_no_trace():
    state = torch.get_rng_state()
    first, again, other = (
        fit_head(blobs(), hidden=(5,), dropout=0.3, n_epochs=3, seed=seed)
        for seed in (0, 0, 1)
    )
    rows = blobs(seed=3)
    assert torch.equal(first.predict(rows), again.predict(rows))
    assert not torch.equal(first.predict(rows), other.predict(rows))
    assert torch.equal(torch.get_rng_state(), state)


def test_embeddings_in_a_file_are_as_good(tmp_path):
    train = blobs()
    train.save(tmp_path / "rows")
    mapped = Embeddings.load(tmp_path / "rows")
    assert torch.equal(
        fit_head(mapped, n_epochs=2, seed=0).predict(train),
        fit_head(train, n_epochs=2, seed=0).predict(train),
    )
    assert torch.equal(mapped.embeddings, train.embeddings)


def test_features_that_never_change_count_for_nothing():
    train = blobs()
    rows = torch.cat([train.embeddings, torch.full((60, 2), 3e5)], dim=1)
    fit = fit_head(Embeddings(embeddings=rows, labels=train.labels), n_epochs=10, seed=0)
    assert fit.accuracy(Embeddings(embeddings=rows, labels=train.labels)) > 0.97


def test_classes_that_are_not_there_yet_have_a_logit():
    fit = fit_head(blobs(), 5, n_epochs=2, seed=0)
    assert fit.predict(blobs()).shape == (60, 5)
    assert fit.predict(torch.ones(3, 4)).shape == (3, 5)


def test_the_head_comes_in_evaluation_mode_and_may_be_trained_on():
    head = fit_head(blobs(), hidden=(5,), dropout=0.5, n_epochs=2, seed=0).head
    assert not any(layer.training for layer in head.modules())
    head(torch.ones(2, 4)).sum().backward()


def test_the_bar_is_shown_when_asked_for(capsys):
    fit_head(blobs(), n_epochs=2, seed=0)
    assert not capsys.readouterr().err
    fit_head(blobs(), n_epochs=2, seed=0, progress_bar=True)
    assert "epoch 2/2" in capsys.readouterr().err


# --- misuse ---------------------------------------------------------------------------


def with_rows(rows):
    return Embeddings(embeddings=rows, labels=torch.arange(len(rows)) % 2)


def test_embeddings_that_are_all_equal_are_told():
    for rows in (torch.zeros(6, 3), torch.full((6, 3), 0.1)):
        with pytest.raises(DataError, match="All 6 training embeddings are equal"):
            fit_head(with_rows(rows), seed=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_embeddings_that_are_not_finite_are_named(value):
    rows = torch.rand(6, 3)
    rows[4, 1] = value
    with pytest.raises(DataError, match="training embedding 4 is NaN or infinite"):
        fit_head(with_rows(rows), seed=0)


def test_what_cannot_be_learned_from_is_told():
    bare = Embeddings(embeddings=torch.rand(4, 2))
    with pytest.raises(DataError, match="the train embeddings have none"):
        fit_head(bare, seed=0)
    with pytest.raises(DataError, match="the validation embeddings have none"):
        fit_head(blobs(), validation=bare, seed=0)
    with pytest.raises(DataError, match="hold no sample"):
        fit_head(blobs().subset([]), seed=0)
    with pytest.raises(DataError, match="An accuracy needs samples with labels"):
        fit_head(blobs(), n_epochs=1, seed=0).accuracy(bare)


def test_parts_that_do_not_fit_are_told():
    with pytest.raises(ShapeError, match="have 4 features, validation embeddings 3"):
        fit_head(blobs(), validation=with_rows(torch.rand(4, 3)), seed=0)
    high = Embeddings(embeddings=torch.rand(2, 4), labels=[0, 7])
    with pytest.raises(DataError, match="has 2 classes, but a validation label is 7"):
        fit_head(blobs(), validation=high, seed=0)
    with pytest.raises(ShapeError, match=r"\(n_samples, 4\), got \(2, 3\)"):
        fit_head(blobs(), n_epochs=1, seed=0).predict(torch.rand(2, 3))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_classes": 1}, "more than the largest label, 1, got 1"),
        ({"hidden": (0,)}, "hidden and batch_size must be at least 1"),
        ({"batch_size": 0}, "hidden and batch_size must be at least 1"),
        ({"dropout": 1.0}, "dropout from 0 to below 1"),
        ({"lr": 0.0}, "lr above 0"),
        ({"n_epochs": 0}, "n_epochs must be at least 1"),
    ],
)
def test_a_wrong_setting_is_told(options, words):
    with pytest.raises(SettingsError, match=words):
        fit_head(blobs(), seed=0, **options)
