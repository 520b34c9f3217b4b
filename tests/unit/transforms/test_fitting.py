"""fit_to_model: torchvision's own preprocessing where images are large, nothing lost elsewhere."""

import pytest
import torch
import torchvision
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification
from torchvision.transforms.v2 import functional as F

from coursekit.errors import SettingsError, ShapeError
from coursekit.transforms import fit_to_model

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def configure(size, **changes):
    return {
        "input_size": (3, *size),
        "mean": MEAN,
        "std": STD,
        "interpolation": "bilinear",
        "crop_pct": 0.875,
        **changes,
    }


def draw(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(300, 300), (512, 256), (260, 390), (1024, 512)])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_large_images_are_treated_as_torchvision_does(shape, mode):
    images = draw(2, 3, *shape)
    mode = InterpolationMode(mode)
    theirs = ImageClassification(
        crop_size=224, resize_size=256, interpolation=mode, mean=MEAN, std=STD
    )
    ours = fit_to_model(configure((224, 224), interpolation=mode.value))
    torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(20, 20), (64, 20), (225, 225), (240, 900)])
def test_small_images_are_resized_whole(shape):
    images = draw(2, 3, *shape)
    whole = F.resize(images, [224, 224])
    wanted = F.normalize(whole, list(MEAN), list(STD))
    torch.testing.assert_close(fit_to_model(configure((224, 224)))(images), wanted)


def test_images_of_the_right_size_are_only_normalized():
    images = draw(2, 3, 32, 48)
    fitted = fit_to_model(configure((32, 48)))(images)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    torch.testing.assert_close(fitted, (images - mean) / std)


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0, None])
def test_the_crop_is_that_share_of_the_shorter_side(share):
    """A bright frame just outside the crop must not be seen, just inside it must."""
    size = 64
    kept = round(128 * (share or 1.0))
    edge = (128 - kept) // 2
    fit = fit_to_model(configure((size, size), crop_pct=share, mean=None, std=None))
    outside = torch.ones(1, 3, 128, 128)
    outside[..., edge : 128 - edge, edge : 128 - edge] = 0.0
    inside = torch.ones(1, 3, 128, 128)
    inside[..., edge + 6 : 128 - edge - 6, edge + 6 : 128 - edge - 6] = 0.0
    assert fit(outside)[..., 2:-2, 2:-2].max() < 0.01
    assert fit(inside)[..., 0, :].min() > 0.9


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 3, 64, 64), (2, 5, 3, 64, 64)])
def test_one_image_a_batch_or_more_axes(shape):
    assert fit_to_model(configure((32, 32)))(draw(*shape)).shape == (*shape[:-2], 32, 32)


def test_an_image_is_fitted_alike_alone_and_in_a_batch_and_is_left_as_it_is():
    images = draw(3, 3, 40, 50)
    before = images.clone()
    fit = fit_to_model(configure((32, 32)))
    torch.testing.assert_close(fit(images)[1], fit(images[1]))
    assert torch.equal(images, before)


def test_what_is_not_said_is_neutral():
    fit = fit_to_model({"input_size": (1, 8, 8)})
    torch.testing.assert_close(fit(draw(1, 8, 8)), draw(1, 8, 8))


@pytest.mark.parametrize("name", ["mobilenet_v2", "alexnet", "efficientnet_b0"])
def test_torchvisions_published_preprocessing_is_reached(name):
    weights = torchvision.models.get_model_weights(name).DEFAULT
    wants = weights.transforms()
    (crop,), (resize,) = wants.crop_size, wants.resize_size
    config = {
        "input_size": (3, crop, crop),
        "crop_pct": crop / resize,
        "interpolation": wants.interpolation.value,
        "mean": wants.mean,
        "std": wants.std,
    }
    images = draw(1, 3, 400, 600)
    torch.testing.assert_close(
        fit_to_model(config)(images), wants(images), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("config", [{}, {"input_size": None}, {"input_size": (32, 32)}])
def test_a_configuration_without_a_size_is_refused(config):
    with pytest.raises(SettingsError, match=r"input_size=\(channels, height, width\)"):
        fit_to_model(config)


@pytest.mark.parametrize(
    ("images", "given"),
    [
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), r"torch\.uint8"),
        (torch.zeros(1, 32, 32, 3), r"\(1, 32, 32, 3\)"),
        (torch.zeros(1, 1, 32, 32), r"\(1, 1, 32, 32\)"),
        (torch.zeros(32, 32), r"\(32, 32\)"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(images, given):
    with pytest.raises(ShapeError, match=rf"float in \[0, 1\].*{given}"):
        fit_to_model(configure((32, 32)))(images)
