"""Turn what callers have - tensors, arrays, lists - into arrays that can be drawn.

Nothing here knows of figures; every refusal names the argument and the remedy.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from coursekit.errors import SettingsError, ShapeError

__all__ = ["as_array", "as_image", "as_images", "as_items", "check_captions"]


def as_array(values: Any, *, name: str, n_axes: int | None = None) -> np.ndarray:
    """Return `values` as an array of finite numbers, tensors included.

    Parameters
    ----------
    values : Tensor or array-like
        On any device, with or without gradient.
    name : str
        The argument's name, for the message.
    n_axes : int, optional
        How many axes it must have.

    Raises
    ------
    ShapeError
        If it is empty, ragged, or has another number of axes.
    SettingsError
        If it holds something that is not a finite real number.

    Examples
    --------
    >>> as_array([[1, 2]], name="matrix", n_axes=2)
    array([[1, 2]])
    """
    array = _to_numpy(values, name)
    if array.size == 0 or (n_axes is not None and array.ndim != n_axes):
        wanted = "" if n_axes is None else f"{n_axes}-D and "
        msg = f"{name} must be {wanted}not empty, got an array of shape {array.shape}."
        raise ShapeError(msg)
    if array.dtype.kind not in "biuf":
        remedy = " Draw its magnitude: .abs()." if array.dtype.kind == "c" else ""
        msg = f"{name} must hold real numbers, got {array.dtype}.{remedy}"
        raise SettingsError(msg)
    n_bad = array.size - np.count_nonzero(np.isfinite(array))
    if n_bad:
        msg = (
            f"{name} must hold finite numbers, got {n_bad} of {array.size} that are NaN or "
            "infinite. Find where they come from, or leave them out."
        )
        raise SettingsError(msg)
    return array


def as_image(
    image: Any, *, value_range: tuple[float, float] | Literal["each"] | None, name: str
) -> np.ndarray:
    """Return one image ready to be drawn: brightness from 0 to 1, color last.

    Parameters
    ----------
    image : Tensor or array of shape (height, width), (height, width, channels) or \
(channels, height, width)
        With 1, 3 or 4 channels. Where both readings fit, a tensor has its channels first
        and an array last. Bytes run from 0 to 255, booleans from 0 to 1.
    value_range : (float, float) or "each", optional
        The values drawn as black and as white; needed for numbers outside 0 to 1. With
        ``"each"``, the image's own smallest and largest.
    name : str
        What to call the image in a message.

    Returns
    -------
    ndarray of shape (height, width) or (height, width, 3 or 4), float

    Raises
    ------
    ShapeError
        If it has no such shape.
    SettingsError
        If values lie outside 0 to 1 and no `value_range` is given.
    """
    channels_first = hasattr(image, "detach")
    array = as_array(image, name=name)
    pixels = _channels_last(array, channels_first, name)
    if value_range == "each":
        low, high = float(pixels.min()), float(pixels.max())
        value_range = (low, high) if low < high else (low, low + 1)
    if value_range is not None:
        low, high = value_range
        if not low < high:
            msg = f"value_range must be (low, high) with low < high, got {value_range}."
            raise SettingsError(msg)
        return ((pixels.astype(float) - low) / (high - low)).clip(0, 1)
    if pixels.dtype == np.uint8:
        return pixels / 255
    pixels = pixels.astype(float)
    low, high = pixels.min(), pixels.max()
    if low < -1e-3 or high > 1 + 1e-3:
        msg = (
            f"An image holds bytes from 0 to 255, or numbers from 0 to 1; {name} has "
            f"{array.dtype} from {low:.3g} to {high:.3g}. Say which values are black and "
            f"white, as in value_range=(0, 255), or draw it with show_matrix."
        )
        raise SettingsError(msg)
    return pixels.clip(0, 1)


def as_images(images: Any, *, name: str) -> list[Any]:
    """Return a list of images from a list, from a stack, or from a single image.

    Parameters
    ----------
    images : image, or sequence or stack of images
        Three axes are one image in color if the channels are where `as_image` looks for
        them, and a stack of gray images otherwise.
    name : str
        The argument's name, for the message.

    Raises
    ------
    ShapeError
        If there are no images.
    """
    n_axes = getattr(images, "ndim", None)
    if n_axes is None and not hasattr(images, "__len__"):  # PIL's images, and generators
        images = list(images) if hasattr(images, "__iter__") else [images]
    elif n_axes == 3:
        n_channels = images.shape[0 if hasattr(images, "detach") else -1]
        is_byte = str(images.dtype).endswith("uint8")  # with transparency, that is
        images = [images] if n_channels in ({1, 3, 4} if is_byte else {1, 3}) else images
    elif n_axes == 2:
        images = [images]
    return as_items(images, name=name)


def as_items(values: Any, *, name: str) -> list[Any]:
    """Return the items of a sequence or a stack, of which there must be at least one.

    Raises
    ------
    ShapeError
        If there are none.
    """
    items = list(values)
    if not items:
        msg = f"{name} must hold at least one item, got none."
        raise ShapeError(msg)
    return items


def check_captions(captions: Sequence[str] | None, n_items: int, *, name: str) -> list[str]:
    """Return one caption an item; empty ones when there are none.

    Raises
    ------
    ShapeError
        If the counts differ.
    """
    if captions is None:
        return [""] * n_items
    if isinstance(captions, str):
        captions = [captions]
    captions = [str(caption) for caption in captions]
    if len(captions) != n_items:
        msg = (
            f"captions must hold one text for each of the {n_items} {name}, got "
            f"{len(captions)}. Cut both to the same length."
        )
        raise ShapeError(msg)
    return captions


def _to_numpy(values: Any, name: str) -> np.ndarray:
    if hasattr(values, "detach"):  # a tensor; torch itself is not needed here
        values = values.detach().cpu().resolve_conj().resolve_neg()
        if values.dtype.is_floating_point:
            values = values.double()  # NumPy has no bfloat16
        return values.numpy()
    if hasattr(values, "toarray"):  # SciPy's sparse matrices
        return values.toarray()
    if isinstance(values, (list, tuple)) and any(hasattr(v, "detach") for v in values):
        values = [_to_numpy(value, name) for value in values]
    try:
        return np.asarray(values)
    except ValueError as error:
        msg = f"{name} must be rectangular, got rows of different lengths."
        raise ShapeError(msg) from error


def _channels_last(array: np.ndarray, channels_first: bool, name: str) -> np.ndarray:
    if array.ndim == 2:
        return array
    if array.ndim == 3:
        fits_first, fits_last = array.shape[0] in {1, 3, 4}, array.shape[2] in {1, 3, 4}
        if fits_first and (channels_first or not fits_last):
            array, fits_last = np.moveaxis(array, 0, 2), True
        if fits_last:
            return array[..., 0] if array.shape[2] == 1 else array
    msg = (
        "An image has shape (height, width), (height, width, channels) or (channels, height, "
        f"width) with 1, 3 or 4 channels; {name} has shape {array.shape}. Draw single "
        "channels one by one, or a feature map with show_matrix."
    )
    raise ShapeError(msg)
