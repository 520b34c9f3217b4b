"""The exercises of lesson 04, augmentation."""

from collections.abc import Callable
from itertools import count
from operator import getitem
from typing import Any

import torch
from torch import Tensor

from coursekit.course.checking import Exercise, call, stop_if

# A table: a case is a line, a mistake two, a hint and the function that makes it.
# fmt: off

_GRAY, _COLOR, _WIDE = (torch.full(shape, 0.5) for shape in [(1, 2, 2), (3, 2, 2), (3, 2, 5)])


def _with(image: Tensor, *places: tuple, value: float) -> Tensor:
    image = image.clone()
    for place in places:
        image[place] = value
    return image


_BRIGHTER = _with(_with(_COLOR, (0, 0, 0), value=0.7), (1, 0, 0), value=0.3)  # the mean stays
_ALL = slice(None)


def _changed(before: Tensor, after: Tensor) -> Tensor:
    return (before != after).any(0).double()


_changed_share = Exercise("04.1 share of changed pixels", "changed_share(before, after)", [
    ((_GRAY, _GRAY), 0.0, "Nothing has changed."),
    ((_GRAY, 0 * _GRAY), 1.0, "Every pixel has changed."),
    ((_COLOR, _with(_COLOR, (_ALL, 0, 1), value=0.0)), 0.25,
     "One pixel of four, in all its channels."),
    ((_COLOR, _with(_COLOR, (2, 1, 1), value=1.0)), 0.25,
     "One pixel of four, in one channel only."),
    ((_COLOR, _BRIGHTER), 0.25, "One pixel of four, though its mean is the same."),
    ((_WIDE, _with(_WIDE, (_ALL, 0, slice(3)), value=1.0)), 0.3, "Three pixels of ten."),
], {
    "That counts numbers. A pixel has three of them, and changes if any does: any over the "
    "channels first.": lambda a, b: (a != b).double().mean(),
    "A pixel has changed if any of its channels has, not only if all have.":
        lambda a, b: (a != b).all(0).double().mean(),
    "That is a number of pixels. Divide by how many there are.":
        lambda a, b: _changed(a, b).sum(),
    "That is the share that stayed.": lambda a, b: 1 - _changed(a, b).mean(),
    "That is in percent. A share lies between 0 and 1.":
        lambda a, b: 100 * _changed(a, b).mean(),
    "That compares the mean of the channels, which may stay when they change.":
        lambda a, b: (a.mean(0) != b.mean(0)).double().mean(),
})


def _box(h: int, w: int, share: float, row: int, column: int, *, is_cut: bool = True) -> tuple:
    side = (1 - share) ** 0.5
    tall, wide = int(0.5 * side * h), int(0.5 * side * w)
    top, bottom, left, right = row - tall, row + tall, column - wide, column + wide
    if is_cut:
        top, bottom, left, right = max(top, 0), min(bottom, h), max(left, 0), min(right, w)
    return top, bottom, left, right, 1 - (bottom - top) * (right - left) / (h * w)


_cut_box = Exercise(
    "04.3 the box of CutMix", "cut_box(height, width, share, row, column)", [
    ((8, 8, 0.75, 4, 4), (2, 6, 2, 6, 0.75), "A quarter of 64 pixels is 4 x 4."),
    ((8, 8, 1.0, 3, 5), (3, 3, 5, 5, 1.0), "Nothing is cut, and all is kept."),
    ((8, 16, 0.75, 4, 8), (2, 6, 4, 12, 0.75), "The box has the image's proportions."),
    ((8, 8, 0.75, 0, 4), (0, 2, 2, 6, 0.875), "What is above the image is cut off."),
    ((8, 8, 0.75, 7, 7), (5, 8, 5, 8, 55 / 64), "Cut off below and at the right."),
    ((8, 8, 0.0, 4, 4), (0, 8, 0, 8, 0.0), "Everything is replaced."),
    ((16, 16, 0.5, 8, 8), (3, 13, 3, 13, 156 / 256), "Rounding moves the share."),
], {
    "The area of the box is 1 - share, so its side is the square root of that.":
        lambda h, w, s, r, c: _box(h, w, 1 - (1 - s) ** 2, r, c),
    "kept counts the pixels that are really kept, after rounding and cutting off.":
        lambda h, w, s, r, c: (*_box(h, w, s, r, c)[:4], s),
    "The box is the part that is replaced: its area is 1 - share.":
        lambda h, w, s, r, c: _box(h, w, 1 - s, r, c),
    "kept is the share outside the box, and this is the share inside.":
        lambda h, w, s, r, c: (*_box(h, w, s, r, c)[:4], 1 - _box(h, w, s, r, c)[4]),
    "A box may reach over the border of the image. Cut it off there.":
        lambda h, w, s, r, c: _box(h, w, s, r, c, is_cut=False),
    "Asked is (top, bottom, left, right, kept), in this order.":
        lambda h, w, s, r, c: tuple(_box(h, w, s, r, c)[n] for n in (2, 3, 0, 1, 4)),
})


def _label(n_classes: int, *parts: tuple[int, float]) -> list[float]:
    """Return a label in which later parts overwrite earlier ones."""
    return [dict(parts).get(name, 0.0) for name in range(n_classes)]


def _mixed(i: int, j: int, s: float, n: int) -> list[float]:
    return _label(n, (i, s), (j, 1 - s)) if i != j else _label(n, (i, 1.0))


