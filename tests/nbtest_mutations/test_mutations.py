"""One thing is changed at a time: what breaks a lesson must fail, what does not must pass.

Each mutant is a cell that was changed after its outputs were stored. It stands below its
original, which must pass, and the original stands below it again, so that what the mutant
changed is put back. The two rates are printed at the end.
"""

import json
import sys
from pathlib import Path

import nbformat
import numpy as np  # noqa: F401 - loaded once, not again in each run of pytest inside this one
import PIL.Image  # noqa: F401
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import coursekit.nbtest.compare  # noqa: F401
from coursekit.nbtest.cells import hash_source
from coursekit.nbtest.run import execute_notebook

pytestmark = pytest.mark.slow
pytest_plugins = ["pytester"]

LESSON = Path(__file__).parents[2] / "notebooks" / "01_convolutions.ipynb"

SET_UP = """\
import json, random, sys, tempfile, time, warnings
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import HTML, JSON, Image, Latex, Markdown, clear_output, display
from torch import nn
from tqdm import tqdm
from coursekit import figures
rng = np.random.default_rng(0)
grid = rng.random((12, 8, 8))
x = np.linspace(0, 6, 40)
"""

TABLE = "pd.DataFrame({'epoch': [1, 2, 3], 'loss': [0.5, 0.25, 0.125]})"
CURVES = (
    "figures.plot_curves({'train': (x, np.sin(x)), 'test': (x, np.cos(x))}, "
    "x_label='time (s)', y_label='loss', title='Two curves')"
)
BARS = "figures.plot_bars({'CNN': 0.9, 'MLP': 0.7}, y_label='accuracy', title='Bars')"
IMAGES = "figures.show_images(list(grid), [f'n {n}' for n in range(12)], title='Twelve')"
PLOT = "fig, ax = plt.subplots()\n_ = ax.plot(x, np.sin(x))"
TILES = "fig, axes = plt.subplots(3, 4)\nfor a, g in zip(axes.flat, grid): a.imshow(g)"
TIMED = "# costs\nbegin = time.time()\nprint(f'3 epochs, loss 0.5, {1.5:.1f} s')"
SIZED = "# costs\nprint('3 arrays of 8 features, 41.5 MiB')"
TRAIN = """\
torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
images, labels = torch.randn(32, 1, 8, 8), torch.arange(32) % 3
sgd = torch.optim.SGD(net.parameters(), lr=0.05)
for step in range(10):
    loss = nn.functional.cross_entropy(net(images), labels)
    sgd.zero_grad(); loss.backward(); sgd.step()
print(f'loss after 10 steps: {loss.item():.6f}')"""

