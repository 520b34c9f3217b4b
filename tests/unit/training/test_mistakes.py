"""What goes wrong in training is said with the batch, the cause and the remedy."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from coursekit.datasets import make_loader
from coursekit.errors import DataError, SettingsError, ShapeError, TrainingError
from coursekit.training import Trainer, TrainSettings
from coursekit.training.checks import check_labels

QUIET = TrainSettings(progress_bar=False)


def build_cnn():
    layers = [nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(384, 4))


def batch(n=4, shape=(3, 8, 8)):
    return torch.rand(n, *shape), torch.arange(n) % 4


def fit(model, *batches, loader=None, **options):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = Trainer(model, optimizer=optimizer, settings=QUIET, device="cpu", **options)
    return trainer.fit([*batches] if loader is None else loader, n_epochs=2)


def with_labels(labels):
    return batch()[0], labels


class Skip(nn.Module):
    """Adds what differs in channels, outside of any layer."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 6, 1)

    def forward(self, x):
        return x + self.conv2(self.conv1(x))


class Pooling(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return F.max_pool2d(self.conv(x), 9)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_epoch_step_and_rate_before_it_does_harm(value):
    good, bad, model = batch(), batch(), build_cnn()
    bad[0][2, 0, 1, 1] = value
    words = r"became nan in epoch 1, step 3 \(batch 3 .*rate 0\.1\. Lower the rate"
    with pytest.raises(TrainingError, match=words):
        fit(model, good, good, bad)
    assert all(parameter.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (with_labels(torch.tensor([0, 1, 4, 2])), DataError, r"label 4 \(row 2\).* 4 logits.*0 \.\. 3.*one output"),
        (with_labels(torch.tensor([0, -1, 1, 2])), DataError, r"label -1 \(row 1\)"),
        (with_labels(torch.tensor([-100] * 4)), DataError, "all labels are -100.*ignore_index"),
        (with_labels(torch.arange(4).int()), DataError, r"labels are torch\.int32.*labels\.long\(\)"),
        (with_labels(torch.arange(3)), DataError, "4 inputs with 3 labels"),
        (with_labels([0, 1]), DataError, r"\(Tensor, list\)"),
        (torch.zeros(2, 3, 8, 8), DataError, "a pair of tensors.*got Tensor"),
        (batch(0), DataError, "0 inputs with 0 labels"),
        (batch(shape=(1, 8, 8)), ShapeError, r"shape \(4, 1, 8, 8\) reached layer '0', Conv2d\(3, 6.*wants 3 channels.*Give the images 3"),
        (batch(shape=(8, 8, 3)), ShapeError, r"images\.permute\(0, 3, 1, 2\)"),
        (batch(shape=(3, 10, 10)), ShapeError, r"layer '4', Linear.*wants 384 features.*nn\.Linear\(600, 4\)"),
        ((batch()[0].double(), batch()[1]), DataError, r"'0', Conv2d.* as torch\.float64.*inputs\.float\(\)"),
    ],
)  # fmt: skip
def test_a_batch_that_does_not_fit_is_named_with_its_remedy(given, error, words):
    with pytest.raises(error, match=f"In epoch 1, batch 2.*{words}"):
        fit(build_cnn(), batch(), given)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(144, 4)), r"Put nn\.Flatten\(\) before it"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(9)), r"layer '1', MaxPool2d.*cannot take"),
        (nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(0, 2), nn.Linear(8, 4)), r"x\.flatten\(1\), not"),
        (Skip(), r"after layer 'conv2' returned \(4, 6, 8, 8\), in the forward of Skip"),
        (nn.Sequential(Pooling()), r"after layer '0\.conv' returned \(4, 4, 6, 6\).*forward of Pooling"),
    ],
)  # fmt: skip
def test_a_model_that_does_not_fit_names_the_layer_at_work(model, words):
    with pytest.raises(ShapeError, match=words):
        fit(model, batch())


