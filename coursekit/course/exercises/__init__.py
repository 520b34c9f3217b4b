"""The exercises of the lessons, and what is said of an answer.

check_exercise, ExerciseResult
    Look at a learner's answer; what was found.
find_exercise, list_exercises, Exercise
    The exercises themselves, each with its blank form.
"""

from coursekit.course.exercises import (
    lesson_01,
    lesson_02,
    lesson_03,
    lesson_04,
    lesson_05,
    lesson_06,
    lesson_07,
)
from coursekit.course.exercises.checking import Exercise, ExerciseResult, find_in, judge

__all__ = [
    "Exercise",
    "ExerciseResult",
    "check_exercise",
    "find_exercise",
    "list_exercises",
]

_LESSONS = (lesson_01, lesson_02, lesson_03, lesson_04, lesson_05, lesson_06, lesson_07)


def list_exercises() -> tuple[Exercise, ...]:
    """Return every exercise of the course, in order.

    Returns
    -------
    tuple of Exercise
    """
    return tuple(exercise for lesson in _LESSONS for exercise in lesson.EXERCISES.values())


def find_exercise(name: str) -> Exercise:
    """Return the exercise of that number, or number and title.

    Parameters
    ----------
    name : str
        Such as ``"01.1"`` or ``"01.1 input size"``.

    Returns
    -------
    Exercise

    Raises
    ------
    SettingsError
        If there is none; the message lists them.
    """
    return find_in({exercise.number: exercise for exercise in list_exercises()}, name)


def check_exercise(name: str, answer: object) -> ExerciseResult:
    """Return what is to be said of a learner's answer to an exercise.

    Parameters
    ----------
    name : str
        The exercise, such as ``"01.1 input size"`` or only its number.
    answer : object
        A function or a value; ``...`` where nothing has been written yet.

    Returns
    -------
    ExerciseResult
        "not attempted", "not yet" with a hint, or "passed". An error inside the learner's
        function becomes a hint that names the arguments.

    Raises
    ------
    SettingsError
        If there is no such exercise.

    Examples
    --------
    >>> check_exercise("01.2 edge kernel", ...)
    01.2 edge kernel: not attempted.
    """
    return judge(find_exercise(name), answer)
