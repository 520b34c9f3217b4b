"""Own transforms, as torchvision's version 2 wants them: for PIL images, tensors and batches.

All numbers come from torch's global generator, so that `coursekit.seeds.seeded`, a loader's
seed or ``torch.manual_seed`` decide them. Like torchvision's, a transform draws once for what
it is given in one call; `PerImage` makes it draw for each image of a batch.
"""

from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from coursekit.errors import DataError, SettingsError, ShapeError

__all__ = ["RandomQuarterTurn", "RandomShift", "SaltAndPepper"]

_MODES = ("L", "RGB")


class SaltAndPepper(v2.Transform):
    """Set a random share of the pixels to white (salt) or black (pepper).

    A pixel is hit in all its channels, and every pixel has draws of its own, those of the
    images of a batch too. All others stay exactly as they are.

    Parameters
    ----------
    share : float, default=0.05
        Probability of a pixel to be hit, from 0 to 1.
    salt : float, default=0.5
        Share of the hits that are white, from 0 to 1.

    Raises
    ------
    SettingsError
        If a number is outside 0 to 1.
    DataError
        When called with images that are neither gray nor RGB, or hold neither bytes nor
        floats from 0 to 1.

    Examples
    --------
    >>> gray = torch.full((1, 2, 8), 0.5)
    >>> torch.manual_seed(0) and SaltAndPepper(share=0.5)(gray).unique()
    tensor([0.0000, 0.5000, 1.0000])
    """

    def __init__(self, share: float = 0.05, *, salt: float = 0.5) -> None:
        super().__init__()
        check_share("share", share)
        check_share("salt", salt)
        self.share, self.salt = share, salt

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw which pixels are hit, and how.

        Parameters
        ----------
        flat_inputs : list
            What is transformed, all of one size.

        Returns
        -------
        dict
            ``salt`` and ``pepper``, masks of shape (..., 1, height, width).
        """
        height, width = v2.query_size(flat_inputs)
        first = flat_inputs[0]
        leading = first.shape[:-3] if isinstance(first, Tensor) else ()
        draws = torch.rand((*leading, 1, height, width))
        n_salt = self.share * self.salt
        return {"salt": draws < n_salt, "pepper": (draws >= n_salt) & (draws < self.share)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return `inpt` with the drawn pixels hit.

        Parameters
        ----------
        inpt : PIL image, or Tensor of shape (..., channels, height, width)
        params : dict
            What `make_params` drew.

        Returns
        -------
        Like `inpt`
        """
        pixels = _pixels_of(inpt, type(self).__name__)
        white = 255 if pixels.dtype == torch.uint8 else 1
        noisy = pixels.masked_fill(params["pepper"].to(pixels.device), 0)
        return _like(inpt, noisy.masked_fill_(params["salt"].to(pixels.device), white))


class RandomQuarterTurn(v2.Transform):
    """Turn a square image by 0, 90, 180 or 270 degrees, each as likely.

    Unlike a rotation by any angle it needs no interpolation and has no corners to fill. With
    a flip it makes the eight symmetries of the square.

    Raises
    ------
    ShapeError
        When called with an image that is not square.

    Examples
    --------
    >>> image = torch.arange(4.0).reshape(1, 2, 2)
    >>> torch.manual_seed(0) and RandomQuarterTurn()(image)
    tensor([[[0., 1.],
             [2., 3.]]])
    """

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the number of quarter turns.

        Parameters
        ----------
        flat_inputs : list
            What is transformed.

        Returns
        -------
        dict
            ``n_turns``, from 0 to 3.

        Raises
        ------
        ShapeError
            If the images are not square.
        """
        height, width = v2.query_size(flat_inputs)
        if height != width:
            msg = (
                f"A quarter turn keeps the size of square images only, got {height} x {width}. "
                "Crop first, or use v2.RandomRotation."
            )
            raise ShapeError(msg)
        return {"n_turns": int(torch.randint(0, 4, ()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return `inpt`, turned counterclockwise.

        Parameters
        ----------
        inpt : PIL image, or Tensor of shape (..., channels, height, width)
        params : dict
            What `make_params` drew.

        Returns
        -------
        Like `inpt`
        """
        return self._call_kernel(v2.functional.rotate, inpt, angle=90.0 * params["n_turns"])


