"""`ImageSet`: images, labels and what is known about them, in one immutable record."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch

from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.seeds import derive_seed


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageSet:
    """Labeled images, and what is known about each.

    Parameters
    ----------
    images : ndarray of shape (n_images, height, width, channels), uint8
        When sizes differ or the images stay on disk: a sequence of such arrays of shape
        (height, width, channels), read when asked for.
    labels : ndarray of shape (n_images,), int64
        Indices into `class_names`.
    class_names : tuple of str
    captions : tuple of str, optional
        One sentence an image.
    attributes : mapping of str to ndarray of shape (n_images,), optional
        More that is known about each image, such as the color of the shape.
    card : str
        Where the images come from, how they were made, and under which license.

    Examples
    --------
    >>> toy = ImageSet(
    ...     images=np.zeros((4, 8, 8, 3), np.uint8),
    ...     labels=np.array([0, 1, 0, 1]),
    ...     class_names=("disc", "square"),
    ... )
    >>> toy
    ImageSet(4 images of 8 x 8 x 3, 2 classes)
    >>> toy.subset([1, 3]).labels
    array([1, 1])
    """

    images: np.ndarray | Sequence[np.ndarray]
    labels: np.ndarray
    class_names: tuple[str, ...]
    captions: tuple[str, ...] | None = None
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict)
    card: str = ""

    def __post_init__(self) -> None:
        labels = np.asarray(self.labels, dtype=np.int64)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "class_names", tuple(self.class_names))
        if self.is_lazy and not isinstance(self.images, LazyImages):
            lazy = LazyImages(self.images.__getitem__, range(len(self.images)))
            object.__setattr__(self, "images", lazy)
        if not self.is_lazy and (self.images.ndim != 4 or self.images.dtype != np.uint8):
            msg = (
                "images must be uint8 of shape (n_images, height, width, channels), got "
                f"{self.images.dtype} of shape {self.images.shape}. Gray images need a last "
                "axis of one: images[..., None]."
            )
            raise ShapeError(msg)
        known = {"images": self.images, "labels": labels, "captions": self.captions}
        counts = {
            k: len(v) for k, v in {**known, **self.attributes}.items() if v is not None
        }
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{count} {name}" for name, count in counts.items())
            msg = f"Every image needs one label (and caption and attribute), got {listed}."
            raise ShapeError(msg)
        if len(labels) and not 0 <= labels.min() <= labels.max() < self.n_classes:
            msg = (
                f"Labels must lie in 0 .. {self.n_classes - 1}, one for each of the "
                f"{self.n_classes} class names, got {labels.min()} .. {labels.max()}."
            )
            raise DataError(msg)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        shape = () if self.is_lazy else self.images.shape[1:]
        size = " x ".join(map(str, shape)) or "different sizes"
        classes = "1 class" if self.n_classes == 1 else f"{self.n_classes} classes"
        return f"ImageSet({len(self)} images of {size}, {classes})"

    @property
    def n_classes(self) -> int:
        """Number of class names, whether or not each has an image."""
        return len(self.class_names)

    @property
    def is_lazy(self) -> bool:
        """Whether images are read one by one, and may differ in size."""
        return not isinstance(self.images, np.ndarray)

    @property
    def names(self) -> list[str]:
        """The class name of each image, in order."""
        return [self.class_names[label] for label in self.labels]

    def subset(self, indices: Sequence[int] | np.ndarray) -> Self:
        """Return the images at `indices`, in that order, with the same names and card."""
        indices = as_places(indices)
        return replace(
            self,
            images=self.images[indices],
            labels=self.labels[indices],
            captions=self.captions and tuple(self.captions[i] for i in indices),
            attributes={name: values[indices] for name, values in self.attributes.items()},
        )

    def sample(self, n_images: int, *, seed: int) -> Self:
        """Return `n_images` different images, drawn at random."""
        if not 1 <= n_images <= len(self):
            msg = f"n_images must be between 1 and the set's {len(self)} images, got {n_images}."
            raise SettingsError(msg)
        rng = np.random.default_rng(derive_seed(seed, "sample"))
        return self.subset(rng.permutation(len(self))[:n_images])

    def to_tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all images (N, C, H, W), float32 from 0 to 1, and their labels, int64."""
        images = stack_images(list(self.images)) if self.is_lazy else self.images
        pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        return pixels.float().div_(255), torch.from_numpy(self.labels.copy())


def as_places(indices: Any) -> np.ndarray:
    """Return places as int64; a mask of booleans stands for those where it is true."""
    indices = np.asarray(indices)
    return np.flatnonzero(indices) if indices.dtype == bool else indices.astype(np.int64)


def stack_images(images: list) -> np.ndarray | torch.Tensor:
    """Return images of one size, arrays or tensors, as one with a first axis more."""
    sizes = sorted({tuple(image.shape) for image in images})
    if len(sizes) > 1:
        msg = (
            f"One batch or tensor needs images of one size, got {len(sizes)} sizes from "
            f"{sizes[0]} to {sizes[-1]}. Pass image_size= when the set is loaded, or a "
            "transform that resizes to make_loader."
        )
        raise ShapeError(msg)
    return torch.stack(images) if isinstance(images[0], torch.Tensor) else np.stack(images)


class LazyImages(Sequence):
    """Images that are read when asked for, by a function of each item."""

    def __init__(self, read: Callable[[Any], np.ndarray], items: Iterable[Any]) -> None:
        self.read, self.items = read, tuple(items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int | slice | np.ndarray) -> "np.ndarray | LazyImages":
        if isinstance(index, slice | np.ndarray):
            rows = np.arange(len(self))[index]
            return LazyImages(self.read, [self.items[row] for row in rows])
        return self.read(self.items[index])
