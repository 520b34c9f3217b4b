"""find_neighbors, against a double loop and scikit-learn, against its laws, and when misused."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.neighbors import NearestNeighbors

from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.features import Embeddings, find_neighbors, neighbors

METRICS = ("cosine", "euclidean")


def measure(query, row, metric):
    """One pair, in Python's own numbers."""
    if metric == "euclidean":
        return math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(query, row, strict=True)))
    product = math.fsum(a * b for a, b in zip(query, row, strict=True))
    lengths = math.fsum(a * a for a in query) * math.fsum(b * b for b in row)
    return product / math.sqrt(lengths)


def double_loop(queries, bank, k, metric):
    """Slow and obvious: the oracle. Equal to ten digits means equal, and the lower index wins."""
    sign = -1 if metric == "cosine" else 1
    found = []
    for query in queries.tolist():
        values = [round(sign * measure(query, row, metric), 10) for row in bank.tolist()]
        found.append(sorted(range(len(values)), key=lambda i: (values[i], i))[:k])
    return torch.tensor(found)


def by_float64(queries, bank, k, metric):
    """All distances in float64 at once: an oracle for large banks."""
    queries, bank = queries.double(), bank.double()
    if metric == "cosine":
        values = -(queries @ bank.T) / (
            queries.norm(dim=1)[:, None] * bank.norm(dim=1)[None]
        )
    else:
        values = torch.cdist(queries, bank, compute_mode="donot_use_mm_for_euclid_dist")
    return values.sort(dim=1, stable=True).indices[:, :k]


def draw(n_rows, n_features, seed):
    return torch.randn(n_rows, n_features, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=range(3), ids=lambda seed: f"seed{seed}")
def embeddings(request):
    """(7 queries, 150 bank rows) of 16 features, different for each seed."""
    return draw(7, 16, request.param), draw(150, 16, 100 + request.param)


# --- truths -------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 3, 150])
def test_agrees_with_a_double_loop(embeddings, k, metric):
    queries, bank = embeddings
    found = find_neighbors(queries, bank, k=k, metric=metric)
    assert torch.equal(found.indices, double_loop(queries, bank, k, metric))


@pytest.mark.parametrize("metric", METRICS)
def test_values_are_those_of_the_pairs(embeddings, metric):
    queries, bank = embeddings
    found = find_neighbors(queries, bank, k=4, metric=metric)
    values = found.similarities if metric == "cosine" else found.distances
    for query, rows, row_values in zip(queries, found.indices, values, strict=True):
        wanted = [measure(query.tolist(), bank[i].tolist(), metric) for i in rows]
        np.testing.assert_allclose(row_values, wanted, rtol=1e-6)


small = st.integers(-3, 3).map(float)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), metric=st.sampled_from(METRICS))
def test_ties_go_to_the_lower_index(data, metric):
    n_features = data.draw(st.integers(1, 4))
    rows = st.integers(1, 90).flatmap(
        lambda n: arrays(np.float32, (n, n_features), elements=small)
    )
    queries, bank = (torch.from_numpy(data.draw(rows)) for _ in range(2))
    if metric == "cosine":  # zeros have no direction
        queries[~queries.any(dim=1)] = 1
        bank[~bank.any(dim=1)] = -1
    k = data.draw(st.integers(1, len(bank)))
    found = find_neighbors(queries, bank, k=k, metric=metric)
    assert torch.equal(found.indices, double_loop(queries, bank, k, metric))


@pytest.mark.parametrize("metric", METRICS)
def test_agrees_with_scikit_learn(metric):
    queries, bank = draw(50, 24, 0), draw(700, 24, 1)
    found = find_neighbors(queries, bank, k=9, metric=metric)
    theirs = NearestNeighbors(n_neighbors=9, algorithm="brute", metric=metric)
    distances, indices = theirs.fit(bank.double().numpy()).kneighbors(
        queries.double().numpy()
    )
    assert np.array_equal(found.indices, indices)
    values = 1 - found.values if metric == "cosine" else found.values
    np.testing.assert_allclose(values, distances, atol=1e-6)


# --- the faster ways give the same answer --------------------------------------------------


def spread(n_rows, seed):
    """Rows without structure."""
    return draw(n_rows, 96, seed)


def crowded(n_rows, seed):
    """Rows closer together in their cluster than bfloat16 tells apart, far from zero."""
    centers = 3 * draw(5, 96, 77) + 20
    return centers[torch.arange(n_rows) % 5] + 1e-2 * draw(n_rows, 96, seed)


def repeated(n_rows, seed):
    """Every row many times, as whole numbers."""
    return (2 * draw(60, 96, 5)).round()[torch.arange(n_rows) % 60] + 0 * seed


def huge(n_rows, seed):
    return 1e25 * draw(n_rows, 96, seed)


def tiny(n_rows, seed):
    return 1e-25 * draw(n_rows, 96, seed)


