"""Two pictures are compared by what is seen, and a difference is drawn."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from coursekit.nbtest.pictures import compare_pictures


def encode(pixels, form="PNG", **settings):
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, form, **settings)
    return stream.getvalue()


def read(path):
    with Image.open(path) as image:
        return np.asarray(image).copy()


def scene(*, seed=0, size=(200, 300)):
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (10, 15, 3), np.uint8))
    return np.asarray(coarse.resize(size[::-1], Image.Resampling.BICUBIC)).copy()


@pytest.fixture
def compare(tmp_path):
    def compare(stored, fresh, *, threshold=0.02, name="01-cell-3"):
        return compare_pictures(
            stored, fresh, threshold=threshold, folder=tmp_path / "differences", name=name
        )

    return compare


def test_the_same_picture_agrees_and_nothing_is_written(compare, tmp_path):
    assert compare(encode(scene()), encode(scene())) is None
    assert compare(encode(scene()), encode(scene(), compress_level=1)) is None
    assert not (tmp_path / "differences").exists()


def test_another_picture_differs_and_both_are_drawn_beside_their_difference(compare):
    found = compare(encode(scene()), encode(scene(seed=1)))
    assert "of the full scale" in found.message
    assert "allowed 0.02" in found.message
    sheet = read(found.picture)
    assert sheet.shape == (200, 3 * 300 + 2 * 8, 3)
    assert (sheet[:, :300] == scene()).all()
    assert (sheet[:, 308:608] == scene(seed=1)).all()
    difference = 255 - np.abs(scene().astype(int) - scene(seed=1)).astype(int)
    assert (sheet[:, 616:] == difference).all()


def test_equal_parts_of_the_difference_are_white(compare):
    other = scene()
    other[:100] = 0
    sheet = read(compare(encode(scene()), encode(other)).picture)
    assert (sheet[100:, 616:] == 255).all()


def test_a_small_part_that_differs_is_found_and_placed(compare):
    other = scene()
    other[-5:, -8:] = 255 - other[-5:, -8:]
    found = compare(encode(scene()), encode(other))
    assert "lower right" in found.message
    assert float(found.message.split()[4]) < 0.02, "of the whole, it is little"


def test_one_of_a_hundred_tiles_is_found(compare):
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 256, (10, 10, 1, 1, 3))
    picture = np.broadcast_to(tiles, (10, 10, 28, 28, 3)).transpose(0, 2, 1, 3, 4)
    picture = picture.reshape(280, 280, 3).astype(np.uint8)
    other = picture.copy()
    other[84:112, 56:84] = 255 - other[84:112, 56:84]
    assert compare(encode(picture), encode(other)) is not None


def test_what_nobody_sees_is_no_difference(compare):
    noise = np.random.default_rng(1).normal(0, 3, (200, 300, 3))
    noisy = (scene() + noise).clip(0, 255).astype(np.uint8)
    assert compare(encode(scene()), encode(noisy)) is None


def test_a_photograph_as_jpeg_is_compared_like_png(compare):
    for quality in (60, 90):
        assert compare(encode(scene()), encode(scene(), "JPEG", quality=quality)) is None
    assert compare(encode(scene(seed=1)), encode(scene(), "JPEG")) is not None


def test_transparent_is_seen_as_white(compare):
    clear = np.zeros((20, 20, 4), np.uint8)
    assert compare(encode(clear), encode(np.full((20, 20, 3), 255, np.uint8))) is None
    assert compare(encode(clear), encode(np.zeros((20, 20, 3), np.uint8))) is not None


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA"])
def test_every_mode_of_a_png_is_read(compare, mode):
    stream = BytesIO()
    Image.fromarray(scene()).convert(mode).save(stream, "PNG")
    assert compare(stream.getvalue(), encode(scene(seed=1))) is not None


def test_another_size_differs_and_both_are_drawn(compare):
    found = compare(encode(scene()), encode(scene(size=(200, 301))))
    assert "300 x 200 and 301 x 200 pixels" in found.message
    assert read(found.picture).shape == (200, 300 + 8 + 301, 3)


def test_the_threshold_is_that_of_the_cell(compare):
    other = (scene() * 0.9).astype(np.uint8)
    assert compare(encode(scene()), encode(other)) is not None
    assert compare(encode(scene()), encode(other), threshold=0.2) is None


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 255))
def test_the_difference_of_two_plain_pictures_is_that_of_their_colors(height, width, gray):
    black = encode(np.zeros((height, width, 3), np.uint8))
    plain = encode(np.full((height, width, 3), gray, np.uint8))
    for threshold in (0.05, 0.3, 1.0):
        found = compare_pictures(
            black,
            plain,
            threshold=threshold,
            folder=Path("/nowhere"),
            name="x",
        )
        assert (found is None) == (gray / 255 <= threshold)


@pytest.mark.parametrize("data", [b"", b"no picture", encode(scene())[:500]])
def test_bytes_that_are_no_picture_are_a_difference_not_a_traceback(compare, data):
    assert "fresh picture cannot be read" in compare(encode(scene()), data).message
    assert "stored picture cannot be read" in compare(data, encode(scene())).message


def test_a_name_with_odd_characters_becomes_the_name_of_a_file(compare):
    found = compare(encode(scene()), encode(scene(seed=1)), name="01/cell 3: a*b")
    assert found.picture.name == "01-cell-3-a-b.png"


def test_a_folder_that_cannot_be_written_hides_no_difference(tmp_path):
    (tmp_path / "file").touch()
    found = compare_pictures(
        encode(scene()),
        encode(scene(seed=1)),
        threshold=0.02,
        folder=tmp_path / "file",
        name="x",
    )
    assert found.picture is None
    assert "differ" in found.message
