"""Features: what a trained network makes of images, and what can be done with it.

From images to embeddings: `embed`, and the record `Embeddings`.
The nearest rows of a matrix: `find_neighbors`; their votes: `classify_by_neighbors`; retrieval:
`recall_at_k`. Classifiers: `linear_probe`; a head for a backbone: `fit_head`.
Of models of images and texts: `embed_images`, `embed_texts`, `zero_shot_classifier`.
"""

from coursekit.features.classifiers import (
    classify_by_neighbors,
    find_neighbors,
    fit_head,
    linear_probe,
    recall_at_k,
)
from coursekit.features.clip import embed_images, embed_texts, zero_shot_classifier
from coursekit.features.embed import Embeddings, embed

__all__ = [
    "Embeddings",
    "classify_by_neighbors",
    "embed",
    "embed_images",
    "embed_texts",
    "find_neighbors",
    "fit_head",
    "linear_probe",
    "recall_at_k",
    "zero_shot_classifier",
]
