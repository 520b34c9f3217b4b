"""The pytest plugin: nbval collects notebooks, and this folder runs and compares them.

pytest loads it by itself (entry point ``pytest11``). It is active with nbval's own
``--nbval``; without it, or without nbval, it only adds its options. So that every run of
pytest starts fast, nothing but pytest is imported here.
"""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

_SAFE = ("no", "loadscope", "loadfile")  # they keep the cells of a notebook together


def pytest_addoption(parser: pytest.Parser) -> None:  # noqa: D103
    group = parser.getgroup("nbtest", "notebooks compared by what they show")
    words = "Environment variable of the kernels; wins over what is fixed for all."
    group.addoption(
        "--nbtest-env", action="append", default=[], metavar="NAME=VALUE", help=words
    )
    words = "Folder for pictures of how figures differ (default: nbtest in pytest's cache)."
    group.addoption("--nbtest-pictures", metavar="FOLDER", help=words)


def pytest_configure(config: pytest.Config) -> None:  # noqa: D103
    if not _is_active(config) or hasattr(config, "workerinput"):
        return
    for setting in config.option.nbtest_env:
        if not setting.partition("=")[0] or "=" not in setting:
            msg = f"--nbtest-env takes NAME=VALUE, got {setting!r}."
            raise pytest.UsageError(msg)
    if config.option.nbval_sanitize_with:
        msg = "--nbval-sanitize-with is not used here: `coursekit.nbtest` says what is."
        raise pytest.UsageError(msg)
    mode = getattr(config.option, "dist", "no")
    if mode not in _SAFE:
        msg = (
            f"Notebooks cannot be tested with --dist {mode}: it may send the cells of one "
            "notebook to several workers. Add --dist loadfile, or leave --nbval out."
        )
        raise pytest.UsageError(msg)
    config.pluginmanager.register(_Costs(), "nbtest-costs")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(  # noqa: D103
    file_path: Path, parent: pytest.Collector
) -> Generator[None, Any, Any]:
    found = yield
    if not found or not _is_active(parent.config):
        return found
    from nbval.plugin import IPyNbFile

    from coursekit.nbtest.items import NotebookFile

    ours = NotebookFile.from_parent
    return [ours(parent, path=file_path) if type(f) is IPyNbFile else f for f in found]


class _Costs:
    """Gathers what notebooks cost from the reports of their cells, and shows it."""

    def __init__(self) -> None:
        self.said: dict[str, list[tuple[float, int | None]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for kind, said in report.user_properties if report.when == "call" else ():
            if kind == "nbtest":
                name, seconds, peak = said
                self.said.setdefault(name, []).append((seconds, peak))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.said:
            terminalreporter.section("notebooks")
        width = max(map(len, self.said), default=0)
        for name, cells in sorted(self.said.items()):
            peak = max((peak or 0) for _, peak in cells)
            memory = f"{peak / 2**20:7,.0f} MiB" if peak else "memory not measured"
            seconds = sum(seconds for seconds, _ in cells)
            line = f"{name:{width}}  {len(cells):3d} cells  {seconds:6.1f} s  {memory}"
            terminalreporter.line(line)


def _is_active(config: pytest.Config) -> bool:
    options = config.option
    return bool(getattr(options, "nbval", False) or getattr(options, "nbval_lax", False))
