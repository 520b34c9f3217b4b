"""What goes wrong in training is said with the batch, the cause and the remedy."""

import math

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from coursekit.datasets import make_loader
from coursekit.errors import (
    CourseError,
    DataError,
    SettingsError,
    ShapeError,
    TrainingError,
)
from coursekit.training import Callback, Trainer, TrainSettings
from coursekit.training.checks import check_labels

QUIET = TrainSettings(progress_bar=False)


def build_cnn(n_classes=4, size=8):
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * size * size, n_classes),
    )


def trainer_of(model, **options):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return Trainer(model, optimizer=optimizer, settings=QUIET, **options)


def batch(n=4, shape=(3, 8, 8), n_classes=4):
    return torch.rand(n, *shape), torch.arange(n) % n_classes


def fit(model, *batches, **options):
    return trainer_of(model, **options).fit(list(batches), n_epochs=2)


# -- the loss ---------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_epoch_step_and_rate(value):
    good, bad = batch(), batch()
    bad[0][2, 0, 1, 1] = value
    words = (
        r"became nan in epoch 1, step 3 \(batch 3 of the epoch\), at learning rate 0\.1\. "
        r"Lower the rate, clip"
    )
    with pytest.raises(TrainingError, match=words):
        fit(build_cnn(), good, good, bad)


def test_a_loss_that_is_not_finite_leaves_the_weights_alone():
    model = nn.Linear(2, 2)
    before = model.weight.detach().clone()
    inputs = torch.full((2, 2), math.nan)
    with pytest.raises(TrainingError, match="epoch 1, step 1"):
        fit(model, (inputs, torch.tensor([0, 1])))
    assert torch.equal(model.weight, before)


def test_the_batch_is_named_in_accumulated_steps():
    good, bad = batch(), batch()
    bad[0][:] = math.nan
    model = build_cnn()
    trainer = Trainer(
        model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        settings=TrainSettings(progress_bar=False, n_accumulate=2),
    )
    with pytest.raises(TrainingError, match=r"step 2 \(batch 4 of the epoch\)"):
        trainer.fit([good, good, good, bad], n_epochs=1)


def test_a_late_look_at_the_losses_finds_the_first_bad_one():
    """As on an accelerator, where losses are read only now and then."""
    good, bad = batch(), batch()
    bad[0][:] = math.nan
    trainer = trainer_of(build_cnn())
    trainer.engine.is_cpu, to_device = False, trainer.engine.to_device
    trainer.engine.to_device = lambda values: to_device(values).cpu()
    with pytest.raises(TrainingError, match=r"epoch 1, step 2 \(batch 2 of the epoch\)"):
        trainer.fit([good, bad, bad], n_epochs=1)


# -- the data ---------------------------------------------------------------------------


def test_an_empty_loader_is_refused():
    empty = make_loader((torch.zeros(0, 3, 8, 8), torch.zeros(0).long()), batch_size=4)
    with pytest.raises(DataError, match="no batch: its data hold no sample"):
        trainer_of(build_cnn()).fit(empty, n_epochs=1)
    with pytest.raises(DataError, match="no batch"):
        trainer_of(build_cnn()).evaluate([])


@pytest.mark.parametrize("stock", [False, True])
def test_a_loader_that_drops_everything_says_so(stock):
    data = batch(5)
    loader = (
        DataLoader(TensorDataset(*data), batch_size=8, drop_last=True)
        if stock
        else make_loader(data, batch_size=8, drop_last=True)
    )
    with pytest.raises(
        DataError, match=r"5 samples are fewer than one batch of 8.*smaller"
    ):
        trainer_of(build_cnn()).fit(loader, n_epochs=1)


@pytest.mark.parametrize("label", [4, 9, -1])
def test_a_label_outside_the_classes_is_shown(label):
    images, labels = batch()
    labels[2] = label
    words = rf"epoch 1, batch 2: label {label} \(row 2\).* 4 logits.*0 \.\. 3.*one output"
    with pytest.raises(DataError, match=words) as caught:
        fit(build_cnn(), batch(), (images, labels))
    assert isinstance(caught.value.__cause__, IndexError)


def test_a_label_that_is_to_be_ignored_is_none_outside():
    images, labels = batch()
    labels[2] = -100
    assert len(fit(build_cnn(), (images, labels))) == 2


def test_labels_are_checked_before_an_accelerator_sees_them():
    with pytest.raises(DataError, match=r"label 3 \(row 1\)"):
        check_labels(
            torch.zeros(2, 3), torch.tensor([0, 3]), nn.CrossEntropyLoss(), "batch 1"
        )


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32])
def test_labels_of_another_type_are_named(dtype):
    images, labels = batch()
    with pytest.raises(DataError, match=rf"labels are {dtype}.*labels\.long\(\)"):
        fit(build_cnn(), (images, labels.to(dtype)))


