"""A lesson alone installs what it needs, and nothing that was there is touched."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from coursekit import __version__
from coursekit.course.lessons import find_lessons, setup_cell

pytestmark = pytest.mark.slow  # makes an environment, and builds the wheel
ROOT = Path(__file__).parents[3]

_ASK_FOR_DATA = """
from coursekit.assets import data_folder, notebooks_folder
from coursekit.course import dataset
from coursekit.course.lessons import find_lessons
import coursekit, torch

print(coursekit.__file__)
print(torch.__file__)
print(data_folder())
print(notebooks_folder())
print(len(find_lessons()), "lessons")
print(dataset("digits", part="test"))
"""


@pytest.fixture(scope="module")
def colab(tmp_path_factory):
    """An environment with everything but coursekit, and a repository to install it from."""
    if sys.platform == "win32":
        pytest.skip("needs symbolic links, which Windows keeps for administrators")
    if shutil.which("git") is None:
        pytest.skip("needs git")
    pytest.importorskip("hatchling", reason="builds the wheel without a network")
    folder = tmp_path_factory.mktemp("colab")
    return make_environment(folder / "env"), make_repository(folder / "course")


def make_environment(folder):
    """Return the Python of a virtual environment that sees all packages but coursekit."""
    packages = folder / "there"
    packages.mkdir(parents=True)
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "coursekit" not in entry.name and entry.suffix != ".pth":
            (packages / entry.name).symlink_to(entry)
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    home = sysconfig.get_path("purelib", vars={"base": str(folder)})
    Path(home, "there.pth").write_text(f"{packages}\n")
    return python


def make_repository(folder):
    """Return the address of a tagged git repository with the files of this checkout."""
    ignored = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "runs")
    shutil.copytree(ROOT, folder, ignore=ignored)
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["commit", "-q", "-m", "A course", "--no-gpg-sign"],
        ["tag", f"v{__version__}"],
    ):
        subprocess.run([*git, *words], cwd=folder, check=True)
    return folder.as_uri()


def lesson_cells(address):
    """Return the first lesson's set-up and imports, followed by questions of our own."""
    setup = setup_cell(address, __version__)
    cells = [nbformat.v4.new_code_cell(setup) for _ in range(2)]
    lessons = find_lessons(ROOT / "notebooks")
    if lessons:
        lesson = nbformat.read(lessons[0].path, as_version=4)
        code = [c for c in lesson.cells if c.cell_type == "code"]
        cells += [nbformat.v4.new_code_cell(cell.source) for cell in code[1:3]]
    return [*cells, nbformat.v4.new_code_cell(_ASK_FOR_DATA)]


def stamp(folder):
    """Return name, size and time of each file of the packages that must stay."""
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns)
        for name in ("torch", "torchvision", "numpy")
        for path in (folder / name).rglob("*.py")
    }


def test_a_lesson_alone_in_an_empty_folder_installs_the_course_and_runs(
    colab, tmp_path, monkeypatch
):
    python, address = colab
    # No index, no isolated build: pip has only what is there, and the network is blocked.
    settings = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INPUT": "1"}
    packages = Path(sysconfig.get_path("purelib"))
    before = stamp(packages)
    notebook = nbformat.v4.new_notebook(cells=lesson_cells(address))
    kernel = tmp_path / "jupyter" / "kernels" / "colab"
    kernel.mkdir(parents=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Colab", "language": "python", "env": settings}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    resources = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, kernel_name="colab", resources=resources)
    client.coalesce_streams = True
    client.execute()
    *first, last = notebook.cells
    assert [cell.outputs for cell in first[:2]] == [[], []], "set-up is silent"
    course, torch, data, notebooks, lessons, digits = last.outputs[0]["text"].splitlines()
    environment = python.parents[1]
    assert Path(course).is_relative_to(environment / "lib")
    assert Path(torch).resolve() == packages / "torch" / "__init__.py"
    assert Path(data) == Path(course).parent / "_shipped" / "data"
    assert Path(notebooks) == Path(course).parent / "_shipped" / "notebooks"
    assert lessons == f"{len(find_lessons(ROOT / 'notebooks'))} lessons"
    assert digits.startswith("ImageSet(500 images of 28 x 28")
    assert stamp(packages) == before
    shipped = {path.relative_to(data) for path in Path(data).rglob("*")}
    assert shipped == {
        path.relative_to(ROOT / "data") for path in (ROOT / "data").rglob("*")
    }
    check_installed_command(python, tmp_path)


def check_installed_command(python, folder):
    """The wheel brings the command, and the command its lessons."""
    command = [str(python), "-m", "coursekit.cli"]
    environment = {**os.environ, "COLUMNS": "80"}
    shown = subprocess.run(
        [*command, "list"], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    for lesson in find_lessons(ROOT / "notebooks"):
        assert lesson.title.split()[0] in shown.stdout  # a long one is wrapped
    assert (python.parent / "coursekit").is_file()


def test_the_first_lesson_runs_whole_from_the_installed_wheel(colab, tmp_path):
    python, address = colab
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--no-deps", f"git+{address}"],
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"},
        check=True,
    )
    done = subprocess.run(
        [python, "-m", "coursekit.cli", "run", "01"],
        cwd=tmp_path,
        # nbconvert's templates are no part of a package: an installation puts them here.
        env={**os.environ, "JUPYTER_PATH": str(Path(sys.prefix, "share", "jupyter"))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "runs" / "01_convolutions.html").is_file()