# Original, what is replaced in it, by what, and words that the message must hold.
BREAKING = {
    "a number beyond the tolerance": ("print('loss', 0.6931)", "0.6931", "0.6941", "fresh 0.6941"),
    "the last of two digits": ("print(f'accuracy {0.98}')", "0.98", "0.97", "fresh 0.97"),
    "a sign": ("-0.25", "-0.25", "0.25", "stored -0.25, fresh 0.25"),
    "not a number": ("print(0.5)", "0.5", "float('nan')", "nan"),
    "an integer off by one": ("print(f'{11689512:,}')", "512", "513", "fresh 11,689,513"),
    "an integer that becomes a float": ("6", "6", "6 / 1", "now decimal"),
    "a word": ("'the CNN wins'", "CNN", "MLP", "stored 'CNN', fresh 'MLP'"),
    "a permuted list": ("[3, 1, 2]", "3, 1, 2", "1, 3, 2", "2 of 3 numbers"),
    "a permuted dict": ("{'a': 1, 'b': 1}", "'a': 1, 'b': 1", "'b': 1, 'a': 1", "stored 'a'"),
    "a tuple for a list": ("[0.5, 1]", "[0.5, 1]", "(0.5, 1)", "stored '['"),
    "a swapped label": ("['cat', 'dog']", "'cat', 'dog'", "'dog', 'cat'", "fresh 'dog'"),
    "a deep value": ("{'a': [{'b': (1, 2.5)}]}", "2.5", "2.6", "fresh 2.6"),
    "an element of an array": ("np.arange(12.0) / 7", "12.0) / 7", "12.0) / 7.01", "of 12 numbers"),
    "the shape of an array": ("np.arange(6).reshape(2, 3)", "2, 3", "3, 2", "the text differs"),
    "the type of an array": ("np.arange(4)", "4)", "4.0)", "now decimal"),
    "an element of a tensor": ("torch.tensor([0.1, 0.2])", "0.2", "0.3", "fresh 0.3"),
    "the shape of a tensor": ("torch.zeros(2, 3).shape", "2, 3", "3, 2", "Size([3, 2])"),
    "a layer": ("nn.Conv2d(1, 6, 5)", "6, 5", "6, 3", "stored 5, fresh 3"),
    "a cell of a table": (TABLE, "0.25", "0.26", "column 'loss'"),
    "a row of a table": (TABLE, ")", ").iloc[:2]", "fresh '(the end)'"),
    "a column's name": (TABLE, "'loss'", "'error'", "fresh 'error'"),
    "the order of rows": (TABLE, ")", ").iloc[::-1]", "numbers differ"),
    "a number in HTML": ("HTML('<b>0.75</b>')", "0.75", "0.80", "fresh 0.80"),
    "a formula": ("Latex('$x^2$')", "x^2", "x^3", "stored 2, fresh 3"),
    "a word in Markdown": ("Markdown('**five**')", "five", "six", "fresh 'six'"),
    "a value in JSON": ("JSON({'a': [1, 2]})", "2]", "3]", "fresh 3"),
    "a missing output": ("value = 5\nvalue", "\nvalue", "", "An output is missing: 5"),
    "an extra output": ("value = 5", "= 5", "= 5\nvalue", "An output is not stored: 5"),
    "a missing line": ("print('a'); print('b')", "; print('b')", "", "stored 'b', fresh '(the end)'"),
    "an extra line": ("print('a')", "'a'", "'a\\nb'", "stored '(the end)', fresh 'b'"),
    "a print to the other stream": ("print('a')", "'a'", "'a', file=sys.stderr", "stderr"),
    "a warning": ("total = 5", "= 5", "= 5; warnings.warn('slow')", "UserWarning: slow"),
    "a warning behind a progress bar": (
        "for n in tqdm(range(3)): pass", "pass", "n or warnings.warn('slow')", "UserWarning: slow"
    ),
    "a program's output": ("!echo three", "three", "four", "fresh 'four'"),
    "a live output that is not cleared": (
        "for n in range(3): clear_output(wait=True); print(n)", "clear_output(wait=True); ", "",
        "stored '(the end)'",
    ),
    "a display that is not updated": (
        "handle = display(1, display_id=True); handle.update(2)", "; handle.update(2)", "",
        "stored 2, fresh 1",
    ),
    "a number beside a time": (TIMED, "loss 0.5", "loss 0.6", "fresh 0.6"),
    "a count beside a time": (TIMED, "3 epochs", "4 epochs", "fresh 4"),
    "a time that is compared": (TIMED.replace("# costs\n", ""), "1.5", "1.6", "fresh 1.6"),
    "a number beside a size": (SIZED, "8 features", "9 features", "fresh 9"),
    "a learning rate": (TRAIN, "lr=0.05", "lr=0.051", "loss after"),
    "a seed": (TRAIN, "seed(0)", "seed(1)", "loss after"),
    "a step of training": (TRAIN, "range(10)", "range(9)", "loss after"),
    "an error's words": (
        "# raises\nint('a')", "'a'", "'b'", "In the error's words"
    ),
    "another error": (
        "# raises\nint('a')", "int('a')", "[][0]", "fresh is the error IndexError"
    ),
    "an expected error that does not come": (
        "# raises\nint('a')", "int('a')", "int('1')", "Stored is the error"
    ),
    "a random plot": (PLOT, "np.sin(x)", "np.random.default_rng().normal(size=40)", "numbers differs: stored a picture"),
    "a wrong curve, plain matplotlib": (PLOT, "np.sin(x)", "np.cos(x)", "stored a picture"),
    "one tile, plain matplotlib": (TILES, "zip(axes.flat, grid)", "zip(axes.flat, [*grid[:5], grid[0], *grid[6:]])", "stored a picture"),
    "another color map": (TILES, "imshow(g)", "imshow(g, cmap='gray')", "stored a picture"),
    "the size of a picture": (PLOT, "subplots()", "subplots(figsize=(5, 5))", "image/png"),
    "a wrong curve": (CURVES, "np.sin(x)", "1.01 * np.sin(x)", "Two curves"),
    "one point of a curve": (CURVES, "np.sin(x)", "np.sin(x) + 0.02 * (x == x[20])", "Two curves"),
    "swapped names of curves": (CURVES, "'train': (x, np.sin(x)), 'test': (x, np.cos(x))", "'test': (x, np.sin(x)), 'train': (x, np.cos(x))", "Two curves"),
    "a figure's title": (CURVES, "Two curves", "Two curbs", "Two curbs"),
    "the label of an axis": (CURVES, "'loss'", "'error'", "error"),
    "limits of an axis": (CURVES, "y_label", "y_limits=(-2, 2), y_label", "Two curves"),
    "a bar": (BARS, "0.7", "0.71", "0.71"),
    "swapped bars": (BARS, "'CNN': 0.9, 'MLP': 0.7", "'CNN': 0.7, 'MLP': 0.9", "CNN"),
    "one tile of an image grid": (IMAGES, "list(grid)", "[*grid[:5], grid[0], *grid[6:]]", "Twelve"),
    "a mirrored image": (IMAGES, "list(grid)", "[*grid[:5], grid[5][:, ::-1], *grid[6:]]", "Twelve"),
    "a permuted image grid": (IMAGES, "list(grid)", "list(grid[::-1])", "Twelve"),
    "a name of an image": (IMAGES, "f'n {n}'", "f'n {max(n, 1)}'", "fresh 1"),
}  # fmt: skip

