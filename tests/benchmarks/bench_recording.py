"""What recording and watching memory cost, beside the same passes without.

Run: python tests/benchmarks/bench_recording.py [--repeats 15]

Contenders take turns in every repeat, so each ratio is of two times taken side by side: the
median of those ratios and their middle half, in times of the processor, one thread.
"""

import argparse
import gc
import statistics
import time
from contextlib import nullcontext

import torch
import torchvision
from torch import nn

from coursekit.inspection import record_activations, record_gradients, track_memory


def compare(title, work, contexts, *, repeats):
    """Print how much longer `work` takes inside each context."""
    times = {name: [] for name in contexts}
    for _ in range(repeats + 1):
        gc.collect()
        for name, context in contexts.items():
            began = time.process_time()
            with context():
                work()
            times[name].append(time.process_time() - began)
    first, *others = ({name: values[1:] for name, values in times.items()}).items()
    print(f"{title}: {1e3 * statistics.median(first[1]):.1f} ms")
    for name, values in others:
        ratios = [value / base for value, base in zip(values, first[1], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"  {name:24} x{middle:.3f}  ({low:.3f} - {high:.3f})")


def main():
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}")
    network, images = torchvision.models.resnet18(weights=None), torch.randn(4, 3, 128, 128)
    compare(
        "forward and backward pass of resnet18, 4 images of 128 x 128",
        lambda: network(images).sum().backward(),
        {
            "without": nullcontext,
            "record_activations": lambda: record_activations(network),
            "record_gradients": lambda: record_gradients(network),
            "track_memory": track_memory,
        },
        repeats=repeats,
    )
    tiny = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1800, 10)
    )
    batch = torch.randn(64, 3, 32, 32)
    compare(
        "100 steps of a tiny CNN, 64 images of 32 x 32",
        lambda: [tiny(batch).square().mean().backward() for _ in range(100)],
        {"without": nullcontext, "track_memory": track_memory},
        repeats=repeats,
    )


if __name__ == "__main__":
    main()
