"""Trainer against loops written by hand; its callbacks, checkpoints and resumptions."""

import random
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR
from torch.utils.data import DataLoader, Dataset, TensorDataset

from coursekit.datasets import make_loader
from coursekit.errors import SettingsError, TrainingError
from coursekit.seeds import seed_everything
from coursekit.training import (
    Callback,
    Checkpoint,
    EarlyStopping,
    TensorBoardLogger,
    Trainer,
    TrainSettings,
)
from coursekit.training.metrics import accuracy

QUIET = TrainSettings(progress_bar=False)
PER_STEP = TrainSettings(progress_bar=False, scheduler_every="step")


def data(n_samples=20):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(n_samples, 3, 8, 8, generator=generator)
    return images, torch.randint(0, 4, (n_samples,), generator=generator)


def build_cnn(dropout=0.5):
    torch.manual_seed(1)
    layers = [nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(6 * 64, 4))


def trainer_of(model, lr=1e-2, settings=QUIET, **options):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    return Trainer(model, optimizer=optimizer, settings=settings, device="cpu", **options)


def noisy(images):
    return images + 0.1 * torch.randn(images.shape)


def memory_loader():
    return make_loader(data(22), batch_size=4, shuffle=True, seed=1, transform=noisy)


class Drawing(Dataset):
    """Augments by the global generators, as many datasets do."""

    def __len__(self):
        return 22

    def __getitem__(self, index):
        images, labels = data(22)
        noise = torch.randn(3, 8, 8) + float(np.random.randn()) + random.random()
        return images[index] + 0.1 * noise, labels[index]


def stock_loader(generator=None):
    return DataLoader(Drawing(), batch_size=4, shuffle=True, generator=generator)


def generator_loader():
    return stock_loader(torch.Generator().manual_seed(3))


