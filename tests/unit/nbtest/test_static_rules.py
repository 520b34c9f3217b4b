"""The static checks see each way to break a rule, and let right notebooks pass."""

import json

import pytest

from coursekit.errors import NotebookError
from coursekit.nbtest.static import check_notebook
from coursekit.nbtest.static_names import check_names, imported_modules, public_names
from coursekit.nbtest.static_words import find_bad_links, find_machine_paths


def markdown(source):
    return {"cell_type": "markdown", "id": "a", "metadata": {}, "source": source}


def code(source, *outputs, tags=()):
    return {
        "cell_type": "code",
        "id": "b",
        "metadata": {"tags": list(tags)} if tags else {},
        "source": source,
        "execution_count": None,
        "outputs": list(outputs),
    }


TITLE, SETUP, PROSE = (
    markdown("# 3 · Splits\n\nWhy."),
    code("pass", tags=["setup"]),
    markdown("Why."),
)


@pytest.fixture
def check(tmp_path):
    def check(*cells, name="03_splits.ipynb", title="Splits"):
        path = tmp_path / name
        said = {"coursekit": {"title": title}} if title else {}
        book = {"cells": cells, "metadata": said, "nbformat": 4, "nbformat_minor": 5}
        path.write_text(json.dumps(book), encoding="utf-8")
        return check_notebook(path)

    return check


def test_a_lesson_in_order_has_no_problem(check):
    import_ = code(
        "from coursekit import course, figures\nfrom coursekit.datasets import ImageSet"
    )
    use = code("figures.show_images(course.dataset('digits').images[:2], title='Two')")
    assert check(TITLE, SETUP, import_, PROSE, use) == []


def test_a_notebook_that_is_no_lesson_needs_no_set_up_cell(check):
    assert check(markdown("# Solutions\n\nWhy."), code("1"), title=None) == []


@pytest.mark.parametrize(
    ("cells", "cell", "words"),
    [
        ([PROSE, SETUP], None, "first line is `# ` and its title"),
        ([markdown("# 4 · Splits\nWhy."), SETUP], None, "should be `# 3 · Splits`"),
        ([markdown("# 3 · Split\nWhy."), SETUP], None, "should be `# 3 · Splits`"),
        ([TITLE, code("1"), PROSE, SETUP], None, "first code cell is the set-up cell"),
        ([TITLE], None, "first code cell is the set-up cell"),
        ([TITLE, SETUP, code("1"), code("2")], 4, "third code cell in a row"),
        ([TITLE, SETUP, markdown("## 3.1 Cut"), code("2")], 4, "only a heading"),
        ([SETUP], 1, "code comes before any text"),
        ([TITLE, SETUP, code("1\n" * 26)], 3, "at most 25 lines, this one has 26"),
        ([TITLE, SETUP, code("def make_shapes(n):\n    ...")], 3, "datasets exports it"),
        ([TITLE, SETUP, code("from torch.nn import _f")], 3, "torch.nn._f is private"),
        ([TITLE, SETUP, code("x = ;")], 3, "not Python"),
        ([TITLE, SETUP, markdown("See [here](https://a.org).")], 3, "name what stands"),
    ],
)
def test_each_broken_rule_is_told_with_its_cell(check, cells, cell, words):
    problems = check(*cells)
    assert [(p.cell, words in p.message) for p in problems if words in p.message] == [
        (cell, True)
    ]
    assert str(problems[0]).startswith("03_splits.ipynb")


def test_25_lines_and_two_code_cells_in_a_row_are_allowed(check):
    assert check(TITLE, SETUP, code("1\n" * 25), PROSE, code("1"), code("2")) == []


def test_a_path_in_an_output_is_told(check):
    shown = {"output_type": "stream", "name": "stdout", "text": ["in /tmp/abc/x.png\n"]}
    (problem,) = check(TITLE, SETUP, code("1", shown))
    assert problem.cell == 3
    assert "'/tmp/abc/x.png'" in problem.message


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import coursekit._shipped", "coursekit._shipped is private"),
        ("from coursekit.figures import _colors", "is private"),
        ("from coursekit.figures.bars import plot_bars", "Import from coursekit.figures"),
        ("import coursekit.figures.bars", "no public module"),
        ("from coursekit.figure import Figure", "no public module"),
        ("from coursekit.figures import show_image", "has no public name show_image"),
        ("from coursekit import figure", "coursekit has no public name figure"),
        ("from coursekit.figures import *", "hides where names come from"),
        ("import coursekit.figures\ncoursekit.figures.show_it()", "no public name show_it"),
        ("from coursekit import figures as f\nf.show_it()", "no public name show_it"),
        ("class Figure:\n    pass", "coursekit.figures exports it"),
        ("def f():\n    from torch import _C", "torch._C is private"),
    ],
)
def test_a_wrong_name_is_told(source, words):
    (text,) = check_names(source, modules=imported_modules(source))
    assert words in text


