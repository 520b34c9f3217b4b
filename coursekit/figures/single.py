"""Figures that one lesson shows: the eye, flattening, sound, a plane of points, images and texts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patches import Circle, Ellipse, FancyArrowPatch, Polygon

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures.base import (
    COLORS,
    FONT_SIZES,
    PAGE_WIDTH,
    PIXELS_PER_INCH,
    SCREEN_PIXELS_PER_INCH,
    Figure,
    color_cycle,
    readable_color,
    style,
    text_height,
    text_width,
    wrap_text,
)
from coursekit.figures.panels import as_array, as_image, as_images, make_panels
from coursekit.figures.pictures import draw_box, draw_picture

_SIZE = FONT_SIZES["tick"]
_TEXT_WIDTH = 1.9  # inches
_MARGIN = 0.12


# --- lesson 01 ----------------------------------------------------------------------------


def draw_receptive_field_of_the_eye(*, title: str) -> Figure:
    """Return a diagram of photoreceptors that converge on one ganglion cell."""
    figure = Figure(width=8.0, height=3.9, title=title)
    axes = figure.subplots()
    inside, outside, blue = COLORS["orange"], "#C9C9C9", COLORS["blue"]
    with style():
        axes.set(xlim=(-0.8, 15.6), ylim=(0.1, 7.2), aspect="equal")
        axes.axis("off")
        for index in range(15):
            x, reaches = index + 1.2, 5 <= index < 10  # the ganglion cell
            color = inside if reaches else outside
            receptor = {"facecolor": color, "edgecolor": "#555555"}
            axes.add_patch(Ellipse((x, 5.0), 0.55, 1.1, **receptor))
            if reaches:
                axes.plot([x, 8.2], [4.45, 1.6], color=inside, linewidth=1.6, zorder=0)
            else:
                axes.plot([x, x], [4.45, 3.9], color=outside, linewidth=1.2, zorder=0)
            light = {"arrowstyle": "-|>", "mutation_scale": 9, "color": "#999999"}
            axes.add_patch(FancyArrowPatch((x, 6.9), (x, 5.75), **light))
        corners = [(5.75, 5.7), (10.65, 5.7), (10.65, 4.3), (5.75, 4.3)]
        axes.add_patch(Polygon(corners, fill=False))
        cell = {"facecolor": blue, "edgecolor": "#222222", "zorder": 2}
        axes.add_patch(Circle((8.2, 1.4), 0.55, **cell))
        axes.plot([8.2, 8.2], [0.85, 0.1], color=blue, linewidth=2)
        for x, y, text in (
            (-0.7, 6.4, "light"),
            (-0.7, 3.4, "photoreceptors"),
            (10.6, 3.4, "receptive field: the receptors\nwhose light changes the answer"),
            (9.1, 1.4, "ganglion cell: adds up its window"),
            (8.5, 0.35, "to the brain"),
        ):
            axes.text(x, y, text, ha="left", va="center", fontsize=FONT_SIZES["label"])
    return figure


def show_flattened(image: Any, *, title: str) -> Figure:
    """Return a figure of an image beside the strip of numbers that a linear layer gets.

    Two pixels in the middle, one above the other, are marked in both. The strip has the order
    of ``Tensor.flatten`` for (channels, height, width): the rows of red, of green, of blue.
    """
    picture = as_image(image, name="image")
    height, width = picture.shape[:2]
    row, column = (height - 1) // 2, width // 2
    places = [row * width + column, (row + 1) * width + column]
    planes = np.atleast_3d(picture)[..., :3]
    strip = planes.transpose(2, 0, 1).reshape(1, -1)
    n_numbers = strip.shape[1]
    if planes.shape[2] == 3:  # the numbers of red are drawn red, and so on
        strip = strip[..., None] * np.eye(3).repeat(n_numbers // 3, axis=0)
    scale = 2.0 / max(height, width)
    captions = [
        f"{height} x {width} pixels: two neighbors",
        f"{n_numbers:,} numbers in a row: the same two are {width} apart, "
        f"at places {places[0]:,} and {places[1]:,}",
    ]
    sizes = [(width * scale, height * scale), (PAGE_WIDTH - 0.3, 0.5)]
    panels = make_panels(sizes, captions, title=title, n_columns=1)
    color = COLORS["sky"]
    draw_picture(panels.axes[0], picture)
    draw_box(panels.axes[0], (row, column, 1, 1), color=color)
    draw_box(panels.axes[0], (row + 1, column, 1, 1), color=color)
    draw_picture(panels.axes[1], strip)
    with style():
        for place in places:
            panels.axes[1].axvline(place, color=color, linewidth=1.5)
            panels.axes[1].plot(place, 0.55, "^", color=color, clip_on=False)
    return panels.figure


def plot_spectrogram(
    spectrogram: Any, *, sample_rate: float, hop_length: int, title: str
) -> Figure:
    """Return a figure of how strong each frequency is at each time.

    Parameters
    ----------
    spectrogram : array or Tensor of shape (n_frequencies, n_frames)
        As `torch.stft` orders it, real: from 0 hertz in its first row to half the sample
        rate in its last.
    sample_rate, hop_length
        Samples of the signal per second, and from one frame to the next.
    title : str
    """
    strengths = as_array(spectrogram, name="spectrogram", n_axes=2).astype(float)
    n_frequencies, n_frames = strengths.shape
    step = sample_rate / 2 / max(n_frequencies - 1, 1)  # hertz from row to row
    frame = hop_length / sample_rate
    extent = (-frame / 2, (n_frames - 0.5) * frame, -step / 2, sample_rate / 2 + step / 2)
    figure = Figure(height=3.4, title=title)
    axes = figure.subplots()
    look = {"origin": "lower", "aspect": "auto", "interpolation": "nearest"}
    with style():
        drawn = axes.imshow(strengths, extent=extent, cmap="magma", **look)
        axes.set(xlabel="time (s)", ylabel="frequency (Hz)")
        axes.set_ylim(0, sample_rate / 2)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.grid(visible=False)
        bar = figure.colorbar(drawn, ax=axes, pad=0.015)
        bar.set_label("magnitude")
        bar.outline.set_visible(False)
    return figure


# --- lesson 03 ----------------------------------------------------------------------------

_MARKERS = "os^D"  # another for each seven classes, whose colors start again
_THUMBNAIL = 0.36  # inches


def plot_map(
    points: Mapping[str, Any],
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
    points : mapping of str to array or Tensor of shape (n_points, 2)
        Such as ``{"PCA": ..., "t-SNE": ...}``: one panel each, side by side.
    labels : array-like of shape (n_points,), int
    class_names : sequence of str
    title : str
    images : sequence of images, optional
        One a point. Some are drawn at their points, framed in the color of their class,
        where they do not cover each other.
    n_images : int, default=40
        At most so many in a panel.

    Examples
    --------
    >>> planes = {"PCA": [[0, 0], [1, 1], [2, 0]]}
    >>> figure = plot_map(planes, [0, 1, 0], ["a", "b"], title="Classes")
    >>> [len(dots.get_offsets()) for dots in figure.axes[0].collections]
    [2, 1]
    """
    labels = as_array(labels, name="labels", n_axes=1).astype(int)
    planes = {
        name: as_array(plane, name=f"points {name!r}", n_axes=2).astype(float)
        for name, plane in points.items()
    }
    if any(plane.shape != (len(labels), 2) for plane in planes.values()):
        msg = (
            f"points must have shape ({len(labels)}, 2), one row a label, got "
            f"{[plane.shape for plane in planes.values()]}."
        )
        raise ShapeError(msg)
    pixels_per_inch = PIXELS_PER_INCH if images is None else SCREEN_PIXELS_PER_INCH
    figure = Figure(height=4.6, title=title, pixels_per_inch=pixels_per_inch)
    row = figure.subplots(1, len(planes), squeeze=False)[0]
    colors = color_cycle(len(class_names))
    with style():
        for axes, (name, plane) in zip(row, planes.items(), strict=True):
            for label, class_name in enumerate(class_names):
                marker = _MARKERS[label // len(COLORS) % len(_MARKERS)]
                look = {"color": colors[label], "marker": marker, "label": str(class_name)}
                axes.scatter(*plane[labels == label].T, s=26, **look)
            axes.set(xticks=[], yticks=[])
            axes.grid(visible=False)
            axes.spines[:].set(visible=True, color="#BBBBBB", linewidth=0.8)
            axes.margins(0.07)
            axes.set_title(name, loc="left", fontsize=FONT_SIZES["label"])
        handles, names = row[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right center", markerscale=1.3)
        if images is not None:
            pictures = as_images(images, name="images")
            figure.draw_without_rendering()  # so that places on the page are known
            for axes, plane in zip(row, planes.values(), strict=True):
                for index in _choose_apart(axes, plane, labels, n_images):
                    picture = as_image(pictures[index], name=f"image {index}")
                    zoom = 72 * _THUMBNAIL / max(picture.shape[:2])
                    box = OffsetImage(
                        picture, zoom=zoom, cmap="gray", interpolation="nearest"
                    )
                    frame = {"edgecolor": colors[labels[index]], "linewidth": 2.0}
                    at = {"pad": 0.06, "bboxprops": frame}
                    axes.add_artist(AnnotationBbox(box, plane[index], **at))
    return figure


def _choose_apart(
    axes: Axes, plane: np.ndarray, labels: np.ndarray, n_images: int
) -> list[int]:
    """Return points whose images do not cover each other, the classes by turns."""
    turns = np.empty(len(labels), dtype=int)
    for label in np.unique(labels):
        turns[labels == label] = np.arange((labels == label).sum())
    least = 1.25 * _THUMBNAIL * axes.figure.dpi
    places = axes.transData.transform(plane)
    taken: list[int] = []
    for index in np.lexsort((labels, turns)).tolist():
        distances = np.abs(places[taken] - places[index]).max(axis=1)
        if len(taken) < n_images and distances.min(initial=np.inf) > least:
            taken.append(index)
    return taken


# --- lesson 07 ----------------------------------------------------------------------------

_CELL = 0.62  # inches
_GAP = 0.12  # inches between images found


def show_similarity(
    similarities: Any, images: Any, texts: Sequence[str], *, title: str
) -> Figure:
    """Return a figure with a row for each image and a column for each text.

    Parameters
    ----------
    similarities : array or Tensor of shape (n_images, n_texts)
        Cosines. They are written into the cells.
    images : ImageSet, array or sequence of images
    texts : sequence of str
    title : str

    Examples
    --------
    >>> pictures = np.zeros((2, 8, 8), np.uint8)
    >>> figure = show_similarity([[0.9, 0.1], [0, 1]], pictures, ["a disc", "a star"], title="Own")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0.90', '0.10', '0.00', '1.00']
    """
    values = as_array(similarities, name="similarities", n_axes=2).astype(float)
    pictures = [
        as_image(item, name="an image") for item in as_images(images, name="images")
    ]
    if values.shape != (len(pictures), len(texts)):
        msg = (
            "similarities must have one row for each image and one column for each text, got "
            f"shape {values.shape} for {len(pictures)} images and {len(texts)} texts."
        )
        raise ShapeError(msg)
    wrapped = [wrap_text(text, _TEXT_WIDTH, size=_SIZE) for text in texts]
    below = max(text_width(text, size=_SIZE) for text in wrapped)
    width = min(PAGE_WIDTH, _CELL * (len(texts) + 1) + 1.7)
    figure = Figure(width=width, height=_CELL * len(pictures) + below + 0.7, title=title)
    axes = figure.subplots()
    with style():
        drawn = axes.imshow(values, cmap="viridis", interpolation="nearest")
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        for (row, column), value in np.ndenumerate(values):
            color = readable_color(drawn.cmap(drawn.norm(value))[:3])
            text = f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
            look = {"ha": "center", "va": "center", "color": color, "size": _SIZE}
            axes.text(column, row, text, **look)
        axes.set_xticks(range(len(texts)), wrapped, rotation=90)
        axes.set_yticks([])
        for row, picture in enumerate(pictures):
            inset = axes.inset_axes((-1.45, row - 0.45, 0.9, 0.9), transform=axes.transData)
            draw_picture(inset, picture)
            inset.set(xticks=[], yticks=[])
        scale = ScalarMappable(Normalize(values.min(), values.max()), "viridis")
        bar = figure.colorbar(scale, ax=axes, shrink=0.8)
        bar.set_label("cosine similarity")
        bar.outline.set_visible(False)
    return figure


def show_retrieved(
    texts: Sequence[str], bank: Any, indices: Any, *, title: str, is_right: Any = None
) -> Figure:
    """Return a figure with each text and the images found for it, most similar first.

    Parameters
    ----------
    texts : sequence of str
    bank : ImageSet, array or sequence of images
        Where they were looked for.
    indices : array or Tensor of shape (n_texts, k)
        Places in `bank`, with ``k`` at most 8.
    title : str
    is_right : array of shape (n_texts, k), bool, optional
        Whether each is what was asked for: a green frame, else a vermilion one.

    Examples
    --------
    >>> pictures = np.zeros((2, 8, 8), np.uint8)
    >>> figure = show_retrieved(["a star"], pictures, [[1, 0]], title="Found")
    >>> len(figure.axes), figure.texts[-1].get_text()
    (2, 'a star')
    """
    items = as_images(bank, name="bank")
    table = as_array(indices, name="indices", n_axes=2).astype(int)
    right = np.full(table.shape, None) if is_right is None else np.asarray(is_right)
    if len(table) != len(texts) or right.shape != table.shape or table.shape[1] > 8:
        msg = (
            f"indices (and is_right) must have one row for each of {len(texts)} texts, and at "
            f"most 8 columns, got {table.shape} (and {right.shape})."
        )
        raise SettingsError(msg)
    side = min(0.9, (PAGE_WIDTH - _TEXT_WIDTH) / table.shape[1] - _GAP)
    width = _TEXT_WIDTH + (side + _GAP) * table.shape[1] + 2 * _MARGIN
    heading = Figure(width=width, height=1, title=title, layout="none").title_height
    height = heading + (side + _GAP) * len(texts) + _MARGIN
    figure = Figure(width=width, height=height, title=title, layout="none")
    room = max(1, int((side + _GAP) / text_height(_SIZE)))  # lines
    for row, text in enumerate(texts):
        bottom = height - heading - (row + 1) * (side + _GAP) + _GAP
        for column, index in enumerate(table[row]):
            left = _MARGIN + _TEXT_WIDTH + column * (side + _GAP)
            box = (left / width, bottom / height, side / width, side / height)
            with style():
                axes = figure.add_axes(box)
                draw_picture(axes, as_image(items[index], name="an image"))
                axes.set(xticks=[], yticks=[])
                axes.grid(visible=False)
                if right[row, column] is not None:
                    color = COLORS["green" if right[row, column] else "vermilion"]
                    axes.spines[:].set(visible=True, linewidth=3.0, color=color)
        lines = wrap_text(str(text), _TEXT_WIDTH - 0.15, size=_SIZE).split("\n")
        if len(lines) > room:
            lines = [*lines[: room - 1], lines[room - 1] + " …"]
        place = (_MARGIN / width, (bottom + side / 2) / height)
        with style():
            figure.text(*place, "\n".join(lines), va="center", ha="left", fontsize=_SIZE)
    return figure
