"""The recipe of the backbone: a small net that learns to tell what a drawn picture shows.

It sees the 18 source shapes alone, without the held-out pairs of shape and color: never land
cover, never an unseen shape. Nothing here knows who uses the weights.
"""

import os
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from coursekit.datasets import (
    BACKGROUNDS,
    COLORS,
    HELD_OUT_PAIRS,
    SIZES,
    SOURCE_SHAPES,
    make_loader,
    make_shapes,
)
from coursekit.errors import SettingsError
from coursekit.models import SmallResNet
from coursekit.recipes.shipping import ShippedModel, write_shipped
from coursekit.recipes.textures import N_STATISTICS, texture_statistics
from coursekit.seeds import seeded
from coursekit.training import Trainer, TrainSettings
from coursekit.transforms import PerImage, RandomQuarterTurn

__all__ = ["BackboneRecipe", "train_backbone"]

_NAME = "coursekit_resnet8.shapes"
_ANSWERS = {
    "shape": SOURCE_SHAPES,
    "color": COLORS,
    "size": SIZES,
    "background": BACKGROUNDS,
}
_N_LOGITS = [len(names) for names in _ANSWERS.values()]
_TEST_START = 10_000_000  # no training set reaches that far
_N_TEST = 6_000


@dataclass(frozen=True, kw_only=True, slots=True)
class BackboneRecipe:
    """How the backbone is trained; the defaults are those of the weights that are shipped.

    Parameters
    ----------
    n_images : int
        Pictures drawn for training.
    n_epochs, batch_size : int
        How often they are seen, and how many at a time.
    max_lr, weight_decay : float
        Of AdamW; the rate rises for a seventh of the steps and falls again, one cycle.
    texture_weight : float
        Of the mean squared error of the texture statistics, beside four cross-entropies.
    seed : int
        Of the pictures, the first weights, the order and the augmentation.

    Raises
    ------
    SettingsError
        If a number is not positive (the seed: negative), or there are fewer pictures than
        make a batch.
    """

    n_images: int = 50_000
    n_epochs: int = 30
    batch_size: int = 128
    max_lr: float = 4e-3
    weight_decay: float = 0.05
    texture_weight: float = 0.5
    seed: int = 7

    def __post_init__(self) -> None:
        numbers = ("n_images", "n_epochs", "batch_size", "max_lr", "weight_decay")
        for name in (*numbers, "texture_weight"):
            if not getattr(self, name) > 0:
                msg = f"{name} must be positive, got {getattr(self, name)!r}."
                raise SettingsError(msg)
        if self.seed < 0 or self.n_images < self.batch_size:
            msg = (
                "A recipe needs a seed of 0 or more and at least one full batch of pictures, "
                f"got seed={self.seed}, n_images={self.n_images}, batch_size={self.batch_size}."
            )
            raise SettingsError(msg)


def train_backbone(
    folder: str | os.PathLike[str],
    *,
    recipe: BackboneRecipe | None = None,
    device: torch.device | str | None = None,
    progress_bar: bool = True,
) -> ShippedModel:
    """Train the backbone from nothing and write it to `folder`.

    Parameters
    ----------
    folder : path-like
        Gets weights, card and log.
    recipe : BackboneRecipe, optional
        By default the one whose weights are shipped.
    device : torch.device or str, optional
        By default the fastest at hand.
    progress_bar : bool, default=True

    Returns
    -------
    ShippedModel

    Notes
    -----
    Four questions are answered from the same 112 features: shape, color, size and background;
    and the picture's own texture statistics are foretold from them. That is what makes them
    useful elsewhere: with the shape alone, features forget colors and textures. Quarter turns
    and mirror images are seen as often as upright pictures, because seen from above nothing has
    an upright. The head for shapes is kept, the others are not.

    The same recipe gives the same bytes on the same machine with the same versions; another
    machine rounds differently.
    """
    recipe = recipe or BackboneRecipe()
    with seeded(recipe.seed):
        model = _Pretext(SmallResNet(num_classes=sum(_N_LOGITS) + N_STATISTICS))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.max_lr, weight_decay=recipe.weight_decay
    )
    loader = _loader(recipe.n_images, 0, recipe, is_training=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.max_lr, total_steps=len(loader) * recipe.n_epochs, pct_start=0.15
    )
    trainer = Trainer(
        model,
        optimizer=optimizer,
        loss=_Loss(recipe.texture_weight),
        metrics=[_metric(name) for name in _ANSWERS],
        scheduler=scheduler,
        settings=TrainSettings(scheduler_every="step", progress_bar=progress_bar),
        device=device,
    )
    with seeded(recipe.seed):
        history = trainer.fit(loader, n_epochs=recipe.n_epochs)
    reached = trainer.evaluate(_loader(_N_TEST, _TEST_START, recipe, is_training=False))
    return write_shipped(
        _with_one_head(model.net),
        folder,
        name=_NAME,
        about=_about(recipe),
        accuracies={name: reached[name] for name in _ANSWERS},
        history=history,
    )


