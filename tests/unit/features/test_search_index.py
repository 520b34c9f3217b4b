"""SearchIndex: what it finds, adds, keeps in a file, and refuses."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.features import Embeddings, IndexSettings, SearchIndex, find_neighbors

METRICS = ("cosine", "euclidean")


def draw(n_rows, n_features=16, seed=0):
    """Rows along a few directions, as embeddings are."""
    generator = torch.Generator().manual_seed(99)
    directions = torch.randn(5, n_features, generator=generator)
    generator.manual_seed(seed)
    return torch.randn(n_rows, 5, generator=generator) @ directions + 0.1 * torch.randn(
        n_rows, n_features, generator=generator
    )


BANK, QUERIES = draw(1500), draw(60, seed=1)


@pytest.fixture(scope="module", params=METRICS)
def index(request):
    return SearchIndex(BANK, metric=request.param)


# --- finding ------------------------------------------------------------------------------


def test_finds_nearly_all_and_tells_their_values(index):
    metric = index.settings.metric
    found, exact = (
        index.search(QUERIES, k=10),
        find_neighbors(QUERIES, BANK, k=10, metric=metric),
    )
    same = found.indices == exact.indices
    assert same.double().mean() > 0.97
    torch.testing.assert_close(found.values[same], exact.values[same], atol=1e-3, rtol=1e-3)
    assert found.metric == metric


def test_recall_is_the_part_found_counted_by_hand(index):
    exact = find_neighbors(QUERIES, BANK, k=10, metric=index.settings.metric)
    found = index.search(QUERIES, k=10, ef_search=1).indices.tolist()
    hits = [
        len(set(a) & set(b)) for a, b in zip(found, exact.indices.tolist(), strict=True)
    ]
    by_hand = sum(hits) / 600
    assert 0.3 < by_hand < 0.999
    assert index.recall(QUERIES, k=10, ef_search=1) == pytest.approx(by_hand)
    assert index.recall(QUERIES, k=10, ef_search=1, exact=exact) == pytest.approx(by_hand)


def test_more_candidates_find_more(index):
    recalls = [index.recall(QUERIES, k=5, ef_search=ef) for ef in (1, 20, 1500)]
    assert recalls == sorted(recalls)
    assert recalls[2] == 1


def test_the_settings_of_one_search_do_not_stay(index):
    before = index.search(QUERIES, k=5)
    index.search(QUERIES, k=5, ef_search=1)
    assert torch.equal(index.search(QUERIES, k=5).indices, before.indices)


def test_equal_rows_come_in_order_and_count_as_found():
    index = SearchIndex(torch.eye(8).repeat(4, 1))
    found = index.search(torch.eye(8)[:2], k=4)
    assert found.indices.tolist() == [[0, 8, 16, 24], [1, 9, 17, 25]]
    exact = find_neighbors(torch.eye(8), torch.eye(8).repeat(4, 1), k=3)
    others = replace(exact, indices=exact.indices + 8)  # as near, but not the first
    assert index.recall(torch.eye(8), k=3, exact=others) == 1


def test_every_row_can_be_asked_for():
    bank = torch.eye(4).repeat_interleave(50, dim=0)  # crowds that a graph may not connect
    found = SearchIndex(bank, metric="euclidean").search(bank[:3], k=200)
    assert torch.equal(found.indices.sort(dim=1).values, torch.arange(200).expand(3, 200))


def test_lengths_do_not_matter_to_the_cosine():
    scales = torch.linspace(1e-3, 1e3, len(BANK))[:, None]
    found = SearchIndex(BANK * scales).search(7 * QUERIES, k=5)
    assert torch.equal(found.indices, SearchIndex(BANK).search(QUERIES, k=5).indices)
    assert found.similarities.max() <= 1


def test_float16_takes_half_the_memory_and_finds_as_much():
    whole, half = (SearchIndex(draw(1500, 64), storage=s) for s in ("float32", "float16"))
    assert half.n_bytes - whole.n_bytes == -1500 * 64 * 2
    queries = draw(60, 64, seed=1)
    exact = find_neighbors(queries, draw(1500, 64), k=10)
    assert half.recall(queries, k=10) > 0.97
    same = half.search(queries, k=10).indices == exact.indices
    assert same.double().mean() > 0.95


def test_no_queries_find_nothing(index):
    assert index.search(torch.empty(0, 16), k=3).indices.shape == (0, 3)


def test_every_form_of_the_same_numbers_gives_the_same_answer():
    rows = torch.randint(0, 256, (80, 9), generator=torch.Generator().manual_seed(0))
    wanted = SearchIndex(rows.float()).search(rows.float(), k=3).indices
    for form in (rows, rows.numpy().astype(np.uint8), Embeddings(embeddings=rows.float())):
        assert torch.equal(SearchIndex(form).search(form, k=3).indices, wanted)


# --- building -----------------------------------------------------------------------------


def content(index, tmp_path):
    index.save(tmp_path / "one.faiss")
    return (tmp_path / "one.faiss").read_bytes()


def test_the_same_seed_builds_the_same_graph_and_another_one_another(tmp_path):
    first, again, other = (
        content(SearchIndex(BANK, seed=seed), tmp_path) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_rows_added_in_parts_are_the_rows_added_at_once(tmp_path):
    parts = SearchIndex(BANK[:1000])
    parts.add(BANK[1000:1000])
    parts.add(Embeddings(embeddings=BANK[1000:]))
    assert len(parts) == len(BANK)
    found = parts.search(BANK[[3, 1200]], k=1)
    assert found.indices.tolist() == [[3], [1200]]
    assert parts.recall(QUERIES, k=10) > 0.97


def test_nothing_given_is_changed():
    bank = BANK.clone()
    index = SearchIndex(bank)
    bank.zero_()  # nor does the index look at it again
    assert index.search(BANK[5:6], k=1).indices.item() == 5


def test_shows_what_it_is(index):
    assert repr(index) == f"SearchIndex(1500 rows of 16, {index.settings.metric})"
    assert index.n_bytes > 1500 * (16 * 4 + 32 * 4)


def test_the_threads_of_torch_and_faiss_stay_as_they_were():
    import faiss

    before = torch.get_num_threads(), faiss.omp_get_max_threads()
    SearchIndex(BANK[:100], n_threads=2)
    assert (torch.get_num_threads(), faiss.omp_get_max_threads()) == before


_BOTH = """
{imports}
import numpy as np
from coursekit.features import SearchIndex, find_neighbors, linear_probe
torch.set_num_threads(2)
bank = torch.randn(1000, 32, generator=torch.Generator().manual_seed(0))
exact = find_neighbors(bank[:200], bank, k=5).indices
index = SearchIndex(bank, n_threads=2)
for _ in range(2):
    product = bank @ bank.T
    found = index.search(bank[:200], k=5, ef_search=1000).indices
    linear_probe((bank, (bank[:, 0] > 0).long()))
