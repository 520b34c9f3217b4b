"""Features: what a trained network makes of images, and what can be done with it.

The record: `Embeddings`, with its `EmbeddingSource`.
From images to embeddings: `embed`.
A classifier's head, trained on them: `fit_head`, and the `HeadFit` it returns.
The nearest rows of a matrix, exactly: `find_neighbors`, and the `Neighbors` it returns.
Nearly always and much faster: `SearchIndex`, with its `IndexSettings`.
Votes of neighbors: `classify_by_neighbors`, and the `NeighborVotes` it returns.
What a linear layer reads from them: `linear_probe`, and the `LinearProbe` it returns.
Of models of images and texts: `embed_images`, `embed_texts`; a classifier made of names,
`zero_shot_classifier`, and the `ZeroShotClassifier` it returns; `recall_at_k` of retrieval.
In a plane, to look at: `project_2d`.
How well each layer tells classes apart: `accuracy_by_layer`, and the `LayerAccuracies` that
it returns, of one `LayerAccuracy` each.
"""

from coursekit.features.embed import embed
from coursekit.features.embeddings import Embeddings, EmbeddingSource
from coursekit.features.fitting import fit_head
from coursekit.features.head_fit import HeadFit
from coursekit.features.image_text import embed_images, embed_texts
from coursekit.features.index import SearchIndex
from coursekit.features.index_settings import IndexSettings
from coursekit.features.layers import (
    LayerAccuracies,
    LayerAccuracy,
    accuracy_by_layer,
)
from coursekit.features.neighbors import Neighbors, find_neighbors
from coursekit.features.probe import LinearProbe, linear_probe
from coursekit.features.projection import project_2d
from coursekit.features.retrieval import recall_at_k
from coursekit.features.voting import NeighborVotes, classify_by_neighbors
from coursekit.features.zero_shot import ZeroShotClassifier, zero_shot_classifier

__all__ = [
    "EmbeddingSource",
    "Embeddings",
    "HeadFit",
    "IndexSettings",
    "LayerAccuracies",
    "LayerAccuracy",
    "LinearProbe",
    "NeighborVotes",
    "Neighbors",
    "SearchIndex",
    "ZeroShotClassifier",
    "accuracy_by_layer",
    "classify_by_neighbors",
    "embed",
    "embed_images",
    "embed_texts",
    "find_neighbors",
    "fit_head",
    "linear_probe",
    "project_2d",
    "recall_at_k",
    "zero_shot_classifier",
]
