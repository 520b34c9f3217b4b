"""The table of lessons, read from the notebooks themselves.

A lesson is a notebook named ``NN_topic.ipynb`` whose metadata hold
``{"coursekit": {"title": ..., "minutes": ..., "roles": [...]}}``. Nothing here knows how a
lesson is run or shown.
"""

import json
import re
from collections.abc import Mapping, Sequence
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
        The notebook.
    number : str
        Two digits that order the lessons; empty for a notebook of your own.
    title : str
        What the lesson is about.
    minutes : int, optional
        Time a learner needs. None when the notebook does not say.
    roles : tuple of str
        The data and models that it asks the catalog for.
    gpu : bool, default=False
        Whether a GPU is needed.
    extras : tuple of str
        Optional parts of the package that the lesson needs, such as ``"lessons"``.
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
    """Return the lessons of a folder, in order.

    Parameters
    ----------
    folder : Path or str, optional
        Where the notebooks lie. Without it, those that came with coursekit.

    Returns
    -------
    tuple of Lesson
        Empty when the folder holds no lesson.

    Raises
    ------
    DataError
        If the folder is missing, or a lesson is no notebook, lacks its metadata, or shares
        its number with another.
    """
    folder = Path(folder) if folder is not None else notebooks_folder()
    if not folder.is_dir():
        msg = f"Lessons are notebooks in a folder, and there is no folder {folder}."
        raise DataError(msg)
    paths = sorted(path for path in folder.iterdir() if _FILE_NAME.fullmatch(path.name))
    lessons = tuple(_read_lesson(path) for path in paths)
    _check_numbers(lessons)
    return lessons


def find_lesson(name: str | Path, folder: Path | str | None = None) -> Lesson:
    """Return the lesson that `name` means.

    Parameters
    ----------
    name : str or Path
        A number (``"01"`` or ``"1"``), a file name with or without its ending
        (``"01_convolutions"``), or the path of any notebook.
    folder : Path or str, optional
        Where the lessons lie. Without it, those that came with coursekit.

    Returns
    -------
    Lesson

    Raises
    ------
    SettingsError
        If there is no such lesson; the message names the nearest.
    DataError
        If the notebook cannot be read.
    """
    path = Path(name)
    if path.suffix == ".ipynb" and path.is_file():
        return _read_lesson(path.resolve(), is_strict=False)
    lessons = find_lessons(folder)
    wanted = path.stem if path.suffix == ".ipynb" else str(name)
    for lesson in lessons:
        if wanted in {lesson.name, lesson.number, lesson.number.lstrip("0")}:
            return lesson
    raise SettingsError(_unknown(str(name), lessons))


def _unknown(name: str, lessons: Sequence[Lesson]) -> str:
    by_word = {word: lesson for lesson in lessons for word in _words(lesson)}
    near = get_close_matches(name.lower(), by_word, n=1, cutoff=0.5)
    guess = f" Did you mean {by_word[near[0]].name!r}?" if near else ""
    known = ", ".join(lesson.name for lesson in lessons) or "none"
    return (
        f"A lesson is named by its number, its file name or a path, got {name!r}.{guess} "
        f"Lessons here: {known}."
    )


def _words(lesson: Lesson) -> tuple[str, ...]:
    topic = lesson.name.partition("_")[2]
    return (lesson.number, lesson.name.lower(), topic.lower(), lesson.title.lower())


def _read_lesson(path: Path, *, is_strict: bool = True) -> Lesson:
    said = _read_metadata(path)
    if is_strict:
        _check_metadata(said, path)
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


def _read_metadata(path: Path) -> dict:
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        return dict(notebook["metadata"].get("coursekit", {}))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = (
            f"A lesson is a Jupyter notebook (JSON with metadata and cells), and {path} "
            f"is not ({error}). Save it from Jupyter again, or restore it from git."
        )
        raise DataError(msg) from error


def _check_metadata(said: Mapping, path: Path) -> None:
    title, minutes, roles = (said.get(key) for key in ("title", "minutes", "roles"))
    if (
        isinstance(title, str)
        and isinstance(minutes, int)
        and isinstance(roles, list)
        and all(isinstance(role, str) for role in roles)
    ):
        return
    msg = (
        f"A lesson's notebook metadata say what it is, and {path.name} has coursekit = "
        f"{dict(said)}. Add for example "
        '{"coursekit": {"title": "Convolutions", "minutes": 60, "roles": ["digits"]}}.'
    )
    raise DataError(msg)


def _check_numbers(lessons: Sequence[Lesson]) -> None:
    by_number: dict[str, str] = {}
    for lesson in lessons:
        if lesson.number in by_number:
            msg = (
                f"Each lesson has a number of its own, and {by_number[lesson.number]} and "
                f"{lesson.name} share {lesson.number}. Rename one of them."
            )
            raise DataError(msg)
        by_number[lesson.number] = lesson.name
