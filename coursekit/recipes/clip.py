"""Make the small CLIP: its words and captions, its training, its loss, and what it can do.

It sees all 28 shapes, but never a held-out pair of shape and color. The image tower starts
from the shipped backbone.
"""

import gzip
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import open_clip
import torch
from open_clip.model import set_model_preprocess_cfg
from open_clip.transform import PreprocessCfg
from torch import Tensor, nn
from torch.nn import functional as F

from coursekit.datasets import HELD_OUT_PAIRS, ImageSet, make_shapes
from coursekit.datasets.shapes import NAMES, caption_shape
from coursekit.features import (
    embed_images,
    embed_texts,
    recall_at_k,
    zero_shot_classifier,
)
from coursekit.recipes.backbone import (
    Recipe,
    attribute_numbers,
    fit_recipe,
    picture_loader,
    write_shipped,
)
from coursekit.seeds import derive_seed, seeded

RECIPE = Recipe(n_images=120_000, n_epochs=10, batch_size=512, max_lr=3e-3)
"""That of the weights that are shipped."""

_LARGEST_SCALE = 100.0
_STARTS = {"seen": 20_000_000, "held-out": 30_000_000}  # no training set reaches that far
_PROMPTS = {"shape": "a {}", "color": "a {} object", "size": "a {} object"}
# Pictures of either kind that accuracies are measured on, and recalls.
_N_TEST, _N_RETRIEVED = 6_000, 500
_EMBED_DIM, _CONTEXT_LENGTH = 96, 16

WORDS_FILE = "words.txt.gz"
"""Beside the weights: give it to ``open_clip.get_tokenizer`` as ``bpe_path=``."""

_ABOUT = {
    "Architecture": "open_clip: image tower `coursekit_resnet8` for 32 x 32, text tower of 2 "
    f"layers, width 64, {_CONTEXT_LENGTH} tokens; embeddings of {_EMBED_DIM}",
    "Open it": '`open_clip.create_model_and_transforms("local-dir:FOLDER")`, '
    f'`open_clip.get_tokenizer("local-dir:FOLDER", bpe_path="FOLDER/{WORDS_FILE}")`',
    "Data": "{n_images:,} pictures of all 28 shapes, `coursekit.datasets.make_shapes`, without "
    "`HELD_OUT_PAIRS`; the backbone that it starts from has not seen these pairs either",
    "Recipe": "{n_epochs} epochs, batches of {batch_size}, a new caption each time, symmetric "
    "contrastive loss against pictures of the same color or shape, learnable temperature, "
    "AdamW, one cycle up to {max_lr:g}, weight decay {weight_decay:g}",
    "Seed": "{seed}",
    "Command": "`coursekit train clip --images {n_images} --epochs {n_epochs} --seed {seed}`",
}

_NOUNS = ("object", "shape", "thing")
_OPENINGS = (
    *("", "", "", "a photo of ", "a picture of ", "a drawing of ", "an image of "),
    *("this is ", "there is "),
)
_NEVER_TRAINED = (
    *("the", "and", "in", "with", "not", "no", "without", "two", "three", "many"),
    *("left", "right", "top", "bottom", "middle", "above", "below", "above", "side"),
)
_WORDS = [
    *(name for names in NAMES.values() for name in names),
    *(*_NOUNS, "background", "on", "a", "an", *"".join(_OPENINGS).split()),
    *(f"{name}s" for name in (*NAMES["shape"][:11], *_NOUNS)),
    *_NEVER_TRAINED,
]
CLIP_WORDS: tuple[str, ...] = tuple(dict.fromkeys(_WORDS))
"""Every word that is one token: those of the captions first, then some that no caption has,
so that a lesson can ask about them."""

_P_NAMED = (0.9, 0.6, 0.45, 0.35)  # the shape, the color, the size, the background
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
        named = tuple(rng.random() < share for share in _P_NAMED)
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


