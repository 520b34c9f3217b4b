"""The pytest plugin: nbval collects notebooks, and this folder runs and compares them.

pytest loads it by itself (entry point ``pytest11``). It is active with nbval's own
``--nbval`` or ``--nbval-lax``; without them, or without nbval, it only adds its options. So
that every run of pytest starts fast, nothing but pytest is imported here. Nothing here
knows how cells are executed or compared.
"""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

_SAFE = ("loadscope", "loadfile")


def pytest_addoption(parser: pytest.Parser) -> None:  # noqa: D103
    group = parser.getgroup("nbtest", "notebooks compared by what they show")
    group.addoption(
        "--nbtest-enforce-budgets",
        action="store_true",
        help="Fail where a notebook needs more seconds or memory than its metadata allow.",
    )
    group.addoption(
        "--nbtest-env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="Environment variable of the kernels; wins over what is fixed for all.",
    )
    group.addoption(
        "--nbtest-pictures",
        metavar="FOLDER",
        default=None,
        help="Folder for the pictures that show how figures differ "
        "(default: nbtest in pytest's cache).",
    )


def pytest_configure(config: pytest.Config) -> None:  # noqa: D103
    if not _is_active(config):
        return
    for setting in config.option.nbtest_env:
        if not setting.partition("=")[0] or "=" not in setting:
            msg = f"--nbtest-env takes NAME=VALUE, got {setting!r}."
            raise pytest.UsageError(msg)
    _refuse_scattered_cells(config)
    if not hasattr(config, "workerinput"):  # with xdist, only the process that reports
        config.pluginmanager.register(_Costs(config), "nbtest-costs")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(  # noqa: D103
    file_path: Path, parent: pytest.Collector
) -> Generator[None, Any, Any]:
    found = yield
    if not found or not _is_active(parent.config):
        return found
    from coursekit.nbtest.items import with_our_files

    return with_our_files(found, path=file_path, parent=parent)


class _Costs:
    """Gathers what notebooks cost from the reports of their cells, and sums it up."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.said: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.said += [
                value for name, value in report.user_properties if name == "nbtest"
            ]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, Any]:
        result = yield
        if self.config.option.nbtest_enforce_budgets:
            self._report_excesses(session)
        return result

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.said:
            return
        from coursekit.nbtest.budgets import format_budgets

        terminalreporter.section("notebooks")
        for line in format_budgets(self._costs()):
            terminalreporter.line(line, **_colors(line))

    def _costs(self) -> list[Any]:
        from coursekit.nbtest.costs import costs_of

        return costs_of(self.said)

    def _report_excesses(self, session: pytest.Session) -> None:
        """Report each notebook over its budget as one more failed test."""
        from coursekit.nbtest.budgets import excesses

        for cost in self._costs():
            over = excesses(cost)
            if over:
                report = pytest.TestReport(
                    nodeid=f"{cost.name}::budget",
                    location=(cost.name, None, "budget"),
                    keywords={},
                    outcome="failed",
                    longrepr="\n".join(over),
                    when="call",
                )
                session.config.hook.pytest_runtest_logreport(report=report)


def _is_active(config: pytest.Config) -> bool:
    options = config.option
    return bool(getattr(options, "nbval", False) or getattr(options, "nbval_lax", False))


def _refuse_scattered_cells(config: pytest.Config) -> None:
    mode = getattr(config.option, "dist", "no")
    if mode == "no" or mode in _SAFE or hasattr(config, "workerinput"):
        return
    msg = (
        f"Notebooks cannot be tested with --dist {mode}: it may send the cells of one notebook "
        "to several workers, each with a kernel that has run only some of them. Add "
        "--dist loadfile or --dist loadscope, or leave --nbval out."
    )
    raise pytest.UsageError(msg)


def _colors(line: str) -> dict[str, bool]:
    return {"red": True} if line.startswith("OVER BUDGET") else {}
