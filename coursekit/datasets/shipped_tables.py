"""Tables and names that are shipped with the course, in its folder of data.

Their sources stand in that folder's README. Nothing here knows what a lesson makes of them.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from coursekit.assets import data_folder
from coursekit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "load_convnext_ablation",
    "load_efficientnet_scaling",
    "load_ilsvrc_winners",
    "load_imagenet_classes",
]


def load_ilsvrc_winners() -> "pd.DataFrame":
    """Return the winners of the ImageNet challenge in classification, 2010 to 2017.

    Returns
    -------
    DataFrame
        One row an entry: ``year``, ``entry``, ``top5_error`` in percent, and ``remark``. The
        first row of a year is the winner's best; 2012 and 2014 have a second row.

    Raises
    ------
    DataError
        If the file is missing.

    References
    ----------
    .. [1] Russakovsky, Deng, Su, Krause, Satheesh, Ma, Huang, Karpathy, Khosla, Bernstein,
       Berg and Fei-Fei, "ImageNet Large Scale Visual Recognition Challenge", IJCV 115
       (2015), sec. 5.1 for the years to 2014. https://arxiv.org/abs/1409.0575

    Examples
    --------
    >>> winners = load_ilsvrc_winners().drop_duplicates("year")
    >>> winners.top5_error.tolist()
    [28.2, 25.8, 15.3, 11.7, 6.7, 3.57, 2.99, 2.25]
    """
    return _read_table("ilsvrc_winners.csv")


def load_imagenet_classes() -> tuple[str, ...]:
    """Return the names of ImageNet's 1000 classes, in the order of every model's outputs.

    Returns
    -------
    tuple of str
        All different, as torchvision has them: the two cranes and the two maillots are
        told apart.

    Raises
    ------
    DataError
        If the file is missing.

    Examples
    --------
    >>> load_imagenet_classes()[:3]
    ('tench', 'goldfish', 'great white shark')
    """
    return tuple(json.loads(_find("imagenet_classes.json").read_text(encoding="utf-8")))


def load_convnext_ablation() -> "pd.DataFrame":
    """Return what each step from ResNet-50 to ConvNeXt-T did to its accuracy.

    Returns
    -------
    DataFrame
        One row a step, each on top of the ones before: ``step``, ``accuracy`` (ImageNet top-1
        in percent, mean of three trainings), ``deviation`` over the three (missing where
        there was one), ``giga_multiply_adds``. Kernel sizes 5, 9 and 11 are side branches:
        the next step starts from 7. The last row, Swin-T, is the transformer to compare with.

    Raises
    ------
    DataError
        If the file is missing.

    References
    ----------
    .. [1] Liu, Mao, Wu, Feichtenhofer, Darrell and Xie, "A ConvNet for the 2020s",
       CVPR 2022, fig. 2 and table 10. https://arxiv.org/abs/2201.03545

    Examples
    --------
    >>> load_convnext_ablation().accuracy.max()
    np.float64(81.97)
    """
    return _read_table("convnext_ablation.csv")


def load_efficientnet_scaling() -> "pd.DataFrame":
    """Return how EfficientNet B0 to B7 scale width, depth and resolution together.

    Returns
    -------
    DataFrame
        One row a variant: ``variant``, ``width`` (factor of the channels), ``depth`` (factor
        of the blocks), ``resolution`` (pixels, as published), ``torchvision_resolution``
        (pixels of its weights; 288 for B2, whose weights come from timm, trained at 256 and
        tested at 288), ``dropout``.

    Raises
    ------
    DataError
        If the file is missing.

    References
    ----------
    .. [1] Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
       Networks", ICML 2019, sec. 3.3. https://arxiv.org/abs/1905.11946

    Examples
    --------
    >>> load_efficientnet_scaling().resolution.tolist()
    [224, 240, 260, 300, 380, 456, 528, 600]
    """
    return _read_table("efficientnet_scaling.csv")


def _read_table(name: str) -> "pd.DataFrame":
    import pandas as pd  # slow to import

    return pd.read_csv(_find(name))


def _find(name: str) -> Path:
    path = data_folder() / name
    if not path.is_file():
        msg = (
            f"{name} is not in {path.parent}, where it is shipped. Install coursekit again."
        )
        raise DataError(msg)
    return path
