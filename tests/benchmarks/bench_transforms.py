"""Augmenting a batch in memory, beside torchvision's transforms on PIL images one by one.

Run: python tests/benchmarks/bench_transforms.py [--repeats 15] [--threads 1]

The chain is that of lesson 04: rotation, flip, color jitter (with and without hue), blur,
erasing. Contenders begin with bytes in memory - a tensor, or PIL images - and end with a
batch of floats. They take turns in every repeat, so each ratio is of two times taken side by
side; the table shows the median of those ratios, their middle half, and the ratio of the
least times, which other programs disturb least. Times are those of the processor. PerImage
must be at least 4 times as fast as version 1 on PIL images, by the least times.
"""

import argparse
import statistics
import time

import torch
from PIL import Image
from torchvision import transforms as v1
from torchvision.transforms import v2

from coursekit.datasets import load_photo, make_land_cover
from coursekit.transforms import PerImage

NEEDED = 4.0
PIL_VERSION_1 = "version 1 on PIL images"


def pictures(size, n_images):
    """Return bytes of shape (n_images, size, size, 3)."""
    if size <= 64:
        return torch.from_numpy(make_land_cover(n_images, seed=0, image_size=size).images)
    photo = Image.fromarray(load_photo("coffee"))
    corners = [(10 * i % 180, 7 * i % 100) for i in range(n_images)]
    crops = [photo.crop((x, y, x + 300, y + 300)).resize((size, size)) for x, y in corners]
    return torch.stack([v2.functional.pil_to_tensor(crop) for crop in crops]).movedim(1, 3)


def contenders(pixels, hue):
    """Return, by name, functions that augment all pictures."""
    images = [Image.fromarray(image.numpy()) for image in pixels]
    batch = pixels.movedim(3, 1).contiguous()
    changes = [
        v1.RandomRotation(15),
        v1.RandomHorizontalFlip(),
        v1.ColorJitter(0.2, 0.2, 0.2, hue),
        v1.GaussianBlur(5),
    ]
    old = v1.Compose([*changes, v1.ToTensor(), v1.RandomErasing()])
    middle = [
        v2.RandomRotation(15),
        v2.RandomHorizontalFlip(),
        v2.ColorJitter(0.2, 0.2, 0.2, hue),
        v2.GaussianBlur(5),
    ]
    to_float = v2.ToDtype(torch.float32, scale=True)
    on_pil = v2.Compose([*middle, v2.ToImage(), to_float, v2.RandomErasing()])
    on_tensor = v2.Compose([to_float, *middle, v2.RandomErasing()])
    per_image = PerImage([to_float, *middle, v2.RandomErasing()])
    return {
        PIL_VERSION_1: lambda: torch.stack([old(image) for image in images]),
        "version 2 on PIL images": lambda: torch.stack([on_pil(i) for i in images]),
        "version 2 on tensors": lambda: torch.stack([on_tensor(i) for i in batch]),
        "version 2 on the batch (one draw for all)": lambda: on_tensor(batch),
        "PerImage on the batch": lambda: per_image(batch),
    }


def take_turns(turns, *, repeats):
    """Return the times of each contender, taken in turns."""
    found = {name: [] for name in turns}
    for repeat in range(repeats + 1):
        for name in list(turns) if repeat % 2 else list(reversed(turns)):
            began = time.process_time()
            turns[name]()
            if repeat:  # the first warms up
                found[name].append(time.process_time() - began)
    return found


def show(title, found, n_images):
    """Print a table and return the ratio of PerImage, by the least times."""
    print(f"\n{title}: images per second; times as fast as {PIL_VERSION_1}")
    base = found[PIL_VERSION_1]
    for name, values in found.items():
        ratios = [b / v for v, b in zip(values, base, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        rate = n_images / statistics.median(values)
        least = min(base) / min(values)
        print(
            f"  {name:42} {rate:9,.0f}  x{middle:5.2f} ({low:.2f} - {high:.2f})  "
            f"least x{least:.2f}"
        )
    return least


def main():
    """Print all tables; fail if PerImage is too slow."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {arguments.threads} thread(s)")
    slowest = float("inf")
    for size, n_images in ((32, 64), (64, 64), (224, 16)):
        pixels = pictures(size, n_images)
        for hue in (0.0, 0.1):
            found = take_turns(contenders(pixels, hue), repeats=arguments.repeats)
            title = f"{n_images} images of {size} x {size}, hue {hue:g}"
            slowest = min(slowest, show(title, found, n_images))
    print(f"\nslowest: x{slowest:.2f}, needed: x{NEEDED:g}")
    return slowest < NEEDED


if __name__ == "__main__":
    raise SystemExit(main())
