"""What goes wrong in training is said with the batch, the cause and the remedy."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, TensorDataset

from coursekit.datasets import make_loader
from coursekit.errors import DataError, SettingsError, ShapeError, TrainingError
from coursekit.training import History, Trainer, TrainSettings

QUIET = TrainSettings(progress_bar=False)


def build_cnn():
    layers = [nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(384, 4))


def batch(n=4, shape=(3, 8, 8)):
    return torch.rand(n, *shape), torch.arange(n) % 4


def fit(model, *batches, loader=None, **options):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = Trainer(model, optimizer=optimizer, settings=QUIET, device="cpu", **options)
    return trainer.fit(loader or batches, n_epochs=2)


def with_labels(labels):
    return batch()[0], labels


class Skip(nn.Conv2d):
    """Adds what differs in channels, outside of any layer but itself."""

    def forward(self, x):
        return x + super().forward(x)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_epoch_batch_and_rate_before_it_does_harm(value):
    good, bad, model = batch(), batch(), build_cnn()
    bad[0][2, 0, 1, 1] = value
    words = r"became nan at learning rate 0\.1\. Lower the rate"
    with pytest.raises(TrainingError, match=words) as caught:
        fit(model, good, good, bad)
    assert caught.value.__notes__ == ["This happened in epoch 1, batch 3."]
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    with pytest.raises(TrainingError, match="labels of which the loss ignores all"):
        fit(model, with_labels(torch.full((4,), -100)))


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (with_labels(torch.tensor([0, 1, 4, 2])), DataError, r"Label 4 is.* 4 logits.*0 \.\. 3.*one output"),
        (with_labels(torch.tensor([0, -1, 1, 2])), DataError, r"Label -1 is"),
        (with_labels(torch.arange(4).float()), DataError, r"torch\.int64, not torch\.float32: labels\.long\(\)"),
        (with_labels(torch.arange(3)), DataError, r"pair of tensors.*got torch\.Size\(\[4, 3, 8, 8\]\), torch\.Size\(\[3\]"),
        (with_labels([0, 1]), DataError, r"8\]\), list"),
        (torch.zeros(2, 3, 8, 8), DataError, r"got torch\.Size"),
    ],
)  # fmt: skip
def test_a_batch_that_does_not_fit_is_named_with_its_remedy(given, error, words):
    with pytest.raises(error, match=words) as caught:
        fit(build_cnn(), batch(), given)
    assert caught.value.__notes__ == ["This happened in epoch 1, batch 2."]


@pytest.mark.parametrize(
    ("model", "given", "words"),
    [
        (build_cnn(), batch(shape=(1, 8, 8)), r"shape \(4, 1, 8, 8\) reached layer '0', Conv2d\(3, 6.*as \(4, 1, 8, 8\)"),
        (build_cnn(), batch(shape=(8, 8, 3)), r"images\.permute\(0, 3, 1, 2\)"),
        (build_cnn(), batch(shape=(3, 10, 10)), r"layer '4', Linear.*in_features=384.*\(4, 600\).*Flatten.*nn\.Linear\(600, 4\)"),
        (nn.Sequential(Skip(3, 6, 1)), batch(), r"layer '0', Skip\(3, 6.*as \(4, 3, 8, 8\)"),
        (nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192)), batch(1), r"'1', BatchNorm1d.*drop_last=True"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_take_a_batch_has_its_layer_named(model, given, words):
    with pytest.raises((RuntimeError, ValueError)) as caught:
        fit(model, given)
    assert caught.value.__notes__[1] == "This happened in epoch 1, batch 1."
    assert caught.match(words)


def test_the_first_axis_stays_the_batch():
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(0, 2), nn.Linear(8, 4)
    words = r"\(128, 4\), labels \(4,\).*x\.flatten\(1\), not"
    with pytest.raises(ShapeError, match=words):
        fit(nn.Sequential(*layers), batch())


@pytest.mark.parametrize("labels", [torch.rand(4), torch.arange(4)])
def test_a_column_is_not_compared_with_a_row(labels):
    data = torch.rand(4, 3), labels
    with pytest.raises(ShapeError, match=r"\(4, 1\), labels \(4,\).*labels\.view_as"):
        fit(nn.Linear(3, 1), data, loss=nn.MSELoss(), metrics=())


def test_a_batch_of_ignored_labels_weighs_nothing_and_nan_is_never_best():
    inputs, labels = torch.rand(6, 3), torch.tensor([-100, -100, 0, 1, 2, 0])
    model, loss = nn.Linear(3, 3), nn.CrossEntropyLoss()
    batches = [*zip(inputs.split(2), labels.split(2), strict=True)]
    found = Trainer(model, metrics=(), device="cpu").evaluate(batches)
    assert found["loss"] == pytest.approx(loss(model(inputs), labels).item(), rel=1e-6)
    history = History(epochs=[{"val_loss": v} for v in (math.nan, 0.9, 0.8)])
    assert history.n_since_best("val_loss") == 0


def test_a_loss_and_outputs_that_are_none_are_told():
    class Named(nn.Sequential):
        def forward(self, x):
            return {"logits": super().forward(x)}

    with pytest.raises(ShapeError, match=r"one number.*got \(4,\)"):
        fit(build_cnn(), batch(), loss=nn.CrossEntropyLoss(reduction="none"))
    with pytest.raises(DataError, match="got dict"):
        fit(Named(build_cnn()), batch())


def test_what_training_needs_is_told():
    model, other = build_cnn(), build_cnn()
    with pytest.raises(TrainingError, match=r"of its 6 6 belong.*Adam\(model\.parameters"):
        Trainer(model, optimizer=torch.optim.SGD(other.parameters(), lr=0.1))
    with pytest.raises(TrainingError, match="2 are frozen"):
        fit(nn.Linear(2, 2).requires_grad_(False), batch())
    sgd = torch.optim.SGD(model.parameters())
    other_rate = StepLR(torch.optim.SGD(model.parameters()), 1)
    with pytest.raises(TrainingError, match="another optimizer's rate"):
        Trainer(model, optimizer=sgd, scheduler=other_rate)
    with pytest.raises(TrainingError, match=r"step in a Callback's on_epoch_end"):
        Trainer(model, optimizer=sgd, scheduler=ReduceLROnPlateau(sgd))
    with pytest.raises(TrainingError, match="LBFGS"):
        Trainer(model, optimizer=torch.optim.LBFGS(model.parameters()))
    with pytest.raises(SettingsError, match="needs an optimizer"):
        Trainer(model).fit([batch()], n_epochs=1)
    with pytest.raises(SettingsError, match=r"checkpoint=Checkpoint\(folder\)"):
        Trainer(model).restore_best()


def test_settings_and_metrics_that_mean_nothing_are_refused():
    with pytest.raises(SettingsError, match="scheduler_every must be"):
        TrainSettings(scheduler_every="batch")
    with pytest.raises(ShapeError, match=r"'cross_entropy'.*shape \(4,\), got \(\)"):
        fit(build_cnn(), batch(), metrics=(F.cross_entropy,))


def test_loaders_that_give_nothing_or_only_once_are_refused():
    with pytest.raises(DataError, match="no batch"):
        Trainer(build_cnn()).evaluate([])
    with pytest.raises(DataError, match="a generator, which gives its batches once"):
        fit(build_cnn(), loader=(batch() for _ in range(3)))


def test_predicting_from_a_shuffled_loader_is_refused():
    for loader in (
        make_loader(batch(), batch_size=2, shuffle=True, seed=0),
        DataLoader(TensorDataset(*batch()), batch_size=2, shuffle=True),
    ):
        with pytest.raises(SettingsError, match="shuffle=False"):
            Trainer(build_cnn()).predict(loader)