# Cells of lesson 01 that are run, by the words that they begin with.
CUT = (
    "from itertools import product", "def slide_window", "photo = course.dataset",
    "bell = np.exp", "blurred = slide_window", "sobel_x = np.array", "picture = np.array",
    "assert np.unravel_index", "neuron = nn.Linear", "gray_batch = torch", "laplace = np.array",
    "for c_in, c_out, width", "def output_size", "def stack_of_convolutions",
    "figures.plot_curves(\n    {\"stride 1\"", "short = np.array", "n_windows = len(short)",
)  # fmt: skip
LESSON_BREAKING = {
    "lesson: the kernel's width": ("bell = np.exp", "/ 1.5)", "/ 1.6)", "Gaussian kernel"),
    "lesson: less blur": ("blurred = slide_window", "(gray, gaussian)", "(gray, gaussian**2)", "blurs"),
    "lesson: swapped images": ("blurred = slide_window", "[gray, blurred]", "[gray[3:-3, 3:-3], blurred[::-1]]", "blurs"),
    "lesson: a swapped label": ("sobel_x = np.array", '"left to right", "top to bottom"', '"top to bottom", "left to right"', "Sobel"),
    "lesson: a kernel turned": ("sobel_x = np.array", "sobel_x.T", "sobel_x[:, ::-1].T", "Sobel"),
    "lesson: one number of a matrix": ("picture = np.array", "[1, 1, 1], [-1", "[1, 2, 1], [-1", "finds a cross"),
    "lesson: one pixel of a picture": ("picture = np.array", "[1, 1, 0, 0, 1]", "[1, 1, 0, 1, 1]", "finds a cross"),
    "lesson: another seed": ("gray_batch = torch", "seeded(SEED,", "seeded(SEED + 1,", "untrained"),
    "lesson: a filter in another place": ("laplace = np.array", '    "spots": laplace,\n    "diagonal": (sobel_x + sobel_y) / 2,', '    "diagonal": (sobel_x + sobel_y) / 2,\n    "spots": laplace,', "feature maps"),
    "lesson: a count of parameters": ("for c_in, c_out, width", "(64, 192, 5)", "(64, 192, 7)", "numbers"),
    "lesson: the growth of a field": ("def stack_of_convolutions", "widths([1, 2] * 4)", "widths([2, 1] * 4)", "numbers"),
    "lesson: a name of a curve": ("figures.plot_curves(\n    {\"stride 1\"", '"stride 1"', '"stride one"', "Stride makes"),
    "lesson: a curve": ("figures.plot_curves(\n    {\"stride 1\"", "stride_1)", "stride_1[::-1])", "Stride makes"),
    "lesson: a label of an axis": ("figures.plot_curves(\n    {\"stride 1\"", "(pixels)", "(px)", "Stride makes"),
    "lesson: swapped results": ("short = np.array", "by_torch, np.convolve(short, difference, mode=\"valid\")", "np.convolve(short, difference, mode=\"valid\"), by_torch", "numbers"),
}  # fmt: skip

