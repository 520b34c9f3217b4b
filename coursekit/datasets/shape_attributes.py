"""What can be said of a picture in the shapes world: names, their numbers, and captions.

Nothing here draws.
"""

from coursekit.datasets.backgrounds import BACKGROUNDS
from coursekit.datasets.shape_atlas import SOURCE_SHAPES, UNSEEN_SHAPES

__all__ = [
    "ALL_SHAPES",
    "BACKGROUNDS",
    "COLORS",
    "HELD_OUT_PAIRS",
    "RADII",
    "RGB",
    "SIZES",
    "SOURCE_SHAPES",
    "UNSEEN_SHAPES",
    "caption_shape",
]

ALL_SHAPES = SOURCE_SHAPES + UNSEEN_SHAPES

RGB = {
    "red": (0.85, 0.12, 0.12),
    "orange": (0.96, 0.52, 0.08),
    "yellow": (0.96, 0.87, 0.16),
    "green": (0.14, 0.58, 0.18),
    "cyan": (0.15, 0.80, 0.86),
    "blue": (0.12, 0.24, 0.85),
    "purple": (0.54, 0.16, 0.72),
    "pink": (0.97, 0.50, 0.70),
    "brown": (0.44, 0.25, 0.11),
    "white": (0.95, 0.95, 0.94),
}
"""Red, green and blue of each color, from 0 to 1."""

COLORS = tuple(RGB)
"""Colors of the shapes."""

RADII = {"small": 0.36, "medium": 0.52, "large": 0.72}
"""Half-width of a shape of each size, as a share of the picture's."""

SIZES = tuple(RADII)
"""Sizes of the shapes."""

HELD_OUT_PAIRS = tuple(
    (shape, COLORS[3 * number % len(COLORS)]) for number, shape in enumerate(ALL_SHAPES)
)
"""One (shape, color) pair in ten, to keep out of training: one color of every shape, two or
three shapes of every color."""


def caption_shape(shape: str, color: str = "", size: str = "", background: str = "") -> str:
    """Return what a picture shows, in words; a part that is not given is left out.

    Parameters
    ----------
    shape : str
        Such as ``"star"``; any noun will do.
    color, size, background : str, optional
        Adjectives.

    Returns
    -------
    str

    Examples
    --------
    >>> caption_shape("star", "red", "small", "striped")
    'a small red star on a striped background'
    >>> caption_shape("hourglass", "orange")
    'an orange hourglass'
    """
    caption = _with_article(" ".join(filter(None, (size, color, shape))))
    return f"{caption} on {_with_article(background)} background" if background else caption


def _with_article(words: str) -> str:
    sounds_like_vowel = words[0] in "aeio" or words.startswith("hour")
    return f"{'an' if sounds_like_vowel else 'a'} {words}"
