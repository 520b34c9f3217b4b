"""compare_augmentations: paired, seeded, test images untouched; its record and its errors."""

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.transforms import v2

from coursekit.datasets import ImageSet
from coursekit.errors import CourseError, DataError, SettingsError
from coursekit.recipes import (
    AugmentationComparison,
    AugmentationRun,
    AugmentationSettings,
    compare_augmentations,
)
from coursekit.recipes import augmentations as module
from coursekit.seeds import seeded
from coursekit.training import History
from coursekit.transforms import PerImage

QUICK = AugmentationSettings(n_epochs=2, batch_size=8)
QUIET = {"progress_bar": False, "settings": QUICK}


def make_images(n_images, *, seed=0, names=("dark", "bright"), channels=3):
    rng = np.random.default_rng(seed)
    labels = np.arange(n_images) % 2
    pixels = (
        rng.integers(0, 120, (n_images, 8, 8, channels)) + 100 * labels[:, None, None, None]
    )
    return ImageSet(images=pixels.astype(np.uint8), labels=labels, class_names=names)


class Spy(nn.Module):
    """A tiny classifier that keeps what it is shown."""

    def __init__(self, log):
        super().__init__()
        self.linear, self.log = nn.Linear(192, 2), log

    def forward(self, x):
        self.log.append((self.training, x.detach().clone()))
        return self.linear(x.flatten(1))


def spied(train, test, augmentations, **options):
    logs, weights = [], []

    def build(seed):
        logs.append([])
        with seeded(seed, "spy"):
            model = Spy(logs[-1])
        weights.append(model.linear.weight.detach().clone())
        return model

    done = compare_augmentations(train, test, augmentations, build=build, **QUIET | options)
    return done, logs, weights


def seen(log, *, training):
    return torch.cat([images for mode, images in log if mode == training])


def test_augmentations_of_a_seed_share_weights_subset_and_order_and_seeds_do_not():
    train, test = make_images(40), make_images(10, seed=1)
    both = {"none": None, "same": v2.Identity(), "negative": v2.RandomInvert(1.0)}
    done, logs, weights = spied(train, test, both, n_labels=16, seeds=(3, 8))
    assert done.n_images == 16
    inputs = [seen(log, training=True) for log in logs]
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[3])
    assert torch.equal(inputs[0], inputs[1])
    torch.testing.assert_close(inputs[2], 1 - inputs[0])
    assert not torch.equal(inputs[0], inputs[3])
    assert len(inputs[0]) == 2 * 16


def test_test_images_are_shown_as_they_are_whatever_the_augmentation():
    train, test = make_images(20), make_images(10, seed=1)
    ways = {
        "none": None,
        "turned": v2.RandomRotation(180),
        "mixed": v2.MixUp(num_classes=2),
    }
    _, logs, _ = spied(train, test, ways, seeds=[0])
    for log in logs:
        assert torch.equal(seen(log, training=False), test.to_tensors()[0])


def test_augmented_test_images_would_be_seen(monkeypatch):
    """The proof above fails when the bug is there."""
    train, test = make_images(20), make_images(10, seed=1)
    turned = PerImage(v2.RandomRotation(180))
    make_loader = module.make_loader

    def shared(data, **options):
        return make_loader(data, **options | {"transform": turned})

    monkeypatch.setattr(module, "make_loader", shared)
    _, logs, _ = spied(train, test, {"none": None}, seeds=[0])
    assert not torch.equal(seen(logs[0], training=False), test.to_tensors()[0])


def test_all_images_are_normalized_after_augmentation():
    train, test = make_images(16), make_images(6, seed=1)
    half = v2.Normalize([0.5] * 3, [0.5] * 3)
    ways = {"none": None, "negative": v2.RandomInvert(1.0)}
    _, logs, _ = spied(train, test, ways, seeds=[0], transform=half)
    torch.testing.assert_close(seen(logs[0], training=False), half(test.to_tensors()[0]))
    torch.testing.assert_close(seen(logs[1], training=True), -seen(logs[0], training=True))


def test_each_image_of_a_batch_is_augmented_for_itself():
    train = make_images(2)
    copies = train.subset([0] * 16 + [1] * 16)
    _, logs, _ = spied(copies, train, {"turned": v2.RandomRotation(180)}, seeds=[0])
    batch = logs[0][0][1]
    assert len(batch.flatten(1).unique(dim=0)) > 2


def test_transforms_and_mixing_go_together():
    train, test = make_images(16), make_images(6, seed=1)
    pair = (v2.RandomInvert(1.0), v2.MixUp(num_classes=2, alpha=5.0))
    _, logs, _ = spied(train, test, {"none": None, "both": pair}, seeds=[0])
    plain, both = (seen(log, training=True) for log in logs)
    assert (both.mean() - (1 - plain.mean())).abs() < 0.02
    assert not torch.allclose(both, 1 - plain)


