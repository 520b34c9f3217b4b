"""Compare augmentations: the same network, images and first weights, several times.

Nothing here knows how the outcome is drawn.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.transforms import v2
from tqdm.auto import tqdm

from coursekit.datasets import ImageSet, Loader, make_loader, split_stratified
from coursekit.errors import DataError, SettingsError
from coursekit.models import SmallResNet
from coursekit.recipes.augmentation_record import AugmentationComparison, AugmentationRun
from coursekit.recipes.one_cycle import one_cycle_trainer
from coursekit.seeds import derive_seed, seeded
from coursekit.transforms import PerImage, mix_batches

__all__ = ["AugmentationSettings", "compare_augmentations"]

_MIXES = (v2.MixUp, v2.CutMix)


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentationSettings:
    """How each run of `compare_augmentations` trains.

    Networks are trained by AdamW; the rate rises to its largest value and falls again, one
    cycle over all epochs.

    Parameters
    ----------
    n_epochs : int, default=25
        Passes over the training images.
    lr : float, default=4e-3
        The largest rate.
    weight_decay : float, default=0.05
        AdamW's.
    batch_size : int, default=32
        Images a step.

    Raises
    ------
    SettingsError
        If a number is not positive, or the weight decay is negative.
    """

    n_epochs: int = 25
    lr: float = 4e-3
    weight_decay: float = 0.05
    batch_size: int = 32

    def __post_init__(self) -> None:
        for name in ("n_epochs", "lr", "batch_size"):
            if not getattr(self, name) > 0:
                msg = f"{name} must be positive, got {getattr(self, name)}."
                raise SettingsError(msg)
        if self.weight_decay < 0:
            msg = f"weight_decay must not be negative, got {self.weight_decay}."
            raise SettingsError(msg)


def compare_augmentations(
    train: ImageSet,
    test: ImageSet,
    augmentations: Mapping[str, Any],
    *,
    n_labels: int | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    transform: Callable[[Tensor], Tensor] | None = None,
    build: Callable[[int], nn.Module] | None = None,
    settings: AugmentationSettings | None = None,
    baseline: str | None = None,
    device: torch.device | str | None = None,
    progress_bar: bool = True,
) -> AugmentationComparison:
    """Train with each augmentation, several times, and return how well it did.

    All augmentations of one seed start from the same weights and see the same images in the
    same order, so their differences are theirs. Test images are never augmented.

    Parameters
    ----------
    train, test : ImageSet
        Of the same classes.
    augmentations : mapping of str to augmentation
        ``None`` for no augmentation; a transform or a list of transforms, which are drawn for
        each image as `PerImage` does; torchvision's `MixUp` or `CutMix`; or a pair (transforms, mix).
    n_labels : int, optional
        Images to learn from, drawn from `train` anew for each seed, every class with its
        share. By default all.
    seeds : sequence of int
        One run of each augmentation for each.
    transform : callable, optional
        What is done to all images after augmentation, such as normalizing, as for
        `make_loader`.
    build : callable, optional
        From a seed to a new network. By default a `SmallResNet`.
    settings : AugmentationSettings, optional
    baseline : str, optional
        The one that the others are compared with; by default the first.
    device : torch.device or str, optional
        By default the fastest at hand.
    progress_bar : bool, default=True
        Whether to show one, over all runs.

    Returns
    -------
    AugmentationComparison
        ``.to_frame()`` has one row a run, ``.summary()`` one an augmentation.

    Raises
    ------
    SettingsError
        If there is no augmentation or no seed, or the baseline is none of them.
    DataError
        If the sets differ in their classes.

    Examples
    --------
    >>> from coursekit.datasets import make_land_cover
    >>> train = make_land_cover(20, seed=0, image_size=8)
    >>> quick = AugmentationSettings(n_epochs=1)
    >>> flips = {"none": None, "flips": v2.RandomHorizontalFlip()}
    >>> compare_augmentations(
    ...     train, train, flips, seeds=[0], settings=quick, progress_bar=False
    ... ).names
    ('none', 'flips')
    """
    baseline = _check(train, test, augmentations, seeds, baseline)
    settings = settings or AugmentationSettings()
    build = build or _builder_for(train)
    held_out = make_loader(test, batch_size=256, transform=transform)
    runs = []
    n_runs = len(seeds) * len(augmentations)
    with tqdm(total=n_runs, unit="run", disable=not progress_bar) as bar:
        for seed in seeds:
            images = train
            if n_labels is not None:
                images = split_stratified(train, {"part": n_labels}, seed=seed)["part"]
            for name, augmentation in augmentations.items():
                bar.set_description_str(f"{name}, seed {seed}")
                loader = _loader(images, augmentation, transform, settings, seed)
                trainer = one_cycle_trainer(
                    build(seed),
                    lr=settings.lr,
                    weight_decay=settings.weight_decay,
                    n_steps=settings.n_epochs * len(loader),
                    device=device,
                )
                began = time.perf_counter()
                with seeded(seed, "fit"):  # such as dropout draws
                    history = trainer.fit(loader, n_epochs=settings.n_epochs)
                seconds = time.perf_counter() - began
                runs.append(
                    AugmentationRun(
                        augmentation=name,
                        seed=seed,
                        accuracy=trainer.evaluate(held_out)["accuracy"],
                        seconds=seconds,
                        history=history,
                    )
                )
                bar.update()
    return AugmentationComparison(runs=tuple(runs), baseline=baseline, n_images=len(images))


def _loader(
    images: ImageSet,
    augmentation: Any,
    transform: Callable | None,
    settings: AugmentationSettings,
    seed: int,
) -> Loader:
    """Return training batches; a last batch of one image is left out.

    Batch normalization cannot learn from a single one.
    """
    steps, mix = augmentation, None
    if isinstance(augmentation, _MIXES):
        steps, mix = None, augmentation
    elif isinstance(augmentation, tuple) and isinstance(augmentation[-1], _MIXES):
        steps, mix = augmentation
    size = settings.batch_size
    loader = make_loader(
        images,
        batch_size=size,
        seed=derive_seed(seed, "order"),
        shuffle=True,
        transform=_Chain(PerImage(steps), transform) if steps is not None else transform,
        drop_last=len(images) > size and len(images) % size == 1,
    )
    return loader if mix is None else mix_batches(loader, mix)


class _Chain:
    """An augmentation, then what is done to all images."""

    def __init__(self, first: Callable, then: Callable | None) -> None:
        self.first, self.then = first, then

    def __call__(self, images: Tensor) -> Tensor:
        images = self.first(images)
        return images if self.then is None else self.then(images)


def _builder_for(images: ImageSet) -> Callable[[int], nn.Module]:
    n_channels = images.images[0].shape[-1]

    def build(seed: int) -> nn.Module:
        with seeded(seed, "augmentations"):
            return SmallResNet(num_classes=images.n_classes, in_chans=n_channels)

    return build


def _check(
    train: ImageSet,
    test: ImageSet,
    augmentations: Mapping[str, Any],
    seeds: Sequence[int],
    baseline: str | None,
) -> str:
    """Return the name of the baseline."""
    if not augmentations:
        msg = "augmentations must name at least one; None stands for no augmentation."
        raise SettingsError(msg)
    if not len(seeds) or len(set(seeds)) < len(seeds):
        msg = f"seeds must be different whole numbers, at least one, got {list(seeds)}."
        raise SettingsError(msg)
    if baseline is not None and baseline not in augmentations:
        listed = ", ".join(map(repr, augmentations))
        msg = f"The baseline must be among {listed}, got {baseline!r}."
        raise SettingsError(msg)
    if train.class_names != test.class_names:
        msg = (
            "Both parts must have the same classes in the same order, got "
            f"{', '.join(train.class_names)} and {', '.join(test.class_names)}."
        )
        raise DataError(msg)
    return baseline or next(iter(augmentations))
