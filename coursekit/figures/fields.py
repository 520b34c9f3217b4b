"""Draw receptive fields: what was measured, and the box that was computed.

Nothing here knows of networks.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures.arrays import as_array, as_items, check_captions
from coursekit.figures.figure import Figure
from coursekit.figures.matrices import draw_matrix
from coursekit.figures.panels import choose_columns, make_panels, panel_width
from coursekit.figures.style import COLORS, FONT_SIZES, style

__all__ = ["draw_box", "show_receptive_field"]

_MAP = "gray"


def show_receptive_field(
    sensitivities: Any,
    boxes: Sequence[tuple[int, int, int, int] | None]
    | tuple[int, int, int, int]
    | None = None,
    captions: Sequence[str] | None = None,
    *,
    title: str,
    n_columns: int | None = None,
) -> Figure:
    """Return a figure of how strongly an output depends on each input pixel.

    Parameters
    ----------
    sensitivities : array or Tensor of shape (height, width), or a sequence of such
        Measured; not negative. Each map is drawn as shares of its largest number.
    boxes : sequence of (first_row, first_column, n_rows, n_columns), optional
        The computed receptive field of each map, drawn as a frame; ``None`` for a map
        without one. Rows and columns outside the picture, which padding adds, are cut.
    captions : sequence of str, optional
        One a map.
    title : str
        Says what to see.
    n_columns : int, optional
        Maps in a row.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If there is no map, or boxes or captions do not match.
    SettingsError
        If a sensitivity is negative or not finite.
    """
    single = getattr(sensitivities, "ndim", None) == 2
    items = [sensitivities] if single else as_items(sensitivities, name="sensitivities")
    maps = [
        as_array(item, name=f"map {i}", n_axes=2).astype(float)
        for i, item in enumerate(items)
    ]
    if min(item.min() for item in maps) < 0:
        msg = "A sensitivity is a magnitude and not negative. Take absolute gradients: .abs()."
        raise SettingsError(msg)
    boxes = _as_boxes(boxes, len(maps))
    captions = check_captions(captions, len(maps), name="maps")
    n_columns = choose_columns(captions, n_columns=n_columns, most=5, max_width=2.6)
    width = min(2.6, panel_width(n_columns, color_bar=True))
    sizes = [(width, width * item.shape[0] / item.shape[1]) for item in maps]
    panels = make_panels(sizes, captions, title=title, n_columns=n_columns, color_bar=True)
    scale = Normalize(0, 1)
    for axes, item, box in zip(panels.axes, maps, boxes, strict=True):
        draw_matrix(axes, item / (item.max() or 1.0), scale=scale, color_map=_MAP)
        if box is not None:
            draw_box(axes, box, color=COLORS["orange"])
    panels.add_color_bar(ScalarMappable(scale, _MAP), label="share of the largest")
    return panels.figure


def draw_box(axes: Axes, box: tuple[int, int, int, int], *, color: str) -> None:
    """Frame some pixels of the picture on `axes`.

    Parameters
    ----------
    axes : Axes
        Whose picture has pixel (0, 0) at its upper left.
    box : (first_row, first_column, n_rows, n_columns)
        What lies outside the picture is cut.
    color : str
    """
    right, bottom = axes.get_xlim()[1], axes.get_ylim()[0]
    row, column, n_rows, n_columns = box
    left, top = max(column - 0.5, -0.5), max(row - 0.5, -0.5)
    width = min(column + n_columns - 0.5, right) - left
    height = min(row + n_rows - 0.5, bottom) - top
    with style():
        axes.add_patch(
            Rectangle(
                (left, top),
                width,
                height,
                fill=False,
                edgecolor=color,
                linewidth=FONT_SIZES["tick"] / 4,
                clip_on=False,
                zorder=3,
            )
        )


def _as_boxes(boxes: Any, n_maps: int) -> list[tuple[int, int, int, int] | None]:
    if boxes is None:
        return [None] * n_maps
    if len(boxes) == 4 and all(isinstance(number, int) for number in boxes):
        boxes = [boxes]
    if len(boxes) != n_maps or any(box is not None and len(box) != 4 for box in boxes):
        msg = (
            "boxes must hold one (first_row, first_column, n_rows, n_columns) for each of "
            f"the {n_maps} maps, got {list(boxes)}."
        )
        raise ShapeError(msg)
    return list(boxes)