def test_a_run_can_be_repeated():
    train, test = make_images(20), make_images(10, seed=1)
    ways = {
        "turned": [v2.RandomRotation(90), v2.ColorJitter(0.3)],
        "mixed": v2.MixUp(num_classes=2),
    }
    frames = [
        compare_augmentations(train, test, ways, seeds=[1], **QUIET).runs for _ in range(2)
    ]
    for a, b in zip(*frames, strict=True):
        assert a.accuracy == b.accuracy
        np.testing.assert_array_equal(a.history.step_losses, b.history.step_losses)


def with_dropout(seed):
    with seeded(seed):
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, 2))


def test_dropout_draws_the_same_whatever_was_drawn_before():
    train, test = make_images(20), make_images(10, seed=1)
    losses = []
    for before in (1, 2):
        with seeded(before):
            done = compare_augmentations(
                train, test, {"none": None}, seeds=[1], build=with_dropout, **QUIET
            )
        losses.append(done.runs[0].history.step_losses)
    np.testing.assert_array_equal(*losses)


def test_gray_images_have_a_default_network_too():
    train = make_images(18, channels=1)  # the last batch would hold one image alone
    settings = AugmentationSettings(n_epochs=1, batch_size=17)
    done = compare_augmentations(
        train, train, {"none": None}, seeds=[0], settings=settings, progress_bar=False
    )
    assert len(done.runs) == 1


def record():
    accuracies = {"none": (0.5, 0.6), "flips": (0.7, 0.65), "hue": (0.4, 0.45)}
    runs = [
        AugmentationRun(augmentation=n, seed=s, accuracy=a, seconds=1.0, history=History())
        for s in (0, 1)
        for n, a in zip(accuracies, [v[s] for v in accuracies.values()], strict=True)
    ]
    return accuracies, AugmentationComparison(
        runs=tuple(runs), baseline="none", n_images=300
    )


def test_the_record_pairs_by_seed():
    accuracies, done = record()
    assert done.accuracies == accuracies
    assert done.names == ("none", "flips", "hue")
    assert done.seeds == (0, 1)
    np.testing.assert_allclose(done.differences("flips"), [0.2, 0.05])
    np.testing.assert_allclose(done.differences("flips", "hue"), [0.3, 0.2])
    assert done.means["hue"] == pytest.approx(0.425)
    assert done.spreads["none"] == pytest.approx(np.std([0.5, 0.6], ddof=1))


def test_the_tables_say_the_same_as_the_record():
    accuracies, done = record()
    frame, summary = done.to_frame(), done.summary()
    assert list(frame.columns) == ["augmentation", "seed", "accuracy", "seconds"]
    assert len(frame) == 6
    row = summary.loc["flips"]
    assert row["accuracy"] == pytest.approx(np.mean(accuracies["flips"]))
    assert (row["smallest"], row["largest"]) == pytest.approx((0.05, 0.2))
    assert row["difference"] == pytest.approx(0.125)
    assert "+12.5 points" in done._repr_html_()
    assert "300 images, 2 seeds: none 55.0%" in repr(done)


def test_what_was_not_compared_is_told():
    with pytest.raises(
        SettingsError, match="'blur' was not compared, only 'none', 'flips'"
    ):
        record()[1].differences("blur")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"augmentations": {}}, SettingsError, "None stands for no augmentation"),
        ({"seeds": []}, SettingsError, "seeds must be different"),
        ({"seeds": [1, 1]}, SettingsError, r"got \[1, 1\]"),
        ({"baseline": "x"}, SettingsError, "among 'none', got 'x'"),
        ({"test": make_images(6, names=("a", "b"))}, DataError, "dark, bright and a, b"),
        ({"n_labels": 1}, CourseError, "2 classes"),
        ({"augmentations": {"none": 3}}, SettingsError, "got int"),
    ],
)
def test_wrong_arguments_are_refused(change, error, words):
    given = {
        "train": make_images(20),
        "test": make_images(6),
        "augmentations": {"none": None},
    }
    with pytest.raises(error, match=words):
        compare_augmentations(**given | QUIET | change)


def test_images_of_mixed_sizes_are_refused_with_the_remedy():
    sizes = [(8, 8), (8, 9), (9, 8), (8, 8)]
    lazy = ImageSet(
        images=[np.zeros((*size, 3), np.uint8) for size in sizes],
        labels=[0, 1, 0, 1],
        class_names=("dark", "bright"),
    )
    with pytest.raises(CourseError, match="a transform that resizes"):
        compare_augmentations(lazy, lazy, {"flip": v2.RandomHorizontalFlip()}, **QUIET)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_epochs": 0}, "n_epochs must be positive, got 0"),
        ({"lr": -1.0}, "lr must be positive"),
        ({"weight_decay": -0.1}, "weight_decay must not be negative"),
    ],
)
def test_settings_out_of_range_are_refused(settings, words):
    with pytest.raises(SettingsError, match=words):
        AugmentationSettings(**settings)
