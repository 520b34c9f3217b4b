"""A folder of its own for each command, and a way to call it in this process."""

import os

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from coursekit.cli import main


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder, without settings but an empty cache."""
    for name in [name for name in os.environ if name.startswith("COURSEKIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COURSEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(here, capsys):
    """Run the command with words, and return its exit code and what it printed."""

    def call(*words):
        if words[0] == "refresh" and "--runs" not in words:
            words += ("--runs", "1")  # nine kernels would take nine times as long
        with pytest.raises(SystemExit) as end:
            main(words)
        return end.value.code, "".join(capsys.readouterr())

    return call


@pytest.fixture
def write(here):
    """Write a notebook with these sources; tags by the number of the cell."""

    def write(name, *sources, tags=None):
        cells = [new_code_cell(source) for source in sources]
        for number, names in (tags or {}).items():
            cells[number - 1].metadata["tags"] = names
        nbformat.write(new_notebook(cells=cells), here / name)
        return here / name

    return write
