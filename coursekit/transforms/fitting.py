"""Turn images of any size into what a trained network wants.

Nothing here knows of networks, only of their configuration.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from coursekit.errors import SettingsError, ShapeError

__all__ = ["fit_to_model"]


def fit_to_model(config: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
    """Return a transform to the input size and the brightness that a network wants.

    Parameters
    ----------
    config : mapping
        timm's ``model.pretrained_cfg``: ``input_size`` (channels, height, width), and where they
        are known ``mean``, ``std``, ``interpolation`` and ``crop_pct``.

    Returns
    -------
    callable
        From float images in [0, 1] of shape (..., C, H, W) to normalized ones of shape
        (..., C, height, width). Images with more pixels than the input in both directions are
        resized until the crop is that share of their shorter side, and cut; others are
        resized whole.

    Raises
    ------
    SettingsError
        If the configuration has no input size.

    Examples
    --------
    >>> import torch
    >>> fit_to_model({"input_size": (3, 32, 32)})(torch.ones(2, 3, 64, 48)).shape
    torch.Size([2, 3, 32, 32])
    """
    if len(config.get("input_size") or ()) != 3:
        msg = (
            "A configuration needs input_size=(channels, height, width), got "
            f"{config.get('input_size')}."
        )
        raise SettingsError(msg)
    n_channels, *size = config["input_size"]
    share = config.get("crop_pct") or 1.0
    mode = InterpolationMode(config.get("interpolation") or "bilinear")
    mean = list(config.get("mean") or [0.0] * n_channels)
    std = list(config.get("std") or [1.0] * n_channels)

    def fit(images: Tensor) -> Tensor:
        _check(images, n_channels)
        height, width = images.shape[-2:]
        if [height, width] == size:
            return F.normalize(images, mean, std)
        if height >= size[0] and width >= size[1]:
            scale = max(size[0] / height, size[1] / width) / share
            if scale <= 1:
                whole = [round(height * scale), round(width * scale)]
                images = F.center_crop(F.resize(images, whole, interpolation=mode), size)
                return F.normalize(images, mean, std)
        return F.normalize(F.resize(images, size, interpolation=mode), mean, std)

    return fit


def _check(images: Tensor, n_channels: int) -> None:
    if images.ndim < 3 or images.shape[-3] != n_channels or not images.is_floating_point():
        msg = (
            f"Images must be float in [0, 1], of shape (..., {n_channels}, height, width), got "
            f"{images.dtype} of shape {tuple(images.shape)}."
        )
        raise ShapeError(msg)
