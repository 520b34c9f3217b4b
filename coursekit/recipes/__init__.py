"""Whole experiments: data, model and `Trainer` in, a record or shipped weights out.

Shipped weights: `train_backbone` with its settings `BackboneRecipe`; what is written is a
`ShippedModel`.
"""

from coursekit.recipes.backbone import BackboneRecipe, train_backbone
from coursekit.recipes.shipping import ShippedModel

__all__ = ["BackboneRecipe", "ShippedModel", "train_backbone"]
