"""compare_strategies: the same images for all, a frozen backbone, and clear errors."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from coursekit.datasets import ImageSet, make_loader
from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.features import embed
from coursekit.models import build_residual, find_head, put_head, replace_head
from coursekit.recipes import STRATEGIES, TransferSettings, compare_strategies
from coursekit.recipes import strategy_runs as module
from coursekit.seeds import seeded
from coursekit.training import Trainer, TrainSettings, freeze

QUICK = TransferSettings(n_epochs=2, batch_size=8, n_views=2, n_head_epochs=2)
QUIET = {"progress_bar": False, "settings": QUICK, "device": "cpu"}
NAMES = ("red", "green", "blue")


def make_images(n_images, *, seed=0, size=8, names=NAMES):
    rng = np.random.default_rng(seed)
    labels = np.arange(n_images) % len(names)
    pixels = rng.integers(0, 100, (n_images, size, size, 3))
    pixels[np.arange(n_images), ..., labels % 3] += 80
    return ImageSet(images=pixels.astype(np.uint8), labels=labels, class_names=names)


@pytest.fixture(scope="module")
def backbone():
    return build_residual(8, n_classes=4, seed=0, width=4).eval()


@pytest.fixture(scope="module")
def done(backbone):
    train, test = make_images(60), make_images(30, seed=1)
    return compare_strategies(backbone, train, test, n_labels=24, seeds=(3, 5), **QUIET)


class TestRecord:
    def test_there_is_one_run_for_each_strategy_and_seed(self, done):
        pairs = [(run.seed, run.strategy) for run in done.runs]
        assert pairs == [(seed, name) for seed in (3, 5) for name in STRATEGIES]
        assert done.n_images == 24

    def test_what_trained_is_counted(self, done, backbone):
        n_body = sum(p.numel() for p in backbone.parameters()) - (16 * 4 + 4)
        counts = {run.strategy: run.n_trained for run in done.runs}
        n_head = 16 * 3 + 3
        assert counts == {
            "scratch": n_body + n_head,
            "head": n_head,
            "fine-tune": n_body + n_head,
        }

    def test_accuracies_are_those_of_the_logits(self, done):
        for run in done.runs:
            right = run.logits.argmax(1).numpy() == done.labels
            assert run.accuracy == pytest.approx(right.mean())

    def test_steps_pair_the_seeds(self, done):
        by_hand = [
            done.run("head", seed).accuracy - done.run("scratch", seed).accuracy
            for seed in (3, 5)
        ]
        assert done.steps("scratch", "head").tolist() == pytest.approx(by_hand)

    def test_tables_say_the_same(self, done):
        frame, summary = done.to_frame(), done.summary()
        assert len(frame) == 6
        for name in STRATEGIES:
            values = frame.loc[frame["strategy"] == name, "accuracy"]
            assert summary.loc[name, "accuracy"] == pytest.approx(values.mean())
            assert summary.loc[name, "spread"] == pytest.approx(values.std())
            assert done.means[name] == pytest.approx(values.mean())
            assert done.spreads[name] == pytest.approx(values.std())
        assert all(name in done._repr_html_() for name in STRATEGIES)
        assert repr(done).startswith("StrategyComparison(24 images, 2 seeds: scratch ")

    def test_fine_tuning_costs_what_its_head_costs_too(self, done):
        for seed in done.seeds:
            assert done.run("fine-tune", seed).seconds > done.run("head", seed).seconds

    def test_a_run_that_is_not_there_is_told(self, done):
        with pytest.raises(SettingsError, match=r"'probe' with seed 3: strategies scratch"):
            done.run("probe")


class TestRuns:
    def test_the_same_seeds_give_the_same_numbers(self, done, backbone):
        train, test = make_images(60), make_images(30, seed=1)
        again = compare_strategies(
            backbone, train, test, n_labels=24, seeds=(5, 3), **QUIET
        )
        for run in done.runs:
            other = again.run(run.strategy, run.seed)
            assert torch.equal(run.logits, other.logits), run

    def test_the_backbone_is_bit_for_bit_what_it_was(self, backbone):
        before = copy.deepcopy(backbone.state_dict())
        train, test = make_images(24), make_images(12, seed=1)
        compare_strategies(backbone, train, test, seeds=(0,), **QUIET)
        for name, value in backbone.state_dict().items():
            assert torch.equal(value, before[name]), name
        assert not any(module.training for module in backbone.modules())
        assert all(p.requires_grad for p in backbone.parameters())

    def test_a_frozen_backbone_is_fine_tuned_all_the_same(self, backbone):
        frozen = copy.deepcopy(backbone)
        freeze(frozen, "*")
        train, test = make_images(24), make_images(12, seed=1)
        settings = {"seeds": (0,), "strategies": ("fine-tune",)}
        one, other = (
            compare_strategies(m, train, test, **settings, **QUIET).runs[0].logits
            for m in (backbone, frozen)
        )
        assert torch.equal(one, other)

    def test_fine_tuning_begins_with_the_fitted_head(self, backbone, monkeypatch):
        heads, starts = [], []
        fit, put = module.fit_head, module.put_head

        def spy_fit(*args, **kwargs):
            heads.append(fit(*args, **kwargs))
            return heads[-1]

        def spy_put(model, head, **kwargs):
            starts.append(head)
            return put(model, head, **kwargs)

        monkeypatch.setattr(module, "fit_head", spy_fit)
        monkeypatch.setattr(module, "put_head", spy_put)
        train, test = make_images(24), make_images(12, seed=1)
        compare_strategies(backbone, train, test, seeds=(0,), **QUIET)
        assert len(heads) == 1
        assert [head is heads[0].head for head in starts] == [True, True]

    def test_batch_norm_can_be_left_as_it_was(self, backbone, monkeypatch):
        models = []
        train_it = module.Trainer.fit

        def spy(trainer, *args, **kwargs):
            models.append(trainer.model)
            return train_it(trainer, *args, **kwargs)

        train, test = make_images(24), make_images(12, seed=1)
        settings = TransferSettings(n_epochs=2, batch_size=8, tune_batch_norm=False)
        monkeypatch.setattr(module.Trainer, "fit", spy)
        done = compare_strategies(
            backbone,
            train,
            test,
            seeds=(0,),
            strategies=("fine-tune",),
            **QUIET | {"settings": settings},
        )
        tuned, old = models[-1].state_dict(), backbone.state_dict()
        same = {
            name
            for name in old
            if "linear" not in name and torch.equal(tuned[name], old[name])
        }
        assert (
            same == {name for name in old if "bn" in name or ".skip.1" in name} & old.keys()
        )
        assert done.runs[0].n_trained < sum(p.numel() for p in models[-1].parameters())

    def test_augmentation_meets_training_images_only(self, backbone):
        shown = []

        def darker(batch):
            shown.append(len(batch))
            return batch * 0.5

        train, test = make_images(24), make_images(13, seed=1)
        compare_strategies(
            backbone, train, test, seeds=(0,), train_transform=darker, **QUIET
        )
        assert 13 not in shown
        assert sum(shown) == 24 * (2 + QUICK.n_views + 2)  # scratch, views, fine-tuning

    def test_one_view_is_the_images_as_they_are(self, backbone):
        train, test = make_images(24), make_images(12, seed=1)
        settings = {"seeds": (0,), "strategies": ("head",)}
        one_view = TransferSettings(batch_size=8, n_head_epochs=2)
        plain, augmented = (
            compare_strategies(
                backbone,
                train,
                test,
                train_transform=transform,
                **settings,
                **QUIET | {"settings": one_view},
            )
            for transform in (None, torch.zeros_like)
        )
        assert torch.equal(plain.runs[0].logits, augmented.runs[0].logits)

    def test_images_are_embedded_once_for_each_view(self, backbone):
        shown = []
        train, test = make_images(24), make_images(12, seed=1)
        compare_strategies(
            backbone,
            train,
            test,
            seeds=(0,),
            strategies=("head",),
            transform=lambda batch: shown.append(len(batch)) or batch,
            **QUIET,
        )
        assert sum(shown) == QUICK.n_views * 24 + 12

    def test_curves_are_there_on_request(self, backbone):
        train, test = make_images(24), make_images(12, seed=1)
        settings = {"seeds": (0,), "strategies": ("fine-tune",)}
        plain = compare_strategies(backbone, train, test, **settings, **QUIET)
        watched = compare_strategies(
            backbone, train, test, validate=True, **settings, **QUIET
        )
        assert len(watched.runs[0].history.column("val_accuracy")) == 2
        assert torch.equal(plain.runs[0].logits, watched.runs[0].logits)

    def test_a_last_batch_of_one_image_does_not_stop_training(self, backbone):
        train, test = make_images(25), make_images(12, seed=1)
        done = compare_strategies(backbone, train, test, seeds=(0,), **QUIET)
        assert len(done.runs) == 3

    def test_one_image_a_class_is_enough_to_try(self, backbone):
        train, test = make_images(3), make_images(12, seed=1)
        done = compare_strategies(backbone, train, test, seeds=(0,), **QUIET)
        assert done.n_images == 3


class TestCachedFeatures:
    """A head trained on stored embeddings is the one trained on a frozen backbone."""

    def test_training_on_embeddings_equals_the_slow_way(self, backbone):
        images, test = make_images(64), make_images(90, seed=1)
        model = replace_head(backbone, 3, seed=0)
        head = copy.deepcopy(model.get_submodule(find_head(model)))
        freeze(model)
        embeddings = embed(backbone, images, progress_bar=False, device="cpu")
        assert head is not model.get_submodule(find_head(model))
        slow = self.train(model, images)
        fast = self.train(head, (embeddings.embeddings, embeddings.labels))
        loader = make_loader(test, batch_size=90)
        slow_logits = slow.predict(loader)
        with torch.no_grad():
            fast_logits = put_head(backbone, fast.model)(next(iter(loader))[0])
        labels = torch.from_numpy(test.labels)
        accuracies = [
            (x.argmax(1) == labels).double().mean() for x in (slow_logits, fast_logits)
        ]
        assert abs(accuracies[0] - accuracies[1]) <= 0.005
        torch.testing.assert_close(fast_logits, slow_logits, rtol=1e-3, atol=1e-3)

    def train(self, model, data):
        optimizer = torch.optim.SGD(
            [p for p in model.parameters() if p.requires_grad], lr=0.05
        )
        trainer = Trainer(
            model,
            optimizer=optimizer,
            settings=TrainSettings(progress_bar=False),
            device="cpu",
        )
        trainer.fit(make_loader(data, batch_size=8, seed=0, shuffle=True), n_epochs=5)
        return trainer


class TestMisuse:
    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"strategies": ("scratch", "linear")}, "'fine-tune', got"),
            ({"strategies": "scratch"}, "some of"),
            ({"strategies": ()}, "some of"),
            ({"seeds": ()}, "at least one"),
            ({"seeds": (1, 1)}, "different"),
            ({"n_labels": 61}, "the set has 60"),
        ],
    )
    def test_settings_that_make_no_sense(self, backbone, settings, words):
        train, test = make_images(60), make_images(30, seed=1)
        with pytest.raises(SettingsError, match=words):
            compare_strategies(backbone, train, test, **settings, **QUIET)

    def test_a_class_missing_in_one_part_is_named(self, backbone):
        whole = make_images(60)
        part = whole.subset([i for i in range(60) if whole.labels[i] != 1])
        with pytest.raises(DataError, match="test has none of green"):
            compare_strategies(backbone, whole, part, **QUIET)
        with pytest.raises(DataError, match="train has none of green"):
            compare_strategies(backbone, part, whole, **QUIET)

    def test_parts_with_other_classes_are_refused(self, backbone):
        other = make_images(30, names=("red", "blue", "green"))
        with pytest.raises(DataError, match="same classes in the same order"):
            compare_strategies(backbone, make_images(60), other, **QUIET)

    def test_fewer_labels_than_classes_are_refused(self, backbone):
        with pytest.raises(DataError, match="at least 3 images"):
            compare_strategies(
                backbone, make_images(60), make_images(30), n_labels=2, **QUIET
            )

    def test_images_of_mixed_sizes_are_named(self, backbone):
        class Mixed:
            shape = (24,)

            def __len__(self):
                return 24

            def __getitem__(self, index):
                return np.zeros((8 + index, 8, 3), np.uint8)

        mixed = ImageSet(images=Mixed(), labels=np.arange(24) % 3, class_names=NAMES)
        with pytest.raises(ShapeError, match="images of one size"):
            compare_strategies(backbone, mixed, make_images(30), seeds=(0,), **QUIET)

    def test_a_backbone_without_a_head_is_told(self):
        body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        with pytest.raises(SettingsError, match="none that can be found"):
            compare_strategies(body, make_images(24), make_images(12), **QUIET)

    def test_weights_that_cannot_be_drawn_anew_ask_for_build(self, backbone):
        class Own(nn.Module):
            def __init__(self):
                super().__init__()
                self.body, self.scale = copy.deepcopy(backbone), nn.Parameter(torch.ones(1))

            def forward(self, x):
                return self.body(x * self.scale)

        train, test = make_images(24), make_images(12, seed=1)
        with pytest.raises(SettingsError, match=r"'scale' of Own cannot be drawn.*build="):
            compare_strategies(Own(), train, test, seeds=(0,), **QUIET)

        def build(seed):
            with seeded(seed):
                return Own()

        done = compare_strategies(Own(), train, test, seeds=(0,), build=build, **QUIET)
        assert len(done.runs) == 3

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"n_epochs": 0}, "n_epochs must be positive"),
            ({"weight_decay": -1}, "got -1"),
            ({"fine_tune_lr": 0.0}, "fine_tune_lr"),
        ],
    )
    def test_settings_out_of_range_are_refused(self, settings, words):
        with pytest.raises(SettingsError, match=words):
            TransferSettings(**settings)


def test_dropout_draws_the_same_whatever_was_drawn_before():
    with seeded(0):
        dropping = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, 4))
    train, test = make_images(24), make_images(12, seed=1)
    logits = []
    for before in (1, 2):
        with seeded(before):
            done = compare_strategies(
                dropping, train, test, seeds=(3,), strategies=("fine-tune",), **QUIET
            )
        logits.append(done.runs[0].logits)
    torch.testing.assert_close(*logits, rtol=0, atol=0)
