"""A tokenizer that says what it cannot read, instead of passing over it.

Nothing here knows which model reads the tokens.
"""

import re
import warnings
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from coursekit.errors import SettingsError

__all__ = ["CheckedTokenizer", "TextWarning"]

_MOST_NAMED = 5


class TextWarning(UserWarning):
    """A text is not read as it stands: words are unknown, or it is too long."""


class CheckedTokenizer:
    """A tokenizer of open_clip, with warnings.

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

    def __repr__(self) -> str:
        kind = "words" if self.is_word_level else "parts of words"
        return f"CheckedTokenizer({kind}, {self.context_length} tokens a text)"

    def __call__(
        self, texts: str | Sequence[str], context_length: int | None = None
    ) -> Tensor:
        """Return the tokens of each text, and warn of what is lost.

        Parameters
        ----------
        texts : str or sequence of str
        context_length : int, optional
            Tokens of a text, its start and its end included; by default the model's.

        Returns
        -------
        Tensor of shape (n_texts, context_length), int64
            Zeros after the end.

        Raises
        ------
        SettingsError
            If something is not a text.

        Warns
        -----
        TextWarning
            If words are unknown (which?), or texts are longer (where are they cut?).
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                msg = f"A tokenizer reads texts, got {text!r} at place {number}."
                raise SettingsError(msg)
        unknown = self.find_unknown(texts)
        if unknown:
            warnings.warn(TextWarning(_say_unknown(unknown)), stacklevel=2)
        length = context_length or self.context_length
        too_long = [text for text in texts if len(self.encode(text)) > length - 2]
        if too_long:
            warnings.warn(TextWarning(_say_long(too_long, length)), stacklevel=2)
        return self.tokenizer(texts, context_length=length)

    def find_unknown(self, texts: str | Sequence[str]) -> list[str]:
        """Return the words in `texts` that it does not know, each once.

        Parameters
        ----------
        texts : str or sequence of str

        Returns
        -------
        list of str
            Empty for a tokenizer of parts of words: it can spell everything.
        """
        if not self.is_word_level:
            return []
        texts = [texts] if isinstance(texts, str) else texts
        words = dict.fromkeys(word for text in texts for word in _split(text))
        return [word for word in words if not self._knows(word)]

    def _knows(self, word: str) -> bool:
        """Whether a word is one token; letters are tokens too, but of them only "a" is a word."""
        is_letter = len(word) == 1 and word.lower() != "a"
        return not is_letter and len(self.encode(word)) == 1


def _split(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]+", text)


def _say_unknown(words: list[str]) -> str:
    named = ", ".join(map(repr, words[:_MOST_NAMED]))
    more = f" and {len(words) - _MOST_NAMED} more" if len(words) > _MOST_NAMED else ""
    return (
        f"The model knows no word {named}{more}: the rest of the text is read, these say "
        "nothing to it. Use words of its captions."
    )


def _say_long(texts: list[str], length: int) -> str:
    return (
        f"{texts[0]!r} is longer than {length} tokens, start and end included, and is cut off "
        f"there{f', like {len(texts) - 1} more texts' if len(texts) > 1 else ''}. Shorten it."
    )
