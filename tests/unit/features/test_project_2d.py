"""project_2d: planes that keep what they promise, the same for the same seed."""

import pytest
import torch
from sklearn.manifold import trustworthiness

from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.features import Embeddings, classify_by_neighbors, project_2d

LABELS = torch.arange(90) % 3


def crowds(n_features=60, seed=0):
    """Three crowds, far from each other."""
    generator = torch.Generator().manual_seed(seed)
    centers = 4 * torch.randn(3, n_features, generator=generator)
    return centers[LABELS] + torch.randn(90, n_features, generator=generator)


def test_pca_finds_the_plane_in_which_rows_differ_most():
    rows = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [9.0, 5, 1, 1, 1, 1]
    )
    points = project_2d(rows)
    centered = rows.double() - rows.double().mean(dim=0)
    wanted = torch.linalg.svd(centered, full_matrices=False)
    truth = wanted.U[:, :2] * wanted.S[:2]
    torch.testing.assert_close(points.double().abs(), truth.abs(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_crowds_stay_apart(method):
    points = project_2d(Embeddings(embeddings=crowds(), labels=LABELS), method=method)
    assert points.shape == (90, 2)
    assert points.dtype == torch.float32
    votes = classify_by_neighbors(
        (points, LABELS), (points, LABELS), k=9, metric="euclidean"
    )
    assert votes.accuracy == 1
    assert trustworthiness(crowds().numpy(), points.numpy()) > 0.75


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_the_same_seed_gives_the_same_plane(method):
    rows = crowds()
    before = torch.get_rng_state()
    first, again = (project_2d(rows, method=method, seed=3) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)


def test_arrays_and_a_single_feature_are_fine():
    assert torch.equal(project_2d(crowds().numpy()), project_2d(crowds()))
    line = project_2d(torch.arange(5.0)[:, None])
    assert line[:, 1].tolist() == [0] * 5


def test_the_perplexity_fits_few_samples():
    assert project_2d(crowds()[:5], method="tsne").shape == (5, 2)
    with pytest.raises(
        SettingsError, match=r"at most a third of the other samples, 29\.67, got 30"
    ):
        project_2d(crowds(), method="tsne", perplexity=30)


def test_what_cannot_be_laid_out_is_refused():
    with pytest.raises(SettingsError, match='"pca" or "tsne", got \'umap\''):
        project_2d(crowds(), method="umap")
    with pytest.raises(SettingsError, match="tsne needs at least 4 samples, got 3"):
        project_2d(crowds()[:3], method="tsne")
    with pytest.raises(ShapeError, match=r"embeddings must have shape"):
        project_2d(torch.ones(3, 4, 5))
    with pytest.raises(DataError, match="All 6 embeddings are the same"):
        project_2d(torch.ones(6, 3))
    bad = crowds()
    bad[4] = torch.inf
    with pytest.raises(DataError, match=r"embeddings must be finite.* row 4"):
        project_2d(bad)
