"""What is fixed in the environment of a kernel that is compared with stored outputs."""

import subprocess
import sys

import pytest

from coursekit.nbtest.environment import kernel_environment

PRODUCTS = """
import numpy as np
rows = np.random.default_rng(0).standard_normal((600, 600)).astype("{dtype}")
product = rows @ rows.T
np.linalg.eigh(product)
from scipy.linalg import eigh
eigh(product)
print(abs(product - (rows[:, None, :8] * rows[None, :, :8]).sum(2)
          - rows[:, 8:] @ rows[:, 8:].T).max() < 1e-2)
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_products_and_eigenvalues_work_with_the_pinned_instructions(dtype):
    done = subprocess.run(
        [sys.executable, "-c", PRODUCTS.format(dtype=dtype)],
        env=kernel_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "True"


def test_settings_win_over_what_is_fixed_and_pytest_leaves_no_trace(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    settings = kernel_environment({"OMP_NUM_THREADS": "3"})
    assert settings["OMP_NUM_THREADS"] == "3"
    assert settings["MKL_NUM_THREADS"] == "1"
    assert not {"MPLBACKEND", "PYTEST_CURRENT_TEST"} & set(settings)
