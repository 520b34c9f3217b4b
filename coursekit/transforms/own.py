"""Own transforms, as torchvision's version 2 wants them: for PIL images, tensors and batches.

They draw from torch's global generator, once for what they are given in one call; `PerImage`
makes them draw for each image of a batch.
"""

from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from coursekit.errors import DataError, SettingsError, ShapeError

__all__ = ["RandomQuarterTurn", "RandomShift", "SaltAndPepper"]


class SaltAndPepper(v2.Transform):
    """Set a random share of the pixels to white (salt) or black (pepper).

    A pixel is hit in all its channels; every pixel of a batch has draws of its own.

    Parameters
    ----------
    share : float, default=0.05
        Probability of a pixel to be hit, from 0 to 1.
    salt : float, default=0.5
        Share of the hits that are white.

    Examples
    --------
    >>> gray = torch.full((1, 2, 8), 0.5)
    >>> torch.manual_seed(0) and SaltAndPepper(share=0.5)(gray).unique()
    tensor([0.0000, 0.5000, 1.0000])
    """

    def __init__(self, share: float = 0.05, *, salt: float = 0.5) -> None:
        super().__init__()
        if not (0 <= share <= 1 and 0 <= salt <= 1):
            msg = f"share and salt must be between 0 and 1, got {share} and {salt}."
            raise SettingsError(msg)
        self.share, self.salt = share, salt

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw which pixels are hit, and how: masks of shape (..., 1, height, width)."""
        height, width = v2.query_size(flat_inputs)
        first = flat_inputs[0]
        leading = first.shape[:-3] if isinstance(first, Tensor) else ()
        draws = torch.rand((*leading, 1, height, width))
        n_salt = self.share * self.salt
        return {"salt": draws < n_salt, "pepper": (draws >= n_salt) & (draws < self.share)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return `inpt` with the drawn pixels hit."""
        is_picture = isinstance(inpt, Image.Image)
        if is_picture and inpt.mode not in ("L", "RGB"):
            msg = f"Salt and pepper are for gray and RGB, got a {inpt.mode!r} picture."
            raise DataError(msg)
        pixels = v2.functional.pil_to_tensor(inpt) if is_picture else inpt
        white = 255 if pixels.dtype == torch.uint8 else 1
        noisy = pixels.masked_fill(params["pepper"].to(pixels.device), 0)
        noisy = noisy.masked_fill_(params["salt"].to(pixels.device), white)
        return v2.functional.to_pil_image(noisy, mode=inpt.mode) if is_picture else noisy


class RandomQuarterTurn(v2.Transform):
    """Turn a square image by 0, 90, 180 or 270 degrees, each as likely.

    Unlike a rotation by any angle it needs no interpolation and has no corners to fill. With
    a flip it makes the eight symmetries of the square.

    Examples
    --------
    >>> image = torch.arange(4.0).reshape(1, 2, 2)
    >>> torch.manual_seed(0) and RandomQuarterTurn()(image)
    tensor([[[0., 1.],
             [2., 3.]]])
    """

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the number of quarter turns."""
        height, width = v2.query_size(flat_inputs)
        if height != width:
            msg = (
                f"A quarter turn keeps the size of square images only, got {height} x {width}. "
                "Crop first, or use v2.RandomRotation."
            )
            raise ShapeError(msg)
        return {"n_turns": int(torch.randint(0, 4, ()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return `inpt`, turned counterclockwise."""
        return self._call_kernel(v2.functional.rotate, inpt, angle=90.0 * params["n_turns"])


class RandomShift(v2.Transform):
    """Shift an image by up to some pixels either way; what comes in is mirrored.

    Parameters
    ----------
    max_pixels : int, default=4

    Examples
    --------
    >>> RandomShift(2)(torch.zeros(3, 8, 8)).shape
    torch.Size([3, 8, 8])
    """

    def __init__(self, max_pixels: int = 4) -> None:
        super().__init__()
        self.max_pixels = max_pixels

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw where the window begins in the padded image."""
        height, width = v2.query_size(flat_inputs)
        if self.max_pixels >= min(height, width):
            msg = (
                f"A shift by up to {self.max_pixels} pixels needs images larger than that, "
                f"got {height} x {width}. Lower max_pixels."
            )
            raise ShapeError(msg)
        top, left = torch.randint(0, 2 * self.max_pixels + 1, (2,)).tolist()
        return {"top": top, "left": left, "height": height, "width": width}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return `inpt`, shifted."""
        pad = {"padding": [self.max_pixels] * 4, "padding_mode": "reflect"}
        padded = self._call_kernel(v2.functional.pad, inpt, **pad)
        return self._call_kernel(v2.functional.crop, padded, **params)
