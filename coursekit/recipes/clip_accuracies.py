"""Measure what a small CLIP can do, on pairs of shape and color that it has seen or not.

Nothing here knows how it was trained.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from coursekit.datasets import HELD_OUT_PAIRS, ImageSet, make_shapes
from coursekit.features import (
    Embeddings,
    embed_images,
    embed_texts,
    recall_at_k,
    zero_shot_classifier,
)
from coursekit.recipes.clip_texts import ATTRIBUTES

__all__ = ["draw_pairs", "measure_clip"]

_STARTS = {"seen": 20_000_000, "held-out": 30_000_000}  # no training set reaches that far
_PROMPTS = {"shapes": "a {}", "colors": "a {} object", "sizes": "a {} object"}
_N_RETRIEVED = 500


def measure_clip(
    model: nn.Module, tokenizer: Callable[[list[str]], Tensor], *, n_images: int, seed: int
) -> dict[str, float]:
    """Return accuracies from 0 to 1, by what is asked and of which pairs.

    Parameters
    ----------
    model : Module
    tokenizer : callable
    n_images : int
        Of seen pairs, and as many of held-out pairs.
    seed : int
        Of the pictures.

    Returns
    -------
    dict of str to float
        Such as ``"shapes of held-out pairs"``; recalls are over the first 500 pictures.
    """
    reached = {}
    for pairs in _STARTS:
        images = draw_pairs(pairs, n_images, seed=seed)
        embedded = embed_images(model, images, progress_bar=False)
        for what, prompt in _PROMPTS.items():
            kind = what.removesuffix("s")
            names = ATTRIBUTES[kind]
            weights = zero_shot_classifier(model, tokenizer, names, prompts=prompt).cpu()
            truth = torch.tensor([names.index(name) for name in images.attributes[kind]])
            found = (embedded.embeddings @ weights).argmax(dim=1) == truth
            reached[f"{what} of {pairs} pairs"] = float(found.float().mean())
        reached[f"text-to-image recall@5 of {pairs} pairs"] = _recall(
            model, tokenizer, images, embedded
        )
    return reached


def draw_pairs(pairs: str, n_images: int, *, seed: int) -> ImageSet:
    """Return fresh pictures of the pairs that are ``"seen"`` in training, or ``"held-out"``."""
    every = {
        (shape, color) for shape in ATTRIBUTES["shape"] for color in ATTRIBUTES["color"]
    }
    excluded = HELD_OUT_PAIRS if pairs == "seen" else sorted(every - set(HELD_OUT_PAIRS))
    return make_shapes(
        n_images,
        seed=seed,
        start=_STARTS[pairs],
        shapes=ATTRIBUTES["shape"],
        exclude_pairs=excluded,
    )


def _recall(
    model: nn.Module, tokenizer: Callable, images: ImageSet, embedded: Embeddings
) -> float:
    n_rows = min(_N_RETRIEVED, len(images))
    texts = embed_texts(model, tokenizer, images.captions[:n_rows]).cpu()
    return recall_at_k(texts, embedded.embeddings[:n_rows], k=(min(5, n_rows),)).popitem()[
        1
    ]
