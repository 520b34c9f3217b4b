"""Make the small CLIP: its training, its loss, and what it can do.

It sees all 28 shapes, but never a held-out pair of shape and color. The image tower starts
from the shipped backbone.
"""

import os
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import open_clip
import torch
from open_clip.model import set_model_preprocess_cfg
from open_clip.transform import PreprocessCfg
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from coursekit.datasets import (
    HELD_OUT_PAIRS,
    ImageSet,
    make_loader,
    make_shapes,
)
from coursekit.features import (
    Embeddings,
    embed_images,
    embed_texts,
    recall_at_k,
    zero_shot_classifier,
)
from coursekit.recipes.backbone import (
    ShippedModel,
    check_recipe,
    command_of,
    write_shipped,
)
from coursekit.recipes.captions import (
    ATTRIBUTES,
    WORDS_FILE,
    draw_caption,
    write_clip_files,
)
from coursekit.seeds import derive_seed, seeded
from coursekit.training import Trainer, TrainSettings

__all__ = ["ClipRecipe", "train_clip"]

_NAME = "clip_small"
_WEIGHTS = "open_clip_model.safetensors"  # the name that open_clip looks for first
_LARGEST_SCALE = 100.0
_STARTS = {"seen": 20_000_000, "held-out": 30_000_000}  # no training set reaches that far
_PROMPTS = {"shapes": "a {}", "colors": "a {} object", "sizes": "a {} object"}
_N_RETRIEVED = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipRecipe:
    """How the small CLIP is trained; the defaults are those of the weights that are shipped.

    Parameters
    ----------
    n_images : int
        Pictures drawn for training.
    n_epochs, batch_size : int
        How often they are seen, and how many at a time.
    max_lr, weight_decay : float
        Of AdamW; the rate rises for a seventh of the steps and falls again, one cycle.
    embed_dim, context_length : int
        Numbers in an embedding, and tokens of a text.
    n_test : int
        Fresh pictures of either kind that the accuracies are measured on.
    seed : int
        Of the pictures, the first weights, the order and the captions.
    """

    n_images: int = 120_000
    n_epochs: int = 10
    batch_size: int = 512
    max_lr: float = 3e-3
    weight_decay: float = 0.05
    embed_dim: int = 96
    context_length: int = 16
    n_test: int = 6_000
    seed: int = 7

    def __post_init__(self) -> None:
        check_recipe(self)


