"""The environment of a kernel: pinned, or as another machine would be.

What a training decides depends on the last bits of matrix products, and these on the
processor. A few settings of the libraries below torch and NumPy emulate other processors
on this one; `jitter` stands for all those that cannot be emulated.
"""

import os
import platform
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

_THREADS = [f"{name}_NUM_THREADS" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")]
_ONE_THREAD = dict.fromkeys((*_THREADS, "VECLIB_MAXIMUM_THREADS"), "1")
# A thread that waits gives its core away: two lessons run on two cores.
_TWO_THREADS = dict.fromkeys(_THREADS, "2") | {"OMP_WAIT_POLICY": "PASSIVE"}
# Every x86 processor of the last ten years has AVX2. OpenBLAS gets AVX: its 0.3.34, in NumPy
# 2.5, crashes in a product of 400 x 400 matrices where its AVX2 ("Haswell") is asked for.
_AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "OPENBLAS_CORETYPE": "Sandybridge",
}
_AVX512 = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_ENABLE_INSTRUCTIONS": "AVX512"}
_FIXED = {
    "PYTHONHASHSEED": "0",  # the order of a set of words
    "COLUMNS": "80",  # of the terminal that tables are wrapped to
    "LINES": "24",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}
# The test that runs makes ipykernel lose what programs print; a backend that somebody chose
# for a terminal makes figures invisible.
_REMOVED = ("PYTEST_CURRENT_TEST", "MPLBACKEND")
_JITTER = "COURSEKIT_JITTER"

_EMULATED: Mapping[str, Mapping[str, str]] = {
    "oneDNN AVX-512": _AVX512,
    "ATen without vectors": {"ATEN_CPU_CAPABILITY": "default"},
    # These two alone move matrix products, `eigh` and NumPy.
    "MKL and OpenBLAS old": {"MKL_CBWR": "COMPATIBLE", "OPENBLAS_CORETYPE": "Nehalem"},
    "two threads": _TWO_THREADS,
    "two threads, all old": _TWO_THREADS
    | {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}
    | {"OPENBLAS_CORETYPE": "Prescott"},
    "MKL AVX2, OpenBLAS AMD": {"MKL_CBWR": "AVX2", "OPENBLAS_CORETYPE": "Barcelona"},
    "OpenBLAS old": {"OPENBLAS_CORETYPE": "Nehalem"},
    "MKL old": {"MKL_CBWR": "COMPATIBLE"},
}
# Short trainings are often equal to the bit on all of these, so each has its own jitter. They
# turn a noise of 1e-6 into no change at all most times, and into twenty images now and then: a
# tail that nine draws do not show. 1e-4, on every second machine, reaches it.
MACHINES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"reference": {}}
    | {
        f"{name}, jitter {n}": changes | {_JITTER: f"{n} {1e-6 if n % 2 else 1e-4}"}
        for n, (name, changes) in enumerate(_EMULATED.items(), start=1)
    }
)
"""The runs of `refresh`: what differs from the pinned environment."""


def kernel_environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a kernel: this process's, pinned; `settings` win.

    It has one thread, and the instruction sets above where this machine has them.
    """
    kept = {name: text for name, text in os.environ.items() if name not in _REMOVED}
    vectors = _AVX2 if _has_avx2() else {}
    return kept | _ONE_THREAD | _FIXED | vectors | dict(settings or {})


@cache
def _has_avx2() -> bool:
    try:
        words = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore").split()
    except OSError:
        return False
    return platform.machine() == "x86_64" and "avx2" in words


def watch_optimizers() -> None:
    """Note each step of an optimizer in a file, and add the jitter that was asked for.

    Called in a kernel before its first cell. Before the first step of an optimizer, every
    parameter that has a gradient is multiplied by ``1 + size * noise``, an honest worst case of
    what another processor does; the environment holds seed and size, as in ``"3 1e-4"``. The
    noise depends on a parameter's place and shape alone: trainings that must agree get the same.
    """
    import torch
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    jitter, steps = os.environ.get(_JITTER), Path(os.environ["COURSEKIT_STEPS"])

    def before_step(optimizer: torch.optim.Optimizer, *_: object) -> None:
        with steps.open("a", encoding="ascii") as file:
            file.write(".")
        if jitter is None or getattr(optimizer, "_has_jitter", False):
            return
        optimizer._has_jitter = True
        seed, size = jitter.split()
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        moving = [p for p in parameters if p.grad is not None and p.is_floating_point()]
        with torch.no_grad():
            for place, parameter in enumerate(moving):
                key = f"{seed} {place} {tuple(parameter.shape)}"
                draws = torch.Generator().manual_seed(zlib.crc32(key.encode()))
                noise = torch.randn(parameter.shape, generator=draws).to(parameter)
                parameter.mul_(1 + float(size) * noise)

    register_optimizer_step_pre_hook(before_step)
