"""Every notebook of the course keeps the rules that can be seen without running it."""

from pathlib import Path

import pytest

from coursekit.nbtest.static import check_notebook

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.rglob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_notebook_keeps_the_rules(path):
    assert "\n".join(map(str, check_notebook(path))) == ""
