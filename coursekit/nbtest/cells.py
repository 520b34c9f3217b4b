"""Read a notebook's file, and what its cells say of their own test: tags, comments, metadata."""

import json
import platform
import re
import warnings
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbformat import NotebookNode

from coursekit.errors import NotebookError
from coursekit.nbtest.compare import ITEMS, Measured

_CURE = "If the cell is meant to fail: tag raises-exception."
_COMMENT = re.compile(r"(?m)^\s*#+\s*(?:nbtest\b|NBVAL_).*$")


class Rules(NamedTuple):
    """What a cell says of its test; `coursekit.nbtest` explains the tags."""

    is_compared: bool = True
    may_raise: bool = False
    costs: bool = False


def read_rules(cell: Mapping[str, Any], *, where: str = "a cell") -> Rules:
    """Return what the tags of a code cell say, or raise `NotebookError`."""
    tags = cell["metadata"].get("tags", [])
    unknown = [tag for tag in tags if re.match("nbtest(?!:costs$)", tag)]
    unknown += _COMMENT.findall(cell["source"])
    if unknown:
        allowed = "nbtest:costs, nbval-ignore-output and raises-exception"
        msg = f"{where}: {unknown[0].strip()!r} is not a directive. Allowed are the tags {allowed}."
        raise NotebookError(msg)
    names = ("raises-exception", "nbtest:costs")
    return Rules("nbval-ignore-output" not in tags, *(name in tags for name in names))


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
        items=about.get("items", ITEMS),
        widen=1 if runs.get("architecture", here) == here else 2,
    )


def own_metadata(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what coursekit keeps in the metadata of a cell or a notebook."""
    return node["metadata"].get("coursekit", {})


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the cells that are executed."""
    return [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]


def hash_source(source: str) -> str:
    """Return the sha256 of what a cell executes; blanks at the ends of lines do not count."""
    lines = [line.rstrip() for line in source.splitlines()]
    return sha256("\n".join(lines).strip("\n").encode()).hexdigest()


def find_stored_problems(
    cells: Sequence[NotebookNode], rules: Sequence[Rules]
) -> dict[int, str]:
    """Return why the stored outputs of some code cells cannot be right, by their place.

    With hashes of sources, ignored outputs are checked too: readers see them.
    """
    hashes = [own_metadata(cell).get("source_sha256") for cell in cells]
    problems: dict[int, str] = {}
    last = 0
    for place, (cell, said, stored) in enumerate(zip(cells, rules, hashes, strict=True)):
        if not (said.is_compared or any(hashes)) or not cell.source.strip():
            continue
        count, is_setup = cell.execution_count, "setup" in cell.metadata.get("tags", ())
        error = next((out for out in cell.outputs if out.output_type == "error"), None)
        if count is None:
            problems[place] = "The cell was never run: it has no execution count."
        elif count <= last:
            problems[place] = f"Run out of order: In [{count}] stands below In [{last}]."
        elif any(hashes) and stored != hash_source(cell.source) and not is_setup:
            by = "by another source than the cell has now" if stored else "before the cell"
            problems[place] = f"The stored outputs were made {by}."
        elif error is not None and not said.may_raise:
            text = f"{error.ename}: {error.evalue}. {_CURE}"
            problems[place] = f"An error is stored that is not expected: {text}"
        last = max(last, count or 0)
    return problems


def read_notebook(path: Path, *, name: str | None = None) -> NotebookNode:
    """Return the notebook of a file, in format 4, or raise `NotebookError`, saying why not."""
    name, text = name or str(path), ""
    cure = f"Restore it, for example with `git checkout -- {name}`."
    try:
        text = path.read_text(encoding="utf-8")
        with warnings.catch_warnings():  # ids of cells do not matter here
            warnings.simplefilter("ignore")
            content = json.loads(text)
            if content["nbformat"] != 4:
                raise ValueError(f"it is of format {content['nbformat']}, not 4")  # noqa: TRY301
            nbformat.validate(content)
            notebook = nbformat.reads(text, as_version=4)
    except (OSError, ValueError, KeyError, TypeError, nbformat.ValidationError) as error:
        if "\n<<<<<<<" in text:
            cure = "It holds the marks of a git merge: choose a side and remove them."
        problem = str(getattr(error, "message", error)).partition("\n")[0]
        msg = f"{name} is not a Python notebook that can be tested: {problem}. {cure}"
        raise NotebookError(msg) from None
    return notebook
