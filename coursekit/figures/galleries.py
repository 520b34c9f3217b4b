"""Galleries that say what is right: neighbors, predictions; and receptive fields."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures.base import COLORS, PAGE_WIDTH, Figure
from coursekit.figures.panels import (
    as_array,
    as_image,
    as_images,
    check_captions,
    choose_columns,
    make_panels,
    panel_width,
)
from coursekit.figures.pictures import draw_box, draw_matrix, draw_picture, fit, resolution

_FRAME = 3.0  # points around a picture that is right or wrong


def show_neighbors(queries: Any, bank: Any, indices: Any, *, title: str) -> Figure:
    """Return a figure with each query and the images found for it, right or wrong.

    A neighbor of the query's class has a green frame and a check mark, one of another class
    a vermilion frame, a cross and its class.

    Parameters
    ----------
    queries, bank : ImageSet
        What was looked up, and where it was looked for: anything with ``images`` and
        ``names``, one name an image.
    indices : array or Tensor of shape (n_queries, k), or a mapping of str to such
        Places in `bank`, nearest first. With a mapping, such as ``{"pixels": ...,
        "embeddings": ...}``, each query has one row for each way of searching.
    title : str
        Says what to see.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> two = SimpleNamespace(images=np.zeros((2, 8, 8), np.uint8), names=["disc", "ring"])
    >>> figure = show_neighbors(two, two, [[0], [0]], title="The nearest")
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['disc', '✓', 'ring', '✗ disc']
    """
    ways = indices if isinstance(indices, Mapping) else {"": indices}
    found = {str(way): as_array(t, name="indices", n_axes=2) for way, t in ways.items()}
    shapes = sorted({table.shape for table in found.values()})
    n_queries, k = len(queries.images), shapes[0][1]
    if shapes != [(n_queries, k)] or k > 9:
        msg = (
            f"indices must have one row for each of the {n_queries} queries, and as many "
            f"columns, at most 9, for every way, got shapes {shapes}. Take the same queries: "
            "found.indices[chosen, :5]."
        )
        raise ShapeError(msg)
    in_a_row = 2 if n_queries > 1 and k < 5 else 1
    cells: list[tuple | None] = []  # None for nothing, (query, way), or (query, way, index)
    for first in range(0, n_queries, in_a_row):
        for way, table in found.items():
            for query in range(first, first + in_a_row):
                cells += [None] if query > first else []
                if query < n_queries:
                    cells += [(query, way), *((query, way, int(i)) for i in table[query])]
                else:
                    cells += [None] * (1 + k)
    n_columns = in_a_row * (k + 1) + in_a_row - 1
    width = (PAGE_WIDTH - 0.25 - 0.14 * (n_columns - 1)) - 0.02 * (in_a_row - 1)
    width = min(0.8, width / (in_a_row * (k + 1)))
    pictures, captions = [], []
    for cell in cells:
        if cell is None:
            pictures.append(None)
            captions.append("")
            continue
        query, way, *index = cell
        name = queries.names[query]
        image, caption = queries.images[query], f"{_words(name)}\n{way}".rstrip()
        if index:
            image, other = bank.images[index[0]], bank.names[index[0]]
            caption = "✓" if other == name else f"✗ {_words(other)}"
        pictures.append(as_image(image, name="an image"))
        captions.append(caption)
    panels = make_panels(
        [(0.02, 0.02) if p is None else fit(p, width) for p in pictures],
        captions,
        title=title,
        n_columns=n_columns,
        pixels_per_inch=resolution([p for p in pictures if p is not None], small=32),
    )
    for axes, picture, cell, caption in zip(
        panels.axes, pictures, cells, captions, strict=True
    ):
        if picture is None:
            axes.remove()
        else:
            draw_picture(axes, picture)
            _frame(axes, None if len(cell) == 2 else caption == "✓")
    return panels.figure


def show_predictions(
    images: Any, predictions: Any, *, title: str, n_columns: int | None = None
) -> Figure:
    """Return a figure of images with their likeliest classes and the probabilities of these.

    A right one has a green frame and a check mark, a wrong one a vermilion frame, a cross and
    the true class.

    Parameters
    ----------
    images : ImageSet, array or sequence of images
        One for each row of `predictions`, in its order.
    predictions : TopPredictions
        For a gallery of mistakes: ``images.subset(p.wrong[:8])`` and
        ``p.subset(p.wrong[:8])``.
    title : str
        Says what to see.
    n_columns : int, optional
        Images in a row; chosen by their number and size when not given.

    Examples
    --------
    >>> import numpy as np
    >>> from coursekit.training import top_predictions
    >>> found = top_predictions([[2.0, 0.0]], [1], k=1, class_names=["cat", "dog"])
    >>> figure = show_predictions(np.zeros((1, 8, 8), np.uint8), found, title="A mistake")
    >>> figure.axes[0].get_title(loc="left").splitlines()
    ['✗ is dog', '88% cat']
    """
    items = as_images(images, name="images")
    if len(items) != len(predictions.classes):
        msg = (
            f"Every row of predictions needs one image, got {len(items)} images and "
            f"{len(predictions.classes)} rows. Take the same of both: images.subset(rows), "
            "predictions.subset(rows)."
        )
        raise ShapeError(msg)
    pictures = [as_image(item, name=f"image {i}") for i, item in enumerate(items)]
    names, truths = predictions.class_names, predictions.labels
    captions, rights = [], []
    for row, classes in enumerate(predictions.classes):
        shares = zip(classes, predictions.probabilities[row], strict=True)
        text = "\n".join(f"{share:.0%} {_words(names[number])}" for number, share in shares)
        rights.append(None if truths is None else bool(classes[0] == truths[row]))
        if rights[-1]:
            text = f"✓ {text}"
        elif rights[-1] is not None:
            text = f"✗ is {_words(names[int(truths[row])])}\n{text}"
        captions.append(text)
    pixels_per_inch = resolution(pictures)
    max_width = 1.4 if pixels_per_inch > 100 else 2.2
    plain = [""] * len(captions)
    n_columns = choose_columns(plain, n_columns, most=8, max_width=max_width)
    width = min(max_width, panel_width(n_columns))
    panels = make_panels(
        [fit(picture, width) for picture in pictures],
        captions,
        title=title,
        n_columns=n_columns,
        pixels_per_inch=pixels_per_inch,
    )
    for axes, picture, is_right in zip(panels.axes, pictures, rights, strict=True):
        draw_picture(axes, picture)
        if is_right is not None:
            _frame(axes, is_right)
    return panels.figure


def _frame(axes: Axes, is_right: bool | None) -> None:
    color = COLORS["black" if is_right is None else "green" if is_right else "vermilion"]
    if is_right is not None:
        axes._left_title.set_color(color)
    axes.spines[:].set(visible=True, linewidth=_FRAME, color=color)


def _words(name: str) -> str:
    """Return names such as SeaLake as words, so that they can be wrapped."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(name))


