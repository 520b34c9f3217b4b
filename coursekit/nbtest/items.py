"""nbval's collector and its test of one cell, with our execution and our comparison.

nbval still finds the notebooks, reads comments and tags, and keeps its options. Nothing
here knows how cells are executed or compared, or of pytest's options of its own.
"""

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from nbformat.warnings import MissingIDFieldWarning
from nbval import plugin as nbval

from coursekit.errors import NotebookError
from coursekit.nbtest.budgets import read_budget
from coursekit.nbtest.coverage_kernel import CoverageKernel
from coursekit.nbtest.difference import Difference
from coursekit.nbtest.directives import Directives, read_directives
from coursekit.nbtest.outputs import compare_outputs
from coursekit.nbtest.reading import read_notebook
from coursekit.nbtest.session import CellRun, NotebookSession
from coursekit.nbtest.stored import StoredCell, find_stored_problems

__all__ = ["NotebookCell", "NotebookFile", "with_our_files"]

_ACCEPT = "If the fresh outputs are right, store them"
_RENEW = "To store fresh outputs"
_PICTURES = ("image/png", "image/jpeg")  # which nbval leaves out


class CellError(Exception):
    """A cell did not pass; the message is all that there is to say."""


class NotebookFile(nbval.IPyNbFile):
    """One notebook, one kernel."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.skip_compare = tuple(key for key in self.skip_compare if key not in _PICTURES)
        self.shown_path = _shorten(self.path)
        self.kernel: NotebookSession | None = None  # under nbval's name
        self.stopped_at: str | None = None
        self.cells: list[NotebookCell] = []
        self.runs: dict[int, CellRun] = {}
        self.problems: dict[int, str] = {}
        self.budget: dict[str, float | None] = {}
        self.start_error = ""

    def collect(self) -> Iterator["NotebookCell"]:
        """Give a test for each code cell, as nbval finds them."""
        try:
            notebook = read_notebook(self.path, name=self.shown_path)
            self.budget = read_budget(notebook.metadata, where=self.shown_path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", MissingIDFieldWarning)
                found = list(super().collect())
            self.cells = [self._our_cell(item) for item in found]
        except NotebookError as error:
            raise self.CollectError(str(error)) from None
        except UserWarning as warning:  # where somebody made warnings errors
            raise self.CollectError(f"{self.shown_path}: {warning}") from None
        self._check_stored()
        return iter(self.cells)

    def _our_cell(self, item: nbval.IPyNbCell) -> "NotebookCell":
        return NotebookCell.from_parent(
            self,
            name=item.name,
            cell_num=item.cell_num,
            cell=item.cell,
            options=item.options,
            directives=read_directives(item.cell, where=f"{self.shown_path}, {item.name}"),
        )

    def _check_stored(self) -> None:
        marked = [
            (item.cell_num, StoredCell(item.cell, item.is_compared, item.may_raise))
            for item in self.cells
            if not item.options["skip"]
        ]
        problems = find_stored_problems(
            [cell for _, cell in marked], is_lax=self.config.option.nbval_lax
        )
        self.problems = {marked[place][0]: problem for place, problem in problems.items()}

    def setup(self) -> None:
        """Start the kernel; that it did not start is what its first cell says."""
        self.start_error = self._read_sanitize_file()
        if self.start_error:
            return
        option = self.config.option
        self.kernel = NotebookSession(
            self.nb,
            folder=self.path.parent,
            settings=dict(setting.split("=", 1) for setting in option.nbtest_env),
            timeout=option.nbval_cell_timeout,
            startup_timeout=option.nbval_kernel_startup_timeout,
            kernel_name=self._kernel_name(),
        )
        failure = self.kernel.start()
        self.start_error = failure.error if failure else ""
        if not failure and getattr(option, "cov_source", None):
            nbval.setup_coverage(self.config, CoverageKernel(self.kernel), self.fspath)

    def _read_sanitize_file(self) -> str:
        """Read the replacements that were asked for, and return what is wrong with them."""
        path = self.config.option.nbval_sanitize_with
        try:
            self.setup_sanitize_files()
            for pattern in self.sanitize_patterns:
                re.compile(pattern)
        except (OSError, UnicodeDecodeError, re.error) as error:
            return f"{path}, named by --nbval-sanitize-with, cannot be used: {error}."
        return ""

    def _kernel_name(self) -> str | None:
        option = self.config.option
        if option.nbval_current_env:
            return None
        return option.nbval_kernel_name or self.nb.metadata.get("kernelspec", {}).get(
            "name", "python"
        )

    def teardown(self) -> None:
        """End the kernel."""
        if self.kernel is None:
            return
        try:
            if self.kernel.is_running and getattr(self.config.option, "cov_source", None):
                nbval.teardown_coverage(self.config, CoverageKernel(self.kernel))
        finally:
            self.kernel.close()
            self.kernel = None

    def run(self, item: "NotebookCell") -> CellRun:
        """Execute a cell, unless that was done already."""
        if item.cell_num not in self.runs:
            self.runs[item.cell_num] = self.kernel.run_cell(
                item.index, may_raise=item.may_raise
            )
        return self.runs[item.cell_num]

    def cells_after(self, item: "NotebookCell") -> list["NotebookCell"]:
        """Return the cells below one that are executed."""
        below = self.cells[item.cell_num + 1 :]
        return [cell for cell in below if not cell.options["skip"]]


class NotebookCell(nbval.IPyNbCell):
    """The test of one code cell."""

    def __init__(self, *, directives: Directives, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.directives = directives
        self.index = next(
            place for place, cell in enumerate(self.parent.nb.cells) if cell is self.cell
        )

    @property
    def is_compared(self) -> bool:
        """Whether outputs count."""
        return bool(self.options["check"])

    @property
    def may_raise(self) -> bool:
        """Whether an error is expected."""
        return bool(self.options["check_exception"])

    def setup(self) -> None:
        """Do nothing: cells that cannot run are not run."""

    def runtest(self) -> None:
        """Execute the cell and compare what it shows with what is stored."""
        if self.options["skip"]:
            pytest.skip()
        notebook = self.parent
        if notebook.stopped_at is not None:
            reason = f"not run: {notebook.stopped_at} failed"
            raise pytest.skip.Exception(reason, _use_item_location=True)
        if notebook.start_error:
            notebook.stopped_at = "the start"
            raise CellError(f"{notebook.shown_path}: {notebook.start_error}")
        run = notebook.run(self)
        self._record(run)
        self.test_outputs = notebook.kernel.outputs_of(self.index)
        if run.failure is not None:
            notebook.stopped_at = self.name
            raise CellError(self._say_failure(run))
        if problem := notebook.problems.get(self.cell_num):
            raise CellError(self._say(problem, self._cure(_RENEW)))
        if self.is_compared and (found := self._differences()):
            text = "\n\n".join(map(str, found))
            raise CellError(self._say(text, self._cure(_ACCEPT)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> str:
        """Return what is shown of a failure."""
        if isinstance(excinfo.value, CellError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def _differences(self) -> list[Difference]:
        """Compare; what a later cell may still change is compared again after each."""
        notebook = self.parent
        found = self._compare()
        if not found or not notebook.kernel.may_change_later(self.index):
            return found
        first = found
        for cell in notebook.cells_after(self):
            if notebook.run(cell).failure is not None:
                break
            if not (found := self._compare()):
                return []
        return found if found else first

    def _compare(self) -> list[Difference]:
        notebook = self.parent
        self.test_outputs = notebook.kernel.outputs_of(self.index)
        return compare_outputs(
            self.cell.get("outputs", []),
            self.test_outputs,
            self.directives,
            folder=_pictures_folder(self.config),
            name=f"{notebook.path.stem}-cell-{self.cell_num}",
            skip=notebook.skip_compare,
            sanitize=self.sanitize,
        )

    def _record(self, run: CellRun) -> None:
        notebook = self.parent
        cost = {
            "name": notebook.shown_path,
            "cell": self.cell_num + 1,
            "seconds": run.seconds,
            "start_seconds": notebook.kernel.start_seconds,
            "peak_bytes": notebook.kernel.peak_memory.n_bytes,
            **notebook.budget,
        }
        self.user_properties.append(("nbtest", cost))

    def _say_failure(self, run: CellRun) -> str:
        failure = run.failure
        n_after = len(self.parent.cells_after(self))
        rest = f"Not run: {_count(n_after, 'cell')} below it." if n_after else ""
        return self._say(failure.error, failure.traceback, rest)

    def _say(self, what: str, *more: str) -> str:
        """Put the reason first, where pytest's summary shows it; then the place."""
        count = self.cell.get("execution_count")
        prompt = f" (In [{count}])" if count else ""
        place = f"{self.parent.shown_path}, {self.name}{prompt}:\n"
        source = "\n".join(f"    {line}" for line in self.cell.source.splitlines())
        return "\n\n".join(filter(None, (what.strip(), place + source, *more)))

    def _cure(self, words: str) -> str:
        return f"{words}: coursekit refresh {self.parent.shown_path}"


def with_our_files(
    found: Sequence[Any], *, path: Path, parent: pytest.Collector
) -> list[Any]:
    """Return what was collected for a path, with our files in the place of nbval's."""
    return [
        NotebookFile.from_parent(parent, path=path)
        if type(item) is nbval.IPyNbFile
        else item
        for item in found
    ]


def _pictures_folder(config: pytest.Config) -> Path:
    if config.option.nbtest_pictures:
        return Path(config.option.nbtest_pictures)
    cache = getattr(config, "cache", None)
    return cache.mkdir("nbtest") if cache is not None else config.rootpath / ".nbtest"


def _shorten(path: Path) -> str:
    """Return a path as somebody in this folder would type it."""
    try:
        return os.path.relpath(path)
    except ValueError:  # on another drive
        return str(path)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
