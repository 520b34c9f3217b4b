"""Features: what a trained network makes of images, and what can be done with it.

The record: `Embeddings`, with its `EmbeddingSource`.
From images to embeddings: `embed`.
A classifier's head, trained on them: `fit_head`, and the `HeadFit` it returns.
"""

from coursekit.features.embed import embed
from coursekit.features.embeddings import Embeddings, EmbeddingSource
from coursekit.features.fitting import HeadFit, fit_head

__all__ = [
    "EmbeddingSource",
    "Embeddings",
    "HeadFit",
    "embed",
    "fit_head",
]
