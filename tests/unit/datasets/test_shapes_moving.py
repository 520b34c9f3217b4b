"""make_moving_shapes: a clip that moves, stays inside and never jumps."""

import numpy as np
import pytest

from coursekit.datasets import make_moving_shapes
from coursekit.errors import SettingsError


def test_a_clip_moves_and_a_shorter_clip_is_its_beginning():
    clip = make_moving_shapes(40, seed=0)
    assert clip.shape == (40, 32, 32, 3)
    assert clip.dtype == np.uint8
    assert np.array_equal(make_moving_shapes(7, seed=0), clip[:7])
    steps = np.abs(np.diff(clip.astype(int), axis=0)).max(axis=(1, 2, 3))
    assert (steps > 40).all()
    assert not np.array_equal(make_moving_shapes(40, seed=1), clip)


@pytest.mark.parametrize("seed", range(20))
def test_shapes_never_leave_the_clip(seed):
    clip = make_moving_shapes(200, seed=seed).astype(int)
    empty = np.sort(clip, axis=0)[20]  # darkest that is often seen
    moving = (clip - empty).max(axis=-1) > 40
    assert moving.sum(axis=(1, 2)).min() > 15
    assert not moving[:, [0, -1], :].any()
    assert not moving[:, :, [0, -1]].any()


@pytest.mark.parametrize("seed", range(5))
def test_shapes_never_jump(seed):
    clip = make_moving_shapes(120, seed=seed).astype(int)
    moving = ((clip - np.sort(clip, axis=0)[12]).max(axis=-1) > 40).astype(float)
    mass = moving.sum(axis=(1, 2))
    middle = [moving.sum(axis=axis) @ np.arange(32) / mass for axis in (1, 2)]
    assert np.hypot(*np.diff(middle, axis=1)).max() < 4  # pixels a frame


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"n_frames": 0}, "at least 1, got 0"),
        ({"seed": -1}, "seed must be"),
        ({"image_size": 2}, "image_size must be"),
    ],
)
def test_misuse_is_refused(given, words):
    with pytest.raises(SettingsError, match=words):
        make_moving_shapes(**({"n_frames": 2, "seed": 0} | given))
