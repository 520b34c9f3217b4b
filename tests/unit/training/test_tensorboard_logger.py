"""TensorBoardLogger, read back by TensorBoard's own reader; and History by itself."""

import numpy as np
import pytest
import torch
from torch import nn

from coursekit.datasets import make_loader
from coursekit.errors import SettingsError
from coursekit.training import (
    Checkpoint,
    History,
    TensorBoardLogger,
    Trainer,
    TrainSettings,
)


def train(folder, n_epochs, **options):
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    inputs = torch.rand(8, 3, generator=torch.Generator().manual_seed(0))
    loader = make_loader((inputs, torch.arange(8) % 2), batch_size=4)
    trainer = Trainer(
        model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        callbacks=[TensorBoardLogger(folder / "log")],
        checkpoint=Checkpoint(folder / "saved"),
        settings=TrainSettings(progress_bar=False),
    )
    return trainer.fit(loader, validation=loader, n_epochs=n_epochs, **options)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_curves_can_be_read_back_also_after_a_resumption(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path, 2)
    history = train(tmp_path, 3, resume=True)
    events = EventAccumulator(str(tmp_path / "log"))
    events.Reload()
    steps = events.Scalars("step/loss")
    assert [event.step for event in steps] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(
        [event.value for event in steps], history.step_losses, rtol=1e-6
    )
    of_epochs = events.Scalars("epoch/val_loss")
    assert [event.step for event in of_epochs] == [2, 4, 6]
    np.testing.assert_allclose(
        [event.value for event in of_epochs], history.column("val_loss"), rtol=1e-6
    )


def test_a_history_grows_by_a_copy():
    first = History()
    second = first.with_epoch({"epoch": 1, "loss": 0.5, "seconds": 1.0}, [0.6, 0.4])
    assert (len(first), len(second)) == (0, 1)
    assert repr(second) == "History(1 epoch, 2 steps, last: loss 0.5)"
    assert first.to_frame().empty
    assert second.with_steps([0.1]).step_losses.tolist() == [0.6, 0.4, 0.1]


def test_an_unknown_column_lists_what_there_is():
    history = History().with_epoch({"epoch": 1, "loss": 0.5}, [0.5])
    with pytest.raises(SettingsError, match="no 'val_loss', only epoch, loss"):
        history.column("val_loss")