def train_clip(
    folder: str | os.PathLike[str],
    *,
    recipe: ClipRecipe | None = None,
    device: torch.device | str | None = None,
    progress_bar: bool = True,
) -> ShippedModel:
    """Train the small CLIP and write it to `folder`/clip_small.

    Parameters
    ----------
    folder : path-like
        Gets a folder that open_clip opens as ``local-dir:``, with card and log.
    recipe : ClipRecipe, optional
        By default the one whose weights are shipped.
    device : torch.device or str, optional
        By default the fastest at hand.
    progress_bar : bool, default=True

    Returns
    -------
    ShippedModel

    Notes
    -----
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
    recipe = recipe or ClipRecipe()
    folder = Path(folder) / _NAME
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"embed_dim": recipe.embed_dim, "context_length": recipe.context_length}
    config = write_clip_files(folder, **sizes)
    tokenizer = open_clip.get_tokenizer(
        f"local-dir:{folder.absolute()}", bpe_path=str(folder / WORDS_FILE)
    )
    with seeded(recipe.seed):
        model = _build(**config)
    loader = _loader(recipe)
    optimizer = torch.optim.AdamW(_groups(model, recipe.weight_decay), lr=recipe.max_lr)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.max_lr, total_steps=len(loader) * recipe.n_epochs, pct_start=0.15
    )
    trainer = Trainer(
        model,
        optimizer=optimizer,
        loss=_CaptionLoss(model, tokenizer, recipe.seed),
        metrics=(),
        scheduler=scheduler,
        settings=TrainSettings(scheduler_every="step", progress_bar=progress_bar),
        device=device,
    )
    with seeded(recipe.seed):
        history = trainer.fit(loader, n_epochs=recipe.n_epochs)
    made = write_shipped(
        model.state_dict(),
        folder,
        name=_NAME,
        about=_about(recipe),
        accuracies=measure_clip(model, tokenizer, n_images=recipe.n_test, seed=recipe.seed),
        history=history,
    )
    return replace(made, weights=made.weights.replace(folder / _WEIGHTS))


def _build(*, model_cfg: dict, preprocess_cfg: dict) -> nn.Module:
    """Return the untrained model, its image tower with the weights of the backbone."""
    vision = {**model_cfg["vision_cfg"], "timm_model_pretrained": True}
    model = open_clip.CLIP(**{**model_cfg, "vision_cfg": vision})
    prepare = PreprocessCfg(size=vision["image_size"], **preprocess_cfg)
    set_model_preprocess_cfg(model, asdict(prepare))
    return model


def _groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Return the parameters: numbers and biases are not drawn to zero."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def _loader(recipe: ClipRecipe):
    world = make_shapes(
        recipe.n_images,
        seed=recipe.seed,
        shapes=ATTRIBUTES["shape"],
        exclude_pairs=HELD_OUT_PAIRS,
    )
    numbers = [
        torch.tensor([names.index(name) for name in world.attributes[what]])
        for what, names in ATTRIBUTES.items()
    ]
    return make_loader(
        (torch.from_numpy(world.images).permute(0, 3, 1, 2), torch.stack(numbers, dim=1)),
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        shuffle=True,
        drop_last=True,
        transform=v2.Normalize([0.5] * 3, [0.25] * 3),
    )


class _CaptionLoss:
    """Draws a caption of each picture, and judges how well they find each other."""

    def __init__(self, model: nn.Module, tokenizer, seed: int) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.rng = random.Random(derive_seed(seed, "captions"))  # noqa: S311
        self.tokens: dict[str, Tensor] = {}

    def __call__(self, outputs: tuple, numbers: Tensor) -> Tensor:
        """Return the loss of a batch.

        `numbers` are the attributes of the pictures, of shape (n_images, 4).
        """
        captions, named = self._draw(numbers)
        different = list(dict.fromkeys(captions))
        place = {text: row for row, text in enumerate(different)}
        rows = torch.tensor([place[text] for text in captions], device=numbers.device)
        encoded = self.model.encode_text(self._tokenize(different).to(numbers.device))
        pair = {
            "image_features": outputs[0],
            "text_features": F.normalize(encoded, dim=1)[rows],
            "scale": self.model.logit_scale.exp().clamp(max=_LARGEST_SCALE),
        }
        is_same = (
            numbers[:, None] == numbers
        )  # of attributes, (picture, caption's picture, 4)
        is_true = (is_same | ~named).all(dim=2)
        return sum(
            weight * contrastive_loss(**pair, ignore=is_true | ~may_count)
            for weight, may_count in _opponents(is_same, named)
        )

    def _draw(self, numbers: Tensor) -> tuple[list[str], Tensor]:
        kinds = list(ATTRIBUTES.values())
        drawn = [
            draw_caption([names[n] for names, n in zip(kinds, row, strict=True)], self.rng)
            for row in numbers.tolist()
        ]
        captions, named = zip(*drawn, strict=True)
        return list(captions), torch.tensor(named, device=numbers.device)

    def _tokenize(self, texts: list[str]) -> Tensor:
        new = [text for text in texts if text not in self.tokens]
        if new:
            self.tokens.update(zip(new, self.tokenizer(new), strict=True))
        return torch.stack([self.tokens[text] for text in texts])


def _opponents(is_same: Tensor, named: Tensor) -> list[tuple[float, Tensor]]:
    """Return the parts of the loss: weight, and captions that may count as wrong for a picture.

    A caption of a picture with another color counts for its color alone: if it names that, and
    names no shape or the right one.
    """
    same_shape, same_color = is_same[..., 0], is_same[..., 1]
    names_shape, names_color = named[:, 0], named[:, 1]
    by_color = names_color & (same_shape | ~names_shape)
    return [(1.0, same_color | by_color), (1.0, same_color), (0.3, same_shape)]


def _about(recipe: ClipRecipe) -> dict[str, str]:
    return {
        "Architecture": "open_clip: image tower `coursekit_resnet8` for 32 x 32, text tower of 2 "
        f"layers, width 64, {recipe.context_length} tokens; embeddings of {recipe.embed_dim}",
        "Open it": '`open_clip.create_model_and_transforms("local-dir:FOLDER")`, '
        f'`open_clip.get_tokenizer("local-dir:FOLDER", bpe_path="FOLDER/{WORDS_FILE}")`',
        "Data": f"{recipe.n_images:,} pictures of all 28 shapes, "
        "`coursekit.datasets.make_shapes`, without `HELD_OUT_PAIRS`; the backbone that it starts "
        "from has not seen these pairs either",
        "Recipe": f"{recipe.n_epochs} epochs, batches of {recipe.batch_size}, a new caption each "
        "time, symmetric contrastive loss against pictures of the same color or shape, learnable "
        f"temperature, AdamW, one cycle up to {recipe.max_lr:g}, weight decay "
        f"{recipe.weight_decay:g}",
        "Seed": str(recipe.seed),
        "Command": command_of("clip", recipe),
    }


def contrastive_loss(
    image_features: Tensor,
    text_features: Tensor,
    *,
    scale: Tensor | float,
    ignore: Tensor | None = None,
) -> Tensor:
    """Return how badly each image finds its own text, and each text its own image.

    Row i of both (n_pairs, n_features) belongs together, and is of length 1. `scale` is the
    inverse of the temperature. `ignore` (n_pairs, n_pairs) marks images and texts that shall
    not count as a wrong pair, for instance because text j is also true of image i. The mean of
    two cross-entropies [1]_, figure 3.

    References
    ----------
    .. [1] Radford et al., "Learning Transferable Visual Models From Natural Language
       Supervision", ICML 2021. https://arxiv.org/abs/2103.00020

    Examples
    --------
    >>> features = torch.eye(4)
    >>> round(float(contrastive_loss(features, features, scale=100.0)), 4)
    0.0
    """
    logits = scale * image_features @ text_features.T
    own = torch.arange(len(logits), device=logits.device)
    if ignore is not None:
        wrong = ignore.logical_and(own[:, None] != own)
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
    for pairs in _STARTS:
        images = draw_pairs(pairs, n_images, seed=seed)
        embedded = embed_images(model, images, progress_bar=False)
        for what, prompt in _PROMPTS.items():
            kind = what.removesuffix("s")
            names = ATTRIBUTES[kind]
            weights = zero_shot_classifier(model, tokenizer, names, prompts=prompt).cpu()
            truth = torch.tensor([names.index(name) for name in images.attributes[kind]])
            found = (embedded.embeddings @ weights).argmax(dim=1) == truth
            reached[f"{what} of {pairs} pairs"] = float(found.float().mean())
        reached[f"text-to-image recall@5 of {pairs} pairs"] = _recall(
            model, tokenizer, images, embedded
        )
    return reached


def draw_pairs(pairs: str, n_images: int, *, seed: int) -> ImageSet:
    """Return fresh pictures of the pairs that are ``"seen"`` in training, or ``"held-out"``."""
    every = {
        (shape, color) for shape in ATTRIBUTES["shape"] for color in ATTRIBUTES["color"]
    }
    excluded = HELD_OUT_PAIRS if pairs == "seen" else sorted(every - set(HELD_OUT_PAIRS))
    return make_shapes(
        n_images,
        seed=seed,
        start=_STARTS[pairs],
        shapes=ATTRIBUTES["shape"],
        exclude_pairs=excluded,
    )


def _recall(
    model: nn.Module, tokenizer: Callable, images: ImageSet, embedded: Embeddings
) -> float:
    n_rows = min(_N_RETRIEVED, len(images))
    texts = embed_texts(model, tokenizer, images.captions[:n_rows]).cpu()
    return recall_at_k(texts, embedded.embeddings[:n_rows], k=(min(5, n_rows),)).popitem()[
        1
    ]
