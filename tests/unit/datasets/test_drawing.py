"""What drawn worlds are made of: random numbers by name, paint, noise, outlines."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from coursekit.datasets.drawing import (
    OCTAVES,
    Draws,
    cloud_tiles,
    coverage,
    directions,
    gaussian_planes,
    hash_cells,
    paint,
    pixel_positions,
    sample_bilinear,
    sample_clouds,
    to_bytes,
    triangle_wave,
)
from coursekit.datasets.outlines import ALL_SHAPES, ATLAS_REACH, ATLAS_SIZE, shape_atlas


@pytest.fixture(scope="module")
def draws():
    return Draws(0, "test", np.arange(20000))


def test_uniform_numbers_and_integers_fill_their_range_evenly(draws):
    values = draws.uniform("a", -1, 3)
    assert values.dtype == np.float32
    counts = np.histogram(values, bins=20, range=(-1, 3))[0]
    assert counts.sum() == 20000
    assert np.abs(counts - 1000).max() < 5 * 1000**0.5
    counts = np.bincount(draws.integers("i", 7), minlength=7)
    assert np.abs(counts - 20000 / 7).max() < 5 * (20000 / 7) ** 0.5


def test_names_seeds_worlds_columns_and_neighbors_are_unrelated(draws):
    one = draws.uniform("a")
    others = [
        draws.uniform("b"),
        Draws(1, "test", np.arange(20000)).uniform("a"),
        Draws(0, "other", np.arange(20000)).uniform("a"),
        np.roll(one, 1),
        draws.uniform("a", n_columns=2)[:, 1],
    ]
    assert max(abs(np.corrcoef(one, other)[0, 1]) for other in others) < 0.03


@settings(max_examples=30, deadline=None)
@given(n_values=st.integers(1, 60), seed=st.integers(0, 2**63 - 1))
def test_balanced_numbers_are_a_permutation_in_every_block(n_values, seed):
    values = Draws(seed, "test", np.arange(3 * n_values)).balanced("x", n_values)
    for block in values.reshape(3, n_values):
        assert sorted(block) == list(range(n_values))


def test_noise_is_gaussian_and_its_planes_are_independent(draws):
    noise = gaussian_planes(draws.bits("n")[:40, 0], 3, 1024)
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
    planes = np.corrcoef(noise.transpose(1, 0, 2).reshape(3, -1))
    assert np.abs(planes - np.eye(3)).max() < 0.03
    assert np.abs(np.corrcoef(noise.reshape(40, -1)) - np.eye(40)).max() < 0.12


def test_directions_are_cosine_and_sine():
    turns = np.linspace(-1, 1, 101).astype(np.float32)
    cosine, sine = directions(turns)
    assert np.abs(cosine - np.cos(2 * np.pi * turns)).max() < 0.002
    assert np.abs(sine - np.sin(2 * np.pi * turns)).max() < 0.002


def test_cells_have_bits_of_their_own():
    columns, rows = np.meshgrid(np.arange(-50, 50), np.arange(-50, 50))
    cells = [plane[None].astype(np.float32) for plane in (columns, rows)]
    assert len(np.unique(hash_cells(np.array([2**40], np.uint64), *cells))) > 9990


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_sampling_agrees_with_scipy_inside_and_at_the_border(seed):
    rng = np.random.default_rng(seed)
    tables = rng.random((3, 9, 12)).astype(np.float32)
    x = rng.uniform(-3, 15, (2, 5, 5)).astype(np.float32)
    y = rng.uniform(-3, 12, (2, 5, 5)).astype(np.float32)
    which = rng.integers(0, 3, 2)
    expected = [
        ndimage.map_coordinates(tables[table], [v, u], order=1, mode="nearest")
        for table, u, v in zip(which, x, y, strict=True)
    ]
    found = sample_bilinear(tables, which, x.copy(), y.copy())
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_coverage_painting_waves_and_bytes_by_hand():
    distances = np.array([-1, -0.25, 0, 0.25, 1], np.float32).reshape(1, 1, 5)
    covered = coverage(distances, np.array([1], np.float32))
    assert covered.ravel().tolist() == [1, 0.75, 0.5, 0.25, 0]
    canvas = np.full((1, 3, 2, 2), 0.25, np.float32)
    covered = np.array([[[0, 1], [0.5, 0]]], np.float32)
    paint(canvas, np.array([[1, 0, 0]], np.float32), covered)
    assert canvas[0, :, 0, 1].tolist() == [1, 0, 0]
    assert canvas[0, 0, 1, 0] == 0.625
    assert (canvas[0, :, 0, 0] == 0.25).all()
    canvas = np.array([-1, 0, 0.5, 1, 2], np.float32).reshape(1, 1, 1, 5).repeat(3, axis=1)
    assert to_bytes(canvas)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]
    wave = triangle_wave(np.array([-1.25, 0, 0.4, 0.5, 3.9], np.float32))
    assert wave.tolist() == pytest.approx([0.25, 0, 0.4, 0.5, 0.1], abs=1e-6)


@pytest.mark.parametrize("name", OCTAVES)
def test_cloud_tiles_are_ranks_without_seams(name):
    tile = cloud_tiles(name)
    assert np.array_equal(tile[0], tile[-1])
    assert np.array_equal(tile[:, 0], tile[:, -1])
    inner = np.sort(tile[:-1, :-1].ravel())
    assert np.abs(inner - np.linspace(0, 1, inner.size)).max() < 1e-4
    steps = np.abs(np.diff(tile, axis=1))
    assert steps[:, -1].mean() < 2 * steps.mean()


def test_windows_of_clouds_turn():
    positions = pixel_positions(64)
    one, middle = np.array([0.1], np.float32), np.array([[0.5, 0.5]], np.float32)
    upright = sample_clouds(one, 0 * one, middle, positions)
    quarter = sample_clouds(0 * one, one, middle, positions)
    np.testing.assert_allclose(np.rot90(upright[0], 1), quarter[0], atol=1e-4)


@pytest.mark.parametrize("number", range(28), ids=ALL_SHAPES)
def test_outlines_are_whole_within_reach_and_agree_with_a_distance_transform(number):
    plane, step = shape_atlas()[number], 2 * ATLAS_REACH / (ATLAS_SIZE - 1)
    inside = plane < 0
    assert ndimage.label(inside, structure=np.ones((3, 3)))[1] == 1
    border = np.concatenate([plane[[0, -1]].ravel(), plane[:, [0, -1]].ravel()])
    assert border.min() > 0.2  # room for the soft edge and the shadow
    assert 0.12 < inside.mean() * ATLAS_REACH**2 < 0.6
    slope = np.hypot(*np.gradient(plane.astype(float), step))[np.abs(plane) < 0.08]
    assert np.median(slope) == pytest.approx(1, abs=0.05)
    outside = ndimage.distance_transform_edt(plane > 0) * step
    near = (plane > 0) & (outside < 0.15)
    assert np.abs(outside - plane)[near].max() < 0.13


def test_no_two_outlines_are_alike():
    inside = shape_atlas() < 0
    for index, first in enumerate(inside):
        for second in inside[index + 1 :]:
            assert (first & second).sum() / (first | second).sum() < 0.9
