"""Every notebook of the course keeps the rules that can be seen without running it."""

import ast
import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
FOLDER, PACKAGE = ROOT / "notebooks", ROOT / "coursekit"
NOTEBOOKS = sorted({*FOLDER.rglob("*.ipynb")} - {*FOLDER.rglob(".ipynb_checkpoints/*")})
assert NOTEBOOKS, f"there are no notebooks in {FOLDER}"
DEFINITION = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
HEADING = re.compile(r"^\s*#{1,6} .*", re.MULTILINE)
CODE_OR_FORMULA = re.compile(r"(`+).*?\1|\$\$.*?\$\$|(?<!\\)\$[^$\n]+\$", re.DOTALL)
LINK = re.compile(r"\[(?P<words>[^\[\]]*)\]\((?P<target>[^)]*)\)")
OTHER_LINKS = {
    "an HTML link": r"(?i)<(?:a|img)\b[^>]*>",
    "a link by reference": r"(?m)\[[^\]]+\]\[[^\]]*\]|^\s*\[[^\]]+\]:\s+\S+",
    "a bare address": r"\b(?:https?|ftp|file)://\S+|\bwww\.\S+",
}
EMPTY_WORDS = {"", "here", "click here", "see here", "link", "this", "this link"}
MACHINE_PATH = re.compile(
    r"(?<![\w.:/<-])/(?:home|Users|root|tmp|var|private|work|workspace|mnt|media|opt|usr|srv"
    r"|content|kaggle)/[^\s'\"<>)]+"
    r"|[A-Za-z]:\\+(?:Users|Temp|Windows|Program Files)\\+[^\s'\"<>]+"
)


