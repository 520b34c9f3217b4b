"""What a training step costs with `Trainer`, beside the tutorial's bare loop.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/bench_trainer.py

Times are those of the processor, so that other programs disturb little. Contenders take turns
in every repeat, so each ratio is of two times taken side by side; the table shows the median
of those ratios and their range.
"""

import contextlib
import gc
import os
import statistics
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm.auto import tqdm

from coursekit.datasets import make_loader
from coursekit.training import Trainer

BATCH_SIZE, N_CLASSES, REPEATS = 64, 10, 21
clock = time.process_time


def build_cnn():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(16 * 64, N_CLASSES)),
    )


class NoOp(nn.Module):
    """Does next to nothing, so that what a loop itself costs can be seen."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(N_CLASSES))

    def forward(self, images):
        return self.bias.expand(len(images), N_CLASSES)


def make_data(n_batches):
    generator = torch.Generator().manual_seed(0)
    n_samples = n_batches * BATCH_SIZE
    images = torch.rand(n_samples, 3, 32, 32, generator=generator)
    return images, torch.randint(0, N_CLASSES, (n_samples,), generator=generator)


def adam(model):
    return torch.optim.Adam(model.parameters(), lr=1e-3)


def stock_loader(data):
    return DataLoader(TensorDataset(*data), batch_size=BATCH_SIZE, shuffle=True)


def bare_loop(model, batches):
    """The tutorial's loop, with a progress bar and accuracy."""
    optimizer, loss_function = adam(model), nn.CrossEntropyLoss()
    began = clock()
    total_loss, n_right, n_seen = 0.0, 0, 0
    model.train()
    for images, labels in tqdm(batches):
        optimizer.zero_grad()
        logits = model(images)
        loss = loss_function(logits, labels)
        loss.backward()
        optimizer.step()
        total_loss += loss.item() * len(labels)
        n_right += (logits.argmax(1) == labels).sum().item()
        n_seen += len(labels)
    return clock() - began


def naked_loop(model, batches):
    """Nothing but the step: no metric, no bar."""
    optimizer, loss_function = adam(model), nn.CrossEntropyLoss()
    began = clock()
    model.train()
    for images, labels in batches:
        optimizer.zero_grad()
        loss_function(model(images), labels).backward()
        optimizer.step()
    return clock() - began


def ours(model, batches):
    trainer = Trainer(model, optimizer=adam(model), device="cpu")
    began = clock()
    trainer.fit(batches, n_epochs=1)
    return clock() - began


def measure(contenders):
    """Return the seconds of every contender in every repeat; they take turns, unseen."""
    seconds = {name: [] for name in contenders}
    for repeat in range(REPEATS + 1):
        for name, run in contenders.items():
            gc.collect()
            with Path(os.devnull).open("w") as sink, contextlib.redirect_stderr(sink):
                elapsed = run()
            if repeat:  # the first one warms up
                seconds[name].append(elapsed)
    return seconds


def spread(values):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.3f} [{low:.3f} - {high:.3f}]"


def compare(title, contenders, n_steps):
    """Print milliseconds a step, their ratio to the first contender's, and the difference."""
    print(f"\n{title}\n{'':<40} {'ms a step':>26} {'ratio':>22} {'added ms':>26}")
    steps = {k: [1e3 * s / n_steps for s in own] for k, own in measure(contenders).items()}
    base = next(iter(steps.values()))
    for name, own in steps.items():
        ratios = spread([a / b for a, b in zip(own, base, strict=True)])
        added = spread([a - b for a, b in zip(own, base, strict=True)])
        print(f"{name:<40} {spread(own):>26} {ratios:>22} {added:>26}")


def main():
    torch.set_num_threads(1)
    n_batches = 20
    data = make_data(n_batches)
    in_memory = {"batch_size": BATCH_SIZE, "shuffle": True, "seed": 0}
    contenders = {
        "bare loop, stock DataLoader": lambda: bare_loop(build_cnn(), stock_loader(data)),
        "Trainer, make_loader": lambda: ours(build_cnn(), make_loader(data, **in_memory)),
        "Trainer, stock DataLoader": lambda: ours(build_cnn(), stock_loader(data)),
    }
    title = f"(a) Tiny CNN, batch {BATCH_SIZE} of 3 x 32 x 32, accuracy and bar on. Goal: <= 0.90"
    compare(title, contenders, n_batches)
    batches = [make_data(1)] * 300
    contenders = {
        "naked loop: the step alone": lambda: naked_loop(NoOp(), batches),
        "bare loop: + accuracy, sums, bar": lambda: bare_loop(NoOp(), batches),
        "Trainer: + accuracy, sums, bar, checks": lambda: ours(NoOp(), batches),
    }
    title = "(b) A model that does nothing. Goal: Trainer adds <= 0.2 ms"
    compare(title, contenders, len(batches))


if __name__ == "__main__":
    main()
