"""What to say of a learner's two data sets, of which one is transformed.

Nothing here knows how an answer is reported.
"""

from typing import Any

from coursekit.course.exercises.checking import call

__all__ = ["check_two_parts"]

_ITEMS = ("a", "b", "c", "d", "e", "f")
_TRAIN = (4, 0, 3)
_VALIDATION = ["b", "c", "f"]


def check_two_parts(answer: object) -> str | None:
    """Return a hint, or None when only the training part of `answer` is transformed.

    Parameters
    ----------
    answer : callable
        Takes a list of images, the indices of the training images, and a transform.

    Returns
    -------
    str or None
    """
    n_calls = 0

    def count(image: str) -> tuple[str, int]:
        nonlocal n_calls
        n_calls += 1
        return image, n_calls

    items = list(_ITEMS)
    got = call(answer, items, list(_TRAIN), count)
    if items != list(_ITEMS):
        return "The list of images was changed. Leave it, and keep indices."
    if not isinstance(got, tuple | list) or len(got) != 2:
        return "Return two data sets: training, then validation."
    train, validation = got
    n_before = n_calls
    hint = _diagnose_sizes(train, validation)
    return (
        hint
        or _diagnose_train(train, n_before=n_before)
        or _diagnose_validation(validation)
    )


def _diagnose_sizes(train: Any, validation: Any) -> str | None:
    for name, part, right in (
        ("training", train, len(_TRAIN)),
        ("validation", validation, len(_VALIDATION)),
    ):
        try:
            size = len(part)
        except Exception as error:  # noqa: BLE001 - whatever it is, the learner reads it
            return f"len of the {name} set stopped with {type(error).__name__}: {error}"
        if size != right:
            return (
                f"Of six images three are for training, so each part has three, and the "
                f"{name} set has {size}."
            )
    return None


def _diagnose_train(train: Any, *, n_before: int) -> str | None:
    """Return what is wrong with the part that is transformed."""
    reads, stopped = _read(train, "training")
    if stopped:
        return stopped
    again, stopped = _read(train, "training")
    if stopped:
        return stopped
    if any(not isinstance(one, tuple) for one in reads):
        return "A training image came out as it is: give transform(image)."
    if any(isinstance(one[0], tuple) for one in reads):
        return "A training image was transformed twice."
    names = [one[0] for one in reads]
    if sorted(names) != sorted(_ITEMS[index] for index in _TRAIN):
        return f"The training images are those at train_indices, and these came: {names}."
    if names != [_ITEMS[index] for index in _TRAIN]:
        return "The training images should keep the order of train_indices."
    if n_before or reads == again:
        return (
            "The transform was called once for each image and its result kept, so every epoch "
            "sees the same variant. Call it in __getitem__, at every reading."
        )
    return None


def _diagnose_validation(validation: Any) -> str | None:
    """Return what is wrong with the part that is left alone."""
    reads, stopped = _read(validation, "validation")
    if stopped:
        return stopped
    if any(isinstance(one, tuple) for one in reads):
        return (
            "A validation image was transformed: the two parts share what they should not."
        )
    if reads != _VALIDATION:
        return (
            f"The validation images are those that are not for training, in their order, and "
            f"these came: {reads}."
        )
    return None


def _read(part: Any, name: str) -> tuple[list[Any], str | None]:
    reads = []
    for index in range(3):
        try:
            reads.append(part[index])
        except Exception as error:  # noqa: BLE001 - whatever it is, the learner reads it
            words = (
                f"[{index}] of the {name} set stopped with {type(error).__name__}: {error}"
            )
            return reads, words
    return reads, None
