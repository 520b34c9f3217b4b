"""What drawn worlds are made of: random numbers by name, noise, interpolation, outlines."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from coursekit.datasets.clouds import OCTAVES, cloud_tiles, sample_clouds
from coursekit.datasets.drawing import (
    affine,
    coverage,
    paint,
    pixel_positions,
    sample_bilinear,
    to_bytes,
    triangle_wave,
)
from coursekit.datasets.draws import Draws, directions, gaussian_planes, hash_cells
from coursekit.datasets.shape_atlas import (
    ATLAS_REACH,
    ATLAS_SIZE,
    SOURCE_SHAPES,
    UNSEEN_SHAPES,
    shape_atlas,
)


@pytest.fixture(scope="module")
def draws():
    return Draws(0, "test", np.arange(20000))


def test_uniform_numbers_fill_their_range_evenly(draws):
    values = draws.uniform("a", -1, 3)
    assert values.dtype == np.float32
    assert -1 <= values.min() < values.max() < 3
    counts = np.histogram(values, bins=20, range=(-1, 3))[0]
    assert np.abs(counts - 1000).max() < 5 * 1000**0.5


def test_names_seeds_worlds_and_neighbors_are_unrelated(draws):
    one = draws.uniform("a")
    others = [
        draws.uniform("b"),
        Draws(1, "test", np.arange(20000)).uniform("a"),
        Draws(0, "other", np.arange(20000)).uniform("a"),
        np.roll(one, 1),
        draws.uniform("a", n_columns=2)[:, 1],
    ]
    for other in others:
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.03


@settings(max_examples=30, deadline=None)
@given(n_values=st.integers(1, 60), seed=st.integers(0, 2**63 - 1))
def test_balanced_numbers_are_a_permutation_in_every_block(n_values, seed):
    values = Draws(seed, "test", np.arange(3 * n_values)).balanced("x", n_values)
    for block in values.reshape(3, n_values):
        assert sorted(block) == list(range(n_values))


def test_integers_come_equally_often(draws):
    counts = np.bincount(draws.integers("i", 7))
    assert len(counts) == 7
    assert np.abs(counts - 20000 / 7).max() < 5 * (20000 / 7) ** 0.5


def test_noise_is_gaussian_and_its_planes_are_independent(draws):
    noise = gaussian_planes(draws.bits("n")[:40, 0], 3, 1024)
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
    assert (
        np.abs(np.corrcoef(noise.transpose(1, 0, 2).reshape(3, -1)) - np.eye(3)).max()
        < 0.03
    )
    flat = noise.reshape(40, -1)
    assert np.abs(np.corrcoef(flat) - np.eye(40)).max() < 0.12


def test_directions_are_cosine_and_sine():
    turns = np.linspace(-1, 1, 101).astype(np.float32)
    cosine, sine = directions(turns)
    assert np.abs(cosine - np.cos(2 * np.pi * turns)).max() < 0.002
    assert np.abs(sine - np.sin(2 * np.pi * turns)).max() < 0.002


def test_cells_have_bits_of_their_own():
    columns, rows = np.meshgrid(np.arange(-50, 50), np.arange(-50, 50))
    cells = [plane[None].astype(np.float32) for plane in (columns, rows)]
    bits = hash_cells(np.array([2**40], np.uint64), *cells)
    assert len(np.unique(bits)) > 9990


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_sampling_agrees_with_scipy_inside_and_at_the_border(seed):
    rng = np.random.default_rng(seed)
    tables = rng.random((3, 9, 12)).astype(np.float32)
    x = rng.uniform(-3, 15, (2, 5, 5)).astype(np.float32)
    y = rng.uniform(-3, 12, (2, 5, 5)).astype(np.float32)
    which = rng.integers(0, 3, 2)
    found = sample_bilinear(tables, which, x, y)
    for image in range(2):
        expected = ndimage.map_coordinates(
            tables[which[image]], [y[image], x[image]], order=1, mode="nearest"
        )
        np.testing.assert_allclose(found[image], expected, atol=2e-3)


def test_affine_is_what_it_says():
    positions = pixel_positions(5)
    ones = np.ones(1, np.float32)
    plane = affine(2 * ones, 3 * ones, 4 * ones, positions)
    for row, column in ((0, 0), (1, 4), (4, 2)):
        expected = 2 * positions[column] + 3 * positions[row] + 4
        assert plane[0, row, column] == pytest.approx(expected)


def test_coverage_is_the_share_of_a_pixel():
    distances = np.array([-1, -0.25, 0, 0.25, 1], np.float32).reshape(1, 1, 5)
    covered = coverage(distances, np.array([1], np.float32))
    assert covered.ravel().tolist() == [1, 0.75, 0.5, 0.25, 0]


def test_painting_leaves_what_is_not_covered():
    canvas = np.full((1, 3, 2, 2), 0.25, np.float32)
    covered = np.array([[[0, 1], [0.5, 0]]], np.float32)
    paint(canvas, np.array([[1, 0, 0]], np.float32), covered)
    assert canvas[0, :, 0, 1].tolist() == [1, 0, 0]
    assert canvas[0, 0, 1, 0] == 0.625
    assert (canvas[0, :, 0, 0] == 0.25).all()


def test_bytes_are_rounded_and_clipped():
    canvas = np.array([-1, 0, 0.5, 1, 2], np.float32).reshape(1, 1, 1, 5).repeat(3, axis=1)
    assert to_bytes(canvas)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_triangle_wave_is_the_distance_to_a_whole_number():
    values = np.array([-1.25, 0, 0.4, 0.5, 3.9], np.float32)
    assert triangle_wave(values).tolist() == pytest.approx(
        [0.25, 0, 0.4, 0.5, 0.1], abs=1e-6
    )


@pytest.mark.parametrize("name", OCTAVES)
def test_cloud_tiles_are_ranks_without_seams(name):
    tile = cloud_tiles(name)
    assert np.array_equal(tile[0], tile[-1])
    assert np.array_equal(tile[:, 0], tile[:, -1])
    inner = np.sort(tile[:-1, :-1].ravel())
    assert np.abs(inner - np.linspace(0, 1, inner.size)).max() < 1e-4
    steps = np.abs(np.diff(tile, axis=1))
    assert steps[:, -1].mean() < 2 * steps.mean()


def test_windows_of_clouds_turn_and_shift():
    positions = pixel_positions(64)
    one = np.array([0.1], np.float32)
    middle = np.array([[0.5, 0.5]], np.float32)
    upright = sample_clouds(one, 0 * one, middle, positions)
    quarter = sample_clouds(0 * one, one, middle, positions)
    np.testing.assert_allclose(np.rot90(upright[0], 1), quarter[0], atol=1e-4)


# Outlines


@pytest.fixture(scope="module")
def atlas():
    return dict(zip(SOURCE_SHAPES + UNSEEN_SHAPES, shape_atlas(), strict=True))


def test_there_are_18_source_and_10_unseen_shapes(atlas):
    assert (len(SOURCE_SHAPES), len(UNSEEN_SHAPES), len(atlas)) == (18, 10, 28)


@pytest.mark.parametrize("name", SOURCE_SHAPES + UNSEEN_SHAPES)
def test_outlines_are_whole_within_reach_and_of_fair_size(atlas, name):
    inside = atlas[name] < 0
    assert ndimage.label(inside, structure=np.ones((3, 3)))[1] == 1
    border = np.concatenate([atlas[name][[0, -1]].ravel(), atlas[name][:, [0, -1]].ravel()])
    assert border.min() > 0.2  # room for the soft edge and the shadow
    assert 0.12 < inside.mean() * ATLAS_REACH**2 < 0.6


@pytest.mark.parametrize("name", SOURCE_SHAPES + UNSEEN_SHAPES)
def test_distances_grow_by_one_a_unit_near_the_edge(atlas, name):
    step = 2 * ATLAS_REACH / (ATLAS_SIZE - 1)
    down, across = np.gradient(atlas[name].astype(float), step)
    slope = np.hypot(down, across)[np.abs(atlas[name]) < 0.08]
    assert np.median(slope) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", SOURCE_SHAPES + UNSEEN_SHAPES)
def test_distances_agree_with_a_distance_transform(atlas, name):
    step = 2 * ATLAS_REACH / (ATLAS_SIZE - 1)
    outside = ndimage.distance_transform_edt(atlas[name] > 0) * step
    near = (atlas[name] > 0) & (outside < 0.15)
    assert np.abs(outside - atlas[name])[near].max() < 0.13


def test_no_two_outlines_are_alike(atlas):
    inside = np.stack([plane < 0 for plane in atlas.values()])
    for index, first in enumerate(inside):
        for second in inside[index + 1 :]:
            assert (first & second).sum() / (first | second).sum() < 0.9
