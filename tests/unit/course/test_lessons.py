"""The lesson table is what the notebooks say; what hangs on the address follows it."""

import ast
import json
import subprocess
from importlib.metadata import version
from pathlib import Path

import nbformat
import pytest

from coursekit import __version__
from coursekit.course.lessons import (
    check_address,
    find_lesson,
    find_lessons,
    find_project,
    generated_files,
    read_address,
    setup_cell,
    write_address,
)
from coursekit.errors import DataError, SettingsError

ROOT = Path(__file__).parents[3]
URL = "https://github.com/you/course"
PROJECT = '[project]\nname = "coursekit"\n\n[project.urls]\n\n[tool.x]\na = 1\n'
MARKED = (
    "# Course\n\n<!-- lessons: written by `coursekit address`, do not edit -->\n"
    "old\n<!-- end of lessons -->\nrest\n"
)
CONVOLUTIONS = {"title": "Convolutions", "minutes": 60, "roles": ["digits", "photos"]}


def write_notebook(path, said):
    metadata = {} if said is None else {"coursekit": said}
    notebook = {"cells": [], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path):
    write_notebook(
        tmp_path / "02_cnn_architectures.ipynb", {**CONVOLUTIONS, "title": "CNNs"}
    )
    write_notebook(tmp_path / "01_convolutions.ipynb", CONVOLUTIONS)
    write_notebook(tmp_path / "scratch.ipynb", None)
    (tmp_path / "solutions").mkdir()
    write_notebook(tmp_path / "solutions" / "01_convolutions.ipynb", None)
    return tmp_path


def test_lessons_come_in_order_and_solutions_and_scratch_files_are_none(folder):
    first, second = find_lessons(folder)
    assert (first.name, second.name) == ("01_convolutions", "02_cnn_architectures")
    assert first[1:] == ("Convolutions", "01", 60, ("digits", "photos"))


@pytest.mark.parametrize("name", ["01", "1", "01_convolutions", "01_convolutions.ipynb"])
def test_a_lesson_is_found_by_number_or_name(name):
    assert find_lesson(name).name == "01_convolutions"


def test_a_path_is_taken_even_without_metadata(folder):
    lesson = find_lesson(folder / "scratch.ipynb")
    assert (lesson.number, lesson.title, lesson.minutes) == ("", "scratch", None)


def test_a_near_name_gets_a_suggestion_and_any_the_list():
    with pytest.raises(SettingsError, match="Did you mean '01_convolutions'"):
        find_lesson("Convolution")
    with pytest.raises(SettingsError, match="Lessons here: 01_convolutions, 02_cnn"):
        find_lesson("zzz")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not json", "is no Jupyter notebook"),
        ("[]", "is no Jupyter notebook"),
        ('{"metadata": {"coursekit": {"title": "A"}}}', 'do not .* "minutes": 60'),
    ],
)
def test_a_lesson_that_cannot_be_read_or_lacks_its_metadata_is_named(tmp_path, text, words):
    (tmp_path / "01_convolutions.ipynb").write_text(text)
    with pytest.raises(DataError, match=rf"01_convolutions\.ipynb {words}"):
        find_lessons(tmp_path)


# --- the address -----------------------------------------------------------------------


def test_an_address_is_read_back_and_taken_out_and_nothing_else_changes(tmp_path):
    written = write_address(PROJECT, URL)
    (tmp_path / "pyproject.toml").write_text(written)
    assert read_address(tmp_path) == URL
    assert write_address(written, None) == PROJECT
    assert write_address(written, f"{URL}2") == write_address(PROJECT, f"{URL}2")
    assert "[project.urls]\n" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "address",
    ["", "nowhere/at/all", "https://me:secret@a.org/course", 'https://a.org/"; import os'],
)
def test_what_is_no_address_or_holds_secrets_or_code_is_refused(address):
    with pytest.raises(SettingsError, match="no user name, password or spaces"):
        check_address(address)