def read_all(path):
    """Return the names in the `__all__` of a file."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if ast.unparse(node).startswith("__all__ ="):
            return set(ast.literal_eval(node.value))
    return set()


FILES = {path.stem: path for path in PACKAGE.glob("[!_]*.py")}
FILES |= {path.parent.name: path for path in PACKAGE.glob("[!_]*/__init__.py")}
PUBLIC = {f"coursekit.{name}": read_all(path) for name, path in FILES.items()}
EXPORTED = set().union(*PUBLIC.values())
PUBLIC["coursekit"] = {*FILES, *read_all(PACKAGE / "__init__.py")}


def find_problems(notebook, path):
    """Return a line for each broken rule."""
    cells = [{**cell, "source": "".join(cell["source"])} for cell in notebook["cells"]]
    problems = [*check_start(cells, notebook["metadata"].get("coursekit") or {}, path)]
    modules = {}  # what is imported, by the notebook's own names
    for i, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            found = [*check_order(cells[:i], cell), *check_names(cell["source"], modules)]
            found += check_outputs(cell["outputs"])
        else:
            found = check_links(cell["source"], path.parent)
        problems += [f"cell {i + 1}: {problem}" for problem in found]
    return problems


def check_start(cells, lesson, path):
    if cells[0]["cell_type"] != "markdown" or not cells[0]["source"].startswith("# "):
        yield "a notebook begins with text, its first line is `# ` and the title"
    elif "title" in lesson:
        line = f"# {path.stem.split('_')[0].lstrip('0')} · {lesson['title']}"
        if cells[0]["source"].splitlines()[0] != line:
            yield f"the first line of this lesson is `{line}`"
        tags = [c["metadata"].get("tags", []) for c in cells if c["cell_type"] == "code"]
        if not tags or "setup" not in tags[0]:
            yield "the first code cell of a lesson is the set-up cell, with the tag `setup`"


def check_order(before, cell):
    kinds = [other["cell_type"] for other in before]
    prose = HEADING.sub("", before[-1]["source"]).strip() if before else ""
    if not prose and kinds[-1:] != ["code"]:
        yield "no prose stands before this code"
    if kinds[-2:] == ["code", "code"]:
        yield "this is the third code cell in a row"
    if len(cell["source"].rstrip().splitlines()) > 25:
        yield "a code cell has at most 25 lines"


def check_names(source, modules):
    nodes = [*ast.walk(ast.parse(re.sub(r"(?m)^(\s*)[%!].*", r"\1pass", source)))]
    methods = {part for n in nodes if isinstance(n, ast.ClassDef) for part in n.body}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                modules[alias.asname or alias.name] = alias.name
                yield from check_import(alias.name)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield from check_import(node.module, alias.name)
        elif isinstance(node, ast.Attribute):
            first, dot, rest = ast.unparse(node.value).partition(".")
            module = modules.get(first, first) + dot + rest
            if module in PUBLIC and node.attr not in PUBLIC[module]:
                yield f"{module} has no public name {node.attr}"
        elif isinstance(node, DEFINITION) and node.name in EXPORTED and node not in methods:
            yield f"{node.name} is defined here, and coursekit exports it"


def check_import(module, name=""):
    if re.search(r"(^|\.)_(?!_\w+__)", f"{module}.{name}"):
        yield f"{module} {name}".strip() + " is private"
    elif name == "*":
        yield f"`from {module} import *` hides where names come from"
    elif module.split(".")[0] == "coursekit" and module not in PUBLIC:
        yield f"{module} is no public module"
    elif name and name not in PUBLIC.get(module, {name}):
        yield f"{module} has no public name {name}"


def check_links(markdown, folder):
    rest = CODE_OR_FORMULA.sub("code", markdown)
    while link := LINK.search(rest):
        words, target = " ".join(link["words"].split()), link["target"].strip()
        rest = rest.replace(link[0], words, 1)  # the words of a link may be a picture
        if words.lower() in EMPTY_WORDS:
            yield f"the words {words!r} do not say what stands at {target}"
        if "arxiv.org/pdf/" in target:
            yield f"{target} is a file: link the abstract, https://arxiv.org/abs/"
        file = unquote(target.partition("#")[0])
        is_file = file and not Path(file).is_absolute() and (folder / file).exists()
        if not is_file and not target.startswith(("https://", "#", "attachment:")):
            yield f"{target!r} is neither an https address nor the relative path of a file"
    for form, pattern in OTHER_LINKS.items():
        for match in re.finditer(pattern, rest):
            yield f"{match[0].strip()} is {form}: write [words](target)"


def check_outputs(outputs):
    for output in outputs:
        for kind, value in {**output, **output.get("data", {})}.items():
            shown = "\n".join(value) if isinstance(value, list) else str(value)
            if kind not in {"data", "image/png", "image/jpeg"}:
                for path in MACHINE_PATH.findall(shown):
                    yield f"an output shows a path of somebody's machine, {path}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_notebook_keeps_the_rules(path):
    problems = find_problems(json.loads(path.read_text(encoding="utf-8")), path)
    assert not problems, "\n".join(problems)


def text(source):
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def code(source, *tags, **output):
    metadata = {"tags": tags}
    return text(source) | {"cell_type": "code", "metadata": metadata, "outputs": [output]}


def find_in_lesson(cells):
    lesson = {"cells": cells, "metadata": {"coursekit": {"title": "Splits"}}}
    return find_problems(lesson, Path(__file__).with_name("03_splits.ipynb"))


TITLE, SETUP = text("# 3 · Splits\n\nWhy."), code("from coursekit import figures", "setup")


@pytest.mark.parametrize(
    ("words", "cells"),
    [
        ("a notebook begins with text", [SETUP]),
        ("the first line", [text("# 4 · Splits\n\nWhy."), SETUP]),
        ("the first code cell", [TITLE, code("1"), SETUP]),
        ("no prose", [TITLE, SETUP, text("## 3.1 Cut"), code("1")]),
        ("third code cell", [TITLE, SETUP, code("1"), code("1")]),
        ("25 lines", [TITLE, SETUP, code("1\n" * 26)]),
        ("private", [TITLE, SETUP, code("from torch import _C, nn")]),
        ("hides", [TITLE, SETUP, code("from coursekit.figures import *")]),
        ("no public module", [TITLE, SETUP, code("import coursekit.figures.bars")]),
        ("no public name", [TITLE, SETUP, code("from coursekit.figures import show_it")]),
        ("no public name", [TITLE, SETUP, code("figures.show_it")]),
        ("exports it", [TITLE, SETUP, code("def make_shapes(): ...")]),
        ("do not say", [TITLE, SETUP, text("[here](https://a.org)")]),
        ("neither", [TITLE, SETUP, text("[a page](http://a.org)")]),
        ("neither", [TITLE, SETUP, text("[a file](missing.ipynb)")]),
        ("abstract", [TITLE, SETUP, text("[Paper](https://arxiv.org/pdf/1701.04128)")]),
        ("HTML", [TITLE, SETUP, text('<img src="x.png">')]),
        ("by reference", [TITLE, SETUP, text("[words][1]")]),
        ("bare address", [TITLE, SETUP, text("[https://a.org](https://a.org)")]),
        ("path", [TITLE, code("1", "setup", text=["in\n", "/tmp/a.png"])]),
    ],
)
def test_a_broken_rule_is_told(words, cells):
    assert any(words in problem for problem in find_in_lesson(cells))


def test_a_lesson_in_order_has_no_problem():
    names = code("%time 1\nclass A:\n    def show_images(x): figures.show_images(x)")
    badge = text("[![Open](test_static.py)](https://a.org#b), `www.a.org`, $w[i](t)$")
    short = code("1\n" * 25, data={"image/png": "+/home/abc"})
    assert find_in_lesson([TITLE, SETUP, names, badge, short]) == []
