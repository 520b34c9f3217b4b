"""The course itself: its lessons, the roles they ask for, and the checks of exercises.

Lessons
    `Lesson`, `find_lesson`, `find_lessons`.
Exercises
    `check_exercise`, `find_exercise`, `list_exercises`, the records `Exercise` and
    `ExerciseResult`.
What is generated from the repository's address
    `setup_cell`, `colab_badge`, `lesson_table`, `generated_files`, `regenerate`,
    `check_address`, `find_project`, `read_address`, `write_address`.
"""

from coursekit.course.address import (
    check_address,
    find_project,
    read_address,
    write_address,
)
from coursekit.course.bootstrap import colab_badge, setup_cell
from coursekit.course.exercises import (
    Exercise,
    ExerciseResult,
    check_exercise,
    find_exercise,
    list_exercises,
)
from coursekit.course.generated import generated_files, lesson_table, regenerate
from coursekit.course.lessons import Lesson, find_lesson, find_lessons

__all__ = [
    "Exercise",
    "ExerciseResult",
    "Lesson",
    "check_address",
    "check_exercise",
    "colab_badge",
    "find_exercise",
    "find_lesson",
    "find_lessons",
    "find_project",
    "generated_files",
    "lesson_table",
    "list_exercises",
    "read_address",
    "regenerate",
    "setup_cell",
    "write_address",
]
