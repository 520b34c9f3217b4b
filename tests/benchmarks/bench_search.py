"""Exact and approximate nearest neighbors, beside scikit-learn and plain faiss, on one core.

Run: python tests/benchmarks/bench_search.py [--real FOLDER] [--queries 2000] [--repeats 5]

Searched are 60,000 rows of 784 numbers: the pixels of MNIST, from FOLDER/MNIST/raw (by default
../shared/real beside the repository), and, for the exact search, normal random numbers,
which have no structure to use. Contenders take turns in every repeat, each on the same
queries, so each ratio is of two times taken side by side; the table shows the median of those
ratios with the least and the greatest. Times are those of the processor. An exact search counts
with all that it prepares; graphs are built before.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import faiss
import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors

from coursekit.features import SearchIndex, find_neighbors
from coursekit.features.recall import measure_recall

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"
PUBLISHED = 10_000  # queries a second "at 95 %"
K = 10


def take_turns(contenders, *, repeats):
    """Return the seconds of each contender, by name, one for each repeat."""
    seconds = {name: [] for name in contenders}
    for repeat in range(repeats + 1):
        order = list(contenders)
        for name in order if repeat % 2 else reversed(order):
            began = time.process_time()
            contenders[name]()
            if repeat:  # the first warms up
                seconds[name].append(time.process_time() - began)
    return seconds


def show(title, seconds, n_queries, *, base, notes):
    print(f"\n{title}, {n_queries} queries, k={K}")
    for name, values in seconds.items():
        ratios = [one / mine for mine, one in zip(values, seconds[base], strict=True)]
        rate = n_queries / statistics.median(values)
        print(
            f"  {name:34} {rate:8,.0f} queries/s   x{statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} - {max(ratios):.2f})   {notes.get(name, '')}"
        )
    return {
        name: statistics.median(
            one / mine for mine, one in zip(values, seconds[base], strict=True)
        )
        for name, values in seconds.items()
    }


def read_pixels(folder, part):
    content = (folder / "MNIST" / "raw" / f"{part}-images-idx3-ubyte").read_bytes()
    pixels = np.frombuffer(content, np.uint8)[16:].reshape(-1, 784)
    return torch.from_numpy(pixels.astype(np.float32) / 255)


def bench_exact(title, queries, bank, *, metric, repeats):
    theirs = NearestNeighbors(n_neighbors=K, algorithm="brute", metric=metric).fit(
        bank.numpy()
    )
    answers = {}

    def keep(name, find):
        answers[name] = find()

    def flat():
        unit = metric == "cosine"
        rows, asked = (
            torch.nn.functional.normalize(one).numpy() if unit else one.numpy()
            for one in (bank, queries)
        )
        index = (faiss.IndexFlatIP if unit else faiss.IndexFlatL2)(bank.shape[1])
        index.add(rows)
        return index.search(asked, K)[1]

    ways = {
        "scikit-learn brute force": lambda: theirs.kneighbors(queries.numpy())[1],
        "faiss flat": flat,
        "find_neighbors": lambda: find_neighbors(queries, bank, k=K, metric=metric),
    }
    seconds = take_turns(
        {name: lambda n=name, w=way: keep(n, w) for name, way in ways.items()},
        repeats=repeats,
    )
    found = answers["find_neighbors"]
    same = (found.indices.numpy() == answers["scikit-learn brute force"]).mean()
    double = measure_recall(queries, bank, found, exact=reference(queries, bank, found))
    notes = {
        "find_neighbors": f"same index as scikit-learn {same:.5f}, recall {double:.4f}"
    }
    ratios = show(
        f"{title}, {metric}", seconds, len(queries), base=next(iter(ways)), notes=notes
    )
    return ratios["find_neighbors"]


def reference(queries, bank, found):
    """The truth by float64, as the record that recall is measured against."""
    values = []
    wide = bank.double()
    for chunk in queries.double().split(100):
        if found.metric == "cosine":
            table = (
                torch.nn.functional.normalize(chunk) @ torch.nn.functional.normalize(wide).T
            )
        else:
            table = -(wide.square().sum(1) - 2 * chunk @ wide.T)
        values.append(table.topk(found.indices.shape[1]).indices)
    return type(found)(indices=torch.cat(values), values=found.values, metric=found.metric)


def bench_graph(queries, bank, *, repeats):
    exact = find_neighbors(queries, bank, k=K, metric="euclidean")
    plain = faiss.IndexHNSWFlat(bank.shape[1], 16)
    plain.hnsw.efConstruction = 100
    began = time.process_time()
    plain.add(bank.numpy())
    print(f"\nplain faiss HNSW built in {time.process_time() - began:.1f} s")
    rows = bank.numpy()
    ways, notes = {}, {}

    def recall(indices):
        found = type(exact)(indices=indices, values=exact.values, metric="euclidean")
        return measure_recall(queries, bank, found, exact=exact)

    def enough(search):
        for ef in range(8, 200):
            found = recall(search(ef))
            if found >= 0.95:
                return ef, found
        raise SystemExit("0.95 was not reached")

    def faiss_search(ef):
        plain.hnsw.efSearch = ef
        return torch.from_numpy(plain.search(queries.numpy(), K)[1])

    ef, found = enough(faiss_search)
    ways["plain faiss"] = lambda ef=ef: faiss_search(ef)
    notes["plain faiss"] = f"recall {found:.4f}, efSearch {ef}"
    for storage in ("float32", "float16"):
        began = time.process_time()
        index = SearchIndex(rows, metric="euclidean", storage=storage)
        print(
            f"SearchIndex {storage} built in {time.process_time() - began:.1f} s, "
            f"{index.n_bytes / 2**20:.0f} MiB"
        )

        def search(ef, index=index):
            return index.search(queries, k=K, ef_search=ef).indices

        ef, found = enough(search)
        name = f"SearchIndex, {storage}"
        ways[name] = lambda ef=ef, search=search: search(ef)
        notes[name] = f"recall {found:.4f}, ef_search {ef}"
        print(f"  at its default, {index.settings.ef_search}: {recall(search(None)):.4f}")
    seconds = take_turns(ways, repeats=repeats)
    ratios = show(
        "MNIST pixels, HNSW", seconds, len(queries), base="plain faiss", notes=notes
    )
    best = max(len(queries) / min(values) for values in seconds.values())
    print(f"  published: {PUBLISHED:,} queries/s at 95 %; the best here {best:,.0f}")
    return ratios["SearchIndex, float32"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, default=REAL)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=["exact", "graph"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    pixels = read_pixels(options.real, "train"), read_pixels(options.real, "t10k")
    bank, queries = pixels[0], pixels[1][: options.queries]
    reached = []
    if options.only != "graph":
        for metric in ("euclidean", "cosine"):
            ratio = bench_exact(
                "MNIST pixels", queries, bank, metric=metric, repeats=options.repeats
            )
            reached.append(ratio >= 4)
        generator = torch.Generator().manual_seed(0)
        noise = [torch.randn(len(one), 784, generator=generator) for one in (queries, bank)]
        bench_exact("random numbers", *noise, metric="euclidean", repeats=options.repeats)
    if options.only != "exact":
        reached.append(bench_graph(queries, bank, repeats=options.repeats) >= 0.95)
    return int(not all(reached))


if __name__ == "__main__":
    sys.exit(main())
