"""Draw predictions: images with the classes that a model thinks likeliest.

Nothing here knows which model it was.
"""

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from coursekit.errors import ShapeError
from coursekit.figures.arrays import as_image
from coursekit.figures.figure import Figure
from coursekit.figures.images import draw_picture
from coursekit.figures.panels import choose_columns, make_panels, panel_width
from coursekit.figures.style import COLORS, PIXELS_PER_INCH, SCREEN_PIXELS_PER_INCH

if TYPE_CHECKING:  # torch is slow to import
    from coursekit.training import TopPredictions

__all__ = ["show_predictions"]

_FRAME = 3.0  # points
_SMALL = 96  # pixels: below it an image is drawn small
_MOST = 8  # in a row


def show_predictions(
    images: Any,
    predictions: "TopPredictions",
    *,
    title: str,
    n_columns: int | None = None,
) -> Figure:
    """Return a figure of images with their likeliest classes and the probabilities of these.

    A right one has a green frame and a check mark, a wrong one a vermilion frame, a cross and
    the true class.

    Parameters
    ----------
    images : ImageSet, array or sequence of images
        One for each row of `predictions`, in its order, each of shape (height, width) or
        (height, width, channels); sizes may differ.
    predictions : TopPredictions
        For a gallery of mistakes: ``images.subset(p.wrong[:8])`` and
        ``p.subset(p.wrong[:8])``.
    title : str
        Says what to see.
    n_columns : int, optional
        Images in a row; chosen by their number and size when not given.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If there is no image, or not one for each row of `predictions`.

    Examples
    --------
    >>> from coursekit.training import top_predictions
    >>> found = top_predictions([[2.0, 0.0]], [1], k=1, class_names=["cat", "dog"])
    >>> figure = show_predictions(np.zeros((1, 8, 8), np.uint8), found, title="A mistake")
    >>> figure.axes[0].get_title(loc="left").splitlines()
    ['✗ is dog', '88% cat']
    """
    items = list(getattr(images, "images", images))
    if not items or len(items) != len(predictions):
        msg = (
            "Every row of predictions needs one image, at least one, got "
            f"{len(items)} images and {len(predictions)} rows. Take the same of both: "
            "images.subset(rows), predictions.subset(rows)."
        )
        raise ShapeError(msg)
    pictures = [
        as_image(item, value_range=None, name=f"image {i}") for i, item in enumerate(items)
    ]
    captions = [_caption(predictions, row) for row in range(len(predictions))]
    is_small = max(max(picture.shape[:2]) for picture in pictures) <= _SMALL
    max_width = 1.4 if is_small else 2.2
    n_columns = choose_columns(
        [""] * len(captions), n_columns=n_columns, most=_MOST, max_width=max_width
    )
    width = min(max_width, panel_width(n_columns))
    panels = make_panels(
        [_fit(picture, width) for picture in pictures],
        captions,
        title=title,
        n_columns=n_columns,
        pixels_per_inch=PIXELS_PER_INCH if is_small else SCREEN_PIXELS_PER_INCH,
    )
    for row, (axes, picture) in enumerate(zip(panels.axes, pictures, strict=True)):
        draw_picture(axes, picture)
        if predictions.labels is not None:
            is_right = predictions.classes[row, 0] == predictions.labels[row]
            color = COLORS["green" if is_right else "vermilion"]
            axes._left_title.set_color(color)
            axes.spines[:].set(visible=True, linewidth=_FRAME, color=color)
    return panels.figure


def _caption(predictions: "TopPredictions", row: int) -> str:
    names = predictions.class_names
    lines = [
        f"{probability:.0%} {_words(names[number])}"
        for number, probability in zip(
            predictions.classes[row], predictions.probabilities[row], strict=True
        )
    ]
    if predictions.labels is None:
        return "\n".join(lines)
    truth = int(predictions.labels[row])
    if predictions.classes[row, 0] == truth:
        return "✓ " + "\n".join(lines)
    return "\n".join([f"✗ is {_words(names[truth])}", *lines])


def _words(name: str) -> str:
    """Return names such as SeaLake as words, so that they can be wrapped."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


def _fit(picture: np.ndarray, width: float) -> tuple[float, float]:
    height, columns = picture.shape[:2]
    scale = width / max(height, columns)
    return max(columns * scale, 0.02), max(height * scale, 0.02)
