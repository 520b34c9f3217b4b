"""The HTML page of a lesson needs no network, no script, and shows formulas."""

import re

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from coursekit.cli.notebooks import to_page, with_mathml


def notebook():
    bar = {
        "application/vnd.jupyter.widget-view+json": {"model_id": "1", "version_major": 2},
        "text/plain": "  0%|          | 0/20",
    }
    outputs = [
        new_output("display_data", data=bar),
        new_output("execute_result", data={"text/plain": "the answer"}, execution_count=1),
    ]
    cells = [
        new_markdown_cell("The size is $n - K + 1$.\n\n$$ n = C_\\text{out} $$"),
        new_code_cell("answer", outputs=outputs, execution_count=1),
    ]
    return new_notebook(cells=cells)


def test_the_page_loads_nothing_and_formulas_are_mathml():
    book = notebook()
    page = to_page(book, title="01")
    loaded = re.findall(r"""(?:src|href)=["'](?!data:|#)([^"']+)""", page)
    assert loaded == []
    assert not re.search(r"import\(|import .* from|url\(['\"]?http", page)
    assert page.count("<math") == 2
    assert "$n" not in page
    assert "0/20" not in page, "no progress bar"
    assert "the answer" in page
    assert len(book.cells[1].outputs) == 2, "the notebook is not changed"
    assert "$n - K + 1$" in book.cells[0].source


@pytest.mark.parametrize(
    "text",
    [
        "`$a$` and ``$b$``",
        "```sh\necho $HOME $PATH\n```",
        "it costs $5 or $6",
        "an escaped \\$a$",
        "one $ alone",
        "a broken $\\left($ one",
    ],
)
def test_what_is_no_formula_stays(text):
    assert with_mathml(text) == text
