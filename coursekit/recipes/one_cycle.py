"""The training that all runs of a comparison share: AdamW, and a rate of one cycle.

Nothing here knows what is compared.
"""

import torch
from torch import nn

from coursekit.training import Trainer, TrainSettings

__all__ = ["one_cycle_trainer"]


def one_cycle_trainer(
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    n_steps: int,
    device: torch.device | str | None,
) -> Trainer:
    """Return a silent trainer whose rate rises to `lr` and falls again in so many steps."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=lr, weight_decay=weight_decay, fused=True
    )
    return Trainer(
        model,
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=lr, total_steps=n_steps
        ),
        settings=TrainSettings(scheduler_every="step", progress_bar=False),
        device=device,
    )
