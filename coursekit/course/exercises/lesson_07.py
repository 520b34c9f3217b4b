"""The exercises of lesson 07, CLIP.

Nothing here knows how an answer is reported; the solutions stand in
``notebooks/solutions``.
"""

from typing import Any

from coursekit.course.exercises.checking import Case, Exercise, check_cases
from coursekit.course.exercises.tidying import tidied, tidy

__all__ = ["EXERCISES"]

_N_PLACES = 5  # single precision has about seven digits


def _check_text_probabilities(answer: object) -> str | None:
    import torch  # slow to import

    east, north = [1.0, 0.0], [0.0, 1.0]
    same = torch.tensor([[2.0, 0.0], [0.0, 5.0]])
    cases = [
        Case(
            (torch.tensor(east), torch.tensor([east, east]), 10.0),
            [0.5, 0.5],
            "Two equal texts are equally likely.",
        ),
        Case(
            (torch.tensor(east), torch.tensor([east, north]), 1.0),
            _softmax([1.0, 0.0]),
            "Cosines of 1 and 0, at a scale of 1.",
        ),
        Case(
            (torch.tensor(east), torch.tensor([east, north]), 3.0),
            _softmax([3.0, 0.0]),
            "The scale multiplies the cosines before the softmax.",
        ),
        Case(
            (torch.tensor([7.0, 0.0]), same, 3.0),
            _softmax([3.0, 0.0]),
            "Lengths must not matter, neither the image's nor the texts'.",
        ),
    ]
    mistakes = {
        "Those are products of vectors of different lengths. Bring each to length 1 first.": (
            lambda image, texts, scale: _rounded((scale * texts @ image).softmax(0))
        ),
        "The scale multiplies the cosines, before the softmax.": (
            lambda image, texts, scale: _rounded(scale * _cosines(image, texts).softmax(0))
        ),
        "Those are cosines. A softmax makes probabilities of them.": (
            lambda image, texts, scale: _rounded(scale * _cosines(image, texts))
        ),
        "The scale is missing.": (
            lambda image, texts, _: _rounded(_cosines(image, texts).softmax(0))
        ),
    }
    return check_cases(tidied(answer, n_places=_N_PLACES), cases, mistakes=mistakes)


def _check_class_vector(answer: object) -> str | None:
    import torch
    from torch.nn import functional as F

    half = round(0.5**0.5, _N_PLACES)
    cases = [
        Case((torch.tensor([[1.0, 0.0]]),), [1.0, 0.0], "One prompt is its own average."),
        Case((torch.tensor([[3.0, 0.0]]),), [1.0, 0.0], "The result has length 1."),
        Case(
            (torch.tensor([[1.0, 0.0], [0.0, 1.0]]),),
            [half, half],
            "The mean of two directions is shorter than 1: bring it to length 1.",
        ),
        Case(
            (torch.tensor([[9.0, 0.0], [0.0, 1.0]]),),
            [half, half],
            "A long row must not count more than a short one.",
        ),
    ]
    mistakes = {
        "The mean of unit vectors is shorter than 1. Bring it to length 1 again.": (
            lambda rows: _rounded(F.normalize(rows, dim=1).mean(0))
        ),
        "A long row counts more than a short one. Bring each row to length 1 first.": (
            lambda rows: _rounded(F.normalize(rows.mean(0), dim=0))
        ),
        "That is the plain mean: nothing was brought to length 1.": (
            lambda rows: _rounded(rows.mean(0))
        ),
    }
    return check_cases(tidied(answer, n_places=_N_PLACES), cases, mistakes=mistakes)


def _check_recall_of(answer: object) -> str | None:
    import torch

    own = torch.eye(4)
    mixed = torch.tensor([[0.9, 0.8, 0.1], [0.7, 0.6, 0.1], [0.5, 0.2, 0.3]])
    cases = [
        Case((own, 1), 1.0, "Every text finds its own image first."),
        Case((own.roll(1, 0), 1), 0.0, "No text finds its own image first."),
        Case((mixed, 1), 1 / 3, "Only text 0 has its own image in the first place."),
        Case((mixed, 2), 1.0, "All three have it among the first two."),
        Case((mixed.T.contiguous(), 1), 2 / 3, "Look along the rows: a row is a text."),
    ]
    mistakes = {
        "That looks down the columns: images looking for texts.": lambda s, k: _recall(
            s.T, k
        ),
        "That looks at the first place only, whatever k.": lambda s, k: _recall(s, 1),  # noqa: ARG005
        "That is a number of texts. Return a share.": lambda s, k: _recall(s, k) * len(s),
        "The most similar are those with the largest cosine.": lambda s, k: _recall(-s, k),
    }
    return check_cases(answer, cases, mistakes=mistakes)


def _recall(similarities: Any, k: int) -> float:
    import torch

    best = similarities.topk(k, dim=1).indices
    own = torch.arange(len(similarities))[:, None]
    return (best == own).any(1).double().mean().item()


def _softmax(values: list[float]) -> list[float]:
    import torch

    return _rounded(torch.tensor(values).softmax(0))


def _cosines(image: Any, texts: Any) -> Any:
    from torch.nn import functional as F

    return F.normalize(texts, dim=1) @ F.normalize(image, dim=0)


def _rounded(values: Any) -> list[float]:
    return tidy(values, n_places=_N_PLACES)


_EXERCISES = (
    Exercise(
        name="07.1 probabilities",
        starter="def text_probabilities(image, texts, scale):\n    ...",
        check=_check_text_probabilities,
        sample=([1.0], [[1.0]], 1.0),
    ),
    Exercise(
        name="07.2 an average of prompts",
        starter="def class_vector(rows):\n    ...",
        check=_check_class_vector,
        sample=([[1.0]],),
    ),
    Exercise(
        name="07.3 recall",
        starter="def recall_of(similarities, k):\n    ...",
        check=_check_recall_of,
        sample=([[1.0]], 1),
    ),
)

EXERCISES = {exercise.number: exercise for exercise in _EXERCISES}
"""By number."""
