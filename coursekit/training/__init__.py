"""Training: one loop for every lesson, on one device or many.

The trainer: `Trainer`, its `TrainSettings`, and its record `History`.
Called while it works: `Callback`, `EarlyStopping`, `TensorBoardLogger`.
To go on after an interruption: `Checkpoint`.
What trains: `freeze`, `unfreeze`, `report_parameters` and their `ParameterReport`;
`parameter_groups` with rates by depth; `GradualUnfreezing`.
What was predicted: `top_predictions` and its record `TopPredictions`.
Of models of images and texts: `contrastive_loss`.
Metrics, averaged over samples: `accuracy`, `top5_accuracy`.
"""

from coursekit.training.callbacks import Callback, EarlyStopping
from coursekit.training.checkpoints import Checkpoint
from coursekit.training.contrastive import contrastive_loss
from coursekit.training.freezing import freeze, unfreeze
from coursekit.training.history import History
from coursekit.training.metrics import accuracy, top5_accuracy
from coursekit.training.parameter_report import ParameterReport, report_parameters
from coursekit.training.predictions import TopPredictions, top_predictions
from coursekit.training.rates import parameter_groups
from coursekit.training.settings import TrainSettings
from coursekit.training.tensorboard import TensorBoardLogger
from coursekit.training.trainer import Trainer
from coursekit.training.unfreezing import GradualUnfreezing

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "GradualUnfreezing",
    "History",
    "ParameterReport",
    "TensorBoardLogger",
    "TopPredictions",
    "TrainSettings",
    "Trainer",
    "accuracy",
    "contrastive_loss",
    "freeze",
    "parameter_groups",
    "report_parameters",
    "top5_accuracy",
    "top_predictions",
    "unfreeze",
]
