"""What a training step costs with `Trainer`, beside the tutorial's bare loop and other trainers.

Run: python tests/benchmarks/bench_trainer.py [--repeats 21] [--threads 1]

Times are those of the processor, so that other programs disturb little; ``--wall`` takes the
clock instead. Contenders take turns in every repeat, so each ratio is of two times taken side by side; the
table shows the median of those ratios and their range. A trainer that is not installed says so.
"""

import argparse
import contextlib
import gc
import importlib.util
import logging
import os
import platform
import statistics
import sys
import time
import warnings
from pathlib import Path

import psutil
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm.auto import tqdm

from coursekit.datasets import make_loader
from coursekit.training import Trainer

BATCH_SIZE, N_CLASSES = 64, 10
USE_WALL = "--wall" in sys.argv


def clock():
    """Return seconds: of this process's processor time, or of the clock."""
    return time.perf_counter() if USE_WALL else time.process_time()


def build_cnn():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 64, N_CLASSES),
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


# -- contenders: each trains one epoch and returns the seconds of its fit ------------------


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


def with_lightning(model, batches):
    import lightning

    class Task(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model, self.loss_function = model, nn.CrossEntropyLoss()

        def training_step(self, batch, _):
            images, labels = batch
            logits = self.model(images)
            loss = self.loss_function(logits, labels)
            accuracy = (logits.argmax(1) == labels).float().mean()
            options = {"on_step": False, "on_epoch": True, "prog_bar": True}
            self.log("loss", loss, batch_size=len(labels), **options)
            self.log("accuracy", accuracy, batch_size=len(labels), **options)
            return loss

        def configure_optimizers(self):
            return adam(self.model)

    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    task = Task()
    began = clock()
    trainer.fit(task, batches)
    return clock() - began


def with_fastai(model, batches):
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.metrics import accuracy
    from fastai.optimizer import Adam

    loaders = DataLoaders(batches, batches)
    learner = Learner(
        loaders,
        model,
        loss_func=nn.CrossEntropyLoss(),
        opt_func=Adam,
        metrics=accuracy,
        train_bn=True,
    )
    learner.validate = lambda *_, **__: None
    learner._do_epoch_validate = lambda *_, **__: None  # only training is compared
    began = clock()
    learner.fit(1, 1e-3)
    return clock() - began


def with_ignite(model, batches):
    from ignite.contrib.handlers import ProgressBar
    from ignite.engine import create_supervised_trainer
    from ignite.metrics import Accuracy, Loss

    loss_function = nn.CrossEntropyLoss()
    trainer = create_supervised_trainer(
        model,
        adam(model),
        loss_function,
        output_transform=lambda x, y, logits, loss: (logits.detach(), y),
    )
    Accuracy().attach(trainer, "accuracy")
    Loss(loss_function).attach(trainer, "loss")
    ProgressBar().attach(trainer)
    began = clock()
    trainer.run(batches, max_epochs=1)
    return clock() - began


OTHERS = {"lightning": with_lightning, "fastai": with_fastai, "ignite": with_ignite}


# -- measuring --------------------------------------------------------------------------------


@contextlib.contextmanager
def quiet():
    """Bars are drawn and warnings made, but nobody sees them."""
    logging.disable(logging.WARNING)
    with Path(os.devnull).open("w") as sink, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.redirect_stderr(sink), contextlib.redirect_stdout(sink):
            yield
    logging.disable(logging.NOTSET)


def measure(contenders, repeats):
    """Return the seconds of every contender in every repeat; they take turns.

    Somebody else's trainer that fails is left out, with its error.
    """
    seconds = {name: [] for name in contenders}
    for repeat in range(repeats + 1):
        for name, run in contenders.items():
            if isinstance(seconds[name], str):
                continue
            gc.collect()
            try:
                with quiet():
                    elapsed = run()
            except Exception as error:
                if name not in OTHERS:
                    raise
                seconds[name] = f"failed: {error!r}"[:60]
                continue
            if repeat:  # the first one warms up
                seconds[name].append(elapsed)
    return seconds


def spread(values, form):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} [{low:{form}} - {high:{form}}]"