def test_a_batch_of_one_under_batch_norm_says_drop_last():
    layers = nn.Flatten(), nn.Linear(192, 8), nn.BatchNorm1d(8), nn.Linear(8, 4)
    words = r"epoch 1, batch 2.*'2', BatchNorm1d\(.* as a batch of one.*drop_last=True"
    with pytest.raises(ShapeError, match=words):
        fit(nn.Sequential(*layers), batch(), batch(1))


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.L1Loss(), nn.HuberLoss()])
def test_a_column_is_not_compared_with_a_row(loss):
    data = torch.rand(4, 3), torch.rand(4)
    with pytest.raises(ShapeError, match=r"\(4, 1\) and .*\(4,\).*labels\[:, None\]"):
        fit(nn.Linear(3, 1), data, loss=loss, metrics=())


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        (torch.tensor([0, 1, 0, 1]), ShapeError, r"equal shapes.*labels\[:, None\]"),
        (torch.tensor([[0], [1], [0], [1]]), DataError, r"torch\.int64.*labels\.float\(\)"),
    ],
)
def test_binary_labels_are_told_their_shape_before_their_type(labels, error, words):
    with pytest.raises(error, match=words):
        fit(nn.Linear(3, 1), (torch.rand(4, 3), labels), loss=nn.BCEWithLogitsLoss())


def test_labels_are_checked_before_an_accelerator_sees_them():
    with pytest.raises(DataError, match=r"label 3 \(row 1\)"):
        check_labels(torch.zeros(2, 3), torch.tensor([0, 3]), nn.CrossEntropyLoss(), "here")


def test_outputs_and_losses_that_are_no_number_are_told():
    class Named(nn.Linear):
        def forward(self, x):
            return {"logits": super().forward(x)}

    data = torch.rand(4, 3), torch.arange(4)
    with pytest.raises(DataError, match=r"got dict.*Wrap it in a module"):
        fit(Named(3, 4), data)
    with pytest.raises(ShapeError, match=r'reduction="mean".*got \(4,\)'):
        fit(nn.Linear(3, 4), data, loss=nn.CrossEntropyLoss(reduction="none"))


def test_an_error_of_the_models_own_keeps_its_type_and_tells_the_batch():
    class Broken(nn.BatchNorm1d):
        def forward(self, images):
            msg = "something of its own"
            raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="something of its own") as caught:
        fit(Broken(3), batch())
    assert caught.value.__notes__ == ["This happened in epoch 1, batch 1."]


def test_an_optimizer_that_cannot_train_the_model_is_refused():
    model, other = build_cnn(), build_cnn()
    with pytest.raises(TrainingError, match=r"6 of its 6 belong.*Adam\(model\.parameters"):
        Trainer(model, optimizer=torch.optim.SGD(other.parameters(), lr=0.1))
    with pytest.raises(TrainingError, match="has only frozen parameters"):
        fit(nn.Linear(2, 2).requires_grad_(False), batch())
    with pytest.raises(SettingsError, match="LBFGS computes the loss several times"):
        Trainer(model, optimizer=torch.optim.LBFGS(model.parameters()))
    with pytest.raises(SettingsError, match="needs an optimizer"):
        Trainer(model).fit([batch()], n_epochs=1)


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(SettingsError, match="scheduler_every must be"):
        TrainSettings(scheduler_every="batch")
    with pytest.raises(ShapeError, match=r"'cross_entropy'.*shape \(4,\), got \(\)"):
        fit(build_cnn(), batch(), metrics=(F.cross_entropy,))


def test_loaders_that_give_nothing_or_only_once_are_refused():
    small = make_loader(batch(5), batch_size=8, drop_last=True)
    for loader in (small, []):
        with pytest.raises(DataError, match="no batch"):
            Trainer(build_cnn()).evaluate(loader)
    with pytest.raises(DataError, match="generator gives its batches once, and 2 epochs"):
        fit(build_cnn(), loader=(batch() for _ in range(3)))


def test_a_stream_of_unknown_length_is_taken():
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(TensorDataset(*batch(8)))

    loader = DataLoader(Stream(), batch_size=4)
    assert len(fit(build_cnn(), loader=loader).step_losses) == 4


def test_predicting_from_a_shuffled_loader_is_refused():
    for loader in (
        make_loader(batch(), batch_size=2, shuffle=True, seed=0),
        DataLoader(TensorDataset(*batch()), batch_size=2, shuffle=True),
    ):
        with pytest.raises(SettingsError, match="shuffle=False"):
            Trainer(build_cnn()).predict(loader)
