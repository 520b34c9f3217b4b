"""An executed notebook as one HTML page that needs nothing else: no network, no script.

nbconvert's own page asks a server for the fonts of its formulas and for the code of its
widgets. Here formulas become MathML, which browsers draw themselves, and widgets, which are
progress bars that have ended, are left out. Nothing here knows how a notebook is executed.
"""

import re
from copy import deepcopy

from nbformat import NotebookNode

__all__ = ["to_page"]

_WIDGET = "application/vnd.jupyter.widget-view+json"

_TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block footer_js -%}{%- endblock -%}
"""

# What is between backticks is code and stays; then display formulas, then inline ones.
_CODE_OR_FORMULA = re.compile(
    r"(?P<code>(?P<ticks>`+)(?:(?!(?P=ticks)).|\n)*(?P=ticks))"
    r"|\$\$(?P<display>.+?)\$\$"
    r"|(?<![\\$])\$(?![\s$])(?P<inline>[^$\n]+?)(?<![\s\\])\$(?![\d$])",
    re.DOTALL,
)


def to_page(notebook: NotebookNode, *, title: str) -> str:
    """Return the HTML page of an executed notebook.

    Parameters
    ----------
    notebook : NotebookNode
        Is not changed.
    title : str
        Of the page, for the browser's tab.

    Returns
    -------
    str
        Complete: styles, pictures and formulas are in it.
    """
    from nbconvert import HTMLExporter  # half a second to import, wanted only at the end

    page = deepcopy(notebook)
    page.metadata.pop("widgets", None)
    for cell in page.cells:
        if cell.cell_type == "markdown":
            cell.source = with_mathml(cell.source)
        elif cell.cell_type == "code":
            cell.outputs = [
                out for out in cell.outputs if _WIDGET not in out.get("data", {})
            ]
    exporter = HTMLExporter(raw_template=_TEMPLATE)
    resources = {"metadata": {"name": title}}
    return exporter.from_notebook_node(page, resources=resources)[0]


def with_mathml(markdown: str) -> str:
    """Return Markdown whose formulas, between dollar signs, are MathML.

    A formula that cannot be converted stays as it was written.

    Examples
    --------
    >>> with_mathml("`$code$` stays")
    '`$code$` stays'
    >>> with_mathml("so $n$ is").startswith("so <math")
    True
    """
    return _CODE_OR_FORMULA.sub(_convert, markdown)


def _convert(match: re.Match) -> str:
    from latex2mathml.converter import convert

    if match["code"]:
        return match["code"]
    is_display = match["display"] is not None
    formula = match["display"] if is_display else match["inline"]
    try:
        mathml = convert(formula.strip(), display="block" if is_display else "inline")
    except Exception:  # noqa: BLE001 - the formula as it was written is better than no page
        return match[0]
    return mathml.replace("\n", " ")
