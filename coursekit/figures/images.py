"""Draw pictures: grids of images, and pairs of before and after.

Nothing here knows where the images come from or what is done with them.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes

from coursekit.errors import ShapeError
from coursekit.figures.arrays import as_image, as_images, check_captions
from coursekit.figures.figure import Figure
from coursekit.figures.panels import choose_columns, make_panels, panel_width
from coursekit.figures.style import PIXELS_PER_INCH, SCREEN_PIXELS_PER_INCH, style

__all__ = ["draw_picture", "show_before_after", "show_images"]

_SMALL = 96  # pixels: below it an image is drawn small, ten in a row


def show_images(
    images: Any,
    captions: Sequence[str] | None = None,
    *,
    title: str,
    n_columns: int | None = None,
    value_range: tuple[float, float] | Literal["each"] | None = None,
    color_map: str = "gray",
) -> Figure:
    """Return a figure with a grid of images, each under its caption.

    Parameters
    ----------
    images : array, Tensor or sequence of images
        Each of shape (height, width) or (height, width, channels), tensors of shape
        (channels, height, width); sizes may differ. Bytes, or numbers from 0 to 1. A
        single image is drawn alone.
    captions : sequence of str, optional
        One an image.
    title : str
        Says what to see.
    n_columns : int, optional
        Images in a row; chosen by their number and size when not given.
    value_range : (float, float) or "each", optional
        The values drawn as black and as white, the same for all images; with ``"each"``,
        every image's own smallest and largest.
    color_map : str, default="gray"
        matplotlib's name of the colors for images of one channel.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If there is no image, one has no image's shape, or the captions do not match.
    SettingsError
        If values are not finite, or outside 0 to 1 without a `value_range`.

    Examples
    --------
    >>> show_images(np.zeros((2, 8, 8, 3), np.uint8), ["one", "two"], title="Two images")
    <Figure: 'Two images', 2 axes>
    """
    items = as_images(images, name="images")
    pictures = [
        as_image(item, value_range=value_range, name=f"image {i}")
        for i, item in enumerate(items)
    ]
    captions = check_captions(captions, len(pictures), name="images")
    longest = max(max(picture.shape[:2]) for picture in pictures)
    is_small = longest <= _SMALL
    most, max_width = (10, 1.5) if is_small else (4, 4.0 if len(pictures) == 1 else 3.0)
    n_columns = choose_columns(
        captions, n_columns=n_columns, most=most, max_width=max_width
    )
    width = min(max_width, panel_width(n_columns))
    sizes = [_fit(picture, width) for picture in pictures]
    panels = make_panels(
        sizes,
        captions,
        title=title,
        n_columns=n_columns,
        pixels_per_inch=PIXELS_PER_INCH if is_small else SCREEN_PIXELS_PER_INCH,
    )
    for axes, picture in zip(panels.axes, pictures, strict=True):
        draw_picture(axes, picture, color_map=color_map)
    return panels.figure


def show_before_after(
    before: Any,
    after: Any,
    *,
    title: str,
    captions: tuple[str, str] = ("before", "after"),
    value_range: tuple[float, float] | Literal["each"] | None = None,
    color_map: str = "gray",
) -> Figure:
    """Return a figure with pairs of images: what went in beside what came out.

    Parameters
    ----------
    before, after : image, or sequence of images
        As `show_images` takes them, the same number of each.
    title : str
        Says what to see.
    captions : (str, str)
        Over the left and over the right image of every pair.
    value_range : (float, float) or "each", optional
        The values drawn as black and as white, the same for all images; with ``"each"``,
        every image's own smallest and largest.
    color_map : str, default="gray"
        matplotlib's name of the colors for images of one channel.

    Returns
    -------
    Figure
        With one pair a row, or two pairs when there are several.

    Raises
    ------
    ShapeError
        If the numbers of images differ.
    """
    firsts, seconds = as_images(before, name="before"), as_images(after, name="after")
    if len(firsts) != len(seconds):
        msg = (
            "Every image before needs one after, got "
            f"{len(firsts)} before and {len(seconds)} after."
        )
        raise ShapeError(msg)
    pairs = [image for pair in zip(firsts, seconds, strict=True) for image in pair]
    left, right = check_captions(captions, 2, name="sides")
    return show_images(
        pairs,
        [left, right] * len(firsts),
        title=title,
        n_columns=2 if len(firsts) == 1 else 4,
        value_range=value_range,
        color_map=color_map,
    )


def draw_picture(axes: Axes, picture: np.ndarray, *, color_map: str = "gray") -> None:
    """Draw one image on `axes`: small ones with sharp pixels, large ones smoothed.

    Parameters
    ----------
    axes : Axes
    picture : ndarray of shape (height, width) or (height, width, 3 or 4)
        Brightness from 0 to 1.
    color_map : str, default="gray"
    """
    room = axes.get_position().width * axes.figure.bbox.width
    with style():
        axes.imshow(
            picture,
            cmap=color_map,
            vmin=0,
            vmax=1,
            aspect="auto",
            interpolation="nearest" if picture.shape[1] <= room else "hanning",
        )


def _fit(picture: np.ndarray, width: float) -> tuple[float, float]:
    """Size in inches; tall pictures are made narrower, so that rows stay of a height."""
    height, columns = picture.shape[:2]
    scale = min(width / columns, 1.25 * width / height)
    return max(columns * scale, 0.02), max(height * scale, 0.02)
