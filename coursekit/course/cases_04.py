"""The exercises of lesson 04, augmentation."""

from collections.abc import Callable
from itertools import count
from operator import getitem

import torch
from torch import tensor

from coursekit.course.checking import Exercise, call, stop_if

# A table: a case is a line, a mistake two, a hint and the function that makes it.
# fmt: off

_GRAY, _COLOR, _WIDE = (torch.full(shape, 0.5) for shape in [(1, 2, 2), (3, 2, 2), (3, 2, 5)])
_ONE_CHANNEL, _SAME_MEAN, _THREE = _COLOR.clone(), _COLOR.clone(), _WIDE.clone()
_ONE_CHANNEL[2, 1, 1] = 1.0
_SAME_MEAN[:2, 0, 0] = tensor([0.7, 0.3])
_THREE[:, 0, :3] = 1.0

_changed_share = Exercise("04.1 share of changed pixels", "changed_share(before, after)", [
    ((_GRAY, 0 * _GRAY), 1.0, "Every pixel has changed: a share of 1."),
    ((_COLOR, _ONE_CHANNEL), 0.25, "One pixel of four, in one channel only."),
    ((_COLOR, _SAME_MEAN), 0.25, "One pixel of four, though its mean is the same."),
    ((_WIDE, _THREE), 0.3, "Three pixels of ten."),
], {
    "That counts numbers. A pixel has three of them, and changes if any does: any over the "
    "channels first.": lambda a, b: (a != b).double().mean(),
    "A pixel has changed if any of its channels has, not only if all have.":
        lambda a, b: (a != b).all(0).double().mean(),
    "That is a number of pixels. Divide by how many there are.":
        lambda a, b: (a != b).any(0).double().sum(),
})


def _box(h: int, w: int, share: float, row: int, column: int) -> tuple:
    side = (1 - share) ** 0.5
    tall, wide = int(0.5 * side * h), int(0.5 * side * w)
    top, bottom = max(row - tall, 0), min(row + tall, h)
    left, right = max(column - wide, 0), min(column + wide, w)
    return top, bottom, left, right, 1 - (bottom - top) * (right - left) / (h * w)


_cut_box = Exercise(
    "04.3 the box of CutMix", "cut_box(height, width, share, row, column)", [
    ((8, 16, 0.75, 4, 8), (2, 6, 4, 12, 0.75), "A quarter is cut out, shaped as the image is."),
    ((8, 8, 0.75, 0, 4), (0, 2, 2, 6, 0.875), "What is above the image is cut off."),
    ((8, 8, 0.75, 7, 7), (5, 8, 5, 8, 55 / 64), "Cut off below and at the right."),
    ((16, 16, 0.5, 8, 0), (3, 13, 0, 5, 206 / 256), "Rounding and the border move the share."),
], {
    "The area of the box is 1 - share, so its side is the square root of that.":
        lambda h, w, s, r, c: _box(h, w, 1 - (1 - s) ** 2, r, c),
    "kept counts the pixels that are really kept, after rounding and cutting off.":
        lambda h, w, s, r, c: (*_box(h, w, s, r, c)[:4], s),
    "The box is the part that is replaced: its area is 1 - share.":
        lambda h, w, s, r, c: _box(h, w, 1 - s, r, c),
})

_mixed_label = Exercise(
    "04.4 mixed labels", "mixed_label(first, second, share, n_classes)", [
    ((0, 1, 0.75, 2), [0.75, 0.25], "The share belongs to the first, the rest to the second."),
    ((2, 0, 0.5, 4), [0.5, 0.0, 0.5, 0.0], "The other classes get nothing."),
    ((1, 1, 0.75, 3), [0.0, 1.0, 0.0], "Both are of one class: the parts add up."),
], {
    "Where both are of one class, the second assignment overwrites the first: add.":
        lambda i, j, s, n: [{i: s, j: 1 - s}.get(c, 0.0) for c in range(n)],
    "That is the larger part alone. A mixed label keeps both.":
        lambda i, j, s, n: [float(c == (i if s >= 0.5 else j)) for c in range(n)],
})


_voted_classes = Exercise("04.5 votes", "voted_classes(logits)", [
    ((tensor([[[0.0, 2, 1], [1, 0, 0]]]),), [1, 0], "With one view nothing is averaged."),
    ((tensor([[[9.0, 0, 0]], [[0, 1, 0]], [[0, 1, 0]]]),), [0],
     "One sure view can outweigh two that hardly know."),
    ((tensor([[[0.0, 3]], [[2, 0]], [[2, 0]]]),), [0],
     "Two views together outvote one that is a little surer."),
    ((tensor([[[30.0, 0]], [[0, 2]], [[0, 2]]]),), [1],
     "A probability is at most 1, however large a logit is."),
], {
    "That is the average of the logits, where a view with large numbers decides alone. Turn "
    "each view into probabilities first: softmax over the classes.":
        lambda x: x.mean(0).argmax(1),
    "That counts how many views vote for a class. Average their probabilities, so that a "
    "view that is not sure counts less.": lambda x: x.argmax(2).mode(0).values,
    "Those are the probabilities. Asked is the class that has the largest.":
        lambda x: x.softmax(2).mean(0),
})


def _check_two_parts(answer: Callable) -> None:
    items, counter = list("abcdef"), count()
    got = call(answer, items, [4, 0, 3], lambda image: (image, next(counter)))
    stop_if(items != list("abcdef"), "The list of images was changed. Leave it, and keep indices.")
    stop_if(not isinstance(got, tuple | list) or len(got) != 2,
            "Return two data sets: training, then validation.")
    sizes = [call(len, part) for part in got]
    stop_if(sizes != [3, 3], "Of six images three are for training, so each part has three, "
            f"and these have {sizes}.")
    train, again, validation = (
        [call(getitem, part, n) for n in range(3)] for part in (got[0], *got))
    stop_if(not all(isinstance(one, tuple) for one in train),
            "A training image came out as it is: give transform(image).")
    names = [one[0] for one in train]
    stop_if(names != ["e", "a", "d"], "The training images are those at train_indices, in their "
            f"order, each transformed once, and the transform was given these: {names}.")
    stop_if(train == again,
            "The transform was called once for each image and its result kept, so every epoch "
            "sees the same variant. Call it in __getitem__, at every reading.")
    stop_if(any(isinstance(one, tuple) for one in validation),
            "A validation image was transformed: the two parts share what they should not.")
    stop_if(validation != ["b", "c", "f"], "The validation images are those that are not for "
            f"training, in their order, and these came: {validation}.")


_two_parts = Exercise("04.2 one set, two transforms", "two_parts(items, train_indices, transform)",
    check=_check_two_parts)