@pytest.mark.parametrize(
    "source",
    [
        "from coursekit.figures import Figure, plot_bars",
        "class Own:\n    def make_shapes(self):\n        ...",
        "from coursekit import __version__, figures\nfigures.Figure.savefig",
        "import coursekit\ncoursekit.__version__",
        "from torchvision import models\nmodels.resnet18()",
        "figures = {}\nfigures.popitem()",
        "from __future__ import annotations",
        "%matplotlib inline\n!ls\nfor _ in range(3):\n    pass",
        "def _own_helper():\n    return 1",
    ],
)
def test_a_right_name_passes(source):
    assert check_names(source, modules=imported_modules(source)) == []


def test_the_public_names_are_those_that_exist():
    import importlib

    for module, names in public_names().items():
        if module != "coursekit":
            assert set(importlib.import_module(module).__all__) == names, module


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[a page](http://example.org)", "neither an https address"),
        ("[a file](/data/x.png)", "neither an https address"),
        ("[a file](missing.ipynb)", "no file beside"),
        ("[nothing]()", "neither an https address"),
        ("[https://a.org](https://a.org)", "an address for its words"),
        ("[click here](https://a.org)", "name what stands there"),
        ("![](there.ipynb)", "name what stands there"),
        ("[![](https://a.org/b.svg)](https://a.org)", "name what stands there"),
        ("see https://a.org/b", "stands bare"),
        ("<https://a.org>", "stands bare"),
        ('<a href="https://a.org">a</a>', "is HTML"),
        ('<img src="x.png">', "is HTML"),
        ("[words][1]\n", "is a reference"),
        ("[1]: https://a.org", "is a reference"),
        ("[Paper](https://arxiv.org/pdf/1701.04128)", "abstract"),
    ],
)
def test_a_link_of_another_form_is_told(tmp_path, text, words):
    (tmp_path / "there.ipynb").touch()
    found = find_bad_links(text, folder=tmp_path)
    assert any(words in line for line in found), found


@pytest.mark.parametrize(
    "text",
    [
        "[Title (2016)](https://arxiv.org/abs/1701.04128), and [next](there.ipynb#one).",
        "[a section](#1-title)",
        "![a cat](there.ipynb)",
        "[![Open in Colab](https://a.org/b.svg)](https://a.org/c)",
        "`pip install -e git+https://a.org` and `[1][2]`",
        "```\nhttps://a.org\n```",
        "$w[i][j]$ and $$x[i](t)$$",
        "shape [3] and (4), a < a b > c",
    ],
)
def test_a_link_of_the_house_passes(tmp_path, text):
    (tmp_path / "there.ipynb").touch()
    assert find_bad_links(text, folder=tmp_path) == []


@pytest.mark.parametrize(
    "path",
    [
        "/home/ada/a.py",
        "/Users/ada/x",
        "/mnt/c/1.py",
        "/root/.cache",
        "C:\\Users\\a\\b",
    ],
)
def test_a_path_of_a_machine_is_found_wherever_it_stands(path):
    outputs = [
        {"output_type": "stream", "text": f"see {path}\n"},
        {"output_type": "execute_result", "data": {"text/html": f"<p>'{path}'</p>"}},
        {"output_type": "error", "evalue": f"no {path}", "traceback": ["a"]},
        {"output_type": "error", "evalue": "", "traceback": [f'File "{path}", line 1']},
    ]
    for output in outputs:
        assert len(find_machine_paths([output])) == 1, output


@pytest.mark.parametrize(
    "text",
    [
        "1/2 and 3/home",
        "https://a.org/home/x",
        "a/tmp/b",
        "/ 7",
        "</tmp/b>",
        "notebooks/tmp/x",
    ],
)
def test_what_is_no_path_of_a_machine_passes(text):
    outputs = [{"output_type": "stream", "text": text}]
    assert find_machine_paths(outputs) == []
    pictures = [{"output_type": "display_data", "data": {"image/png": "/home/ab/cd"}}]
    assert find_machine_paths(pictures) == []


@pytest.mark.parametrize(
    "text", ["", "no json", "[]", '{"cells": 3, "metadata": {}}', '{"cells": [{}]}']
)
def test_what_is_no_notebook_is_an_error_that_names_the_file(tmp_path, text):
    path = tmp_path / "broken.ipynb"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(NotebookError, match=r"broken\.ipynb is not a Jupyter notebook"):
        check_notebook(path)
    with pytest.raises(NotebookError, match=r"gone\.ipynb is not"):
        check_notebook(tmp_path / "gone.ipynb")
