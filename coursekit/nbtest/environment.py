"""The environment of a kernel, in which the same cells give the same numbers everywhere.

Nothing here starts a kernel. Global seeds of NumPy and torch are left alone: a notebook that
draws without a seed shows its readers something else each time, and its test should say so.
"""

import os
import platform
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

__all__ = ["kernel_environment", "pins"]

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
# Every x86 processor of the last ten years has AVX2; with it pinned, results no longer
# depend on the number of threads either. OpenBLAS gets AVX: its 0.3.34, in NumPy 2.5, crashes
# in a product of 400 x 400 matrices where its AVX2 ("Haswell") is asked for by name.
_AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "OPENBLAS_CORETYPE": "Sandybridge",
}
_FIXED = {
    "PYTHONHASHSEED": "0",  # the order of a set of words
    "COLUMNS": "80",  # of the terminal that tables are wrapped to
    "LINES": "24",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}
# The test that runs makes ipykernel lose what programs and C code print; a backend that
# somebody chose for a terminal makes figures invisible.
_REMOVED = ("PYTEST_CURRENT_TEST", "MPLBACKEND")


def kernel_environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables for a kernel.

    Parameters
    ----------
    settings : mapping of str to str, optional
        Win over this process's variables and over `pins`.

    Returns
    -------
    dict of str to str
        This process's variables, `pins`, and the settings.
    """
    kept = {name: text for name, text in os.environ.items() if name not in _REMOVED}
    return {**kept, **pins(), **(settings or {})}


def pins() -> dict[str, str]:
    """Return what is fixed: one thread, the instruction set, the hash seed, the width.

    The instruction set is fixed where this machine is known to have it; it then matters to
    what libraries choose between several.

    Examples
    --------
    >>> pins()["OMP_NUM_THREADS"], pins()["PYTHONHASHSEED"]
    ('1', '0')
    """
    return dict.fromkeys(_THREADS, "1") | _FIXED | (_AVX2 if _has_avx2() else {})


@cache
def _has_avx2() -> bool:
    if not sys.platform.startswith("linux") or platform.machine() not in {
        "x86_64",
        "AMD64",
    }:
        return False
    try:
        words = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return False
    return "avx2" in words.split()