def bare_loop(model, loader):
    """The loop of every tutorial; returns the losses of all steps."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(3):
        for images, labels in loader:
            optimizer.zero_grad()
            logits = model(images.contiguous(memory_format=torch.channels_last))
            loss = cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# -- training -----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [memory_loader, stock_loader])
def test_losses_and_weights_are_exactly_those_of_a_bare_loop(make):
    model, ours = build_cnn(), build_cnn()
    seed_everything(7)
    truth = bare_loop(model, make())
    seed_everything(7)
    # validation between the epochs must not disturb the random numbers
    history = trainer_of(ours).fit(make(), validation=stock_loader(), n_epochs=3)
    assert history.step_losses == truth
    for name, value in model.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name]), name


@pytest.mark.parametrize("batch_size", [5, 16, 20])
def test_loss_and_metrics_are_means_over_samples_not_over_batches(batch_size):
    images, labels = data(20)
    labels[:3] = -100
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 9.0, 2.0, 0.5]))
    model = build_cnn()
    loader = make_loader((images, labels), batch_size=batch_size)
    measured = Trainer(model, loss=loss, device="cpu").evaluate(loader)
    logits = model.eval()(images)
    assert measured["loss"] == pytest.approx(loss(logits, labels).item())
    right = (logits.argmax(1) == labels).float().mean().item()
    assert measured["accuracy"] == pytest.approx(right)


def test_the_history_is_a_table():
    def confidence(logits, labels):
        return logits.softmax(1).gather(1, labels[:, None])[:, 0]

    trainer = trainer_of(build_cnn(), lr=0.1, metrics=(accuracy, confidence))
    trainer.scheduler = LambdaLR(trainer.optimizer, lambda n: 0.5**n)
    frame = trainer.fit(memory_loader(), validation=memory_loader(), n_epochs=2).to_frame()
    columns = "epoch loss accuracy confidence val_loss val_accuracy val_confidence"
    assert frame.columns.tolist() == [*columns.split(), "lr", "seconds"]
    assert frame["lr"].tolist() == [0.1, 0.05]  # that the epoch was trained with
    with pytest.raises(SettingsError, match="no 'val_f1', only epoch, loss"):
        trainer.history.n_since_best("val_f1")


@pytest.mark.parametrize(("settings", "n_moves"), [(QUIET, 4), (PER_STEP, 24)])
def test_a_scheduler_moves_once_an_epoch_or_once_a_step(settings, n_moves):
    trainer = trainer_of(build_cnn(), lr=1.0, settings=settings)
    trainer.scheduler = LambdaLR(trainer.optimizer, lambda n: 0.5**n)
    trainer.fit(memory_loader(), n_epochs=4)
    assert trainer.optimizer.param_groups[0]["lr"] == 0.5**n_moves


def test_a_model_that_calls_view_and_a_stream_of_unknown_length_are_taken():
    class Viewing(nn.Sequential):
        def forward(self, images):
            return self[1](self[0](images).view(len(images), -1))

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(TensorDataset(*data(8)))

    trainer = trainer_of(Viewing(nn.Conv2d(3, 2, 3), nn.Linear(2 * 36, 4)))
    history = trainer.fit(DataLoader(Stream(), batch_size=4), n_epochs=2)
    assert len(history.step_losses) == 4


def test_several_outputs_and_soft_labels_are_taken():
    class Auxiliary(nn.ModuleList):
        def forward(self, x):
            return tuple(layer(x) for layer in self)

    def loss(outputs, labels):
        return sum(cross_entropy(part, labels) for part in outputs)

    model = Auxiliary([nn.Linear(5, 3), nn.Linear(5, 3)])
    loader = make_loader((torch.rand(6, 5), torch.eye(3).repeat(2, 1)), batch_size=4)
    history = trainer_of(model, loss=loss).fit(loader, n_epochs=1)
    assert 0 <= history.epochs[0]["accuracy"] <= 1


def test_predict_returns_the_logits_in_order_without_an_optimizer():
    images, labels = data(10)
    model = build_cnn()
    trainer = Trainer(model, device="cpu")
    logits = trainer.predict(make_loader((images, labels), batch_size=4))
    torch.testing.assert_close(logits, model.eval()(images).detach())
    assert not logits.is_inference()  # else no head could be trained on them
    assert torch.equal(logits, trainer.predict([images[:4], images[4:8], images[8:]]))


def test_modes_and_generators_are_left_as_they_were():
    model = build_cnn()
    model[1].eval()  # a frozen norm in a model that trains
    modes = [module.training for module in model.modules()]
    state, loader = torch.get_rng_state(), DataLoader(TensorDataset(*data()), batch_size=4)
    trainer = trainer_of(model)
    trainer.evaluate(loader)
    trainer.predict(loader)
    assert torch.equal(torch.get_rng_state(), state)
    trainer.fit(loader, n_epochs=1)
    assert [module.training for module in model.modules()] == modes


def test_progress_is_one_bar_that_counts_batches(capsys):
    trainer_of(build_cnn(), settings=TrainSettings()).fit(memory_loader(), n_epochs=2)
    shown = capsys.readouterr().err
    assert "epoch 2/2" in shown
    assert "12/12" in shown
    assert shown.count("\n") == 1


# -- callbacks ------------------------------------------------------------------------------


class Recorder(Callback):
    """Notes every event."""

    def __init__(self, events):
        for name in filter(lambda name: name.startswith("on_"), dir(Callback)):
            setattr(self, name, partial(self.note, events, name[3:]))

    def note(self, events, name, trainer, **known):
        events.append((name, known.get("epoch"), known.get("step")))


def test_callbacks_are_called_in_order():
    events, loader = [], make_loader(data(8), batch_size=4)
    trainer = trainer_of(build_cnn(), callbacks=[Recorder(events)])
    trainer.fit(loader, validation=loader, n_epochs=2)
    expected = [("fit_begin", None, None)]
    for epoch in (1, 2):
        expected.append(("epoch_begin", epoch, None))
        for step in (2 * epoch - 1, 2 * epoch):
            expected += [(event, epoch, step) for event in ("backward_end", "step_end")]
        expected.append(("epoch_end", epoch, None))
    assert events == [*expected, ("fit_end", None, None)]


def test_early_stopping_waits_as_long_as_it_was_told_and_stays_stopped(tmp_path):
    options = {"lr": 0.0, "checkpoint": Checkpoint(tmp_path)}
    for resume in (False, True):
        stopping = EarlyStopping("accuracy", patience=2)
        model = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
        trainer = trainer_of(model, callbacks=[stopping], **options)
        history = trainer.fit(make_loader(data(), batch_size=8), n_epochs=9, resume=resume)
        assert len(history) == 3
        assert "accuracy has not improved for 2 epochs" in history.stopped


class RaiseAt(Callback):
    """Interrupts the program, or ends it: `BaseException` is caught by nobody."""

    def __init__(self, step, error):
        self.step, self.error = step, error

    def on_step_end(self, trainer, **kwargs):
        if kwargs["step"] == self.step:
            raise self.error


def test_an_interruption_leaves_a_history_and_a_model_to_use():
    events = []
    callbacks = [RaiseAt(7, KeyboardInterrupt), Recorder(events)]
    trainer = trainer_of(build_cnn(), callbacks=callbacks)
    history = trainer.fit(memory_loader(), n_epochs=9)
    assert (len(history), len(history.step_losses)) == (1, 7)
    assert "interrupted in epoch 2" in repr(history)
    assert events[-1][0] == "fit_end"
    trainer.callbacks = ()
    assert trainer.fit(memory_loader(), n_epochs=2).stopped == ""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_curves_can_be_read_back_by_tensorboard_also_after_a_resumption(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loader = make_loader(data(8), batch_size=4)
    for n_epochs in (2, 3):
        logger, checkpoint = TensorBoardLogger(tmp_path / "log"), Checkpoint(tmp_path)
        trainer = trainer_of(build_cnn(), callbacks=[logger], checkpoint=checkpoint)
        history = trainer.fit(loader, n_epochs=n_epochs, resume=True)
    events = EventAccumulator(str(tmp_path / "log"))
    events.Reload()
    steps, epochs = events.Scalars("step/loss"), events.Scalars("epoch/accuracy")
    assert [event.step for event in steps] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose([e.value for e in steps], history.step_losses, rtol=1e-6)
    assert [event.step for event in epochs] == [2, 4, 6]


# -- checkpoints ----------------------------------------------------------------------------


def saving_trainer(folder, callbacks=(), *, make=torch.optim.SGD, width=4, t_max=30):
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    model = build_cnn()
    model[5] = nn.Linear(384, width)
    lr = np.logspace(-3, 0, 4)[2]  # a NumPy number, which no safe reader takes untold
    trainer = trainer_of(model, checkpoint=Checkpoint(folder), callbacks=callbacks)
    trainer.optimizer = make(model.parameters(), lr=lr, weight_decay=0.1)
    trainer.scheduler = CosineAnnealingLR(trainer.optimizer, t_max)
    return trainer


@pytest.mark.parametrize(
    ("make", "step"),
    [(memory_loader, 3), (memory_loader, 13), (stock_loader, 10), (generator_loader, 10)],
)
def test_resumed_is_bit_identical(tmp_path, step, make):
    truth, options = saving_trainer(tmp_path / "truth"), {"n_epochs": 3}
    options["validation"] = memory_loader()
    truth.fit(make(), **options)
    killed = saving_trainer(tmp_path, [RaiseAt(step, BaseException("killed"))])
    with pytest.raises(BaseException, match="killed"):
        killed.fit(make(), **options)
    resumed = saving_trainer(tmp_path)
    if step > 6:  # before, it starts anew
        torch.rand(3)  # whatever happened before does not matter
    resumed.fit(make(), resume=True, **options)
    assert resumed.history.step_losses == truth.history.step_losses
    frames = [t.history.to_frame().drop(columns="seconds") for t in (resumed, truth)]
    assert frames[0].equals(frames[1])
    for name, value in truth.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"make": torch.optim.AdamW}, "SGD had type=SGD, and now AdamW"),
        ({"t_max": 60}, "CosineAnnealingLR had T_max=30, and now 60"),
        ({"width": 7}, r"another model.*5\.weight.*take another checkpoint folder"),
    ],
)
def test_another_training_is_not_resumed(tmp_path, changes, words):
    saving_trainer(tmp_path).fit(memory_loader(), n_epochs=1)
    with pytest.raises(TrainingError, match=r"(?s)" + words):
        saving_trainer(tmp_path, **changes).fit(memory_loader(), n_epochs=2, resume=True)


def test_the_best_epoch_is_restored_by_one_call(tmp_path):
    weights, watch = [], Callback()
    watch.on_epoch_end = lambda trainer, **_: weights.append(trainer.model[5].bias.tolist())
    checkpoint = Checkpoint(tmp_path, monitor="val_accuracy")
    trainer = trainer_of(build_cnn(), callbacks=[watch], checkpoint=checkpoint)
    history = trainer.fit(memory_loader(), validation=memory_loader(), n_epochs=5)
    values = [row["val_accuracy"] for row in history.epochs]
    best = values.index(max(values))  # of equal ones the first
    assert trainer.restore_best()["epoch"] == best + 1
    assert trainer.model[5].bias.tolist() == weights[best]
