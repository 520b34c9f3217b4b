"""One run of a strategy: fit a head on frozen features, or train a whole network.

Nothing here knows how many runs there are, or how they are compared.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from coursekit.datasets import ImageSet, Loader, make_loader
from coursekit.features import HeadFit, embed, fit_head
from coursekit.models import put_head, replace_head
from coursekit.recipes.one_cycle import one_cycle_trainer
from coursekit.recipes.strategy_record import StrategyRun
from coursekit.recipes.strategy_settings import TransferSettings
from coursekit.seeds import derive_seed, seeded
from coursekit.training import History, Trainer

__all__ = ["FittedHead", "StrategyRunner", "Transform"]

Transform = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class FittedHead:
    """A head on frozen features, and what it cost."""

    fit: HeadFit
    seconds: float


@dataclass(frozen=True, kw_only=True)
class StrategyRunner:
    """What all runs of a comparison share.

    Parameters
    ----------
    backbone : Module
    test : ImageSet
    transform, train_transform : callable, optional
        Without and with augmentation.
    build : callable
        From a seed to an untrained network.
    settings : TransferSettings
    validate : bool
        Whether each epoch is evaluated.
    device : torch.device or str, optional
    """

    backbone: nn.Module
    test: ImageSet
    transform: Transform | None
    train_transform: Transform | None
    build: Callable[[int], nn.Module]
    settings: TransferSettings
    validate: bool
    device: torch.device | str | None

    def run(
        self, strategy: str, images: ImageSet, seed: int, fitted: FittedHead | None
    ) -> tuple[StrategyRun, FittedHead | None]:
        """Train by one strategy; return the run, and a fitted head for the next one."""
        n_classes = self.test.n_classes
        if strategy == "scratch":
            model = replace_head(self.build(seed), n_classes, seed=seed)
            return self.train(strategy, model, images, seed, 0.0), fitted
        fitted = fitted or self.fit(images, seed)
        model = put_head(self.backbone, fitted.fit.head)
        if strategy == "fine-tune":
            run = self.train(strategy, model, images, seed, fitted.seconds)
            return run, fitted
        n_trained = sum(p.numel() for p in fitted.fit.head.parameters())
        logits = self.predict(model)
        run = self.note(
            strategy, seed, logits, fitted.seconds, n_trained, fitted.fit.history
        )
        return run, fitted

    def fit(self, images: ImageSet, seed: int) -> FittedHead:
        """Embed the training images, as they are or in augmented views, and fit a head."""
        began = time.perf_counter()
        settings = self.settings
        views = []
        for view in range(settings.n_views):
            loader = self.loader(
                images,
                seed=derive_seed(seed, "view", view),
                as_they_are=settings.n_views == 1,
            )
            views.append(
                embed(self.backbone, loader, device=self.device, progress_bar=False)
            )
        joined = replace(
            views[0],
            embeddings=torch.cat([view.embeddings for view in views]),
            labels=torch.cat([view.labels for view in views]),
            class_names=self.test.class_names,
        )
        fit = fit_head(
            joined,
            hidden=settings.hidden,
            n_epochs=settings.n_head_epochs,
            lr=settings.head_lr,
            seed=seed,
        )
        return FittedHead(fit=fit, seconds=time.perf_counter() - began)

    def train(
        self, strategy: str, model: nn.Module, images: ImageSet, seed: int, seconds: float
    ) -> StrategyRun:
        """Train all of `model`; `seconds` were spent on it before."""
        began = time.perf_counter()
        settings = self.settings
        lr = settings.lr
        if strategy == "fine-tune":
            lr = settings.fine_tune_lr or settings.lr / 2
        model.requires_grad_(True)
        if strategy == "fine-tune" and not settings.tune_batch_norm:
            for layer in model.modules():
                if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                    layer.requires_grad_(False)  # the trainer then keeps its averages too
        loader = self.loader(images, seed=derive_seed(seed, "train"), shuffle=True)
        trainer = one_cycle_trainer(
            model,
            lr=lr,
            weight_decay=settings.weight_decay,
            n_steps=settings.n_epochs * len(loader),
            device=self.device,
        )
        with seeded(seed, "fit"):  # such as dropout draws
            history = trainer.fit(
                loader,
                validation=self.test_loader() if self.validate else None,
                n_epochs=settings.n_epochs,
            )
        seconds += time.perf_counter() - began
        n_trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        logits = trainer.predict(self.test_loader())
        return self.note(strategy, seed, logits, seconds, n_trained, history)

    def loader(
        self,
        images: ImageSet,
        *,
        seed: int,
        shuffle: bool = False,
        as_they_are: bool = False,
    ) -> Loader:
        """Return training images in batches; a last batch of one image is left out.

        Batch normalization cannot learn from a single one.
        """
        size = self.settings.batch_size
        return make_loader(
            images,
            batch_size=size,
            seed=seed,
            shuffle=shuffle,
            transform=self.transform if as_they_are else self.train_transform,
            drop_last=shuffle and len(images) > size and len(images) % size == 1,
        )

    def test_loader(self) -> Loader:
        """Return the test images in batches, without augmentation."""
        return make_loader(self.test, batch_size=256, transform=self.transform)

    def predict(self, model: nn.Module) -> Tensor:
        """Return the logits of the test images."""
        optimizer = torch.optim.SGD(model.parameters())  # not used
        trainer = Trainer(model, optimizer=optimizer, device=self.device)
        return trainer.predict(self.test_loader())

    def note(
        self,
        strategy: str,
        seed: int,
        logits: Tensor,
        seconds: float,
        n_trained: int,
        history: History,
    ) -> StrategyRun:
        """Return the record of a run."""
        right = logits.argmax(1) == torch.from_numpy(np.asarray(self.test.labels))
        return StrategyRun(
            strategy=strategy,
            seed=seed,
            accuracy=right.double().mean().item(),
            seconds=seconds,
            n_trained=n_trained,
            history=history,
            logits=logits,
        )
