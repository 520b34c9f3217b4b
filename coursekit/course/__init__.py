"""The course itself: its lessons, the roles they ask for, and the checks of exercises.

roles
    `dataset` for data, `model`, `transform` and `clip` for trained models; `use_own_files`,
    `profile`; the tables `ROLES` and `MODEL_ROLES`.
checking
    `check_exercise`, `find_exercise`, `list_exercises`; `Exercise` and `ExerciseResult`.
lessons
    `Lesson`, `find_lesson`, `find_lessons`.
address
    What follows from the repository's address: `setup_cell`, `colab_badge`, `lesson_table`,
    `generated_files`, `regenerate`; and the address itself: `find_project`, `check_address`,
    `read_address`, `write_address`.
"""

from coursekit.course.address import (
    check_address,
    colab_badge,
    find_project,
    generated_files,
    lesson_table,
    read_address,
    regenerate,
    setup_cell,
    write_address,
)
from coursekit.course.checking import (
    Exercise,
    ExerciseResult,
    check_exercise,
    find_exercise,
    list_exercises,
)
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
    "Exercise",
    "ExerciseResult",
    "Lesson",
    "check_address",
    "check_exercise",
    "clip",
    "colab_badge",
    "dataset",
    "find_exercise",
    "find_lesson",
    "find_lessons",
    "find_project",
    "generated_files",
    "lesson_table",
    "list_exercises",
    "model",
    "profile",
    "read_address",
    "regenerate",
    "setup_cell",
    "transform",
    "use_own_files",
    "write_address",
]
