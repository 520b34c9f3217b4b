"""Whole experiments: data, model and `Trainer` in, a record or shipped weights out.

Shipped weights: `train_backbone` with its settings `BackboneRecipe`, `train_clip` with its
`ClipRecipe`; what is written is a `ShippedModel`.
Augmentations compared: `compare_augmentations` with `AugmentationSettings` gives an
`AugmentationComparison`, whose runs are `AugmentationRun`.
Strategies of transfer compared: `compare_strategies` with `TransferSettings`, by the names in
`STRATEGIES`, gives a `StrategyComparison`, whose runs are `StrategyRun`.
"""

from coursekit.recipes.augmentation_record import AugmentationComparison, AugmentationRun
from coursekit.recipes.augmentations import AugmentationSettings, compare_augmentations
from coursekit.recipes.backbone import BackboneRecipe, ShippedModel, train_backbone
from coursekit.recipes.clip import ClipRecipe, train_clip
from coursekit.recipes.strategies import STRATEGIES, compare_strategies
from coursekit.recipes.strategy_record import StrategyComparison, StrategyRun
from coursekit.recipes.strategy_settings import TransferSettings

__all__ = [
    "STRATEGIES",
    "AugmentationComparison",
    "AugmentationRun",
    "AugmentationSettings",
    "BackboneRecipe",
    "ClipRecipe",
    "ShippedModel",
    "StrategyComparison",
    "StrategyRun",
    "TransferSettings",
    "compare_augmentations",
    "compare_strategies",
    "train_backbone",
    "train_clip",
]
