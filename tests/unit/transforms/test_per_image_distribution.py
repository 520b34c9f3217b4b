"""PerImage draws each image as torchvision draws a single one: statistics of many samples."""

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from torchvision.transforms import InterpolationMode, v2

from coursekit.seeds import seeded
from coursekit.transforms import PerImage, RandomQuarterTurn, RandomShift, SaltAndPepper

BILINEAR = InterpolationMode.BILINEAR
N_OURS, N_THEIRS = 3000, 700
IMAGE = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(0))

TRANSFORMS = {
    "flip": v2.RandomHorizontalFlip(0.3),
    "upside down": v2.RandomVerticalFlip(0.7),
    "rotation": v2.RandomRotation(40),
    "rotation, smooth, filled": v2.RandomRotation(
        (-10, 70), BILINEAR, fill=[0.2, 0.5, 1.0]
    ),
    "rotation about a corner": v2.RandomRotation(30, center=(0, 0), fill=0.5),
    "affine": v2.RandomAffine(20, (0.2, 0.1), (0.7, 1.2), (-10, 20, -5, 5), BILINEAR),
    "shear": v2.RandomAffine(0, shear=25),
    "crop": v2.RandomCrop(8),
    "crop, padded": v2.RandomCrop(12, padding=(1, 2, 3, 0), padding_mode="reflect"),
    "crop of a larger size": v2.RandomCrop((14, 12), pad_if_needed=True, fill=0.5),
    "resized crop": v2.RandomResizedCrop(8),
    "resized crop, nearest": v2.RandomResizedCrop(
        10, (0.3, 0.6), interpolation=InterpolationMode.NEAREST
    ),
    "resized crop that rarely fits": v2.RandomResizedCrop(9, (0.9, 1.0), (0.3, 3.0)),
    "blur": v2.GaussianBlur(5, (0.1, 2.0)),
    "blur, oblong": v2.GaussianBlur((7, 3), (0.5, 1.5)),
    "erasing": v2.RandomErasing(),
    "erasing by noise": v2.RandomErasing(0.8, (0.05, 0.2), value="random"),
    "erasing by a color": v2.RandomErasing(1.0, (0.3, 0.9), value=[1.0, 0.5, 0.0]),
    "brightness": v2.ColorJitter(brightness=0.5),
    "color jitter": v2.ColorJitter(0.4, 0.4, 0.6, 0.2),
    "hue": v2.ColorJitter(hue=0.5),
    "grayscale": v2.RandomGrayscale(0.4),
    "negative": v2.RandomInvert(0.2),
    "applied": v2.RandomApply([v2.RandomRotation(40), v2.ColorJitter(0.5)], p=0.3),
    "choice": v2.RandomChoice([v2.RandomInvert(1.0), v2.Identity()], p=[1, 3]),
    "choice of what may be applied": v2.RandomChoice(
        [
            v2.RandomApply([v2.RandomInvert(1.0)], p=0.3),
            v2.Compose([v2.RandomRotation(20), v2.RandomInvert(0.5)]),
        ]
    ),
    "quarter turn": RandomQuarterTurn(),
    "shift": RandomShift(2),
    "salt and pepper": SaltAndPepper(0.2, salt=0.3),
    "posterized, one by one": v2.RandomSolarize(0.5, p=0.3),
    "chain": v2.Compose(
        [v2.RandomRotation(20), v2.RandomHorizontalFlip(), v2.RandomErasing()]
    ),
}


def ours(transform, n_samples=N_OURS):
    with seeded(1, "ours"):
        return PerImage(transform)(IMAGE.expand(n_samples, -1, -1, -1))


def theirs(transform, n_samples=N_THEIRS):
    with seeded(2, "theirs"):
        return torch.stack([transform(IMAGE) for _ in range(n_samples)])


def differences(ours, theirs):
    """Return what tells two sets of images (n, ...) apart, as words; none if nothing does."""
    found = []
    assert ours.shape[1:] == theirs.shape[1:]
    a, b = (part.flatten(1).double() for part in (ours, theirs))
    pairs = [part[:, :-1] * part[:, 1:] for part in (a, b)]  # neighbors vary together
    for name, x, y in (("mean", a, b), ("square", a**2, b**2), ("product", *pairs)):
        error = (x.var(0) / len(x) + y.var(0) / len(y)).sqrt() + 1e-5
        z = (x.mean(0) - y.mean(0)).abs() / error
        if z.max() > 5.5:
            found.append(f"{name}: {z.max():.1f} standard errors")
    weights = torch.randn(
        a.shape[1], 3, generator=torch.Generator().manual_seed(3)
    ).double()
    weights[:, 0] = 1
    for x, y in zip(
        (a @ weights).T.round(decimals=4), (b @ weights).T.round(decimals=4), strict=True
    ):
        p = ks_2samp(x.numpy(), y.numpy()).pvalue
        if p < 1e-4:
            found.append(f"projection: p = {p:.1g}")
    return found


@pytest.mark.parametrize("name", TRANSFORMS)
def test_many_images_of_a_batch_are_distributed_as_many_calls_of_torchvision(name):
    assert not differences(ours(TRANSFORMS[name]), theirs(TRANSFORMS[name]))


@pytest.mark.parametrize(
    ("used", "other"),
    [
        (v2.RandomHorizontalFlip(0.3), v2.RandomHorizontalFlip(0.42)),
        (v2.RandomRotation(40), v2.RandomRotation(30)),
        (v2.RandomRotation((0, 20)), v2.RandomRotation((-20, 0))),
        (v2.GaussianBlur(5, (0.1, 2.0)), v2.GaussianBlur(5, (0.1, 1.6))),
        (v2.ColorJitter(hue=0.2), v2.ColorJitter(hue=0.15)),
        (v2.ColorJitter(0.5), v2.ColorJitter(0.35)),
        (v2.RandomErasing(0.5), v2.RandomErasing(0.62)),
        (v2.RandomCrop(8), v2.CenterCrop(8)),
        (v2.RandomResizedCrop(8), v2.RandomResizedCrop(8, (0.4, 1.0))),
        (RandomShift(2), RandomShift(3)),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_the_comparison_sees_a_distribution_that_differs_a_little(used, other):
    assert differences(ours(used), theirs(other))


def test_the_comparison_sees_images_of_a_batch_that_share_their_draws():
    with seeded(0, "batch"):
        whole = v2.RandomRotation(40)(IMAGE.expand(N_OURS, -1, -1, -1))
    assert differences(whole, theirs(v2.RandomRotation(40)))


def test_changes_of_color_come_in_every_order_alike():
    jitter = v2.ColorJitter((2.0, 2.0), (0.5, 0.5), (0.0, 0.0))
    found, counts = np.unique(
        ours(jitter, 2400).flatten(1).numpy().round(4), axis=0, return_counts=True
    )
    expected = {  # those of the 6 orders that differ in their outcome
        tuple(image.flatten().numpy().round(4)) for image in theirs(jitter, 60)
    }
    assert {tuple(row) for row in found} == expected
    assert counts.min() > 2400 / 6 * 0.85
