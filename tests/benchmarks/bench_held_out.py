"""Do the measured ranges hold on machines that `coursekit refresh` did not run?

    python tests/benchmarks/bench_held_out.py [LESSON ...]

Every lesson is run on one more emulated machine and with five more seeds of the jitter, two
lessons at a time, and compared with what is stored. A difference is a false alarm. Takes
about half an hour.
"""

import sys
import tempfile
from pathlib import Path

from coursekit.cli.notebooks import (
    choose_notebooks,
    compare_run,
    embedded_settings,
    execute_all,
)
from coursekit.course.lessons import find_lessons
from coursekit.nbtest.cells import read_notebook

OTHERS = {
    "oneDNN and MKL with AVX, OpenBLAS of a Core 2, two threads": {
        "ONEDNN_MAX_CPU_ISA": "AVX",
        "MKL_CBWR": "AVX",
        "OPENBLAS_CORETYPE": "Core2",
        "OMP_NUM_THREADS": "2",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
} | {f"jitter {seed}": {"COURSEKIT_JITTER": f"{seed} 1e-6"} for seed in range(11, 16)}


def main(*names):
    lessons = choose_notebooks(names or [lesson.name for lesson in find_lessons()])
    stored = {name: read_notebook(path) for name, path in lessons.items()}
    tasks = {
        f"{name}, {machine}": {
            "notebook": stored[name],
            "folder": path.parent,
            "settings": embedded_settings() | settings,
            "watch": True,
        }
        for machine, settings in OTHERS.items()
        for name, path in lessons.items()
    }
    runs = execute_all(tasks, jobs=2, timeout=600)
    n_alarms, folder = 0, Path(tempfile.gettempdir())
    for label, run in runs.items():
        name = label.partition(",")[0]
        found = compare_run(stored[name], run, name=name, folder=folder)
        failed = f"failed: {run.failure.error}" if run.failure else ""
        n_alarms += bool(found or failed)
        print(f"{label}: {failed or f'{len(found)} cells differ'}")
        for number, messages in found.items():
            print(f"  cell {number}", *messages, sep="\n    ")
    print(f"false alarms: {n_alarms} of {len(runs)} runs")


if __name__ == "__main__":
    main(*sys.argv[1:])
