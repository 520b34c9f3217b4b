"""`import coursekit` is light, and so is what only reads the lesson table."""

import subprocess
import sys
import time

import pytest

HEAVY = {
    "torch",
    "torchvision",
    "matplotlib",
    "pandas",
    "sklearn",
    "skimage",
    "scipy",
    "nbformat",
}

_LOADED = (
    "import sys; import {module}; print(*sorted({{n.split('.')[0] for n in sys.modules}}))"
)


def loaded_by(module):
    done = subprocess.run(
        [sys.executable, "-c", _LOADED.format(module=module)],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module", ["coursekit", "coursekit.errors", "coursekit.assets", "coursekit.course"]
)
def test_importing_it_loads_nothing_heavy(module):
    assert not loaded_by(module) & HEAVY


def test_the_measure_sees_what_is_heavy():
    assert "torch" in loaded_by("coursekit.devices")


def test_the_time_of_the_import_is_shown_not_judged(capsys):
    def seconds(code):
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append(time.perf_counter() - begin)
        return min(times)

    bare, light = seconds("pass"), seconds("import coursekit")
    with capsys.disabled():
        print(
            f"\nimport coursekit: {light - bare:+.3f} s over a bare interpreter ({bare:.3f} s)"
        )
