"""freeze, unfreeze, groups of rates and gradual unfreezing: what trains, and only that."""

import copy

import pytest
import timm
import torch
from timm.optim import param_groups_layer_decay
from torch import nn

from coursekit.datasets import make_loader
from coursekit.errors import SettingsError, TrainingError
from coursekit.models import build_residual, find_head, layer_groups, replace_head
from coursekit.training import (
    Callback,
    Checkpoint,
    GradualUnfreezing,
    Trainer,
    TrainSettings,
    freeze,
    parameter_groups,
    report_parameters,
    unfreeze,
)

QUIET = TrainSettings(progress_bar=False)


@pytest.fixture
def model():
    """Four groups: conv1, layer1.0, layer2.0 and layer3.0, and the head."""
    return build_residual(8, n_classes=3, seed=0, width=4)


@pytest.fixture
def loader():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(24, 3, 8, 8, generator=generator)
    labels = torch.arange(24) % 3
    return make_loader((images, labels), batch_size=8, seed=0, shuffle=True)


def train(model, loader, *, settings=QUIET, n_epochs=2, callbacks=(), checkpoint=None):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
    trainer = Trainer(
        model,
        optimizer=optimizer,
        settings=settings,
        callbacks=callbacks,
        checkpoint=checkpoint,
        device="cpu",
    )
    trainer.fit(loader, n_epochs=n_epochs)
    return trainer


def changed(before, model):
    """The names of all parameters and buffers that are not bit for bit what they were."""
    after = model.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


class TestFrozenMeansFrozen:
    def test_all_but_the_head_is_bit_equal_after_training(self, model, loader):
        freeze(model)
        before = copy.deepcopy(model.state_dict())
        train(model, loader)
        assert changed(before, model) == {"linear.weight", "linear.bias"}

    def test_so_are_the_averages_of_a_frozen_block_in_the_middle(self, model, loader):
        freeze(model, "layer2")
        before = copy.deepcopy(model.state_dict())
        train(model, loader)
        moved = changed(before, model)
        assert not [name for name in moved if name.startswith("layer2")]
        assert "layer1.0.bn1.running_mean" in moved
        assert "layer3.0.bn1.running_mean" in moved

    def test_on_request_the_averages_move_and_only_they(self, model, loader):
        freeze(model)
        before = copy.deepcopy(model.state_dict())
        settings = TrainSettings(progress_bar=False, frozen_batch_norm="train")
        train(model, loader, settings=settings)
        moved = changed(before, model) - {"linear.weight", "linear.bias"}
        assert moved
        assert all("running" in name or "num_batches" in name for name in moved)

    def test_validation_between_epochs_does_not_wake_frozen_averages(self, model, loader):
        freeze(model)
        before = copy.deepcopy(model.state_dict())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        trainer = Trainer(model, optimizer=optimizer, settings=QUIET, device="cpu")
        trainer.fit(loader, validation=loader, n_epochs=3)
        assert changed(before, model) == {"linear.weight", "linear.bias"}

    def test_batch_norm_without_weights_belongs_to_the_layer_around_it(self, loader):
        body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False), nn.ReLU())
        model = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
        freeze(model)
        before = copy.deepcopy(model.state_dict())
        train(model, loader)
        assert changed(before, model) == {"3.weight", "3.bias"}

    def test_the_mode_of_every_layer_is_what_it_was(self, model, loader):
        freeze(model)
        model.eval()
        train(model, loader)
        assert not any(module.training for module in model.modules())


