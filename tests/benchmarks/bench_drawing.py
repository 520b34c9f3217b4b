"""Images drawn per CPU-second by one thread, with the spread over repeats, and the memory.

Run: python tests/benchmarks/bench_drawing.py [--repeats 7]
"""

import argparse
import os
import statistics
import sys
import time
import tracemalloc

CASES = (
    ("shapes 32 x 32", "make_shapes", 2000, 32, 3000),
    ("shapes 64 x 64", "make_shapes", 1000, 64, None),
    ("land cover 32 x 32", "make_land_cover", 1000, 32, None),
    ("land cover 64 x 64", "make_land_cover", 800, 64, 800),
    ("moving shapes 32 x 32", "make_moving_shapes", 1000, 32, None),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported
    import torch

    from coursekit import datasets

    torch.set_num_threads(1)
    print(f"CPU-seconds of one thread, {repeats} repeats")
    header = f"{'what':<22} {'images':>6} {'per second':>10} {'slowest':>8} {'fastest':>8}"
    print(f"{header} {'needed':>7} {'extra MiB':>9}")
    too_slow = False
    for title, name, n_images, size, needed in CASES:
        draw = getattr(datasets, name)
        draw(50, seed=0, image_size=size)  # builds the tables
        rates = [_rate(draw, n_images, size, seed) for seed in range(repeats)]
        median = statistics.median(rates)
        too_slow |= needed is not None and median < needed
        print(
            f"{title:<22} {n_images:>6} {median:>10,.0f} {min(rates):>8,.0f} "
            f"{max(rates):>8,.0f} {needed or '-':>7} {_extra_mebibytes(draw, n_images, size):>9.1f}"
        )
    return int(too_slow)


def _rate(draw, n_images: int, size: int, seed: int) -> float:
    """Images per CPU-second."""
    started = time.process_time()
    draw(n_images, seed=seed, image_size=size)
    return n_images / (time.process_time() - started)


def _extra_mebibytes(draw, n_images: int, size: int) -> float:
    """Peak memory while drawing, beyond the images themselves."""
    tracemalloc.start()
    draw(n_images, seed=0, image_size=size)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return (peak - n_images * size * size * 3) / 2**20


if __name__ == "__main__":
    sys.exit(main())
