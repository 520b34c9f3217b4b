"""Augmentation: random changes of images, for training apart from evaluation.

For batches: `PerImage` gives torchvision's transforms draws of their own for each image.
Own transforms, in torchvision's manner: `SaltAndPepper`, `RandomQuarterTurn`, `RandomShift`.
For a trained network: `fit_to_model`, and by task `preset_from_config`.
Images and labels together: `mix_batches`.
To look and to check: `sample_transform`, `find_changing`.
"""

from coursekit.transforms.augment import (
    PerImage,
    RandomQuarterTurn,
    RandomShift,
    SaltAndPepper,
)
from coursekit.transforms.presets import (
    find_changing,
    fit_to_model,
    mix_batches,
    preset_from_config,
    sample_transform,
)

__all__ = [
    "PerImage",
    "RandomQuarterTurn",
    "RandomShift",
    "SaltAndPepper",
    "find_changing",
    "fit_to_model",
    "mix_batches",
    "preset_from_config",
    "sample_transform",
]
