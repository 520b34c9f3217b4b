"""The exercises of lesson 04, augmentation.

Nothing here knows how an answer is reported; the solutions stand in
``notebooks/solutions``.
"""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from coursekit.course.exercises.checking import Case, Exercise, check_cases
from coursekit.course.exercises.two_parts import check_two_parts

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EXERCISES"]


def _check_changed_share(answer: object) -> str | None:
    import torch  # slow to import

    gray, dark = torch.full((1, 2, 2), 0.5), torch.zeros(1, 2, 2)
    color = torch.full((3, 2, 2), 0.5)
    one_pixel, one_channel, brighter = color.clone(), color.clone(), color.clone()
    one_pixel[:, 0, 1] = 0.0
    one_channel[2, 1, 1] = 1.0
    brighter[0, 0, 0], brighter[1, 0, 0] = 0.7, 0.3  # the mean stays
    wide = torch.full((3, 2, 5), 0.5)
    wide_changed = wide.clone()
    wide_changed[:, 0, :3] = 1.0
    cases = [
        Case((gray, gray), 0.0, "Nothing has changed."),
        Case((gray, dark), 1.0, "Every pixel has changed."),
        Case((color, one_pixel), 0.25, "One pixel of four, in all its channels."),
        Case((color, one_channel), 0.25, "One pixel of four, in one channel only."),
        Case((color, brighter), 0.25, "One pixel of four, though its mean is the same."),
        Case((wide, wide_changed), 0.3, "Three pixels of ten."),
    ]
    mistakes = {
        "That counts numbers. A pixel has three of them, and changes if any does: any over the "
        "channels first.": lambda a, b: (a != b).double().mean().item(),
        "A pixel has changed if any of its channels has, not only if all have.": (
            lambda a, b: (a != b).all(0).double().mean().item()
        ),
        "That is a number of pixels. Divide by how many there are.": (
            lambda a, b: (a != b).any(0).double().sum().item()
        ),
        "That is the share that stayed.": lambda a, b: 1 - _changed(a, b),
        "That is in percent. A share lies between 0 and 1.": (
            lambda a, b: 100 * _changed(a, b)
        ),
        "That compares the mean of the channels, which may stay when they change.": (
            lambda a, b: (a.mean(0) != b.mean(0)).double().mean().item()
        ),
    }
    return check_cases(_flat(answer), cases, mistakes=mistakes)


def _check_cut_box(answer: object) -> str | None:
    cases = [
        Case((8, 8, 0.75, 4, 4), (2, 6, 2, 6, 0.75), "A quarter of 64 pixels is 4 x 4."),
        Case((8, 8, 1.0, 3, 5), (3, 3, 5, 5, 1.0), "Nothing is cut, and all is kept."),
        Case(
            (8, 16, 0.75, 4, 8), (2, 6, 4, 12, 0.75), "The box has the image's proportions."
        ),
        Case(
            (8, 8, 0.75, 0, 4), (0, 2, 2, 6, 0.875), "What is above the image is cut off."
        ),
        Case((8, 8, 0.75, 7, 7), (5, 8, 5, 8, 55 / 64), "Cut off below and at the right."),
        Case((8, 8, 0.0, 4, 4), (0, 8, 0, 8, 0.0), "Everything is replaced."),
        Case((16, 16, 0.5, 8, 8), (3, 13, 3, 13, 156 / 256), "Rounding moves the share."),
    ]
    mistakes = {
        "The area of the box is 1 - share, so its side is the square root of that.": (
            lambda h, w, s, r, c: _box(h, w, 1 - (1 - s) ** 2, r, c)
        ),
        "kept counts the pixels that are really kept, after rounding and cutting off.": (
            lambda h, w, s, r, c: (*_box(h, w, s, r, c)[:4], s)
        ),
        "The box is the part that is replaced: its area is 1 - share.": (
            lambda h, w, s, r, c: _box(h, w, 1 - s, r, c)
        ),
        "kept is the share outside the box, and this is the share inside.": (
            lambda h, w, s, r, c: (
                *_box(h, w, s, r, c)[:4],
                1 - _box(h, w, s, r, c)[4],
            )
        ),
        "A box may reach over the border of the image. Cut it off there.": (
            lambda h, w, s, r, c: _uncut_box(h, w, s, r, c)
        ),
        "Asked is (top, bottom, left, right, kept), in this order.": (
            lambda h, w, s, r, c: tuple(_box(h, w, s, r, c)[n] for n in (2, 3, 0, 1, 4))
        ),
    }
    return check_cases(_flat(answer), cases, mistakes=mistakes)


def _check_mixed_label(answer: object) -> str | None:
    cases = [
        Case((0, 1, 0.75, 2), [0.75, 0.25], "Two classes, three quarters and one."),
        Case((1, 0, 0.75, 2), [0.25, 0.75], "The share belongs to the first."),
        Case((2, 0, 0.5, 4), [0.5, 0.0, 0.5, 0.0], "The other classes get nothing."),
        Case((1, 1, 0.75, 3), [0.0, 1.0, 0.0], "Both are of one class: the parts add up."),
        Case((0, 2, 1.0, 3), [1.0, 0.0, 0.0], "With the share 1 nothing is mixed."),
        Case((0, 2, 0.0, 3), [0.0, 0.0, 1.0], "With the share 0 all is the second's."),
    ]
    mistakes = {
        "Where both are of one class, the second assignment overwrites the first: add.": (
            lambda i, j, s, n: _overwritten(i, j, s, n)
        ),
        "Where both are of one class, one of the parts is lost: the probabilities must add up "
        "to 1.": lambda i, j, s, n: _overwritten(j, i, 1 - s, n),
        "The share belongs to the first class, the rest to the second.": (
            lambda i, j, s, n: _mixed(j, i, s, n)
        ),
        "That is the larger part alone. A mixed label keeps both.": (
            lambda i, j, s, n: _mixed(i, i, s, n) if s >= 0.5 else _mixed(j, j, s, n)
        ),
    }
    return check_cases(_flat(answer), cases, mistakes=mistakes)