def test_labels_of_another_number_are_counted():
    images, labels = batch()
    with pytest.raises(DataError, match="4 inputs have 3 labels"):
        fit(build_cnn(), (images, labels[:3]))


def test_logits_of_another_number_point_to_flatten():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(0, 2), nn.Linear(8, 4))
    with pytest.raises(ShapeError, match=r"128 rows of logits.*for 4 labels.*flatten\(1\)"):
        fit(model, batch())


def test_what_is_no_pair_is_named():
    with pytest.raises(DataError, match=r"batch 1: a batch must be a pair.*got Tensor"):
        fit(build_cnn(), torch.zeros(2, 3, 8, 8))
    with pytest.raises(DataError, match=r"\(Tensor, list\)"):
        fit(build_cnn(), (torch.zeros(2, 3, 8, 8), [0, 1]))
    with pytest.raises(DataError, match="got int"):
        trainer_of(build_cnn()).fit(3, n_epochs=1)


def test_a_batch_without_a_sample_is_named():
    with pytest.raises(DataError, match="batch 2: the batch has no sample"):
        fit(build_cnn(), batch(), batch(0))


# -- model and input ----------------------------------------------------------------------


def test_wrong_channels_name_the_layer_and_both_numbers():
    words = (
        r"epoch 1, batch 1: an input of shape \(4, 1, 8, 8\) reached layer '0', "
        r"Conv2d\(3, 6.*wants 3 channels, but gets \(4, 1, 8, 8\)\. Give the images 3"
    )
    with pytest.raises(ShapeError, match=words) as caught:
        fit(build_cnn(), batch(shape=(1, 8, 8)))
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_channels_last_arrays_are_recognized():
    with pytest.raises(ShapeError, match=r"images\.permute\(0, 3, 1, 2\)"):
        fit(build_cnn(), batch(shape=(8, 8, 3)))


def test_images_of_another_size_name_the_linear_layer():
    words = r"\(4, 3, 10, 10\) reached layer '4', Linear.*wants 384 features.*nn\.Linear\(600, 4\)"
    with pytest.raises(ShapeError, match=words):
        fit(build_cnn(), batch(shape=(3, 10, 10)))


def test_a_forgotten_flatten_is_recognized():
    with pytest.raises(ShapeError, match=r"Put nn\.Flatten\(\) before it"):
        fit(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(144, 4)), batch())


def test_an_image_smaller_than_the_kernel_names_the_layer():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.MaxPool2d(9), nn.Flatten(), nn.Linear(4, 4)
    )
    with pytest.raises(ShapeError, match=r"reached layer '1', MaxPool2d.*cannot take"):
        fit(model, batch())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64])
def test_inputs_of_another_type_are_named(dtype):
    images, labels = batch()
    with pytest.raises(DataError, match=rf"'0' as {dtype}.*inputs\.float\(\)"):
        fit(build_cnn(), (images.to(dtype), labels))


def test_a_batch_of_one_under_batch_norm_says_drop_last():
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(192, 8), nn.BatchNorm1d(8), nn.Linear(8, 4)
    )
    loader = make_loader(batch(5), batch_size=4)
    words = r"epoch 1, batch 2.*'2' \(BatchNorm1d\) as a batch of one.*drop_last=True"
    with pytest.raises(ShapeError, match=words):
        trainer_of(model).fit(loader, n_epochs=1)


def test_evaluation_and_prediction_name_their_batch():
    trainer = trainer_of(build_cnn())
    with pytest.raises(ShapeError, match="In batch 2 of the evaluation"):
        trainer.evaluate([batch(), batch(shape=(1, 8, 8))])
    with pytest.raises(ShapeError, match="In batch 2 of the prediction"):
        trainer.predict([batch(), batch(shape=(1, 8, 8))])


def test_an_error_of_the_models_own_keeps_its_type_and_tells_the_batch():
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, images):
            msg = "something of its own"
            raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="something of its own") as caught:
        fit(Broken(), batch())
    assert not isinstance(caught.value, CourseError)
    assert caught.value.__notes__ == ["This happened in epoch 1, batch 1."]


# -- model and optimizer --------------------------------------------------------------------


def test_a_model_without_parameters_is_refused():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(TrainingError, match="Flatten has no parameters"):
        Trainer(nn.Flatten(), optimizer=optimizer)


def test_a_model_that_is_all_frozen_is_refused():
    model = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(TrainingError, match="Linear has only frozen parameters"):
        Trainer(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))


def test_an_optimizer_of_another_model_is_refused():
    model = build_cnn()
    optimizer = torch.optim.SGD(build_cnn().parameters(), lr=0.1)
    with pytest.raises(TrainingError, match=r"6 of its 6 belong.*Adam\(model\.parameters"):
        Trainer(model, optimizer=optimizer)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model[4] = nn.Linear(384, 10)  # a new head, after the optimizer was made
    with pytest.raises(TrainingError, match="2 of its 6 belong to something else"):
        Trainer(model, optimizer=optimizer)


