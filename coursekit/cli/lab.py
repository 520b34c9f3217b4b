"""``coursekit lab``: JupyterLab on the lessons.

In a checkout it opens the notebooks where they are, for whoever works on the course keeps
them in git. Lessons that came in a wheel lie among the installed packages, where the next
upgrade would throw a learner's work away: they are copied to ./notebooks first, and a
file that is already there is left as it is.
"""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from coursekit.assets import notebooks_folder
from coursekit.course.lessons import find_lesson
from coursekit.errors import CourseError

__all__ = ["open_lab", "working_folder"]


def open_lab(lesson: str | None) -> int:
    """Start JupyterLab, wait for its end, and return its exit code.

    Parameters
    ----------
    lesson : str, optional
        The lesson to open; without it, the folder.

    Returns
    -------
    int

    Raises
    ------
    CourseError
        If JupyterLab is not installed.
    """
    if find_spec("jupyterlab") is None:
        msg = (
            f"JupyterLab is not installed. Run: {sys.executable} -m pip install jupyterlab"
        )
        raise CourseError(msg)
    shipped = notebooks_folder()
    path = find_lesson(lesson).path if lesson else shipped
    folder = working_folder(shipped, target=Path("notebooks"))
    if path.is_relative_to(shipped):
        path = folder / path.relative_to(shipped)
    print(f"JupyterLab opens {path}. Ctrl-C here ends it.", flush=True)
    # One interpreter for the server and its kernels: this one.
    return subprocess.call([sys.executable, "-m", "jupyterlab", str(path)])


def working_folder(shipped: Path, *, target: Path) -> Path:
    """Return the folder of notebooks to work in, after copying what is missing there.

    Parameters
    ----------
    shipped : Path
        The notebooks that came with coursekit.
    target : Path
        Where copies go when `shipped` lies among installed packages.

    Returns
    -------
    Path
        `shipped` itself in a checkout, else `target`.
    """
    if shipped.parent.name != "_shipped":
        return shipped
    for source in sorted(shipped.rglob("*.ipynb")):
        copy = target / source.relative_to(shipped)
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    return target
