"""The exercises of lesson 03, features and nearest neighbors.

Nothing here knows how an answer is reported; the solutions stand in
``notebooks/solutions``.
"""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from coursekit.course.exercises.checking import Case, Exercise, check_cases
from coursekit.course.exercises.embedding import check_embedding

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EXERCISES"]


def _check_dead_channels(answer: object) -> str | None:
    import torch  # slow to import

    ramp = torch.arange(4.0).reshape(2, 2)
    zero, one = torch.zeros(2, 2), torch.ones(2, 2)
    tilted = torch.tensor([[-1.0, 1.0], [1.0, -1.0]])  # its sum is zero
    cases = [
        Case((_maps([[zero, ramp]]),), [0], "A map of zeros alone tells nothing."),
        Case((_maps([[ramp, ramp]]),), [], "Both maps differ from place to place."),
        Case((_maps([[zero, zero, ramp]]),), [0, 1], "There can be several."),
        Case((_maps([[one, ramp]]),), [0], "The same number everywhere need not be zero."),
        Case(
            (_maps([[zero, ramp], [ramp, zero]]),),
            [],
            "Each of the two answers to one of the images.",
        ),
        Case(
            (_maps([[zero, ramp], [one, ramp]]),),
            [],
            "Channel 0 is flat in each image, but tells the two images apart.",
        ),
        Case(
            (_maps([[tilted, zero]]),), [1], "A mean of zero does not make a map of zeros."
        ),
    ]
    mistakes = {
        "Those are channels that are zero everywhere. Any single number will do.": (
            lambda maps: _where((maps == 0).flatten(2).all(2).all(0))
        ),
        "A channel that is flat within each image may still differ between images: look over "
        "images and places together.": (
            lambda maps: _where((maps.amax((2, 3)) == maps.amin((2, 3))).all(0))
        ),
        "A channel that is flat in one image may answer to another.": (
            lambda maps: _where((maps.amax((2, 3)) == maps.amin((2, 3))).any(0))
        ),
        "Those are the living ones.": lambda maps: _where(~_is_dead(maps)),
        "A mean of zero does not make a map of zeros.": (
            lambda maps: _where(maps.mean((0, 2, 3)) == 0)
        ),
    }
    return check_cases(_listed(answer), cases, mistakes=mistakes)


def _check_nearest_by_cosine(answer: object) -> str | None:
    import torch

    east, north = [1.0, 0.0], [0.0, 1.0]
    bank = torch.tensor([[5.0, 5.0], [0.0, 2.0], [1.0, 0.2], [-3.0, 0.0]])
    one, both = torch.tensor([east]), torch.tensor([east, north])
    cases = [
        Case(
            (one, torch.tensor([north, east]), 1), [[1]], "Which one points the same way?"
        ),
        Case((one, torch.tensor([east, north]), 2), [[0, 1]], "The nearest comes first."),
        Case((one, bank, 1), [[2]], "A long vector is not nearer because it is long."),
        Case((both, bank, 2), [[2, 0], [1, 0]], "Each query has a row of its own."),
        Case((both, bank, 4), [[2, 0, 1, 3], [1, 0, 2, 3]], "Opposite vectors come last."),
        Case((100 * both, bank / 100, 2), [[2, 0], [1, 0]], "Lengths must not matter."),
    ]
    mistakes = {
        "That is the scalar product. The lengths of the bank's vectors have to go: divide each "
        "vector by its length.": lambda q, b, k: (q @ b.T).topk(k).indices.tolist(),
        "That is the Euclidean distance, which also looks at lengths.": (
            lambda q, b, k: torch.cdist(q, b).topk(k, largest=False).indices.tolist()
        ),
        "Those are the farthest: the largest cosine is the nearest.": (
            lambda q, b, k: _cosines(q, b).topk(k, largest=False).indices.tolist()
        ),
        "Those are the cosines. Asked are the places in the bank.": (
            lambda q, b, k: _cosines(q, b).topk(k).values.tolist()
        ),
    }
    return check_cases(_listed(answer), cases, mistakes=mistakes)


def _check_majority(answer: object) -> str | None:
    cases = [
        Case(_votes([2]), [2], "With one neighbor there is nothing to count."),
        Case(_votes([3, 3, 1]), [3], "Class 3 has two of three votes."),
        Case(_votes([1, 3, 3]), [3], "The nearest alone does not decide."),
        Case(_votes([1, 3, 3], [0, 0, 2]), [3, 0], "Each query has a row of its own."),
        Case(_votes([3, 1, 1, 3]), [3], "Two against two: whose first neighbor is nearer?"),
        Case(_votes([2, 0, 1]), [2], "All have one vote."),
        Case(_votes([4, 0, 1, 1, 0]), [0], "Between the two that lead, who comes first?"),
    ]
    mistakes = {
        "That is the class of the nearest neighbor. All k of them vote.": (
            lambda labels: labels[:, 0].tolist()
        ),
        "Where several have equally many votes you take the smallest class number. It should "
        "be the one whose first neighbor is nearer.": lambda labels: _modes(labels),
        "Where several have equally many votes you take the largest class number. It should "
        "be the one whose first neighbor is nearer.": (
            lambda labels: [-label for label in _modes(-labels)]
        ),
        "Those are counts of votes. Asked is the class that has them.": (
            lambda labels: [max(row.count(x) for x in row) for row in labels.tolist()]
        ),
    }
    return check_cases(_listed(answer), cases, mistakes=mistakes)