def write_clip_files(folder: Path) -> dict:
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
            "embed_dim": _EMBED_DIM,
            "vision_cfg": {
                "timm_model_name": "coursekit_resnet8",
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "linear",
                "image_size": 32,
            },
            "text_cfg": {
                "context_length": _CONTEXT_LENGTH,
                # Bytes, at a word's end too, joined ones, start and end.
                "vocab_size": 2 * 256 + len(merges) + 2,
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
    parted = [f"{' '.join(word)}</w>" for word in words]
    merges: list[tuple[str, str]] = []
    while counts := Counter(
        pair for word in parted for pair in itertools.pairwise(word.split())
    ):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        whole_parts = re.compile(rf"(?<!\S){re.escape(' '.join(best))}(?!\S)")
        parted = [whole_parts.sub("".join(best), word) for word in parted]
    return merges


def train(folder: Path, recipe: Recipe) -> tuple[Path, dict[str, float]]:
    """Train the small CLIP; return its file in `folder`/clip_small, and accuracies.

    open_clip opens that folder as ``local-dir:``.

    A picture has another caption every time it is seen, with some of its attributes, because a
    text that always names all of them teaches no word by itself. A caption that is also true of
    another picture of the batch does not count as wrong for it.

    Captions are held against pictures that they are not true of, but only where shape or color
    agree (hard negatives): among pictures of one color, color tells nobody apart, so that
    shapes must. Where shape and color both differ, color alone would do; it would come to
    speak against the shape that is never seen in it.

    The same recipe gives the same bytes on the same machine with the same versions; another
    machine rounds differently.
    """
    folder = folder / "clip_small"
    folder.mkdir(parents=True, exist_ok=True)
    config = write_clip_files(folder)
    words = str(folder / WORDS_FILE)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder.absolute()}", bpe_path=words)
    # The image tower starts from the shipped backbone.
    vision = {**config["model_cfg"]["vision_cfg"], "timm_model_pretrained": True}
    with seeded(recipe.seed):
        model = open_clip.CLIP(**{**config["model_cfg"], "vision_cfg": vision})
    prepare = PreprocessCfg(size=vision["image_size"], **config["preprocess_cfg"])
    set_model_preprocess_cfg(model, asdict(prepare))
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim < 2]  # are not drawn to zero
    groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    pictures = draw_pairs("seen", recipe.n_images, seed=recipe.seed, start=0)
    loader = picture_loader(pictures, NAMES, recipe)
    loss = _caption_loss(model, tokenizer, recipe.seed)
    trainer = fit_recipe(model, groups, loader, recipe, loss=loss, metrics=())
    reached = measure_clip(model, tokenizer, n_images=_N_TEST, seed=recipe.seed)
    weights = folder / "open_clip_model.safetensors"  # which open_clip looks for first
    state = model.state_dict()
    write_shipped(weights, state, folder.name, _ABOUT, recipe, reached, trainer)
    return weights, reached


def _caption_loss(
    model: nn.Module, tokenizer: Callable[[str], Tensor], seed: int
) -> Callable[[tuple, Tensor], Tensor]:
    """Return what draws a caption of each picture, and judges how well they find each other."""
    rng = random.Random(derive_seed(seed, "captions"))  # noqa: S311
    tokenize = cache(lambda text: tokenizer(text)[0])
    kinds = list(NAMES.values())

    def loss(outputs: tuple, numbers: Tensor) -> Tensor:
        """Return the loss of a batch; `numbers` are attributes, of shape (n_images, 4)."""
        named_as = (
            [names[n] for names, n in zip(kinds, row, strict=True)]
            for row in numbers.tolist()
        )
        captions, named = zip(*(draw_caption(n, rng) for n in named_as), strict=True)
        named = torch.tensor(named, device=numbers.device)
        place = {text: row for row, text in enumerate(dict.fromkeys(captions))}
        rows = torch.tensor([place[text] for text in captions], device=numbers.device)
        tokens = torch.stack([tokenize(text) for text in place])
        encoded = model.encode_text(tokens.to(numbers.device))
        pair = {
            "image_features": outputs[0],
            "text_features": F.normalize(encoded, dim=1)[rows],
            "scale": model.logit_scale.exp().clamp(max=_LARGEST_SCALE),
        }
        # Of attributes: (picture, caption's picture, 4).
        is_same = numbers[:, None] == numbers
        is_true = (is_same | ~named).all(dim=2)
        return sum(
            weight * contrastive_loss(**pair, ignore=is_true | ~may_count)
            for weight, may_count in _opponents(is_same, named)
        )

    return loss


