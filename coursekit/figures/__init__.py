"""Every figure of the course.

Each function takes arrays or records, has a `title` that says what to see, and returns a
`Figure`, which a notebook shows when it is a cell's last expression. Nothing is computed
here beyond the layout.

Figure
    A matplotlib figure that shows itself and looks the same everywhere.
COLORS
    The colors of curves and bars, by name.
show_images, show_before_after
    Pictures in a grid, and in pairs.
show_augmentations
    An image, and samples of what random transforms make of it.
show_matrix, show_weights
    Numbers as colors: kernels, feature maps, templates.
plot_curves, plot_history
    Lines with their names, and the course of a training.
plot_bars, plot_confusion
    Bars with their numbers, and which class was taken for which.
plot_bubbles
    Things that differ in three numbers, such as cost, accuracy and size.
show_neighbors
    Queries and what was found for them, right or wrong.
show_feature_maps
    What the channels of layers answer to one image.
plot_map
    Points in a plane by class, with some of the images that they stand for.
plot_trade_off
    What one gains against what one pays, as a setting is turned.
show_similarity
    Images against texts: how similar each pair is.
show_retrieved
    Texts and the images found for them.
show_predictions
    Images with the classes that a model thinks likeliest, right or wrong.
plot_strategies
    How several ways fare, run by run, with mean and spread.
plot_memory
    Memory over time, with the names of what happened.
plot_signal, plot_spectrogram
    A wave over time, and its frequencies.
show_receptive_field
    How strongly an output depends on each pixel, and the computed box.
draw_receptive_field_of_the_eye, draw_window, show_flattened
    Diagrams of single ideas.
"""

from coursekit.figures.augmentations import show_augmentations
from coursekit.figures.bars import plot_bars, plot_confusion
from coursekit.figures.bubbles import plot_bubbles
from coursekit.figures.curves import plot_curves, plot_history
from coursekit.figures.diagrams import (
    draw_receptive_field_of_the_eye,
    draw_window,
    show_flattened,
)
from coursekit.figures.embedding_maps import plot_map
from coursekit.figures.feature_maps import show_feature_maps
from coursekit.figures.fields import show_receptive_field
from coursekit.figures.figure import Figure
from coursekit.figures.image_texts import show_retrieved, show_similarity
from coursekit.figures.images import show_before_after, show_images
from coursekit.figures.matrices import show_matrix, show_weights
from coursekit.figures.memory import plot_memory
from coursekit.figures.neighbors import show_neighbors
from coursekit.figures.predictions import show_predictions
from coursekit.figures.sound import plot_signal, plot_spectrogram
from coursekit.figures.strategies import plot_strategies
from coursekit.figures.style import COLORS
from coursekit.figures.trade_off import plot_trade_off

__all__ = [
    "COLORS",
    "Figure",
    "draw_receptive_field_of_the_eye",
    "draw_window",
    "plot_bars",
    "plot_bubbles",
    "plot_confusion",
    "plot_curves",
    "plot_history",
    "plot_map",
    "plot_memory",
    "plot_signal",
    "plot_spectrogram",
    "plot_strategies",
    "plot_trade_off",
    "show_augmentations",
    "show_before_after",
    "show_feature_maps",
    "show_flattened",
    "show_images",
    "show_matrix",
    "show_neighbors",
    "show_predictions",
    "show_receptive_field",
    "show_retrieved",
    "show_similarity",
    "show_weights",
]
