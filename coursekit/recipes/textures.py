"""Numbers that say what the surface of a picture is like, computed from its pixels.

A net that has to foretell them cannot forget colors and textures. No labels are needed.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["N_STATISTICS", "texture_statistics"]

_N_SCALES = 3
_FLOOR = 1e-3  # an even surface has no detail, and its logarithm should not be infinite

N_STATISTICS = 3 * (2 + _N_SCALES)
"""How many numbers `texture_statistics` gives for a color image."""


def texture_statistics(images: Tensor) -> Tensor:
    """Return each channel's mean, spread, and energy of detail at three scales.

    Parameters
    ----------
    images : Tensor of shape (B, 3, H, W)
        Normalized; height and width are multiples of 8.

    Returns
    -------
    Tensor of shape (B, 15)
        Mean and standard deviation of each channel, then the logarithm of the mean square of
        what is lost when 2 x 2 pixels become one, for the image, its half and its quarter.

    Notes
    -----
    The bands are those of a Laplacian pyramid with a box filter [1]_.

    References
    ----------
    .. [1] Burt and Adelson, "The Laplacian Pyramid as a Compact Image Code", IEEE Transactions
       on Communications 31(4), 1983. https://doi.org/10.1109/TCOM.1983.1095851

    Examples
    --------
    >>> texture_statistics(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 15])
    """
    statistics = [images.mean((2, 3)), images.std((2, 3))]
    for _ in range(_N_SCALES):
        half = F.avg_pool2d(images, 2)
        detail = images - F.interpolate(half, scale_factor=2.0)
        statistics.append(torch.log(detail.square().mean((2, 3)) + _FLOOR))
        images = half
    return torch.cat(statistics, dim=1)