# What a cell may change, or do differently each time, without breaking anything.
HARMLESS = {
    "noise in a number": ("print(0.6931471)", "0.6931471", "0.6931475"),
    "rounding that tips": ("print(f'{0.69314999:.4f}')", "0.69314999", "0.69315001"),
    "digits of an array": ("np.arange(6.0) / 7", "7", "7.000001"),
    "padding of an array": ("print(np.array([1.0, 2.0]))", "2.0", "2.00001"),
    "layout of an array": ("np.arange(40)", "np.arange(40)", "np.set_printoptions(linewidth=50)\nnp.arange(40)"),
    "noise in a tensor": ("torch.tensor([0.5, 0.25])", "0.25", "0.25001"),
    "noise in a table": (TABLE, "0.25", "0.250001"),
    "the order of a set's making": ("{3, 'a', 1} - {'a'}", "3, 'a', 1", "1, 3, 'a'"),
    "an address": ("object()", "object()", "object()  # another"),
    "a temporary folder": ("print(tempfile.mkdtemp() + '/net.pt')", "print", "print"),
    "a process id": ("import os\nprint(f'pid={os.getpid()}')", "{os.getpid()}", "{os.getppid()}"),
    "colors": ("print('red')", "'red'", "'\\x1b[31mred\\x1b[0m'"),
    "a longer progress bar": ("for n in tqdm(range(3)): pass", "pass", "time.sleep(0.1)"),
    "a progress bar that goes": ("for n in tqdm(range(3)): pass", "tqdm(range(3))", "range(3)"),
    "a time": (TIMED, "1.5", "12.25"),
    "a clock": ("# costs\nprint(time.time())", "time.time()", "time.time() + 1e6"),
    "a date": ("# costs\nprint('2025-11-21 18:50')", "2025-11-21", "2026-01-02"),
    "a size": (SIZED, "41.5 MiB", "1.2 GiB"),
    "prints in pieces": ("print('a b')", "'a b'", "'a', end=' '); print('b'"),
    "a comment": ("5", "5", "5  # five"),
    "a path of installed packages": (
        "print('/a/lib/python3.11/site-packages/torch/x.py:3: UserWarning', file=sys.stderr)",
        "/a/lib/python3.11/site-packages/torch/x.py:3", "/b/lib/python3.13/site-packages/torch/x.py:9",
    ),
    "noise in a curve": (CURVES, "np.sin(x)", "np.sin(x) * (1 + 1e-7)"),
    "noise in images": (IMAGES, "list(grid)", "list(grid * (1 - 1e-6))"),
    "noise in a plot": (PLOT, "np.sin(x)", "np.sin(x) + 1e-5"),
}  # fmt: skip