def test_a_page_and_a_folder_of_a_repository_become_its_address(tmp_path):
    for page in ("", "/", "/blob/main/README.md", "/issues", "/-/tree/main/a"):
        assert check_address(URL + page) == URL
    (tmp_path / "tree" / ".git").mkdir(parents=True)
    assert check_address(str(tmp_path / "tree")) == (tmp_path / "tree").resolve().as_uri()


def test_the_project_is_found_from_a_folder_inside_it(tmp_path):
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_project(tmp_path / "a" / "b") == tmp_path.resolve()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n')
    with pytest.raises(DataError, match="Clone the repository"):
        find_project(tmp_path)


# --- what is written from it ------------------------------------------------------------


@pytest.fixture
def project(tmp_path):
    (tmp_path / "README.md").write_text(MARKED)
    (tmp_path / "notebooks").mkdir()
    cells = [
        nbformat.v4.new_markdown_cell("# Convolutions", id="title"),
        nbformat.v4.new_code_cell("1 + 1", id="sum"),
    ]
    metadata = {"coursekit": CONVOLUTIONS}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.write(notebook, tmp_path / "notebooks" / "01_convolutions.ipynb")
    return tmp_path


def stale(project, address):
    """Return the files that are not what is generated, with the text they should have."""
    files = generated_files(project, address=address)
    return {path: text for path, text in files.items() if path.read_text("utf-8") != text}


def regenerate(project, *, address):
    changed = stale(project, address)
    for path, text in changed.items():
        path.write_text(text)
    return len(changed)


def sources(project):
    notebook = nbformat.read(project / "notebooks" / "01_convolutions.ipynb", as_version=4)
    nbformat.validate(notebook)
    return [cell.source for cell in notebook.cells]


def test_the_readme_and_the_lessons_hold_what_is_generated():
    assert not stale(ROOT, read_address(ROOT)), "run `coursekit address` to write them"


def test_an_address_brings_badges_and_its_removal_takes_them_away(project):
    regenerate(project, address=None)
    plain, readme = sources(project), (project / "README.md").read_text()
    assert plain == ["# Convolutions", setup_cell(None), "1 + 1"]
    assert readme.startswith("# Course\n")
    assert readme.endswith("rest\n")
    row = "| 01 | [Convolutions](notebooks/01_convolutions.ipynb) | 60 | digits, photos |"
    assert row in readme
    assert "old" not in readme
    assert regenerate(project, address=URL) == 2
    assert regenerate(project, address=URL) == 0
    link = f"github/you/course/blob/v{__version__}/notebooks/01_convolutions.ipynb"
    assert link in sources(project)[1]
    assert f"git+{URL}@v{__version__}" in sources(project)[2]
    assert link in (project / "README.md").read_text()
    regenerate(project, address="https://example.org/you/course")
    assert "colab" not in (project / "README.md").read_text(), "Colab opens GitHub only"
    regenerate(project, address=None)
    assert (sources(project), (project / "README.md").read_text()) == (plain, readme)


# --- the set-up cell --------------------------------------------------------------------


@pytest.mark.parametrize("address", [None, URL])
def test_the_cell_is_short_and_says_nothing_when_there_is_nothing_to_do(address, capsys):
    cell = setup_cell(address)
    assert len(cell.splitlines()) <= 25
    assert max(map(len, cell.splitlines())) <= 92
    ast.parse(cell)
    for _ in range(2):
        exec(cell, {})  # noqa: S102
    assert capsys.readouterr() == ("", "")


def test_without_an_address_the_cell_says_how_to_set_one(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="coursekit address URL"):
        exec(setup_cell(None), {})  # noqa: S102


def test_what_is_there_is_frozen_and_pips_own_words_are_shown_when_it_fails(monkeypatch):
    seen = []

    def fail(command, **_):
        seen.extend(Path(command[command.index("-c") + 1]).read_text().splitlines())
        return subprocess.CompletedProcess(command, 1, "", "pip says no")

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(RuntimeError, match=r"could not install git(.|\n)*pip says no"):
        exec(setup_cell(URL), {})  # noqa: S102
    assert {f"{name}=={version(name)}" for name in ("torch", "ipykernel")} <= set(seen)
    assert "torchaudio" not in str(seen), "what is not there is not frozen"
