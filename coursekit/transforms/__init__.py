"""Augmentation: random changes of images, for training apart from evaluation.

Random transforms draw from torch's global generator, which a loader's seed, or
`coursekit.seeds.seeded`, decides.

For batches: `PerImage` gives torchvision's transforms draws of their own for each image.
Own transforms, in torchvision's manner: `SaltAndPepper`, `RandomQuarterTurn`, `RandomShift`.
For a trained network: `fit_to_model`.
By task: `find_preset`, `preset_from_config`, the record `Preset`, and `TASKS`, `IMAGENET_MEAN`,
`IMAGENET_STD`.
Images and labels together: `MixUp`, `CutMix`, `mix_batches`.
At test time: `average_views`, its record `Votes`, `random_views`, `FLIPS`, `EIGHT_SYMMETRIES`.
To look and to check: `apply_seeded`, `sample_transform`, `find_changing`.
"""

from coursekit.transforms.fitting import fit_to_model
from coursekit.transforms.mixed_loader import mix_batches
from coursekit.transforms.mixing import CutMix, MixUp
from coursekit.transforms.noise import RandomQuarterTurn, RandomShift, SaltAndPepper
from coursekit.transforms.per_image import PerImage
from coursekit.transforms.presets import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    TASKS,
    Preset,
    find_preset,
    preset_from_config,
)
from coursekit.transforms.samples import apply_seeded, find_changing, sample_transform
from coursekit.transforms.views import (
    EIGHT_SYMMETRIES,
    FLIPS,
    Votes,
    average_views,
    random_views,
)

__all__ = [
    "EIGHT_SYMMETRIES",
    "FLIPS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "TASKS",
    "CutMix",
    "MixUp",
    "PerImage",
    "Preset",
    "RandomQuarterTurn",
    "RandomShift",
    "SaltAndPepper",
    "Votes",
    "apply_seeded",
    "average_views",
    "find_changing",
    "find_preset",
    "fit_to_model",
    "mix_batches",
    "preset_from_config",
    "random_views",
    "sample_transform",
]
