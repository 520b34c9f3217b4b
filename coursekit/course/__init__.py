"""The course itself: its lessons, the roles they ask for, and the checks of exercises.

Lessons
    `Lesson`, `find_lesson`, `find_lessons`.
Roles
    `dataset` for data, `model` and `transform` for trained models, `clip` and `clip_source`
    for models of images and texts; `use_own_files`, `profile`,
    `required_assets`, `role_states`, the record `RoleState`, and the tables `ROLES` and
    `MODEL_ROLES`.
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
from coursekit.course.catalog import (
    RoleState,
    dataset,
    profile,
    required_assets,
    role_states,
    use_own_files,
)
from coursekit.course.checking import (
    Exercise,
    ExerciseResult,
    check_exercise,
    find_exercise,
    list_exercises,
)
from coursekit.course.clip_catalog import clip, clip_source
from coursekit.course.generated import generated_files, lesson_table, regenerate
from coursekit.course.lessons import Lesson, find_lesson, find_lessons
from coursekit.course.model_catalog import model, transform
from coursekit.course.model_roles import MODEL_ROLES
from coursekit.course.roles import ROLES

__all__ = [
    "MODEL_ROLES",
    "ROLES",
    "Exercise",
    "ExerciseResult",
    "Lesson",
    "RoleState",
    "check_address",
    "check_exercise",
    "clip",
    "clip_source",
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
    "required_assets",
    "role_states",
    "setup_cell",
    "transform",
    "use_own_files",
    "write_address",
]
