"""``coursekit run``, ``check`` and ``refresh``: notebooks that are executed.

`run` writes executed copies, as notebooks and as HTML pages; sources are read, never written.
`check` compares what lessons show with what is stored. On real data or own files, where other
numbers are right, only errors and failed assertions count; on a GPU, words too. `refresh` is the
one command that writes into notebooks. A second run changes nothing.
"""

import ast
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import cache
from hashlib import sha256
from itertools import islice
from pathlib import Path
from textwrap import indent
from typing import Any

import nbformat
from nbformat import NotebookNode
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

import coursekit
from coursekit import assets
from coursekit.course.lessons import find_lesson, find_lessons
from coursekit.errors import NotebookError, SettingsError
from coursekit.nbtest.cells import (
    code_cells,
    find_stored_problems,
    hash_source,
    own_metadata,
    read_measured,
    read_notebook,
    read_rules,
)
from coursekit.nbtest.compare import compare_cell
from coursekit.nbtest.machines import MACHINES
from coursekit.nbtest.refresh import format_notebook, renew
from coursekit.nbtest.run import NotebookRun, NotebookSession, execute_notebook
from coursekit.nbtest.shown import WIDGET_MIME

_PICTURES = Path("runs") / "differences"

# Nothing of nbconvert's page that asks a server: for fonts of formulas, or code of widgets.
_TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block footer_js -%}{%- endblock -%}
"""


def choose_notebooks(names: Sequence[str]) -> dict[str, Path]:
    """Return the notebooks that are meant, by the name under which they are shown.

    Names are as `find_lesson` takes them; without any, all lessons and their solutions are meant.
    """
    paths = [find_lesson(name).path for name in names]
    if not names:
        paths = [lesson.path for lesson in find_lessons()]
        paths += sorted((assets.notebooks_folder() / "solutions").glob("*.ipynb"))
    folders = {path: "solutions/" * (path.parent.name == "solutions") for path in paths}
    named = {f"{folder}{path.stem}": path for path, folder in folders.items()}
    if len(named) < len(folders):
        raise SettingsError("Two of the notebooks have one name: take one after the other.")
    return named


def embedded_settings() -> dict[str, str]:
    """Return a kernel's settings for embedded data on the CPU, as what is stored was made."""
    own = {assets.role_variable(role): "" for role in assets.role_paths()}
    return {"COURSEKIT_PROFILE": "embedded", "COURSEKIT_DEVICE": "cpu", **own}


def execute_all(
    tasks: Mapping[str, Mapping[str, Any]], *, timeout: float, jobs: int = 1
) -> dict[str, NotebookRun]:
    """Execute notebooks, `jobs` at a time, each in its own kernel; a bar counts their cells.

    `tasks` are the arguments of `execute_notebook`, by the names that the bar shows. A cell may
    take `timeout` seconds. The runs come by the same names.
    """
    sessions: list[NotebookSession] = []
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), "{task.description}")
    n_cells = sum(len(code_cells(task["notebook"])) for task in tasks.values())
    # Kernels need the cores: the bar is drawn twice a second.
    with Progress(*columns, refresh_per_second=2) as progress:
        bar, names = progress.add_task("", total=n_cells), list(tasks)

        def run(name: str) -> NotebookRun:
            said = f"run {names.index(name) + 1} of {len(names)}: {name}"
            return execute_notebook(
                **tasks[name],
                timeout=timeout,
                on_start=sessions.append,
                on_cell=lambda _: progress.update(bar, advance=1, description=said),
            )

        if jobs == 1:
            return {name: run(name) for name in tasks}
        with ThreadPoolExecutor(jobs) as pool:
            try:
                return dict(zip(tasks, pool.map(run, tasks), strict=True))
            except BaseException:  # Ctrl-C too: what still runs is ended
                pool.shutdown(wait=False, cancel_futures=True)
                for session in sessions:
                    session.kill()
                raise


def _report(
    runs: Mapping[str, NotebookRun],
    found: Mapping[str, Mapping[int, list[str]]],
    *,
    passed: str,
) -> int:
    """Print what differs, what failed, and a table; return 1 if anything did, else 0."""
    table = Table("Lesson", "Cells", "Seconds", "Peak memory", "Result")
    for name, run in runs.items():
        cells, differences, failure = code_cells(run.notebook), found.get(name), run.failure
        for number, messages in (differences or {}).items():
            cell = cells[number - 1]
            print(f"\n{name}, code cell {number} ({cell.get('id', '')}):")
            print(indent("\n".join(cell.source.splitlines()[:3]), "    | "))
            print(indent("\n".join(messages), "    "))
        if failure:
            print(f"\n{name} failed, code cell {failure.cell or 0} of {run.n_cells}:")
            print(indent(f"{failure.source_line}\n{failure.error}".strip(), "    "))
        result = f"{len(differences)} differ" if differences else passed
        table.add_row(
            name,
            f"{run.n_done} of {run.n_cells}",
            f"{run.seconds:.1f}",
            decimal(run.peak_bytes) if run.peak_bytes else "not measured",
            "failed" if failure else result,
        )
    Console().print(table)
    return int(any(run.failure for run in runs.values()) or any(found.values()))


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that it is never seen, nor left, half written."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8", newline="\n")
    part.replace(path)


