"""What the tests of all lessons' exercises share."""

import nbformat
import pytest

from coursekit.course import check_exercise


@pytest.fixture(scope="module")
def solved(request):
    """The names that the solutions in the module's ``BOOK`` define."""
    names = {"check_exercise": check_exercise}
    for cell in nbformat.read(request.module.BOOK, as_version=4).cells:
        if "solution" in cell.metadata.get("tags", []):
            exec(cell.source, names)  # noqa: S102
    return names
