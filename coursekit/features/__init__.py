"""Features: what a trained network makes of images, and what can be done with it.

The record: `Embeddings`, with its `EmbeddingSource`.
"""

from coursekit.features.embeddings import Embeddings, EmbeddingSource

__all__ = [
    "EmbeddingSource",
    "Embeddings",
]
