"""What the small CLIP reads: its words, the file that makes a token of each, and captions."""

import gzip
import json
import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from coursekit.datasets import (
    BACKGROUNDS,
    COLORS,
    SIZES,
    SOURCE_SHAPES,
    UNSEEN_SHAPES,
    caption_shape,
)

__all__ = ["ATTRIBUTES", "CLIP_WORDS", "WORDS_FILE", "draw_caption", "write_clip_files"]

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "shape": SOURCE_SHAPES + UNSEEN_SHAPES,
    "color": COLORS,
    "size": SIZES,
    "background": BACKGROUNDS,
}
"""What a caption can name, and the names."""

WORDS_FILE = "words.txt.gz"
"""Beside the weights: give it to ``open_clip.get_tokenizer`` as ``bpe_path=``."""

_NOUNS = ("object", "shape", "thing")
_OPENINGS = (
    "",
    "",
    "",
    "a photo of ",
    "a picture of ",
    "a drawing of ",
    "an image of ",
    "this is ",
    "there is ",
)
_NEVER_TRAINED = (
    *("the", "and", "in", "with", "not", "no", "without", "two", "three", "many"),
    *("left", "right", "top", "bottom", "middle", "above", "below", "above", "side"),
)
CLIP_WORDS: tuple[str, ...] = tuple(
    dict.fromkeys(
        [
            *(name for names in ATTRIBUTES.values() for name in names),
            *(*_NOUNS, "background", "on", "a", "an"),
            *"".join(_OPENINGS).split(),
            *(f"{name}s" for name in (*ATTRIBUTES["shape"][:11], *_NOUNS)),
            *_NEVER_TRAINED,
        ]
    )
)
"""Every word that is one token: those of the captions first, then some that no caption has,
so that a lesson can ask about them."""

_P_NAMED = {"shape": 0.9, "color": 0.6, "size": 0.45, "background": 0.35}
_P_BARE = 0.3


def draw_caption(names: Sequence[str], rng: random.Random) -> tuple[str, tuple[bool, ...]]:
    """Return one of the many true captions of a picture, and which attributes it names.

    `names` are its shape, color, size and background; `rng` decides what is named, and the
    words around it.

    Examples
    --------
    >>> draw_caption(("star", "red", "small", "striped"), random.Random(3))
    ('a small red star', (True, True, True, False))
    """
    named = (False,)
    while not any(named):
        named = tuple(rng.random() < share for share in _P_NAMED.values())
    shape, color, size, background = (
        name if is_named else "" for name, is_named in zip(names, named, strict=True)
    )
    if sum(named) == 1 and rng.random() < _P_BARE:
        return shape or color or size or background, named
    noun = shape or rng.choice(_NOUNS)
    if named == (False, False, False, True) and rng.random() < 0.5:
        words = caption_shape("background", background)
    else:
        words = caption_shape(noun, color, size, background)
    return rng.choice(_OPENINGS) + words, named


def write_clip_files(folder: Path, *, embed_dim: int, context_length: int) -> dict:
    """Write the configuration and the words, as open_clip reads them; return the former."""
    merges = _learn_merges(CLIP_WORDS)
    lines = ["#version: word-level", *(" ".join(pair) for pair in merges)]
    with (
        (folder / WORDS_FILE).open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
    ):
        packed.write("\n".join(lines).encode())
    config = {
        "model_cfg": {
            "embed_dim": embed_dim,
            "vision_cfg": {
                "timm_model_name": "coursekit_resnet8",
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "linear",
                "image_size": 32,
            },
            "text_cfg": {
                "context_length": context_length,
                "vocab_size": 2 * 256
                + len(merges)
                + 2,  # bytes, joined ones, start and end
                "width": 64,
                "heads": 2,
                "layers": 2,
                "mlp_ratio": 2.0,
            },
        },
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3},
    }
    text = json.dumps(config, indent=2) + "\n"
    (folder / "open_clip_config.json").write_text(text, encoding="utf-8")
    return config


def _learn_merges(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of parts to join, in this order, until every word is one part.

    Reading a text, the tokenizer joins in the same order, so it ends where this ends.
    """
    parts = {word: [*word[:-1], f"{word[-1]}</w>"] for word in words}
    merges: list[tuple[str, str]] = []
    while True:
        counts = Counter(pair for split in parts.values() for pair in pairwise(split))
        if not counts:
            return merges
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        parts = {word: _join(split, best) for word, split in parts.items()}


def _join(parts: list[str], pair: tuple[str, str]) -> list[str]:
    joined: list[str] = []
    rest = iter(range(len(parts)))
    for place in rest:
        if tuple(parts[place : place + 2]) == pair:
            joined.append("".join(pair))
            next(rest)
        else:
            joined.append(parts[place])
    return joined
