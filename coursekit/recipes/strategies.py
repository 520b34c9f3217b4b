"""Compare ways to learn from few labels: from scratch, a head on frozen features, fine-tuning.

Nothing here knows how the outcome is drawn.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from coursekit.datasets import ImageSet, split_stratified
from coursekit.errors import DataError, SettingsError
from coursekit.models import build_untrained
from coursekit.recipes.strategy_record import StrategyComparison
from coursekit.recipes.strategy_runs import StrategyRunner, Transform
from coursekit.recipes.strategy_settings import TransferSettings

__all__ = ["STRATEGIES", "compare_strategies"]

STRATEGIES = ("scratch", "head", "fine-tune")
"""What `compare_strategies` knows, in the order of the table."""


def compare_strategies(
    backbone: nn.Module,
    train: ImageSet,
    test: ImageSet,
    *,
    n_labels: int | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    strategies: Sequence[str] = STRATEGIES,
    transform: Transform | None = None,
    train_transform: Transform | None = None,
    build: Callable[[int], nn.Module] | None = None,
    settings: TransferSettings | None = None,
    validate: bool = False,
    device: torch.device | str | None = None,
    progress_bar: bool = True,
) -> StrategyComparison:
    """Train by each strategy on the same images, several times, and return how well it did.

    ``"scratch"`` trains a new network of the same kind. ``"head"`` embeds the images once and
    fits a head on the embeddings. ``"fine-tune"`` puts that head on the backbone and trains
    everything at a smaller rate. For one seed all see the same images, the networks with the
    same augmentation and for as many epochs.

    Parameters
    ----------
    backbone : Module
        A pretrained classifier whose head can be found; it is left as it was.
    train, test : ImageSet
        Of the same classes; every one of them is in both.
    n_labels : int, optional
        Images to learn from, drawn from `train` anew for each seed, every class with its
        share. By default all.
    seeds : sequence of int
        One run of each strategy for each.
    strategies : sequence of str
        Some of `STRATEGIES`.
    transform : callable, optional
        What is done to images when they are not augmented, such as resizing and
        normalizing, as for `make_loader`.
    train_transform : callable, optional
        The same with augmentation; by default there is none.
    build : callable, optional
        From a seed to the new network of ``"scratch"``, with any head. By default a copy of
        the backbone whose layers draw their weights anew.
    settings : TransferSettings, optional
    validate : bool, default=False
        Whether each epoch is followed by an evaluation on `test`, for curves; it costs time,
        which is in the seconds, and decides nothing.
    device : torch.device or str, optional
        By default the fastest at hand.
    progress_bar : bool, default=True
        Whether to show one, over all runs.

    Returns
    -------
    StrategyComparison
        ``.to_frame()`` has one row a run, ``.summary()`` one a strategy.

    Raises
    ------
    SettingsError
        If a strategy is unknown, there is no seed, or the backbone's weights cannot be drawn
        anew.
    DataError
        If the sets differ in their classes, or a class has no image in one of them.

    Notes
    -----
    The seconds of ``"fine-tune"`` include fitting its head. What trains is the number of
    parameters that an optimizer changed.

    References
    ----------
    .. [1] Kumar, Raghunathan, Jones, Ma and Liang, "Fine-Tuning can Distort Pretrained
       Features and Underperform Out-of-Distribution", ICLR 2022 (why the head is fitted
       first). https://arxiv.org/abs/2202.10054
    """
    _check_choice(strategies, seeds)
    _check_classes(train, test)
    runner = StrategyRunner(
        backbone=backbone,
        test=test,
        transform=transform,
        train_transform=train_transform or transform,
        build=build or _draws_anew(backbone),
        settings=settings or TransferSettings(),
        validate=validate,
        device=device,
    )
    runs = []
    with tqdm(
        total=len(seeds) * len(strategies), unit="run", disable=not progress_bar
    ) as bar:
        for seed in seeds:
            images = train
            if n_labels is not None:
                part = split_stratified(train, {"part": n_labels}, seed=seed)
                images = part["part"]
            fitted = None
            for strategy in [name for name in STRATEGIES if name in strategies]:
                bar.set_description_str(f"{strategy}, seed {seed}")
                run, fitted = runner.run(strategy, images, seed, fitted)
                runs.append(run)
                bar.update()
    return StrategyComparison(
        runs=tuple(runs),
        labels=np.asarray(test.labels),
        class_names=test.class_names,
        n_images=len(images),
    )


def _draws_anew(backbone: nn.Module) -> Callable[[int], nn.Module]:
    def build(seed: int) -> nn.Module:
        try:
            return build_untrained(backbone, seed=seed)
        except SettingsError as error:
            msg = f"{error} Pass that function, of a seed, as build=."
            raise SettingsError(msg) from error

    return build


def _check_choice(strategies: Sequence[str], seeds: Sequence[int]) -> None:
    unknown = [name for name in strategies if name not in STRATEGIES]
    if unknown or not strategies or isinstance(strategies, str):
        listed = ", ".join(map(repr, STRATEGIES))
        msg = f"strategies must be some of {listed}, got {strategies!r}."
        raise SettingsError(msg)
    if not len(seeds) or len(set(seeds)) < len(seeds):
        msg = f"seeds must be different whole numbers, at least one, got {list(seeds)}."
        raise SettingsError(msg)


def _check_classes(train: ImageSet, test: ImageSet) -> None:
    if train.class_names != test.class_names:
        msg = (
            "Both parts must have the same classes in the same order, got "
            f"{', '.join(train.class_names)} and {', '.join(test.class_names)}."
        )
        raise DataError(msg)
    for part, images in (("train", train), ("test", test)):
        counts = np.bincount(images.labels, minlength=images.n_classes)
        missing = [images.class_names[label] for label in np.flatnonzero(counts == 0)]
        if missing:
            msg = (
                f"Every class needs an image in both parts, but {part} has none of "
                f"{', '.join(missing)}. split_stratified gives every class its share."
            )
            raise DataError(msg)
