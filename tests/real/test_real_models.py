"""Networks with real weights on real images, without a network connection."""

import json

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import nn
from torchvision.models import mobilenet_v2
from torchvision.transforms.v2 import functional as F

from coursekit.datasets import load_folder, load_imagenet_classes
from coursekit.datasets.stored import load_published
from coursekit.features import (
    Embeddings,
    classify_by_neighbors,
    embed,
    find_neighbors,
    fit_head,
)
from coursekit.models import build_residual, put_head
from coursekit.models.states import build_from_state, read_state
from coursekit.transforms import preset_from_config

pytestmark = pytest.mark.real

FILES = {
    "mobilenet_v2": "mobilenet_v2-from-coral-tf2-ptq-int8.pth",
    "squeezenet1_1": "squeezenet1_1-from-openvino-fp16.pth",
}
# What those weights were trained with: the mean and deviation of ImageNet's colors.
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def prepare(images):
    return F.normalize(F.resize(images, [96, 96], antialias=True), MEAN, DEVIATION)


def load_cifar(folder, part):
    return load_published("cifar10", folder / "cifar10_subset", part)


def accuracy_of(head, part):
    return (head(part.embeddings).argmax(1) == part.labels).float().mean().item()


OPTIONS = {"transform": prepare, "device": "cpu", "progress_bar": False}


def test_a_residual_net_with_shared_weights_reaches_their_accuracy(real):
    path = real / "weights" / "resnet20-12fca82f.th"
    saved = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    model = build_residual(20, n_classes=10, seed=0).eval()
    model.load_state_dict({k.removeprefix("module."): v for k, v in saved.items()})
    images, labels = load_cifar(real, "test").to_tensors()
    with torch.inference_mode():
        guesses = model(F.normalize(images, MEAN, DEVIATION)).argmax(dim=1)
    assert (guesses == labels).double().mean() == pytest.approx(0.915, abs=0.002)


def test_the_shipped_class_names_are_those_of_the_class_index(real):
    index = json.loads((real / "imagenet_class_index.json").read_text(encoding="utf-8"))

    def plain(name):
        return name.lower().replace("_", " ").replace("-", " ").replace("'", "")

    pairs = {name: index[str(i)][1] for i, name in enumerate(load_imagenet_classes())}
    assert len(pairs) == len(index) == 1000
    differ = {name: word for name, word in pairs.items() if plain(name) != plain(word)}
    # The index has two of each; torchvision tells them apart.
    assert differ == {"crane bird": "crane", "maillot tank suit": "maillot"}


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_exact_search_finds_what_scikit_learn_finds(real, metric):
    """In the pixels of MNIST, 60,000 x 784."""

    def read_pixels(part):
        content = (real / "MNIST" / "raw" / f"{part}-images-idx3-ubyte").read_bytes()
        pixels = np.frombuffer(content, np.uint8)[16:].reshape(-1, 784)
        return torch.from_numpy(pixels.copy())

    queries, bank = read_pixels("t10k")[:2000], read_pixels("train")
    found = find_neighbors(queries, bank, k=10, metric=metric)
    theirs = NearestNeighbors(n_neighbors=10, algorithm="brute", metric=metric)
    asked = slice(0, 2000, 20)
    theirs.fit(bank.double().numpy())
    distances, indices = theirs.kneighbors(queries[asked].double().numpy())
    values = 1 - found.values[asked] if metric == "cosine" else found.values[asked]
    np.testing.assert_allclose(values, distances, rtol=1e-5, atol=1e-5)
    assert (found.indices[asked].numpy() == indices).mean() > 0.999  # ties in another order


# --- MobileNetV2 on CIFAR-10 ----------------------------------------------------------


@pytest.fixture(scope="module")
def net(real):
    model = mobilenet_v2(weights=None)
    path = real / "weights" / FILES["mobilenet_v2"]
    model.load_state_dict(torch.load(path, weights_only=True))
    return model  # in training mode, as it comes


@pytest.fixture(scope="module")
def images(real):
    parts = (("train", 512), ("test", 128))
    return [load_cifar(real, part).sample(n, seed=0) for part, n in parts]


@pytest.fixture(scope="module")
def embedded(net, images):
    return [embed(net, part, **OPTIONS) for part in images]


def test_embeddings_beat_pixels_and_late_layers_early_ones(net, images, embedded):
    pixels = []
    for part in images:
        values, labels = part.to_tensors()
        pixels.append(Embeddings(embeddings=values.flatten(1), labels=labels))
    ours = classify_by_neighbors(*embedded, k=5).accuracy
    assert ours >= classify_by_neighbors(*pixels, k=5).accuracy + 0.2
    assert accuracy_of(fit_head(embedded[0], seed=0), embedded[1]) >= ours - 0.02
    early, late = (
        classify_by_neighbors(*(embed(net, p, layer=name, **OPTIONS) for p in images))
        for name in ("features.1", "features.18")
    )
    assert late.accuracy >= early.accuracy + 0.15


# --- ants and bees --------------------------------------------------------------------


@pytest.fixture(scope="module")
def insects(real):
    return [load_folder(real / "hymenoptera_data" / part) for part in ("train", "val")]


def open_backbone(folder, name):
    return build_from_state(name, read_state(folder / "weights" / FILES[name]))


# The published tutorial reaches 96.1 % with ResNet-18 frozen, 94.1 % fine-tuned.
@pytest.mark.parametrize(
    ("name", "least"), [("mobilenet_v2", 0.95), ("squeezenet1_1", 0.89)]
)
def test_a_head_on_frozen_features_tells_ants_from_bees(real, insects, name, least):
    backbone = open_backbone(real, name)
    config = dict(backbone.pretrained_cfg, crop_pct=0.875)
    preset = preset_from_config(config, task="insects")
    options = {"transform": preset.evaluation, "progress_bar": False}
    train, test = (embed(backbone, part, **options) for part in insects)
    assert accuracy_of(fit_head(train, n_epochs=50, seed=0), test) >= least


def test_a_fitted_head_in_a_real_network_gives_the_logits_of_its_embeddings(real, insects):
    backbone = open_backbone(real, "squeezenet1_1")
    preset = preset_from_config(dict(backbone.pretrained_cfg), task="insects")
    chosen = [torch.from_numpy(insects[1].images[i].copy()) for i in (0, 100)]
    images = torch.stack([preset.evaluation(i.permute(2, 0, 1) / 255) for i in chosen])
    head = nn.Linear(512, 2)
    features = embed(backbone, images, progress_bar=False).embeddings
    with torch.inference_mode():
        logits = put_head(backbone, head)(images)
        torch.testing.assert_close(logits, head(features), rtol=1e-3, atol=1e-3)
