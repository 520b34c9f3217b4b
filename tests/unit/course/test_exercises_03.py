"""The exercises of lesson 03: solutions are right, and each mistake gets a hint that helps."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from torch.nn import functional as F

from coursekit.course import check_exercise

BOOK = Path(__file__).parents[3] / "notebooks/solutions/03_feature_extraction_knn.ipynb"


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_dead_channels_are_found_whatever_their_number(solved):
    maps = numbers(5, 6, 4, 4)
    maps[:, 1], maps[:, 4], maps[:, 5] = 0, -2.5, numbers(5).view(5, 1, 1)
    assert solved["dead_channels"](maps) == [1, 4]


@pytest.mark.parametrize("k", [1, 3, 10])
def test_neighbors_by_cosine_are_those_of_scikit_learn(solved, k):
    queries, bank = numbers(6, 8), numbers(30, 8, seed=1)
    theirs = NearestNeighbors(n_neighbors=k, metric="cosine").fit(bank)
    right = theirs.kneighbors(queries, return_distance=False)
    np.testing.assert_array_equal(solved["nearest_by_cosine"](queries, bank, k), right)


def test_the_vote_is_that_of_scikit_learn_where_nobody_ties(solved):
    bank, classes = numbers(60, 3), torch.arange(60) % 2
    theirs = KNeighborsClassifier(5).fit(bank, classes)
    queries = numbers(20, 3, seed=1)
    near = theirs.kneighbors(queries, return_distance=False)
    right = theirs.predict(queries)
    assert solved["majority"](classes[torch.from_numpy(near)]).tolist() == right.tolist()


@pytest.mark.parametrize("k", [1, 5, 20])
def test_recall_is_that_of_sets(solved, k):
    found = torch.stack([torch.randperm(40) for _ in range(8)])
    true = torch.stack([torch.randperm(40) for _ in range(8)])
    pairs = zip(found[:, :k].tolist(), true[:, :k].tolist(), strict=True)
    right = np.mean([len(set(a) & set(b)) / k for a, b in pairs])
    assert solved["share_found"](found, true, k) == pytest.approx(right)


# --- hints -----------------------------------------------------------------------------


def cosines(queries, bank):
    return F.normalize(queries) @ F.normalize(bank).T


def nearest(vectors, k):
    return vectors.topk(k).indices


@pytest.mark.parametrize(
    ("number", "answer", "words"),
    [
        (
            "03.1",
            lambda m: [c for c in range(m.shape[1]) if m[:, c].sum() == 0],
            "mean of zero",
        ),
        (
            "03.1",
            lambda m: (m[0].amax((1, 2)) == m[0].amin((1, 2))).nonzero().flatten(),
            "images",
        ),
        (
            "03.1",
            lambda m: ((m.amax((2, 3)) == m.amin((2, 3))).any(0)).nonzero()[:, 0],
            "another",
        ),
        (
            "03.1",
            lambda m: (m.amax((0, 2, 3)) != m.amin((0, 2, 3))).nonzero()[:, 0],
            "living",
        ),
        ("03.3", lambda q, b, k: nearest(-torch.cdist(q, b), k), "Euclidean"),
        ("03.3", lambda q, b, k: nearest(-cosines(q, b), k), "farthest"),
        ("03.3", lambda q, b, k: cosines(q, b).topk(k).values, "places in the bank"),
        ("03.3", lambda q, b, k: nearest(q @ F.normalize(b).T, k)[:1], "row of its own"),
        ("03.4", lambda labels: labels[:, 0], "All k of them vote"),
        ("03.4", lambda labels: -(-labels).mode(1).values, "largest class number"),
        (
            "03.5",
            lambda f, t, k: (f[:, :k, None] == t[:, None]).any(2).float().mean(),
            "first k",
        ),
        ("03.5", lambda f, t, k: torch.tensor(0.0), "All were found"),
    ],
)
def test_a_mistake_gets_a_hint_that_helps(number, answer, words):
    result = check_exercise(number, answer)
    assert result.state == "not yet"
    assert words in result.message


def embed(model, images, batch_size, *, grad=False, mode=True, keep_mode=True, last=True):
    """The right loop, with its parts left out at will."""
    was = model.training
    if mode:
        model.eval()
    parts = images.split(batch_size)
    parts = parts if last else parts[: len(images) // batch_size]
    with torch.set_grad_enabled(grad):
        rows = torch.cat([model(part) for part in parts])
    if keep_mode:
        model.train(was)
    return rows


def restoring_wrongly(model, images, batch_size):
    rows = embed(model, images, batch_size)
    model.train()
    return rows


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda m, x, n: embed(m, x, n, mode=False), "training mode"),
        (lambda m, x, n: embed(m, x, n, grad=True), "gradients on"),
        (lambda m, x, n: embed(m, x, n, grad=True).detach(), "gradients on"),
        (lambda m, x, n: embed(m, x, n, keep_mode=False), "is in evaluation mode now"),
        (restoring_wrongly, "is in training mode now"),
        (lambda m, x, n: embed(m, x, n, last=False), "last batch"),
        (lambda m, x, n: embed(m, x, len(x)), "7 images at once"),
        (lambda m, x, n: list(embed(m, x, n)), "torch.cat"),
        (lambda m, x, n: embed(m, x, n).flip(0), "another order"),
        (lambda m, x, n: embed(m, x, n).flatten(), "shape (7, 4)"),
        (lambda m, x, n: torch.zeros(len(x), 4), "not called"),
    ],
)
def test_a_careless_loop_is_told_what_it_does(answer, words):
    result = check_exercise("03.2", answer)
    assert result.state == "not yet"
    assert words in result.message


def test_a_loop_of_single_images_passes():
    assert check_exercise("03.2", lambda m, x, n: embed(m, x, 1)).state == "passed"
