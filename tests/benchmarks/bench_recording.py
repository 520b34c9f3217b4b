"""What recording and watching memory cost, beside the same passes without.

Run: python tests/benchmarks/bench_recording.py [--repeats 15] [--batch 8] [--threads 1]

Forward passes are those of ResNet-18 at 224 x 224, training steps those of a tiny and of a
larger network. Contenders take turns in every repeat, so each ratio is of two times taken
side by side; the table shows the median of those ratios, their middle half, and the ratio of
the least times, which other programs disturb least. Times are those of the processor, all
threads together. The last part tells what the sampling thread itself
used, by its own clock, as a share of the time that passed.
"""

import argparse
import gc
import statistics
import threading
import time
from contextlib import nullcontext

import torch
import torchvision
from torch import nn

from coursekit.inspection import record_activations, record_gradients, track_memory


def take_turns(base, contenders, *, repeats):
    """Return the times of `base` and, by name, those of each contender, taken in turns."""
    found = {name: [] for name in contenders}
    seconds = []
    for repeat in range(repeats + 1):
        gc.collect()
        turns = {"": base} | contenders
        times = {}
        for name in list(turns) if repeat % 2 else list(reversed(turns)):
            began = time.process_time()
            turns[name]()
            times[name] = time.process_time() - began
        if repeat:  # the first warms up
            seconds.append(times[""])
            for name in contenders:
                found[name].append(times[name])
    return seconds, found


def show(title, seconds, found):
    print(f"\n{title}: {1e3 * statistics.median(seconds):.1f} ms")
    for name, values in found.items():
        ratios = [value / base for value, base in zip(values, seconds, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        least = min(values) / min(seconds)
        print(f"  {name:46} x{middle:.3f}  ({low:.3f} - {high:.3f})  least x{least:.3f}")


class Held:
    """Hooks as many tutorials write them: what they keep stays until the next pass."""

    def __init__(self, model, copy):
        self.values = []
        self.handles = [
            module.register_forward_hook(lambda m, i, o: self.values.append(copy(o)))
            for module in model.modules()
            if not list(module.children())
        ]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for handle in self.handles:
            handle.remove()


def bench_forward(*, repeats, batch):
    model = torchvision.models.resnet18(weights=None).eval()
    images = torch.randn(batch, 3, 224, 224)

    def run(context):
        with torch.no_grad(), context() as kept:
            model(images)
            return kept

    contenders = {
        "record_activations, values": lambda: record_activations(model),
        "record_activations, statistics": lambda: record_activations(
            model, keep="statistics"
        ),
        "hooks that clone": lambda: Held(model, lambda o: o.detach().clone()),
        "hooks that keep what is overwritten (wrong)": lambda: Held(
            model, lambda o: o.detach()
        ),
    }
    turns = {name: lambda c=context: run(c) for name, context in contenders.items()}
    seconds, found = take_turns(lambda: run(nullcontext), turns, repeats=repeats)
    show(f"forward pass of resnet18, {batch} images of 224 x 224", seconds, found)


def bench_backward(*, repeats, batch):
    model = torchvision.models.resnet18(weights=None)
    images = torch.randn(batch, 3, 128, 128)

    def run(context):
        model.zero_grad()
        with context():
            model(images).sum().backward()

    contenders = {
        "record_gradients, values": lambda: record_gradients(model),
        "record_gradients, statistics": lambda: record_gradients(model, keep="statistics"),
        "track_memory": track_memory,
        "track_memory(saved=False)": lambda: track_memory(saved=False),
    }
    turns = {name: lambda c=context: run(c) for name, context in contenders.items()}
    seconds, found = take_turns(lambda: run(nullcontext), turns, repeats=repeats)
    show(
        f"forward and backward pass of resnet18, {batch} images of 128 x 128",
        seconds,
        found,
    )


def tiny_cnn():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16 * 64, 10),
    )  # fmt: skip


def bench_steps(*, repeats, n_steps):
    """Many steps inside one block, as in a training."""
    model, images = tiny_cnn(), torch.randn(64, 3, 32, 32)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def train():
        for _ in range(n_steps):
            optimizer.zero_grad()
            model(images).square().mean().backward()
            optimizer.step()

    def inside(context):
        with context:
            train()

    contenders = {
        "track_memory": lambda: inside(track_memory()),
        "track_memory(saved=False): the sampling alone": lambda: inside(
            track_memory(saved=False)
        ),
    }
    seconds, found = take_turns(train, contenders, repeats=repeats)
    show(f"{n_steps} training steps of a tiny CNN, 64 images of 32 x 32", seconds, found)
    share_of_thread("steps of the tiny CNN", train)


def share_of_thread(what, work):
    """Print what the sampling thread used of the processor while `work` ran."""
    for interval in (0.02, 0.001):
        with track_memory(interval_seconds=interval) as timeline:
            (thread,) = [t for t in threading.enumerate() if t.name == "memory sampler"]
            clock = time.pthread_getcpuclockid(thread.ident)
            began, before = time.perf_counter(), time.clock_gettime(clock)
            work()
            used, lasted = (
                time.clock_gettime(clock) - before,
                time.perf_counter() - began,
            )
        n_samples = len(timeline.samples)
        print(
            f"  sampling thread during {what}, every {1e3 * interval:g} ms: "
            f"{used / lasted:.3%} of {lasted:.1f} s, {n_samples} samples, "
            f"{1e6 * used / n_samples:.0f} us each"
        )


def main():
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {arguments.threads} thread(s)")
    bench_forward(repeats=arguments.repeats, batch=arguments.batch)
    bench_backward(repeats=arguments.repeats, batch=max(1, arguments.batch // 2))
    bench_steps(repeats=arguments.repeats, n_steps=100)


if __name__ == "__main__":
    main()
