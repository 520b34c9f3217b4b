"""The HTML page of a lesson needs no network, no script, and shows formulas."""

import re

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from coursekit.cli.notebooks import to_page


def test_the_page_loads_nothing_and_formulas_are_mathml():
    widget = {"model_id": "1", "version_major": 2}
    bar = {"application/vnd.jupyter.widget-view+json": widget, "text/plain": "0/20"}
    outputs = [
        new_output("display_data", data=bar),
        new_output("execute_result", data={"text/plain": "the answer"}, execution_count=1),
    ]
    words = (
        "The size is $n - K + 1$.\n\n$$ n = C_\\text{out} $$\n\n`$code$` and $\\left($ stay"
    )
    picture = new_markdown_cell("![a dot](attachment:dot.png)")
    picture["attachments"] = {"dot.png": {"image/png": "iVBORw0KGgo="}}
    code = new_code_cell("answer", outputs=outputs, execution_count=1)
    book = new_notebook(cells=[new_markdown_cell(words), picture, code])
    page = to_page(book, title="01")
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)([^"']+)""", page) == []
    assert not re.search(r"import\(|import .* from|url\(['\"]?http", page)
    assert page.count("<math") == 2
    assert "$n" not in page
    assert "<code>$code$</code> and $\\left($ stay" in page
    assert "data:image/png;base64,iVBORw0KGgo=" in page
    assert "0/20" not in page, "no progress bar"
    assert "the answer" in page
    assert len(book.cells[2].outputs) == 2, "the notebook is not changed"
