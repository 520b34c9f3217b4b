"""Data: one record for every data set, drawn, bundled or downloaded.

The record: `ImageSet`.
Drawn from a seed: `make_shapes`, `draw_shape`, with the names `SOURCE_SHAPES`,
`UNSEEN_SHAPES`, `COLORS`, `SIZES`, `BACKGROUNDS` and `HELD_OUT_PAIRS`; `make_moving_shapes`;
`make_land_cover`.
Bundled with a dependency: `load_digits`, `load_photos`.
Shipped tables: `load_ilsvrc_winners`, `load_imagenet_classes`, `load_convnext_ablation`,
`load_efficientnet_scaling`.
Own files: `load_folder`. What the roles download is loaded by ``stored.py``.
For training: `split_stratified`, `make_loader` and the `Loader` it makes.
"""

from coursekit.datasets.folders import load_folder
from coursekit.datasets.imageset import ImageSet
from coursekit.datasets.land_cover import make_land_cover
from coursekit.datasets.loading import Loader, make_loader, split_stratified
from coursekit.datasets.scenes import BACKGROUNDS, SOURCE_SHAPES, UNSEEN_SHAPES
from coursekit.datasets.shapes import (
    COLORS,
    HELD_OUT_PAIRS,
    SIZES,
    draw_shape,
    make_moving_shapes,
    make_shapes,
)
from coursekit.datasets.stored import (
    load_convnext_ablation,
    load_digits,
    load_efficientnet_scaling,
    load_ilsvrc_winners,
    load_imagenet_classes,
    load_photos,
)

__all__ = [
    "BACKGROUNDS",
    "COLORS",
    "HELD_OUT_PAIRS",
    "SIZES",
    "SOURCE_SHAPES",
    "UNSEEN_SHAPES",
    "ImageSet",
    "Loader",
    "draw_shape",
    "load_convnext_ablation",
    "load_digits",
    "load_efficientnet_scaling",
    "load_folder",
    "load_ilsvrc_winners",
    "load_imagenet_classes",
    "load_photos",
    "make_land_cover",
    "make_loader",
    "make_moving_shapes",
    "make_shapes",
    "split_stratified",
]