def _loader(n_images: int, start: int, recipe: BackboneRecipe, *, is_training: bool):
    world = make_shapes(
        n_images, seed=recipe.seed, start=start, exclude_pairs=HELD_OUT_PAIRS
    )
    answers = [
        torch.tensor([names.index(name) for name in world.attributes[what]])
        for what, names in _ANSWERS.items()
    ]
    normalize = v2.Normalize([0.5] * 3, [0.25] * 3)
    turn = PerImage([RandomQuarterTurn(), v2.RandomHorizontalFlip()])
    return make_loader(
        (torch.from_numpy(world.images).permute(0, 3, 1, 2), torch.stack(answers, dim=1)),
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        shuffle=is_training,
        drop_last=is_training,
        transform=v2.Compose([turn, normalize]) if is_training else normalize,
    )


class _Pretext(nn.Module):
    """The net's answers, beside the truth that a picture itself holds."""

    def __init__(self, net: SmallResNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self.net(images), texture_statistics(images)], dim=1)


class _Loss:
    """The sum of four cross-entropies and the weighted error of the statistics."""

    def __init__(self, texture_weight: float) -> None:
        self.texture_weight = texture_weight

    def __call__(self, outputs: Tensor, answers: Tensor) -> Tensor:
        *logits, foretold, true = outputs.split([*_N_LOGITS, N_STATISTICS, N_STATISTICS], 1)
        entropies = [F.cross_entropy(part, answers[:, n]) for n, part in enumerate(logits)]
        return sum(entropies) + self.texture_weight * F.mse_loss(foretold, true)


def _metric(name: str):
    number = list(_ANSWERS).index(name)

    start = sum(_N_LOGITS[:number])

    def metric(outputs: Tensor, answers: Tensor) -> Tensor:
        logits = outputs[:, start : start + _N_LOGITS[number]]
        return logits.argmax(1) == answers[:, number]

    metric.__name__ = name
    return metric


def _with_one_head(model: nn.Module) -> dict[str, Tensor]:
    """Return the state dict with the logits of the shapes alone, which come first."""
    n_shapes = _N_LOGITS[0]
    return {
        name: value[:n_shapes] if name.startswith("fc.") else value
        for name, value in model.state_dict().items()
    }


def _about(recipe: BackboneRecipe) -> dict[str, str]:
    defaults = BackboneRecipe()
    changed = [
        f" --{option} {getattr(recipe, field)}"
        for option, field in (
            ("images", "n_images"),
            ("epochs", "n_epochs"),
            ("seed", "seed"),
        )
        if getattr(recipe, field) != getattr(defaults, field)
    ]
    return {
        "Architecture": '`timm.create_model("coursekit_resnet8")`: a 5 x 5 convolution, three '
        "residual blocks, a head for 18 shapes; images of 32 x 32",
        "Data": f"{recipe.n_images:,} pictures of the 18 source shapes, "
        "`coursekit.datasets.make_shapes`, without `HELD_OUT_PAIRS`; no land cover, no unseen "
        "shape",
        "Recipe": f"shape, color, size, background and texture statistics at once; {recipe.n_epochs} epochs, batches "
        f"of {recipe.batch_size}, quarter turns and mirror images, AdamW, one cycle up to "
        f"{recipe.max_lr:g}, weight decay {recipe.weight_decay:g}",
        "Seed": str(recipe.seed),
        "Command": f"`coursekit train backbone{''.join(changed)}`",
    }