# --- check -------------------------------------------------------------------------------


def check_lessons(
    names: Sequence[str], *, profile: str | None, timeout: float, jobs: int
) -> int:
    """Run and compare lessons; return 0 when every cell ran and shows what is stored, else 1.

    Without a `profile` the settings say which; outputs are compared on embedded data only.
    """
    profile = profile or assets.profile_setting()
    device = os.environ.get("COURSEKIT_DEVICE") or "cpu"
    is_compared = profile == "embedded" and not assets.role_paths()
    settings = embedded_settings() if is_compared else {"COURSEKIT_PROFILE": profile}
    settings |= {"COURSEKIT_DEVICE": device}
    notebooks = choose_notebooks(names)
    tasks = {
        name: {"notebook": _read(path), "folder": path.parent, "settings": settings}
        for name, path in notebooks.items()
    }
    runs = execute_all(tasks, jobs=jobs, timeout=timeout)
    found = {}
    for name, run in runs.items() if is_compared else ():
        stored = tasks[name]["notebook"]
        found[name] = compare_run(stored, run, name=name, words_only=device != "cpu")
    code = _report(runs, found, passed="as stored" if is_compared else "ran")
    if not is_compared:
        print("Not compared with what is stored: the data are others.")
    elif device != "cpu":
        print(
            f"Only words were compared: what is stored was made on a CPU, not on {device}."
        )
    if paths := [os.path.relpath(notebooks[name]) for name in found if found[name]]:
        print(f"If the new outputs are right: coursekit refresh {' '.join(paths)}")
    return code


def _read(path: Path) -> NotebookNode:
    """Return a notebook whose rules can be read: a typo is told before anything runs."""
    notebook = read_notebook(path)
    for number, cell in enumerate(code_cells(notebook), start=1):
        read_rules(cell, where=f"{path.stem}, code cell {number}")
    return notebook


def compare_run(
    stored: NotebookNode,
    run: NotebookRun,
    *,
    name: str,
    folder: Path = _PICTURES,
    words_only: bool = False,
) -> dict[int, list[str]]:
    """Return how executed cells differ from what is stored, by their number.

    Cells that did not come to their end are not compared.
    """
    cells, fresh = code_cells(stored), code_cells(run.notebook)[: run.n_done]
    rules = [read_rules(cell) for cell in cells]
    problems = find_stored_problems(cells, rules)
    found = {}
    for number, (old, new, rule) in enumerate(zip(cells, fresh, rules, strict=False), 1):
        if number - 1 in problems:
            found[number] = [problems[number - 1]]
        elif rule.is_compared:
            found[number] = compare_cell(
                old.outputs,
                new.outputs,
                measured=read_measured(old, stored, rule),
                words_only=words_only,
                picture=folder / f"{name}-cell-{number}.png",
            )
    return {number: messages for number, messages in found.items() if messages}


# --- refresh -----------------------------------------------------------------------------


def refresh_lessons(
    names: Sequence[str], is_all: bool, *, timeout: float, jobs: int, runs: int
) -> int:
    """Execute lessons on embedded data, and store what they show and how far numbers moved.

    Lessons of which nothing changed are left out, unless `is_all`. `runs` is the number of
    machines, the reference first; 1 makes a draft. Return 1 when a lesson was refused, which then
    stays as it was; else 0.
    """
    machines, notebooks = dict(islice(MACHINES.items(), runs)), choose_notebooks(names)
    stored = {name: _read(path) for name, path in notebooks.items()}
    for name in () if is_all else tuple(notebooks):
        known = own_metadata(stored[name]).get("measured", {})
        state = _hash_inputs(stored[name]), len(machines)
        if (known.get("inputs"), known.get("runs")) == state:
            print(f"{name}: nothing changed since it was stored")
            del notebooks[name]
    before = {name: path.read_text(encoding="utf-8") for name, path in notebooks.items()}
    tasks = {
        f"{name}, {machine}": {
            "notebook": stored[name],
            "folder": path.parent,
            "settings": embedded_settings() | settings,
            "watch": runs > 1,
        }
        for name, path in notebooks.items()
        for machine, settings in machines.items()
    }
    done, n_stored = execute_all(tasks, jobs=jobs, timeout=timeout), 0
    for name, path in notebooks.items():
        ran = {machine: done[f"{name}, {machine}"] for machine in machines}
        if path.read_text(encoding="utf-8") != before[name]:
            print(f"Not stored: {name} was changed while it ran. Run it again.")
            continue
        try:
            renewed, measures = renew(stored[name], ran, name=name)
        except NotebookError as error:
            print(f"Not stored: {error}")
            continue
        renewed.metadata["coursekit"]["measured"]["inputs"] = _hash_inputs(renewed)
        _write_whole(path, format_notebook(renewed))
        n_stored += 1
        n_numbers = sum(measure.n_numbers for measure in measures)
        n_moved = sum(measure.n_moved for measure in measures)
        widest, cell = max((m.widest, -n) for n, m in enumerate(measures, start=1))
        far = f", at most by {widest:.1%} (code cell {-cell})" if widest else ""
        print(f"Stored: {name}, {n_numbers} numbers, of which {n_moved} moved{far}")
    return int(n_stored < len(notebooks))


