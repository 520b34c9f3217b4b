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


def _is_active(config: pytest.Config) -> bool:
    options = config.option
    return bool(getattr(options, "nbval", False) or getattr(options, "nbval_lax", False))
