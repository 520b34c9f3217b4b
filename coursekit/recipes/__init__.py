"""Whole experiments: what makes the shipped weights, and runs compared over seeds."""

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
