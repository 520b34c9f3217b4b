"""The lessons, read from the notebooks themselves, and what the repository's address gives them.

A lesson is a notebook named ``NN_topic.ipynb`` whose metadata hold
``{"coursekit": {"title": ..., "minutes": ..., "roles": [...]}}``.

The address stands once, in ``project.urls`` of pyproject.toml. ``coursekit address`` changes it
and writes set-up cells, badges and the README's table anew; a test compares them with what
`generated_files` says.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

from coursekit import __version__
from coursekit.assets import notebooks_folder
from coursekit.errors import DataError, SettingsError, did_you_mean

_FILE_NAME = re.compile(r"(\d\d)_\w+\.ipynb")
_ADDRESS = re.compile(r"(https://[\w.-]+(:\d+)?/[\w./~-]+|file:///[\w./:~-]+)")
_PAGE = re.compile(r"^(https://.+?)/(-/)?(tree|blob|commits?|releases|issues|wiki)(/.*)?$")
_BEGIN = "<!-- lessons: written by `coursekit address`, do not edit -->"
_END = "<!-- end of lessons -->"

_HEAD = """\
# Set-up: does nothing where coursekit is installed. Written by `coursekit address`.
import importlib.util

if importlib.util.find_spec("coursekit") is None:
"""

_NO_ADDRESS = """\
    raise ModuleNotFoundError(
        "coursekit is not installed here, and this copy of the course does not say where "
        "to get it. Whoever publishes it runs `coursekit address URL` once, with the "
        "https address of its git repository; on your own machine: pip install -e ."
    )
"""

# A notebook server that runs must keep its own parts, as torch must: pip would replace
# them under it, and the runtime would ask to be restarted.
_INSTALL = """\
    import contextlib, subprocess, sys, tempfile
    from importlib.metadata import PackageNotFoundError, version
    from pathlib import Path

    keep = "torch torchvision torchaudio numpy scipy pandas matplotlib pillow scikit-learn"
    keep += " scikit-image ipykernel ipython ipywidgets tornado"  # stay as they are here
    pins = []
    for name in keep.split():
        with contextlib.suppress(PackageNotFoundError):
            pins.append(f"{name}=={version(name)}")
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("\\n".join(pins))
        pip = [sys.executable, "-m", "pip", "install", "-q", "-c", str(constraints)]
        source = "REQUIREMENT"
        done = subprocess.run([*pip, source], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"pip could not install {source}:\\n{done.stderr}")
    importlib.invalidate_caches()
    import coursekit
