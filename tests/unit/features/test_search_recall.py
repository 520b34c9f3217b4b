"""The default settings of SearchIndex find what the exact search finds."""

import pytest
import torch

from coursekit.datasets import make_shapes
from coursekit.features import SearchIndex, find_neighbors

N_QUERIES, LEAST = 500, 0.95


def make_codes(n_images, *, start=0):
    """64 numbers an image: 16 fixed random filters, rectified, averaged over its quarters.

    An untrained network's embeddings, with features as correlated as those of any.
    """
    generator = torch.Generator().manual_seed(0)
    filters = torch.randn(16, 3, 5, 5, generator=generator)
    codes = []
    for first in range(start, start + n_images, 2000):
        n_drawn = min(2000, start + n_images - first)
        images, _ = make_shapes(n_drawn, seed=0, start=first).to_tensors()
        maps = torch.nn.functional.conv2d(images - 0.5, filters, stride=3)
        codes.append(torch.nn.functional.adaptive_avg_pool2d(maps.relu(), 2).flatten(1))
    return torch.cat(codes)


def check_recall(n_images):
    bank, queries = make_codes(n_images), make_codes(N_QUERIES, start=n_images)
    for metric in ("cosine", "euclidean"):
        index = SearchIndex(bank, metric=metric)
        for k in (1, 10, 100):
            exact = find_neighbors(queries, bank, k=k, metric=metric)
            assert index.recall(queries, k=k, exact=exact) >= LEAST
        assert index.recall(queries, k=1, ef_search=1) < LEAST  # it could be missed


def test_recall_on_3000_codes_of_drawn_images():
    check_recall(3000)


@pytest.mark.slow
def test_recall_on_60000_codes_of_drawn_images():
    check_recall(60_000)
