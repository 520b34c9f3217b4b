"""Directives: what they set, and that a typo is told with file, cell and the cure."""

import pytest
from nbformat.v4 import new_code_cell

from coursekit.errors import NotebookError, SettingsError
from coursekit.nbtest.directives import Directives, read_directives


def directives(source, tags=()):
    cell = new_code_cell(source, metadata={"tags": list(tags)} if tags else {})
    return read_directives(cell, where="a.ipynb, Cell 3")


def test_a_cell_that_says_nothing_has_the_defaults():
    assert directives("x = 1  # rtol=1") == Directives()


@pytest.mark.parametrize(
    ("source", "tags"),
    [
        ("# nbtest: rtol=5e-2 atol=0.01 times\nx", ()),
        ("#nbtest:rtol=5e-2,atol=0.01, times\nx", ()),
        ("x\n    # NBTEST: rtol=0.05\n# nbtest: atol=1e-2 times", ()),
        ("%%time\n# nbtest: rtol=0.05 atol=0.01 times\nx", ()),
        ("x", ("nbtest:rtol=0.05", "nbtest:atol=0.01", "nbtest:times", "hide-input")),
        ("# nbtest: rtol=0.05 atol=0.01", ("nbtest:times", "nbtest:rtol=5e-2")),
    ],
)
def test_comments_and_tags_say_the_same(source, tags):
    assert directives(source, tags) == Directives(rtol=0.05, atol=0.01, times=True)


def test_every_directive_is_read():
    read = directives("# nbtest: counts=4 image_rms=0.1 memory")
    assert read == Directives(counts=4, image_rms=0.1, memory=True)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("# nbtest: rtoll=1e-2", "'rtoll' is not a directive"),
        ("# nbtest: time", "'time' is not a directive"),
        ("# nbtest: rtol", "rtol needs a value"),
        ("# nbtest: times=1", "times takes no value"),
        ("# nbtest: rtol=much", "rtol is a number, got 'much'"),
        ("# nbtest: counts=1.5", "counts is an integer, got '1.5'"),
        ("# nbtest: rtol=-1e-2", "rtol must be a number that is not negative, got -0.01"),
        ("# nbtest: atol=nan", "atol must be a number that is not negative, got nan"),
        ("# nbtest: counts=-1", "counts must be"),
        ("# nbtest: image_rms=3", "image_rms is a share of the full scale"),
        ("# nbtest:", "the directive is empty"),
        ("# nbtest rtol=1e-2", "the colon is missing"),
        ("x = 1  # nbtest: times", "a directive stands on a line of its own"),
        ("# nbtest: rtol=1e-2\n# nbtest: rtol=1e-3", "rtol is given twice"),
    ],
)
def test_what_is_not_understood_names_file_cell_and_cure(source, words):
    with pytest.raises(NotebookError) as caught:
        directives(source)
    message = str(caught.value)
    assert words in message
    assert message.startswith("a.ipynb, Cell 3: ")
    assert "Allowed are rtol=NUMBER, atol=NUMBER, counts=INTEGER" in message


@pytest.mark.parametrize(
    ("tag", "words"),
    [("nbtest:rtol", "rtol needs a value"), ("nbtest-times", "begins with `nbtest:`")],
)
def test_a_tag_with_a_typo_is_refused_too(tag, words):
    with pytest.raises(NotebookError, match=words):
        directives("x", [tag])


def test_a_comment_about_the_tests_is_no_directive():
    assert directives("# nbtest compares this cell\nx") == Directives()


def test_settings_are_checked_when_made():
    with pytest.raises(SettingsError, match="rtol must be"):
        Directives(rtol=float("inf"))
