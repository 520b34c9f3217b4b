"""What is generated is what stands in the repository, and follows the address."""

from pathlib import Path

import nbformat
import pytest

from coursekit import __version__
from coursekit.course import (
    find_lessons,
    generated_files,
    lesson_table,
    read_address,
    regenerate,
    setup_cell,
)
from coursekit.errors import DataError

ROOT = Path(__file__).parents[3]
URL = "https://github.com/you/course"
MARKED = (
    "# Course\n\n<!-- lessons: written by `coursekit address`, do not edit -->\n"
    "old\n<!-- end of lessons -->\nrest\n"
)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "README.md").write_text(MARKED)
    (tmp_path / "notebooks").mkdir()
    cells = [
        nbformat.v4.new_markdown_cell("# Convolutions", id="title"),
        nbformat.v4.new_code_cell("1 + 1", id="sum"),
    ]
    said = {"title": "Convolutions", "minutes": 60, "roles": ["digits"]}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"coursekit": said})
    nbformat.write(notebook, tmp_path / "notebooks" / "01_convolutions.ipynb")
    return tmp_path


def sources(project):
    notebook = nbformat.read(project / "notebooks" / "01_convolutions.ipynb", as_version=4)
    nbformat.validate(notebook)
    return [cell.source for cell in notebook.cells]


def test_the_readme_and_the_lessons_hold_what_is_generated():
    stale = [
        path.name
        for path, text in generated_files(ROOT, address=read_address(ROOT)).items()
        if path.read_text(encoding="utf-8") != text
    ]
    assert not stale, f"run `coursekit address` to write {stale}"


def test_every_lesson_stands_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert lesson_table(find_lessons(), address=read_address(ROOT)) in readme


def test_a_lesson_without_a_set_up_cell_gets_one_after_its_title(project):
    regenerate(project, address=None)
    assert sources(project) == ["# Convolutions", setup_cell(None, __version__), "1 + 1"]


def test_an_address_brings_badges_and_its_removal_takes_them_away(project):
    regenerate(project, address=None)
    plain = sources(project), (project / "README.md").read_text()
    regenerate(project, address=URL)
    link = f"github/you/course/blob/v{__version__}/notebooks/01_convolutions.ipynb"
    assert link in sources(project)[1]
    assert f"git+{URL}@v{__version__}" in sources(project)[2]
    assert link in (project / "README.md").read_text()
    regenerate(project, address=None)
    assert (sources(project), (project / "README.md").read_text()) == plain


def test_writing_twice_changes_nothing_the_second_time(project):
    assert len(regenerate(project, address=URL)) == 2
    assert regenerate(project, address=URL) == ()


def test_what_stands_around_the_table_stays(project):
    regenerate(project, address=None)
    readme = (project / "README.md").read_text()
    assert readme.startswith("# Course\n")
    assert readme.endswith("rest\n")
    assert (
        "| 01 | [Convolutions](notebooks/01_convolutions.ipynb) | 60 | digits |" in readme
    )
    assert "old" not in readme


def test_an_address_that_colab_cannot_open_has_no_badge(project):
    regenerate(project, address="https://example.org/you/course")
    assert "colab" not in (project / "README.md").read_text()
    assert len(sources(project)) == 3


def test_a_readme_without_markers_says_which(project):
    (project / "README.md").write_text("# Course\n")
    with pytest.raises(DataError, match="end of lessons"):
        regenerate(project, address=None)
