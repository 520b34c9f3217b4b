"""Training: one loop for every lesson, on one device or many.

The trainer: `Trainer`, its `TrainSettings`, and its record `History`.
Called while it works: `Callback`, `EarlyStopping`, `TensorBoardLogger`.
To go on after an interruption: `Checkpoint`.
Metrics, averaged over samples: `accuracy`, `top5_accuracy`.
"""

from coursekit.training.callbacks import Callback, EarlyStopping
from coursekit.training.checkpoints import Checkpoint
from coursekit.training.history import History
from coursekit.training.metrics import accuracy, top5_accuracy
from coursekit.training.settings import TrainSettings
from coursekit.training.tensorboard import TensorBoardLogger
from coursekit.training.trainer import Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "TensorBoardLogger",
    "TrainSettings",
    "Trainer",
    "accuracy",
    "top5_accuracy",
]
