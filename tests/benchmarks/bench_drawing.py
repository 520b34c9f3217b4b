"""Images drawn per CPU-second by one thread, with the spread over repeats, and the memory.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/bench_drawing.py
"""

import statistics
import sys
import time
import tracemalloc

from coursekit import datasets

REPEATS = 7
CASES = (
    ("shapes 32 x 32", datasets.make_shapes, 2000, 32, 3000),
    ("shapes 64 x 64", datasets.make_shapes, 1000, 64, None),
    ("land cover 32 x 32", datasets.make_land_cover, 1000, 32, None),
    ("land cover 64 x 64", datasets.make_land_cover, 800, 64, 800),
    ("moving shapes 32 x 32", datasets.make_moving_shapes, 1000, 32, None),
)


def main() -> int:
    print(
        f"{'what':<22} {'per second':>10} {'slowest':>8} {'fastest':>8} {'needed':>7} MiB"
    )
    too_slow = False
    for title, draw, n_images, size, needed in CASES:
        draw(50, seed=0, image_size=size)  # builds the tables
        rates = []
        for seed in range(REPEATS):
            started = time.process_time()
            draw(n_images, seed=seed, image_size=size)
            rates.append(n_images / (time.process_time() - started))
        median = statistics.median(rates)
        too_slow |= needed is not None and median < needed
        tracemalloc.start()
        draw(n_images, seed=0, image_size=size)
        extra = tracemalloc.get_traced_memory()[1] - n_images * size * size * 3
        tracemalloc.stop()
        print(
            f"{title:<22} {median:>10,.0f} {min(rates):>8,.0f} {max(rates):>8,.0f} "
            f"{needed or '-':>7} {extra / 2**20:.1f}"
        )
    return int(too_slow)


if __name__ == "__main__":
    sys.exit(main())
