"""What test_two_processes runs in one process and in two: trainings, their results as a file.

Run by torchrun with the folder for the results as its argument.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from coursekit.datasets import make_loader
from coursekit.training import Callback, Checkpoint, Trainer, TrainSettings


class Stop(BaseException):
    """Stands for the end of all processes."""


class StopAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_step_begin(self, trainer, **kwargs):
        if kwargs["step"] == self.step:
            raise Stop


def noisy(images):
    return images + 0.1 * torch.randn(images.shape)


def data(n_samples):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(n_samples, 3, 8, 8, generator=generator)
    return images, torch.randint(0, 4, (n_samples,), generator=generator)


def build_trainer(folder=None, callbacks=(), **settings):
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 4),
    )
    return Trainer(
        model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        settings=TrainSettings(progress_bar=False, **settings),
        checkpoint=Checkpoint(folder, every_n_steps=2) if folder else None,
        callbacks=callbacks,
        device="cpu",
    )


def fit(loader, held_out, n_epochs=3, **options):
    trainer = build_trainer(**options)
    torch.manual_seed(5 + int(os.environ.get("RANK", 0)))  # all must follow the first
    history = trainer.fit(loader, validation=held_out, n_epochs=n_epochs)
    return summary(trainer, history)


def summary(trainer, history):
    return {
        "steps": history.step_losses.tolist(),
        "epochs": [
            {k: v for k, v in row.items() if k != "seconds"} for row in history.epochs
        ],
        "weights": {
            name: value.tolist() for name, value in trainer.model.state_dict().items()
        },
    }


def normed(loader, held_out):
    """Batch normalization: every process sees other statistics, one set is kept."""
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 4)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    quiet = TrainSettings(progress_bar=False)
    trainer = Trainer(model, optimizer=optimizer, settings=quiet, device="cpu")
    history = trainer.fit(loader, validation=held_out, n_epochs=2)
    return [summary(trainer, history), trainer.predict(held_out).tolist()]


def resumed(loader, folder):
    stopped = build_trainer(folder, callbacks=[StopAt(9)])
    with suppress(Stop):
        stopped.fit(loader, n_epochs=3)
    trainer = build_trainer(folder)
    return summary(trainer, trainer.fit(loader, n_epochs=3, resume=True))


def all_results(folder):
    # 21 samples in batches of 4: the last has one, so the second process has none of it
    images, labels = data(21)
    loader = make_loader(
        (images, labels), batch_size=4, shuffle=True, seed=0, transform=noisy
    )
    held_out = make_loader(data(21), batch_size=4)
    results = {
        "uneven": fit(loader, held_out),
        "accumulated": fit(loader, held_out, n_accumulate=4, clip_norm=0.5),
        "resumed": resumed(loader, folder / "checkpoint"),
    }
    stock = DataLoader(TensorDataset(*data(23)), batch_size=4, shuffle=True)
    results["stock"] = fit(stock, DataLoader(TensorDataset(*data(23)), batch_size=4))
    trainer = build_trainer()
    before = trainer.evaluate(held_out)
    trainer.fit(loader, n_epochs=1)
    trainer.fit(loader, n_epochs=1)  # twice: the first leaves nothing behind
    results["evaluated"] = [before, trainer.evaluate(held_out)]
    results["predicted"] = trainer.predict(held_out).tolist()
    results["normed"] = normed(loader, held_out)
    results["n_processes"] = trainer.engine.n_processes
    return results


if __name__ == "__main__":
    to = Path(sys.argv[1])
    torch.save(all_results(to), to / f"rank{os.environ['RANK']}.pt")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()  # its threads outlive the interpreter
