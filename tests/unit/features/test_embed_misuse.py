"""embed, when misused: every message says what was given and what to do."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, TensorDataset

from coursekit.datasets import ImageSet, make_loader
from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.features import embed


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    )


@pytest.fixture
def images():
    return torch.rand(10, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def quick(model, data, **options):
    return embed(model, data, progress_bar=False, device="cpu", **options)


# --- layers ---------------------------------------------------------------------------


def test_an_unknown_layer_is_answered_with_near_names(images):
    model = nn.Sequential()
    model.add_module("features", nn.Conv2d(3, 4, 3))
    model.add_module("classifier", nn.Linear(4, 2))
    with pytest.raises(SettingsError, match=r"no layer 'feature'. Close names: 'features'"):
        quick(model, images, layer="feature")


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu, self.unused, self.fc = nn.ReLU(), nn.ReLU(), nn.Linear(3, 2)

    def forward(self, images):
        return self.fc(self.relu(self.relu(images).mean((2, 3))))


def test_a_layer_that_is_called_twice_is_refused_with_the_remedy(images):
    with pytest.raises(SettingsError, match=r"'relu' runs 2 times.*record_activations"):
        quick(Twice(), images, layer="relu")


def test_a_layer_that_is_never_called_is_refused(images):
    with pytest.raises(SettingsError, match="'unused' does not run"):
        quick(Twice(), images, layer="unused")


class Several(nn.Module):
    def forward(self, images):
        return {"maps": images}


@pytest.mark.parametrize(
    ("layer", "given", "error"),
    [
        (Several(), "dict", DataError),
        (lambda x: x.mean((2, 3)).argmax(1)[:, None], "torch.int64", DataError),
        (lambda x: x.sum((1, 2, 3)), r"\(10,\)", ShapeError),
        (lambda x: x.reshape(30, 64), "30 rows for 10 samples", ShapeError),
    ],
    ids=["dict", "whole numbers", "one number", "samples and channels mixed"],
)
def test_a_layer_that_gives_no_rows_is_refused(images, layer, given, error):
    class Inner(nn.Module):
        def forward(self, x):
            return layer(x)

    with pytest.raises(error, match=given):
        quick(nn.Sequential(Inner(), Several()), images, layer="0")


# --- data -----------------------------------------------------------------------------


def test_empty_data_are_told(net, images):
    empty = ImageSet(images=np.zeros((0, 8, 8, 3), np.uint8), labels=[], class_names=("a",))
    with pytest.raises(DataError, match="holds no image"):
        quick(net, empty)
    with pytest.raises(DataError, match=r"at least one sample, got \(0, 3, 8, 8\)"):
        quick(net, images[:0])
    for loader in ([], DataLoader(TensorDataset(images[:0]), batch_size=2)):
        with pytest.raises(DataError, match="no batch"):
            quick(net, loader)


def test_a_single_image_needs_an_axis_for_images(net, images):
    with pytest.raises(
        ShapeError, match=r"got \(3, 8, 8\). Of a single image: image\[None\]"
    ):
        quick(net, images[0])
    assert len(quick(net, images[0][None])) == 1


def test_images_with_channels_last_are_told(net, images):
    with pytest.raises(ShapeError, match=r"wants 3 channels.*permute\(0, 3, 1, 2\)"):
        quick(net, images.permute(0, 2, 3, 1))


def test_images_of_a_size_that_does_not_fit_are_told(images):
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.ReLU(), nn.Linear(4, 2))
    quick(model, images)
    with pytest.raises(ShapeError, match=r"In batch 1: .*reached layer '1'.*192 features"):
        quick(model, images[:, :, :6])


def test_gray_images_are_told(net, images):
    with pytest.raises(ShapeError, match=r"wants 3 channels, but gets \(10, 1, 8, 8\)"):
        quick(net, images[:, :1])


def test_lazy_images_of_different_sizes_are_told(net):
    sizes = [np.zeros((size, 8, 3), np.uint8) for size in (8, 9, 8)]
    images = ImageSet(images=sizes, labels=[0, 0, 0], class_names=("a",))
    with pytest.raises(ShapeError, match="images of one size, got 2 sizes"):
        quick(net, images)


def test_doubles_are_told(net, images):
    with pytest.raises(DataError, match=r"torch.float64, its weights are torch.float32"):
        quick(net, images.double())


def test_brightness_as_bytes_is_scaled_as_that_of_an_image_set(net):
    pixels = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(
        quick(net, pixels).embeddings, quick(net, pixels.float() / 255).embeddings
    )


def test_bytes_in_batches_of_others_are_not_guessed_at(net):
    pixels = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    with pytest.raises(DataError, match="divided by 255 if they are brightness"):
        quick(net, DataLoader(TensorDataset(pixels), batch_size=2))


def test_an_array_is_answered_with_both_remedies(net, images):
    with pytest.raises(DataError, match=r"ndarray of shape.*ImageSet\(.*torch.from_numpy"):
        quick(net, images.numpy())


@pytest.mark.parametrize("batch", [{"image": 1}, "text", (), [3]])
def test_batches_of_something_else_are_told(net, batch):
    with pytest.raises(DataError, match="In batch 1: a batch must be inputs"):
        quick(net, [batch])


def test_no_loader_at_all_is_told(net):
    with pytest.raises(DataError, match="got int"):
        quick(net, 3)


@pytest.mark.parametrize("kind", ["coursekit", "torch", "sampler", "batch sampler"])
def test_a_loader_that_shuffles_is_refused(net, images, kind):
    dataset = TensorDataset(images)
    sampler = torch.utils.data.BatchSampler(RandomSampler(dataset), 2, drop_last=False)
    labels = torch.zeros(10, dtype=torch.int64)
    loader = {
        "coursekit": make_loader((images, labels), batch_size=2, shuffle=True, seed=0),
        "torch": DataLoader(dataset, batch_size=2, shuffle=True),
        "sampler": DataLoader(dataset, batch_size=2, sampler=RandomSampler(dataset)),
        "batch sampler": DataLoader(dataset, batch_sampler=sampler),
    }[kind]
    with pytest.raises(SettingsError, match="shuffle=False"):
        quick(net, loader)


def test_a_loader_that_drops_samples_is_refused(net, images):
    labels = torch.zeros(10, dtype=torch.int64)
    for loader in (
        make_loader((images, labels), batch_size=4, drop_last=True),
        DataLoader(images, batch_size=4, drop_last=True),
    ):
        with pytest.raises(SettingsError, match="drops the last 2 of 10"):
            quick(net, loader)
    assert len(quick(net, DataLoader(images, batch_size=5, drop_last=True))) == 10


def test_a_transform_beside_a_loader_is_refused(net, images):
    with pytest.raises(SettingsError, match="has a transform of its own"):
        quick(net, DataLoader(images, batch_size=2), transform=lambda batch: batch)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(torch.ones(6, 3, 8, 8))


def test_data_that_only_come_one_after_the_other_are_taken_but_not_into_a_file(
    net, tmp_path
):
    loader = DataLoader(Stream(), batch_size=4)
    assert len(quick(net, loader)) == 6
    with pytest.raises(SettingsError, match="how many samples there will be"):
        quick(net, loader, file=tmp_path / "rows")


# --- numbers --------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_sample_that_is_not_finite_is_named(net, images, value):
    images[7, 0, 3, 3] = value
    with pytest.raises(DataError, match=r"batch 2.*row 2 is NaN or inf.*sample itself"):
        quick(net, DataLoader(images, batch_size=5))


def test_weights_that_are_not_finite_are_named(net, images):
    with torch.no_grad():
        net[0].weight[0] = torch.nan
    with pytest.raises(DataError, match=r"row 0 .*The sample is finite.*weights"):
        quick(net, images)


def test_embeddings_of_zeros_are_what_they_are(net, images):
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.fill_(-1)
    assert not quick(net, images).embeddings.any()


# --- settings -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "bf16"}, "'float32' or 'bfloat16', got 'bf16'"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"pool": "max"}, "pool must be 'mean' or 'flatten', got 'max'"),
        ({"device": "abacus"}, "A device is named like"),
    ],
)
def test_a_wrong_setting_is_told(net, images, options, words):
    with pytest.raises(SettingsError, match=words):
        embed(net, images, **options)


def test_what_is_no_model_is_told(net, images):
    with pytest.raises(SettingsError, match=r"must be an nn\.Module, got function"):
        quick(lambda x: x, images)


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit.trace:FutureWarning", "ignore::DeprecationWarning"
)
def test_a_script_is_told(net, images):
    with pytest.raises(SettingsError, match="Give the model that it was made from"):
        quick(torch.jit.trace(net, images), images)