LATER = """\
import time
_now = time.time
time.time = lambda: _now() + 4e7
"""
MACHINES = {
    "two threads": ("OMP_NUM_THREADS=2", "MKL_NUM_THREADS=2"),
    "four threads": ("OMP_NUM_THREADS=4", "OPENBLAS_NUM_THREADS=4"),
    "ATen without vectors": ("ATEN_CPU_CAPABILITY=default",),
    "ATen with AVX2": ("ATEN_CPU_CAPABILITY=avx2", "ONEDNN_MAX_CPU_ISA=ALL"),
    "oneDNN with AVX2, ATen without": ("ONEDNN_MAX_CPU_ISA=AVX2", "ATEN_CPU_CAPABILITY=default"),
    "oneDNN with SSE4.1": ("ONEDNN_MAX_CPU_ISA=SSE41",),
    "MKL the same everywhere": ("MKL_CBWR=COMPATIBLE",),
    "MKL as it likes": ("MKL_ENABLE_INSTRUCTIONS=AVX512", "OPENBLAS_CORETYPE=Nehalem"),
    "a wide terminal": ("COLUMNS=240", "LINES=80"),
    "a narrow terminal": ("COLUMNS=40",),
    "a dumb terminal": ("TERM=dumb", "NO_COLOR=1"),
    "colors forced": ("FORCE_COLOR=1",),
    "another hash seed": ("PYTHONHASHSEED=7",),
    "another language": ("LANG=de_DE.UTF-8", "LC_ALL=C.UTF-8"),
    "another time zone": ("TZ=Asia/Tokyo",),
    "another temporary folder": ("TMPDIR={folder}",),
    "another home": ("HOME={folder}", "IPYTHONDIR={folder}/ipython", "MPLCONFIGDIR={folder}"),
    "a later date": ("PYTHONSTARTUP={folder}/later.py",),
}  # fmt: skip

STOPPING = {
    "an exception": ("1 + 1", "1 / 0", "ZeroDivisionError: division by zero"),
    "a failing assertion": ("assert True", "assert 1 > 2, 'too few'", "AssertionError: too few"),
    "a missing import": ("import math", "import no_such", "No module named 'no_such'"),
    "a name that is gone": ("y = 1", "y = gone", "NameError: name 'gone'"),
    "a syntax error": ("y = 1", "y = (1", "SyntaxError"),
    "an exit": ("y = 1", "import os; os._exit(0)", "The kernel died with exit code 0."),
    "a cell that hangs": ("y = 1", "import time; time.sleep(99)", "took longer than 3 seconds"),
}  # fmt: skip
if sys.platform != "win32":
    killed = "import os; os.kill(os.getpid(), 9)"
    told = "The kernel died with exit code -9 (SIGKILL"
    STOPPING["a killed kernel"] = ("y = 1", killed, told)


@pytest.fixture(scope="module")
def rates():
    """Give the record of what was tried: name to whether it came out right."""
    return {"breaking": {}, "harmless": {}}


@pytest.fixture
def tests_of(pytester):
    """Run pytest on cells; give the outcome and the words of each, in order."""

    def tests_of(cells, *options, name="lesson.ipynb"):
        for number, cell in enumerate(cells, start=1):
            if cell.execution_count == 0:
                cell.execution_count = number
        path = pytester.path / name
        nbformat.write(new_notebook(cells=cells), path)
        ran = pytester.inline_run("--nbval", "--nbval-current-env", *options, path)
        reports = [
            r for r in ran.getreports("pytest_runtest_logreport") if r.when == "call"
        ]
        return [(report.outcome, str(report.longrepr or "")) for report in reports]

    return tests_of


def make_cell(source, **stored):
    """Make a cell; the comments `# costs` and `# raises` become tags."""
    tags = {"# costs": "nbtest:costs", "# raises": "raises-exception"}
    tags = [tag for comment, tag in tags.items() if comment in source]
    return new_code_cell(source, metadata={"tags": tags}, **stored)


def store(folder, sources):
    """Execute cells and return them with their outputs."""
    run = execute_notebook(new_notebook(cells=[*map(make_cell, sources)]), folder=folder)
    assert run.failure is None, run.failure
    return run.notebook.cells


def cell_of(stored, source=None):
    """Make a cell with stored outputs, and another source where one is given."""
    return make_cell(source or stored.source, outputs=stored.outputs, execution_count=0)


