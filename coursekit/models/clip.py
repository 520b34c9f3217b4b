"""Open a CLIP by open_clip's own calls, and say clearly what does not fit.

A CLIP is three things that belong together: the model, what prepares images for it, and what
makes tokens of texts. Nothing here knows of roles or downloads.
"""

import logging
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn

from coursekit.errors import SettingsError, ShapeError
from coursekit.models.clip_texts import CheckedTokenizer
from coursekit.models.state_files import read_state

__all__ = [
    "CheckedPreprocess",
    "Clip",
    "ClipSource",
    "find_clip",
    "model_configuration",
    "open_clip_source",
]

_CONFIG = "open_clip_config.json"
_WORDS = "words.txt.gz"
_READABLE = ("RGB", "L", "P", "1", "RGBA", "LA", "CMYK", "YCbCr", "HSV")


class Clip(NamedTuple):
    """A model of images and texts, with what belongs to it.

    Parameters
    ----------
    model : Module
        In evaluation mode: ``encode_image``, ``encode_text``, ``logit_scale``.
    preprocess : CheckedPreprocess
        From one PIL image to a Tensor of shape (3, height, width).
    tokenizer : CheckedTokenizer
        From texts to a Tensor of shape (n_texts, n_tokens).
    """

    model: nn.Module
    preprocess: "CheckedPreprocess"
    tokenizer: CheckedTokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipSource:
    """What open_clip's calls take to open a CLIP.

    Parameters
    ----------
    model : dict
        For ``open_clip.create_model_and_transforms(**source.model)``.
    tokenizer : dict
        For ``open_clip.get_tokenizer(**source.tokenizer)``.
    """

    model: dict[str, Any]
    tokenizer: dict[str, Any]


class CheckedPreprocess:
    """What prepares an image, with a clear word about what is no image.

    Parameters
    ----------
    preprocess : callable
        The transform for evaluation that open_clip returns.
    """

    def __init__(self, preprocess: Any) -> None:
        self.preprocess = preprocess

    def __repr__(self) -> str:
        return repr(self.preprocess)

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the image as the model wants it.

        Parameters
        ----------
        image : PIL.Image.Image
            Of any size; gray and palette images become colored ones.

        Returns
        -------
        Tensor of shape (3, height, width), float32

        Raises
        ------
        ShapeError
            If it is no PIL image.
        SettingsError
            If its mode is not one of 8 bits, such as ``"F"`` or ``"I;16"``.
        """
        if not isinstance(image, Image.Image):
            shape = f" of shape {tuple(image.shape)}" if hasattr(image, "shape") else ""
            msg = (
                f"preprocess takes one PIL image, got {type(image).__name__}{shape}. Make one "
                "of an array of shape (height, width, 3), uint8: PIL.Image.fromarray(array). "
                "For whole sets of images: embed_images(model, images)."
            )
            raise ShapeError(msg)
        if image.mode not in _READABLE:
            msg = (
                f"preprocess takes images with 8 bits a channel, got mode {image.mode!r}. Bring "
                'its values to 0 .. 255 first: PIL.Image.fromarray(array.astype("uint8")).'
            )
            raise SettingsError(msg)
        return self.preprocess(image)


def find_clip(path: str | Path, *, architecture: str) -> ClipSource:
    """Return how to open a folder or a file.

    Parameters
    ----------
    path : path-like
        A folder as open_clip writes it, with ``open_clip_config.json`` and weights (and, for a
        tokenizer of its own, ``words.txt.gz``); or a file of weights alone.
    architecture : str
        Of a file of weights, such as ``"ViT-B-32-quickgelu"``.

    Returns
    -------
    ClipSource

    Raises
    ------
    SettingsError
        If there is no such file or folder, or one without configuration or weights.
    """
    path = Path(path).expanduser().absolute()
    if path.is_file():
        options: dict[str, Any] = {"model_name": architecture, "pretrained": str(path)}
        if is_torchscript(path):
            options["weights_only"] = False
        return ClipSource(model=options, tokenizer={"model_name": architecture})
    if not (path / _CONFIG).is_file():
        msg = (
            f"There is no CLIP at {path}. It is a folder with {_CONFIG} and weights, or a file "
            f"with the weights of {architecture}."
        )
        raise SettingsError(msg)
    weights = [
        file for end in ("safetensors", "bin", "pth") for file in path.glob(f"*.{end}")
    ]
    if not weights:
        msg = f"The folder {path} has {_CONFIG}, but no weights (*.safetensors) beside it."
        raise SettingsError(msg)
    name = f"local-dir:{path}"
    words = path / _WORDS
    tokenizer = {"bpe_path": str(words)} if words.is_file() else {}
    return ClipSource(
        model={"model_name": name}, tokenizer={"model_name": name, **tokenizer}
    )


def open_clip_source(source: ClipSource) -> Clip:
    """Return model, preprocess and tokenizer, opened by open_clip.

    Parameters
    ----------
    source : ClipSource

    Returns
    -------
    Clip

    Raises
    ------
    SettingsError
        If the weights do not fit the architecture, or cannot be read.
    """
    import open_clip

    import coursekit.models.shipped_nets  # noqa: F401 - tells timm of the course's nets

    options = dict(source.model)
    path = options.pop("pretrained", None)
    options.pop("weights_only", None)
    is_folder = path is None
    try:
        with _quiet():
            model, _, preprocess = open_clip.create_model_and_transforms(**options)
        if not is_folder:
            model.load_state_dict(_read(Path(path), model))
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        what = options["model_name"].removeprefix("local-dir:")
        reason = " ".join(str(error).split())[:300]
        msg = (
            f"{path or what} does not hold what {'its configuration' if is_folder else what} "
            f"needs: {reason}. Take weights and configuration of one and the same model."
        )
        raise SettingsError(msg) from error
    model.pretrained_cfg = model_configuration(model)
    tokenizer = open_clip.get_tokenizer(**source.tokenizer)
    return Clip(
        model.eval(),
        CheckedPreprocess(preprocess),
        CheckedTokenizer(tokenizer, is_word_level="bpe_path" in source.tokenizer),
    )


def model_configuration(model: nn.Module) -> dict[str, Any]:
    """Return which images a model of open_clip wants, in timm's words.

    Parameters
    ----------
    model : Module

    Returns
    -------
    dict
        ``input_size``, ``mean``, ``std``, ``interpolation``.

    Raises
    ------
    SettingsError
        If it is no such model.
    """
    wants = getattr(getattr(model, "visual", None), "preprocess_cfg", None)
    if wants is None:
        msg = (
            f"A model of open_clip is needed, got {type(model).__name__}. Make one by "
            "course.clip() or open_clip.create_model_and_transforms."
        )
        raise SettingsError(msg)
    size = wants["size"]
    height, width = (size, size) if isinstance(size, int) else size
    return {
        "input_size": (3, height, width),
        "mean": tuple(wants["mean"]),
        "std": tuple(wants["std"]),
        "interpolation": wants["interpolation"],
    }


def is_torchscript(path: Path) -> bool:
    """Whether a file is a whole program with weights in it, as OpenAI's are."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _read(path: Path, model: nn.Module) -> dict[str, Tensor]:
    if not is_torchscript(path):
        return read_state(path)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.load` is deprecated", FutureWarning)
        state = torch.jit.load(path, map_location="cpu").state_dict()
    wanted = model.state_dict()  # OpenAI's programs hold three numbers more
    return {name: value for name, value in state.items() if name in wanted}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep open_clip from saying that a model has no weights when they come right after."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