"""


class Lesson(NamedTuple):
    """One notebook of the course, and what it says of itself."""

    path: Path
    title: str
    number: str = ""  # two digits that order the lessons; empty for a notebook of your own
    minutes: int | None = None
    roles: tuple[str, ...] = ()  # the data and models that it asks for

    @property
    def name(self) -> str:
        """File name without its ending, such as ``"01_convolutions"``."""
        return self.path.stem


def find_lessons(folder: Path | None = None) -> list[Lesson]:
    """Return the lessons of a folder, in order; without one, those that came with coursekit."""
    paths = sorted((folder or notebooks_folder()).iterdir())
    lessons = [_read_lesson(path) for path in paths if _FILE_NAME.fullmatch(path.name)]
    for lesson in lessons:
        if lesson.minutes is None:
            msg = (
                f"The metadata of {lesson.path} do not say which lesson it is. Add for example "
                '{"coursekit": {"title": "Convolutions", "minutes": 60, "roles": ["digits"]}}.'
            )
            raise DataError(msg)
    return lessons


def find_lesson(name: str | Path) -> Lesson:
    """Return the lesson that is meant.

    `name` is a number (``"01"`` or ``"1"``), a file name with or without its ending
    (``"01_convolutions"``), or the path of any notebook.
    """
    path, wanted = Path(name), str(name).removesuffix(".ipynb")
    if path.suffix == ".ipynb" and path.is_file():
        return _read_lesson(path.resolve())
    lessons = find_lessons()
    for lesson in lessons:
        if wanted in {lesson.name, lesson.number, lesson.number.lstrip("0")}:
            return lesson
    names = [lesson.name for lesson in lessons]
    msg = (
        f"A lesson is named by its number, its file name or a path, got {str(name)!r}."
        f"{did_you_mean(wanted.lower(), names, cutoff=0.5)} Lessons here: {', '.join(names)}."
    )
    raise SettingsError(msg)


def _read_lesson(path: Path) -> Lesson:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("coursekit", {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path} is no Jupyter notebook ({error!r}). Save it again, or restore it from git."
        raise DataError(msg) from error
    number = path.name[:2] if _FILE_NAME.fullmatch(path.name) else ""
    title, roles = said.get("title", path.stem), tuple(said.get("roles", ()))
    return Lesson(path, title, number, said.get("minutes"), roles)


# --- what is written from the address ----------------------------------------------------


def setup_cell(address: str | None) -> str:
    """Return the source of a lesson's set-up cell, plain Python of at most 25 lines.

    The cell does nothing where coursekit can be imported. Elsewhere it installs this version
    by its tag with pip, which may not replace torch or what else is heavy there. Without an
    address it says how to set one.

    Examples
    --------
    >>> "git+https://example.org/course.git@v" in setup_cell("https://example.org/course.git")
    True
    """
    install = _INSTALL.replace("REQUIREMENT", f"git+{address}@v{__version__}")
    return (_HEAD + (install if address else _NO_ADDRESS)).rstrip()


def _colab_badge(address: str | None, *, notebook: str) -> str:
    """Return a badge in Markdown that opens the tag, on GitHub, that the set-up cell installs."""
    host = "https://github.com/"
    if address is None or not address.startswith(host):
        return ""
    repository = address.removeprefix(host).removesuffix("/").removesuffix(".git")
    colab = "https://colab.research.google.com"
    link = f"{colab}/github/{repository}/blob/v{__version__}/{notebook}"
    return f"[![Open in Colab]({colab}/assets/colab-badge.svg)]({link})"


def generated_files(project: Path, *, address: str | None) -> dict[Path, str]:
    """Return the README and every lesson, each with the text that it should have."""
    files = {}
    rows = [["", "Lesson", "Minutes", "Data and models", "Colab"], ["---"] * 5]
    for lesson in find_lessons(project / "notebooks"):
        link = f"notebooks/{lesson.path.name}"
        badge = _colab_badge(address, notebook=link)
        title, needs = f"[{lesson.title}]({link})", ", ".join(lesson.roles)
        rows.append([lesson.number, title, str(lesson.minutes), needs, badge])
        files[lesson.path] = _notebook_text(lesson.path, address, badge)
    n_columns = 5 if _colab_badge(address, notebook="") else 4
    table = "\n".join(f"| {' | '.join(row[:n_columns])} |" for row in rows)
    readme = project / "README.md"
    block, text = f"{_BEGIN}\n\n{table}\n\n{_END}", readme.read_text(encoding="utf-8")
    files[readme] = re.sub(f"{_BEGIN}.*{_END}", lambda _: block, text, flags=re.DOTALL)
    return files


def _notebook_text(path: Path, address: str | None, badge: str) -> str:
    """Return the notebook with a set-up cell after its title, and a badge if there is one."""
    # Plain JSON: nbformat takes over half a second to import, and every lesson imports us.
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = {"cell_type": "code", "execution_count": None, "outputs": []}
    written, cells = [], notebook["cells"]
    for tag, source, fields in (
        ("badge", badge, {"cell_type": "markdown"}),
        ("setup", setup_cell(address), code),
    ):
        old = [cell for cell in cells if tag in cell["metadata"].get("tags", [])]
        cells = [cell for cell in cells if cell not in old]
        new = {"id": tag, "metadata": {"tags": [tag]}, **fields, **(old[0] if old else {})}
        if source:
            written.append({**new, "source": source.splitlines(keepends=True)})
    notebook["cells"] = [*cells[:1], *written, *cells[1:]]
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


# --- the address -------------------------------------------------------------------------


def find_project(start: Path | None = None) -> Path:
    """Return the checkout that a folder lies in, the current one by default."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file() and _read(folder).get("name") == "coursekit":
            return folder
    msg = (
        f"The address is kept in the pyproject.toml of a checkout of the course, and {start} "
        "is in none. Clone the repository, go into its folder, and run the command there."
    )
    raise DataError(msg)


def check_address(address: str) -> str:
    """Return an address that pip and git take after ``git+``.

    The path of a repository on this machine becomes a ``file://`` address; of the address of a
    page inside a repository (``.../tree/main``) the repository's is kept.

    Examples
    --------
    >>> check_address("https://example.org/me/course/tree/main/")
    'https://example.org/me/course'
    """
    if address and (Path(address).expanduser() / ".git").exists():
        address = Path(address).expanduser().resolve().as_uri()
    if not _ADDRESS.fullmatch(address):
        msg = (
            "An address is that of a git repository, such as https://github.com/you/course "
            "(no user name, password or spaces in it), or the path of a repository on this "
            f"machine, got {address!r}. Copy the https address from your repository's page."
        )
        raise SettingsError(msg)
    return _PAGE.sub(r"\1", address).rstrip("/")


def read_address(project: Path) -> str | None:
    """Return the address in a checkout's pyproject.toml, None as long as none is set."""
    return _read(project).get("urls", {}).get("Repository")


def write_address(pyproject: str, address: str | None) -> str:
    r"""Return the text of the course's pyproject.toml with another address in it, or with none.

    Examples
    --------
    >>> print(write_address("[project.urls]\n", "https://example.org/course"))
    [project.urls]
    Repository = "https://example.org/course"
    <BLANKLINE>
    """
    text = re.sub(r"(?m)^Repository = .*\n", "", pyproject)
    line = f'Repository = "{address}"\n' if address else ""
    return text.replace("[project.urls]\n", f"[project.urls]\n{line}")


def _read(project: Path) -> dict:
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text).get("project", {})
