"""Every figure of the course.

Each function takes arrays or records, has a `title` that says what to see, and returns a
`Figure`, which a notebook shows when it is a cell's last expression.

base
    `Figure`, a matplotlib figure that shows itself and looks the same everywhere, with its
    `style` and its `PALETTE`.
pictures
    `show_images`, `show_augmentations`, `show_matrix`, `show_weights`, `show_feature_maps`,
    `show_receptive_field`, `draw_window`.
plots
    `plot_curves`, `plot_history`, `plot_bars`, `plot_confusion`, `plot_strategies`,
    `plot_trade_off`.
special
    `show_neighbors`, `show_predictions`, `plot_bubbles`, `plot_memory`.
record
    What a figure shows, as numbers and words for the tests of notebooks.
"""

from coursekit.figures.base import PALETTE, Figure, style
from coursekit.figures.pictures import (
    draw_window,
    show_augmentations,
    show_feature_maps,
    show_images,
    show_matrix,
    show_receptive_field,
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
    plot_bubbles,
    plot_memory,
    show_neighbors,
    show_predictions,
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
