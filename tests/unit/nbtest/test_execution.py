"""A notebook runs in a fresh kernel of this Python, and what happens to it is told."""

import sys
import time

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from coursekit.nbtest.execution import execute_notebook
from coursekit.nbtest.memory import PeakMemory, format_bytes, read_peak_memory


def notebook_of(*sources):
    return new_notebook(cells=[new_code_cell(source) for source in sources])


def kernels():
    children = psutil.Process().children(recursive=True)
    return [
        child for child in children if "ipykernel_launcher" in " ".join(child.cmdline())
    ]


@pytest.fixture
def run(tmp_path):
    def run(*sources, **options):
        return execute_notebook(notebook_of(*sources), folder=tmp_path, **options)

    yield run
    assert kernels() == []


def test_outputs_come_back_in_a_copy_and_the_source_stays(tmp_path):
    source = new_notebook(cells=[new_markdown_cell("# Sum"), new_code_cell("1 + 1")])
    before, done = nbformat.writes(source), []
    record = execute_notebook(source, folder=tmp_path, on_cell=done.append)
    assert record.failure is None
    assert record.notebook.cells[1].outputs[0]["data"]["text/plain"] == "2"
    assert nbformat.writes(source) == before
    assert (record.n_done, record.n_cells, done) == (1, 1, [1])
    assert 0 < record.seconds < 60


@pytest.fixture
def registered_elsewhere(tmp_path_factory, monkeypatch):
    """Register another interpreter under the notebooks' name, and ask for more threads."""
    folder = tmp_path_factory.mktemp("jupyter")
    spec = folder / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text('{"argv": ["false", "{connection_file}"], "display_name": "x"}')
    monkeypatch.setenv("JUPYTER_PATH", str(folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "7")


@pytest.mark.usefixtures("registered_elsewhere")
def test_the_kernel_is_this_python_with_one_thread_in_the_given_folder(run, tmp_path):
    record = run(
        "import sys, os\nprint(sys.executable)\nprint(os.getcwd())\n"
        "print(os.environ['OMP_NUM_THREADS'], os.environ['COURSEKIT_PROFILE'])",
        settings={"COURSEKIT_PROFILE": "real"},
    )
    printed = record.notebook.cells[0].outputs[0]["text"].splitlines()
    assert printed == [sys.executable, str(tmp_path), "1 real"]


def test_a_failing_cell_is_named_with_its_line_and_error_and_ends_the_run(run):
    record = run("x = 1", "y = x\n\nz = y / 0  # here", "print('not reached')")
    failure = record.failure
    assert (failure.cell, failure.source_line) == (2, "z = y / 0  # here")
    assert failure.error == "ZeroDivisionError: division by zero"
    assert record.n_done == 1
    assert record.notebook.cells[2].outputs == []


def test_the_line_named_is_the_one_in_the_failing_cell(run):
    failure = run("def divide(x):\n    y = x\n    return 1 / y", "a = 0\ndivide(a)").failure
    assert (failure.cell, failure.source_line) == (2, "divide(a)")


def test_a_cell_that_is_meant_to_fail_does_not_end_the_run(run):
    source = notebook_of("1 / 0", "2")
    source.cells[0].metadata["tags"] = ["raises-exception"]
    record = execute_notebook(source, folder=".")
    assert record.failure is None
    assert record.n_done == 2


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import os\nos._exit(3)", "died with exit code 3"),
        pytest.param(
            "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
            "SIGKILL: often too little memory",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there"),
        ),
    ],
)
def test_a_dead_kernel_is_told_within_seconds_with_its_exit_code(run, source, words):
    begin = time.perf_counter()
    record = run("1", source, timeout=300)
    assert time.perf_counter() - begin < 20
    assert words in record.failure.error
    assert record.failure.cell == 2
    assert record.n_done == 1


def test_a_cell_that_hangs_is_ended_after_the_time_out(run):
    failure = run("import time\ntime.sleep(60)", timeout=1).failure
    assert "took longer than 1 seconds" in failure.error


def test_an_interpreter_without_a_kernel_is_told_apart_from_a_failing_cell(run, tmp_path):
    failure = run("1", python=str(tmp_path / "no-python")).failure
    assert failure.cell is None
    assert "did not start" in failure.error


def test_a_notebook_without_code_runs_no_cell(tmp_path):
    source = new_notebook(cells=[new_markdown_cell("# Nothing")])
    record = execute_notebook(source, folder=tmp_path)
    assert (record.n_cells, record.failure) == (0, None)
    assert str(record.peak_memory) == "not measured (no cell came to its end)"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_peak_memory_grows_with_what_the_notebook_holds(run):
    small = run("1").peak_memory.n_bytes
    large = run("x = bytearray(64_000_000)\nx[::4096] = b'1' * len(x[::4096])\ndel x")
    assert large.peak_memory.n_bytes - small > 40_000_000


def test_what_is_not_measured_says_why():
    assert read_peak_memory(2**22 + 1).n_bytes is None
    assert str(PeakMemory(None, "no peak kept")) == "not measured (no peak kept)"
    assert str(PeakMemory(3 * 2**20)) == "3.0 MiB"
    assert format_bytes(1023) == "1023 B"


def test_captured_output_does_not_delay_the_end_of_a_cell(run):
    """The reply to a cell was overlooked, once in some thirty cells, until the time-out."""
    code = "box = ipywidgets.Output()\nwith box:\n    print('captured')\nbox"
    record = run("import ipywidgets", *[code] * 60, timeout=30)
    assert record.failure is None
    assert max(record.cell_seconds.values()) < 20
    assert record.notebook.cells[1].outputs[0]["data"]["text/plain"].startswith("Output(")
    widgets = record.notebook.metadata.widgets.values()
    assert "captured" in str(*widgets)
