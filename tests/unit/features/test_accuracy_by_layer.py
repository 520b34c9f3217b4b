"""accuracy_by_layer, against one embedding a layer, on nets whose answer is known."""

import pytest
import torch
import torchvision
from torch import nn

from coursekit.errors import DataError, SettingsError
from coursekit.features import accuracy_by_layer, classify_by_neighbors, embed
from coursekit.features.layers import usual_places


@pytest.fixture(scope="module")
def parts():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 4
    images = torch.rand(40, 3, 12, 12, generator=generator) * 0.8
    images[torch.arange(40), labels % 3] += 0.2 + 0.1 * labels.float()[:, None, None]
    return (images[:24], labels[:24]), (images[24:], labels[24:])


class Net(nn.Module):
    """Stages of every kind: with weights and without, called twice, of odd outputs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 6, 3)
        self.relu = nn.ReLU(inplace=True)
        self.stages = nn.Sequential(
            nn.Sequential(nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8)),
            nn.Conv2d(8, 10, 3, stride=2),
        )
        self.twice = nn.Linear(10, 10)
        self.pair = Pair()
        self.never = nn.Linear(2, 2)
        self.dead = nn.Linear(10, 7)
        nn.init.zeros_(self.dead.weight)
        nn.init.zeros_(self.dead.bias)
        self.head = nn.Sequential(nn.Dropout(), nn.Linear(10, 4))

    def forward(self, images):
        rows = self.stages(self.relu(self.stem(images))).mean((2, 3))
        rows = self.twice(self.twice(rows))
        rows, _ = self.pair(rows)
        self.dead(rows)
        return self.head(rows)


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, rows):
        return rows * self.scale, rows


def test_each_layer_is_judged_as_by_an_embedding_of_its_own(parts):
    model = Net()
    found = accuracy_by_layer(model, *parts, k=3, device="cpu", progress_bar=False)
    names = ["stem", "stages.0.0", "stages.0.1", "stages.1", "dead", "input of head"]
    assert [row.layer for row in found] == names
    for row in found:
        layer = None if row.layer.startswith("input") else row.layer
        train, test = (
            embed(model, part, layer=layer, device="cpu", progress_bar=False)
            for part in parts
        )
        assert row.n_features == train.n_features
        if row.layer != "dead":
            votes = classify_by_neighbors(train, test, k=3)
            assert row.accuracy == pytest.approx(votes.accuracy)


def test_rows_of_zeros_are_not_measured_and_say_why(parts):
    found = accuracy_by_layer(Net(), *parts, device="cpu", progress_bar=False)
    (dead,) = [row for row in found if row.layer == "dead"]
    assert dead.accuracy is None
    assert str(dead).startswith("dead: not measured (")
    assert "dead" not in found.accuracies
    assert found.to_frame()["accuracy"].isna().sum() == 1
    assert len(found.to_frame()) == len(found)
    near = accuracy_by_layer(
        Net(), *parts, metric="euclidean", device="cpu", progress_bar=False
    )
    assert near.accuracies["dead"] is not None


def test_a_layer_that_makes_all_images_equal_is_seen(parts):
    class Leveler(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Parameter(torch.ones(()))

        def forward(self, images):
            return images * 0 + self.one

    model = nn.Sequential(
        nn.Conv2d(3, 3, 1),
        Leveler(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(3, 4),
    )
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(3)[:, :, None, None])
        model[0].bias.zero_()
    found = accuracy_by_layer(model, *parts, k=3, device="cpu", progress_bar=False)
    assert found.accuracies["0"] >= 0.9
    assert found.accuracies["1"] == 0.25
    assert found.best.layer == "0"


def test_layers_may_be_named_and_keep_that_order(parts):
    layers = ["stages.1", "stem", "head"]
    found = accuracy_by_layer(
        Net(), *parts, layers=layers, device="cpu", progress_bar=False
    )
    assert [row.layer for row in found] == layers
    assert [row.n_features for row in found] == [10, 6, 4]


def test_the_model_is_left_as_it_was(parts):
    model = Net().train()
    accuracy_by_layer(model, *parts, device="cpu", progress_bar=False)
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("build", "first", "last", "n_least"),
    [
        ("resnet18", "conv1", "input of fc", 10),
        ("mobilenet_v2", "features.0", "input of classifier.1", 19),
        ("alexnet", "features.0", "input of classifier.6", 7),
        ("squeezenet1_1", "features.0", "input of classifier.1", 9),
        ("densenet121", "features.conv0", "input of classifier", 2),
        ("vit_b_16", "conv_proj", "input of heads.head", 2),
    ],
)
def test_the_usual_layers_are_the_stages_of_a_model(build, first, last, n_least):
    with torch.device("meta"):
        model = getattr(torchvision.models, build)(weights=None)
    names = list(usual_places(model))
    assert (names[0], names[-1]) == (first, last)
    assert len(names) >= n_least


def test_a_model_inside_another_is_looked_into():
    model = nn.ModuleDict({"net": Net()})
    assert "net.stem" in usual_places(model)


@pytest.mark.parametrize("layers", [[], "stem"])
def test_no_list_of_names_is_told(parts, layers):
    with pytest.raises(SettingsError, match=r"several names.*\['layer1', 'layer2'\]"):
        accuracy_by_layer(Net(), *parts, layers=layers, progress_bar=False)


@pytest.mark.parametrize(
    ("layer", "words"),
    [("sten", "Close names: 'stem'"), ("twice", "2 times"), ("never", "does not run")],
)
def test_a_named_layer_that_cannot_be_judged_is_told(parts, layer, words):
    with pytest.raises(SettingsError, match=words):
        accuracy_by_layer(Net(), *parts, layers=["stem", layer], progress_bar=False)


def test_data_without_labels_are_told(parts):
    (images, labels), _ = parts
    with pytest.raises(DataError, match="the train data have none"):
        accuracy_by_layer(Net(), images, (images, labels), progress_bar=False)
    with pytest.raises(DataError, match="the test data have none"):
        accuracy_by_layer(Net(), (images, labels), images, progress_bar=False)
    with pytest.raises(SettingsError, match="k=99"):
        accuracy_by_layer(Net(), *parts, k=99, progress_bar=False)
