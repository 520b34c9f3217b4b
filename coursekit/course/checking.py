"""How an answer to an exercise is looked at, and the words that are said of it.

The exercises stand as data in ``cases_01.py`` and so on: cases with their hints, and known
mistakes with theirs. They import torch, so they are loaded when one is asked for.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from importlib import import_module
from typing import Any, NamedTuple

from coursekit.errors import SettingsError

_LESSONS = ("01", "02", "03", "04", "05", "06", "07")
_MOST_VALUES_SHOWN = 16  # more than a line holds


class ExerciseResult(NamedTuple):
    """What was found: ``"not attempted"``, ``"not yet"`` with a hint, or ``"passed"``."""

    name: str
    state: str
    message: str = ""

    def __repr__(self) -> str:
        return f"{self.name}: {self.state}. {self.message}".rstrip()


class Exercise(NamedTuple):
    """A task for the learner, and how its answer is checked.

    Parameters
    ----------
    name : str
        Number and title, such as ``"01.1 input size"``.
    form : str
        What the lesson leaves blank: a signature, ``"f(x, y=1)"``, or the name of a value.
    cases : sequence of (arguments, expected, hint)
        Simple ones first: the first that goes wrong is named. Expected is a value or the
        exception that must be raised.
    mistakes : mapping of str to callable
        Hint by known wrong function. Its hint is given instead when the answer agrees with it
        in every case.
    places : int, optional
        To which numbers are rounded where they are shown.
    check : callable, optional
        Instead of cases: takes the answer and says what is wrong by `stop_if`.
    """

    name: str
    form: str
    cases: Sequence[tuple[tuple, Any, str]] = ()
    mistakes: Mapping[str, Callable] = {}
    places: int | None = None
    check: Callable[[Any], None] | None = None


class _AnswerError(Exception):
    """What is wrong with an answer."""


def check_exercise(name: str, answer: object) -> ExerciseResult:
    """Return what is to be said of a learner's answer to an exercise.

    Parameters
    ----------
    name : str
        The exercise, such as ``"01.1 input size"`` or only its number.
    answer : object
        A function or a value; ``...`` where nothing has been written yet. An error inside a
        function becomes a hint that names the arguments.

    Examples
    --------
    >>> check_exercise("01.2 edge kernel", ...)
    01.2 edge kernel: not attempted.
    """
    exercises = list_exercises()
    for exercise in exercises:
        if name in {exercise.name, exercise.name.split()[0]}:
            return judge(exercise, answer)
    known = "; ".join(exercise.name for exercise in exercises)
    msg = f"An exercise is named by its number, got {name!r}. Exercises: {known}."
    raise SettingsError(msg)


def list_exercises() -> list[Exercise]:
    """Return every exercise of the course, in order."""
    lessons = [import_module(f"coursekit.course.cases_{lesson}") for lesson in _LESSONS]
    values = [value for lesson in lessons for value in vars(lesson).values()]
    exercises = [value for value in values if isinstance(value, Exercise)]
    return sorted(exercises, key=lambda exercise: exercise.name)


def judge(exercise: Exercise, answer: object) -> ExerciseResult:
    """Return what is to be said of an answer to this exercise."""
    if answer is ... or answer is None:
        return ExerciseResult(exercise.name, "not attempted")
    is_function = "(" in exercise.form
    try:
        stop_if(
            is_function and not callable(answer),
            f"The answer is a function, and this is {type(answer).__name__}. "
            "Give its name without brackets.",
        )
        if is_function and _is_blank(exercise, answer):
            hint = "The function returns nothing."
            return ExerciseResult(exercise.name, "not attempted", hint)
        if exercise.check:
            exercise.check(answer)
        else:
            _check_cases(exercise, answer)
    except _AnswerError as error:
        return ExerciseResult(exercise.name, "not yet", str(error))
    return ExerciseResult(exercise.name, "passed")


def stop_if(is_wrong: bool, hint: str) -> None:
    """End the check of an answer with a hint, if something is wrong with it."""
    if is_wrong:
        raise _AnswerError(hint)


def call(function: Callable, *arguments: object) -> Any:
    """Return what a learner's function returns; its errors become a hint of `judge`."""
    try:
        return function(*arguments)
    except Exception as error:
        msg = f"{_show_call(function, arguments)} {_show_error(error)}"
        raise _AnswerError(msg) from error


