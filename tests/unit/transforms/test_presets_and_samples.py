"""Presets, seeded samples, and validation data that a transform must not touch."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch.utils.data import Dataset, random_split
from torchvision.transforms import v2

from coursekit.datasets import ImageSet, make_loader, split_stratified
from coursekit.errors import SettingsError
from coursekit.seeds import seeded
from coursekit.transforms import (
    TASKS,
    PerImage,
    find_changing,
    find_preset,
    preset_from_config,
    sample_transform,
)


def draw(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("image_size", [None, 24])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_a_preset_gives_one_size_and_only_training_is_random(task, image_size, n_channels):
    mean_std = {"mean": [0.5] * n_channels, "std": [0.25] * n_channels}
    preset = find_preset(task, image_size=image_size, **mean_std)
    batch = draw(6, n_channels, 40, 40)
    size = image_size or (224 if task == "photos" else 40)
    with seeded(0, "a"):
        made = [preset.train(batch) for _ in range(2)]
        plain = [preset.evaluation(batch) for _ in range(2)]
    assert made[0].shape == plain[0].shape == (6, n_channels, size, size)
    assert not torch.equal(*made)
    assert torch.equal(*plain)
    with seeded(1, "same image"):
        copies = preset.train(batch[:1].expand(6, -1, -1, -1))
    assert len(copies.flatten(1).unique(dim=0)) > 1


def test_photos_are_normalized_as_imagenet_and_cut_in_the_middle():
    photo = draw(3, 300, 400)
    expected = v2.Compose(
        [
            v2.Resize(256),
            v2.CenterCrop(224),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    torch.testing.assert_close(find_preset("photos").evaluation(photo), expected(photo))


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv2_100", "efficientnet_lite0"])
def test_evaluation_by_a_configuration_is_that_of_timm(name):
    config = timm.get_pretrained_cfg(name).to_dict()
    image = Image.fromarray((draw(280, 350, 3) * 255).to(torch.uint8).numpy())
    theirs = timm.data.create_transform(
        **timm.data.resolve_data_config({}, pretrained_cfg=config)
    )
    pixels = v2.functional.to_dtype(
        v2.functional.to_image(image), torch.float32, scale=True
    )
    ours = preset_from_config(config).evaluation(torch.Tensor(pixels))
    assert ours.shape == theirs(image).shape
    assert (ours - theirs(image)).abs().mean() < 0.02  # theirs resizes bytes, and rounds


def test_land_cover_is_only_turned_and_flipped():
    image = draw(3, 5, 5)
    eight = [x.rot90(k, (1, 2)) for x in (image, image.flip(2)) for k in range(4)]
    with seeded(0, "x"):
        made = find_preset("land-cover").train(image.expand(200, -1, -1, -1))
    found = [next(k for k, x in enumerate(eight) if torch.equal(x, m)) for m in made]
    assert min(np.bincount(found, minlength=8)) > 10


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"task": "faces"}, "presets for 'digits', .* got 'faces'"),
        ({"task": "photos", "image_size": 0}, "image_size .* got 0"),
        ({"task": "photos", "crop_share": 1.5}, "crop_share .* got 1.5"),
        ({"task": "digits", "mean": [0.5]}, "go together"),
        ({"task": "digits", "mean": [0.5], "std": [0.0]}, "std is positive"),
        ({"task": "photos", "interpolation": "box"}, "got 'box'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, words):
    with pytest.raises(SettingsError, match=words):
        find_preset(**arguments)


@pytest.mark.parametrize("config", [{}, {"input_size": (3, 32, 40)}])
def test_a_configuration_without_a_square_size_is_refused(config):
    with pytest.raises(SettingsError, match="input_size"):
        preset_from_config(config)


def test_samples_of_a_seed_are_the_same_however_many():
    image = draw(3, 8, 8)
    few, many = (
        sample_transform(v2.RandomRotation(90), image, n_samples=n, seed=0) for n in (2, 5)
    )
    assert all(torch.equal(a, b) for a, b in zip(few, many, strict=False))
    assert len(torch.stack(many).flatten(1).unique(dim=0)) == 5
    state = torch.get_rng_state()
    sample_transform(v2.RandomRotation(90), image, n_samples=1, seed=0)
    assert torch.equal(torch.get_rng_state(), state)


def test_no_sample_is_refused():
    with pytest.raises(SettingsError, match="n_samples must be at least 1, got 0"):
        sample_transform(v2.RandomInvert(), draw(3, 4, 4), n_samples=0, seed=0)
    with pytest.raises(SettingsError, match="n_items must be at least 1, got 0"):
        find_changing([1], n_items=0)


class Pictures(Dataset):
    """A data set as tutorials write it: it holds its transform."""

    def __init__(self, transform=None, *, is_pil=False):
        self.images, self.transform, self.is_pil = draw(20, 3, 8, 8), transform, is_pil

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = self.images[index]
        image = v2.functional.to_pil_image(image) if self.is_pil else image
        return (self.transform(image) if self.transform else image), index % 2


@pytest.mark.parametrize("is_pil", [False, True])
def test_the_transform_that_two_parts_share_is_found_in_the_validation_part(is_pil):
    """The classic bug: random_split hands out views of one data set."""
    whole = Pictures(is_pil=is_pil)
    train, validation = random_split(whole, [15, 5], torch.Generator().manual_seed(0))
    assert find_changing(train) == find_changing(validation) == []
    train.dataset.transform = v2.RandomRotation(180)  # meant for one part
    assert len(find_changing(validation)) == 5


def test_data_sets_of_their_own_keep_validation_untouched():
    plain, changed = Pictures(), Pictures(v2.RandomRotation(180))
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0)).tolist()
    train = torch.utils.data.Subset(changed, order[:15])
    validation = torch.utils.data.Subset(plain, order[15:])
    assert len(find_changing(train)) == 15
    assert find_changing(validation) == []


def loaders_of_parts(*, bug):
    """Loaders of two parts of one image set; with the bug, both get the training transform."""
    pixels = (draw(40, 8, 8, 3) * 255).to(torch.uint8).numpy()
    images = ImageSet(images=pixels, labels=np.arange(40) % 2, class_names=("a", "b"))
    parts = split_stratified(images, {"train": 30, "validation": 10}, seed=0)
    train = PerImage(v2.RandomRotation(180))
    loaders = {
        name: make_loader(
            part, batch_size=10, transform=train if name == "train" or bug else None
        )
        for name, part in parts.items()
    }
    return parts, loaders


def is_untouched(part, loader):
    """Return whether a loader gives the images of its part as they are."""
    return all(
        torch.equal(torch.cat([x for x, _ in loader.batches(epoch)]), part.to_tensors()[0])
        for epoch in range(2)
    )


def test_validation_data_of_the_course_are_untouched_and_the_bug_would_be_seen():
    parts, loaders = loaders_of_parts(bug=False)
    assert is_untouched(parts["validation"], loaders["validation"])
    assert not is_untouched(parts["train"], loaders["train"])
    parts, loaders = loaders_of_parts(bug=True)
    assert not is_untouched(parts["validation"], loaders["validation"])


def test_a_preset_can_be_varied():
    preset = replace(find_preset("digits"), train=PerImage([]))
    assert preset.task == "digits"
