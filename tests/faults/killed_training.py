"""Trains in children of one warm process and kills them; what test_kills runs.

Torch is imported once and every training is a fork of that process, which itself never
computes. A child notes on disk, before it goes on, every epoch and step that it begins.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from torch import nn

from coursekit.datasets import make_loader
from coursekit.training import Callback, Checkpoint, Trainer, TrainSettings

N_EPOCHS, N_SAMPLES, BATCH_SIZE = 6, 96, 8
N_STEPS = N_SAMPLES // BATCH_SIZE


class Notes(Callback):
    """Writes down where the training is, so that it is known when the process is gone."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def on_epoch_begin(self, trainer, **kwargs):
        os.write(self.file, f"epoch {kwargs['epoch']} {trainer.n_steps}\n".encode())

    def on_step_begin(self, trainer, **kwargs):
        os.write(self.file, f"step {kwargs['epoch']} {kwargs['step'] - 1}\n".encode())


def noisy(images):
    return images + 0.1 * torch.randn(images.shape)


def build_trainer(folder, every_n_steps):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(8 * 256, 64),
        nn.ReLU(),
        nn.Linear(64, 5),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    return Trainer(
        model,
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, N_EPOCHS),
        checkpoint=Checkpoint(folder, every_n_steps=every_n_steps),
        callbacks=[Notes(folder / "notes.txt")],
        settings=TrainSettings(progress_bar=False),
        device="cpu",
    )


def train(folder, every_n_steps):
    """Train to the end, from where an earlier child was killed if there was one."""
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(N_SAMPLES, 3, 16, 16, generator=generator)
    labels = torch.randint(0, 5, (N_SAMPLES,), generator=generator)
    trainer = build_trainer(folder, every_n_steps)
    loader = make_loader(
        (images, labels), batch_size=BATCH_SIZE, shuffle=True, seed=0, transform=noisy
    )
    history = trainer.fit(loader, validation=loader, n_epochs=N_EPOCHS, resume=True)
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in history.epochs]
    result = {"steps": history.step_losses.tolist(), "rows": rows}
    (folder / "result.json").write_text(json.dumps(result))


def start(folder, every_n_steps):
    """Return the number of a child that trains."""
    (folder / "notes.txt").unlink(missing_ok=True)
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        sys.stderr = (folder / "errors.txt").open("a", buffering=1)
        train(folder, every_n_steps)
        code = 0
    except BaseException as error:
        sys.stderr.write(repr(error))
        raise
    finally:
        os._exit(code)


def places(folder):
    """Return what a child noted: (kind, epoch, steps done), in order."""
    path = folder / "notes.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    found = [line.split() for line in lines]
    return [(kind, int(epoch), int(n_steps)) for kind, epoch, n_steps in found]


def kill_after(child, seconds):
    """Kill a child after so long; return whether it was still at work."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return False, os.waitstatus_to_exitcode(status)
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code == -signal.SIGKILL, code


def all_kills(folder, n_kills, seed):
    """Kill trainings until there were `n_kills`; return what was seen, as plain data."""
    rng, resumptions, results = random.Random(seed), [], []
    seconds, n_done, n_torn, run = 300.0, 0, 0, 0
    while n_done < n_kills or not run:
        here, every = folder / f"run{run}", None if run % 2 else 5
        here.mkdir()
        reached, code = None, None
        while code != 0:
            began = time.monotonic()
            may_kill = run and n_done < n_kills
            wait = rng.uniform(0, 0.6) * seconds if may_kill else 300
            killed, code = kill_after(start(here, every), wait)
            assert killed or code == 0, (here / "errors.txt").read_text()
            n_done += killed
            n_torn += killed and any(here.glob(".*.part"))
            noted = places(here)
            if reached and noted:
                resumptions.append({"every": every, "reached": reached, "at": noted[0]})
            reached = noted[-1] if noted else reached
        if not run:  # the first one is the truth: nobody kills it
            seconds = time.monotonic() - began
        results.append(json.loads((here / "result.json").read_text()))
        assert not (here / "errors.txt").read_text()
        run += 1
    return {
        "n_kills": n_done,
        "n_torn": n_torn,
        "n_runs": run,
        "resumptions": resumptions,
        "results": results,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    to, warm = Path(sys.argv[1]), Path(sys.argv[1], "warm")
    warm.mkdir()
    build_trainer(warm, None)  # imports what an optimizer needs, once for all children
    outcome = all_kills(to, n_kills=int(sys.argv[2]), seed=0)
    (to / "outcome.json").write_text(json.dumps(outcome))
