"""The plugin in runs of pytest: what is recorded, what stops a notebook, what is refused."""

import sys
import time

import nbformat
import pytest

from coursekit.nbtest.cells import hash_source
from coursekit.nbtest.run import execute_notebook

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester, monkeypatch):
    """Run pytest in this process on what stands in the folder."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(*options, nbval="--nbval", current="--nbval-current-env"):
        return pytester.runpytest(*filter(None, (nbval, current)), *options)

    return run


def execute(path):
    """Store what the cells of a notebook show now."""
    done = execute_notebook(nbformat.read(path, as_version=4), folder=path.parent)
    assert done.failure is None, done.failure
    nbformat.write(done.notebook, path)


RECORDED = [
    "import os, sys, matplotlib\nfrom IPython.display import *",
    "for epoch in range(3):\n    clear_output(wait=True)\n    print('epoch', epoch)\n    display(epoch)",
    "handle = display('a', display_id=True)\nhandle.update('b')",
    "one = 1",
    "two = 2",
    "text = 'silent'\ntext;",
    "text",
    "Out[7], In[7]",
    "import ipywidgets\nipywidgets.Label('a')",
    "ipywidgets.IntSlider(value=3)",
    "print(os.environ.get('PYTEST_CURRENT_TEST'), os.environ['OMP_NUM_THREADS'])",
    "print('a', end='\\r'); print('b'); print('err', file=sys.stderr)",
    "%%html\n<b>bold</b>",
    "!echo shell",
]


@pytest.mark.skipif(sys.platform == "win32", reason="calls echo")
def test_outputs_are_recorded_as_jupyter_records_them(notebooks, run):
    path = notebooks.write(*RECORDED)
    execute(path)
    stored = nbformat.read(path, as_version=4).cells
    texts = ["".join(out.get("text", "") for out in cell.outputs) for cell in stored]
    values = [
        [out.data["text/plain"] for out in cell.outputs if "data" in out] for cell in stored
    ]
    assert (texts[1], values[1]) == ("epoch 2\n", ["2"])
    assert values[2] == ["'b'"]
    assert stored[5].outputs == []
    assert values[7] == ["('silent', 'text')"]
    assert texts[10] == "None 1\n"
    assert [cell.execution_count for cell in stored] == list(range(1, 15))
    run().assert_outcomes(passed=14)


def test_the_cells_known_to_be_weak_come_out_right(notebooks, run, monkeypatch):
    """Plain nbval fails ten of these and lets the three random plots pass."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    path = notebooks.write(
        "import random, time, warnings, os, resource, sys, tempfile\nimport numpy as np\n"
        "import matplotlib.pyplot as plt",
        "print('loss', 0.123456986 + random.random() * 1e-8)",
        "print(f'tensor([{1 + random.random() * 1e-5:.6f}])')",
        "plt.plot(np.random.default_rng().normal(size=30).cumsum()); plt.show()",
        "fig, ax = plt.subplots()\nax.plot([1, 2, 3])",
        "from tqdm import tqdm\nfor _ in tqdm(range(9)): time.sleep(random.random() / 99)",
        "from tqdm.auto import tqdm\nfor _ in tqdm(range(9)): time.sleep(random.random() / 99)",
        notebooks.cell("print(time.time())", tags=["nbtest:costs"]),
        notebooks.cell("%%time\nsum(range(100000))", tags=["nbtest:costs"]),
        notebooks.cell(
            "print(f'peak {700 + random.random():.4f} MB')", tags=["nbtest:costs"]
        ),
        "warnings.warn('be careful')",
        "class A: pass\nA()",
        "from IPython.display import HTML\nHTML(f'<b>{0.5 + random.random() * 1e-6:.9f}</b>')",
        "{3, 1, 2, 'b'} - {'b'}",
        "print('out'); print('err', file=sys.stderr); print('out 2')",
        "plt.imshow(np.random.default_rng().normal(size=(8, 8))); plt.show()",
        "plt.bar(range(5), np.random.default_rng().uniform(1, 9, size=5))\n"
        "plt.savefig(tempfile.mkdtemp() + '/a.png')",
    )
    execute(path)
    result = run("-rA")
    result.assert_outcomes(passed=14, failed=3)
    for cell in (3, 15, 16):
        result.stdout.fnmatch_lines([f"FAILED lesson.ipynb::Cell {cell} - In image/png: *"])
    picture = next(line for line in result.outlines if line.startswith("Side by side: "))
    assert picture.endswith("lesson-cell-3.png")


