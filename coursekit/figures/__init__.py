"""Every figure of the course.

Each function takes arrays or records, has a `title` that says what to see, and returns a
`Figure`, which a notebook shows when it is a cell's last expression.

base
    `Figure`, which looks the same everywhere, with its `style` and its `PALETTE`.
pictures
    `show_images`, `show_augmentations`, `show_matrix`, `show_weights`, `show_feature_maps`.
plots
    `plot_curves`, `plot_history`, `plot_bars`, `plot_confusion`, `plot_strategies`,
    `plot_trade_off`.
special
    `show_neighbors`, `show_predictions`, `show_receptive_field`, `draw_window`,
    `plot_bubbles`, `plot_memory`.
record
    What a figure shows, as numbers and words for the tests of notebooks.
"""

from coursekit.figures.base import PALETTE, Figure, style
from coursekit.figures.pictures import (
    show_augmentations,
    show_feature_maps,
    show_images,
    show_matrix,
    show_weights,
)
from coursekit.figures.plots import (
    plot_bars,
    plot_confusion,
    plot_curves,
    plot_history,
    plot_strategies,
    plot_trade_off,
)
from coursekit.figures.special import (
    draw_window,
    plot_bubbles,
    plot_memory,
    show_neighbors,
    show_predictions,
    show_receptive_field,
)

__all__ = [
    "PALETTE",
    "Figure",
    "draw_window",
    "plot_bars",
    "plot_bubbles",
    "plot_confusion",
    "plot_curves",
    "plot_history",
    "plot_memory",
    "plot_strategies",
    "plot_trade_off",
    "show_augmentations",
    "show_feature_maps",
    "show_images",
    "show_matrix",
    "show_neighbors",
    "show_predictions",
    "show_receptive_field",
    "show_weights",
    "style",
]
