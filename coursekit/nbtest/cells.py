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
    """Return what the tags and comments of a code cell say.

    Raises
    ------
    NotebookError
        If a directive is not understood.

    Examples
    --------
    >>> read_rules({"source": "# nbtest: items=300", "metadata": {}}).items
    300
    """
    tags = cell["metadata"].get("tags")
    tags = tags if isinstance(tags, list) else []
    lines = cell["source"].splitlines()
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
    r"""Return the sha256 of what a cell executes; directives and blanks do not count.

    Examples
    --------
    >>> hash_source("1 + 1") == hash_source("# nbtest: costs\n1 + 1  ")
    True
    """
    lines = [line.rstrip() for line in source.splitlines()]
    code = [line for line in lines if not (_COMMENT.match(line) or _NBVAL.match(line))]
    return sha256("\n".join(code).strip("\n").encode()).hexdigest()


def find_stored_problems(
    cells: Sequence[NotebookNode], rules: Sequence[Rules]
) -> dict[int, str]:
    """Return why the stored outputs of some code cells cannot be right, by their place.

    In a notebook that carries hashes of its sources, which ``coursekit refresh`` writes,
    cells whose outputs are ignored are checked too: readers see them.
    """
    hashes = [own_metadata(cell).get("source_sha256") for cell in cells]
    problems: dict[int, str] = {}
    last = 0
    for place, (cell, said, stored) in enumerate(zip(cells, rules, hashes, strict=True)):
        is_checked = said.is_compared or any(hashes)
        if said.is_skipped or not is_checked or not cell.source.strip():
            continue
        count, is_setup = cell.execution_count, "setup" in cell.metadata.get("tags", ())
        error = next((out for out in cell.outputs if out.output_type == "error"), None)
        if count is None:
            problems[place] = "The cell was never run: it has no execution count."
        elif count <= last:
            problems[place] = f"Run out of order: In [{count}] stands below In [{last}]."
        elif any(hashes) and stored != hash_source(cell.source) and not is_setup:
            kind = (
                "by another source than the cell has now" if stored else "before the cell"
            )
            problems[place] = f"The stored outputs were made {kind}."
        elif error is not None and not said.may_raise:
            problems[place] = (
                f"An error is stored that is not expected: {error.ename}: {error.evalue}. If the "
                "cell is meant to fail, give it the tag raises-exception."
            )
        last = max(last, count or 0)
    return problems


def read_notebook(path: Path, *, name: str | None = None) -> NotebookNode:
    """Return the notebook of a file, in format 4.

    Raises
    ------
    NotebookError
        If the file is no notebook that can be tested; the message says why.
    """
    name, text = name or str(path), ""
    cure = f"Restore it, for example with `git checkout -- {name}`."
    try:
        text = path.read_text(encoding="utf-8")
        with warnings.catch_warnings():  # ids of cells do not matter here
            warnings.simplefilter("ignore")
            content = json.loads(text)
            if content["nbformat"] != 4:
                cure = "Convert it: jupyter nbconvert --to notebook --inplace"
                raise ValueError(f"it is of format {content['nbformat']}, not 4")  # noqa: TRY301
            nbformat.validate(content)
            notebook = nbformat.reads(text, as_version=4)
        if not any(cell.source.strip() for cell in notebook.cells):
            raise ValueError("it has only empty cells")  # noqa: TRY301
        language = notebook.metadata.get("kernelspec", {}).get("language", "python")
        if language.lower() != "python":
            raise ValueError(f"it is written in {language}")  # noqa: TRY301
    except (OSError, ValueError, KeyError, TypeError, nbformat.ValidationError) as error:
        if "\n<<<<<<<" in text:
            cure = "It holds the marks of a git merge: choose a side and remove them."
        problem = str(
            getattr(error, "message", error) or type(error).__name__
        ).splitlines()[0]
        msg = f"{name} is not a Python notebook that can be tested: {problem}. {cure}"
        raise NotebookError(msg) from None
    return notebook
