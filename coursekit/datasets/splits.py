"""Cut a data set into parts that share no image and hold every class.

Nothing here knows how the parts are used or transformed.
"""

import math
from collections.abc import Mapping

import numpy as np

from coursekit.datasets.imageset import ImageSet
from coursekit.errors import DataError, SettingsError
from coursekit.seeds import derive_seed

__all__ = ["split_stratified"]


def split_stratified(
    image_set: ImageSet, sizes: Mapping[str, int | float], *, seed: int
) -> dict[str, ImageSet]:
    """Cut `image_set` into parts in which every class has its share.

    Parameters
    ----------
    image_set : ImageSet
    sizes : mapping of str to int or float
        The name of each part and its size: all numbers of images (``{"train": 300,
        "test": 100}``) or all fractions of the set (``{"train": 0.75, "test": 0.25}``).
        What they leave over is in no part.
    seed : int
        The same seed makes the same cut.

    Returns
    -------
    dict of str to ImageSet
        In the order of `sizes`. No image is in two parts; inside a part the images keep
        the order they had.

    Raises
    ------
    SettingsError
        If the sizes are mixed, not positive, or more than there is.
    DataError
        If a class has too few images, or a part too few places, for one of every class
        in every part.

    Examples
    --------
    >>> toy = ImageSet(
    ...     images=np.zeros((8, 4, 4, 1), np.uint8), labels=[0, 1] * 4, class_names=("a", "b")
    ... )
    >>> parts = split_stratified(toy, {"train": 0.75, "test": 0.25}, seed=0)
    >>> {name: sorted(part.names) for name, part in parts.items()}
    {'train': ['a', 'a', 'a', 'b', 'b', 'b'], 'test': ['a', 'b']}
    """
    counts = _counts_of_parts(len(image_set), sizes)
    class_sizes = np.bincount(image_set.labels, minlength=image_set.n_classes)
    _check_room(image_set, counts, class_sizes)
    rng = np.random.default_rng(derive_seed(seed, "split"))
    members = [
        rng.permutation(np.flatnonzero(image_set.labels == label))
        for label in range(image_set.n_classes)
    ]
    quotas = _quotas([len(rows) for rows in members], list(counts.values()))
    ends = np.cumsum(quotas, axis=1)
    parts = {}
    for part, name in enumerate(counts):
        rows = [
            m[end[part] - quota[part] : end[part]]
            for m, end, quota in zip(members, ends, quotas, strict=True)
        ]
        parts[name] = image_set.subset(np.sort(np.concatenate(rows)))
    return parts


def _counts_of_parts(n_images: int, sizes: Mapping[str, int | float]) -> dict[str, int]:
    given = ", ".join(str(size) for size in sizes.values())
    if not sizes or not all(size > 0 for size in sizes.values()):
        msg = f"sizes must name at least one part, each larger than 0, got {dict(sizes)}."
        raise SettingsError(msg)
    fractions = [isinstance(size, float | np.floating) for size in sizes.values()]
    if len(set(fractions)) > 1:
        msg = f"sizes must be all counts or all fractions, got {given}."
        raise SettingsError(msg)
    if not fractions[0]:
        counts = {name: int(size) for name, size in sizes.items()}
    elif sum(sizes.values()) > 1 + 1e-9:
        msg = f"Fractions must add up to at most 1, got {given}."
        raise SettingsError(msg)
    else:  # rounded at the ends, so that parts of a whole add up to the whole
        ends = np.rint(np.cumsum(list(sizes.values())) * n_images).astype(int)
        counts = dict(zip(sizes, np.diff(ends, prepend=0).tolist(), strict=True))
    if sum(counts.values()) > n_images:
        msg = f"The parts need {sum(counts.values())} images, the set has {n_images}."
        raise SettingsError(msg)
    return counts


def _check_room(
    image_set: ImageSet, counts: dict[str, int], class_sizes: np.ndarray
) -> None:
    too_few = [
        f"{name!r} has {n_images}"
        for name, n_images in zip(image_set.class_names, class_sizes, strict=True)
        if n_images < len(counts)
    ]
    if too_few:
        msg = (
            f"Every class needs an image for each of the {len(counts)} parts, but "
            f"{', '.join(too_few)}. Add images, drop the class, or make fewer parts."
        )
        raise DataError(msg)
    for name, count in counts.items():
        if count < image_set.n_classes:
            msg = (
                f"Part {name!r} has {count} places for {image_set.n_classes} classes. Make it "
                f"at least {image_set.n_classes} images."
            )
            raise DataError(msg)


def _quotas(class_sizes: list[int], part_sizes: list[int]) -> np.ndarray:
    """How many images of each class go into each part: proportional, none zero."""
    n_images = sum(class_sizes)
    left = np.array(class_sizes)
    quotas = np.zeros((len(class_sizes), len(part_sizes)), dtype=int)
    for part, size in enumerate(part_sizes):
        n_later = len(part_sizes) - part - 1
        most = left - n_later  # one image of each class stays for every later part
        wanted = size * np.array(class_sizes) / n_images
        quota = np.clip(np.floor(wanted).astype(int), 1, most)
        while quota.sum() != size:
            step = 1 if quota.sum() < size else -1
            movable = quota < most if step > 0 else quota > 1
            gap = np.where(movable, step * (wanted - quota), -math.inf)
            quota[int(np.argmax(gap))] += step
        quotas[:, part] = quota
        left = left - quota
    return quotas
