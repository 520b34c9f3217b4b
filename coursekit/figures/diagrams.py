"""Draw the diagrams of the lessons: an eye's receptive field, one window, flattening.

Nothing here measures anything: a diagram shows how something is meant.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Circle, Ellipse, FancyArrowPatch, Polygon

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures.arrays import as_array, as_image
from coursekit.figures.fields import draw_box
from coursekit.figures.figure import Figure
from coursekit.figures.images import draw_picture
from coursekit.figures.matrices import draw_matrix
from coursekit.figures.panels import make_panels
from coursekit.figures.style import COLORS, FONT_SIZES, PAGE_WIDTH, style
from coursekit.figures.text import format_number, wrap_text

__all__ = ["draw_receptive_field_of_the_eye", "draw_window", "show_flattened"]

_SIZE = FONT_SIZES["label"]


def draw_receptive_field_of_the_eye(
    *, title: str = "One ganglion cell sees only a window of the retina"
) -> Figure:
    """Return a diagram of photoreceptors that converge on one ganglion cell.

    Parameters
    ----------
    title : str
        Says what to see.

    Returns
    -------
    Figure
    """
    figure = Figure(width=8.0, height=3.9, title=title)
    axes = figure.subplots()
    with style():
        axes.set(xlim=(-0.8, 15.6), ylim=(0.1, 7.2), aspect="equal")
        axes.axis("off")
        _draw_retina(axes)
    return figure


def draw_window(
    image: Any,
    kernel: Any,
    response: Any,
    *,
    row: int,
    column: int,
    title: str,
    stride: int = 1,
) -> Figure:
    """Return a diagram of one window: picture, kernel, and the response pixel they give.

    Parameters
    ----------
    image : array or Tensor of shape (height, width)
        A small picture, 12 pixels wide or less.
    kernel : array or Tensor of shape (n_rows, n_columns)
    response : array or Tensor of shape (response_height, response_width)
        Of a convolution without padding.
    row, column : int
        The pixel of the response to explain.
    title : str
        Says what to see.
    stride : int, default=1
        Pixels from one window to the next.

    Returns
    -------
    Figure
        Under the panels stands the dot product, term by term.

    Raises
    ------
    ShapeError
        If something is no matrix, or the response is not as large as it must be.
    SettingsError
        If the response has no such pixel.
    """
    arrays = {"image": image, "kernel": kernel, "response": response}
    picture, weights, answers = (
        as_array(values, name=name, n_axes=2).astype(float)
        for name, values in arrays.items()
    )
    _check_window(picture, weights, answers, row, column, stride)
    top, left = row * stride, column * stride
    cell = 0.42
    captions = [
        f"picture, {picture.shape[0]} x {picture.shape[1]}",
        f"kernel, {weights.shape[0]} x {weights.shape[1]}",
        f"response, {answers.shape[0]} x {answers.shape[1]}",
    ]
    sizes = [(a.shape[1] * cell, a.shape[0] * cell) for a in (picture, weights, answers)]
    window = picture[top : top + weights.shape[0], left : left + weights.shape[1]]
    sentence = _dot_product(window, weights, answers[row, column])
    panels = make_panels(sizes, captions, title=title, n_columns=3, footer=sentence)
    for axes, array in zip(panels.axes, (picture, weights, answers), strict=True):
        limit = np.abs(array).max() or 1.0
        draw_matrix(
            axes,
            array,
            scale=Normalize(-2.4 * limit, 2.4 * limit),  # pale, so that numbers stand out
            color_map="RdBu_r",
            annotate=True,
        )
    n_rows, n_columns = weights.shape
    draw_box(panels.axes[0], (top, left, n_rows, n_columns), color=COLORS["black"])
    draw_box(panels.axes[1], (0, 0, n_rows, n_columns), color=COLORS["black"])
    draw_box(panels.axes[2], (row, column, 1, 1), color=COLORS["black"])
    return panels.figure


def show_flattened(image: Any, *, title: str, row: int | None = None) -> Figure:
    """Return a figure of an image beside the strip of numbers that a linear layer gets.

    Parameters
    ----------
    image : array or Tensor of shape (height, width) or (height, width, channels)
        As `show_images` takes it.
    title : str
        Says what to see.
    row : int, optional
        The row of the upper of two neighboring pixels that are marked in both; the middle
        of the image by default.

    Returns
    -------
    Figure
        With two axes: the image, and the strip in the order of ``Tensor.flatten`` for an
        image of shape (channels, height, width): the rows of red, of green, of blue.

    Raises
    ------
    ShapeError
        If it has no image's shape.
    SettingsError
        If there is no row below `row`.
    """
    picture = as_image(image, value_range=None, name="image")
    height, width = picture.shape[:2]
    row = (height - 1) // 2 if row is None else row
    if not 0 <= row < height - 1:
        msg = f"row must have a row below it: 0 .. {height - 2}, got {row}."
        raise SettingsError(msg)
    column = width // 2
    places = [row * width + column, (row + 1) * width + column]
    planes = np.atleast_3d(picture)[..., :3]
    strip = _strip(planes)
    n_numbers = strip.shape[1]
    scale = 2.0 / max(height, width)
    captions = [
        f"{height} x {width} pixels: two neighbors",
        f"{n_numbers:,} numbers in a row: the same two are {width} apart, "
        f"at places {places[0]:,} and {places[1]:,}",
    ]
    sizes = [(width * scale, height * scale), (PAGE_WIDTH - 0.3, 0.5)]
    panels = make_panels(sizes, captions, title=title, n_columns=1)
    draw_picture(panels.axes[0], picture)
    draw_box(panels.axes[0], (row, column, 1, 1), color=COLORS["sky"])
    draw_box(panels.axes[0], (row + 1, column, 1, 1), color=COLORS["sky"])
    draw_picture(panels.axes[1], strip)
    with style():
        for place in places:
            panels.axes[1].axvline(place, color=COLORS["sky"], linewidth=1.5)
            panels.axes[1].plot(place, 0.55, "^", color=COLORS["sky"], clip_on=False)
    return panels.figure


def _strip(planes: np.ndarray) -> np.ndarray:
    """One row of all numbers; in a color image, those of red are drawn red, and so on."""
    numbers = planes.transpose(2, 0, 1).reshape(1, -1)
    if planes.shape[2] == 1:
        return numbers
    hues = np.eye(3).repeat(numbers.size // 3, axis=0)
    return numbers[..., None] * hues


def _draw_retina(axes: Axes) -> None:
    inside, outside = COLORS["orange"], "#C9C9C9"
    window = range(5, 10)  # the receptors that reach the ganglion cell
    for index in range(15):
        x = index + 1.2
        color = inside if index in window else outside
        axes.add_patch(Ellipse((x, 5.0), 0.55, 1.1, facecolor=color, edgecolor="#555555"))
        if index in window:
            axes.plot([x, 8.2], [4.45, 1.6], color=inside, linewidth=1.6, zorder=0)
        else:
            axes.plot([x, x], [4.45, 3.9], color=outside, linewidth=1.2, zorder=0)
        arrow = FancyArrowPatch(
            (x, 6.9), (x, 5.75), arrowstyle="-|>", mutation_scale=9, color="#999999"
        )
        axes.add_patch(arrow)
    axes.add_patch(
        Polygon([(5.75, 5.7), (10.65, 5.7), (10.65, 4.3), (5.75, 4.3)], fill=False)
    )
    axes.add_patch(
        Circle((8.2, 1.4), 0.55, facecolor=COLORS["blue"], edgecolor="#222222", zorder=2)
    )
    axes.plot([8.2, 8.2], [0.85, 0.1], color=COLORS["blue"], linewidth=2)
    notes = [
        (-0.7, 6.4, "light", "left"),
        (-0.7, 3.4, "photoreceptors", "left"),
        (
            10.6,
            3.4,
            "receptive field: the receptors\nwhose light changes the answer",
            "left",
        ),
        (9.1, 1.4, "ganglion cell: adds up its window", "left"),
        (8.5, 0.35, "to the brain", "left"),
    ]
    for x, y, text, side in notes:
        axes.text(x, y, text, ha=side, va="center", fontsize=_SIZE)


def _dot_product(window: np.ndarray, weights: np.ndarray, answer: float) -> str:
    """Write the sum that gives one pixel of the response."""
    terms = [
        f"{format_number(pixel)}·{_in_brackets(weight)}"
        for pixel, weight in zip(window.flat, weights.flat, strict=True)
    ]
    sentence = f"window · kernel = {' + '.join(terms)} = {format_number(answer)}"
    return wrap_text(sentence, 6.5, size=_SIZE)


def _in_brackets(number: float) -> str:
    text = format_number(number)
    return f"({text})" if number < 0 else text


def _check_window(
    picture: np.ndarray,
    weights: np.ndarray,
    answers: np.ndarray,
    row: int,
    column: int,
    stride: int,
) -> None:
    expected = tuple(
        (size - k) // stride + 1
        for size, k in zip(picture.shape, weights.shape, strict=True)
    )
    if answers.shape != expected:
        msg = (
            f"A {weights.shape} kernel on a {picture.shape} picture with stride {stride} and "
            f"no padding gives a response of shape {expected}, got {answers.shape}. Pad the "
            "picture first, and draw the padded one."
        )
        raise ShapeError(msg)
    if not (0 <= row < expected[0] and 0 <= column < expected[1]):
        msg = (
            f"row and column name a pixel of the {expected[0]} x {expected[1]} response, got "
            f"({row}, {column})."
        )
        raise SettingsError(msg)
