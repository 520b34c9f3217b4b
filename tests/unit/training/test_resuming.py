"""A resumed training is the uninterrupted one, bit by bit."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, Dataset

from coursekit.datasets import make_loader
from coursekit.errors import SettingsError, TrainingError
from coursekit.training import Callback, Checkpoint, EarlyStopping, Trainer, TrainSettings

QUIET = TrainSettings(progress_bar=False)


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


class KillAt(Callback):
    """Ends the training after a step, as a killed process would."""

    def __init__(self, step):
        self.step = step

    def on_step_begin(self, trainer, **kwargs):
        if kwargs["step"] == self.step:
            raise Killed


def data(n_samples=22):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(n_samples, 3, 8, 8, generator=generator)
    return images, torch.randint(0, 4, (n_samples,), generator=generator)


def noisy(images):
    return images + 0.1 * torch.randn(images.shape)


def memory_loader():
    return make_loader(data(), batch_size=4, shuffle=True, seed=1, transform=noisy)


class Drawing(Dataset):
    """Augments by the global generators, as many datasets do."""

    def __init__(self):
        self.images, self.labels = data()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        noise = torch.randn(3, 8, 8) + float(np.random.randn()) + random.random()
        return self.images[index] + 0.1 * noise, self.labels[index]


def stock_loader(**options):
    return DataLoader(Drawing(), batch_size=4, shuffle=True, **options)


def build_trainer(folder, *, callbacks=(), every_n_steps=None, settings=QUIET):
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(6 * 64, 4),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return Trainer(
        model,
        optimizer=optimizer,
        scheduler=CosineAnnealingLR(optimizer, 30),
        checkpoint=Checkpoint(folder, every_n_steps=every_n_steps),
        callbacks=callbacks,
        settings=settings,
    )


def assert_same_training(ours, truth):
    history, expected = ours.history, truth.history
    assert history.step_losses.tolist() == expected.step_losses.tolist()
    without = [{k: v for k, v in row.items() if k != "seconds"} for row in history.epochs]
    assert without == [
        {k: v for k, v in row.items() if k != "seconds"} for row in expected.epochs
    ]
    for name, value in truth.model.state_dict().items():
        assert torch.equal(ours.model.state_dict()[name], value), name


VARIANTS = {
    "plain": {},
    "per step": {"settings": replace(QUIET, scheduler_every="step")},
    "bf16": {"settings": replace(QUIET, precision="bf16")},
    "accumulated": {"settings": replace(QUIET, n_accumulate=4, clip_norm=0.5)},
}


@pytest.mark.parametrize("make", [memory_loader, stock_loader])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("in_epoch", [False, True])
def test_resumed_is_bit_identical(tmp_path, variant, in_epoch, make):
    accumulated = variant == "accumulated"  # 2 steps an epoch instead of 6
    every_n_steps = (1 if accumulated else 2) if in_epoch else None
    options = VARIANTS[variant] | {"every_n_steps": every_n_steps}
    held_out = make_loader(data(6), batch_size=4)
    truth = build_trainer(tmp_path / "truth", **options)
    truth.fit(make(), validation=held_out, n_epochs=3)
    for step in (4, 6) if accumulated else (10, 17):
        callbacks, folder = [KillAt(step)], tmp_path / f"step{step}"
        killed = build_trainer(folder, callbacks=callbacks, **options)
        with pytest.raises(Killed):
            killed.fit(make(), validation=held_out, n_epochs=3)
        resumed = build_trainer(folder, **options)
        torch.rand(3)  # whatever happened before does not matter
        resumed.fit(make(), validation=held_out, n_epochs=3, resume=True)
        assert_same_training(resumed, truth)


@pytest.mark.parametrize("step", range(2, 13, 2))
def test_resumed_is_bit_identical_wherever_it_was_killed(tmp_path, step):
    truth = build_trainer(tmp_path / "truth", every_n_steps=1)
    truth.fit(memory_loader(), n_epochs=2)
    killed = build_trainer(tmp_path / "run", callbacks=[KillAt(step)], every_n_steps=1)
    with pytest.raises(Killed):
        killed.fit(memory_loader(), n_epochs=2)
    resumed = build_trainer(tmp_path / "run", every_n_steps=1)
    began_at = []
    resumed.tell = lambda event, **known: began_at.append(known.get("step"))
    resumed.fit(memory_loader(), n_epochs=2, resume=True)
    assert next(filter(None, began_at)) == step  # nothing was done twice
    assert_same_training(resumed, truth)


def test_workers_of_a_stock_dataloader_draw_the_same_again(tmp_path):
    truth = build_trainer(tmp_path / "truth", every_n_steps=4)
    truth.fit(stock_loader(num_workers=2), n_epochs=2)
    killed = build_trainer(tmp_path / "run", callbacks=[KillAt(11)], every_n_steps=4)
    with pytest.raises(Killed):
        killed.fit(stock_loader(num_workers=2), n_epochs=2)
    resumed = build_trainer(tmp_path / "run", every_n_steps=4)
    resumed.fit(stock_loader(num_workers=2), n_epochs=2, resume=True)
    assert_same_training(resumed, truth)


def test_a_generator_of_the_dataloaders_own_goes_on_too(tmp_path):
    def loader():
        return stock_loader(generator=torch.Generator().manual_seed(3))

    truth = build_trainer(tmp_path / "truth", every_n_steps=2)
    truth.fit(loader(), n_epochs=3)
    killed = build_trainer(tmp_path / "run", callbacks=[KillAt(9)], every_n_steps=2)
    with pytest.raises(Killed):
        killed.fit(loader(), n_epochs=3)
    resumed = build_trainer(tmp_path / "run", every_n_steps=2)
    resumed.fit(loader(), n_epochs=3, resume=True)
    assert_same_training(resumed, truth)


def test_the_scale_of_the_loss_goes_on(tmp_path):
    def build(folder, callbacks=()):
        trainer = build_trainer(folder, callbacks=callbacks, every_n_steps=2)
        trainer.engine.scaler = torch.amp.GradScaler(
            "cpu", init_scale=2.0, growth_interval=5
        )
        return trainer

    truth = build(tmp_path / "truth")
    truth.fit(memory_loader(), n_epochs=2)
    with pytest.raises(Killed):
        build(tmp_path / "run", callbacks=[KillAt(8)]).fit(memory_loader(), n_epochs=2)
    resumed = build(tmp_path / "run")
    resumed.fit(memory_loader(), n_epochs=2, resume=True)
    assert_same_training(resumed, truth)
    assert resumed.engine.scaler.state_dict() == truth.engine.scaler.state_dict()
    assert resumed.engine.scaler.get_scale() == 8.0


def test_a_loader_of_unknown_length_can_be_resumed_after_its_last_batch(tmp_path):
    class Unsized:
        def __iter__(self):
            return iter([data(4)] * 3)

    class KillInValidation(Callback):
        def on_validation_begin(self, trainer, **kwargs):
            raise Killed

    def fit(folder, callbacks=(), **options):
        trainer = build_trainer(folder, callbacks=callbacks, every_n_steps=3)
        trainer.fit(Unsized(), validation=[data(4)], n_epochs=2, **options)
        return trainer

    truth = fit(tmp_path / "truth")
    with pytest.raises(Killed):
        fit(tmp_path / "run", callbacks=[KillInValidation()])
    assert_same_training(fit(tmp_path / "run", resume=True), truth)


def test_more_epochs_are_added_to_a_finished_training(tmp_path):
    truth = build_trainer(tmp_path / "truth")
    truth.fit(memory_loader(), n_epochs=3)
    short = build_trainer(tmp_path / "run")
    short.fit(memory_loader(), n_epochs=2)
    longer = build_trainer(tmp_path / "run")
    longer.fit(memory_loader(), n_epochs=3, resume=True)
    assert_same_training(longer, truth)


def test_resuming_what_is_finished_changes_nothing(tmp_path):
    truth = build_trainer(tmp_path)
    truth.fit(memory_loader(), n_epochs=2)
    again = build_trainer(tmp_path)
    again.fit(memory_loader(), n_epochs=2, resume=True)
    assert_same_training(again, truth)


def test_without_a_checkpoint_to_resume_it_starts_anew(tmp_path):
    truth = build_trainer(tmp_path / "truth")
    truth.fit(memory_loader(), n_epochs=1)
    ours = build_trainer(tmp_path / "empty")
    ours.fit(memory_loader(), n_epochs=1, resume=True)
    assert_same_training(ours, truth)


def test_what_was_stopped_early_stays_stopped(tmp_path):
    stopping = EarlyStopping("loss", patience=1, min_delta=100)
    first = build_trainer(tmp_path, callbacks=[stopping])
    first.fit(memory_loader(), n_epochs=9)
    again = build_trainer(
        tmp_path, callbacks=[EarlyStopping("loss", patience=1, min_delta=100)]
    )
    history = again.fit(memory_loader(), n_epochs=9, resume=True)
    assert len(first.history) == len(history) == 2
    assert "not improved" in history.stopped


def test_callbacks_get_their_state_back(tmp_path):
    class Counting(Callback):
        n_seen = 0

        def on_step_end(self, trainer, **kwargs):
            self.n_seen += 1

        def state_dict(self):
            return {"n_seen": self.n_seen}

        def load_state_dict(self, state):
            self.n_seen = state["n_seen"]

    counting = Counting()
    with pytest.raises(Killed):
        build_trainer(tmp_path, callbacks=[counting, KillAt(9)]).fit(
            memory_loader(), n_epochs=2
        )
    resumed = Counting()
    build_trainer(tmp_path, callbacks=[resumed]).fit(
        memory_loader(), n_epochs=2, resume=True
    )
    assert resumed.n_seen == 12


def test_another_architecture_is_refused_by_name_and_shape(tmp_path):
    build_trainer(tmp_path).fit(memory_loader(), n_epochs=1)
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(180, 4))
    other = Trainer(
        model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        checkpoint=Checkpoint(tmp_path),
        settings=QUIET,
    )
    words = r"another model: 2\.weight is missing.*and \d+ more\. Resume with the one"
    with pytest.raises(TrainingError, match=words):
        other.fit(memory_loader(), n_epochs=2, resume=True)
    wide = build_trainer(tmp_path)
    wide.model[5] = nn.Linear(384, 7)
    words = r"5\.weight has shape \(4, 384\) instead of \(7, 384\)"
    with pytest.raises(TrainingError, match=words):
        wide.fit(memory_loader(), n_epochs=2, resume=True)


def test_another_optimizer_scheduler_or_precision_is_refused(tmp_path):
    build_trainer(tmp_path).fit(memory_loader(), n_epochs=1)
    changed = build_trainer(tmp_path)
    changed.optimizer = torch.optim.Adam(changed.model.parameters())
    with pytest.raises(TrainingError, match="optimizer SGD, this is Adam"):
        changed.fit(memory_loader(), n_epochs=2, resume=True)
    changed = build_trainer(tmp_path)
    changed.scheduler = None
    with pytest.raises(TrainingError, match="scheduler CosineAnnealingLR, this is none"):
        changed.fit(memory_loader(), n_epochs=2, resume=True)
    changed = build_trainer(tmp_path, settings=replace(QUIET, precision="bf16"))
    with pytest.raises(TrainingError, match="precision no, this is bf16"):
        changed.fit(memory_loader(), n_epochs=2, resume=True)


def test_a_loader_of_another_kind_is_refused(tmp_path):
    build_trainer(tmp_path).fit(memory_loader(), n_epochs=1)
    with pytest.raises(
        TrainingError, match="made with a loader of coursekit, this is torch"
    ):
        build_trainer(tmp_path).fit(stock_loader(), n_epochs=2, resume=True)


def test_another_loader_is_refused_in_the_middle_of_an_epoch(tmp_path):
    with pytest.raises(Killed):
        build_trainer(tmp_path, callbacks=[KillAt(4)], every_n_steps=2).fit(
            memory_loader(), n_epochs=2
        )
    shorter = make_loader(data(), batch_size=11, shuffle=True, seed=1)
    with pytest.raises(TrainingError, match="epoch of 6 batches, the loader has 2"):
        build_trainer(tmp_path).fit(shorter, n_epochs=2, resume=True)


def test_resuming_needs_a_place(tmp_path):
    trainer = build_trainer(tmp_path)
    trainer.checkpoint = None
    with pytest.raises(SettingsError, match=r"checkpoint=Checkpoint\(folder\)"):
        trainer.fit(memory_loader(), n_epochs=1, resume=True)


def test_persistent_workers_are_refused_because_they_could_not_be_resumed(tmp_path):
    loader = stock_loader(num_workers=1, persistent_workers=True)
    with pytest.raises(SettingsError, match="persistent_workers=False"):
        build_trainer(tmp_path).fit(loader, n_epochs=1)
