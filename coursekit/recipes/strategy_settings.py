"""The settings of `compare_strategies`, checked once and then frozen.

Nothing here knows how they are obeyed.
"""

from dataclasses import dataclass

from coursekit.errors import SettingsError

__all__ = ["TransferSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferSettings:
    """How each strategy of `compare_strategies` trains.

    Networks are trained by AdamW; the rate rises to its largest value and falls again, one
    cycle over all epochs.

    Parameters
    ----------
    n_epochs : int, default=20
        Of training from scratch and of fine-tuning.
    lr : float, default=4e-3
        The largest rate from scratch.
    fine_tune_lr : float, optional
        The largest rate of fine-tuning; half of `lr` by default.
    weight_decay : float, default=0.05
        Of both.
    batch_size : int, default=32
        Images a step.
    tune_batch_norm : bool, default=True
        Whether fine-tuning changes batch normalization. Without, its weights and averages
        stay those of the backbone, which very few images, small batches, or weights that
        were merged with the convolutions ask for.
    n_views : int, default=1
        How often the training images are embedded for the head: once as they are, or so
        often with fresh augmentation, which makes a better head and takes as many times as
        long.
    hidden : tuple of int
        Outputs of the head's layers before the last one.
    n_head_epochs : int, default=50
        Of fitting the head.
    head_lr : float, default=3e-3
        Its rate.

    Raises
    ------
    SettingsError
        If a number is not positive, or the weight decay is negative.
    """

    n_epochs: int = 20
    lr: float = 4e-3
    fine_tune_lr: float | None = None
    weight_decay: float = 0.05
    batch_size: int = 32
    tune_batch_norm: bool = True
    n_views: int = 1
    hidden: tuple[int, ...] = ()
    n_head_epochs: int = 50
    head_lr: float = 3e-3

    def __post_init__(self) -> None:
        for name in ("n_epochs", "lr", "batch_size", "n_views", "n_head_epochs", "head_lr"):
            if not getattr(self, name) > 0:
                msg = f"{name} must be positive, got {getattr(self, name)}."
                raise SettingsError(msg)
        if self.weight_decay < 0 or not (
            self.fine_tune_lr is None or self.fine_tune_lr > 0
        ):
            msg = (
                "weight_decay must not be negative and fine_tune_lr positive or None, got "
                f"{self.weight_decay} and {self.fine_tune_lr}."
            )
            raise SettingsError(msg)
