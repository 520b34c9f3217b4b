"""How an answer to an exercise is looked at, and the words that are said of it.

The exercises stand as data in ``cases_01.py`` and so on: cases with their hints, and known
mistakes with theirs. They import torch, so they are loaded when one is asked for.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from importlib import import_module
from numbers import Integral
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
        To which numbers are rounded before they are compared and shown; by default a number
        may be missed by a millionth, so that single precision will do.
    check : callable, optional
        Instead of cases: takes the answer and says what is wrong by `stop_if`.
    sample : tuple
        With `check`, arguments on which a function that is still blank returns nothing.
    """

    name: str
    form: str
    cases: Sequence[tuple[tuple, Any, str]] = ()
    mistakes: Mapping[str, Callable] = {}
    places: int | None = None
    check: Callable[[Any], None] | None = None
    sample: tuple = ()


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


def list_exercises() -> tuple[Exercise, ...]:
    """Return every exercise of the course, in order."""
    lessons = [import_module(f"coursekit.course.cases_{lesson}") for lesson in _LESSONS]
    values = [value for lesson in lessons for value in vars(lesson).values()]
    exercises = [value for value in values if isinstance(value, Exercise)]
    return tuple(sorted(exercises, key=lambda exercise: exercise.name))


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
        if is_function and _is_blank(answer, exercise.sample or exercise.cases[0][0]):
            hint = "The function returns nothing."
            return ExerciseResult(exercise.name, "not attempted", hint)
        (exercise.check or _make_check(exercise))(answer)
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
        value = function(*arguments)
    except Exception as error:
        msg = f"{_show_call(function, arguments)} stopped with {type(error).__name__}: {error}"
        raise _AnswerError(msg) from error
    stop_if(
        value is None or value is ...,
        f"{_show_call(function, arguments)} returned nothing. "
        "Does every way through the function end in return?",
    )
    return value


def tidy(value: Any, places: int | None = None) -> Any:
    """Return a value with arrays and tensors as nested lists, and floats to so many places.

    Examples
    --------
    >>> tidy((0.1 + 0.2, 3), places=6)
    (0.3, 3)
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        items = [tidy(item, places) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, float) and places is not None:
        return round(value, places) + 0.0  # never -0.0
    return value


def _make_check(exercise: Exercise) -> Callable[[Callable], None]:
    """Return a check that names the first case that goes wrong."""
    places = exercise.places

    def check(function: Callable) -> None:
        got = [_outcome(function, *case[:2], places) for case in exercise.cases]
        for (arguments, expected, hint), value in zip(exercise.cases, got, strict=True):
            if _agree(expected, value, places):
                continue
            told = f"it returned {value!r}"
            if isinstance(value, Exception):
                told = f"it raised {type(value).__name__}: {value}"
            should = f"be {expected!r}"
            if _is_error(expected):
                should = f"raise {expected.__name__}"
            hint = _find_mistake(exercise, got) or hint
            shown = _show_call(function, arguments)
            stop_if(True, f"{shown} should {should}, and {told}. {hint}")

    return check


def _outcome(
    function: Callable, arguments: tuple, expected: object, places: int | None
) -> object:
    """Return the value, or the exception where one is expected."""
    arguments = deepcopy(arguments)  # an answer may change them
    if not _is_error(expected):
        return tidy(call(function, *arguments), places)
    try:
        return tidy(function(*arguments), places)
    except Exception as error:  # noqa: BLE001 - which one it is gets compared
        return error


def _find_mistake(exercise: Exercise, got: Sequence[object]) -> str | None:
    """Return the hint of the known mistake that agrees with the answer in every case."""
    places, pairs = exercise.places, zip(exercise.cases, got, strict=True)
    pairs = [(case[0], value) for case, value in pairs if not _is_error(case[1])]
    for hint, mistake in exercise.mistakes.items():
        wrong = ((tidy(mistake(*deepcopy(given)), places), value) for given, value in pairs)
        if all(_agree(expected, value, places) for expected, value in wrong):
            return hint
    return None


def _agree(
    expected: object, value: object, places: int | None, inside: bool = False
) -> bool:
    if _is_error(expected):
        return isinstance(value, expected)
    if isinstance(expected, list | tuple):
        if not isinstance(value, list | tuple) or len(value) != len(expected):
            return False
        pairs = zip(expected, value, strict=True)
        return all(_agree(*pair, places, inside=True) for pair in pairs)
    try:
        if isinstance(expected, float):
            nearly = 1e-9 if places is None else 10**-places
            return not isinstance(value, str | bytes) and math.isclose(
                float(value), expected, rel_tol=1e-6, abs_tol=nearly
            )
        is_whole = isinstance(value, Integral) or not isinstance(expected, int) or inside
        return is_whole and bool(value == expected)
    except Exception:  # noqa: BLE001 - what cannot be compared is wrong
        return False


def _is_error(expected: object) -> bool:
    return isinstance(expected, type) and issubclass(expected, Exception)


def _is_blank(function: Callable, sample: tuple) -> bool:
    try:
        value = function(*deepcopy(sample))
    except Exception as error:  # noqa: BLE001 - the check will say so, with its arguments
        return isinstance(error, NotImplementedError)
    return value is None or value is ...


def _show_call(function: Callable, arguments: tuple) -> str:
    name = getattr(function, "__name__", "your function")
    return f"{name}({', '.join(map(_show_argument, arguments))})"


def _show_argument(argument: object) -> str:
    """Return one line: the values, or the shape of an array that has many."""
    shape = tuple(getattr(argument, "shape", ()))
    if math.prod(shape) > _MOST_VALUES_SHOWN:
        return f"<{type(argument).__name__} of shape {shape}>"
    return " ".join(repr(argument).split())
