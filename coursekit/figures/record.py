"""What a figure shows, as numbers and words that can be compared.

`describe_figure` puts it into a small record of JSON; a series of numbers is one string, so
that it takes one line in a notebook's file. Nothing here knows how records are compared, nor
changes the figure.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import Collection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FixedLocator

FIGURE_MIME = "application/vnd.coursekit.figure+json"
"""Type of the record in a notebook's output; programs that do not know it skip it."""

_VERSION = 1
_MOST_POINTS = 200  # of a series; of longer ones the means of so many parts are kept
_IMAGE_CELLS = 1200  # numbers for all images of a figure together
_LARGEST_GRID = 16
_LEVELS = 1000  # of the brightness or color scale


def describe_figure(figure: Figure) -> dict[str, Any]:
    """Return what a figure shows: its words, and the numbers that are drawn.

    Words, limits, chosen ticks, lines, bars, points and images of each axes of a figure that
    was drawn before. Numbers have 6 significant digits; an image is the mean colors of the
    cells of a coarse grid, in thousandths of the scale.

    Examples
    --------
    >>> figure = Figure()
    >>> _ = figure.subplots().plot([0, 1], [2, 4], label="twice")
    >>> describe_figure(figure)["axes"][0]["lines"]
    [{'name': 'twice', 'color': '#1f77b4', 'x': '0 1', 'y': '2 4'}]
    """
    every = [*figure.axes, *(child for axes in figure.axes for child in axes.child_axes)]
    shapes = [image.get_array().shape for axes in every for image in axes.images]
    n_planes = sum(shape[2] if len(shape) == 3 else 1 for shape in shapes)
    side = min(max(int(np.sqrt(_IMAGE_CELLS / max(n_planes, 1))), 3), _LARGEST_GRID)
    notes = [text for text in figure.texts if text is not figure._suptitle]
    return {"version": _VERSION, "title": _plain(figure.get_suptitle())} | _filled(
        notes=_listed(text.get_text() for text in notes),
        legend=_legend_words(figure.legends),
        axes=[_describe_axes(axes, side) for axes in every],
    )


def _describe_axes(axes: Axes, side: int) -> dict[str, Any]:
    words = {"title": _plain(axes.get_title("left") or axes.get_title())}
    extents = [[*image.get_extent()] for image in axes.images]
    is_panel = [*axes.get_xlim(), *axes.get_ylim()] in extents  # the picture fills it
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        words[f"{name}_label"] = _plain(axis.get_label_text())
        words[f"{name}_limits"] = "" if is_panel else _numbers(axis.get_view_interval())
        words[f"{name}_scale"] = axis.get_scale().replace("linear", "")
        words[f"{name}_ticks"] = _chosen_ticks(axis)
    if getattr(axes, "_colorbar", None) is not None:  # its colors say nothing of the data
        return _filled(kind="color bar", **words)
    bars = [box for box in axes.containers if isinstance(box, BarContainer)]
    in_bars = {patch for box in bars for patch in box.patches}
    legend = axes.get_legend()
    return _filled(
        **words,
        legend=_legend_words([legend] if legend else []),
        lines=[_describe_line(line) for line in axes.lines],
        bars=[_describe_bars(box) for box in bars],
        patches=[_describe_patch(p) for p in axes.patches if p not in in_bars],
        points=[_describe_collection(item) for item in axes.collections],
        images=[_describe_image(image, side) for image in axes.images],
        texts=_listed(text.get_text() for text in axes.texts),
        texts_at=_numbers([n for text in axes.texts for n in _place(text, axes)]),
    )


def _describe_line(line: Line2D) -> dict[str, Any]:
    x, y = line.get_xdata(orig=False), line.get_ydata(orig=False)
    words = {"name": _name(line.get_label()), "color": to_hex(line.get_color())}
    return _filled(**words, x=_series(x), y=_series(y))


def _describe_bars(box: BarContainer) -> dict[str, Any]:
    return _filled(
        name=_name(box.get_label()),
        color=to_hex(box.patches[0].get_facecolor()),
        at=_numbers(bar.get_x() + bar.get_width() / 2 for bar in box.patches),
        heights=_numbers(bar.get_height() for bar in box.patches),
    )