def test_an_optimizer_of_a_part_of_the_model_is_fine():
    model = build_cnn()
    trainer = Trainer(
        model, optimizer=torch.optim.SGD(model[4].parameters(), lr=0.1), settings=QUIET
    )
    before = model[0].weight.detach().clone()
    trainer.fit([batch()], n_epochs=1)
    assert torch.equal(model[0].weight, before)


# -- settings -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"precision": "fp8"}, "precision must be one of 'no', 'bf16', 'fp16', got 'fp8'"),
        ({"scheduler_every": "batch"}, "scheduler_every must be one of"),
        ({"n_accumulate": 0}, "n_accumulate must be at least 1, got 0"),
        ({"clip_norm": 0.0}, "clip_norm must be positive"),
    ],
)
def test_impossible_settings_are_refused(changes, words):
    with pytest.raises(SettingsError, match=words):
        TrainSettings(**changes)


def test_half_precision_without_cuda_names_the_alternative():
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    chosen = TrainSettings(precision="fp16")
    with pytest.raises(SettingsError, match=r"needs a CUDA device.*'bf16'"):
        Trainer(model, optimizer=optimizer, settings=chosen, device="cpu")


def test_zero_epochs_are_refused():
    with pytest.raises(SettingsError, match="n_epochs must be at least 1, got 0"):
        trainer_of(nn.Linear(2, 2)).fit([batch()], n_epochs=0)


def test_an_unknown_metric_lists_the_known_ones():
    with pytest.raises(SettingsError, match="accuracy, top5_accuracy, got 'f1'"):
        trainer_of(nn.Linear(2, 2), metrics=("f1",))


def test_a_metric_that_averages_is_refused():
    def mean_accuracy(logits, labels):
        return (logits.argmax(1) == labels).float().mean()

    with pytest.raises(
        ShapeError, match=r"'mean_accuracy'.*shape \(4,\), got \(\).*average"
    ):
        fit(build_cnn(), batch(), metrics=(mean_accuracy,))


def test_predicting_from_a_shuffled_loader_is_refused():
    trainer = trainer_of(build_cnn())
    for loader in (
        make_loader(batch(), batch_size=2, shuffle=True, seed=0),
        DataLoader(TensorDataset(*batch()), batch_size=2, shuffle=True),
    ):
        with pytest.raises(SettingsError, match="shuffle=False"):
            trainer.predict(loader)


# -- Ctrl-C ---------------------------------------------------------------------------------


class PressCtrlC(Callback):
    def __init__(self, event, **when):
        self.event, self.when = event, when
        self.ended = False

    def _press(self, event, known):
        if event == self.event and self.when.items() <= known.items():
            raise KeyboardInterrupt

    def on_forward_end(self, trainer, **kwargs):
        self._press("forward_end", kwargs)

    def on_validation_begin(self, trainer, **kwargs):
        self._press("validation_begin", kwargs)

    def on_fit_end(self, trainer, **kwargs):
        self.ended = True
        self._press("fit_end", kwargs)


@pytest.mark.parametrize(
    ("press", "n_epochs", "n_steps"),
    [
        (PressCtrlC("forward_end", step=8), 2, 7),
        (PressCtrlC("forward_end", step=1), 0, 0),
        (PressCtrlC("validation_begin", epoch=2), 1, 6),
    ],
)
def test_an_interruption_leaves_a_history_and_a_model_to_use(press, n_epochs, n_steps):
    model = build_cnn()
    trainer = trainer_of(model, callbacks=[press])
    batches = [batch(), batch(), batch()]
    history = trainer.fit(batches, validation=batches, n_epochs=9)
    assert (len(history), len(history.step_losses)) == (n_epochs, n_steps)
    assert f"interrupted in epoch {n_epochs + 1}" in history.stopped
    assert len(history.to_frame()) == n_epochs
    assert trainer.history is history
    assert press.ended
    assert model.training
    assert trainer.predict([batch()]).isfinite().all()


def test_a_second_interruption_is_not_swallowed():
    class Twice(PressCtrlC):
        def on_forward_end(self, trainer, **kwargs):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(build_cnn(), batch(), callbacks=[Twice("fit_end")])


def test_training_can_go_on_after_an_interruption():
    press = PressCtrlC("forward_end", step=2, epoch=1)
    trainer = trainer_of(build_cnn(), callbacks=[press])
    trainer.fit([batch(), batch()], n_epochs=2)
    press.event = ""
    history = trainer.fit([batch(), batch()], n_epochs=2)
    assert (len(history), history.stopped) == (2, "")
