"""Trainer.fit, evaluate and predict, against loops written by hand."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau, StepLR

from coursekit.datasets import make_loader
from coursekit.training import Callback, EarlyStopping, Trainer, TrainSettings

QUIET = TrainSettings(progress_bar=False)


def settings(**changes):
    return TrainSettings(progress_bar=False, **changes)


def data(n_samples=20, n_classes=4, size=8):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(n_samples, 3, size, size, generator=generator)
    return images, torch.randint(0, n_classes, (n_samples,), generator=generator)


def build_cnn(n_classes=4, *, dropout=0.0, norm=False):
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6) if norm else nn.Identity(),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(6 * 16, n_classes),
    )


def adam(model, lr=1e-2):
    return torch.optim.Adam(model.parameters(), lr=lr)


def bare_loop(model, optimizer, loader, n_epochs, *, channels_last=True, autocast=None):
    """The loop of every tutorial; returns the losses of all steps."""
    losses = []
    for epoch in range(n_epochs):
        model.train()
        batches = loader.batches(epoch) if hasattr(loader, "batches") else loader
        for images, labels in batches:
            if channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast is not None):
                loss = cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_losses_are_exactly_those_of_a_bare_loop(channels_last, precision):
    loader = make_loader(data(), batch_size=8, shuffle=True, seed=3)
    model = build_cnn(dropout=0.5, norm=True)
    autocast = None if precision == "no" else precision
    truth = bare_loop(
        model, adam(model), loader, 3, channels_last=channels_last, autocast=autocast
    )
    ours = build_cnn(dropout=0.5, norm=True)
    chosen = settings(precision=precision, channels_last=channels_last)
    history = Trainer(ours, optimizer=adam(ours), settings=chosen).fit(loader, n_epochs=3)
    assert history.step_losses.tolist() == truth
    for name, value in model.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name]), name


def test_a_stock_dataloader_is_read_as_a_bare_loop_would():
    def loader():
        dataset = torch.utils.data.TensorDataset(*data())
        return torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=True)

    model, ours = build_cnn(dropout=0.5), build_cnn(dropout=0.5)
    torch.manual_seed(7)
    truth = bare_loop(model, adam(model), loader(), 3)
    torch.manual_seed(7)
    history = Trainer(ours, optimizer=adam(ours), settings=QUIET).fit(loader(), n_epochs=3)
    assert history.step_losses.tolist() == truth


def test_eight_images_are_learned_by_heart():
    images, _ = data(8)
    labels = torch.arange(8) % 4
    model = build_cnn()
    loader = make_loader((images, labels), batch_size=8, shuffle=True, seed=0)
    history = Trainer(model, optimizer=adam(model, 3e-2), settings=QUIET).fit(
        loader, n_epochs=150
    )
    assert history.column("loss")[-1] < 0.01
    assert history.column("accuracy")[-1] == 1


def test_metrics_are_means_over_samples_not_over_batches():
    images, labels = data(10)
    model = build_cnn()
    trainer = Trainer(model, optimizer=adam(model), settings=QUIET)
    measured = trainer.evaluate(make_loader((images, labels), batch_size=8))
    logits = model.eval()(images.contiguous(memory_format=torch.channels_last))
    right = (logits.argmax(1) == labels).float()
    assert measured["accuracy"] == pytest.approx(right.mean().item())
    assert measured["loss"] == pytest.approx(cross_entropy(logits, labels).item(), rel=1e-6)
    of_batches = (right[:8].mean() + right[8:].mean()) / 2
    assert measured["accuracy"] != pytest.approx(of_batches.item())


def test_a_metric_of_ones_own_stands_in_the_history():
    def confidence(logits, labels):
        return logits.softmax(1).gather(1, labels[:, None])[:, 0]

    model = build_cnn()
    trainer = Trainer(
        model, optimizer=adam(model), metrics=("top5_accuracy", confidence), settings=QUIET
    )
    loader = make_loader(data(), batch_size=8)
    frame = trainer.fit(loader, validation=loader, n_epochs=2).to_frame()
    names = ["loss", "top5_accuracy", "confidence"]
    columns = ["epoch", *names, *(f"val_{name}" for name in names), "lr", "seconds"]
    assert frame.columns.tolist() == columns
    assert frame["top5_accuracy"].tolist() == [1, 1]
    assert frame["epoch"].tolist() == [1, 2]
    assert ((frame["confidence"] > 0) & (frame["confidence"] < 1)).all()


@pytest.mark.parametrize(("batch_size", "n_accumulate"), [(4, 2), (2, 4), (3, 4), (8, 1)])
def test_accumulated_batches_make_the_step_of_one_large_batch(batch_size, n_accumulate):
    large = make_loader(data(22), batch_size=batch_size * n_accumulate)
    small = make_loader(data(22), batch_size=batch_size)
    histories = []
    for loader, chosen in ((large, QUIET), (small, settings(n_accumulate=n_accumulate))):
        model = build_cnn()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        histories.append(
            Trainer(model, optimizer=optimizer, settings=chosen).fit(loader, n_epochs=3)
        )
    assert len(histories[0].step_losses) == len(histories[1].step_losses)
    np.testing.assert_allclose(
        histories[1].step_losses, histories[0].step_losses, rtol=2e-5, atol=0
    )
    assert histories[0].column("accuracy") == histories[1].column("accuracy")


def test_gradients_are_clipped_to_the_norm():
    model = build_cnn()
    before = torch.cat([p.detach().clone().flatten() for p in model.parameters()])
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    Trainer(model, optimizer=optimizer, settings=settings(clip_norm=1e-3)).fit(
        make_loader(data(8), batch_size=8), n_epochs=1
    )
    after = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert (after - before).norm() == pytest.approx(1e-3, rel=1e-3)


def test_a_scheduler_moves_once_an_epoch_or_once_a_step():
    loader = make_loader(data(20), batch_size=8)
    for every, n_moves in (("epoch", 4), ("step", 12)):
        model = build_cnn()
        optimizer = adam(model, 1.0)
        scheduler = LambdaLR(optimizer, lambda n: 0.5**n)
        Trainer(
            model,
            optimizer=optimizer,
            scheduler=scheduler,
            settings=settings(scheduler_every=every),
        ).fit(loader, n_epochs=4)
        assert scheduler.last_epoch == n_moves
        assert optimizer.param_groups[0]["lr"] == 0.5**n_moves


def test_the_history_shows_the_rate_that_the_epoch_was_trained_with():
    model = build_cnn()
    optimizer = adam(model, 0.1)
    trainer = Trainer(
        model, optimizer=optimizer, scheduler=StepLR(optimizer, 1, 0.5), settings=QUIET
    )
    history = trainer.fit(make_loader(data(), batch_size=8), n_epochs=3)
    assert history.column("lr") == pytest.approx([0.1, 0.05, 0.025])


def test_one_cycle_ends_exactly_with_the_last_step():
    model = build_cnn()
    optimizer = adam(model)
    scheduler = OneCycleLR(optimizer, 0.1, total_steps=6)
    chosen = settings(scheduler_every="step")
    Trainer(model, optimizer=optimizer, scheduler=scheduler, settings=chosen).fit(
        make_loader(data(20), batch_size=8), n_epochs=2
    )
    assert scheduler.last_epoch == 6


def test_a_plateau_scheduler_is_given_the_validation_loss():
    model = build_cnn()
    optimizer = adam(model, 1e-9)  # nothing improves
    scheduler = ReduceLROnPlateau(optimizer, patience=0, threshold=0.1)
    loader = make_loader(data(), batch_size=8)
    trainer = Trainer(model, optimizer=optimizer, scheduler=scheduler, settings=QUIET)
    history = trainer.fit(loader, validation=loader, n_epochs=2)
    assert scheduler.best == history.column("val_loss")[0]
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-9)


class Recorder(Callback):
    """Notes every event."""

    def __init__(self):
        self.events = []


def _note(name):
    def method(self, trainer, **kwargs):
        self.events.append((name, kwargs.get("epoch"), kwargs.get("step")))

    return method


for _name in [name for name in vars(Callback) if name.startswith("on_")]:
    setattr(Recorder, _name, _note(_name.removeprefix("on_")))


def test_callbacks_are_called_in_order():
    recorder, model = Recorder(), build_cnn()
    loader = make_loader(data(12), batch_size=4)
    trainer = Trainer(
        model,
        optimizer=adam(model),
        callbacks=[recorder],
        settings=settings(n_accumulate=2),
    )
    trainer.fit(loader, validation=loader, n_epochs=2)
    expected = [("fit_begin", None, None)]
    step = 0
    for epoch in (1, 2):
        expected.append(("epoch_begin", epoch, None))
        for n_batches in (2, 1):
            step += 1
            expected.append(("step_begin", epoch, step))
            expected += [("forward_end", epoch, step)] * n_batches
            expected += [("backward_end", epoch, step), ("step_end", epoch, step)]
        expected += [("validation_begin", epoch, None), ("epoch_end", epoch, None)]
    expected.append(("fit_end", None, None))
    assert recorder.events == expected


def test_fit_end_is_told_also_when_training_fails():
    recorder, model = Recorder(), build_cnn()
    trainer = Trainer(model, optimizer=adam(model), callbacks=[recorder], settings=QUIET)
    with pytest.raises(ValueError, match="no batch"):
        trainer.fit([], n_epochs=1)
    images, labels = data(4)
    with pytest.raises(ValueError, match="outside"):
        trainer.fit([(images, labels + 4)], n_epochs=1)
    assert [event for event, *_ in recorder.events][-1] == "fit_end"


def test_a_callback_can_stop_the_training_and_say_why():
    class StopAtTwo(Callback):
        def on_epoch_end(self, trainer, **kwargs):
            if kwargs["epoch"] == 2:
                trainer.stop("two are enough")

    model = build_cnn()
    trainer = Trainer(model, optimizer=adam(model), callbacks=[StopAtTwo()], settings=QUIET)
    history = trainer.fit(make_loader(data(), batch_size=8), n_epochs=5)
    assert (len(history), history.stopped) == (2, "two are enough")
    assert "two are enough" in repr(history)


def test_early_stopping_waits_as_long_as_it_was_told():
    model = build_cnn()
    stopping = EarlyStopping("loss", patience=2, min_delta=0.01)
    trainer = Trainer(
        model, optimizer=adam(model, 1e-9), callbacks=[stopping], settings=QUIET
    )
    history = trainer.fit(make_loader(data(), batch_size=8), n_epochs=9)
    assert len(history) == 3
    assert "loss has not improved for 2 epochs" in history.stopped


def test_predict_returns_the_logits_in_order():
    images, labels = data(10)
    model = build_cnn(dropout=0.5, norm=True)
    trainer = Trainer(model, optimizer=adam(model), settings=QUIET)
    logits = trainer.predict(make_loader((images, labels), batch_size=4))
    model.eval()
    torch.testing.assert_close(logits, model(images).detach())
    assert logits.device.type == "cpu"
    assert not logits.requires_grad
    assert not logits.is_inference()  # else no head could be trained on them
    assert torch.equal(logits, trainer.predict([images[:4], images[4:8], images[8:]]))


def test_predictions_are_float32_whatever_the_precision():
    model = build_cnn()
    trainer = Trainer(model, optimizer=adam(model), settings=settings(precision="bf16"))
    assert trainer.predict(make_loader(data(), batch_size=8)).dtype == torch.float32


def test_modes_and_generators_are_left_as_they_were():
    model = build_cnn(dropout=0.5, norm=True)
    model[1].eval()  # a frozen norm in a model that trains
    modes = [module.training for module in model.modules()]
    trainer = Trainer(model, optimizer=adam(model), settings=QUIET)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    dataset = torch.utils.data.TensorDataset(*data())
    loader = torch.utils.data.DataLoader(dataset, batch_size=4)
    trainer.evaluate(loader)
    trainer.predict(loader)
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model.modules()] == modes
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name]), name
    trainer.fit(loader, validation=loader, n_epochs=1)
    assert [module.training for module in model.modules()] == modes


def test_a_model_given_in_evaluation_mode_is_trained_in_training_mode():
    class Look(Callback):
        modes = ()

        def on_step_end(self, trainer, **kwargs):
            self.modes = {module.training for module in trainer.model.modules()}

    look, model = Look(), build_cnn(dropout=0.5).eval()
    trainer = Trainer(model, optimizer=adam(model), callbacks=[look], settings=QUIET)
    trainer.fit(make_loader(data(), batch_size=8), n_epochs=1)
    assert look.modes == {True}
    assert not model.training


def test_evaluation_does_not_disturb_the_training():
    histories = []
    for validation in (None, make_loader(data(6), batch_size=4)):
        model = build_cnn(dropout=0.5, norm=True)
        torch.manual_seed(5)
        trainer = Trainer(model, optimizer=adam(model), settings=QUIET)
        loader = make_loader(data(), batch_size=8)
        histories.append(trainer.fit(loader, validation=validation, n_epochs=3))
    assert histories[0].step_losses.tolist() == histories[1].step_losses.tolist()


def test_weights_keep_their_layout():
    model = build_cnn()
    Trainer(model, optimizer=adam(model), settings=settings(channels_last=True)).fit(
        make_loader(data(), batch_size=8), n_epochs=1
    )
    assert all(parameter.is_contiguous() for parameter in model.parameters())


def test_a_model_that_calls_view_is_trained_in_the_usual_layout():
    class Viewing(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 2, 3), nn.Linear(2 * 36, 4)

        def forward(self, images):
            return self.head(self.conv(images).view(len(images), -1))

    model = Viewing()
    history = Trainer(model, optimizer=adam(model), settings=QUIET).fit(
        make_loader(data(), batch_size=8), n_epochs=1
    )
    assert len(history) == 1


def test_a_model_of_vectors_is_trained_too():
    model = nn.Linear(5, 2)
    loader = make_loader((torch.rand(9, 5), torch.arange(9) % 2), batch_size=4)
    assert (
        len(Trainer(model, optimizer=adam(model), settings=QUIET).fit(loader, n_epochs=2))
        == 2
    )


def test_several_outputs_and_soft_labels_are_taken():
    class Auxiliary(nn.Module):
        def __init__(self):
            super().__init__()
            self.main, self.side = nn.Linear(5, 3), nn.Linear(5, 3)

        def forward(self, x):
            return (self.main(x), self.side(x)) if self.training else self.main(x)

    def loss(outputs, labels):
        parts = outputs if isinstance(outputs, tuple) else (outputs,)
        return sum(cross_entropy(part, labels) for part in parts)

    model = Auxiliary()
    soft = torch.eye(3).repeat(2, 1)
    loader = make_loader((torch.rand(6, 5), soft), batch_size=4)
    history = Trainer(model, optimizer=adam(model), loss=loss, settings=QUIET).fit(
        loader, validation=loader, n_epochs=1
    )
    assert 0 <= history.column("accuracy")[0] <= 1


def test_progress_is_one_bar_that_counts_batches(capsys):
    model = build_cnn()
    loader = make_loader(data(), batch_size=8)
    Trainer(model, optimizer=adam(model)).fit(loader, validation=loader, n_epochs=2)
    shown = capsys.readouterr().err
    assert "6/6" in shown
    assert "epoch 2/2" in shown
    assert "val_loss=" in shown
    assert shown.count("\n") == 1


def test_the_bar_can_be_switched_off(capsys):
    model = build_cnn()
    Trainer(model, optimizer=adam(model), settings=QUIET).fit(
        make_loader(data(), batch_size=8), n_epochs=1
    )
    assert capsys.readouterr() == ("", "")


def test_the_same_training_gives_the_same_history_but_for_the_seconds():
    frames = []
    for _ in range(2):
        model = build_cnn(dropout=0.3)
        loader = make_loader(data(), batch_size=8, shuffle=True, seed=0)
        torch.manual_seed(0)
        history = Trainer(model, optimizer=adam(model), settings=QUIET).fit(
            loader, validation=loader, n_epochs=2
        )
        frames.append(history.to_frame().drop(columns="seconds"))
    assert frames[0].equals(frames[1])


def overflowing(model, optimizer, **changes):
    """A trainer whose loss is scaled as for fp16, which a CPU can do too."""
    trainer = Trainer(model, optimizer=optimizer, settings=settings(**changes))
    trainer.engine.scaler = torch.amp.GradScaler(
        "cpu", init_scale=2.0**127, growth_interval=1
    )
    return trainer


def test_a_step_that_overflows_is_skipped_and_so_is_its_scheduler():
    model = build_cnn()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    trainer = overflowing(model, optimizer, scheduler_every="step")
    trainer.scheduler = StepLR(optimizer, 1, 0.5)
    before = model[0].weight.detach().clone()
    images, labels = data(8)
    trainer.fit([(100 * images, labels)], n_epochs=1)
    assert torch.equal(model[0].weight, before)
    assert trainer.scheduler.last_epoch == 0
    trainer.engine.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    trainer.fit([(images, labels)], n_epochs=1)
    assert not torch.equal(model[0].weight, before)
    assert trainer.scheduler.last_epoch == 1


def test_scaled_gradients_are_clipped_as_unscaled_ones():
    changes = []
    for scale in (None, 1024.0):
        model = build_cnn()
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        trainer = Trainer(model, optimizer=optimizer, settings=settings(clip_norm=1e-3))
        trainer.engine.scaler = scale and torch.amp.GradScaler("cpu", init_scale=scale)
        before = model[6].weight.detach().clone()
        trainer.fit(make_loader(data(8), batch_size=8), n_epochs=1)
        changes.append(model[6].weight.detach() - before)
    torch.testing.assert_close(changes[1], changes[0])


def test_trainers_of_different_precision_live_side_by_side():
    loader = make_loader(data(), batch_size=8)
    trainers = []
    for precision in ("no", "bf16", "no"):
        model = build_cnn()
        trainers.append(
            Trainer(model, optimizer=adam(model), settings=settings(precision=precision))
        )
    losses = [trainer.fit(loader, n_epochs=1).step_losses.tolist() for trainer in trainers]
    assert losses[0] == losses[2] != losses[1]