def test_after_a_cell_that_raises_the_rest_is_not_run(notebooks, run):
    notebooks.write("x = 1", "y = x\n1 / 0", "y", notebooks.cell("x", notebooks.value("1")))
    result = run("-rs")
    result.assert_outcomes(passed=1, failed=1, skipped=2)
    result.stdout.fnmatch_lines(
        [
            "ZeroDivisionError: division by zero",
            "lesson.ipynb, Cell 1 (In [[]2[]]):",
            "*----> 2 1 / 0*",
            "The cells below it are not run.",
            "SKIPPED * lesson.ipynb:* not run: Cell 1 failed",
        ]
    )
    result.stdout.no_fnmatch_line("*NameError*")


def test_a_cell_that_only_differs_does_not_stop_the_rest(notebooks, run):
    cells = [notebooks.cell(f"{n}", notebooks.value("7")) for n in (7, 8, 7, 9)]
    notebooks.write(*cells)
    result = run()
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        [
            "In text/plain: 1 of 1 numbers differs: stored 7, fresh 8; it must be equal.",
            "lesson.ipynb, Cell 1 (In [[]2[]]):",
            "If the fresh outputs are right, store them: coursekit refresh lesson.ipynb",
        ]
    )


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import os\nos._exit(3)", "The kernel died with exit code 3."),
        pytest.param(
            "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
            "The kernel died with exit code -9 (SIGKILL: often too little memory).",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there"),
        ),
    ],
)
def test_a_dead_kernel_is_told_within_seconds(notebooks, run, source, words):
    notebooks.write("1;", source, "2;")
    begin = time.perf_counter()
    result = run("--nbval-cell-timeout=300")
    assert time.perf_counter() - begin < 30
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines([words, "lesson.ipynb, Cell 1 (In [[]2[]]):"])


def test_a_cell_that_hangs_times_out_and_is_named(notebooks, run):
    notebooks.write("import time", "time.sleep(60)", "1;")
    result = run("--nbval-cell-timeout=0.5")
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        ["The cell took longer than 0.5 seconds.", "lesson.ipynb, Cell 1 (In [[]2[]]):"]
    )


BAD_FILES = {
    "text": ("Hello", "Expecting value"),
    "merge": ('{"nbformat": 4,\n<<<<<<< HEAD\n', "marks of a git merge"),
    "empty": ("", "Expecting value"),
    "other": ('{"a": 1}', "nbformat"),
    "list": ("[1, 2]", "list indices"),
    "old": ('{"nbformat": 3}', "of format 3, not 4"),
    "invalid": (
        '{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [{"cell_type": "code"}]}',
        "is a required property",
    ),
}


def test_a_file_that_is_no_notebook_is_one_clear_error(pytester, run):
    for kind, (content, _) in BAD_FILES.items():
        pytester.path.joinpath(f"{kind}.ipynb").write_text(content)
    pytester.path.joinpath("bytes.ipynb").write_bytes(b"\x89PNG\xff\xfe")
    result = run()
    result.assert_outcomes(errors=len(BAD_FILES) + 1)
    for kind, (_, words) in BAD_FILES.items():
        result.stdout.fnmatch_lines_random(
            [f"{kind}.ipynb is not a Python notebook*{words}*"]
        )
    result.stdout.fnmatch_lines_random(
        ["bytes.ipynb is not a Python notebook that can be tested*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*.py:*")


def test_a_directive_with_a_typo_is_told_before_anything_runs(notebooks, run):
    notebooks.write("1", notebooks.cell("2", tags=["nbtest:cost"]))
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["lesson.ipynb, Cell 1: 'nbtest:cost' is not a directive*"])


def test_a_range_in_the_metadata_is_what_is_allowed(notebooks, run):
    def cell(fresh):
        made = notebooks.cell(
            f"print('accuracy', {fresh})", notebooks.printed("accuracy 0.71\n")
        )
        made.metadata["coursekit"] = {"ranges": {"0": "-0.01 0.02"}}
        return made

    notebooks.write(cell(0.75), cell(0.78), coursekit={"measured": {"runs": 9}})
    result = run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*measured 0.7 to 0.73; allowed 0.67 to 0.76, outside by 0.02.*"]
    )