@pytest.mark.parametrize("fast", [True, False], ids=["bfloat16", "float32"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("make", [spread, crowded, repeated, huge, tiny])
def test_coarse_bounds_do_not_change_the_answer(make, metric, fast, monkeypatch):
    monkeypatch.setattr(neighbors, "_has_fast_bfloat16", lambda device: fast)
    queries, bank = make(70, 1), make(1100, 2)
    found = find_neighbors(queries, bank, k=10, metric=metric)
    if make is repeated:  # one query of all is enough for the slow oracle
        wanted = double_loop(queries[:5], bank, 10, metric)
        assert torch.equal(found.indices[:5], wanted)
        return
    assert torch.equal(found.indices, by_float64(queries, bank, 10, metric))


def note_screens(monkeypatch, *, fast):
    """Return a list that fills with the screens that are made."""
    made = []
    make = neighbors.make_screen
    monkeypatch.setattr(neighbors, "_has_fast_bfloat16", lambda device: fast)
    monkeypatch.setattr(
        neighbors, "make_screen", lambda *a, **k: made.append(make(*a, **k)) or made[-1]
    )
    return made


def decaying(n_rows, seed):
    """Rows with nearly all of their variance along a few directions."""
    return draw(n_rows, 500, seed) * 0.98 ** torch.arange(500.0) + 0.5


@pytest.mark.parametrize(("metric", "fast"), [("cosine", True), ("euclidean", False)])
def test_a_few_directions_do_not_change_the_answer(metric, fast, monkeypatch):
    made = note_screens(monkeypatch, fast=fast)
    queries, bank = decaying(1490, 1), decaying(8192, 2)
    found = find_neighbors(queries, bank, k=5, metric=metric)
    assert [screen.columns.shape[1] for screen in made] == [256]
    assert torch.equal(found.indices[::30], by_float64(queries[::30], bank, 5, metric))


def test_a_screen_that_keeps_too_much_gives_way_to_a_finer_one(monkeypatch):
    made = note_screens(monkeypatch, fast=True)
    bank = draw(6_000, 64, 3) * 1e-4  # one crowd, and one row far away
    bank[0] = 100
    found = find_neighbors(bank[1:81], bank, k=1, metric="euclidean")
    assert [screen.columns.dtype for screen in made] == [torch.bfloat16, torch.float32]
    assert torch.equal(found.indices[:, 0], torch.arange(1, 81))


@pytest.mark.parametrize("metric", METRICS)
def test_settings_that_round_products_do_not_change_the_answer(metric):
    queries, bank = spread(70, 1), spread(1100, 2)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = find_neighbors(queries, bank, k=10, metric=metric)
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(found.indices, by_float64(queries, bank, 10, metric))


# --- laws ---------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("chunk_size", [1, 2, 7, 100])
def test_chunk_size_does_not_change_the_answer(embeddings, chunk_size, metric):
    queries, bank = embeddings
    whole = find_neighbors(queries, bank, k=5, metric=metric)
    parts = find_neighbors(queries, bank, k=5, metric=metric, chunk_size=chunk_size)
    assert torch.equal(parts.indices, whole.indices)
    assert torch.equal(parts.values, whole.values)


def test_length_of_an_embedding_does_not_matter_to_the_cosine(embeddings):
    queries, bank = embeddings
    scaled = find_neighbors(
        3.0 * queries, bank * torch.linspace(0.1, 9, len(bank))[:, None], k=5
    )
    assert torch.equal(scaled.indices, find_neighbors(queries, bank, k=5).indices)


def test_a_shift_does_not_matter_to_the_distance(embeddings):
    queries, bank = (rows.round() for rows in embeddings)
    moved = find_neighbors(queries + 1000, bank + 1000, k=5, metric="euclidean")
    assert torch.equal(
        moved.indices, find_neighbors(queries, bank, k=5, metric="euclidean").indices
    )


@pytest.mark.parametrize("metric", METRICS)
def test_a_row_of_the_bank_is_its_own_nearest_neighbor(embeddings, metric):
    _, bank = embeddings
    found = find_neighbors(bank, bank, k=1, metric=metric)
    assert torch.equal(found.indices[:, 0], torch.arange(len(bank)))
    best = 1.0 if metric == "cosine" else 0.0
    assert torch.equal(found.values, torch.full((len(bank), 1), best))


def test_every_form_of_the_same_numbers_gives_the_same_answer():
    rows = torch.randint(0, 256, (40, 9), generator=torch.Generator().manual_seed(0))
    wanted = find_neighbors(rows.float(), rows.float(), k=3).indices
    for form in (
        rows,
        rows.to(torch.uint8),
        rows.double(),
        rows.half(),
        rows.numpy(),
        rows.numpy().astype(np.uint8),
        Embeddings(embeddings=rows.float()),
        rows.float().T.contiguous().T,
        rows.float().requires_grad_(),
    ):
        assert torch.equal(find_neighbors(form, form, k=3).indices, wanted)


def test_nothing_is_changed_and_the_answer_can_be_learned_from(embeddings):
    queries, bank = embeddings
    before = queries.clone(), bank.clone()
    found = find_neighbors(queries, bank, k=2)
    assert torch.equal(queries, before[0])
    assert torch.equal(bank, before[1])
    weight = torch.ones(2, requires_grad=True)
    (found.similarities * weight).sum().backward()


def test_no_queries_find_nothing():
    found = find_neighbors(torch.empty(0, 3), torch.ones(4, 3), k=2)
    assert found.indices.shape == found.similarities.shape == (0, 2)


def test_shows_what_it_is():
    found = find_neighbors(torch.ones(2, 3), torch.ones(4, 3), k=2, metric="euclidean")
    assert repr(found) == "Neighbors(2 queries, k=2, euclidean)"
    assert len(found) == 2


# --- misuse -------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, 4, -1, 1.0, True])
def test_k_out_of_range_names_the_bank_size(k):
    with pytest.raises(SettingsError, match=rf"the bank's 3 rows, got k={k}"):
        find_neighbors(torch.ones(1, 2), torch.ones(3, 2), k=k)


def test_an_empty_bank_is_refused():
    with pytest.raises(SettingsError, match="bank is empty"):
        find_neighbors(torch.ones(1, 2), torch.empty(0, 2), k=1)


def test_feature_maps_are_refused_with_the_remedy():
    with pytest.raises(ShapeError, match=r"\(1, 2, 4, 4\).*flatten\(1\)"):
        find_neighbors(torch.ones(1, 2, 4, 4), torch.ones(3, 2), k=1)


def test_one_row_alone_is_refused_with_the_remedy():
    with pytest.raises(ShapeError, match=r"queries must have shape .*x\[None\]"):
        find_neighbors(torch.ones(2), torch.ones(3, 2), k=1)


def test_different_numbers_of_features_are_refused():
    with pytest.raises(
        ShapeError, match=r"same number of features, got \(1, 2\) and \(3, 5\)"
    ):
        find_neighbors(torch.ones(1, 2), torch.ones(3, 5), k=1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("metric", METRICS)
def test_rows_that_are_not_finite_are_named(bad, metric):
    bank = torch.ones(9, 2)
    bank[[2, 7], 1] = bad
    with pytest.raises(DataError, match=r"bank must be finite.* in rows 2, 7"):
        find_neighbors(torch.ones(1, 2), bank, k=1, metric=metric)
    with pytest.raises(DataError, match="queries must be finite"):
        find_neighbors(bank, torch.ones(1, 2), k=1, metric=metric)


def test_rows_of_zeros_are_named_under_the_cosine_and_fine_under_the_distance():
    bank = torch.ones(20, 2)
    bank[5:12] = 0
    with pytest.raises(
        DataError, match=r"bank has .* in rows 5, 6, 7, 8, 9 and 2 more\. Leave"
    ):
        find_neighbors(torch.ones(1, 2), bank, k=1)
    found = find_neighbors(torch.zeros(1, 2), bank, k=2, metric="euclidean")
    assert found.indices.tolist() == [[5, 6]]


def test_an_unknown_metric_names_those_there_are():
    with pytest.raises(SettingsError, match='"cosine" or "euclidean", got \'l2\''):
        find_neighbors(torch.ones(1, 2), torch.ones(3, 2), k=1, metric="l2")


def test_a_chunk_size_below_one_is_refused():
    with pytest.raises(SettingsError, match=r"chunk_size .* got 0"):
        find_neighbors(torch.ones(1, 2), torch.ones(3, 2), k=1, chunk_size=0)


def test_different_devices_are_refused_with_the_remedy():
    with pytest.raises(SettingsError, match=r"got meta and cpu\. Move one.*queries\.to"):
        neighbors.check_pair(torch.ones(1, 2, device="meta"), torch.ones(3, 2))


def test_what_is_no_matrix_of_real_numbers_is_refused():
    with pytest.raises(
        DataError, match=r"queries must be real numbers, got torch\.complex64"
    ):
        find_neighbors(torch.ones(1, 2, dtype=torch.complex64), torch.ones(3, 2), k=1)
    with pytest.raises(
        DataError, match="bank must be a tensor, an array or Embeddings, got str"
    ):
        find_neighbors(torch.ones(1, 2), "bank", k=1)


def test_the_values_of_the_other_metric_are_refused():
    found = find_neighbors(torch.ones(1, 2), torch.ones(3, 2), k=1)
    with pytest.raises(SettingsError, match=r'they have similarities.*metric="euclidean"'):
        _ = found.distances


@pytest.mark.gpu
@pytest.mark.parametrize("metric", METRICS)
def test_a_gpu_gives_the_same_answer(metric):
    queries, bank = spread(70, 1), spread(1100, 2)
    found = find_neighbors(queries.cuda(), bank.cuda(), k=10, metric=metric)
    assert found.indices.is_cuda
    assert torch.equal(found.indices.cpu(), by_float64(queries, bank, 10, metric))
    with pytest.raises(SettingsError, match="must be on one device"):
        find_neighbors(queries, bank.cuda(), k=10)