class RandomShift(v2.Transform):
    """Shift an image by up to some pixels; what comes in at the border is mirrored.

    Parameters
    ----------
    max_pixels : int, default=4
        Each direction is drawn from ``-max_pixels .. max_pixels``.
    padding_mode : {"reflect", "edge", "symmetric", "constant"}, default="reflect"
        What comes in; "constant" is black.

    Raises
    ------
    SettingsError
        If a value is not one of those above.
    ShapeError
        When called with an image too small to be mirrored so far.

    Examples
    --------
    >>> RandomShift(2)(torch.zeros(3, 8, 8)).shape
    torch.Size([3, 8, 8])
    """

    def __init__(self, max_pixels: int = 4, *, padding_mode: str = "reflect") -> None:
        super().__init__()
        modes = ("reflect", "edge", "symmetric", "constant")
        if not isinstance(max_pixels, int) or max_pixels < 0:
            msg = f"max_pixels must be a whole number, 0 or more, got {max_pixels!r}."
            raise SettingsError(msg)
        if padding_mode not in modes:
            listed = ", ".join(map(repr, modes))
            msg = f"padding_mode must be one of {listed}, got {padding_mode!r}."
            raise SettingsError(msg)
        self.max_pixels, self.padding_mode = max_pixels, padding_mode

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw where the window begins in the padded image.

        Parameters
        ----------
        flat_inputs : list
            What is transformed, all of one size.

        Returns
        -------
        dict
            ``top``, ``left``, ``height`` and ``width`` of the window.

        Raises
        ------
        ShapeError
            If the images are too small.
        """
        height, width = v2.query_size(flat_inputs)
        if self.padding_mode != "constant" and self.max_pixels >= min(height, width):
            msg = (
                f"A shift by up to {self.max_pixels} pixels needs images larger than that, "
                f"got {height} x {width}. Lower max_pixels."
            )
            raise ShapeError(msg)
        top, left = torch.randint(0, 2 * self.max_pixels + 1, (2,)).tolist()
        return {"top": top, "left": left, "height": height, "width": width}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return `inpt`, shifted.

        Parameters
        ----------
        inpt : PIL image, or Tensor of shape (..., channels, height, width)
        params : dict
            What `make_params` drew.

        Returns
        -------
        Like `inpt`
        """
        padded = self._call_kernel(
            v2.functional.pad,
            inpt,
            padding=[self.max_pixels] * 4,
            padding_mode=self.padding_mode,
        )
        return self._call_kernel(v2.functional.crop, padded, **params)


def check_share(name: str, value: float) -> None:
    """Raise if a probability or a share is outside 0 to 1.

    Raises
    ------
    SettingsError
        With its name and value.
    """
    if not 0 <= value <= 1:
        msg = f"{name} must be between 0 and 1, got {value}."
        raise SettingsError(msg)


def _pixels_of(image: Any, name: str) -> Tensor:
    """Return the pixels as a tensor (..., channels, height, width)."""
    if isinstance(image, Image.Image):
        if image.mode not in _MODES:
            msg = (
                f"{name} wants PIL images of mode {' or '.join(_MODES)}, got {image.mode!r}. "
                "Convert it: image.convert('RGB')."
            )
            raise DataError(msg)
        return v2.functional.pil_to_tensor(image)
    if image.dtype != torch.uint8 and not image.is_floating_point():
        msg = (
            f"{name} wants bytes from 0 to 255 or floats from 0 to 1, got {image.dtype}. "
            "Convert it: image.float() / 255."
        )
        raise DataError(msg)
    return image


def _like(image: Any, pixels: Tensor) -> Any:
    if isinstance(image, Image.Image):
        return v2.functional.to_pil_image(pixels, mode=image.mode)
    if isinstance(image, tv_tensors.TVTensor):
        return tv_tensors.wrap(pixels, like=image)
    return pixels