def _check_recall_at_k(answer: object) -> str | None:
    cases = [
        Case((*_found([[1, 2]], [[1, 2]]), 2), 1.0, "All were found."),
        Case((*_found([[2, 1]], [[1, 2]]), 2), 1.0, "Their order does not matter."),
        Case((*_found([[1, 9]], [[1, 2]]), 2), 0.5, "One of two was found."),
        Case(
            (*_found([[1, 9], [8, 9]], [[1, 2], [3, 4]]), 2),
            0.25,
            "One of four was found, over both queries.",
        ),
        Case(
            (*_found([[1, 5, 2, 6]], [[1, 2, 5, 3]]), 2),
            0.5,
            "Only the first k of both sides count.",
        ),
        Case((*_found([[7, 8]], [[1, 2]]), 2), 0.0, "Nothing was found."),
        Case(
            (*_found([[4, 3, 2, 1]], [[1, 2, 3, 9]]), 4),
            0.75,
            "Three of four, at other places.",
        ),
    ]
    mistakes = {
        "A neighbor counts as found wherever it stands among the k: compare the rows as sets.": (
            lambda f, t, k: (f[:, :k] == t[:, :k]).double().mean().item()
        ),
        "That counts queries for which anything was found. Recall counts neighbors.": (
            lambda f, t, k: (
                (f[:, :k, None] == t[:, None, :k]).any(2).any(1).double().mean().item()
            )
        ),
        "k is not used yet: cut both sides to their first k.": (
            lambda f, t, k: _recall(f, t, f.shape[1])  # noqa: ARG005
        ),
        "That is the share that was missed.": lambda f, t, k: 1 - _recall(f, t, k),
        "That is a number of neighbors. Recall is a share, between 0 and 1.": (
            lambda f, t, k: k * _recall(f, t, k)
        ),
        "That is in percent. Recall is a share, between 0 and 1.": (
            lambda f, t, k: 100 * _recall(f, t, k)
        ),
    }
    return check_cases(answer, cases, mistakes=mistakes)


def _listed(answer: Any) -> Callable:
    """Return the learner's function with tensors and arrays turned into lists."""

    @wraps(answer, assigned=("__name__",), updated=())
    def function(*arguments: object) -> object:
        value = answer(*arguments)
        if isinstance(value, list | tuple):
            return [n.tolist() if hasattr(n, "tolist") else n for n in value]
        return value.tolist() if hasattr(value, "tolist") else value

    return function


def _maps(images: "list[list[Tensor]]") -> "Tensor":
    import torch

    return torch.stack([torch.stack(channels) for channels in images])


def _is_dead(maps: "Tensor") -> "Tensor":
    return maps.amax((0, 2, 3)) == maps.amin((0, 2, 3))


def _where(chosen: "Tensor") -> list[int]:
    return chosen.nonzero().flatten().tolist()


def _cosines(queries: "Tensor", bank: "Tensor") -> "Tensor":
    from torch.nn.functional import normalize

    return normalize(queries) @ normalize(bank).T


def _votes(*rows: list[int]) -> "tuple[Tensor]":
    import torch

    return (torch.tensor(rows),)


def _modes(labels: "Tensor") -> list[int]:
    """Return the most frequent of each row, the smallest where there are several."""
    return [min(set(row), key=lambda x: (-row.count(x), x)) for row in labels.tolist()]


def _found(found: list[list[int]], true: list[list[int]]) -> "tuple[Tensor, Tensor]":
    import torch

    return torch.tensor(found), torch.tensor(true)


def _recall(found: "Tensor", true: "Tensor", k: int) -> float:
    return (found[:, :k, None] == true[:, None, :k]).any(2).double().mean().item()


_EXERCISES = (
    Exercise(
        name="03.1 dead filters",
        starter="def dead_channels(maps):\n    ...",
        check=_check_dead_channels,
        sample=([[[[0.0]]]],),
    ),
    Exercise(
        name="03.2 embeddings, carefully",
        starter="def take_embeddings(model, images, batch_size=32):\n    ...",
        check=check_embedding,
        sample=(None, [[0.0]], 1),
    ),
    Exercise(
        name="03.3 cosine",
        starter="def nearest_by_cosine(queries, bank, k):\n    ...",
        check=_check_nearest_by_cosine,
        sample=([[1.0]], [[1.0]], 1),
    ),
    Exercise(
        name="03.4 the vote",
        starter="def majority(labels):\n    ...",
        check=_check_majority,
        sample=([[0]],),
    ),
    Exercise(
        name="03.5 recall",
        starter="def share_found(found, true, k):\n    ...",
        check=_check_recall_at_k,
        sample=([[0]], [[0]], 1),
    ),
)

EXERCISES = {exercise.number: exercise for exercise in _EXERCISES}
"""By number."""
