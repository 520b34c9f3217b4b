"""A lesson alone installs what it needs, and nothing that was there is touched."""

import json
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


@pytest.fixture
def colab(tmp_path):
    """An environment with everything but coursekit, and a repository to install it from."""
    if sys.platform == "win32":
        pytest.skip("needs symbolic links, which Windows keeps for administrators")
    if shutil.which("git") is None:
        pytest.skip("needs git")
    pytest.importorskip("hatchling", reason="builds the wheel without a network")
    return make_environment(tmp_path / "env"), make_repository(tmp_path / "course")


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
    setup = setup_cell(address)
    lesson = nbformat.read(find_lessons(ROOT / "notebooks")[0].path, as_version=4)
    code = [cell.source for cell in lesson.cells if cell.cell_type == "code"]
    sources = [setup, setup, *code[1:3], _ASK_FOR_DATA]
    return [nbformat.v4.new_code_cell(source) for source in sources]


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
    empty = tmp_path / "empty"
    empty.mkdir()
    kernel = tmp_path / "jupyter" / "kernels" / "colab"
    kernel.mkdir(parents=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Colab", "language": "python", "env": settings}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.delenv("PYTHONPATH", raising=False)  # may name this checkout
    resources = {"metadata": {"path": str(empty)}}
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
    command = [str(python), "-m", "coursekit.cli", "list"]
    shown = subprocess.run(command, cwd=empty, capture_output=True, text=True)
    assert "Convolutions" in shown.stdout, shown.stderr
    assert (python.parent / "coursekit").is_file()