def test_outputs_that_were_never_made_or_out_of_order_fail(notebooks, run):
    value, error = notebooks.value, notebooks.error
    notebooks.write(
        notebooks.cell("1", value("1"), count=3),
        notebooks.cell("2", count=None),
        notebooks.cell("3", value("3"), count=2),
        notebooks.cell("4", error("ValueError", "bad"), count=4),
        notebooks.cell("", count=None),
        notebooks.cell("5", count=None, tags=["nbval-ignore-output"]),
    )
    result = run()
    result.assert_outcomes(passed=3, failed=3)
    result.stdout.fnmatch_lines(
        [
            "The cell was never run: it has no execution count.",
            "To store fresh outputs: coursekit refresh lesson.ipynb",
            "Run out of order: In [[]2[]] stands below In [[]3[]].",
            "An error is stored that is not expected: ValueError: bad.*raises-exception.",
        ]
    )


def test_outputs_of_another_source_fail_once_a_notebook_carries_hashes(notebooks, run):
    cells = [notebooks.cell(f"{n};") for n in range(4)]
    for cell in cells[:3]:
        cell.metadata["coursekit"] = {"source_sha256": hash_source(cell.source)}
    cells[1].source = "10;"
    cells[2].metadata["tags"] = ["nbval-ignore-output"]
    notebooks.write(*cells)
    result = run()
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        [
            "The stored outputs were made by another source than the cell has now.",
            "To store fresh outputs: coursekit refresh lesson.ipynb",
            "The stored outputs were made before the cell.",
        ]
    )


def test_a_missing_and_an_extra_output_and_a_warning_fail(notebooks, run):
    notebooks.write(
        notebooks.cell("1;", notebooks.value("1")),
        "2",
        "import warnings\nwarnings.warn('be careful')",
    )
    result = run()
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "An output is missing: 1 (text/plain)",
            "An output is not stored: 2 (text/plain)",
            "*UserWarning: be careful",
        ]
    )


def test_variables_of_the_kernels_are_set(notebooks, run):
    code = "import os\nprint(os.environ['OMP_NUM_THREADS'], os.environ['A'])"
    notebooks.write(notebooks.cell(code, notebooks.printed("2 b=c\n")))
    run("--nbtest-env=OMP_NUM_THREADS=2", "--nbtest-env=A=b=c").assert_outcomes(passed=1)


def test_without_nbval_nothing_is_collected(notebooks, run):
    notebooks.write("1 / 0")
    assert run(nbval=None, current=None).ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_a_plain_run_of_pytest_loads_no_part_of_jupyter_and_none_of_this(pytester):
    pytester.makepyfile(
        "import sys\n"
        "def test_light():\n"
        "    ours = {m for m in sys.modules if m.startswith('coursekit')}\n"
        "    assert ours <= {'coursekit', 'coursekit.nbtest', 'coursekit.nbtest.plugin'}\n"
        "    assert not {'torch', 'matplotlib', 'numpy', 'nbclient'} & set(sys.modules)\n"
    )
    pytester.runpytest_subprocess("-p", "no:hypothesispytest").assert_outcomes(passed=1)


def test_a_notebook_is_left_as_it_is(notebooks, run):
    path = notebooks.write("print(1)", "1 / 0")
    before = path.read_bytes()
    run()
    assert path.read_bytes() == before


def test_tags_mark_cells(notebooks, run):
    wrong = notebooks.value("0")
    error = notebooks.error("ZeroDivisionError", "division by zero")
    notebooks.write(
        notebooks.cell("1", wrong, tags=["nbval-ignore-output"]),
        notebooks.cell("1 / 0", error, tags=["raises-exception"]),
        notebooks.cell("int('a')", error, tags=["raises-exception"]),
        notebooks.cell("1", wrong),
    )
    run().assert_outcomes(passed=2, failed=2)


@pytest.mark.parametrize("mode", ["load", "worksteal"])
def test_workers_that_scatter_cells_are_refused(pytester, mode):
    pytest.importorskip("xdist")
    with pytest.raises(pytest.UsageError, match=f"with --dist {mode}: .*--dist loadfile"):
        pytester.parseconfigure("--nbval", "--dist", mode)


def test_whole_notebooks_go_to_workers(pytester, notebooks):
    pytest.importorskip("xdist")
    for name in "abc":
        cells = [notebooks.cell(f"x = {n}\nx", notebooks.value(f"{n}")) for n in range(3)]
        notebooks.write(*cells, name=f"{name}.ipynb")
    options = ("--nbval", "--nbval-current-env", "-n", "2", "--dist", "loadfile")
    result = pytester.runpytest_subprocess(*options)
    result.assert_outcomes(passed=9)
