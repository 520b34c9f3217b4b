"""Make the weights of the backbone, and write weights as the course ships them.

The backbone sees the 18 source shapes alone, without the held-out pairs of shape and color:
never land cover, never an unseen shape.
"""

import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save_file
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
from coursekit.seeds import seeded
from coursekit.training import History, Trainer, TrainSettings
from coursekit.transforms import PerImage, RandomQuarterTurn

__all__ = ["BackboneRecipe", "ShippedModel", "train_backbone", "write_shipped"]

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
_N_SCALES = 3
_FLOOR = 1e-3  # an even surface has no detail, and its logarithm should not be infinite
N_STATISTICS = 3 * (2 + _N_SCALES)
MAX_BYTES = 2_000_000
_PACKAGES = ("torch", "torchvision", "timm", "numpy")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShippedModel:
    """What a recipe wrote.

    Parameters
    ----------
    name : str
        Such as ``"coursekit_resnet8.shapes"``.
    weights, card, log : Path
        The files: safetensors in half precision, Markdown, and one row an epoch.
    sha256 : str
        Of the file of weights.
    n_bytes : int
        Of the file of weights.
    accuracies : mapping of str to float
        From 0 to 1, on fresh data.
    """

    name: str
    weights: Path
    card: Path
    log: Path
    sha256: str
    n_bytes: int
    accuracies: Mapping[str, float]


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
    """

    n_images: int = 50_000
    n_epochs: int = 30
    batch_size: int = 128
    max_lr: float = 4e-3
    weight_decay: float = 0.05
    texture_weight: float = 0.5
    seed: int = 7

    def __post_init__(self) -> None:
        check_recipe(self)


def check_recipe(recipe: "BackboneRecipe") -> None:
    """Raise `SettingsError` if a number of a recipe cannot be trained with."""
    for name in recipe.__slots__:
        if not getattr(recipe, name) > 0 and name != "seed":
            msg = f"{name} must be positive, got {getattr(recipe, name)!r}."
            raise SettingsError(msg)
    if recipe.seed < 0 or recipe.n_images < recipe.batch_size:
        msg = (
            "A recipe needs a seed of 0 or more and at least one full batch of pictures, got "
            f"seed={recipe.seed}, n_images={recipe.n_images}, batch_size={recipe.batch_size}."
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
    and the picture's own texture statistics are predicted from them. That is what makes them
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
        *logits, predicted, true = outputs.split(
            [*_N_LOGITS, N_STATISTICS, N_STATISTICS], 1
        )
        entropies = [F.cross_entropy(part, answers[:, n]) for n, part in enumerate(logits)]
        return sum(entropies) + self.texture_weight * F.mse_loss(predicted, true)


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


def command_of(name: str, recipe: "BackboneRecipe") -> str:
    """Return the command that makes these weights anew."""
    options = {"images": "n_images", "epochs": "n_epochs", "seed": "seed"}
    default = type(recipe)()
    changed = [
        f" --{option} {getattr(recipe, field)}"
        for option, field in options.items()
        if getattr(recipe, field) != getattr(default, field)
    ]
    return f"`coursekit train {name}{''.join(changed)}`"


def _about(recipe: BackboneRecipe) -> dict[str, str]:
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
        "Command": command_of("backbone", recipe),
    }


def texture_statistics(images: Tensor) -> Tensor:
    """Return each channel's mean, spread, and energy of detail at three scales.

    A net that has to predict them cannot forget colors and textures. `images` are (B, 3, H, W),
    normalized, height and width multiples of 8; the result is (B, 15): mean and standard
    deviation of each channel, then the logarithm of the mean square of what is lost when 2 x 2
    pixels become one, for the image, its half and its quarter. The bands are those of a
    Laplacian pyramid with a box filter (Burt and Adelson, IEEE Transactions on Communications
    31(4), 1983).
    """
    statistics = [images.mean((2, 3)), images.std((2, 3))]
    for _ in range(_N_SCALES):
        half = F.avg_pool2d(images, 2)
        detail = images - F.interpolate(half, scale_factor=2.0)
        statistics.append(torch.log(detail.square().mean((2, 3)) + _FLOOR))
        images = half
    return torch.cat(statistics, dim=1)


def write_shipped(
    state: Mapping[str, Tensor],
    folder: str | os.PathLike[str],
    *,
    name: str,
    about: Mapping[str, str],
    accuracies: Mapping[str, float],
    history: History,
) -> ShippedModel:
    """Write the weights in half precision, the card and the log; replace files of that name.

    The same weights give the same bytes; date and versions stand in the card only. `about` are
    rows of the card: architecture, data, recipe, seed, command.
    """
    halves = {
        key: value.detach().cpu().half() if value.is_floating_point() else value.cpu()
        for key, value in state.items()
    }
    broken = [key for key, value in halves.items() if not torch.isfinite(value).all()]
    if broken:
        msg = f"Weights must be finite in half precision, but {broken[0]} is not."
        raise SettingsError(msg)
    n_bytes = sum(value.numel() * value.element_size() for value in halves.values())
    if n_bytes > MAX_BYTES:
        msg = (
            f"A shipped file holds at most {MAX_BYTES / 1e6:g} MB, these weights take "
            f"{n_bytes / 1e6:.2f} MB. Make the net smaller."
        )
        raise SettingsError(msg)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights, card, log = (
        folder / f"{name}{ending}" for ending in (".safetensors", ".md", ".log.csv")
    )
    unfinished = weights.with_suffix(".part")
    save_file(
        {key: value.contiguous() for key, value in sorted(halves.items())}, unfinished
    )
    unfinished.chmod(0o644)  # safetensors gives its files to their owner alone
    unfinished.replace(weights)
    log.write_text(_format_log(history), encoding="utf-8")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    rows = {
        **about,
        "Accuracy on fresh pictures": ", ".join(
            f"{what} {100 * value:.1f} %" for what, value in accuracies.items()
        ),
        "Size": f"{weights.stat().st_size:,} bytes, half precision",
        "SHA-256": f"`{digest}`",
        "Date": datetime.now(UTC).date().isoformat(),
        "Versions": _versions(),
        "License": "CC BY 4.0, as all that coursekit draws",
    }
    card.write_text(_format_card(name, rows), encoding="utf-8")
    return ShippedModel(
        name=name,
        weights=weights,
        card=card,
        log=log,
        sha256=digest,
        n_bytes=weights.stat().st_size,
        accuracies=dict(accuracies),
    )


def _versions() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return f"Python {platform.python_version()}, {packages}"


def _format_card(name: str, rows: Mapping[str, str]) -> str:
    table = "\n".join(f"| {what} | {text} |" for what, text in rows.items())
    return f"# {name}\n\n| | |\n| --- | --- |\n{table}\n"


def _format_log(history: History) -> str:
    frame = history.to_frame().drop(columns="seconds", errors="ignore")
    return frame.to_csv(index=False, float_format="%.5g", lineterminator="\n")
