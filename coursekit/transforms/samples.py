"""Look at what a random transform does: seeded samples, and data that change when read twice.

Nothing here knows how the images are drawn.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from coursekit.errors import SettingsError
from coursekit.seeds import seeded

__all__ = ["apply_seeded", "find_changing", "sample_transform"]


def apply_seeded(transform: Callable[[Any], Any], image: Any, *, seed: int) -> Any:
    """Return ``transform(image)``, the same for the same seed.

    Parameters
    ----------
    transform : callable
        That draws from torch's global generator, as torchvision's do. The generator is put
        back afterwards.
    image : PIL image or Tensor of shape (..., channels, height, width)
    seed : int

    Returns
    -------
    What the transform returns

    Examples
    --------
    >>> def noise(image):
    ...     return image + torch.rand(2)
    >>> a, b = (apply_seeded(noise, torch.zeros(2), seed=0) for _ in range(2))
    >>> torch.equal(a, b)
    True
    """
    with seeded(seed, "transform"):
        return transform(image)


def sample_transform(
    transform: Callable[[Any], Any], image: Any, *, n_samples: int, seed: int
) -> list[Any]:
    """Return several results of a random transform of one image.

    Parameters
    ----------
    transform : callable
        That draws from torch's global generator, as torchvision's do.
    image : PIL image or Tensor of shape (channels, height, width)
    n_samples : int
        At least 1.
    seed : int
        The first samples are the same however many are asked for.

    Returns
    -------
    list
        What the transform returned, `n_samples` times.

    Raises
    ------
    SettingsError
        If `n_samples` is below 1.

    Examples
    --------
    >>> from torchvision.transforms import v2
    >>> image = torch.rand(3, 8, 8)
    >>> len(sample_transform(v2.RandomRotation(30), image, n_samples=4, seed=0))
    4
    """
    if n_samples < 1:
        msg = f"n_samples must be at least 1, got {n_samples}."
        raise SettingsError(msg)
    samples = []
    for number in range(n_samples):
        with seeded(seed, "sample", number):
            samples.append(transform(image))
    return samples


def find_changing(dataset: Any, *, n_items: int = 32) -> list[int]:
    """Return which items of a torch data set differ when they are read twice.

    Validation data must never: if they do, a random transform is applied to them, most often
    because both parts of a `random_split` share the data set's.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        Items are tensors or PIL images, alone or first in a tuple.
    n_items : int, default=32
        How many to read, spread evenly.

    Returns
    -------
    list of int
        Empty when nothing changed.

    Raises
    ------
    SettingsError
        If `n_items` is below 1.

    Examples
    --------
    >>> find_changing([(torch.ones(2), 0), (torch.zeros(2), 1)])
    []
    """
    if n_items < 1:
        msg = f"n_items must be at least 1, got {n_items}."
        raise SettingsError(msg)
    count = min(n_items, len(dataset))
    indices = [index * len(dataset) // count for index in range(count)]
    found = []
    for index in indices:
        pixels = []
        for turn in range(2):
            with seeded(index, "look", turn):  # not the same draws twice
                pixels.append(_pixels(dataset[index]))
        if not torch.equal(*pixels):
            found.append(index)
    return found


def _pixels(item: Any) -> Tensor:
    from torchvision.transforms.v2 import functional

    image = item[0] if isinstance(item, tuple | list) else item
    return image if isinstance(image, Tensor) else functional.pil_to_tensor(image)
