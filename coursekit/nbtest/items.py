"""nbval's collector and its test of one cell, with our execution and our comparison."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from nbval import plugin as nbval

from coursekit.errors import NotebookError
from coursekit.nbtest.cells import (
    find_stored_problems,
    read_measured,
    read_notebook,
    read_rules,
)
from coursekit.nbtest.compare import compare_cell
from coursekit.nbtest.run import NotebookSession


class CellError(Exception):
    """A cell did not pass; the message is all that there is to say."""


class NotebookFile(nbval.IPyNbFile):
    """One notebook, one kernel."""

    kernel: NotebookSession | None = None  # under nbval's name
    start_error = stopped_at = ""

    def collect(self) -> Iterator["NotebookCell"]:
        """Give a test for each code cell, as nbval finds them."""
        self.shown_path = self.nodeid
        names = ("name", "cell_num", "cell", "options")
        try:
            read_notebook(self.path, name=self.shown_path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of ids of cells, which do not matter
                found = [
                    {name: getattr(item, name) for name in names}
                    for item in super().collect()
                ]
            cells = [NotebookCell.from_parent(self, **item) for item in found]
        except NotebookError as error:
            raise self.CollectError(str(error)) from None
        if not self.config.option.nbval_lax:
            rules = [cell.rules for cell in cells]
            for place, problem in find_stored_problems(
                [c.cell for c in cells], rules
            ).items():
                cells[place].problem = problem
        return iter(cells)

    def setup(self) -> None:
        """Start the kernel; that it did not start is what its first cell says."""
        option = self.config.option
        self.kernel = NotebookSession(
            self.nb,
            folder=self.path.parent,
            settings=dict(setting.split("=", 1) for setting in option.nbtest_env),
            timeout=option.nbval_cell_timeout,
        )
        failure = self.kernel.start()
        self.start_error = failure.error if failure else ""

    def teardown(self) -> None:
        """End the kernel."""
        if self.kernel is not None:
            self.kernel.close()
            self.kernel = None


class NotebookCell(nbval.IPyNbCell):
    """The test of one code cell."""

    problem = ""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        places = enumerate(self.parent.nb.cells)
        self.index = next(place for place, cell in places if cell is self.cell)
        self.rules = read_rules(self.cell, where=f"{self.parent.shown_path}, {self.name}")

    def setup(self) -> None:
        """Do nothing: cells that cannot run are not run."""

    def runtest(self) -> None:
        """Execute the cell and compare what it shows with what is stored."""
        notebook = self.parent
        if self.rules.is_skipped:
            pytest.skip()
        if notebook.stopped_at:
            reason = f"not run: {notebook.stopped_at} failed"
            raise pytest.skip.Exception(reason, _use_item_location=True)
        if notebook.start_error:
            notebook.stopped_at = "the start"
            raise CellError(f"{notebook.shown_path}: {notebook.start_error}")
        failure = notebook.kernel.run_cell(self.index, may_raise=self.rules.may_raise)
        if failure is not None:
            notebook.stopped_at = self.name
            rest = "The cells below it are not run."
            raise CellError(self._say(failure.error, failure.traceback, rest))
        refresh = f"coursekit refresh {notebook.shown_path}"
        if self.problem:
            raise CellError(self._say(self.problem, f"To store fresh outputs: {refresh}"))
        if self.options["check"] and (told := self._compare()):
            cure = f"If the fresh outputs are right, store them: {refresh}"
            raise CellError(self._say("\n\n".join(told), cure))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> str:
        """Return what is shown of a failure."""
        is_ours = isinstance(excinfo.value, CellError)
        return str(excinfo.value) if is_ours else super().repr_failure(excinfo)

    def _compare(self) -> list[str]:
        notebook, cache = self.parent, getattr(self.config, "cache", None)
        folder = cache.mkdir("nbtest") if cache else self.config.rootpath / ".nbtest"
        return compare_cell(
            self.cell.get("outputs", []),
            notebook.kernel.notebook.cells[self.index].outputs,
            measured=read_measured(self.cell, notebook.nb, self.rules),
            picture=folder / f"{notebook.path.stem}-cell-{self.cell_num}.png",
        )

    def _say(self, what: str, *more: str) -> str:
        """Put the reason first, where pytest's summary shows it; then the place."""
        count = self.cell.get("execution_count")
        place = (
            f"{self.parent.shown_path}, {self.name}{f' (In [{count}])' if count else ''}:"
        )
        source = "\n".join(
            [place, *(f"    {line}" for line in self.cell.source.splitlines())]
        )
        return "\n\n".join(filter(None, (what.strip(), source, *more)))
