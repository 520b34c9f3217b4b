"""Open a CLIP by open_clip's own calls: model, preprocess and a tokenizer that warns."""

import logging
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from coursekit.errors import SettingsError
from coursekit.models.states import read_state


class CheckedTokenizer:
    """A tokenizer of open_clip that warns of what it cannot read.

    Parameters
    ----------
    tokenizer : callable
        What ``open_clip.get_tokenizer`` returns.
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
        self.encode, self.decode = tokenizer.encode, tokenizer.decode

    def __call__(self, texts: str | Sequence[str]) -> Tensor:
        """Return the tokens, (n_texts, n_tokens); a warning says what is lost."""
        texts = [texts] if isinstance(texts, str) else list(texts)
        unknown = self._find_unknown(texts) if self.is_word_level else []
        if unknown:
            some = ", ".join(map(repr, unknown[:5])) + ", ..." * (len(unknown) > 5)
            msg = (
                f"The model knows no word {some}: the rest of the text is read, these say "
                "nothing to it. Use words of its captions."
            )
            warnings.warn(msg, stacklevel=2)
        length = self.tokenizer.context_length
        long = [text for text in texts if len(self.encode(text)) > length - 2]
        if long:
            msg = (
                f"{long[0]!r} is longer than {length} tokens, start and end included, and is "
                "cut off there. Shorten it."
            )
            warnings.warn(msg, stacklevel=2)
        return self.tokenizer(texts)

    def _find_unknown(self, texts: Sequence[str]) -> list[str]:
        words = re.findall(r"\w+|[^\w\s]+", "\n".join(texts))
        # Letters are tokens too, but of them only "a" is a word.
        return [
            word
            for word in dict.fromkeys(words)
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
        A folder holds ``open_clip_config.json`` and weights as safetensors (and, for a
        tokenizer of its own, ``words.txt.gz``); a file holds weights alone.
    architecture : str
        Of a file of weights, such as ``"ViT-B-32-quickgelu"``.
    """
    import open_clip

    path = Path(path).expanduser().absolute()
    is_file, words = path.is_file(), path / "words.txt.gz"
    name = architecture if is_file else f"local-dir:{path}"
    logging.disable(logging.WARNING)  # that a model has no weights: they come right after
    try:
        if is_file:
            model, _, preprocess = open_clip.create_model_and_transforms(name)
            model.load_state_dict(_read(path, model.state_dict()))
        else:
            model, preprocess = open_clip.create_model_from_pretrained(name)
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        told = " ".join(str(error).split())[:300].rstrip(" .")
        msg = (
            f"open_clip cannot open {path} as {architecture if is_file else 'a CLIP'}: {told}. "
            "Take weights and configuration of one and the same model."
        )
        raise SettingsError(msg) from error
    finally:
        logging.disable(logging.NOTSET)
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


def _read(path: Path, wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a file. OpenAI's is a whole program, with three numbers more."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.load` is deprecated")
        try:
            state = torch.jit.load(path, map_location="cpu").state_dict()
        except RuntimeError:  # it is no program
            return read_state(path)
    return {name: value for name, value in state.items() if name in wanted}
