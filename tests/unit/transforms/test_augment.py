"""PerImage against torchvision's functions and distributions, and its laws; own transforms."""

import pytest
import torch
from torchvision.transforms import InterpolationMode, v2

from coursekit.errors import ShapeError
from coursekit.seeds import seeded
from coursekit.transforms import (
    PerImage,
    RandomQuarterTurn,
    RandomShift,
    SaltAndPepper,
    sample_transform,
)

BILINEAR = InterpolationMode.BILINEAR
RANDOM = {
    "flip": v2.RandomHorizontalFlip(0.3),
    "rotation": v2.RandomRotation(40),
    "smooth rotation": v2.RandomRotation((-10, 70), BILINEAR, fill=0.5),
    "affine": v2.RandomAffine(20, (0.2, 0.1), (0.7, 1.2), interpolation=BILINEAR),
    "resized crop": v2.RandomResizedCrop(12, antialias=True),
    "resized crop that rarely fits": v2.RandomResizedCrop(9, (0.9, 1.0), (0.3, 3.0)),
    "jitter": v2.ColorJitter(0.4, 0.4, 0.6),
    "hue": v2.ColorJitter(hue=0.5),
    "blur": v2.GaussianBlur((7, 3), (0.5, 1.5)),
    "erasing": v2.RandomErasing(0.8),
    "quarter turn": RandomQuarterTurn(),
    "shift": RandomShift(2),
    "salt and pepper": SaltAndPepper(0.2),
    "one by one": v2.RandomSolarize(0.5, p=0.3),
    "chain": [v2.RandomRotation(20), v2.RandomHorizontalFlip(), v2.RandomErasing()],
}