def change(source, old, new):
    assert old in source, f"{old!r} is not in {source!r}"
    return source[::-1].replace(old[::-1], new[::-1], 1)[::-1]


def try_mutants(tests_of, set_up, stored, mutants):
    """Return outcome and words of each mutant; its original must pass before and after."""
    cells = [cell_of(cell) for cell in set_up]
    for name, source in mutants.items():
        original = stored[name]
        cells += [cell_of(original), cell_of(original, source), cell_of(original)]
    found = tests_of(cells)[len(set_up) :]
    assert len(found) == 3 * len(mutants)
    for place, name in enumerate(mutants):
        for outcome, words in (found[3 * place], found[3 * place + 2]):
            assert outcome == "passed", f"{name}, unchanged: {words}"
    return {
        name: (*found[3 * place + 1], f"Cell {len(set_up) + 3 * place + 1} ")
        for place, name in enumerate(mutants)
    }


def judge_breaking(found, mutants, rates):
    wrong = {}
    for name, (outcome, words, cell) in found.items():
        is_caught = outcome == "failed" and cell in words and mutants[name][-1] in words
        rates["breaking"][name] = is_caught
        if not is_caught:
            wrong[name] = (outcome, cell, mutants[name][-1], words)
    assert not wrong, "\n\n".join(f"{name}: {told}" for name, told in wrong.items())


def test_what_breaks_a_cell_fails_and_names_cell_and_difference(tests_of, tmp_path, rates):
    set_up, *cells = store(tmp_path, [SET_UP, *(mutant[0] for mutant in BREAKING.values())])
    stored = dict(zip(BREAKING, cells, strict=True))
    mutants = {name: change(*mutant[:3]) for name, mutant in BREAKING.items()}
    judge_breaking(try_mutants(tests_of, [set_up], stored, mutants), BREAKING, rates)


def test_what_breaks_lesson_01_fails_and_names_cell_and_difference(
    tests_of, tmp_path, rates
):
    lesson = nbformat.read(LESSON, as_version=4)
    code = [cell.source for cell in lesson.cells if cell.cell_type == "code"]
    cut = store(tmp_path, [next(s for s in code if s.startswith(words)) for words in CUT])
    by_words = dict(zip(CUT, cut, strict=True))
    stored = {name: by_words[mutant[0]] for name, mutant in LESSON_BREAKING.items()}
    mutants = {
        name: change(stored[name].source, *mutant[1:3])
        for name, mutant in LESSON_BREAKING.items()
    }
    judge_breaking(try_mutants(tests_of, cut, stored, mutants), LESSON_BREAKING, rates)


@pytest.mark.parametrize("name", STOPPING)
def test_what_stops_a_notebook_is_told_at_its_cell(tests_of, rates, name):
    before, after, words = STOPPING[name]
    stored = store(".", ["x = 1", before, "x"])
    found = tests_of(
        [cell_of(stored[0]), cell_of(stored[1], after), cell_of(stored[2])],
        "--nbval-cell-timeout=3",
    )
    outcomes = [outcome for outcome, _ in found]
    is_caught = outcomes == ["passed", "failed", "skipped"]
    is_caught = is_caught and words in found[1][1] and "Cell 1 " in found[1][1]
    rates["breaking"][name] = is_caught
    assert is_caught, found
    assert "not run: Cell 1 failed" in found[2][1]