def print_table(title, seconds, n_steps, base, installed):
    print(f"\n{title}")
    print(f"{'':<42} {'ms a step':>26} {'ratio':>22} {'added ms':>26}")
    for name in installed:
        if name not in seconds:
            print(f"{name:<42} {'not installed':>26}")
            continue
        if isinstance(seconds[name], str):
            print(f"{name:<42} {seconds[name]}")
            continue
        steps = [1e3 * s / n_steps for s in seconds[name]]
        base_steps = [1e3 * s / n_steps for s in seconds[base]]
        pairs = list(zip(steps, base_steps, strict=True))
        ratios = spread([a / b for a, b in pairs], ".2f")
        added = spread([a - b for a, b in pairs], ".3f")
        print(f"{name:<42} {spread(steps, '.3f'):>26} {ratios:>22} {added:>26}")


def compare_training(repeats, n_batches):
    data = make_data(n_batches)
    contenders = {
        "bare loop, stock DataLoader": lambda: bare_loop(build_cnn(), stock_loader(data)),
        "Trainer, make_loader": lambda: ours(
            build_cnn(), make_loader(data, batch_size=BATCH_SIZE, shuffle=True, seed=0)
        ),
        "Trainer, stock DataLoader": lambda: ours(build_cnn(), stock_loader(data)),
    }
    names = [*contenders, *OTHERS]
    contenders |= {
        name: lambda run=run: run(build_cnn(), stock_loader(data))
        for name, run in OTHERS.items()
        if importlib.util.find_spec(name)
    }
    seconds = measure(contenders, repeats)
    title = f"(a) Tiny CNN, batch {BATCH_SIZE} of 3 x 32 x 32, accuracy and bar on. Goal: <= 0.90"
    print_table(title, seconds, n_batches, names[0], names)


def compare_overhead(repeats, n_batches):
    batch = make_data(1)
    batches = [batch] * n_batches
    contenders = {
        "naked loop: the step alone": lambda: naked_loop(NoOp(), batches),
        "bare loop: + accuracy, sums, bar": lambda: bare_loop(NoOp(), batches),
        "Trainer: + accuracy, sums, bar, checks": lambda: ours(NoOp(), batches),
    }
    names = [*contenders, *OTHERS]
    contenders |= {
        name: lambda run=run: run(NoOp(), DataLoader(batches, batch_size=None))
        for name, run in OTHERS.items()
        if importlib.util.find_spec(name)
    }
    seconds = measure(contenders, repeats)
    title = (
        "(b) A model that does nothing, batches from a list. Goal: Trainer adds <= 0.2 ms"
    )
    print_table(title, seconds, n_batches, names[0], names)


def compare_memory(n_batches, n_epochs=5):
    data, process = make_data(n_batches), psutil.Process()
    loader = make_loader(data, batch_size=BATCH_SIZE, shuffle=True, seed=0)
    runs = {
        "bare loop, stock DataLoader": lambda: bare_loop(build_cnn(), stock_loader(data)),
        "Trainer, make_loader": lambda: ours(build_cnn(), loader),
    }
    size = sum(part.nbytes for part in data) / 2**20
    print(
        f"\n(c) Resident memory, {n_epochs} trainings of one epoch over {size:.0f} MiB in memory"
    )
    print(f"{'':<42} {'MiB in use after the first':>28} {'growth a training, MiB':>24}")
    for name, run in runs.items():
        levels = []
        for _ in range(n_epochs + 1):
            with quiet():
                run()
            gc.collect()
            levels.append(process.memory_info().rss / 2**20)
        growth = (levels[-1] - levels[0]) / n_epochs
        print(f"{name:<42} {levels[0]:>28.0f} {growth:>24.2f}")


def describe_machine():
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = lines[0].partition(":")[2].strip() if lines else model
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{model}, {os.cpu_count()} CPUs{load}; {torch.get_num_threads()} thread(s), torch "
        f"{torch.__version__} ({torch.backends.cpu.get_cpu_capability()}), Python "
        f"{platform.python_version()}, {platform.system()}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--wall", action="store_true")
    parser.add_argument("--batches", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(describe_machine())
    print(
        f"{options.repeats} repeats in turns: median [least - most], {'wall' if USE_WALL else 'CPU'} time"
    )
    compare_training(options.repeats, options.batches)
    compare_overhead(options.repeats, 15 * options.batches)
    compare_memory(options.batches)
    return 0


if __name__ == "__main__":
    sys.exit(main())
