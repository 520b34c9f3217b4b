"""How an exercise is checked, whatever it asks.

An exercise has a blank form and a function that looks at the answer and returns a hint, or
None when the answer is right. Nothing here knows what any exercise is about.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from coursekit.errors import SettingsError

__all__ = ["Case", "Exercise", "ExerciseResult", "call", "check_cases", "judge"]

_NOT_ATTEMPTED = "not attempted"
_MOST_VALUES_SHOWN = 16


@dataclass(frozen=True, repr=False)
class ExerciseResult:
    """What `check_exercise` found; shown by a notebook as one line or a few.

    Parameters
    ----------
    name : str
        Number and title of the exercise.
    state : str
        ``"not attempted"``, ``"not yet"`` or ``"passed"``.
    message : str
        The hint, when there is one.
    """

    name: str
    state: str
    message: str = ""

    def __repr__(self) -> str:
        return f"{self.name}: {self.state}. {self.message}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """A task for the learner, and how its answer is checked.

    Parameters
    ----------
    name : str
        Number and title, such as ``"01.1 input size"``.
    starter : str
        Source of the blank form that stands in the lesson.
    check : callable
        Takes the answer; returns a hint, or None when the answer is right.
    sample : tuple
        Arguments on which a function that has not been written returns nothing. Empty when
        the answer is not a function.
    """

    name: str
    starter: str
    check: Callable[[Any], str | None]
    sample: tuple = ()

    @property
    def number(self) -> str:
        """The first word of the name, such as ``"01.1"``."""
        return self.name.split()[0]


@dataclass(frozen=True)
class Case:
    """Arguments of a function, and what it should return or raise.

    Parameters
    ----------
    arguments : tuple
        Given by position.
    expected : object
        The right value, or an exception class that must be raised. A float may be missed by
        a millionth, so that single precision will do.
    hint : str
        What to think about when this case is the first that goes wrong.
    """

    arguments: tuple
    expected: Any
    hint: str


class _AnswerError(Exception):
    """The learner's function stopped with an error or returned nothing."""


def judge(exercise: Exercise, answer: object) -> ExerciseResult:
    """Return what is to be said of an answer.

    Parameters
    ----------
    exercise : Exercise
        What was asked.
    answer : object
        What the learner gives.

    Returns
    -------
    ExerciseResult
    """
    if answer is ... or answer is None:
        return ExerciseResult(exercise.name, _NOT_ATTEMPTED)
    if exercise.sample and not callable(answer):
        hint = (
            f"The answer is a function, and this is {type(answer).__name__}. "
            "Give its name without brackets."
        )
        return ExerciseResult(exercise.name, "not yet", hint)
    if exercise.sample and _is_blank(answer, exercise.sample):
        return ExerciseResult(
            exercise.name, _NOT_ATTEMPTED, "The function returns nothing."
        )
    try:
        hint = exercise.check(answer)
    except _AnswerError as error:
        hint = str(error)
    state = "passed" if hint is None else "not yet"
    return ExerciseResult(exercise.name, state, hint or "")


def call(function: Callable, *arguments: object) -> Any:
    """Return what a learner's function returns for the arguments.

    Parameters
    ----------
    function : callable
        The answer.
    *arguments : object
        Given by position.

    Returns
    -------
    object

    Raises
    ------
    _AnswerError
        If the function stops with an error, or returns nothing; `judge` turns it into a
        hint that names the arguments.
    """
    shown = _show_call(function, arguments)
    try:
        value = function(*arguments)
    except Exception as error:
        msg = f"{shown} stopped with {type(error).__name__}: {error}"
        raise _AnswerError(msg) from error
    if value is None or value is ...:
        msg = (
            f"{shown} returned nothing. Does every way through the function end in return?"
        )
        raise _AnswerError(msg)
    return value


