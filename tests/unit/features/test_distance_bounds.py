"""Bounds of distances: below the truth for every pair, and close to it."""

import pytest
import torch

from coursekit.features.bounds import find_directions, make_screen, multiplies_exactly
from coursekit.features.pairs import measure_pairs, to_squared

N_QUERIES, N_ROWS, N_FEATURES = 40, 200, 80


def draw(n_rows, seed):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(n_rows, N_FEATURES, generator=generator)
    return rows * 0.93 ** torch.arange(float(N_FEATURES)) + 0.3


def near(n_rows, seed):
    """Eight crowds, far from each other, of rows that bfloat16 does not tell apart."""
    return draw(8, 9)[torch.arange(n_rows) % 8] + 1e-3 * draw(n_rows, seed)


def nearest(n_rows, seed):
    """One crowd, hardly wider than the rounding of float32."""
    return draw(1, 9) + 1e-6 * draw(n_rows, seed)


def tables(make, metric, dtype, n_kept):
    """The true squared distances, and whether each row is within the limit of each."""
    queries, bank = make(N_QUERIES, 0), make(N_ROWS, 1)
    is_unit = metric == "cosine"
    peak = float(bank.abs().max())
    directions = n_kept and find_directions(
        bank, n_kept, peak=peak, is_unit=is_unit, most_left=1.0
    )
    screen = make_screen(
        bank, peak=peak, is_unit=is_unit, dtype=dtype, directions=directions, multiple=64
    )
    rows = torch.arange(N_QUERIES).repeat_interleave(N_ROWS)
    columns = torch.arange(N_ROWS).repeat(N_QUERIES)
    truth = to_squared(measure_pairs(queries, bank, rows, columns, metric), metric)
    truth = truth.view(N_QUERIES, N_ROWS)
    return truth, screen.bounds(queries, screen.make_space(N_QUERIES)), screen


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("n_kept", [None, 12])
@pytest.mark.parametrize("make", [draw, near, nearest])
def test_no_bound_exceeds_the_limit_of_its_own_distance(make, n_kept, dtype, metric):
    truth, bounds, screen = tables(make, metric, dtype, n_kept)
    for column in range(N_ROWS):
        assert (bounds[:, column] <= screen.limits(truth[:, column])).all()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(
    ("dtype", "n_kept", "most"),
    [(torch.float32, None, 0.06), (torch.bfloat16, None, 0.07), (torch.bfloat16, 40, 0.1)],
)
def test_few_rows_are_within_the_limit_of_the_nearest_tenth(metric, dtype, n_kept, most):
    truth, bounds, screen = tables(draw, metric, dtype, n_kept)
    limits = screen.limits(truth.sort(dim=1).values[:, N_ROWS // 20])
    assert (bounds <= limits[:, None]).double().mean() < most


def test_far_rows_fill_the_last_group_and_are_within_no_limit():
    truth, bounds, screen = tables(draw, "euclidean", torch.float32, None)
    assert bounds.shape == (N_QUERIES, 256)
    assert (bounds[:, N_ROWS:] > screen.limits(truth.amax(dim=1))[:, None]).all()


def test_directions_are_orthonormal_and_hold_what_varies():
    bank = draw(N_ROWS, 1)
    directions = find_directions(bank, 30, peak=3.0, is_unit=False, most_left=0.05)
    torch.testing.assert_close(directions.T @ directions, torch.eye(30), atol=1e-5, rtol=0)
    assert find_directions(bank, 30, peak=3.0, is_unit=False, most_left=0.001) is None


def test_a_setting_that_rounds_products_is_noticed():
    before = torch.get_float32_matmul_precision()
    assert multiplies_exactly(torch.device("cpu"))
    rounds = torch.eye(64) * (1 + 2.0**-20)
    torch.set_float32_matmul_precision("medium")
    try:
        expected = bool(((rounds @ torch.eye(64)).diagonal() > 1).all())
        assert multiplies_exactly(torch.device("cpu")) == expected
    finally:
        torch.set_float32_matmul_precision(before)
