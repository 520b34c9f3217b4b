"""What `embed` and `fit_head` save, beside the loops that tutorials write.

Run: python tests/benchmarks/bench_features.py [--repeats 5] [--nets mobilenet_v2 resnet18]
     [--images 512] [--size 224] [--threads 1] [--weights FILE] [--parts speed memory head]

speed: `embed` on all images, beside the tutorial loop (a DataLoader of single images, the
model as it is after loading: in training mode, with gradients) on an eighth of them. The two
take turns; each ratio is of times an image, taken side by side, of the processor, all threads
together. The table shows the median of the ratios, the least and the greatest, and the ratio
of the least times, which other programs disturb least.

memory: how far the process grows beyond the data, each contender in a process of its own.

head: 20 epochs of a head on a frozen backbone. The tutorial way - parameters frozen, every
image through the whole model in every epoch - is timed over an eighth of one epoch and
multiplied; embedding, once, and fit_head are timed whole. The accuracies come from whole
trainings, at --head-size, where the tutorial way is affordable. --weights is a state dict for
mobilenet_v2; without it weights are random, and accuracies say less.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from coursekit.datasets import ImageSet, make_land_cover, split_stratified
from coursekit.features import embed, fit_head
from coursekit.models import find_head, replace_head

MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
normalize = v2.Normalize(MEAN, DEVIATION)
N_EPOCHS, BATCH_SIZE = 20, 32


class Single(Dataset):
    """Images one by one, as tutorials give them."""

    def __init__(self, images):
        self.images = images
        self.transform = v2.Compose(
            [
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, DEVIATION),
            ]
        )

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.transform(self.images.images[index]), int(self.images.labels[index])


def tutorial_loop(model, images):
    """Return embeddings as the tutorials take them."""
    features = []
    for batch, _ in DataLoader(Single(images), batch_size=BATCH_SIZE):
        output = model(batch)
        features.append(output.detach())
    return torch.cat(features)


def tutorial_steps(model, optimizer, images):
    """Train the head for one epoch; the whole model runs."""
    model.train()
    generator = torch.Generator().manual_seed(0)
    loader = DataLoader(
        Single(images), batch_size=BATCH_SIZE, shuffle=True, generator=generator
    )
    for batch, labels in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch), labels).backward()
        optimizer.step()


def headless(model):
    """Return the model with its head replaced, as the tutorials do it."""
    parent, _, last = find_head(model).rpartition(".")
    setattr(model.get_submodule(parent), last, nn.Identity())
    return model


def build(net, weights=None, **options):
    torch.manual_seed(0)
    model = getattr(torchvision.models, net)(weights=None, **options)
    if weights is not None and net == "mobilenet_v2":
        model.load_state_dict(torch.load(weights, weights_only=True))
    return model


def draw(n_images, size):
    """Return land cover, enlarged: what is in the pictures does not change the times."""
    small = make_land_cover(n_images, seed=0, image_size=64)
    if size == 64:
        return small
    pixels = torch.from_numpy(small.images).permute(0, 3, 1, 2)
    pixels = v2.functional.resize(pixels, [size, size])
    return ImageSet(
        images=pixels.permute(0, 2, 3, 1).contiguous().numpy(),
        labels=small.labels,
        class_names=small.class_names,
    )


def seconds_of(work):
    began = time.process_time()
    work()
    return time.process_time() - began


def take_turns(base, contenders, *, repeats):
    """Return seconds an image of `base` and, by name, of each contender, taken in turns."""
    base_times, found = [], {name: [] for name in contenders}
    for repeat in range(repeats):
        turns = {"": base} | contenders
        for name in list(turns) if repeat % 2 else list(reversed(turns)):
            work, n_images = turns[name]
            (found[name] if name else base_times).append(seconds_of(work) / n_images)
    return base_times, found


def show(title, base, found, *, unit="ms an image", scale=1e3):
    print(f"\n{title}: {scale * statistics.median(base):.1f} {unit}")
    for name, values in found.items():
        ratios = sorted(b / v for b, v in zip(base, values, strict=True))
        print(
            f"  {name:42} {scale * statistics.median(values):7.2f} {unit}   "
            f"{statistics.median(ratios):6.1f}x faster  ({ratios[0]:.1f} - {ratios[-1]:.1f})  "
            f"least times {min(base) / min(values):.1f}x"
        )


def bench_speed(net, arguments):
    images = draw(arguments.images, arguments.size)
    few = images.subset(range(max(BATCH_SIZE, arguments.images // 8)))
    plain, model = headless(build(net)), build(net)
    options = {"transform": normalize, "device": "cpu", "progress_bar": False}
    turns = {
        "embed": (lambda: embed(model, images, **options), len(images)),
        "the loop in eval and inference mode": (
            lambda: in_inference(plain, few),
            len(few),
        ),
    }
    base = (lambda: tutorial_loop(plain.train(), few), len(few))
    times = take_turns(base, turns, repeats=arguments.repeats)
    size = f"{arguments.size} x {arguments.size}"
    show(f"{net}, {len(images)} images of {size}, tutorial loop", *times)


def in_inference(model, images):
    with torch.inference_mode():
        tutorial_loop(model.eval(), images)


def grown_bytes(arguments, net, contender):
    """Return by how much a process of its own grows while it embeds."""
    command = [sys.executable, __file__, "--inner", contender, "--nets", net]
    command += ["--images", str(arguments.images), "--size", str(arguments.size)]
    command += ["--threads", str(arguments.threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


def measure_growth(arguments):
    """Print the growth of this process; what `grown_bytes` runs."""
    (net,), images = arguments.nets, draw(arguments.images, arguments.size)
    model = build(net)
    if arguments.inner == "tutorial":
        model = headless(model)
        work = lambda part: tutorial_loop(model, part)  # noqa: E731
    else:
        options = {"transform": normalize, "device": "cpu", "progress_bar": False}
        work = lambda part: embed(model, part, **options)  # noqa: E731
    work(draw(2, 64))  # libraries that load late are not meant
    Path("/proc/self/clear_refs").write_text("5")  # the peak is that from here on
    before = status("VmRSS")
    kept = work(images)
    print(status("VmHWM") - before)
    del kept


def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def bench_memory(net, arguments):
    print(f"\n{net}: growth beyond the data, {arguments.images} images of {arguments.size}")
    base = grown_bytes(arguments, net, "tutorial")
    ours = grown_bytes(arguments, net, "embed")
    print(f"  tutorial loop {base / 2**20:.0f} MiB, embed {ours / 2**20:.0f} MiB, ", end="")
    print(f"ratio {base / ours:.1f}")


def bench_head(net, arguments):
    images = draw(arguments.images, arguments.size)
    few = images.subset(range(max(BATCH_SIZE, arguments.images // 8)))
    model = build(net)
    frozen, optimizer = frozen_with_head(model, images.n_classes)
    n_trained = N_EPOCHS * len(images)
    options = {"transform": normalize, "device": "cpu", "progress_bar": False}

    def cached():
        fit_head(embed(model, images, **options), n_epochs=N_EPOCHS, seed=0)

    turns = {"embed once, fit_head": (cached, n_trained)}
    base = (lambda: tutorial_steps(frozen, optimizer, few), len(few))
    base_times, found = take_turns(base, turns, repeats=arguments.repeats)
    title = f"{net}, {N_EPOCHS} epochs of a head on {len(images)} images, tutorial way"
    show(title, base_times, found, unit="s in all", scale=n_trained)


def frozen_with_head(model, n_classes):
    """Return a copy with frozen weights and a new head, and the optimizer of the head."""
    model = replace_head(model, n_classes, seed=0)
    for parameter in model.parameters():
        parameter.requires_grad = False
    head = model.get_submodule(find_head(model))
    for parameter in head.parameters():
        parameter.requires_grad = True
    return model, torch.optim.Adam(head.parameters(), lr=1e-3)


def bench_accuracy(net, arguments):
    whole = draw(arguments.images + 1000, arguments.head_size)
    sizes = {"train": arguments.images, "test": 1000}
    parts = split_stratified(whole, sizes, seed=0)
    model = build(net, arguments.weights)
    frozen, optimizer = frozen_with_head(model, whole.n_classes)
    for _ in range(N_EPOCHS):
        tutorial_steps(frozen, optimizer, parts["train"])
    options = {"transform": normalize, "device": "cpu", "progress_bar": False}
    logits = embed(frozen, parts["test"], layer="", **options)
    slow = (logits.embeddings.argmax(1) == logits.labels).float().mean().item()
    train, test = (embed(model, parts[name], **options) for name in ("train", "test"))
    heads = [fit_head(train, n_epochs=N_EPOCHS, seed=seed) for seed in range(3)]
    answers = [head(test.embeddings).argmax(1) for head in heads]
    fast = [(found == test.labels).float().mean().item() for found in answers]
    listed = ", ".join(f"{100 * value:.1f}" for value in fast)
    print(
        f"\n{net}, accuracy on 1000 images after {N_EPOCHS} epochs on {arguments.images} of "
        f"{arguments.head_size} px:\n  tutorial way {100 * slow:.1f}, fit_head {listed} "
        "(3 seeds)"
    )


def main():
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--nets", nargs="+", default=["mobilenet_v2", "resnet18"])
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--head-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--parts", nargs="+", default=["speed", "memory", "head"])
    parser.add_argument("--inner", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.inner:
        measure_growth(arguments)
        return
    print(
        f"torch {torch.__version__}, {arguments.threads} thread(s), {os.cpu_count()} cores"
    )
    for net in arguments.nets:
        if "speed" in arguments.parts:
            bench_speed(net, arguments)
        if "memory" in arguments.parts:
            bench_memory(net, arguments)
        if "head" in arguments.parts:
            bench_head(net, arguments)
            bench_accuracy(net, arguments)


if __name__ == "__main__":
    main()
