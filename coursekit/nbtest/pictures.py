"""Compare two pictures by what is seen, and show where they differ.

Bytes of PNG or JPEG files go in; nothing here knows of notebooks. Pillow and NumPy are
imported only when bytes differ.
"""

import re
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from coursekit.nbtest.difference import Difference

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

__all__ = ["compare_pictures"]

_SIDE = 128  # pixels to which larger pictures are reduced: finer detail is not seen
_PARTS = 8  # along each side: the picture's parts, one of which may differ alone
_LOCAL = 5.0  # a part may differ by so many times what the whole may
_GAP = 8  # pixels between the pictures side by side
_NOT_IN_A_NAME = re.compile(r"[^\w.-]+")
_WORDS = (("upper", "middle", "lower"), ("left", "center", "right"))


def compare_pictures(
    stored: bytes, fresh: bytes, *, threshold: float, folder: Path, name: str
) -> Difference | None:
    """Return how two pictures differ, or None when they look the same.

    They look the same if they have the same size, the root-mean-square difference of their
    colors is at most `threshold`, and at most five times that in each of 8 x 8 parts. Both are
    first reduced to 128 x 128 pixels, so that single pixels do not count.

    Parameters
    ----------
    stored, fresh : bytes
        PNG or JPEG files. Transparent pixels are seen as white.
    threshold : float
        Share of the full scale, between 0 and 1.
    folder : Path
        Where a picture of stored, fresh and their difference is written; made when missing.
    name : str
        Of that file, without its ending.

    Returns
    -------
    Difference or None
        With the path of the file, if it could be written.
    """
    if stored == fresh:
        return None
    from PIL import UnidentifiedImageError

    images = []
    for which, data in (("stored", stored), ("fresh", fresh)):
        try:
            images.append(_open(data))
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            return Difference(f"The {which} picture cannot be read ({error}).")
    before, after = images
    if before.size != after.size:
        words = " and ".join(f"{image.width} x {image.height}" for image in images)
        message = f"The pictures have different sizes, stored and fresh: {words} pixels."
        return Difference(message, _write(before, after, folder, name))
    parts = _part_errors(before, after)
    whole = float((parts**2).mean() ** 0.5)
    if whole <= threshold and parts.max() <= _LOCAL * threshold:
        return None
    row, column = divmod(int(parts.argmax()), parts.shape[1])
    message = (
        f"The pictures differ by {whole:.3g} of the full scale (root mean square), allowed "
        f"{threshold:g}; most, {parts.max():.3g}, at the {_place(row, column)}, where "
        f"{_LOCAL * threshold:.3g} is allowed."
    )
    return Difference(message, _write(before, after, folder, name))


def _open(data: bytes) -> "Image.Image":
    """Read a picture as RGB, on white where it is transparent."""
    from PIL import Image

    image = Image.open(BytesIO(data))
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert(
            "RGB"
        )
    return image.convert("RGB")


def _part_errors(before: "Image.Image", after: "Image.Image") -> "np.ndarray":
    """Return the root-mean-square difference of each part, of shape (8, 8)."""
    import numpy as np
    from PIL import Image

    size = tuple(
        min(_SIDE, -(-length // _PARTS) * _PARTS) for length in before.size
    )  # a multiple of the parts
    low, high = (
        np.asarray(image.resize(size, Image.Resampling.BOX), float) / 255
        for image in (before, after)
    )
    squares = ((low - high) ** 2).mean(axis=2)
    rows, columns = squares.shape
    blocks = squares.reshape(_PARTS, rows // _PARTS, _PARTS, columns // _PARTS)
    return np.sqrt(blocks.mean(axis=(1, 3)))


def _place(row: int, column: int) -> str:
    return " ".join(
        words[place * 3 // _PARTS]
        for words, place in zip(_WORDS, (row, column), strict=True)
    )


def _write(
    before: "Image.Image", after: "Image.Image", folder: Path, name: str
) -> Path | None:
    """Write both pictures and, of equal sizes, their difference; white is the same."""
    from PIL import Image, ImageChops

    images = [before, after]
    if before.size == after.size:
        images.append(ImageChops.invert(ImageChops.difference(before, after)))
    width = sum(image.width + _GAP for image in images) - _GAP
    sheet = Image.new("RGB", (width, max(image.height for image in images)), "#888888")
    left = 0
    for image in images:
        sheet.paste(image, (left, 0))
        left += image.width + _GAP
    path = folder / (_NOT_IN_A_NAME.sub("-", name) + ".png")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sheet.save(path)
    except OSError:  # the difference is told all the same
        return None
    return path
