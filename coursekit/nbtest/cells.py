"""Read a notebook's file, and what its cells say of their own test: tags, comments, metadata."""

import json
import platform
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from coursekit.errors import NotebookError
from coursekit.nbtest.compare import ITEMS, Measured

_COMMENT = re.compile(r"^\s*#+\s*nbtest\s*:(?P<words>.*)$", re.IGNORECASE)
_TAG = re.compile(r"^nbtest:(?P<words>.*)$")
_NEARLY = re.compile(
    r"(?i)^\s*[^#\s].*#\s*nbtest\s*:|^\s*#+\s*nbtest\s+(costs|ordered|items)"
)
_NBVAL = re.compile(r"(?m)^\s*#+\s*((?:NBVAL|PYTEST_VALIDATE)_[A-Z_]+)\s*$")
_ALLOWED = (
    "Allowed are costs, ordered and items=NUMBER, in a tag or alone on a line, as in "
    "`# nbtest: costs items=300`."
)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a cell says of its test; `coursekit.nbtest` explains the words."""

    is_compared: bool = True
    is_skipped: bool = False
    may_raise: bool = False
    costs: bool = False
    ordered: bool = False
    items: int | None = None


def read_rules(cell: Mapping[str, Any], *, where: str = "a cell") -> Rules:
    """Return what the tags and comments of a code cell say, or raise a NotebookError."""
    tags, lines = _tags(cell), cell["source"].splitlines()
    said = [found for line in lines if (found := _COMMENT.match(line))]
    said += [found for tag in tags if (found := _TAG.match(tag))]
    unknown = [line.strip() for line in lines if _NEARLY.match(line)]
    found: dict[str, Any] = {}
    for word in " ".join(match["words"] for match in said).replace(",", " ").split():
        if items := re.fullmatch(r"items=([1-9]\d*)", word):
            found["items"] = int(items[1])
        elif word in {"costs", "ordered"}:
            found[word] = True
        else:
            unknown.append(word)
    if unknown:
        msg = f"{where}: {unknown[0]!r} is not a directive. {_ALLOWED}"
        raise NotebookError(msg)
    marks = {word.lower().replace("_", "-") for word in _NBVAL.findall(cell["source"])} | {
        *tags
    }
    return Rules(
        is_compared=not marks & {"nbval-ignore-output", "pytest-validate-ignore-output"},
        is_skipped="nbval-skip" in marks,
        may_raise=bool(marks & {"nbval-raises-exception", "raises-exception"}),
        **found,
    )


def _tags(cell: Mapping[str, Any]) -> list[str]:
    tags = cell["metadata"].get("tags")
    return tags if isinstance(tags, list) else []


def read_measured(
    cell: Mapping[str, Any], notebook: Mapping[str, Any], rules: Rules
) -> Measured:
    """Return what `coursekit refresh` measured of a cell, from its and the notebook's metadata."""
    said, about = own_metadata(cell), own_metadata(notebook)
    runs, here = about.get("measured", {}), platform.machine()
    ranges: dict[int, tuple[float, float] | None] = {}
    for places, text in said.get("ranges", {}).items():
        first, _, last = places.partition("-")
        pair = None if text == "any" else tuple(map(float, text.split()))
        ranges |= dict.fromkeys(range(int(first), int(last or first) + 1), pair)
    return Measured(
        is_known=runs.get("runs", 1) > 1,
        trains=bool(said.get("trains")),
        ranges=ranges,
        costs=rules.costs,
        items=rules.items or about.get("items", ITEMS),
        widen=1 if runs.get("architecture", here) == here else 2,
    )


def own_metadata(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what coursekit keeps in the metadata of a cell or a notebook."""
    said = node["metadata"].get("coursekit", {})
    return said if isinstance(said, Mapping) else {}


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the cells that are executed."""
    return [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]


def hash_source(source: str) -> str:
    """Return the sha256 of what a cell executes; directives and blanks do not count."""
    lines = [line.rstrip() for line in source.splitlines()]
    code = [line for line in lines if not (_COMMENT.match(line) or _NBVAL.match(line))]
    return sha256("\n".join(code).strip("\n").encode()).hexdigest()


def find_stored_problems(cells: Sequence[NotebookNode]) -> dict[int, str]:
    """Return why stored outputs of some code cells cannot be the cell's own, by their place.

    In a notebook with hashes, which ``coursekit refresh`` writes, ignored outputs count too.
    """
    hashes = [own_metadata(cell).get("source_sha256") for cell in cells]
    problems: dict[int, str] = {}
    last = 0
    for place, (cell, stored) in enumerate(zip(cells, hashes, strict=True)):
        rules, count = read_rules(cell), cell.execution_count
        is_read = cell.source.strip() and (rules.is_compared or any(hashes))
        if rules.is_skipped or not is_read:
            continue
        if count is None or count <= last:
            order = f"In [{count}] stands below In [{last}]" if count else "no In [1]"
            problems[place] = f"The cell was never run, or out of order: {order}."
        elif (
            any(hashes)
            and stored != hash_source(cell.source)
            and "setup" not in _tags(cell)
        ):
            problems[place] = "The stored outputs were not made by the cell's source."
        last = max(last, count or 0)
    return problems


def read_notebook(path: Path, *, name: str | None = None) -> NotebookNode:
    """Return the notebook of a file, or raise a NotebookError that says why it is none."""
    name, text = name or str(path), ""
    cure = f"Restore it, for example with `git checkout -- {name}`."
    try:
        text = path.read_text(encoding="utf-8")
        if json.loads(text)["nbformat"] != 4:
            cure = "Convert it: jupyter nbconvert --to notebook --inplace"
            raise ValueError("it is not of format 4")  # noqa: TRY301
        with warnings.catch_warnings():  # ids of cells do not matter here
            warnings.simplefilter("ignore")
            nbformat.validate(json.loads(text))
            notebook = nbformat.reads(text, as_version=4)
        language = notebook.metadata.get("kernelspec", {}).get("language", "python")
        if language.lower() != "python" or not any(
            c.source.strip() for c in notebook.cells
        ):
            raise ValueError(f"it is empty, or written in {language}")  # noqa: TRY301
    except (OSError, ValueError, KeyError, TypeError, nbformat.ValidationError) as error:
        if "\n<<<<<<<" in text:
            cure = "It holds the marks of a git merge: choose a side and remove them."
        words = str(getattr(error, "message", error) or type(error).__name__).splitlines()[
            0
        ]
        msg = f"{name} is not a Python notebook that can be tested: {words}. {cure}"
        raise NotebookError(msg) from None
    return notebook
