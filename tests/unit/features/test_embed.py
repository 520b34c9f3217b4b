"""embed, against slow and obvious ways, against its own laws, and for what it leaves behind."""

import copy
from contextlib import suppress

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from coursekit.datasets import ImageSet, make_loader
from coursekit.errors import SettingsError
from coursekit.features import Embeddings, embed


def shake(model):
    """Give batch normalizations statistics that are not trivial."""
    generator = torch.Generator().manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2, generator=generator)
            layer.running_var.uniform_(0.5, 2.0, generator=generator)
            nn.init.uniform_(layer.weight, 0.5, 1.5, generator=generator)
    return model


@pytest.fixture
def net():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)]
    layers += [nn.Conv2d(8, 12, 3, stride=2), nn.BatchNorm2d(12), nn.ReLU(inplace=True)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(12, 5)]
    return shake(nn.Sequential(*layers))


@pytest.fixture
def images():
    return torch.rand(21, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def quick(model, data, **options):
    return embed(model, data, progress_bar=False, device="cpu", **options)


def one_by_one(model, images, layer):
    """Slow and obvious: the oracle. A hook on a copy in evaluation mode, image by image."""
    model, rows = copy.deepcopy(model).eval(), []
    part = model.get_submodule(layer)
    part.register_forward_hook(lambda m, i, o: rows.append(o.detach().clone()))
    with torch.no_grad():
        for image in images:
            model(image[None])
    values = torch.cat(rows)
    return values.mean((2, 3)) if values.ndim == 4 else values


def assert_same(found, truth):
    """Equal but for rounding: folded normalizations and other batch sizes round otherwise."""
    torch.testing.assert_close(found, truth, rtol=0, atol=3e-6 * float(truth.abs().max()))


# --- truths ---------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["0", "4", "9"])  # maps, before an in-place ReLU, rows
def test_every_layer_is_that_of_a_slow_loop(net, images, layer):
    truth = one_by_one(net, images, layer)
    assert_same(quick(net, images, layer=layer).embeddings, truth)


@pytest.mark.parametrize(
    ("name", "n_features"),
    [("mobilenet_v2", 1280), ("shufflenet_v2_x0_5", 1024), ("regnet_y_400mf", 440)],
)
def test_what_feeds_the_head_is_found_in_families_of_torchvision(name, n_features):
    torch.manual_seed(0)
    model = shake(getattr(torchvision.models, name)(weights=None))
    images = torch.rand(3, 3, 64, 64)
    head = "classifier.1" if name == "mobilenet_v2" else "fc"
    found = quick(model, images).embeddings
    assert found.shape == (3, n_features)
    model.eval()
    with torch.no_grad():  # what feeds the head makes the logits
        assert_same(model.get_submodule(head)(found), model(images))
    model.set_submodule(head, nn.Identity())
    assert_same(quick(model, images).embeddings, found)  # its output: no head left


def test_tokens_are_averaged():
    model, x = nn.Sequential(nn.Linear(3, 4), nn.Flatten()), torch.rand(5, 7, 3)
    with torch.no_grad():
        assert_same(quick(model, x, layer="0").embeddings, model[0](x).mean(dim=1))


# --- laws -----------------------------------------------------------------------------


def test_all_kinds_of_data_give_the_same(net):
    pixels = np.random.default_rng(0).integers(0, 256, (21, 16, 16, 3), dtype=np.uint8)
    labels, names = np.arange(21) % 3, ("a", "b", "c", "d")
    given = ImageSet(images=pixels, labels=labels, class_names=names)
    x, y = given.to_tensors()
    truth = quick(net, given)
    assert (truth.n_classes, truth.class_names) == (4, names)
    assert torch.equal(truth.labels, y)
    assert quick(net, x).labels is None
    bytes_of = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    loaders = (
        make_loader(given, batch_size=5),
        DataLoader(TensorDataset(x, y), batch_size=4),
    )
    for data in (x, bytes_of, *loaders, list(x.split(6))):
        assert_same(quick(net, data).embeddings, truth.embeddings)


def test_a_transform_is_that_of_the_data(net, images):
    found = quick(net, images, transform=lambda batch: 1 - batch)
    assert_same(found.embeddings, quick(net, 1 - images).embeddings)


def test_a_model_that_cannot_be_traced_is_taken_as_it_is(images):
    class Choosing(nn.Sequential):
        def forward(self, x):
            return super().forward(x if x.mean() > 2 else x + 1)

    model = shake(Choosing(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()))
    model.append(nn.Linear(784, 2))
    assert_same(quick(model, images).embeddings, one_by_one(model, images, "2"))


# --- what it leaves behind ------------------------------------------------------------


@pytest.mark.parametrize("channels", [3, 2])
def test_the_model_is_left_as_it_was_also_after_an_error(net, images, channels):
    net[1].eval()
    before, modes = copy.deepcopy(net.state_dict()), [part.training for part in net]
    with suppress(RuntimeError):
        quick(net, images[:, :channels], layer="3")
    assert [part.training for part in net] == modes
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net)


