"""The lesson table is what the notebooks say of themselves."""

import json

import pytest

from coursekit.course import lessons
from coursekit.course.lessons import find_lesson, find_lessons
from coursekit.errors import DataError, SettingsError

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


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.setattr(lessons, "notebooks_folder", lambda: folder)


def test_lessons_come_in_order_and_solutions_and_scratch_files_are_none(folder):
    first, second = find_lessons(folder)
    assert (first.name, second.name) == ("01_convolutions", "02_cnn_architectures")
    assert first[1:] == ("Convolutions", "01", 60, ("digits", "photos"))


@pytest.mark.parametrize("name", ["01", "1", "01_convolutions", "01_convolutions.ipynb"])
def test_a_lesson_is_found_by_number_or_name(here, name):
    assert find_lesson(name).name == "01_convolutions"


def test_a_path_is_taken_even_without_metadata(folder):
    lesson = find_lesson(folder / "scratch.ipynb")
    assert (lesson.number, lesson.title, lesson.minutes) == ("", "scratch", None)


def test_a_near_name_gets_a_suggestion(here):
    with pytest.raises(SettingsError, match="Did you mean '01_convolutions'"):
        find_lesson("Convolution")


def test_an_unknown_name_lists_the_lessons(here):
    with pytest.raises(SettingsError, match="Lessons here: 01_convolutions, 02_cnn"):
        find_lesson("zzz")


def test_a_lesson_without_its_metadata_is_named_with_an_example(tmp_path):
    write_notebook(tmp_path / "01_convolutions.ipynb", {"title": "Convolutions"})
    with pytest.raises(DataError, match=r'01_convolutions\.ipynb do not .* "minutes": 60'):
        find_lessons(tmp_path)


@pytest.mark.parametrize("text", ["not json", "[]", '{"metadata": 1}'])
def test_a_file_that_is_no_notebook_is_named(tmp_path, text):
    (tmp_path / "01_convolutions.ipynb").write_text(text)
    with pytest.raises(DataError, match=r"01_convolutions\.ipynb is no Jupyter notebook"):
        find_lessons(tmp_path)
