"""Draw what random transforms make of an image: the original, and samples beside it.

Nothing here knows how the samples were made.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from coursekit.errors import ShapeError
from coursekit.figures.arrays import as_image, as_images
from coursekit.figures.figure import Figure
from coursekit.figures.images import draw_picture
from coursekit.figures.panels import make_panels, panel_width
from coursekit.figures.style import PIXELS_PER_INCH, SCREEN_PIXELS_PER_INCH

__all__ = ["show_augmentations"]

_LARGEST = 1.6  # inches of a panel
_SMALL = 96  # pixels: such images are drawn with sharp pixels


def show_augmentations(
    image: Any, samples: Mapping[str, Sequence[Any]], *, title: str
) -> Figure:
    """Return a figure with one row a transform: the original, then samples.

    Parameters
    ----------
    image : image
        The original: array, Tensor or PIL image, as `show_images` takes them.
    samples : mapping of str to sequence of images
        For each transform, by name, what it made of the image: as many for each. Sizes may
        differ.
    title : str
        Says what to see.

    Returns
    -------
    Figure
        The name of the transform stands over its first sample.

    Raises
    ------
    ShapeError
        If there is no transform, or the numbers of samples differ.
    SettingsError
        If values are not finite or outside 0 to 1.

    Examples
    --------
    >>> from numpy import zeros
    >>> show_augmentations(zeros((8, 8)), {"noise": [zeros((8, 8))] * 3}, title="Noise")
    <Figure: 'Noise', 4 axes>
    """
    rows = {str(name): as_images(items, name=name) for name, items in samples.items()}
    counts = sorted({len(items) for items in rows.values()})
    if len(counts) != 1:
        msg = (
            "Every transform must have the same number of samples, at least one, got "
            f"{ {name: len(items) for name, items in rows.items()} }."
        )
        raise ShapeError(msg)
    original = as_image(image, value_range=None, name="image")
    pictures, captions = [], []
    for name, items in rows.items():
        drawn = [as_image(item, value_range=None, name=name) for item in items]
        pictures += [original, *drawn]
        captions += ["original", name, *[""] * (len(items) - 1)]
    n_columns = counts[0] + 1
    width = min(_LARGEST, panel_width(n_columns))
    longest = max(max(picture.shape[:2]) for picture in pictures)
    panels = make_panels(
        [_fit(picture.shape, width) for picture in pictures],
        captions,
        title=title,
        n_columns=n_columns,
        pixels_per_inch=PIXELS_PER_INCH if longest <= _SMALL else SCREEN_PIXELS_PER_INCH,
    )
    for axes, picture in zip(panels.axes, pictures, strict=True):
        draw_picture(axes, picture)
    return panels.figure


def _fit(shape: tuple[int, ...], width: float) -> tuple[float, float]:
    """Size in inches, of a height that rows share."""
    height, columns = shape[:2]
    scale = min(width / columns, width / height)
    return columns * scale, height * scale