_mixed_label = Exercise(
    "04.4 mixed labels", "mixed_label(first, second, share, n_classes)", [
    ((0, 1, 0.75, 2), [0.75, 0.25], "Two classes, three quarters and one."),
    ((1, 0, 0.75, 2), [0.25, 0.75], "The share belongs to the first."),
    ((2, 0, 0.5, 4), [0.5, 0.0, 0.5, 0.0], "The other classes get nothing."),
    ((1, 1, 0.75, 3), [0.0, 1.0, 0.0], "Both are of one class: the parts add up."),
    ((0, 2, 1.0, 3), [1.0, 0.0, 0.0], "With the share 1 nothing is mixed."),
    ((0, 2, 0.0, 3), [0.0, 0.0, 1.0], "With the share 0 all is the second's."),
], {
    "Where both are of one class, the second assignment overwrites the first: add.":
        lambda i, j, s, n: _label(n, (i, s), (j, 1 - s)),
    "Where both are of one class, one of the parts is lost: the probabilities must add up "
    "to 1.": lambda i, j, s, n: _label(n, (j, 1 - s), (i, s)),
    "The share belongs to the first class, the rest to the second.":
        lambda i, j, s, n: _mixed(j, i, s, n),
    "That is the larger part alone. A mixed label keeps both.":
        lambda i, j, s, n: _label(n, (i if s >= 0.5 else j, 1.0)),
})


def _logits(*views: list[list[float]]) -> tuple[Tensor]:
    return (torch.tensor(views, dtype=torch.float32),)


_TWO = ([[2, 0], [0, 1]], [[1, 0], [0, 3]], [[0, 0.5], [0.2, 0]])

_voted_classes = Exercise("04.5 votes", "voted_classes(logits)", [
    (_logits([[0, 2, 1]]), [1], "With one view nothing is averaged."),
    (_logits(_TWO[0]), [0, 1], "Each image has its own class."),
    (_logits(*_TWO), [0, 1], "The average is over the views, the first axis."),
    (_logits([[9, 0, 0]], [[0, 1, 0]], [[0, 1, 0]]), [0],
     "One sure view can outweigh two that hardly know."),
    (_logits([[1, 0]], [[0, 3]]), [1], "The first view is not the only one."),
    (_logits([[0, 3]], [[2, 0]], [[2, 0]]), [0],
     "Two views together outvote one that is a little surer."),
    (_logits([[30, 0]], [[0, 2]], [[0, 2]]), [1],
     "A probability is at most 1, however large a logit is."),
], {
    "That is the average of the logits, where a view with large numbers decides alone. Turn "
    "each view into probabilities first: softmax over the classes.":
        lambda x: x.mean(0).argmax(1),
    "That counts how many views vote for a class. Average their probabilities, so that a "
    "view that is not sure counts less.": lambda x: x.argmax(2).mode(0).values,
    "softmax runs over the classes, the last axis.":
        lambda x: x.softmax(0).mean(0).argmax(1),
    "That is the class of the single surest view. All of them vote.":
        lambda x: x.softmax(2).amax(0).argmax(1),
    "That is the answer to the first view alone.": lambda x: x[0].argmax(1),
    "Those are the probabilities. Asked is the class that has the largest.":
        lambda x: x.softmax(2).mean(0),
})

_ITEMS = ("a", "b", "c", "d", "e", "f")
_TRAIN, _VALIDATION = (4, 0, 3), ["b", "c", "f"]


def _check_two_parts(answer: Callable) -> None:
    counter = count(1)
    items = list(_ITEMS)
    got = call(answer, items, list(_TRAIN), lambda image: (image, next(counter)))
    stop_if(items != list(_ITEMS), "The list of images was changed. Leave it, and keep indices.")
    stop_if(not isinstance(got, tuple | list) or len(got) != 2,
            "Return two data sets: training, then validation.")
    is_early = next(counter) > 1
    for name, part in zip(("training", "validation"), got, strict=True):
        size = _try(f"len of the {name} set", len, part)
        stop_if(size != 3, f"Of six images three are for training, so each part has three, "
                f"and the {name} set has {size}.")
    reads, again = _read(got[0], "training"), _read(got[0], "training")
    stop_if(any(not isinstance(one, tuple) for one in reads),
            "A training image came out as it is: give transform(image).")
    stop_if(any(isinstance(one[0], tuple) for one in reads),
            "A training image was transformed twice.")
    names, wanted = [one[0] for one in reads], [_ITEMS[index] for index in _TRAIN]
    stop_if(sorted(names) != sorted(wanted),
            f"The training images are those at train_indices, and these came: {names}.")
    stop_if(names != wanted, "The training images should keep the order of train_indices.")
    stop_if(is_early or reads == again,
            "The transform was called once for each image and its result kept, so every epoch "
            "sees the same variant. Call it in __getitem__, at every reading.")
    reads = _read(got[1], "validation")
    stop_if(any(isinstance(one, tuple) for one in reads),
            "A validation image was transformed: the two parts share what they should not.")
    stop_if(reads != _VALIDATION,
            f"The validation images are those that are not for training, in their order, and "
            f"these came: {reads}.")


_two_parts = Exercise("04.2 one set, two transforms", "two_parts(items, train_indices, transform)",
    check=_check_two_parts, sample=(["a", "b"], [0], str))


def _read(part: Any, name: str) -> list[Any]:
    return [_try(f"[{index}] of the {name} set", getitem, part, index) for index in range(3)]


def _try(what: str, function: Callable, *arguments: object) -> Any:
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001 - whatever it is, the learner reads it
        return stop_if(True, f"{what} stopped with {type(error).__name__}: {error}")