def _check_voted_classes(answer: object) -> str | None:
    import torch

    sure = torch.tensor([[[9.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]], [[0.0, 1.0, 0.0]]])
    loud = torch.tensor([[[30.0, 0.0]], [[0.0, 2.0]], [[0.0, 2.0]]])
    later = torch.tensor([[[1.0, 0.0]], [[0.0, 3.0]]])
    outvoted = torch.tensor([[[0.0, 3.0]], [[2.0, 0.0]], [[2.0, 0.0]]])
    two = torch.tensor(
        [[[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 3.0]], [[0.0, 0.5], [0.2, 0.0]]]
    )
    cases = [
        Case(
            (torch.tensor([[[0.0, 2.0, 1.0]]]),), [1], "With one view nothing is averaged."
        ),
        Case((two[:1],), [0, 1], "Each image has its own class."),
        Case((two,), [0, 1], "The average is over the views, the first axis."),
        Case((sure,), [0], "One sure view can outweigh two that hardly know."),
        Case((later,), [1], "The first view is not the only one."),
        Case((outvoted,), [0], "Two views together outvote one that is a little surer."),
        Case((loud,), [1], "A probability is at most 1, however large a logit is."),
    ]
    mistakes = {
        "That is the average of the logits, where a view with large numbers decides alone. Turn "
        "each view into probabilities first: softmax over the classes.": (
            lambda x: x.mean(0).argmax(1).tolist()
        ),
        "That counts how many views vote for a class. Average their probabilities, so that a "
        "view that is not sure counts less.": (
            lambda x: x.argmax(2).mode(0).values.tolist()
        ),
        "softmax runs over the classes, the last axis.": (
            lambda x: x.softmax(0).mean(0).argmax(1).tolist()
        ),
        "That is the class of the single surest view. All of them vote.": (
            lambda x: x.softmax(2).amax(0).argmax(1).tolist()
        ),
        "That is the answer to the first view alone.": lambda x: x[0].argmax(1).tolist(),
        "Those are the probabilities. Asked is the class that has the largest.": (
            lambda x: x.softmax(2).mean(0).tolist()
        ),
    }
    return check_cases(_flat(answer), cases, mistakes=mistakes)


def _flat(answer: Any) -> Callable:
    """Return the learner's function with tensors and arrays turned into numbers."""

    @wraps(answer, assigned=("__name__",), updated=())
    def function(*arguments: object) -> object:
        value = answer(*arguments)
        if isinstance(value, list | tuple):
            return type(value)(_plain(n) for n in value)
        return _plain(value)

    return function


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _changed(before: "Tensor", after: "Tensor") -> float:
    return (before != after).any(0).double().mean().item()


def _box(
    height: int, width: int, share: float, row: int, column: int
) -> tuple[int, int, int, int, float]:
    top, bottom, left, right, _ = _uncut_box(height, width, share, row, column)
    top, bottom = max(top, 0), min(bottom, height)
    left, right = max(left, 0), min(right, width)
    kept = 1 - (bottom - top) * (right - left) / (height * width)
    return top, bottom, left, right, kept


def _uncut_box(
    height: int, width: int, share: float, row: int, column: int
) -> tuple[int, int, int, int, float]:
    side = (1 - share) ** 0.5
    tall, wide = int(0.5 * side * height), int(0.5 * side * width)
    kept = 1 - 4 * tall * wide / (height * width)
    return row - tall, row + tall, column - wide, column + wide, kept


def _mixed(first: int, second: int, share: float, n_classes: int) -> list[float]:
    label = [0.0] * n_classes
    label[first] += share
    label[second] += 1 - share
    return label


def _overwritten(first: int, second: int, share: float, n_classes: int) -> list[float]:
    label = [0.0] * n_classes
    label[first] = share
    label[second] = 1 - share
    return label


_EXERCISES = (
    Exercise(
        name="04.1 share of changed pixels",
        starter="def changed_share(before, after):\n    ...",
        check=_check_changed_share,
        sample=([[[0.0]]], [[[0.0]]]),
    ),
    Exercise(
        name="04.2 one set, two transforms",
        starter="def two_parts(items, train_indices, transform):\n    ...",
        check=check_two_parts,
        sample=(["a", "b"], [0], str),
    ),
    Exercise(
        name="04.3 the box of CutMix",
        starter="def cut_box(height, width, share, row, column):\n    ...",
        check=_check_cut_box,
        sample=(8, 8, 0.75, 4, 4),
    ),
    Exercise(
        name="04.4 mixed labels",
        starter="def mixed_label(first, second, share, n_classes):\n    ...",
        check=_check_mixed_label,
        sample=(0, 1, 0.75, 2),
    ),
    Exercise(
        name="04.5 votes",
        starter="def voted_classes(logits):\n    ...",
        check=_check_voted_classes,
        sample=([[[0.0, 1.0]]],),
    ),
)

EXERCISES = {exercise.number: exercise for exercise in _EXERCISES}
"""By number."""
