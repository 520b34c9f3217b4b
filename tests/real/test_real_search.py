"""Exact search in the pixels of MNIST, 60,000 x 784.

The folder is named by COURSEKIT_REAL.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from coursekit.features import find_neighbors

REAL = Path(os.environ.get("COURSEKIT_REAL", "no-real-data"))

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not (REAL / "MNIST").is_dir(),
        reason=f"no real data in {REAL}: set COURSEKIT_REAL to a folder that has them",
    ),
]


def read_pixels(part):
    content = (REAL / "MNIST" / "raw" / f"{part}-images-idx3-ubyte").read_bytes()
    return torch.from_numpy(np.frombuffer(content, np.uint8)[16:].reshape(-1, 784).copy())


@pytest.fixture(scope="module")
def pixels():
    return read_pixels("t10k"), read_pixels("train")


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_exact_search_finds_what_scikit_learn_finds(pixels, metric):
    queries, bank = pixels
    found = find_neighbors(queries[:2000], bank, k=10, metric=metric)
    theirs = NearestNeighbors(n_neighbors=10, algorithm="brute", metric=metric)
    asked = slice(0, 2000, 20)
    theirs.fit(bank.double().numpy())
    distances, indices = theirs.kneighbors(queries[asked].double().numpy())
    values = 1 - found.values[asked] if metric == "cosine" else found.values[asked]
    np.testing.assert_allclose(values, distances, rtol=1e-5, atol=1e-5)
    assert (found.indices[asked].numpy() == indices).mean() > 0.999  # ties in another order
