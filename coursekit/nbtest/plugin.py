"""The pytest plugin: nbval says which notebooks are tests; here they are run and compared.

pytest loads it by itself (entry point ``pytest11``). It is active with nbval's own
``--nbval``; without it, or without nbval, it only adds its option. So that every run of
pytest starts fast, nothing but pytest is imported at the top.
"""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

_SAFE = ("no", "loadscope", "loadfile")  # they keep the cells of a notebook together


def pytest_addoption(parser: pytest.Parser) -> None:  # noqa: D103
    words = "Environment variable of the kernels; wins over what is fixed for all."
    parser.getgroup("nbtest", "notebooks compared by what they show").addoption(
        "--nbtest-env", action="append", default=[], metavar="NAME=VALUE", help=words
    )


def pytest_configure(config: pytest.Config) -> None:  # noqa: D103
    if not getattr(config.option, "nbval", False) or hasattr(config, "workerinput"):
        return
    mode = getattr(config.option, "dist", "no")
    if mode not in _SAFE:
        msg = (
            f"Notebooks cannot be tested with --dist {mode}: it may send the cells of one "
            "notebook to several workers. Add --dist loadfile, or leave --nbval out."
        )
        raise pytest.UsageError(msg)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(  # noqa: D103
    file_path: Path, parent: pytest.Collector
) -> Generator[None, Any, Any]:
    found = yield
    is_ours = getattr(parent.config.option, "nbval", False) and file_path.suffix == ".ipynb"
    ours = NotebookFile.from_parent
    return [ours(parent, path=file_path)] if found and is_ours else found


class CellError(Exception):
    """A cell did not pass; the message is all that there is to say."""


class NotebookFile(pytest.File):
    """One notebook, one kernel."""

    kernel: Any = None
    start_error = stopped_at = ""

    def collect(self) -> list["NotebookCell"]:
        """Give a test for each code cell."""
        from coursekit.errors import NotebookError
        from coursekit.nbtest.cells import find_stored_problems, read_notebook, read_rules

        try:
            self.stored = read_notebook(self.path, name=self.nodeid)
            cells: list[NotebookCell] = []
            for index, cell in enumerate(self.stored.cells):
                if cell.cell_type != "code":
                    continue
                item = NotebookCell.from_parent(self, name=f"Cell {len(cells)}")
                item.cell, item.index = cell, index
                item.rules = read_rules(cell, where=f"{self.nodeid}, {item.name}")
                cells.append(item)
        except NotebookError as error:
            raise self.CollectError(str(error)) from None
        problems = find_stored_problems([c.cell for c in cells], [c.rules for c in cells])
        for place, problem in problems.items():
            cells[place].problem = problem
        return cells

    def setup(self) -> None:
        """Start the kernel; that it did not start is what its first cell says."""
        from coursekit.nbtest.run import NotebookSession

        option = self.config.option
        settings = dict(setting.partition("=")[::2] for setting in option.nbtest_env)
        timeout = option.nbval_cell_timeout
        self.kernel = NotebookSession(self.stored, self.path.parent, settings, timeout)
        failure = self.kernel.start()
        self.start_error = failure.error if failure else ""

    def teardown(self) -> None:
        """End the kernel."""
        if self.kernel is not None:
            self.kernel.close()
            self.kernel = None


class NotebookCell(pytest.Item):
    """The test of one code cell."""

    cell: Any = None
    index = 0  # among all cells of the notebook
    rules: Any = None
    problem = ""  # why what is stored cannot be right

    def runtest(self) -> None:
        """Execute the cell and compare what it shows with what is stored."""
        notebook = self.parent
        if notebook.stopped_at:
            reason = f"not run: {notebook.stopped_at} failed"
            raise pytest.skip.Exception(reason, _use_item_location=True)
        if notebook.start_error:
            notebook.stopped_at = "the start"
            raise CellError(f"{notebook.nodeid}: {notebook.start_error}")
        failure = notebook.kernel.run_cell(self.index, may_raise=self.rules.may_raise)
        if failure is not None:
            notebook.stopped_at = self.name
            rest = "The cells below it are not run."
            raise CellError(self._say(failure.error, failure.traceback, rest))
        refresh = f"coursekit refresh {notebook.nodeid}"
        if self.problem:
            raise CellError(self._say(self.problem, f"To store fresh outputs: {refresh}"))
        if self.rules.is_compared and (told := self._compare()):
            cure = f"If the fresh outputs are right, store them: {refresh}"
            raise CellError(self._say("\n\n".join(told), cure))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> str:
        """Return what is shown of a failure."""
        is_ours = isinstance(excinfo.value, CellError)
        return str(excinfo.value) if is_ours else super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the place that stands above a failure."""
        return self.path, 0, self.nodeid

    def _compare(self) -> list[str]:
        from coursekit.nbtest.cells import read_measured
        from coursekit.nbtest.compare import compare_cell

        notebook, cache = self.parent, getattr(self.config, "cache", None)
        folder = cache.mkdir("nbtest") if cache else self.config.rootpath / ".nbtest"
        return compare_cell(
            self.cell.outputs,
            notebook.kernel.notebook.cells[self.index].outputs,
            measured=read_measured(self.cell, notebook.stored, self.rules),
            picture=folder / f"{self.path.stem}-{self.name.lower().replace(' ', '-')}.png",
        )

    def _say(self, what: str, *more: str) -> str:
        """Put the reason first, where pytest's summary shows it; then the place."""
        count = f" (In [{self.cell.execution_count}])" if self.cell.execution_count else ""
        source = "".join(f"\n    {line}" for line in self.cell.source.splitlines())
        place = f"{self.parent.nodeid}, {self.name}{count}:{source}"
        return "\n\n".join(filter(None, (what.strip(), place, *more)))
