"""Open a CLIP by open_clip's own calls: model, preprocess and a tokenizer that warns."""

import logging
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from coursekit.errors import SettingsError
from coursekit.models.states import read_state

_CONFIG = "open_clip_config.json"
_MOST_NAMED = 5


class TextWarning(UserWarning):
    """A text is not read as it stands: words are unknown, or it is too long."""


class CheckedTokenizer:
    """A tokenizer of open_clip that warns of what it cannot read.

    Parameters
    ----------
    tokenizer : callable
        What ``open_clip.get_tokenizer`` returns; its attributes and methods are this one's.
    is_word_level : bool
        Whether every word that it knows is one token. Others are spelled with letters, which
        mean nothing to a model that was never shown any.

    Examples
    --------
    >>> import open_clip
    >>> tokenizer = CheckedTokenizer(open_clip.get_tokenizer("ViT-B-32"), is_word_level=False)
    >>> tokenizer("a star").shape
    torch.Size([1, 77])
    """

    def __init__(self, tokenizer: Any, *, is_word_level: bool) -> None:
        self.tokenizer, self.is_word_level = tokenizer, is_word_level

    def __getattr__(self, name: str) -> Any:
        if name == "tokenizer":  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.tokenizer, name)

    def __call__(
        self, texts: str | Sequence[str], context_length: int | None = None
    ) -> Tensor:
        """Return the tokens, (n_texts, context_length); a `TextWarning` says what is lost."""
        texts = [texts] if isinstance(texts, str) else list(texts)
        unknown = self.find_unknown(texts)
        if unknown:
            more = f" and {len(unknown) - _MOST_NAMED} more" * (len(unknown) > _MOST_NAMED)
            msg = (
                f"The model knows no word {', '.join(map(repr, unknown[:_MOST_NAMED]))}{more}: "
                "the rest of the text is read, these say nothing to it. Use words of its "
                "captions."
            )
            warnings.warn(TextWarning(msg), stacklevel=2)
        length = context_length or self.context_length
        long = [text for text in texts if len(self.encode(text)) > length - 2]
        if long:
            more = f", like {len(long) - 1} more texts" * (len(long) > 1)
            msg = (
                f"{long[0]!r} is longer than {length} tokens, start and end included, and is "
                f"cut off there{more}. Shorten it."
            )
            warnings.warn(TextWarning(msg), stacklevel=2)
        return self.tokenizer(texts, context_length=length)

    def find_unknown(self, texts: Sequence[str]) -> list[str]:
        """Return the words that it does not know, each once; parts of words spell everything."""
        if not self.is_word_level:
            return []
        words = dict.fromkeys(
            w for text in texts for w in re.findall(r"\w+|[^\w\s]+", text)
        )
        # Letters are tokens too, but of them only "a" is a word.
        return [
            word
            for word in words
            if len(self.encode(word)) != 1 or (len(word) == 1 and word.lower() != "a")
        ]


class Clip(NamedTuple):
    """A model of images and texts, what prepares a PIL image for it, and what reads texts."""

    model: nn.Module
    preprocess: Any
    tokenizer: CheckedTokenizer


def open_clip_files(path: str | Path, *, architecture: str) -> Clip:
    """Return model (in evaluation mode), preprocess and tokenizer, opened by open_clip.

    Parameters
    ----------
    path : path-like
        A folder holds ``open_clip_config.json`` and weights (and, for a tokenizer of its own,
        ``words.txt.gz``); a file holds weights alone.
    architecture : str
        Of a file of weights, such as ``"ViT-B-32-quickgelu"``.

    Raises
    ------
    SettingsError
        If something is missing, does not fit the architecture, or cannot be read.
    """
    import open_clip

    import coursekit.models.shipped  # noqa: F401 - tells timm of the course's net

    path = Path(path).expanduser().absolute()
    is_file, words = path.is_file(), path / "words.txt.gz"
    endings = (".safetensors", ".bin", ".pth")
    if not is_file and not (
        (path / _CONFIG).is_file()
        and any(file.suffix in endings for file in path.iterdir())
    ):
        msg = (
            f"There is no CLIP at {path}. It is a folder with {_CONFIG} and weights "
            f"(*.safetensors), or a file with the weights of {architecture}."
        )
        raise SettingsError(msg)
    name = architecture if is_file else f"local-dir:{path}"
    try:
        with _quiet():
            model, _, preprocess = open_clip.create_model_and_transforms(name)
        if is_file:
            model.load_state_dict(_read(path, model))
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        msg = (
            f"{path} does not hold what {architecture if is_file else 'its configuration'}"
            f" needs: {' '.join(str(error).split())[:300]}. Take weights and configuration of "
            "one and the same model."
        )
        raise SettingsError(msg) from error
    model.pretrained_cfg = model_configuration(model)
    own_words = {"bpe_path": str(words)} if words.is_file() else {}
    tokenizer = open_clip.get_tokenizer(name, **own_words)
    checked = CheckedTokenizer(tokenizer, is_word_level=words.is_file())
    return Clip(model.eval(), preprocess, checked)


def model_configuration(model: nn.Module) -> dict[str, Any]:
    """Return which images a model of open_clip wants, in timm's words."""
    wants = getattr(getattr(model, "visual", None), "preprocess_cfg", None)
    if wants is None:
        msg = f"A model of open_clip is needed, got {type(model).__name__}: use course.clip()."
        raise SettingsError(msg)
    height, width = np.broadcast_to(wants["size"], 2).tolist()
    mean, std = tuple(wants["mean"]), tuple(wants["std"])
    look = {"mean": mean, "std": std, "interpolation": wants["interpolation"]}
    return {"input_size": (3, height, width), **look}


def _is_torchscript(path: Path) -> bool:
    """Whether a file is a whole program with weights in it, as OpenAI's are."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _read(path: Path, model: nn.Module) -> dict[str, Tensor]:
    if not _is_torchscript(path):
        return read_state(path)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.load` is deprecated")
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
