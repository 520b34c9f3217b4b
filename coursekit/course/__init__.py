"""The course itself: its lessons, the roles they ask for, and the checks of exercises.

`dataset` gives data, `model`, `transform` and `clip` what is trained; `use_own_files` and
`profile` say whose; `ROLES` and `MODEL_ROLES` are the tables. `check_exercise` judges an answer;
`find_lesson` and `find_lessons` give a `Lesson`. The file ``lessons.py`` also holds what follows
from the repository's address, which the command line imports from there.
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