def _hash_inputs(notebook: NotebookNode) -> str:
    """Return a hash of a lesson's code and outputs, and of all files of the package and of data.

    Comments do not count, nor does what only runs and compares lessons.
    """
    cells = [[hash_source(cell.source), cell.outputs] for cell in code_cells(notebook)]
    return sha256(
        (json.dumps(cells, sort_keys=True) + _hash_package()).encode()
    ).hexdigest()


@cache  # all lessons share it
def _hash_package() -> str:
    found = sha256()
    others = {"__pycache__", "nbtest", "cli", "_shipped"}
    for folder in (assets.data_folder(), Path(coursekit.__file__).parent):
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder).parts
            if path.is_file() and not others & {*inside}:
                content = path.read_bytes()
                if path.suffix == ".py":
                    content = ast.unparse(ast.parse(content)).encode()
                found.update("/".join(inside).encode() + content)
    return found.hexdigest()


# --- run ---------------------------------------------------------------------------------


def run_lessons(
    names: Sequence[str], *, profile: str | None, timeout: float, output: Path
) -> int:
    """Execute lessons, write copies and pages; return 0 when every cell of all of them ran."""
    settings = {"COURSEKIT_PROFILE": profile} if profile else {}
    tasks, runs = {}, {}
    for name, path in choose_notebooks(names).items():
        target = output / f"{name}.ipynb"
        if target.resolve() == path.resolve():
            said = f"would write over {target.name} itself. Choose another folder."
            raise SettingsError(f"--output {output} {said}")
        target.parent.mkdir(parents=True, exist_ok=True)
        # In this folder, so that relative paths mean what they mean in the shell.
        here, notebook = Path.cwd(), read_notebook(path)
        tasks[name] = {"notebook": notebook, "folder": here, "settings": settings}
    for name, task in tasks.items():  # one by one: what was run is kept
        runs |= execute_all({name: task}, timeout=timeout)
        executed, target = runs[name].notebook, output / f"{name}.ipynb"
        _write_whole(target, nbformat.writes(executed) + "\n")
        _write_whole(target.with_suffix(".html"), to_page(executed, title=target.stem))
    code = _report(runs, {}, passed="passed")
    print(f"Executed notebooks and pages: {output}{os.sep}")
    return code


def to_page(notebook: NotebookNode, *, title: str) -> str:
    """Return the HTML page of an executed notebook, which needs no network and no script.

    Styles and pictures are in it, formulas become MathML, which browsers draw themselves, and
    widgets, which are progress bars that have ended, are left out.
    """
    # Half a second to import, wanted only at the end.
    from jinja2 import pass_context
    from latex2mathml.converter import convert
    from nbconvert import HTMLExporter
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def inline_math(self, body: str, display: str = "inline") -> str:
            try:
                return convert(body.strip(), display=display)
            except Exception:  # noqa: BLE001 - as it was written is better than no page
                return f"${body}$"

        def block_math(self, body: str) -> str:
            return self.inline_math(body, "block")

    @pass_context
    def to_html(context: Mapping[str, Any], source: str) -> str:
        attachments = context.get("cell", {}).get("attachments", {})
        return MarkdownWithMath(Renderer(escape=False, attachments=attachments)).render(
            source
        )

    page = deepcopy(notebook)
    page.metadata.pop("widgets", None)
    for cell in page.cells:
        outputs = cell.get("outputs", [])
        outputs[:] = [out for out in outputs if WIDGET_MIME not in out.get("data", {})]
    exporter = HTMLExporter(raw_template=_TEMPLATE, filters={"markdown2html": to_html})
    return exporter.from_notebook_node(page, {"metadata": {"name": title}})[0]
