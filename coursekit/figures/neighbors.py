"""Draw galleries of nearest neighbors: a query, and beside it what was found for it.

Nothing here knows how the neighbors were found.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures.arrays import as_array, as_image
from coursekit.figures.figure import Figure
from coursekit.figures.images import draw_picture
from coursekit.figures.panels import make_panels
from coursekit.figures.style import (
    COLORS,
    PAGE_WIDTH,
    PIXELS_PER_INCH,
    SCREEN_PIXELS_PER_INCH,
)

__all__ = ["show_neighbors"]

_LARGEST = 0.8  # inches of a panel
_GAP = 0.14  # inches that panels stand apart
_SPACER = 0.02  # inches more between two queries in a row
_MOST = 10  # panels in a row
_FRAME = 3.0  # points
_SMALL = 32  # pixels


class Pictures(Protocol):
    """What `show_neighbors` needs to know of a set of images."""

    @property
    def images(self) -> Sequence[Any]:
        """The images."""

    @property
    def names(self) -> Sequence[str]:
        """The class of each."""


def show_neighbors(
    queries: Pictures,
    bank: Pictures,
    indices: Any,
    *,
    title: str,
) -> Figure:
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

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If there is no query, or the rows of `indices` are not one for each.
    SettingsError
        If an index points outside `bank`, or `k` is above 9.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> two = SimpleNamespace(images=np.zeros((2, 8, 8), np.uint8), names=["disc", "ring"])
    >>> figure = show_neighbors(two, two, [[0], [0]], title="The nearest")
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['disc', '✓', 'ring', '✗ disc']
    """
    ways = {str(way): rows for way, rows in _as_ways(indices).items()}
    found = {way: _read(rows, len(queries.images), bank) for way, rows in ways.items()}
    k = _check_one_k(found)
    in_a_row = 2 if len(queries.images) > 1 and 2 * (k + 1) <= _MOST else 1
    rows = _arrange(queries, found, in_a_row)
    width = _panel_width(in_a_row * (k + 1), in_a_row - 1)
    cells = [cell for row in rows for cell in row]
    panels = make_panels(
        [_size(cell, queries, bank, width) for cell in cells],
        [_caption(cell, queries, bank) for cell in cells],
        title=title,
        n_columns=len(rows[0]),
        pixels_per_inch=_resolution(queries, bank, cells),
    )
    for axes, cell in zip(panels.axes, cells, strict=True):
        _draw(axes, cell, queries, bank)
    return panels.figure


# A cell is None (nothing), (query, way) for a query, or (query, way, index) for a neighbor.


def _as_ways(indices: Any) -> Mapping[str, Any]:
    return indices if isinstance(indices, Mapping) else {"": indices}


def _read(rows: Any, n_queries: int, bank: Pictures) -> np.ndarray:
    table = as_array(rows, name="indices", n_axes=2)
    if len(table) != n_queries:
        msg = (
            f"indices must have one row for each of the {n_queries} queries, got shape "
            f"{table.shape}. Take the same queries: found.indices[chosen]."
        )
        raise ShapeError(msg)
    if table.dtype.kind not in "iu":
        table = table.astype(np.int64) if (table == table.astype(np.int64)).all() else table
    if table.dtype.kind not in "iu" or table.min() < 0 or table.max() >= len(bank.images):
        msg = (
            f"indices must be whole numbers in 0 .. {len(bank.images) - 1}, the places in the "
            f"bank, got {table.min():g} .. {table.max():g}."
        )
        raise SettingsError(msg)
    return table


def _check_one_k(found: Mapping[str, np.ndarray]) -> int:
    counts = {table.shape[1] for table in found.values()}
    if len(counts) != 1:
        msg = f"Every way must give the same number of neighbors, got {sorted(counts)}."
        raise ShapeError(msg)
    k = counts.pop()
    if k >= _MOST:
        msg = f"At most {_MOST - 1} neighbors fit in a row, got {k}: indices[:, :5]."
        raise SettingsError(msg)
    return k


def _arrange(
    queries: Pictures, found: Mapping[str, np.ndarray], in_a_row: int
) -> list[list[tuple | None]]:
    """Return the rows of cells: for each query one row a way, two queries side by side."""
    rows = []
    for first in range(0, len(queries.images), in_a_row):
        for way, table in found.items():
            row: list[tuple | None] = []
            for query in range(first, first + in_a_row):
                row += [None] if row else []
                if query < len(queries.images):
                    row += [(query, way), *((query, way, i) for i in table[query])]
                else:
                    row += [None] * (1 + table.shape[1])
            rows.append(row)
    return rows


def _panel_width(n_panels: int, n_spacers: int) -> float:
    gaps = _GAP * (n_panels + n_spacers - 1) + _SPACER * n_spacers
    return min(_LARGEST, (PAGE_WIDTH - 0.25 - gaps) / n_panels)


def _size(
    cell: tuple | None, queries: Pictures, bank: Pictures, width: float
) -> tuple[float, float]:
    if cell is None:
        return (_SPACER, _SPACER)
    height, columns = _picture(cell, queries, bank).shape[:2]
    scale = width / max(height, columns)
    return (columns * scale, height * scale)


def _picture(cell: tuple, queries: Pictures, bank: Pictures) -> np.ndarray:
    image = queries.images[cell[0]] if len(cell) == 2 else bank.images[int(cell[2])]
    return as_image(image, value_range=None, name="an image")


def _resolution(queries: Pictures, bank: Pictures, cells: list[tuple | None]) -> int:
    """Return the pixels stored an inch: fewer for larger images, whose files are large."""
    sides = [max(_picture(cell, queries, bank).shape[:2]) for cell in cells if cell]
    return PIXELS_PER_INCH if max(sides) <= _SMALL else SCREEN_PIXELS_PER_INCH


def _caption(cell: tuple | None, queries: Pictures, bank: Pictures) -> str:
    if cell is None:
        return ""
    name = queries.names[cell[0]]
    if len(cell) == 2:
        return f"{_words(name)}\n{cell[1]}".rstrip()
    found = bank.names[int(cell[2])]
    return "✓" if found == name else f"✗ {_words(found)}"


def _words(name: str) -> str:
    """Return names such as SeaLake as words, so that they can be wrapped."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(name))


def _draw(axes: Axes, cell: tuple | None, queries: Pictures, bank: Pictures) -> None:
    if cell is None:
        axes.remove()
        return
    draw_picture(axes, _picture(cell, queries, bank))
    color = COLORS["black"]
    if len(cell) == 3:
        is_right = bank.names[int(cell[2])] == queries.names[cell[0]]
        color = COLORS["green" if is_right else "vermilion"]
        axes.title.set_color(color)
        axes._left_title.set_color(color)
    axes.spines[:].set(visible=True, linewidth=_FRAME, color=color)