def test_nothing_is_drawn_and_the_result_takes_gradients(net, images):
    state = torch.get_rng_state()
    with torch.inference_mode():
        rows = quick(net, images).embeddings
    assert torch.equal(torch.get_rng_state(), state)
    linear = nn.Linear(12, 1)
    linear(rows).sum().backward()
    assert linear.weight.grad is not None


# --- mistakes -------------------------------------------------------------------------


def test_a_layer_that_is_not_there_is_named(net):
    with pytest.raises(SettingsError, match=r"no layer '11'.*named_modules.*mean '1'"):
        quick(net, torch.rand(4, 3, 8, 8), layer="11")


def test_a_loader_that_shuffles_or_has_a_transform_is_refused(net, images):
    pair = images, torch.zeros(21, dtype=torch.int64)
    with pytest.raises(SettingsError, match="shuffle=False"):
        quick(net, make_loader(pair, batch_size=4, shuffle=True, seed=0))
    with pytest.raises(SettingsError, match="give the transform to the loader"):
        quick(net, make_loader(pair, batch_size=4), transform=torch.neg)


def test_a_layer_must_run_once(images):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.unused = nn.Conv2d(3, 3, 1), nn.ReLU()

        def forward(self, x):
            return self.body(self.body(x))

    for layer, words in (("body", "runs 2 times"), ("unused", "runs 0 times")):
        with pytest.raises(SettingsError, match=words):
            quick(Twice(), images, layer=layer)


# --- the record -----------------------------------------------------------------------


def test_a_subset_keeps_rows_labels_and_names():
    given = {"labels": torch.arange(4), "class_names": tuple("abcd")}
    part = Embeddings(embeddings=torch.eye(4), **given).subset(range(3, 0, -2))
    assert torch.equal(part.embeddings, torch.eye(4)[[3, 1]])
    assert (part.labels.tolist(), part.n_classes, len(part)) == ([3, 1], 4, 2)


class Twice(nn.Module):
    """Uses one convolution twice, so that it cannot be folded into two normalizations."""

    def __init__(self):
        super().__init__()
        self.conv, self.one, self.two = (
            nn.Conv2d(3, 3, 1),
            nn.BatchNorm2d(3),
            nn.BatchNorm2d(3),
        )
        self.fc = nn.Linear(3, 2)

    def forward(self, x):
        return self.fc(self.two(self.conv(self.one(self.conv(x)).relu())).mean((2, 3)))


def test_a_shared_layer_is_not_folded_twice():
    torch.manual_seed(0)
    model, images = Twice(), torch.rand(4, 3, 8, 8)
    for _ in range(20):
        model(torch.rand(8, 3, 8, 8))  # statistics worth folding
    with torch.no_grad():
        maps = model.eval().two(model.conv(model.one(model.conv(images)).relu()))
    found = embed(model, images, progress_bar=False).embeddings
    torch.testing.assert_close(found, maps.mean((2, 3)))


def test_a_mask_chooses_where_it_is_true():
    rows = Embeddings(embeddings=torch.eye(4), labels=torch.arange(4))
    assert rows.subset(rows.labels > 1).labels.tolist() == [2, 3]