def check_cases(
    function: Callable,
    cases: Sequence[Case],
    *,
    mistakes: Mapping[str, Callable] | None = None,
) -> str | None:
    """Return the hint for the first case that goes wrong, or None.

    Parameters
    ----------
    function : callable
        The answer.
    cases : sequence of Case
        Simple ones first: the first that fails is named.
    mistakes : mapping of str to callable, optional
        Hint by known wrong function. When the answer agrees with one of them in every case,
        its hint is given instead.

    Returns
    -------
    str or None
    """
    got = [_outcome(function, case) for case in cases]
    wrong = [pair for pair in zip(cases, got, strict=True) if not _agree(*pair)]
    if not wrong:
        return None
    case, value = wrong[0]
    shown = _show_call(function, case.arguments)
    hint = _diagnose(cases, got, mistakes or {}) or case.hint
    if _is_exception(case.expected):
        return f"{shown} should raise {case.expected.__name__}, and {_show(value)}. {hint}"
    return f"{shown} should be {case.expected!r}, and {_show(value)}. {hint}"


def _is_blank(function: Callable, sample: tuple) -> bool:
    try:
        value = function(*sample)
    except NotImplementedError:
        return True
    except Exception:  # noqa: BLE001 - the check will say so, with its arguments
        return False
    return value is None or value is ...


def _outcome(function: Callable, case: Case) -> object:
    """Return the value, or the exception that a case allows."""
    if not _is_exception(case.expected):
        return call(function, *case.arguments)
    try:
        return function(*case.arguments)
    except Exception as error:  # noqa: BLE001 - which one it is gets compared
        return error


def _agree(case: Case, value: object) -> bool:
    if _is_exception(case.expected):
        return isinstance(value, case.expected)
    return _equals(case.expected, value)


def _diagnose(
    cases: Sequence[Case], got: Sequence[object], mistakes: Mapping[str, Callable]
) -> str | None:
    plain = [
        (c, v) for c, v in zip(cases, got, strict=True) if not _is_exception(c.expected)
    ]
    for hint, mistake in mistakes.items():
        if all(_equals(mistake(*case.arguments), value) for case, value in plain):
            return hint
    return None


def _equals(expected: object, value: object) -> bool:
    try:
        if isinstance(expected, float):
            is_number = not isinstance(value, str | bytes)
            return is_number and math.isclose(
                float(value), expected, rel_tol=1e-6, abs_tol=1e-9
            )
        is_whole = isinstance(value, Integral) or not isinstance(expected, int)
        return is_whole and bool(value == expected)
    except Exception:  # noqa: BLE001 - an array has no single truth value, so it is wrong
        return False


def _is_exception(expected: object) -> bool:
    return isinstance(expected, type) and issubclass(expected, Exception)


def _show(value: object) -> str:
    if isinstance(value, Exception):
        return f"it raised {type(value).__name__}: {value}"
    return f"it returned {value!r}"


def _show_call(function: Callable, arguments: tuple) -> str:
    name = getattr(function, "__name__", "your function")
    return f"{name}({', '.join(map(_show_argument, arguments))})"


def _show_argument(argument: object) -> str:
    """Return one line: the values, or the shape of an array that has many."""
    shape = tuple(getattr(argument, "shape", ()))
    if math.prod(shape) > _MOST_VALUES_SHOWN:
        return f"<{type(argument).__name__} of shape {shape}>"
    return " ".join(repr(argument).split())


def find_in(exercises: Mapping[str, Exercise], name: str) -> Exercise:
    """Return the exercise of that number or name.

    Parameters
    ----------
    exercises : mapping of str to Exercise
        By number.
    name : str
        Number, or number and title.

    Returns
    -------
    Exercise

    Raises
    ------
    SettingsError
        If there is none.
    """
    number = str(name).split()[0] if str(name).split() else ""
    if number in exercises and str(name) in {number, exercises[number].name}:
        return exercises[number]
    known = "; ".join(exercise.name for exercise in exercises.values())
    msg = f"An exercise is named by its number, got {name!r}. Exercises: {known}."
    raise SettingsError(msg)
