"""Drawn land cover: ten classes of satellite pictures after EuroSAT's, from a seed.

Every picture is a function of (seed, number of the picture, its size) alone. What a class looks
like is decided in `land_scenes`; here the air, the camera and the counting are.
"""

import numpy as np

from coursekit.datasets.drawing import column, pixel_positions, to_bytes
from coursekit.datasets.draws import Draws, gaussian_planes
from coursekit.datasets.imageset import ImageSet
from coursekit.datasets.land_parts import Canvas, Land, mottle
from coursekit.datasets.land_scenes import LAND_COVER_CLASSES, paint_land
from coursekit.datasets.windows import check_image_size, check_window, chunks

__all__ = ["LAND_COVER_CLASSES", "make_land_cover"]

CARD = """\
Drawn land cover: satellite pictures painted by coursekit.datasets.make_land_cover from a seed.
Ten classes named after EuroSAT's (Helber et al., 2019); no pixel comes from a satellite.
The pictures are free to use as coursekit is (CC BY 4.0)."""

HAZE = np.array([0.66, 0.70, 0.76], np.float32)


def make_land_cover(
    n_images: int,
    *,
    seed: int,
    start: int = 0,
    image_size: int = 64,
    chunk_size: int | None = None,
) -> ImageSet:
    """Return satellite pictures of ten classes, numbers `start` on of the world of `seed`.

    Parameters
    ----------
    n_images : int
        At least 1.
    seed : int
        Not negative. Different seeds are different worlds.
    start : int, default=0
        Number of the first picture; windows that do not overlap share no picture.
    image_size : int, default=64
        Height and width in pixels, from 8 to 1024. The same landscape at any size; only blur
        and noise differ.
    chunk_size : int, optional
        Pictures drawn at a time. Trades memory for speed; the pictures are the same.

    Returns
    -------
    ImageSet
        Images of shape (n_images, image_size, image_size, 3); each class once in every ten
        pictures from a multiple of ten on.

    Raises
    ------
    SettingsError
        If a number is out of range.

    Notes
    -----
    Picture i is a function of seed, ``start + i`` and `image_size` alone: the same bytes
    whatever is drawn with it, in whichever process, with any number of threads.

    References
    ----------
    .. [1] Helber, Bischke, Dengel and Borth, "EuroSAT: A Novel Dataset and Deep Learning
       Benchmark for Land Use and Land Cover Classification", IEEE JSTARS 12 (2019).
       https://doi.org/10.1109/JSTARS.2019.2918242

    Examples
    --------
    >>> make_land_cover(20, seed=0)
    ImageSet(20 images of 64 x 64 x 3, 10 classes)
    """
    check_window(n_images, seed, start)
    check_image_size(image_size)
    draws = Draws(seed, "land cover", np.arange(start, start + n_images, dtype=np.uint64))
    labels = draws.balanced("class", len(LAND_COVER_CLASSES))
    images = np.empty((n_images, image_size, image_size, 3), np.uint8)
    positions = pixel_positions(image_size)
    for label in range(len(LAND_COVER_CLASSES)):
        rows = np.flatnonzero(labels == label)
        for part in chunks(len(rows), image_size, chunk_size):
            land = Land(draws.rows(rows[part]), positions)
            canvas = _blurred(land, paint_land(label, land))
            images[rows[part]] = to_bytes(_seen_from_space(land, canvas))
    return ImageSet(images=images, labels=labels, class_names=LAND_COVER_CLASSES, card=CARD)


def _seen_from_space(land: Land, canvas: Canvas) -> Canvas:
    """Return the canvas under uneven light, through haze, by a camera with cast and noise."""
    draws = land.draws
    light = mottle(land, "light", 0.02, 0.08, tile="hills")
    light *= column(draws.uniform("uneven", 0, 0.25))
    light += column(draws.uniform("exposure", 0.6, 1.25))
    canvas *= light[:, None]
    gray = 0.3 * canvas[:, 0] + 0.59 * canvas[:, 1] + 0.11 * canvas[:, 2]
    canvas -= gray[:, None]
    canvas *= draws.uniform("saturation", 0.5, 1.3)[:, None, None, None]
    canvas += gray[:, None]
    haze = HAZE * draws.uniform("haze light", 0.8, 1.1)[:, None]
    haze = haze[:, :, None, None] - canvas
    haze *= column(draws.uniform("haze") * draws.uniform("haze too", 0, 0.5))[:, None]
    canvas += haze
    canvas *= draws.uniform("cast", 0.91, 1.09, n_columns=3)[:, :, None, None]
    n_pixels = canvas.shape[-1] ** 2
    grain = gaussian_planes(draws.bits("grain")[:, 0], 3, n_pixels)
    grain *= column(draws.uniform("grain", 0.004, 0.025))
    canvas += grain.reshape(canvas.shape)
    return canvas


def _blurred(land: Land, canvas: Canvas) -> Canvas:
    """Return the canvas a little out of focus, as a lens and the air leave it."""
    strength = land.draws.uniform("blur", 0.1, 1)
    soft = _smoothed(_smoothed(canvas).swapaxes(2, 3)).swapaxes(2, 3)
    soft -= canvas
    soft *= strength[:, None, None, None]
    canvas += soft
    return canvas


def _smoothed(canvas: Canvas) -> Canvas:
    """Return each row weighted 1/2 and its neighbors 1/4; the borders repeat."""
    soft = canvas * 0.5
    quarter = canvas * 0.25
    soft[:, :, 1:] += quarter[:, :, :-1]
    soft[:, :, :-1] += quarter[:, :, 1:]
    soft[:, :, 0] += quarter[:, :, 0]
    soft[:, :, -1] += quarter[:, :, -1]
    return soft