def _tidy(value: Any, places: int | None = None) -> Any:
    """Return a value with arrays and tensors as nested lists, and floats to so many places."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        items = [_tidy(item, places) for item in value]
        return items if isinstance(value, list) else tuple(items)
    return round(value, places) if isinstance(value, float) and places else value


def _is_blank(exercise: Exercise, function: Callable) -> bool:
    no_arguments = (None,) * (exercise.form.count(",") + 1)
    value = _try(function, exercise.cases[0][0] if exercise.cases else no_arguments)
    return value is None or value is ... or isinstance(value, NotImplementedError)


def _check_cases(exercise: Exercise, function: Callable) -> None:
    """Name the first case that goes wrong."""
    got = [_try(function, arguments) for arguments, *_ in exercise.cases]
    for (arguments, expected, hint), value in zip(exercise.cases, got, strict=True):
        if _agree(expected, value, exercise.places):
            continue
        should = f"be {_tidy(expected, exercise.places)!r}"
        told = f"it returned {_tidy(value, exercise.places)!r}"
        if isinstance(expected, type):
            should = f"raise {expected.__name__}"
        elif value is None:
            hint = "Does every way through the function end in return?"
        if isinstance(value, Exception):
            told = f"it {_show_error(value)}"
        hint = _find_mistake(exercise, got) or hint
        shown = _show_call(function, arguments)
        raise _AnswerError(f"{shown} should {should}, and {told}. {hint}")


def _try(function: Callable, arguments: tuple) -> object:
    """Return what comes back, tidied, or the exception that stops it."""
    try:
        return _tidy(function(*deepcopy(arguments)))  # an answer may change them
    except Exception as error:  # noqa: BLE001 - whatever it is, the learner reads it
        return error


def _find_mistake(exercise: Exercise, got: Sequence[object]) -> str | None:
    """Return the hint of the known mistake that agrees with the answer in every case."""
    pairs = [
        (arguments, value)
        for (arguments, expected, _), value in zip(exercise.cases, got, strict=True)
        if not isinstance(expected, type)
    ]
    for hint, mistake in exercise.mistakes.items():
        wrong = [(_try(mistake, arguments), value) for arguments, value in pairs]
        if all(_agree(*pair, exercise.places) for pair in wrong):
            return hint
    return None


def _agree(
    expected: object, value: object, places: int | None, *, is_inside: bool = False
) -> bool:
    """Compare with a tidy value: floats to a millionth, which single precision reaches.

    A whole number alone must be an int; in a list, as of a tensor, 2.0 will do for 2.
    """
    expected = _tidy(expected)
    if isinstance(expected, type):
        return isinstance(value, expected)
    if isinstance(expected, list | tuple):
        is_alike = isinstance(value, list | tuple) and len(value) == len(expected)
        return is_alike and all(
            _agree(*pair, places, is_inside=True)
            for pair in zip(expected, value, strict=True)
        )
    if isinstance(expected, float) and isinstance(value, int | float):
        nearly = 10**-places if places else 1e-9
        return math.isclose(value, expected, rel_tol=1e-6, abs_tol=nearly)
    return isinstance(value, int | float if is_inside else int) and value == expected


def _show_error(error: Exception) -> str:
    return f"stopped with {type(error).__name__}: {error}"


def _show_call(function: Callable, arguments: tuple) -> str:
    name = getattr(function, "__name__", "your function")
    return f"{name}({', '.join(map(_show_argument, arguments))})"


def _show_argument(argument: object) -> str:
    """Return one line: the values, or the shape of an array that has many."""
    shape = tuple(getattr(argument, "shape", ()))
    if math.prod(shape) > _MOST_VALUES_SHOWN:
        return f"<{type(argument).__name__} of shape {shape}>"
    return " ".join(repr(argument).split())