class TestChoosing:
    def test_names_reach_layers_parameters_and_patterns(self, model):
        assert not any(
            name.startswith("layer1") for name in freeze(model, "layer1").trainable
        )
        assert "linear.bias" not in freeze(model, ["linear.bias"]).trainable
        assert all("bn" not in name for name in freeze(model, "*bn?").trainable)

    def test_a_name_is_not_the_beginning_of_another(self):
        model = nn.Sequential(*[nn.Linear(2, 2) for _ in range(11)])
        assert set(freeze(model, "1").trainable) == {
            f"{i}.{kind}" for i in range(11) if i != 1 for kind in ("weight", "bias")
        }

    def test_depth_counts_from_the_input_and_back_from_the_head(self, model):
        groups = layer_groups(model)
        frozen = freeze(model, depth=2)
        assert set(frozen.trainable) == {n for g in groups[2:] for n in g.parameters}
        freeze(model, "*")
        awake = unfreeze(model, depth=2)
        assert set(awake.trainable) == {n for g in groups[-2:] for n in g.parameters}
        assert freeze(model, depth=len(groups)).n_trainable == 0
        assert unfreeze(model).n_trainable == unfreeze(model).n_parameters

    def test_all_layers_of_a_new_head_train(self, model):
        model = replace_head(model, 5, seed=0)
        assert set(freeze(model).trainable) == {"linear.weight", "linear.bias"}

    def test_close_names_are_listed(self, model):
        with pytest.raises(SettingsError, match=r"'layr3'.*Close names: 'layer3'"):
            freeze(model, "layr3")

    def test_without_any_close_name_the_parts_are_listed(self, model):
        with pytest.raises(SettingsError, match=r"'xyz'.*'conv1'.*'linear'"):
            unfreeze(model, ["layer1", "xyz"])

    def test_a_wrong_name_changes_nothing(self, model):
        with pytest.raises(SettingsError):
            freeze(model, ["layer1", "xyz"])
        assert report_parameters(model).n_trainable == report_parameters(model).n_parameters

    def test_a_layer_without_parameters_is_told(self, model):
        model.act = nn.ReLU()
        with pytest.raises(SettingsError, match="no parameters in 'act'"):
            freeze(model, "act")

    @pytest.mark.parametrize("depth", [-1, 9])
    def test_depth_out_of_range_lists_the_groups(self, model, depth):
        with pytest.raises(SettingsError, match=rf"5 groups.*depth={depth}.*linear"):
            freeze(model, depth=depth)

    def test_names_and_depth_together_are_refused(self, model):
        with pytest.raises(SettingsError, match="by names or by depth"):
            freeze(model, "layer1", depth=1)

    def test_a_model_without_a_head_says_so(self):
        with pytest.raises(SettingsError, match="none that can be found"):
            freeze(nn.Sequential(nn.Conv2d(3, 4, 3)))


class TestReport:
    def test_counts_are_those_of_the_model(self, model):
        report = freeze(model)
        assert report.n_parameters == sum(p.numel() for p in model.parameters())
        assert report.n_trainable == sum(p.numel() for p in model.linear.parameters())
        frame = report.to_frame()
        assert frame["n_parameters"].sum() == report.n_parameters
        assert frame.loc[frame["trains"], "name"].tolist() == list(report.trainable)
        assert report.by_group()["n_trainable"].sum() == report.n_trainable

    def test_it_is_shown_from_input_to_head(self, model):
        model.linear.bias.requires_grad_(False)
        shown = str(report_parameters(model)).splitlines()
        assert shown[1].split()[::2] == ["conv1", "yes"]
        assert shown[-2].split() == ["linear", "51", "48"]
        assert shown[-1].split()[0] == "all"
        html = freeze(model)._repr_html_()
        assert html.count("<tr>") == 2 + len(layer_groups(model))
        assert html.count("no") >= 4

    def test_names_are_escaped(self):
        class Odd(nn.Sequential):
            pass

        odd = Odd()
        odd.add_module("<b>", nn.Linear(2, 2))
        assert "<b>" not in report_parameters(odd)._repr_html_()