def test_what_is_stored_wrongly_fails_with_the_command_that_mends_it(tests_of, rates):
    plot = f"import numpy as np, matplotlib.pyplot as plt\nx = np.linspace(0, 6)\n{PLOT}"
    stored = store(".", ["5", "6", "print(7)", plot])
    error = nbformat.v4.new_output("error", ename="KeyError", evalue="'a'", traceback=[])

    def edit(place, **changes):
        cells = [cell_of(cell) for cell in stored]
        cells[place].update(changes)
        return cells

    def hashed(cells, *, stale=False, new=False):
        for cell in cells:
            cell.metadata["coursekit"] = {"source_sha256": hash_source(cell.source)}
        if stale:
            cells[1].source = "3 + 3"
        if new:
            del cells[1].metadata["coursekit"]
        return cells

    other = [nbformat.from_dict(json.loads(json.dumps(out))) for out in stored[3].outputs]
    other[0]["data"]["image/png"] = store(".", [plot.replace("sin", "cos")])[0].outputs[0][
        "data"
    ]["image/png"]
    twice, foreign = stored[1].outputs * 2, stored[0].outputs
    mutants = {
        "a cell that was never run": (edit(1, execution_count=None), 1, "never run"),
        "cells out of order": (edit(1, execution_count=9), 2, "out of order"),
        "an error that is stored": (edit(1, outputs=[error]), 1, "not expected: KeyError"),
        "outputs that were deleted": (edit(1, outputs=[]), 1, "An output is not stored: 6"),
        "outputs that stand twice": (edit(1, outputs=twice), 1, "is missing: 6"),
        "outputs of another cell": (edit(1, outputs=foreign), 1, "stored 5, fresh 6"),
        "another picture": (edit(3, outputs=other), 3, "stored a picture"),
        "outputs of an older source": (hashed(edit(1), stale=True), 1, "by another source"),
        "a cell newer than the outputs": (hashed(edit(1), new=True), 1, "before the cell"),
    }
    wrong = {}
    for name, (cells, place, words) in mutants.items():
        outcome, said = tests_of(cells)[place]
        is_caught = outcome == "failed" and words in said and f", Cell {place}" in said
        is_caught = is_caught and "coursekit refresh lesson.ipynb" in said
        rates["breaking"][name] = is_caught
        if not is_caught:
            wrong[name] = (outcome, said)
    assert not wrong


def test_what_does_not_matter_in_a_cell_passes(tests_of, tmp_path, rates):
    set_up, *cells = store(tmp_path, [SET_UP, *(mutant[0] for mutant in HARMLESS.values())])
    stored = dict(zip(HARMLESS, cells, strict=True))
    mutants = {name: change(*mutant) for name, mutant in HARMLESS.items()}
    found = try_mutants(tests_of, [set_up], stored, mutants)
    rates["harmless"] |= {name: found[name][0] == "passed" for name in HARMLESS}
    assert not {
        name: words for name, (outcome, words, _) in found.items() if outcome != "passed"
    }


@pytest.fixture(scope="module")
def machine_cells(tmp_path_factory):
    """Store one cell of every kind, run on this machine as the tests run it."""
    sources = [mutant[0] for mutant in BREAKING.values() if mutant[0] != PLOT]
    sources += [mutant[0] for mutant in HARMLESS.values()]
    sources.append("print({w for w in 'a b c d'.split() if w < 'b'}, {'a': 1})")
    return store(tmp_path_factory.mktemp("machine"), [SET_UP, *dict.fromkeys(sources)])


@pytest.mark.parametrize("name", MACHINES)
def test_another_machine_or_day_passes(tests_of, machine_cells, tmp_path, rates, name):
    tmp_path.joinpath("later.py").write_text(LATER)
    options = [
        f"--nbtest-env={setting.format(folder=tmp_path)}" for setting in MACHINES[name]
    ]
    found = tests_of([cell_of(cell) for cell in machine_cells], *options)
    failed = [words for outcome, words in found if outcome != "passed"]
    rates["harmless"][name] = not failed
    assert len(found) == len(machine_cells)
    assert not failed


def test_every_breaking_mutant_is_caught_and_no_harmless_one_fails(rates, capsys):
    caught, passed = (list(rates[kind].values()) for kind in ("breaking", "harmless"))
    with capsys.disabled():
        print(
            f"\nbreaking mutants caught: {sum(caught)} of {len(caught)}"
            f"\nharmless mutants failing: {len(passed) - sum(passed)} of {len(passed)}"
        )
    if len(passed) < len(HARMLESS) + len(MACHINES):
        pytest.skip("only a part of the mutants was tried")
    assert len(caught) >= 40
    assert len(passed) >= 15
    assert all(caught)
    assert all(passed)
