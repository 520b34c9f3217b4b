"""The table of lessons, read from the notebooks themselves.

A lesson is a notebook named ``NN_topic.ipynb`` whose metadata hold
``{"coursekit": {"title": ..., "minutes": ..., "roles": [...]}}``.
"""

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from coursekit.assets import notebooks_folder
from coursekit.errors import DataError, SettingsError

__all__ = ["Lesson", "find_lesson", "find_lessons"]

_FILE_NAME = re.compile(r"(\d\d)_\w+\.ipynb")


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """One notebook of the course, and what it says of itself.

    Parameters
    ----------
    path : Path
    number : str
        Two digits that order the lessons; empty for a notebook of your own.
    title : str
    minutes : int, optional
        Time a learner needs.
    roles : tuple of str
        The data and models that it asks for.
    gpu : bool, default=False
        Whether a GPU is needed.
    extras : tuple of str
        Optional parts of the package that the lesson needs.
    """

    path: Path
    number: str = ""
    title: str
    minutes: int | None = None
    roles: tuple[str, ...] = ()
    gpu: bool = False
    extras: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """File name without its ending, such as ``"01_convolutions"``."""
        return self.path.stem


def find_lessons(folder: Path | str | None = None) -> tuple[Lesson, ...]:
    """Return the lessons of a folder, in order; without one, those that came with coursekit."""
    folder = Path(folder) if folder is not None else notebooks_folder()
    if not folder.is_dir():
        msg = f"Lessons are notebooks in a folder, and there is no folder {folder}."
        raise DataError(msg)
    paths = sorted(path for path in folder.iterdir() if _FILE_NAME.fullmatch(path.name))
    lessons: dict[str, Lesson] = {}
    for path in paths:
        lesson = _read_lesson(path)
        other = lessons.setdefault(lesson.number, lesson)
        if other is not lesson:
            msg = (
                f"Each lesson has a number of its own, and {other.name} and {lesson.name} share "
                f"{lesson.number}. Rename one of them."
            )
            raise DataError(msg)
    return tuple(lessons.values())


def find_lesson(name: str | Path, folder: Path | str | None = None) -> Lesson:
    """Return the lesson that is meant.

    Parameters
    ----------
    name : str or Path
        A number (``"01"`` or ``"1"``), a file name with or without its ending
        (``"01_convolutions"``), or the path of any notebook.
    folder : Path or str, optional
        Where the lessons lie. Without it, those that came with coursekit.
    """
    path = Path(name)
    if path.suffix == ".ipynb" and path.is_file():
        return _read_lesson(path.resolve(), is_strict=False)
    lessons = find_lessons(folder)
    wanted = path.stem if path.suffix == ".ipynb" else str(name)
    for lesson in lessons:
        if wanted in {lesson.name, lesson.number, lesson.number.lstrip("0")}:
            return lesson
    words = {
        word.lower(): lesson.name
        for lesson in lessons
        for word in (lesson.name, lesson.name.partition("_")[2], lesson.title)
    }
    near = get_close_matches(str(name).lower(), words, n=1, cutoff=0.5)
    guess = f" Did you mean {words[near[0]]!r}?" if near else ""
    known = ", ".join(lesson.name for lesson in lessons) or "none"
    msg = (
        f"A lesson is named by its number, its file name or a path, got {str(name)!r}.{guess} "
        f"Lessons here: {known}."
    )
    raise SettingsError(msg)


def _read_lesson(path: Path, *, is_strict: bool = True) -> Lesson:
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        said = dict(notebook["metadata"].get("coursekit", {}))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = (
            f"A lesson is a Jupyter notebook (JSON with metadata and cells), and {path} "
            f"is not ({error}). Save it from Jupyter again, or restore it from git."
        )
        raise DataError(msg) from error
    kinds = {"title": str, "minutes": int, "roles": list}
    if is_strict and not all(
        isinstance(said.get(key), kind) for key, kind in kinds.items()
    ):
        msg = (
            f"A lesson's notebook metadata say what it is, and {path.name} has coursekit = "
            f"{said}. Add for example "
            '{"coursekit": {"title": "Convolutions", "minutes": 60, "roles": ["digits"]}}.'
        )
        raise DataError(msg)
    match = _FILE_NAME.fullmatch(path.name)
    return Lesson(
        path=path,
        number=match[1] if match else "",
        title=said.get("title", path.stem),
        minutes=said.get("minutes"),
        roles=tuple(said.get("roles", ())),
        gpu=bool(said.get("gpu", False)),
        extras=tuple(said.get("extras", ())),
    )
