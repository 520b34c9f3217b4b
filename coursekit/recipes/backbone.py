"""Make the weights of the backbone, and write weights as the course ships them.

The backbone sees the 18 source shapes alone, without the held-out pairs of shape and color:
never land cover, never an unseen shape.
"""

import hashlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from coursekit.datasets import (
    HELD_OUT_PAIRS,
    SOURCE_SHAPES,
    ImageSet,
    Loader,
    make_loader,
    make_shapes,
)
from coursekit.datasets.shapes import NAMES
from coursekit.models import SmallResNet
from coursekit.seeds import seeded
from coursekit.training import Trainer, TrainSettings
from coursekit.transforms import PerImage, RandomQuarterTurn

ANSWERS = {**NAMES, "shape": SOURCE_SHAPES}
"""What a picture can be asked about, and the answers."""
_N_LOGITS = [len(names) for names in ANSWERS.values()]
_TEST_START = 10_000_000  # no training set reaches that far
_N_TEST = 6_000
_N_SCALES = 3
_FLOOR = 1e-3  # an even surface has no detail, and its logarithm should not be infinite
_N_STATISTICS = 3 * (2 + _N_SCALES)
_PACKAGES = ("torch", "torchvision", "timm", "numpy")
_ABOUT = {
    "Architecture": '`timm.create_model("coursekit_resnet8")`: a 5 x 5 convolution, three '
    "residual blocks, a head for 18 shapes; images of 32 x 32",
    "Data": "{n_images:,} pictures of the 18 source shapes, `coursekit.datasets.make_shapes`, "
    "without `HELD_OUT_PAIRS`; no land cover, no unseen shape",
    "Recipe": "shape, color, size, background and texture statistics at once; {n_epochs} "
    "epochs, batches of {batch_size}, quarter turns and mirror images, AdamW, one cycle up to "
    "{max_lr:g}, weight decay {weight_decay:g}",
    "Seed": "{seed}",
    "Command": "`coursekit train backbone --images {n_images} --epochs {n_epochs} --seed "
    "{seed}`",
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How weights are trained: by AdamW, whose rate rises and falls again, one cycle.

    `seed` is of the pictures, the first weights, the order and the augmentation.
    """

    n_images: int
    n_epochs: int
    batch_size: int
    max_lr: float
    weight_decay: float = 0.05
    seed: int = 7


RECIPE = Recipe(n_images=50_000, n_epochs=30, batch_size=128, max_lr=4e-3)
"""That of the weights that are shipped."""


def train(folder: Path, recipe: Recipe) -> tuple[Path, dict[str, float]]:
    """Train the backbone from nothing; return its file in `folder`, and accuracies.

    Four questions are answered from the same 112 features: shape, color, size and background;
    and the picture's own texture statistics are predicted from them. That is what makes them
    useful elsewhere: with the shape alone, features forget colors and textures. Quarter turns
    and mirror images are seen as often as upright pictures, because seen from above nothing has
    an upright. The head for shapes is kept, the others are not.

    The same recipe gives the same bytes on the same machine with the same versions; another
    machine rounds differently.
    """
    with seeded(recipe.seed):
        model = _Pretext(SmallResNet(num_classes=sum(_N_LOGITS) + _N_STATISTICS))
    parameters, metrics = list(model.parameters()), [_metric(name) for name in ANSWERS]
    loader = _loader(recipe.n_images, 0, recipe, is_training=True)
    trainer = fit_recipe(
        model, parameters, loader, recipe, loss=pretext_loss, metrics=metrics
    )
    reached = trainer.evaluate(_loader(_N_TEST, _TEST_START, recipe, is_training=False))
    accuracies = {name: reached[name] for name in ANSWERS}
    state = model.net.state_dict()
    # The logits of the shapes come first; they alone are kept.
    state |= {name: state[name][: _N_LOGITS[0]] for name in ("fc.weight", "fc.bias")}
    weights = folder / "coursekit_resnet8.shapes.safetensors"
    write_shipped(weights, state, weights.stem, _ABOUT, recipe, accuracies, trainer)
    return weights, accuracies


def fit_recipe(
    model: nn.Module, parameters: list, loader: Loader, recipe: Recipe, **options: Any
) -> Trainer:
    """Train `model` as all shipped weights are trained: AdamW and one cycle of its rate."""
    optimizer = torch.optim.AdamW(
        parameters, lr=recipe.max_lr, weight_decay=recipe.weight_decay
    )
    n_steps = len(loader) * recipe.n_epochs
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.max_lr, total_steps=n_steps, pct_start=0.15
    )
    settings = TrainSettings(scheduler_every="step")
    trainer = Trainer(
        model, optimizer=optimizer, scheduler=scheduler, settings=settings, **options
    )
    with seeded(recipe.seed):
        trainer.fit(loader, n_epochs=recipe.n_epochs)
    return trainer


def _loader(n_images: int, start: int, recipe: Recipe, *, is_training: bool) -> Loader:
    pictures = make_shapes(
        n_images, seed=recipe.seed, start=start, exclude_pairs=HELD_OUT_PAIRS
    )
    turn = PerImage([RandomQuarterTurn(), v2.RandomHorizontalFlip()])
    changes = [turn] if is_training else []
    return picture_loader(pictures, ANSWERS, recipe, changes, is_training=is_training)


def picture_loader(
    pictures: ImageSet,
    attributes: Mapping[str, Sequence[str]],
    recipe: Recipe,
    changes: Sequence[Callable] = (),
    *,
    is_training: bool = True,
) -> Loader:
    """Return batches of normalized pictures, and a column of numbers for each attribute."""
    numbers = [attribute_numbers(pictures, *kind) for kind in attributes.items()]
    images = torch.from_numpy(pictures.images).permute(0, 3, 1, 2)
    return make_loader(
        (images, torch.stack(numbers, dim=1)),
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        shuffle=is_training,
        drop_last=is_training,
        transform=v2.Compose([*changes, v2.Normalize([0.5] * 3, [0.25] * 3)]),
    )


def attribute_numbers(pictures: ImageSet, kind: str, names: Sequence[str]) -> Tensor:
    """Return for each picture the place of its attribute among `names`, int64."""
    return torch.tensor([names.index(name) for name in pictures.attributes[kind]])


class _Pretext(nn.Module):
    """The net's answers, beside the truth that a picture itself holds."""

    def __init__(self, net: SmallResNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self.net(images), texture_statistics(images)], dim=1)


