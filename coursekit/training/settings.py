"""The settings of a `Trainer`, checked once and then frozen.

Nothing here knows how they are obeyed.
"""

from dataclasses import dataclass

from coursekit.errors import SettingsError

__all__ = ["TrainSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSettings:
    """How a `Trainer` trains; make a variant with `dataclasses.replace`.

    Parameters
    ----------
    precision : {"no", "bf16", "fp16"}, default="no"
        Mixed precision: the type that layers compute in, where autocasting allows it.
        "no" is float32. "fp16" needs a CUDA device; it scales the loss.
    clip_norm : float, optional
        Gradients are scaled down until their norm, over all parameters, is at most this.
    n_accumulate : int, default=1
        Batches whose gradients make one step together, weighted by their samples: the
        step is that of one large batch. A last group may be smaller.
    scheduler_every : {"epoch", "step"}, default="epoch"
        When the scheduler moves on.
    channels_last : bool, optional
        Whether batches of images are laid out channel by channel for each pixel, which
        makes convolutions faster. Only batches are: the weights keep their layout. By
        default it is done when the model has convolutions and works on such a batch (one
        that calls ``view`` may not).
    frozen_batch_norm : {"eval", "train"}, default="eval"
        What batch normalization does while its own weights are frozen: normalize by the
        averages that it has and leave them alone, or by those of the batch, which also moves
        the averages, so that the layer is not what it was although none of its weights
        changed.
    progress_bar : bool, default=True
        Whether to show one, for the whole of `fit`.

    Raises
    ------
    SettingsError
        If a value is not one of those above.

    Examples
    --------
    >>> from dataclasses import replace
    >>> replace(TrainSettings(precision="bf16"), clip_norm=1.0).precision
    'bf16'
    """

    precision: str = "no"
    clip_norm: float | None = None
    n_accumulate: int = 1
    scheduler_every: str = "epoch"
    channels_last: bool | None = None
    frozen_batch_norm: str = "eval"
    progress_bar: bool = True

    def __post_init__(self) -> None:
        choices = {
            "precision": ("no", "bf16", "fp16"),
            "scheduler_every": ("epoch", "step"),
            "frozen_batch_norm": ("eval", "train"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                listed = ", ".join(map(repr, allowed))
                msg = f"{name} must be one of {listed}, got {getattr(self, name)!r}."
                raise SettingsError(msg)
        if self.n_accumulate < 1:
            msg = f"n_accumulate must be at least 1, got {self.n_accumulate}."
            raise SettingsError(msg)
        if self.clip_norm is not None and not self.clip_norm > 0:
            msg = f"clip_norm must be positive, or None for no clipping, got {self.clip_norm}."
            raise SettingsError(msg)