# --- receptive fields ---------------------------------------------------------------------


def show_receptive_field(
    sensitivities: Sequence[Any],
    boxes: Sequence[tuple[int, int, int, int] | None] | None = None,
    captions: Sequence[str] | None = None,
    *,
    title: str,
) -> Figure:
    """Return a figure of how strongly an output depends on each input pixel.

    Parameters
    ----------
    sensitivities : sequence of array or Tensor of shape (height, width)
        Measured; not negative. Each map is drawn as shares of its largest number.
    boxes : sequence of (first_row, first_column, n_rows, n_columns), optional
        The computed receptive field of each map, drawn as a frame; ``None`` for a map
        without one. Rows and columns outside the picture, which padding adds, are cut.
    captions : sequence of str, optional
        One a map.
    title : str
        Says what to see.
    """
    maps = [
        as_array(item, name=f"map {i}", n_axes=2).astype(float)
        for i, item in enumerate(sensitivities)
    ]
    if min(item.min() for item in maps) < 0:
        msg = "A sensitivity is a magnitude and not negative. Take absolute gradients: .abs()."
        raise SettingsError(msg)
    captions = check_captions(captions, len(maps), name="maps")
    n_columns = choose_columns(captions, most=5, max_width=2.6)
    width = min(2.6, panel_width(n_columns, color_bar=True))
    sizes = [(width, width * item.shape[0] / item.shape[1]) for item in maps]
    panels = make_panels(sizes, captions, title=title, n_columns=n_columns, color_bar=True)
    scale = Normalize(0, 1)
    for axes, item, box in zip(panels.axes, maps, boxes or [None] * len(maps), strict=True):
        draw_matrix(axes, item / (item.max() or 1.0), scale=scale, color_map="gray")
        if box is not None:
            draw_box(axes, box, color=COLORS["orange"])
    panels.add_color_bar(ScalarMappable(scale, "gray"), label="share of the largest")
    return panels.figure
