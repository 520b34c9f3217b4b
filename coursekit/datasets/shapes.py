"""The shapes world: captioned pictures of one shape each, drawn from a seed.

Every picture is a function of (seed, number of the picture, settings) alone. What stands where
is decided in `shape_draws`, how it is painted in `shape_scenes`.
"""

from collections.abc import Sequence

import numpy as np

from coursekit.datasets.draws import Draws
from coursekit.datasets.imageset import ImageSet
from coursekit.datasets.shape_attributes import (
    ALL_SHAPES,
    BACKGROUNDS,
    COLORS,
    SIZES,
    SOURCE_SHAPES,
    caption_shape,
)
from coursekit.datasets.shape_draws import choose_attributes, clean_scene, random_scene
from coursekit.datasets.shape_scenes import draw_scenes
from coursekit.datasets.windows import check_image_size, check_names, check_window, chunks
from coursekit.errors import SettingsError

__all__ = ["draw_shape", "make_shapes"]

CARD = """\
The shapes world: one shape a picture, drawn by coursekit.datasets.make_shapes from a seed.
28 shapes, 10 colors, 3 sizes, 7 backgrounds, with shading, shadow, clutter and noise.
No photographs, no people; the pictures are free to use as coursekit is (CC BY 4.0)."""


def make_shapes(
    n_images: int,
    *,
    seed: int,
    start: int = 0,
    image_size: int = 32,
    shapes: Sequence[str] = SOURCE_SHAPES,
    colors: Sequence[str] = COLORS,
    sizes: Sequence[str] = SIZES,
    backgrounds: Sequence[str] = BACKGROUNDS,
    exclude_pairs: Sequence[tuple[str, str]] = (),
    chunk_size: int | None = None,
) -> ImageSet:
    """Return captioned pictures of shapes, numbers `start` on of the world of `seed`.

    Parameters
    ----------
    n_images : int
        At least 1.
    seed : int
        Not negative. Different seeds are different worlds.
    start : int, default=0
        Number of the first picture: ``make_shapes(10, seed=0, start=5)`` are the last ten of
        ``make_shapes(15, seed=0)``. Windows that do not overlap share no picture.
    image_size : int, default=32
        Height and width in pixels, from 8 to 1024. The same scene at any size; only the noise
        differs.
    shapes : sequence of str
        The classes: any of `SOURCE_SHAPES` and `UNSEEN_SHAPES`, in the order of the labels.
    colors, sizes, backgrounds : sequence of str
        What the other attributes are drawn from; one name fixes one: ``colors=["red"]``.
    exclude_pairs : sequence of (str, str)
        (shape, color) pairs that are never drawn, such as `HELD_OUT_PAIRS`.
    chunk_size : int, optional
        Pictures drawn at a time. Trades memory for speed; the pictures are the same.

    Returns
    -------
    ImageSet
        Images of shape (n_images, image_size, image_size, 3); labels, indices into `shapes`,
        each equally often in every ``len(shapes)`` pictures from a multiple of that on;
        captions; the attributes ``"shape"``, ``"color"``, ``"size"``, ``"background"``.

    Raises
    ------
    SettingsError
        If a number is out of range, a name is unknown or given twice, or `exclude_pairs`
        leaves a shape without a color.

    Notes
    -----
    Picture i is a function of seed, ``start + i`` and the settings alone: the same bytes
    whatever is drawn with it, in whichever process, with any number of threads.

    Examples
    --------
    >>> world = make_shapes(100, seed=0)
    >>> world
    ImageSet(100 images of 32 x 32 x 3, 18 classes)
    >>> bool((make_shapes(1, seed=0, start=99).images[0] == world.images[99]).all())
    True
    """
    check_window(n_images, seed, start)
    choices = {
        "shape": check_names("shapes", shapes, ALL_SHAPES),
        "color": check_names("colors", colors, COLORS),
        "size": check_names("sizes", sizes, SIZES),
        "background": check_names("backgrounds", backgrounds, BACKGROUNDS),
    }
    check_image_size(image_size)
    allowed = _allowed_colors(choices["shape"], choices["color"], exclude_pairs)
    indices = np.arange(start, start + n_images, dtype=np.uint64)
    images = np.empty((n_images, image_size, image_size, 3), np.uint8)
    attributes = {
        name: np.empty(n_images, np.array(choices[name]).dtype) for name in choices
    }
    for rows in chunks(n_images, image_size, chunk_size):
        draws = Draws(seed, "shapes", indices[rows])
        names = choose_attributes(draws, choices, allowed)
        for name, values in names.items():
            attributes[name][rows] = values
        images[rows] = draw_scenes(random_scene(draws, **names), image_size=image_size)
    position = {name: label for label, name in enumerate(choices["shape"])}
    return ImageSet(
        images=images,
        labels=np.array([position[name] for name in attributes["shape"]]),
        class_names=choices["shape"],
        captions=tuple(map(caption_shape, *attributes.values())),
        attributes=attributes,
        card=CARD,
    )


def draw_shape(
    shape: str,
    *,
    color: str = "red",
    size: str = "large",
    background: str = "plain",
    image_size: int = 64,
) -> np.ndarray:
    """Return one clean picture: upright, centered, without clutter and noise.

    Parameters
    ----------
    shape, color, size, background : str
        Names out of `SOURCE_SHAPES` or `UNSEEN_SHAPES`, `COLORS`, `SIZES`, `BACKGROUNDS`.
    image_size : int, default=64
        Height and width in pixels, from 8 to 1024.

    Returns
    -------
    ndarray of shape (image_size, image_size, 3), uint8

    Raises
    ------
    SettingsError
        If a name is unknown or the size is out of range.

    Examples
    --------
    >>> draw_shape("heart", color="pink").shape
    (64, 64, 3)
    """
    check_names("shape", [shape], ALL_SHAPES)
    check_names("color", [color], COLORS)
    check_names("size", [size], SIZES)
    check_names("background", [background], BACKGROUNDS)
    check_image_size(image_size)
    return draw_scenes(clean_scene(shape, color, size, background), image_size=image_size)[
        0
    ]


def _allowed_colors(
    shapes: tuple[str, ...],
    colors: tuple[str, ...],
    exclude_pairs: Sequence[tuple[str, str]],
) -> np.ndarray:
    """Return which shape may have which color, bool of shape (n_shapes, n_colors)."""
    excluded = {tuple(pair) for pair in exclude_pairs}
    for pair in excluded:
        if len(pair) != 2 or pair[0] not in ALL_SHAPES or pair[1] not in COLORS:
            msg = f"exclude_pairs must hold pairs like ('star', 'red'), got {pair!r}."
            raise SettingsError(msg)
    allowed = np.array([[(s, c) not in excluded for c in colors] for s in shapes])
    if not allowed.any(axis=1).all():
        bare = shapes[int(np.flatnonzero(~allowed.any(axis=1))[0])]
        msg = (
            f"exclude_pairs leaves the shape {bare!r} without a color out of "
            f"{', '.join(colors)}. Allow another color, or leave the shape out."
        )
        raise SettingsError(msg)
    return allowed
