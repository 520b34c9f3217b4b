"""Features: what a trained network makes of images, and what can be done with it.

The record: `Embeddings`, with its `EmbeddingSource`.
From images to embeddings: `embed`.
"""

from coursekit.features.embed import embed
from coursekit.features.embeddings import Embeddings, EmbeddingSource

__all__ = [
    "EmbeddingSource",
    "Embeddings",
    "embed",
]
