"""Save and restore the states of all global random number generators.

Nothing here knows what the numbers are for.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["get_random_states", "kept_random_states", "set_random_states"]


def get_random_states() -> dict[str, Any]:
    """Return the states of Python's, NumPy's and torch's generators, on all devices.

    Returns
    -------
    dict
        Only of tensors, numbers and tuples, so that a file of it can be read safely.
    """
    version, numbers, gauss = random.getstate()
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - the one libraries use
    states = {
        "python": (version, torch.tensor(numbers), gauss),  # a tensor is saved in one piece
        "numpy": (kind, torch.from_numpy(keys.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_random_states(states: dict[str, Any]) -> None:
    """Put the generators into the states that `get_random_states` returned."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers.tolist()), gauss))
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"][: torch.cuda.device_count()])
    if "mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])


@contextmanager
def kept_random_states() -> Iterator[None]:
    """Run a block, then put all generators back to where they were.

    Examples
    --------
    >>> with kept_random_states():
    ...     a = torch.rand(1)
    >>> bool(a == torch.rand(1))
    True
    """
    states = get_random_states()
    try:
        yield
    finally:
        set_random_states(states)
