"""Draw points in a plane by class, with the images that some of them stand for.

Nothing here knows how the plane was found.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures.arrays import as_array, as_image, as_images
from coursekit.figures.figure import Figure
from coursekit.figures.style import (
    COLORS,
    FONT_SIZES,
    PAGE_WIDTH,
    PIXELS_PER_INCH,
    SCREEN_PIXELS_PER_INCH,
    color_cycle,
    style,
)

__all__ = ["plot_map"]

_MARKERS = "os^D"  # another for each seven classes, whose colors start again
_HEIGHT = 4.6
_THUMBNAIL = 0.36  # inches


def plot_map(
    points: Any,
    labels: Any,
    class_names: Sequence[str],
    *,
    title: str,
    images: Any = None,
    n_images: int = 40,
) -> Figure:
    """Return a figure with one dot a point, colored by its class.

    Parameters
    ----------
    points : array or Tensor of shape (n_points, 2), or a mapping of str to such
        With a mapping, such as ``{"PCA": ..., "t-SNE": ...}``, one panel each, side by side.
    labels : array-like of shape (n_points,), int
        The class of each point.
    class_names : sequence of str
        One a class. Beyond seven, colors come again with another form of dot.
    title : str
        Says what to see.
    images : sequence of images, optional
        One a point. Some are drawn at their points, framed in the color of their class,
        where they do not cover each other.
    n_images : int, default=40
        At most so many in a panel.

    Returns
    -------
    Figure
        Without ticks: in such a plane only nearness has a meaning.

    Raises
    ------
    ShapeError
        If points are not in a plane, or labels or images are not one for each.
    SettingsError
        If a label has no name.

    Examples
    --------
    >>> figure = plot_map([[0, 0], [1, 1], [2, 0]], [0, 1, 0], ["a", "b"], title="Classes")
    >>> [len(dots.get_offsets()) for dots in figure.axes[0].collections]
    [2, 1]
    """
    panels = points if isinstance(points, Mapping) else {"": points}
    labels = _read_labels(labels, class_names)
    read = {str(name): _read(str(name), p, len(labels)) for name, p in panels.items()}
    pictures = None if images is None else as_images(images, name="images")
    if pictures is not None and len(pictures) != len(labels):
        msg = (
            f"images must be one for each of the {len(labels)} points, got {len(pictures)}."
        )
        raise ShapeError(msg)
    pixels_per_inch = PIXELS_PER_INCH if pictures is None else SCREEN_PIXELS_PER_INCH
    figure = Figure(
        width=PAGE_WIDTH, height=_HEIGHT, title=title, pixels_per_inch=pixels_per_inch
    )
    row = figure.subplots(1, len(read), squeeze=False)[0]
    with style():
        for axes, (name, plane) in zip(row, read.items(), strict=True):
            _draw_points(axes, name, plane, labels, class_names)
        handles, names = row[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right center", markerscale=1.3)
        if pictures is not None:
            figure.draw_without_rendering()  # so that places on the page are known
            for axes, plane in zip(row, read.values(), strict=True):
                _draw_thumbnails(axes, plane, labels, pictures, n_images)
    return figure


def _read_labels(labels: Any, class_names: Sequence[str]) -> np.ndarray:
    labels = as_array(labels, name="labels", n_axes=1)
    if labels.dtype.kind not in "iu":
        labels = np.rint(labels).astype(int)
    if labels.min() < 0 or labels.max() >= len(class_names):
        msg = (
            f"Labels must lie in 0 .. {len(class_names) - 1}, one for each of the "
            f"{len(class_names)} class names, got {labels.min()} .. {labels.max()}."
        )
        raise SettingsError(msg)
    return labels


def _read(name: str, points: Any, n_points: int) -> np.ndarray:
    plane = as_array(points, name=f"points {name!r}", n_axes=2).astype(float)
    if plane.shape != (n_points, 2):
        msg = (
            f"points {name!r} must have shape ({n_points}, 2), one row a label, got "
            f"{plane.shape}."
        )
        raise ShapeError(msg)
    return plane


def _look(label: int) -> tuple[str, str]:
    """Return the color and the form of a class."""
    return color_cycle(label + 1)[label], _MARKERS[label // len(COLORS) % len(_MARKERS)]


def _draw_points(
    axes: Axes, name: str, plane: np.ndarray, labels: np.ndarray, names: Sequence[str]
) -> None:
    for label in range(len(names)):
        color, marker = _look(label)
        own = plane[labels == label]
        axes.scatter(*own.T, s=26, color=color, marker=marker, label=str(names[label]))
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color="#BBBBBB", linewidth=0.8)
    axes.margins(0.07)
    axes.set_title(name, loc="left", fontsize=FONT_SIZES["label"])


def _draw_thumbnails(
    axes: Axes, plane: np.ndarray, labels: np.ndarray, images: list[Any], n_images: int
) -> None:
    side = _THUMBNAIL * axes.figure.dpi
    places = axes.transData.transform(plane)
    taken: list[int] = []
    for index in _round_robin(labels):
        distances = np.abs(places[taken] - places[index]).max(axis=1) if taken else [np.inf]
        if len(taken) < n_images and min(distances) > 1.25 * side:
            taken.append(index)
    for index in taken:
        picture = as_image(images[index], value_range=None, name=f"image {index}")
        zoom = 72 * _THUMBNAIL / max(picture.shape[:2])
        box = OffsetImage(picture, zoom=zoom, cmap="gray", interpolation="nearest")
        frame = {"edgecolor": _look(labels[index])[0], "linewidth": 2.0}
        axes.add_artist(AnnotationBbox(box, plane[index], pad=0.06, bboxprops=frame))


def _round_robin(labels: np.ndarray) -> list[int]:
    """Return the points' numbers: the first of each class, then the second of each ..."""
    turns = np.empty(len(labels), dtype=int)
    for label in np.unique(labels):
        own = labels == label
        turns[own] = np.arange(own.sum())
    return np.lexsort((labels, turns)).tolist()
