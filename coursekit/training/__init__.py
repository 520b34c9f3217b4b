"""Training: `Trainer` and what it is given, freezing, metrics."""

from coursekit.training.callbacks import Callback, EarlyStopping, TensorBoardLogger
from coursekit.training.metrics import (
    TopPredictions,
    accuracy,
    top5_accuracy,
    top_predictions,
)
from coursekit.training.parameters import (
    ParameterReport,
    freeze,
    parameter_groups,
    report_parameters,
    unfreeze,
)
from coursekit.training.records import Checkpoint, History, TrainSettings
from coursekit.training.trainer import Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "ParameterReport",
    "TensorBoardLogger",
    "TopPredictions",
    "TrainSettings",
    "Trainer",
    "accuracy",
    "freeze",
    "parameter_groups",
    "report_parameters",
    "top5_accuracy",
    "top_predictions",
    "unfreeze",
]
