"""Presets, mixed batches and looks at transforms, against torchvision and timm."""

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch.utils.data import random_split
from torchvision.transforms import v2

from coursekit.datasets import make_loader
from coursekit.errors import SettingsError, ShapeError
from coursekit.seeds import seeded
from coursekit.transforms import (
    find_changing,
    fit_to_model,
    mix_batches,
    preset_from_config,
    sample_transform,
)

CONFIG = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.25,) * 3}
BYTES = (torch.rand(3, 60, 60) * 200 + 20).to(torch.uint8)  # none is black or white


def draw(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_usual_mistakes_are_named():
    with pytest.raises(SettingsError, match="got 'faces'"):
        preset_from_config(CONFIG, task="faces")
    for images in (BYTES, draw(8, 8, 3)):
        with pytest.raises(ShapeError, match=r"float in \[0, 1\].*got torch\.\w+ of shape"):
            fit_to_model(CONFIG)(images)


# --- what a network wants -------------------------------------------------------------


@pytest.mark.parametrize("name", ["alexnet", "efficientnet_b0"])
def test_large_images_are_fitted_as_torchvision_evaluates(name):
    wants = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    (crop,), (resize,) = wants.crop_size, wants.resize_size
    config = {
        "input_size": (3, crop, crop),
        "crop_pct": crop / resize,
        "interpolation": wants.interpolation.value,
        "mean": wants.mean,
        "std": wants.std,
    }
    images = draw(2, 3, 400, 600)
    torch.testing.assert_close(
        fit_to_model(config)(images), wants(images), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("shape", [(20, 20), (64, 20), (33, 33)])
def test_small_images_are_resized_whole(shape):
    images = draw(2, 3, *shape)
    fitted = fit_to_model({**CONFIG, "crop_pct": 0.875})(images)
    wanted = (v2.functional.resize(images, [32, 32]) - 0.5) / 0.25
    torch.testing.assert_close(fitted, wanted)
    torch.testing.assert_close(fitted[1], fit_to_model(CONFIG)(images[1]))


def test_evaluation_by_a_configuration_is_that_of_timm():
    config = timm.get_pretrained_cfg("efficientnet_lite0").to_dict()
    settings = timm.data.resolve_data_config({}, pretrained_cfg=config)
    image = (draw(3, 280, 350) * 255).to(torch.uint8)
    theirs = timm.data.create_transform(**settings)(v2.functional.to_pil_image(image))
    ours = preset_from_config(config, task="photos").evaluation(image / 255)
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().mean() < 0.02  # theirs resizes bytes, and rounds


def test_land_cover_is_only_turned_and_flipped():
    image = draw(3, 32, 32)
    train, evaluation = preset_from_config(CONFIG, task="land-cover")
    eight = [x.rot90(k, (1, 2)) for x in (image, image.flip(2)) for k in range(4)]
    with seeded(0, "x"):
        made = train(image.expand(200, -1, -1, -1)) * 0.25 + 0.5
    found = [next(k for k, x in enumerate(eight) if torch.allclose(x, m)) for m in made]
    assert min(np.bincount(found, minlength=8)) > 10
    torch.testing.assert_close(evaluation(image), (image - 0.5) / 0.25)


@pytest.mark.parametrize("task", ["digits", "objects", "insects", "photos"])
def test_training_is_random_and_evaluation_is_not(task):
    images = draw(3, 40, 48).expand(6, -1, -1, -1)
    train, evaluation = preset_from_config(CONFIG, task=task)
    assert train(images).shape == evaluation(images).shape == (6, 3, 32, 32)
    assert len(train(images).unique(dim=0)) == 6
    assert len(evaluation(images).unique(dim=0)) == 1


# --- looks ----------------------------------------------------------------------------


def test_samples_of_a_seed_are_the_same_however_many():
    image, state = draw(3, 8, 8), torch.get_rng_state()
    few, many = (
        sample_transform(v2.RandomRotation(90), image, n_samples=n, seed=0) for n in (2, 5)
    )
    assert all(torch.equal(*pair) for pair in zip(few, many, strict=False))
    assert len(torch.stack(many).unique(dim=0)) == 5
    assert torch.equal(torch.get_rng_state(), state)


class Pictures(list):
    """A data set as tutorials write it: it holds its transform."""

    transform = v2.Identity()

    def __getitem__(self, index):
        return self.transform(super().__getitem__(index)), index % 2


@pytest.mark.parametrize("image", [BYTES, v2.functional.to_pil_image(BYTES)], ids=type)
def test_the_transform_that_two_parts_share_is_found_in_the_validation_part(image):
    whole = Pictures([image] * 20)
    train, validation = random_split(whole, [15, 5], torch.Generator().manual_seed(0))
    assert find_changing(train) == find_changing(validation) == []
    whole.transform = v2.RandomRotation(180)  # meant for one part
    assert len(find_changing(validation)) == 5
    assert len(find_changing(train, n_items=4)) == 4


def test_batches_are_mixed_by_the_seed_of_the_loader():
    data = draw(10, 3, 4, 4), torch.arange(10) % 5
    loader = make_loader(data, batch_size=4, shuffle=True, seed=0)
    mixed = mix_batches(loader, v2.MixUp(num_classes=5))
    first, again = (list(mixed.batches(epoch=1)) for _ in range(2))
    assert [tuple(labels.shape) for _, labels in first] == [(4, 5), (4, 5), (2, 5)]
    for (x, y), (same, _), (plain, _) in zip(first, again, loader.batches(1), strict=True):
        assert torch.equal(x, same)
        assert not torch.equal(x, plain)
        torch.testing.assert_close(y.sum(1), torch.ones(len(y)))
