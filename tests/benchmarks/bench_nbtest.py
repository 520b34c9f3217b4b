"""What the plugin adds to plain nbval: a notebook of 50 cells, side by side, in turns.

    python tests/benchmarks/bench_nbtest.py [ROUNDS]

Wall and CPU seconds of whole runs of pytest, kernels included, and their ratio. Of each
round the two runs stand next to each other, so that what else the machine does hits both.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from coursekit.nbtest.run import execute_notebook

N_CELLS = 50
WAYS = {"plain nbval": ("-p", "no:nbtest"), "with the plugin": ()}


def write_notebook(folder):
    """Store a notebook of numbers, texts, containers and tables that plain nbval passes."""
    kinds = (
        "print('epoch', {n}, 'loss', {n} / 7)",
        "[{n} / 3, ({n}, 'a'), {{'b': {n}}}]",
        "x = {n}",
        "for i in range(20): print(i, i * {n} / 9)",
        "from IPython.display import HTML\nHTML('<table><tr><td>{n}</td></tr></table>')",
    )
    sources = [kinds[n % len(kinds)].format(n=n) for n in range(N_CELLS)]
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    run = execute_notebook(notebook, folder=folder)
    assert run.failure is None, run.failure
    nbformat.write(run.notebook, folder / "fifty.ipynb")


def measure(folder, options):
    """Return wall and CPU seconds of one run."""
    words = [sys.executable, "-m", "pytest", "-q", "--nbval", "--nbval-current-env"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    done = subprocess.run(
        [*words, *options, "fifty.ipynb"], cwd=folder, capture_output=True, text=True
    )
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert f"{N_CELLS} passed" in done.stdout, done.stdout
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def show(name, values):
    low, high = min(values), max(values)
    print(
        f"{name:<28} median {statistics.median(values):6.2f}   from {low:.2f} to {high:.2f}"
    )


def main(n_rounds=9):
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_notebook(folder)
        for options in WAYS.values():  # files are read and compiled once
            measure(folder, options)
        seen = {way: [] for way in WAYS}
        for n_round in range(n_rounds):
            ways = list(WAYS.items())
            for way, options in ways if n_round % 2 else reversed(ways):
                seen[way].append(measure(folder, options))
    for place, what in enumerate(("wall seconds", "CPU seconds")):
        by_way = [[both[place] for both in seen[way]] for way in WAYS]
        for way, values in zip(WAYS, by_way, strict=True):
            show(f"{what}, {way}", values)
        plain, ours = by_way
        show(f"{what}, ratio", [b / a for a, b in zip(plain, ours, strict=True)])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
