"""Two processes on CPUs train as one does. They talk over local sockets only.

The file is its own worker: torchrun runs it with the folder for the results as its argument.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch.utils.data import DataLoader, TensorDataset

from coursekit.datasets import make_loader
from coursekit.training import Checkpoint, Trainer, TrainSettings


def noisy(images):
    return images + 0.1 * torch.randn(images.shape)


def data(n_samples):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(n_samples, 3, 8, 8, generator=generator)
    return images, torch.randint(0, 4, (n_samples,), generator=generator)


def train(loader, held_out, folder=None, n_epochs=3):
    torch.manual_seed(1)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(128, 4))
    trainer = Trainer(
        model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        loss=nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 2.0, 1.0])),
        settings=TrainSettings(progress_bar=False),
        checkpoint=Checkpoint(folder) if folder else None,
        device="cpu",
    )
    torch.manual_seed(5 + int(os.environ.get("RANK", 0)))  # all must follow the first
    history = trainer.fit(
        loader, validation=held_out, n_epochs=n_epochs, resume=bool(folder)
    )
    return {
        "steps": history.step_losses,
        "epochs": history.to_frame().drop(columns="seconds").to_numpy().tolist(),
        "weights": dict(model.state_dict()),
        "predicted": trainer.predict(held_out),
    }


def all_results(folder):
    # 21 samples in batches of 4: the last has one, so the second process has none of it
    loader = make_loader(data(21), batch_size=4, shuffle=True, seed=0, transform=noisy)
    held_out = make_loader(data(21), batch_size=4)
    train(loader, held_out, folder / "checkpoint", n_epochs=2)
    stock = DataLoader(TensorDataset(*data(23)), batch_size=4, shuffle=True)
    return {
        "uneven": train(loader, held_out),
        "resumed": train(loader, held_out, folder / "checkpoint"),
        "stock": train(stock, held_out),
        "n_processes": int(os.environ.get("WORLD_SIZE", 1)),
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of one process, and of each of two."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc_per_node", "2", "--local_addr", "127.0.0.1", __file__, str(two)]
    run = subprocess.run(launch, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    ranks = [torch.load(two / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    return all_results(one), *ranks


def test_there_really_are_two_processes(results):
    assert [result["n_processes"] for result in results] == [1, 2, 2]


@pytest.mark.parametrize("name", ["uneven", "resumed", "stock"])
def test_two_processes_give_the_curve_weights_and_predictions_of_one(results, name):
    one, first, second = results
    assert len(one[name]["steps"]) == 18
    assert_close(first[name], one[name], atol=1e-5, rtol=0)
    assert_close(second[name], first[name], atol=0, rtol=0)


def test_resumed_is_what_was_never_interrupted(results):
    for result in results:
        assert_close(result["resumed"], result["uneven"], atol=0, rtol=0)


if __name__ == "__main__":
    to = Path(sys.argv[1])
    torch.save(all_results(to), to / f"rank{os.environ['RANK']}.pt")
    torch.distributed.destroy_process_group()  # its threads outlive the interpreter