print(torch.equal(found, exact), float((product - bank @ bank.T).abs().max()))
"""


@pytest.mark.parametrize("first", ["torch, faiss", "faiss, torch"])
def test_torch_and_faiss_work_in_one_process_with_threads(first):
    code = _BOTH.format(imports=f"import {first}")
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=240,
        env={"PATH": "", "OMP_NUM_THREADS": "2"},
    )
    assert done.stdout.split() == ["True", "0.0"], done.stderr


def test_faiss_is_not_imported_before_it_is_used():
    code = "import sys, coursekit.features; print('faiss' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["False"], done.stderr


# --- files --------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_what_is_read_back_finds_the_same_and_grows(tmp_path, storage):
    index = SearchIndex(
        BANK, metric="euclidean", n_links=8, ef_search=20, storage=storage, seed=3
    )
    index.save(tmp_path / "deep" / "codes.faiss")
    loaded = SearchIndex.load(str(tmp_path / "deep" / "codes.faiss"))
    assert loaded.settings == index.settings
    wanted, found = (one.search(QUERIES, k=7) for one in (index, loaded))
    assert torch.equal(found.indices, wanted.indices)
    assert torch.equal(found.distances, wanted.distances)
    loaded.add(QUERIES)
    assert loaded.search(QUERIES[:1], k=1).indices.item() == len(BANK)
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == [
        "codes.faiss",
        "codes.faiss.json",
    ]


@pytest.fixture
def saved(tmp_path):
    SearchIndex(BANK[:50]).save(tmp_path / "codes.faiss")
    return tmp_path / "codes.faiss"


@pytest.mark.parametrize("part", [0, 1, 0.5, -1])
def test_an_index_that_was_cut_short_is_refused(saved, part):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(part * len(whole)) if part == 0.5 else part])
    with pytest.raises(
        DataError, match=rf"bytes, expected {len(whole)}.*build the index again"
    ):
        SearchIndex.load(saved)


def test_an_index_with_one_changed_byte_is_refused(saved):
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 1
    saved.write_bytes(content)
    with pytest.raises(
        DataError, match=r"and other content.*changed: build the index again"
    ):
        SearchIndex.load(saved)


def test_an_index_of_another_dimension_than_its_settings_tell_is_refused(saved):
    beside = saved.with_name("codes.faiss.json")
    note = json.loads(beside.read_text())
    beside.write_text(json.dumps(note | {"n_features": 8}))
    with pytest.raises(DataError, match=r"holds IndexHNSWFlat of 50 x 16, but .* 50 x 8"):
        SearchIndex.load(saved)


def test_the_settings_of_another_index_are_refused(saved, tmp_path):
    SearchIndex(BANK[:60]).save(tmp_path / "other.faiss")
    (tmp_path / "other.faiss.json").replace(tmp_path / "codes.faiss.json")
    with pytest.raises(
        DataError, match=r"is not the index that codes\.faiss\.json tells of"
    ):
        SearchIndex.load(saved)


def test_an_index_without_its_settings_is_refused(saved):
    saved.with_name("codes.faiss.json").unlink()
    with pytest.raises(
        DataError, match=r"settings beside it, but there is no .*faiss\.json"
    ):
        SearchIndex.load(saved)


def test_settings_without_their_index_are_refused(saved):
    saved.unlink()
    with pytest.raises(DataError, match="There is no index"):
        SearchIndex.load(saved)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        '{"format": "another"}',
        '{"format": "coursekit search index, version 1"}',
        '{"format": "coursekit search index, version 1", "settings": {"metric": "l1"}}',
        '{"format": "coursekit search index, version 1", "settings": {"colour": 1}}',
    ],
)
def test_foreign_settings_are_refused(saved, text):
    saved.with_name("codes.faiss.json").write_text(text)
    with pytest.raises(DataError, match="does not hold the settings of an index"):
        SearchIndex.load(saved)


def test_another_kind_of_faiss_index_is_refused(saved):
    import hashlib

    import faiss

    flat = faiss.IndexFlatL2(16)
    flat.add(BANK[:50].numpy())
    faiss.write_index(flat, str(saved))
    beside = saved.with_name("codes.faiss.json")
    content = saved.read_bytes()
    note = json.loads(beside.read_text()) | {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    beside.write_text(json.dumps(note))
    with pytest.raises(DataError, match="holds IndexFlat"):
        SearchIndex.load(saved)


def test_saving_that_fails_leaves_the_old_index(saved, monkeypatch):
    import faiss

    def half_written(graph, path):
        Path(path).write_bytes(b"half")
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(faiss, "write_index", half_written)
    with pytest.raises(RuntimeError, match="full"):
        SearchIndex(BANK[:70]).save(saved)
    assert len(SearchIndex.load(saved)) == 50
    assert len(list(saved.parent.iterdir())) == 2


# --- misuse -------------------------------------------------------------------------------


def test_an_empty_bank_is_refused():
    with pytest.raises(SettingsError, match="bank is empty"):
        SearchIndex(torch.empty(0, 4))


@pytest.mark.parametrize("k", [0, 1501])
def test_k_out_of_range_names_the_size(index, k):
    with pytest.raises(SettingsError, match=f"the bank's 1500 rows, got k={k}"):
        index.search(QUERIES, k=k)


def test_other_numbers_of_features_are_refused(index):
    with pytest.raises(
        ShapeError, match=r"queries must have the index's 16 features, got shape \(3, 8\)"
    ):
        index.search(torch.ones(3, 8), k=1)
    with pytest.raises(ShapeError, match="rows must have the index's 16 features"):
        index.add(torch.ones(3, 8))
    with pytest.raises(ShapeError, match="queries must have shape"):
        index.search(torch.ones(16), k=1)


def test_rows_without_direction_or_number_are_named():
    bad = torch.ones(4, 3)
    bad[2] = 0
    with pytest.raises(DataError, match="bank has nothing else in row 2"):
        SearchIndex(bad)
    SearchIndex(bad, metric="euclidean")
    index = SearchIndex(torch.ones(4, 3))
    with pytest.raises(DataError, match="queries has nothing else in row 2"):
        index.search(bad, k=1)
    bad[1] = torch.nan
    with pytest.raises(DataError, match=r"rows must be finite.*row 1"):
        index.add(bad)
    assert len(index) == 4


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"metric": "l2"}, '"cosine" or "euclidean"'),
        ({"n_links": 1}, "n_links must be a whole number of at least 2, got 1"),
        ({"ef_construction": 0}, "ef_construction .* got 0"),
        ({"ef_search": 2.5}, r"ef_search .* got 2\.5"),
        ({"storage": "int8"}, "storage must be .* got 'int8'"),
        ({"seed": -1}, "seed .* got -1"),
    ],
)
def test_settings_out_of_range_are_refused(setting, words):
    with pytest.raises(SettingsError, match=words):
        IndexSettings(**setting)
    with pytest.raises(SettingsError, match=words):
        SearchIndex(BANK[:5], **setting)


def test_threads_and_candidates_of_one_call_are_checked(index):
    with pytest.raises(SettingsError, match=r"n_threads .* got 0"):
        index.add(QUERIES, n_threads=0)
    with pytest.raises(SettingsError, match=r"ef_search .* got 0"):
        index.search(QUERIES, k=1, ef_search=0)


def test_numbers_too_large_for_float16_are_refused():
    with pytest.raises(
        SettingsError, match=r"float16 holds numbers up to 65504, got 100000\."
    ):
        SearchIndex(torch.full((3, 2), 1e5), metric="euclidean", storage="float16")
    assert len(SearchIndex(torch.full((3, 2), 1e5), storage="float16")) == 3


def test_recall_needs_queries_and_the_truth_of_the_same_ones(index):
    with pytest.raises(SettingsError, match="got no query"):
        index.recall(torch.empty(0, 16), k=1)
    exact = find_neighbors(QUERIES[:3], BANK, k=2, metric=index.settings.metric)
    with pytest.raises(
        ShapeError, match=r"Neighbors\(60 queries, k=5.*got Neighbors\(3 queries"
    ):
        index.recall(QUERIES, k=5, exact=exact)


@pytest.mark.gpu
def test_rows_on_a_gpu_are_refused_with_the_remedy():
    with pytest.raises(
        SettingsError, match=r"on the CPU, but bank on cuda:0.*bank\.cpu\(\)"
    ):
        SearchIndex(BANK.cuda())