def _describe_patch(patch: Patch) -> dict[str, Any]:
    path = patch.get_path().transformed(patch.get_patch_transform())
    return {"kind": type(patch).__name__, "box": _numbers(path.get_extents().extents)}


def _describe_collection(item: Collection) -> dict[str, Any]:
    if isinstance(item, PathCollection):
        corners = np.ma.getdata(item.get_offsets())
    else:
        corners = np.concatenate([path.vertices for path in item.get_paths()])
    kind, name = type(item).__name__, _name(item.get_label())
    x, y = corners.T
    return _filled(kind=kind, name=name, n=len(corners), x=_series(x), y=_series(y))


def _describe_image(image: AxesImage, side: int) -> dict[str, Any]:
    pixels = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
    height, width = pixels.shape[:2]
    is_color = pixels.ndim == 3
    if is_color:
        levels = pixels / (255 if image.get_array().dtype.kind in "iu" else 1)
    else:
        levels = np.ma.filled(image.norm(pixels), np.nan)[..., None]
    planes = np.moveaxis(np.nan_to_num(levels.clip(0, 1)), 2, 0)
    grids = [_shrink(plane, side) for plane in planes]
    size = " x ".join(map(str, grids[0].shape))
    extent = _numbers(image.get_extent())
    is_usual = extent == _numbers((-0.5, width - 0.5, height - 0.5, -0.5))
    return _filled(
        shape=" ".join(str(n) for n in pixels.shape),
        extent="" if is_usual else extent,
        colors="" if is_color else image.cmap.name,
        scale="" if is_color else _numbers(image.get_clim()),
        grid=f"{size}: " + " / ".join(_thousandths(grid.ravel()) for grid in grids),
        contrast=_thousandths([plane.std() for plane in planes]),
    )


def _thousandths(shares: Iterable[float]) -> str:
    return " ".join(str(round(_LEVELS * float(share))) for share in shares)


def _shrink(plane: np.ndarray, side: int) -> np.ndarray:
    """Return the means of the cells of a grid of at most `side` x `side`."""
    for _ in range(2):  # rows, then columns
        n_cells = min(side, len(plane))
        edges = np.linspace(0, len(plane), n_cells + 1).round().astype(int)
        plane = (np.add.reduceat(plane, edges[:-1]) / np.diff(edges)[:, None]).T
    return plane


def _chosen_ticks(axis: Axis) -> str:
    """Return the labels of ticks that somebody chose; others follow from the limits."""
    if not isinstance(axis.get_major_locator(), FixedLocator):
        return ""
    low, high = sorted(axis.get_view_interval())
    margin = 1e-9 * (high - low)
    places = [at for at in axis.get_majorticklocs() if low - margin <= at <= high + margin]
    return _listed(axis.get_major_formatter().format_ticks(places))


def _place(text: Text, axes: Axes) -> tuple[float, float]:
    """Where in the data a text stands; zeros for one that is placed in the axes."""
    if isinstance(text, Annotation):
        return text.xy if text.xycoords == "data" else (0.0, 0.0)
    return text.get_position() if text.get_transform() == axes.transData else (0.0, 0.0)


def _series(values: Any) -> str:
    """Write numbers; of a long series the mean of each of its parts."""
    values = np.ma.getdata(values).astype(float)
    if len(values) > _MOST_POINTS:
        parts = np.array_split(values, _MOST_POINTS)
        values = [part.mean() for part in parts]
    return _numbers(values)


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{float(value) + 0.0:.6g}" for value in values)  # no minus zero


def _plain(words: str) -> str:
    """Words on one line: where they are wrapped depends on the font."""
    return " ".join(words.split())


def _listed(words: Iterable[str]) -> str:
    return " | ".join(_plain(text) for text in words)


def _name(label: str | None) -> str:
    return "" if not label or label.startswith("_") else _plain(label)


def _legend_words(legends: Iterable[Any]) -> str:
    return _listed(text.get_text() for legend in legends for text in legend.get_texts())


def _filled(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in ("", [], None)}
