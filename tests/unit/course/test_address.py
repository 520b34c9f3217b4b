"""The address stands once, and only an address can be set."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursekit.course import check_address, find_project, read_address, write_address
from coursekit.errors import DataError, SettingsError

PROJECT = (
    '[build-system]\nrequires = []\n\n[project]\nname = "coursekit"\n\n[tool.x]\na = 1\n'
)
OTHER_URLS = PROJECT + '\n[project.urls]\nHomepage = "https://example.org"\n'
URL = "https://example.org/you/course"


@pytest.mark.parametrize("text", [PROJECT, OTHER_URLS, '[project]\nname = "coursekit"'])
def test_an_address_that_is_written_is_read_back_and_nothing_else_changes(text, tmp_path):
    written = write_address(text, URL)
    (tmp_path / "pyproject.toml").write_text(written)
    assert read_address(tmp_path) == URL
    table = tomllib.loads(written)
    del table["project"]["urls"]["Repository"]
    if not table["project"]["urls"]:
        del table["project"]["urls"]
    assert table == tomllib.loads(text)


@pytest.mark.parametrize("text", [PROJECT, OTHER_URLS])
def test_taking_the_address_out_gives_the_first_text_back(text):
    assert write_address(write_address(text, URL), None).split() == text.split()


def test_setting_an_address_twice_leaves_one():
    text = write_address(write_address(PROJECT, URL), "https://example.org/other")
    assert text == write_address(PROJECT, "https://example.org/other")


@given(st.from_regex(r"https://[a-z.]{1,9}/[\w./-]{1,20}", fullmatch=True))
def test_whatever_is_accepted_survives_the_file(address):
    try:
        checked = check_address(address)
    except SettingsError:
        return
    text = write_address(PROJECT, checked)
    assert tomllib.loads(text)["project"]["urls"]["Repository"] == checked


@pytest.mark.parametrize(
    "address",
    [
        "",
        "course",
        "http://example.org/course",
        "git@example.org:you/course.git",
        "https://me:secret@example.org/course",
        "https://example.org/a course",
        'https://example.org/"; import os',
        "https://example.org",
        "nowhere/at/all",
    ],
)
def test_what_is_no_address_is_refused_with_an_example(address):
    with pytest.raises(SettingsError, match=r"https://github\.com/you/course"):
        check_address(address)


def test_a_repository_on_this_machine_becomes_a_file_address(tmp_path):
    (tmp_path / ".git").mkdir()
    assert check_address(str(tmp_path)) == tmp_path.resolve().as_uri()


def test_the_project_is_found_from_a_folder_inside_it(tmp_path):
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_project(tmp_path / "a" / "b") == tmp_path.resolve()


def test_outside_a_checkout_the_message_says_where_to_go(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n')
    with pytest.raises(DataError, match="Clone the repository"):
        find_project(tmp_path)


def test_a_broken_pyproject_is_named(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project\n")
    with pytest.raises(DataError, match=r"pyproject\.toml cannot be read"):
        read_address(tmp_path)
