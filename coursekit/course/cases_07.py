"""The exercises of lesson 07, CLIP."""

import torch
from torch import Tensor
from torch.nn import functional as F

from coursekit.course.checking import Exercise, tidy

# A table: a case is a line, a mistake two, a hint and the function that makes it.
# fmt: off
# ruff: noqa: ARG005

_PLACES = 5  # single precision has about seven digits
_EAST, _NORTH = [1.0, 0.0], [0.0, 1.0]
_IMAGE, _TEXTS = torch.tensor(_EAST), torch.tensor([_EAST, _NORTH])


def _softmax(*values: float) -> list[float]:
    return tidy(torch.tensor(values).softmax(0), _PLACES)


def _cosines(image: Tensor, texts: Tensor) -> Tensor:
    return F.normalize(texts, dim=1) @ F.normalize(image, dim=0)


_text_probabilities = Exercise(
    "07.1 probabilities", "text_probabilities(image, texts, scale)", [
    ((_IMAGE, torch.tensor([_EAST, _EAST]), 10.0), [0.5, 0.5],
     "Two equal texts are equally likely."),
    ((_IMAGE, _TEXTS, 1.0), _softmax(1.0, 0.0), "Cosines of 1 and 0, at a scale of 1."),
    ((_IMAGE, _TEXTS, 3.0), _softmax(3.0, 0.0),
     "The scale multiplies the cosines before the softmax."),
    ((7 * _IMAGE, torch.tensor([[2.0, 0.0], [0.0, 5.0]]), 3.0), _softmax(3.0, 0.0),
     "Lengths must not matter, neither the image's nor the texts'."),
], {
    "Those are products of vectors of different lengths. Bring each to length 1 first.":
        lambda image, texts, scale: (scale * texts @ image).softmax(0),
    "The scale multiplies the cosines, before the softmax.":
        lambda image, texts, scale: scale * _cosines(image, texts).softmax(0),
    "Those are cosines. A softmax makes probabilities of them.":
        lambda image, texts, scale: scale * _cosines(image, texts),
    "The scale is missing.": lambda image, texts, scale: _cosines(image, texts).softmax(0),
}, places=_PLACES)


def _rows(*rows: list[float]) -> tuple[Tensor]:
    return (torch.tensor(rows),)


_HALF = round(0.5**0.5, _PLACES)

_class_vector = Exercise("07.2 an average of prompts", "class_vector(rows)", [
    (_rows(_EAST), [1.0, 0.0], "One prompt is its own average."),
    (_rows([3.0, 0.0]), [1.0, 0.0], "The result has length 1."),
    (_rows(_EAST, _NORTH), [_HALF, _HALF],
     "The mean of two directions is shorter than 1: bring it to length 1."),
    (_rows([9.0, 0.0], _NORTH), [_HALF, _HALF],
     "A long row must not count more than a short one."),
], {
    "The mean of unit vectors is shorter than 1. Bring it to length 1 again.":
        lambda rows: F.normalize(rows, dim=1).mean(0),
    "A long row counts more than a short one. Bring each row to length 1 first.":
        lambda rows: F.normalize(rows.mean(0), dim=0),
    "That is the plain mean: nothing was brought to length 1.": lambda rows: rows.mean(0),
}, places=_PLACES)

_OWN = torch.eye(4)
_MIXED = torch.tensor([[0.9, 0.8, 0.1], [0.7, 0.6, 0.1], [0.5, 0.2, 0.3]])


def _recall(similarities: Tensor, k: int) -> float:
    own = torch.arange(len(similarities))[:, None]
    return (similarities.topk(k, dim=1).indices == own).any(1).double().mean().item()


_recall_of = Exercise("07.3 recall", "recall_of(similarities, k)", [
    ((_OWN, 1), 1.0, "Every text finds its own image first."),
    ((_OWN.roll(1, 0), 1), 0.0, "No text finds its own image first."),
    ((_MIXED, 1), 1 / 3, "Only text 0 has its own image in the first place."),
    ((_MIXED, 2), 1.0, "All three have it among the first two."),
    ((_MIXED.T.contiguous(), 1), 2 / 3, "Look along the rows: a row is a text."),
], {
    "That looks down the columns: images looking for texts.": lambda s, k: _recall(s.T, k),
    "That looks at the first place only, whatever k.": lambda s, k: _recall(s, 1),
    "That is a number of texts. Return a share.": lambda s, k: _recall(s, k) * len(s),
    "The most similar are those with the largest cosine.": lambda s, k: _recall(-s, k),
})