def _opponents(is_same: Tensor, named: Tensor) -> list[tuple[float, Tensor]]:
    """Return the parts of the loss: weight, and captions that may count as wrong for a picture.

    A caption of a picture with another color counts for its color alone: if it names that, and
    names no shape or the right one.
    """
    same_shape, same_color = is_same[..., 0], is_same[..., 1]
    names_shape, names_color = named[:, 0], named[:, 1]
    by_color = names_color & (same_shape | ~names_shape)
    return [(1.0, same_color | by_color), (1.0, same_color), (0.3, same_shape)]


def contrastive_loss(
    image_features: Tensor,
    text_features: Tensor,
    *,
    scale: Tensor | float,
    ignore: Tensor,
) -> Tensor:
    """Return how badly each image finds its own text, and each text its own image.

    Row i of both (n_pairs, n_features) belongs together, and is of length 1. `scale` is the
    inverse of the temperature. `ignore` (n_pairs, n_pairs) marks images and texts that shall
    not count as a wrong pair, for instance because text j is also true of image i. The mean of
    two cross-entropies (Radford et al. 2021, fig. 3, https://arxiv.org/abs/2103.00020).

    Examples
    --------
    >>> features, ignore = torch.eye(4), torch.zeros(4, 4, dtype=torch.bool)
    >>> round(float(contrastive_loss(features, features, scale=100.0, ignore=ignore)), 4)
    0.0
    """
    logits = scale * image_features @ text_features.T
    own = torch.arange(len(logits), device=logits.device)
    wrong = ignore & (own[:, None] != own)
    logits = logits.masked_fill(wrong, -torch.inf)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def measure_clip(
    model: nn.Module, tokenizer: Callable[[list[str]], Tensor], *, n_images: int, seed: int
) -> dict[str, float]:
    """Return accuracies by what is asked, such as ``"shapes of held-out pairs"``.

    Of `n_images` fresh pictures of seen pairs and as many of held-out pairs; recalls are over
    the first 500 of each.
    """
    reached = {}
    for pairs, start in _STARTS.items():
        images = draw_pairs(pairs, n_images, seed=seed, start=start)
        embedded = embed_images(model, images, progress_bar=False).embeddings
        for kind, prompt in _PROMPTS.items():
            names = NAMES[kind]
            weights = zero_shot_classifier(model, tokenizer, names, prompts=prompt).cpu()
            truth = attribute_numbers(images, kind, names)
            found = (embedded @ weights).argmax(dim=1) == truth
            reached[f"{kind}s of {pairs} pairs"] = float(found.float().mean())
        texts = embed_texts(model, tokenizer, images.captions[:_N_RETRIEVED]).cpu()
        recalls = recall_at_k(texts, embedded[:_N_RETRIEVED], k=(5,))
        reached[f"text-to-image recall@5 of {pairs} pairs"] = recalls[5]
    return reached


def draw_pairs(pairs: str, n_images: int, *, seed: int, start: int) -> ImageSet:
    """Return pictures of the pairs that are ``"seen"`` in training, or ``"held-out"``."""
    shapes, excluded = NAMES["shape"], HELD_OUT_PAIRS
    if pairs == "held-out":
        every = itertools.product(shapes, NAMES["color"])
        excluded = [pair for pair in every if pair not in HELD_OUT_PAIRS]
    return make_shapes(
        n_images, seed=seed, start=start, shapes=shapes, exclude_pairs=excluded
    )