class TestRatesByDepth:
    def test_each_group_has_a_share_of_the_one_behind_it(self, model):
        groups = parameter_groups(model, lr=0.1, decay=0.5)
        rates = [group["lr"] for group in groups]
        assert rates == pytest.approx([0.1 * 0.5**power for power in (4, 3, 2, 1, 0)])
        assert groups[-1]["name"] == find_head(model)

    def test_every_parameter_is_in_one_group_frozen_ones_too(self, model):
        freeze(model)
        held = [id(p) for g in parameter_groups(model, lr=0.1) for p in g["params"]]
        assert sorted(held) == sorted(id(p) for p in model.parameters())

    @pytest.mark.parametrize(
        "name", ["resnet18", "deit_tiny_patch16_224", "efficientnet_lite0"]
    )
    def test_rates_are_those_of_timm(self, name):
        with torch.device("meta"):
            model = timm.create_model(name, num_classes=4)
        ours = parameter_groups(model, lr=1.0, decay=0.6)
        ours = {id(p): group["lr"] for group in ours for p in group["params"]}
        theirs = param_groups_layer_decay(model, layer_decay=0.6)
        theirs = {id(p): g["lr_scale"] for g in theirs for p in g["params"]}
        assert ours == pytest.approx(theirs)

    def test_an_optimizer_takes_them(self, model, loader):
        optimizer = torch.optim.SGD(parameter_groups(model, lr=0.1))
        trainer = Trainer(model, optimizer=optimizer, settings=QUIET, device="cpu")
        assert len(trainer.fit(loader, n_epochs=1)) == 1

    @pytest.mark.parametrize(
        ("settings", "words"),
        [({"lr": 0.0}, "lr must be positive"), ({"lr": 1.0, "decay": 1.5}, "at most 1")],
    )
    def test_numbers_out_of_range_are_refused(self, model, settings, words):
        with pytest.raises(SettingsError, match=words):
            parameter_groups(model, **settings)


class Watcher(Callback):
    """Notes after each epoch which parameters changed in it."""

    def __init__(self):
        self.changed = []

    def on_epoch_begin(self, trainer, **kwargs):
        self.before = copy.deepcopy(trainer.model.state_dict())

    def on_epoch_end(self, trainer, **kwargs):
        moved = changed(self.before, trainer.model)
        self.changed.append({name.split(".")[0] for name in moved})


class TestGradualUnfreezing:
    plan = {1: 1, 2: 2, 4: "*"}  # noqa: RUF012

    def test_each_epoch_changes_what_the_plan_says_and_nothing_else(self, model, loader):
        watcher = Watcher()
        train(model, loader, n_epochs=4, callbacks=[watcher, GradualUnfreezing(self.plan)])
        everything = {"conv1", "bn1", "layer1", "layer2", "layer3", "linear"}
        assert watcher.changed == [
            {"linear"},
            {"layer3", "linear"},
            {"layer3", "linear"},
            everything,
        ]

    @pytest.mark.parametrize("every_n_steps", [None, 2])
    def test_a_resumed_training_is_the_uninterrupted_one(
        self, model, loader, tmp_path, every_n_steps
    ):
        class Stop(Callback):
            def on_step_end(self, trainer, **kwargs):
                if kwargs["step"] == 5:  # in epoch 2 of 3 steps
                    raise KeyboardInterrupt

        twin = copy.deepcopy(model)
        train(twin, loader, n_epochs=4, callbacks=[GradualUnfreezing(self.plan)])

        folder = Checkpoint(tmp_path, every_n_steps=every_n_steps)
        train(
            copy.deepcopy(model),
            loader,
            n_epochs=4,
            callbacks=[GradualUnfreezing(self.plan), Stop()],
            checkpoint=folder,
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
        trainer = Trainer(
            model,
            optimizer=optimizer,
            settings=QUIET,
            callbacks=[GradualUnfreezing(self.plan)],
            checkpoint=folder,
            device="cpu",
        )
        trainer.fit(loader, n_epochs=4, resume=True)
        assert not changed(twin.state_dict(), model)

    def test_the_optimizer_must_hold_what_will_be_unfrozen(self, model, loader):
        freeze(model)
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
        trainer = Trainer(
            model,
            optimizer=optimizer,
            settings=QUIET,
            callbacks=[GradualUnfreezing(self.plan)],
            device="cpu",
        )
        with pytest.raises(TrainingError, match=r"'conv1.weight' and \d+ more.*all param"):
            trainer.fit(loader, n_epochs=1)

    @pytest.mark.parametrize("plan", [{}, {2: 1}, {"1": 1}, {0: 1, 1: 2}])
    def test_a_plan_begins_with_epoch_1(self, plan):
        with pytest.raises(SettingsError, match="beginning with epoch 1"):
            GradualUnfreezing(plan)

    def test_a_wrong_name_is_told_before_the_first_step(self, model, loader):
        with pytest.raises(SettingsError, match="Close names: 'layer3'"):
            train(model, loader, callbacks=[GradualUnfreezing({1: 1, 9: "laier3"})])
