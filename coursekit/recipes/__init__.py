"""Whole experiments: data, model and `Trainer` in, a record or shipped weights out.

Shipped weights: `train_backbone` with its settings `BackboneRecipe`, `train_clip` with its
`ClipRecipe`; what is written is a `ShippedModel`.
Augmentations compared: `compare_augmentations` with `AugmentationSettings` gives an
`AugmentationComparison`, whose runs are `AugmentationRun`.
"""

from coursekit.recipes.augmentation_record import AugmentationComparison, AugmentationRun
from coursekit.recipes.augmentations import AugmentationSettings, compare_augmentations
from coursekit.recipes.backbone import BackboneRecipe, train_backbone
from coursekit.recipes.clip import ClipRecipe, train_clip
from coursekit.recipes.shipping import ShippedModel

__all__ = [
    "AugmentationComparison",
    "AugmentationRun",
    "AugmentationSettings",
    "BackboneRecipe",
    "ClipRecipe",
    "ShippedModel",
    "compare_augmentations",
    "train_backbone",
    "train_clip",
]
