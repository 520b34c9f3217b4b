"""The repository's address, and what is written from it: set-up cells, badges, lesson table.

The address stands once, in ``project.urls`` of pyproject.toml. ``coursekit address`` changes it
and writes the rest anew; a test compares the rest with what `generated_files` says.
"""

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from coursekit import __version__
from coursekit.course.lessons import Lesson, find_lessons
from coursekit.errors import DataError, SettingsError

__all__ = [
    "check_address",
    "colab_badge",
    "find_project",
    "generated_files",
    "lesson_table",
    "read_address",
    "regenerate",
    "setup_cell",
    "write_address",
]

_ADDRESS = re.compile(r"(https://[\w.-]+(:\d+)?/[\w./~-]+|file:///[\w./:~-]+)")
_PAGE = re.compile(r"/(-/)?(tree|blob|commits?|releases|issues|wiki)(/.*)?$")
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


def setup_cell(address: str | None, version: str, *, extras: Sequence[str] = ()) -> str:
    """Return the source of a lesson's set-up cell, plain Python of at most 25 lines.

    The cell does nothing where coursekit can be imported. Elsewhere it installs the tagged
    version (``v`` + `version`) with pip, which may not replace torch or what else is heavy
    there. Without an address it says how to set one.

    Examples
    --------
    >>> "course.git@v0.1.0" in setup_cell("https://example.org/course.git", "0.1.0")
    True
    """
    if address is None:
        return (_HEAD + _NO_ADDRESS).rstrip()
    requirement = f"git+{address}@v{version}"
    if extras:  # older pips know "name @ git+file://" not, so only where it is needed
        requirement = f"coursekit[{','.join(extras)}] @ {requirement}"
    return (_HEAD + _INSTALL.replace("REQUIREMENT", requirement)).rstrip()


def colab_badge(address: str | None, version: str, *, notebook: str) -> str:
    """Return the Markdown of an "Open in Colab" badge; Colab opens from GitHub only.

    `notebook` is a path in the repository. The badge opens the tag that the set-up cell installs.

    Examples
    --------
    >>> colab_badge(None, "0.1.0", notebook="notebooks/01_convolutions.ipynb")
    ''
    """
    host = "https://github.com/"
    if address is None or not address.startswith(host):
        return ""
    repository = address.removeprefix(host).removesuffix("/").removesuffix(".git")
    colab = "https://colab.research.google.com"
    link = f"{colab}/github/{repository}/blob/v{version}/{notebook}"
    return f"[![Open in Colab]({colab}/assets/colab-badge.svg)]({link})"


def lesson_table(lessons: Sequence[Lesson], *, address: str | None = None) -> str:
    """Return the README's table of lessons, with badges where Colab can open the address."""
    has_badges = bool(colab_badge(address, __version__, notebook=""))
    rows = [["", "Lesson", "Minutes", "Data and models"] + ["Colab"] * has_badges]
    rows.append(["---"] * len(rows[0]))
    for lesson in lessons:
        link = f"notebooks/{lesson.path.name}"
        needs = ", ".join([*lesson.roles, *["GPU"] * lesson.gpu])
        row = [lesson.number, f"[{lesson.title}]({link})", f"{lesson.minutes}", needs]
        rows.append(row + [colab_badge(address, __version__, notebook=link)] * has_badges)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def generated_files(project: Path, *, address: str | None) -> dict[Path, str]:
    """Return the README and every lesson, each with the text that it should have."""
    lessons, readme = find_lessons(project / "notebooks"), project / "README.md"
    text = readme.read_text(encoding="utf-8")
    begin, end = text.find(_BEGIN), text.find(_END)
    if not 0 <= begin < end:
        msg = f"README.md needs two lines around the lesson table: {_BEGIN} and {_END}."
        raise DataError(msg)
    table = lesson_table(lessons, address=address)
    files = {readme: f"{text[: begin + len(_BEGIN)]}\n\n{table}\n\n{text[end:]}"}
    return files | {lesson.path: _notebook_text(lesson, address) for lesson in lessons}


def regenerate(project: Path, *, address: str | None) -> tuple[Path, ...]:
    """Write what is generated, and return the files that changed."""
    changed = []
    for path, text in generated_files(project, address=address).items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")
            changed.append(path)
    return tuple(changed)


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
    at = [n for n, cell in enumerate(cells) if kind in cell["metadata"].get("tags", [])]
    lines = source.splitlines(keepends=True)
    if at and source:
        if "".join(cells[at[0]]["source"]) != source:
            cells[at[0]]["source"] = lines
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


def find_project(start: Path | None = None) -> Path:
    """Return the checkout that a folder lies in, the current one by default."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file() and _read(folder).get(
            "name"
        ) == "coursekit":
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
    path = Path(address).expanduser()
    if address and "://" not in address and (path / ".git").exists():
        address = path.resolve().as_uri()
    if not _ADDRESS.fullmatch(address):
        msg = (
            "An address is that of a git repository, such as https://github.com/you/course "
            "(no user name, password or spaces in it), or the path of a repository on this "
            f"machine, got {address!r}. Copy the https address from your repository's page."
        )
        raise SettingsError(msg)
    is_page = address.startswith("https://")
    return (_PAGE.sub("", address) if is_page else address).rstrip("/")


def read_address(project: Path) -> str | None:
    """Return the address in a checkout's pyproject.toml, None as long as none is set."""
    return _read(project).get("urls", {}).get("Repository")


def write_address(pyproject: str, address: str | None) -> str:
    """Return the text of a pyproject.toml with another address in it, or with none.

    Examples
    --------
    >>> print(write_address("[project]", "https://example.org/course"))
    [project]
    <BLANKLINE>
    [project.urls]
    Repository = "https://example.org/course"
    """
    text = re.sub(r'(?m)^Repository = "[^"\n]*"\n?', "", pyproject)
    if address is None:
        return re.sub(r"\n*^\[project\.urls\]\n(?=\s*(\[|\Z))", "\n\n", text, flags=re.M)
    table = f'[project.urls]\nRepository = "{address}"'
    if re.search(r"(?m)^\[project\.urls\]$", text):
        return re.sub(r"(?m)^\[project\.urls\]$", table, text)
    return re.sub(
        r"(?ms)^(\[project\]\n?.*?)(?=\s*(^\[|\Z))", rf"\1\n\n{table}", text, count=1
    )


def _read(project: Path) -> dict:
    file = project / "pyproject.toml"
    try:
        return tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except (ValueError, OSError) as error:
        msg = (
            f"{file} cannot be read as TOML ({error}). Correct it, or restore it from git."
        )
        raise DataError(msg) from error