def draw(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def apply(transform, images, *, seed=0):
    with seeded(seed, "test"):
        return PerImage(transform)(images)


def fixed_transforms():
    """Transforms whose ranges are single numbers: nothing is left to chance."""
    for angle in (-170.0, -33.3, 0.0, 45.0, 120.0):
        yield v2.RandomRotation((angle, angle), BILINEAR)
        yield v2.RandomRotation((angle, angle))
        yield v2.RandomRotation((angle, angle), BILINEAR, center=(3, 9), fill=[0, 0.5, 1])
    for scale in (0.6, 1.3):
        yield v2.RandomAffine((25, 25), scale=(scale, scale))
    for shift in (-0.5, -0.2, 0.0, 0.11, 0.45):
        yield v2.ColorJitter(hue=(shift, shift))
    for factor in (0.0, 0.3, 1.7):
        yield v2.ColorJitter(brightness=(factor, factor))
        yield v2.ColorJitter(contrast=(factor, factor))
        yield v2.ColorJitter(saturation=(factor, factor))
    for sigma, size in ((0.2, 3), (1.1, 5), (3.0, (9, 5)), (1.0, 1)):
        yield v2.GaussianBlur(size, (sigma, sigma))
    yield v2.RandomHorizontalFlip(1.0)
    yield v2.RandomErasing(0.0)


@pytest.mark.parametrize("transform", list(fixed_transforms()), ids=str)
def test_without_chance_it_does_what_torchvision_does(transform):
    images = draw(5, 3, 13, 11)
    images[0, :, :4, :4] = 0.5  # gray, where hue and saturation have no meaning
    images[0, :, 4:6, :4] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    made, expected = PerImage(transform)(images), transform(images)
    is_off = (made - expected).abs() > 1e-4  # at an edge a last digit can decide
    assert is_off.double().mean() <= (0.02 if hasattr(transform, "degrees") else 0)


def differences(ours, theirs):
    """Return what tells two sets of images (n, ...) apart by more than chance allows."""
    a, b = (part.flatten(1).double() for part in (ours, theirs))
    pairs = [part[:, :-1] * part[:, 1:] for part in (a, b)]  # neighbors vary together
    found = {}
    for name, x, y in (("mean", a, b), ("square", a**2, b**2), ("product", *pairs)):
        error = (x.var(0) / len(x) + y.var(0) / len(y)).sqrt() + 1e-5
        z = ((x.mean(0) - y.mean(0)).abs() / error).max().item()
        if z > 5.5:
            found[name] = z
    return found


def many(transform, *, by_us):
    image = draw(3, 12, 12)
    with seeded(1, "ours" if by_us else "theirs"):
        if by_us:
            return PerImage(transform)(image.expand(2000, -1, -1, -1))
        one = v2.Compose(transform) if isinstance(transform, list) else transform
        return torch.stack([one(image) for _ in range(700)])


@pytest.mark.parametrize("name", RANDOM)
def test_images_of_a_batch_are_distributed_as_calls_of_torchvision(name):
    assert not differences(*(many(RANDOM[name], by_us=who) for who in (True, False)))


def test_the_comparison_sees_a_distribution_that_differs_a_little():
    blur, less = (v2.GaussianBlur(5, (0.1, most)) for most in (2.0, 1.6))
    assert differences(many(blur, by_us=True), many(less, by_us=False))


@pytest.mark.parametrize("name", RANDOM)
def test_each_image_has_draws_of_its_own_of_the_seed_and_bytes_become_floats(name):
    same = draw(3, 16, 16).expand(24, -1, -1, -1)
    first = apply(RANDOM[name], same, seed=5)
    assert not torch.equal(first, apply(RANDOM[name], same, seed=6))
    assert len(first.flatten(1).unique(dim=0)) > 1
    batch = (draw(5, 1, 12, 12) * 255).to(torch.uint8)
    floats, kept = batch / 255, batch / 255
    for images, of_bytes in ((floats, batch), (floats[0], batch[0])):
        made = apply(RANDOM[name], images)
        assert (made.shape[:-2], made.dtype) == (images.shape[:-2], torch.float32)
        assert torch.equal(made, apply(RANDOM[name], of_bytes))
    assert torch.equal(floats, kept)
    assert apply(RANDOM[name], batch[:0]).shape[0] == 0


def test_the_draws_that_the_shipped_weights_were_trained_with():
    """Any other number drawn before, between or behind would make other weights."""
    batch = torch.arange(4.0).reshape(1, 1, 2, 2).expand(8, -1, -1, -1) / 4
    torch.manual_seed(0)
    made = PerImage([RandomQuarterTurn(), v2.RandomHorizontalFlip()])(batch)
    torch.manual_seed(0)
    torch.randint(0, 4, ())
    turns, flips = torch.randint(0, 4, (8,)), torch.rand(8) < 0.5
    wanted = [image.rot90(int(n), (1, 2)) for image, n in zip(batch, turns, strict=True)]
    wanted = [image.flip(2) if flip else image for image, flip in zip(wanted, flips)]  # noqa: B905
    assert torch.equal(made, torch.stack(wanted))
    assert len(made.unique(dim=0)) > 4


# --- own transforms -------------------------------------------------------------------


@pytest.mark.parametrize("way", [lambda transform: transform, PerImage])
@pytest.mark.parametrize(
    "images", [0.1 + 0.8 * draw(3, 60, 60), 0.1 + 0.8 * draw(4, 1, 60, 60)]
)
def test_noise_hits_its_share_in_all_channels_and_leaves_the_rest(images, way):
    with seeded(0, "noise"):
        made = way(SaltAndPepper(0.2))(images)
    is_salt, is_pepper = (made == 1).all(-3), (made == 0).all(-3)
    assert torch.equal((made != images).any(-3), is_salt | is_pepper)
    for hits in (is_salt, is_pepper):
        error = (0.1 * 0.9 / hits.numel()) ** 0.5
        assert abs(hits.double().mean() - 0.1) < 4 * error


@pytest.mark.parametrize("way", [lambda transform: transform, PerImage])
def test_all_windows_of_the_mirrored_image_and_all_turns_come(way):
    image = draw(3, 9, 9)
    padded = torch.nn.functional.pad(image, [2] * 4, mode="reflect")
    windows = [padded[:, r : r + 9, c : c + 9] for r in range(5) for c in range(5)]
    turns = [image.rot90(k, (1, 2)) for k in range(4)]
    for transform, views in ((RandomShift(2), windows), (RandomQuarterTurn(), turns)):
        made = sample_transform(way(transform), image, n_samples=300, seed=0)
        found = [[torch.equal(view, one) for view in views].index(True) for one in made]
        assert set(found) == set(range(len(views)))


def test_usual_mistakes_are_named():
    with pytest.raises(ShapeError, match=r"got torch.Size\(\[4, 4"):
        PerImage([])(torch.rand(4, 4))
    with pytest.raises(ShapeError, match=r"RandomRotation"):
        RandomQuarterTurn()(torch.zeros(3, 8, 9))
