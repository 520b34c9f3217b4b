"""What is written by the course itself: the README's lesson table, badges, set-up cells.

`generated_files` says what each file should hold; `regenerate` writes it. Nothing here
knows how the address is chosen or checked.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from coursekit import __version__
from coursekit.course.bootstrap import colab_badge, setup_cell
from coursekit.course.lessons import Lesson, find_lessons
from coursekit.errors import DataError

__all__ = ["generated_files", "lesson_table", "regenerate"]

_BEGIN = "<!-- lessons: written by `coursekit address`, do not edit -->"
_END = "<!-- end of lessons -->"


def lesson_table(lessons: Sequence[Lesson], *, address: str | None = None) -> str:
    """Return the table of lessons as Markdown.

    Parameters
    ----------
    lessons : sequence of Lesson
        In the order of the rows.
    address : str, optional
        Address of the repository; with one that Colab can open, each row has a badge.

    Returns
    -------
    str
        One row a lesson: number, title with a link, minutes, roles.
    """
    has_badges = bool(colab_badge(address, __version__, notebook=""))
    head = ["", "Lesson", "Minutes", "Data and models"] + ["Colab"] * has_badges
    rows = [_row(lesson, address=address)[: len(head)] for lesson in lessons]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def generated_files(project: Path, *, address: str | None) -> dict[Path, str]:
    """Return each file that holds something generated, with the text it should have.

    Parameters
    ----------
    project : Path
        A checkout of the course.
    address : str or None
        Address of its repository.

    Returns
    -------
    dict of Path to str
        The README and every lesson; equal to what is on disk when nothing is stale.

    Raises
    ------
    DataError
        If the README lacks the two markers of the table, or a notebook cannot be read.
    """
    lessons = find_lessons(project / "notebooks")
    readme = project / "README.md"
    table = lesson_table(lessons, address=address)
    files = {readme: _fill(readme.read_text(encoding="utf-8"), table)}
    return files | {lesson.path: _notebook_text(lesson, address) for lesson in lessons}


def regenerate(project: Path, *, address: str | None) -> tuple[Path, ...]:
    """Write what is generated, and return the files that changed.

    Parameters
    ----------
    project : Path
        A checkout of the course.
    address : str or None
        Address of its repository.

    Returns
    -------
    tuple of Path
        Empty when everything was already as it should be.
    """
    changed = []
    for path, text in generated_files(project, address=address).items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")
            changed.append(path)
    return tuple(changed)


def _row(lesson: Lesson, *, address: str | None) -> list[str]:
    link = f"notebooks/{lesson.path.name}"
    needs = "GPU" if lesson.gpu else ""
    return [
        lesson.number,
        f"[{lesson.title}]({link})",
        f"{lesson.minutes}",
        ", ".join(filter(None, [*lesson.roles, needs])),
        colab_badge(address, __version__, notebook=link),
    ]


def _fill(readme: str, table: str) -> str:
    begin, end = readme.find(_BEGIN), readme.find(_END)
    if not 0 <= begin < end:
        msg = f"README.md needs two lines around the lesson table: {_BEGIN} and {_END}."
        raise DataError(msg)
    return f"{readme[: begin + len(_BEGIN)]}\n\n{table}\n\n{readme[end:]}"


def _notebook_text(lesson: Lesson, address: str | None) -> str:
    # Plain JSON: nbformat takes over half a second to import, and every lesson imports us.
    text = lesson.path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    setup = setup_cell(address, __version__, extras=lesson.extras)
    badge = colab_badge(address, __version__, notebook=f"notebooks/{lesson.path.name}")
    before = json.dumps(notebook)
    _put(notebook["cells"], "setup", setup, fields={"execution_count": None, "outputs": []})
    _put(notebook["cells"], "badge", badge, fields={})
    if json.dumps(notebook) == before:
        return text
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


def _put(cells: list[dict], kind: str, source: str, *, fields: dict) -> None:
    """Give the cell with that tag its source; add it after the title, or drop it."""
    tags = [cell["metadata"].get("tags", []) for cell in cells]
    at = [index for index, names in enumerate(tags) if kind in names]
    lines = source.splitlines(keepends=True)
    if at and source:
        cell = cells[at[0]]
        if "".join(cell["source"]) != source:
            cell["source"] = lines
    elif at:
        del cells[at[0]]
    elif source:
        cell = {
            "cell_type": "code" if fields else "markdown",
            "id": kind,
            "metadata": {"tags": [kind]},
            "source": lines,
        }
        cells.insert(1, cell | fields)
