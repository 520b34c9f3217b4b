"""The course itself: its lessons, the roles they ask for, and the checks of exercises.

`address` holds what follows from the repository's address: badges, set-up cells and the table of
lessons. The command line imports it from there.
"""

from coursekit.course.checking import check_exercise
from coursekit.course.lessons import Lesson, find_lesson, find_lessons
from coursekit.course.roles import (
    MODEL_ROLES,
    ROLES,
    clip,
    dataset,
    model,
    profile,
    transform,
    use_own_files,
)

__all__ = [
    "MODEL_ROLES",
    "ROLES",
    "Lesson",
    "check_exercise",
    "clip",
    "dataset",
    "find_lesson",
    "find_lessons",
    "model",
    "profile",
    "transform",
    "use_own_files",
]
