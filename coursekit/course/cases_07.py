"""The exercises of lesson 07, CLIP."""

import torch
from torch import Tensor
from torch.nn import functional as F

from coursekit.course.checking import Exercise

# A table: a case is a line, a mistake two, a hint and the function that makes it.
# fmt: off
# ruff: noqa: ARG005

_EAST = torch.tensor([1.0, 0.0])


def _cosines(image: Tensor, texts: Tensor) -> Tensor:
    return F.normalize(texts, dim=1) @ F.normalize(image, dim=0)


_text_probabilities = Exercise(
    "07.1 probabilities", "text_probabilities(image, texts, scale)", [
    ((_EAST, torch.eye(2).flip(0), 1.0), torch.tensor([0.0, 1.0]).softmax(0),
     "Cosines of 0 and 1, at a scale of 1."),
    ((_EAST, torch.eye(2), 3.0), torch.tensor([3.0, 0.0]).softmax(0),
     "The scale multiplies the cosines before the softmax."),
    ((7 * _EAST, torch.tensor([[2.0, 0], [0, 5.0]]), 3.0), torch.tensor([3.0, 0]).softmax(0),
     "Lengths must not matter, neither the image's nor the texts'."),
], {
    "Those are products of vectors of different lengths. Bring each to length 1 first.":
        lambda image, texts, scale: (scale * texts @ image).softmax(0),
    "Those are cosines. A softmax makes probabilities of them.":
        lambda image, texts, scale: scale * _cosines(image, texts),
}, places=5)

_class_vector = Exercise("07.2 an average of prompts", "class_vector(rows)", [
    ((3 * _EAST[None],), [1.0, 0.0], "The result has length 1."),
    ((torch.eye(2),), [0.5**0.5, 0.5**0.5],
     "The mean of two directions is shorter than 1: bring it to length 1."),
    ((torch.tensor([[9.0, 0], [0, 1]]),), [0.5**0.5, 0.5**0.5],
     "A long row must not count more than a short one."),
], {
    "The mean of unit vectors is shorter than 1. Bring it to length 1 again.":
        lambda rows: F.normalize(rows, dim=1).mean(0),
    "A long row counts more than a short one. Bring each row to length 1 first.":
        lambda rows: F.normalize(rows.mean(0), dim=0),
    "That is the plain mean: nothing was brought to length 1.": lambda rows: rows.mean(0),
}, places=5)

_MIXED = torch.tensor([[0.9, 0.8, 0.1], [0.7, 0.6, 0.1], [0.5, 0.2, 0.3]])


def _recall(similarities: Tensor, k: int) -> float:
    own = torch.arange(len(similarities))[:, None]
    return (similarities.topk(k).indices == own).any(1).double().mean()


_recall_of = Exercise("07.3 recall", "recall_of(similarities, k)", [
    ((_MIXED, 1), 1 / 3, "Only text 0 has its own image in the first place."),
    ((_MIXED, 2), 1.0, "All three have it among the first two."),
    ((_MIXED.T.contiguous(), 1), 2 / 3, "Look along the rows: a row is a text."),
], {
    "That looks down the columns: images looking for texts.": lambda s, k: _recall(s.T, k),
    "That looks at the first place only, whatever k.": lambda s, k: _recall(s, 1),
    "That is a number of texts. Return a share.": lambda s, k: _recall(s, k) * len(s),
})
