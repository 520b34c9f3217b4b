"""Training: `Trainer` and what it is given, freezing, the surest predictions.

Trainer
    `Trainer`, `TrainSettings`, its `History`; `Checkpoint`; each `Callback`: `EarlyStopping`,
    `TensorBoardLogger`.
Freezing and rates
    `freeze`, `unfreeze`, `report_parameters`, `parameter_groups`.
Predictions
    `top_predictions`.
"""

from coursekit.training.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    History,
    TensorBoardLogger,
    TrainSettings,
)
from coursekit.training.metrics import top_predictions
from coursekit.training.parameters import (
    freeze,
    parameter_groups,
    report_parameters,
    unfreeze,
)
from coursekit.training.trainer import Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "TensorBoardLogger",
    "TrainSettings",
    "Trainer",
    "freeze",
    "parameter_groups",
    "report_parameters",
    "top_predictions",
    "unfreeze",
]
