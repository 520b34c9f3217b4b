"""The course itself: its lessons, the roles they ask for, and the checks of exercises.

`dataset` gives data, `model`, `transform` and `clip` what is trained; `use_own_files` and
`profile` say whose. `check_exercise` judges an answer. The tables of the roles are in
``roles.py``; ``lessons.py`` finds the lessons, and writes what follows from the repository's
address.
"""

from coursekit.assets import profile_setting as profile
from coursekit.course.checking import check_exercise
from coursekit.course.roles import clip, dataset, model, transform, use_own_files

__all__ = [
    "check_exercise",
    "clip",
    "dataset",
    "model",
    "profile",
    "transform",
    "use_own_files",
]
