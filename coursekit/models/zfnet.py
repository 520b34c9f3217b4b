"""ZFNet: AlexNet with a first layer that looks closer.

Nothing here knows about data or training.
"""

from collections import OrderedDict

from torch import nn

from coursekit.models.checks import check_counts
from coursekit.seeds import seeded

__all__ = ["build_zfnet"]


def build_zfnet(n_classes: int = 1000, *, seed: int) -> nn.Sequential:
    """Return ZFNet: 7x7 filters with stride 2 where AlexNet has 11x11 with stride 4.

    Parameters
    ----------
    n_classes : int, default=1000
        Outputs.
    seed : int
        Draws the first weights, 62 million with 1000 classes.

    Returns
    -------
    nn.Sequential
        From images of shape (n_images, 3, 224, 224) to logits (n_images, n_classes).

    Raises
    ------
    SettingsError
        If `n_classes` is below 1.

    Notes
    -----
    The maps have the paper's sizes: 110, 55, 26, 13, 13, 13, 13, 6 pixels. Poolings round
    up. The contrast normalization after the first two poolings is left out, as it is in
    today's AlexNet.

    References
    ----------
    .. [1] Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks",
       ECCV 2014, sec. 4.1, fig. 3. https://arxiv.org/abs/1311.2901

    Examples
    --------
    >>> import torch
    >>> with torch.device("meta"):  # shapes without memory
    ...     model = build_zfnet(seed=0)
    >>> sum(p.numel() for p in model.parameters())
    62357608
    """
    check_counts("ZFNet", n_classes=n_classes)
    with seeded(seed, "zfnet"):
        layers = OrderedDict(
            conv1=nn.Conv2d(3, 96, 7, stride=2, padding=1),  # (B, 96, 110, 110)
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(3, stride=2, ceil_mode=True),  # (B, 96, 55, 55)
            conv2=nn.Conv2d(96, 256, 5, stride=2),  # (B, 256, 26, 26)
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(3, stride=2, ceil_mode=True),  # (B, 256, 13, 13)
            conv3=nn.Conv2d(256, 384, 3, padding=1),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(384, 384, 3, padding=1),
            relu4=nn.ReLU(),
            conv5=nn.Conv2d(384, 256, 3, padding=1),
            relu5=nn.ReLU(),
            pool5=nn.MaxPool2d(3, stride=2),  # (B, 256, 6, 6)
            flatten=nn.Flatten(),
            drop6=nn.Dropout(),
            linear6=nn.Linear(256 * 6 * 6, 4096),
            relu6=nn.ReLU(),
            drop7=nn.Dropout(),
            linear7=nn.Linear(4096, 4096),
            relu7=nn.ReLU(),
            linear8=nn.Linear(4096, n_classes),
        )
    return nn.Sequential(layers)
