"""The package's own transforms: what they change and what they leave, for every input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.transforms import (
    PerImage,
    RandomQuarterTurn,
    RandomShift,
    SaltAndPepper,
    apply_seeded,
)

WAYS = [lambda transform: transform, PerImage]
WAY_NAMES = ["alone", "per image"]


def draw(*shape, low=0.1, high=0.9):
    values = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return low + (high - low) * values


def inputs():
    """One of each kind; no pixel is black or white."""
    floats, grays = draw(3, 90, 80), draw(1, 90, 80)
    as_bytes = (floats * 255).to(torch.uint8)
    yield "RGB tensor", floats
    yield "gray tensor", grays
    yield "double tensor", floats.double()
    yield "bytes", as_bytes
    yield "batch", draw(4, 3, 90, 80)
    yield "batch of gray bytes", (draw(4, 1, 90, 80) * 255).to(torch.uint8)
    yield "tv_tensor", tv_tensors.Image(as_bytes)
    yield "RGB image", v2.functional.to_pil_image(as_bytes)
    yield "gray image", v2.functional.to_pil_image((grays * 255).to(torch.uint8))


def pixels(image):
    """Return an array (..., channels, height, width)."""
    if isinstance(image, Image.Image):
        return v2.functional.pil_to_tensor(image).numpy()
    return image.numpy()


INPUTS = [pytest.param(value, id=name) for name, value in inputs()]


@pytest.mark.parametrize("way", WAYS, ids=WAY_NAMES)
@pytest.mark.parametrize("image", INPUTS)
def test_noise_hits_its_share_in_all_channels_and_leaves_the_rest(image, way):
    before = pixels(image).copy()
    made = apply_seeded(way(SaltAndPepper(0.2, salt=0.25)), image, seed=0)
    after = pixels(made)
    assert type(made) is type(image)
    assert after.dtype == before.dtype
    assert after.shape == before.shape
    white = 255 if before.dtype == np.uint8 else 1
    is_hit = (after != before).any(axis=-3)
    is_salt, is_pepper = (after == white).all(axis=-3), (after == 0).all(axis=-3)
    assert (is_hit == (is_salt | is_pepper)).all()
    n = is_hit.size
    for share, hits in ((0.2, is_hit), (0.05, is_salt), (0.15, is_pepper)):
        assert abs(hits.mean() - share) < 4 * (share * (1 - share) / n) ** 0.5
    assert (pixels(image) == before).all()


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 1), salt=st.floats(0, 1), seed=st.integers(0, 99))
def test_noise_of_any_share_is_within_chance_of_it(share, salt, seed):
    image = torch.full((1, 50, 50), 0.5)
    made = apply_seeded(SaltAndPepper(share, salt=salt), image, seed=seed)
    assert set(made.unique().tolist()) <= {0.0, 0.5, 1.0}
    for value, expected in ((1.0, share * salt), (0.0, share * (1 - salt))):
        error = (expected * (1 - expected) / 2500) ** 0.5
        assert abs((made == value).double().mean() - expected) < 5 * error + 1e-3


def test_noise_differs_between_the_images_of_a_batch_and_the_samples_of_a_seed():
    batch = torch.full((3, 1, 20, 20), 0.5)
    made = apply_seeded(SaltAndPepper(0.3), batch, seed=0)
    assert not torch.equal(made[0], made[1])
    assert torch.equal(made, apply_seeded(SaltAndPepper(0.3), batch, seed=0))
    assert not torch.equal(made, apply_seeded(SaltAndPepper(0.3), batch, seed=1))


def test_noise_leaves_labels_alone():
    labels = torch.tensor([1, 2, 3])
    _, after = SaltAndPepper(1.0)(draw(3, 3, 4, 4), labels)
    assert torch.equal(after, torch.tensor([1, 2, 3]))


def test_noise_on_two_images_of_different_sizes_is_refused():
    pair = [tv_tensors.Image(draw(3, 4, 4)), tv_tensors.Image(draw(3, 4, 5))]
    with pytest.raises(ValueError, match="multiple HxW"):
        SaltAndPepper()(pair)


@pytest.mark.parametrize(("name", "value"), [("share", -0.1), ("share", 1.1), ("salt", 2)])
def test_a_share_outside_0_to_1_is_refused(name, value):
    with pytest.raises(
        SettingsError, match=rf"{name} must be between 0 and 1, got {value}"
    ):
        SaltAndPepper(**{name: value})


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (Image.new("RGBA", (4, 4)), r"mode L or RGB, got 'RGBA'.*convert\('RGB'\)"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "int64"),
    ],
)
def test_noise_on_other_kinds_of_images_is_refused(image, words):
    with pytest.raises(DataError, match=words):
        SaltAndPepper()(image)


@pytest.mark.parametrize("way", WAYS, ids=WAY_NAMES)
@pytest.mark.parametrize("image", INPUTS)
def test_a_shift_is_a_window_of_the_padded_image(image, way):
    before = pixels(image)
    made = apply_seeded(way(RandomShift(2)), image, seed=1)
    assert type(made) is type(image)
    one = before.reshape(-1, *before.shape[-3:])[0]
    padded = np.pad(one, [(0, 0), (2, 2), (2, 2)], mode="reflect")
    height, width = one.shape[1:]
    windows = [padded[:, r : r + height, c : c + width] for r in range(5) for c in range(5)]
    first = pixels(made).reshape(-1, *before.shape[-3:])[0]
    assert any((first == window).all() for window in windows)


@pytest.mark.parametrize("mode", ["edge", "symmetric", "constant"])
def test_a_shift_fills_the_border_as_asked(mode):
    image = draw(3, 8, 8)
    padded = v2.functional.pad(image, [2] * 4, padding_mode=mode)
    windows = [padded[:, r : r + 8, c : c + 8] for r in range(5) for c in range(5)]
    for seed in range(5):
        made = apply_seeded(RandomShift(2, padding_mode=mode), image, seed=seed)
        assert any(torch.equal(made, window) for window in windows)


@pytest.mark.parametrize("way", WAYS, ids=WAY_NAMES)
def test_quarter_turns_are_exact_and_all_four_come(way):
    image = draw(3, 5, 5)
    turns = [image.rot90(k, (1, 2)) for k in range(4)]
    seen = set()
    for seed in range(30):
        made = apply_seeded(way(RandomQuarterTurn()), image, seed=seed)
        seen.add(next(k for k in range(4) if torch.equal(made, turns[k])))
    assert seen == {0, 1, 2, 3}


def test_a_quarter_turn_of_a_pil_image_goes_the_same_way():
    image = v2.functional.to_pil_image((draw(3, 6, 6) * 255).to(torch.uint8))
    for seed in range(6):
        made = apply_seeded(RandomQuarterTurn(), image, seed=seed)
        tensor = apply_seeded(
            RandomQuarterTurn(), v2.functional.pil_to_tensor(image), seed=seed
        )
        assert torch.equal(v2.functional.pil_to_tensor(made), tensor)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: RandomShift(-1), SettingsError, "max_pixels .* got -1"),
        (lambda: RandomShift(1.5), SettingsError, "whole number"),
        (lambda: RandomShift(padding_mode="wrap"), SettingsError, "got 'wrap'"),
        (lambda: RandomShift(8)(torch.zeros(3, 8, 9)), ShapeError, "8 x 9"),
        (lambda: RandomQuarterTurn()(torch.zeros(3, 8, 9)), ShapeError, "RandomRotation"),
    ],
)
def test_what_makes_no_sense_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