def pretext_loss(outputs: Tensor, answers: Tensor) -> Tensor:
    """Return the sum of four cross-entropies and half the error of the statistics."""
    sizes = [*_N_LOGITS, _N_STATISTICS, _N_STATISTICS]
    *logits, predicted, true = outputs.split(sizes, dim=1)
    entropies = [F.cross_entropy(part, answers[:, n]) for n, part in enumerate(logits)]
    # Without the statistics, colors and textures are forgotten.
    return sum(entropies) + 0.5 * F.mse_loss(predicted, true)


def _metric(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    number = list(ANSWERS).index(name)

    def metric(outputs: Tensor, answers: Tensor) -> Tensor:
        logits = outputs[:, : sum(_N_LOGITS)].split(_N_LOGITS, dim=1)[number]
        return logits.argmax(1) == answers[:, number]

    metric.__name__ = name
    return metric


def texture_statistics(images: Tensor) -> Tensor:
    """Return each channel's mean, spread, and energy of detail at three scales.

    `images` are (B, 3, H, W), normalized, height and width multiples of 8; the result is
    (B, 15): mean and standard deviation of each channel, then the logarithm of the mean square
    of what is lost when 2 x 2 pixels become one, for the image, its half and its quarter. The
    bands are those of a Laplacian pyramid with a box filter (Burt and Adelson, IEEE Transactions
    on Communications 31(4), 1983).
    """
    statistics = [images.mean((2, 3)), images.std((2, 3))]
    for _ in range(_N_SCALES):
        half = F.avg_pool2d(images, 2)
        detail = images - F.interpolate(half, scale_factor=2.0)
        statistics.append(torch.log(detail.square().mean((2, 3)) + _FLOOR))
        images = half
    return torch.cat(statistics, dim=1)


def write_shipped(
    weights: Path,
    state: Mapping[str, Tensor],
    name: str,
    about: Mapping[str, str],
    recipe: Recipe,
    accuracies: Mapping[str, float],
    trainer: Trainer,
) -> None:
    """Write the weights in half precision, and beside them the card and the log.

    The same weights give the same bytes; date and versions stand in the card only. `about` are
    rows of the card, with blanks for what the recipe says.
    """
    halves = {
        key: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for key, value in state.items()
    }
    weights.parent.mkdir(parents=True, exist_ok=True)
    save_file(halves, weights)
    weights.chmod(0o644)  # safetensors gives its files to their owner alone
    trainer.history.to_frame().drop(columns="seconds").to_csv(
        weights.with_name(f"{name}.log.csv"),
        index=False,
        float_format="%.5g",
        lineterminator="\n",
    )
    content = weights.read_bytes()
    reached = (f"{what} {100 * value:.1f} %" for what, value in accuracies.items())
    packages = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    rows = {what: text.format(**asdict(recipe)) for what, text in about.items()} | {
        "Accuracy on fresh pictures": ", ".join(reached),
        "Size": f"{len(content):,} bytes, half precision",
        "SHA-256": f"`{hashlib.sha256(content).hexdigest()}`",
        "Date": datetime.now(UTC).date().isoformat(),
        "Versions": f"Python {platform.python_version()}, {packages}",
        "License": "CC BY 4.0, as all that coursekit draws",
    }
    table = "\n".join(f"| {what} | {text} |" for what, text in rows.items())
    card = f"# {name}\n\n| | |\n| --- | --- |\n{table}\n"
    weights.with_name(f"{name}.md").write_text(card, encoding="utf-8")
