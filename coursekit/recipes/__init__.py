"""Whole experiments: what makes the shipped weights, and runs compared over seeds.

Shipped weights
    `train_backbone` by a `BackboneRecipe`, `train_clip` by a `ClipRecipe`; each returns a
    `ShippedModel`.
Comparison
    `repeat_runs`: ways x seeds in one table.
"""

from coursekit.recipes.backbone import BackboneRecipe, ShippedModel, train_backbone
from coursekit.recipes.clip import ClipRecipe, train_clip
from coursekit.recipes.compare import repeat_runs

__all__ = [
    "BackboneRecipe",
    "ClipRecipe",
    "ShippedModel",
    "repeat_runs",
    "train_backbone",
    "train_clip",
]
