"""``coursekit run``: executed copies of lessons, as notebooks and as HTML pages.

Sources are read, never written. A page needs nothing else, no network and no script: nbconvert's
own asks a server for the fonts of its formulas and for the code of its widgets. Here formulas
become MathML, which browsers draw themselves, and widgets, which are progress bars that have
ended, are left out.
"""

import os
import re
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from rich.console import Console
from rich.table import Table

from coursekit.cli.notebooks import Task, add_row, run_tasks, show_failure, write_whole
from coursekit.course.lessons import find_lesson
from coursekit.errors import DataError, SettingsError
from coursekit.nbtest.shown import WIDGET_MIME

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


def run_lessons(
    names: Sequence[str], *, profile: str | None, timeout: float, output: Path
) -> int:
    """Execute lessons one after the other, and return 0 when every cell of all of them ran."""
    console = Console()
    paths = list(dict.fromkeys(find_lesson(name).path for name in names))
    for path in paths:
        if [other.name for other in paths].count(path.name) > 1:
            said = "run them one after the other, with --output."
            raise SettingsError(f"Two of the notebooks are named {path.name}: {said}")
        if (output / path.name).resolve() == path.resolve():
            said = f"would write over {path.name} itself. Choose another folder."
            raise SettingsError(f"--output {output} {said}")
    output.mkdir(parents=True, exist_ok=True)
    settings = {"COURSEKIT_PROFILE": profile} if profile else {}
    # In this folder, so that relative paths mean what they mean in the shell.
    tasks = [Task(path.stem, _read(path), Path.cwd(), settings) for path in paths]
    table = Table("Lesson", "Cells", "Seconds", "Peak memory", "Result")
    runs = {}
    for path, task in zip(paths, tasks, strict=True):
        [run] = run_tasks([task], jobs=1, timeout=timeout, console=console)
        runs[path.stem] = run
        add_row(table, path.stem, run, "passed")
        write_whole(output / path.name, nbformat.writes(run.notebook) + "\n")
        write_whole(output / f"{path.stem}.html", to_page(run.notebook, title=path.stem))
    console.print(table)
    for name, run in runs.items():
        show_failure(console, name, run)
    console.print(f"Executed notebooks and pages: {output}{os.sep}", highlight=False)
    return int(any(run.failure for run in runs.values()))


def _read(path: Path) -> NotebookNode:
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:
        msg = f"{path} is not a notebook that can be read ({error}). Restore it from git."
        raise DataError(msg) from error


def to_page(notebook: NotebookNode, *, title: str) -> str:
    """Return the HTML page of an executed notebook: styles, pictures and formulas are in it."""
    from nbconvert import HTMLExporter  # half a second to import, wanted only at the end

    page = deepcopy(notebook)
    page.metadata.pop("widgets", None)
    for cell in page.cells:
        if cell.cell_type == "markdown":
            cell.source = with_mathml(cell.source)
        outputs = cell.get("outputs", [])
        outputs[:] = [out for out in outputs if WIDGET_MIME not in out.get("data", {})]
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
