"""What `embed` and `fit_head` save, beside the loops that tutorials write.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/bench_features.py [NET ...]

speed: `embed` on all images, beside the tutorial loop (a DataLoader of single images, the
model as it is after loading: in training mode, with gradients) on an eighth of them.

head: 20 epochs of a head on a frozen backbone. The tutorial way - parameters frozen, every
image through the whole model in every epoch - is timed over an eighth of one epoch and
multiplied; embedding, once, and fit_head are timed whole.

Contenders take turns; each ratio is of times an image, taken side by side, of the processor.
The table shows the median of the ratios, the least and the greatest.
"""

import statistics
import sys
import time

import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from coursekit.datasets import make_land_cover
from coursekit.features import embed, fit_head
from coursekit.models import find_head, replace_head

normalize = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
OPTIONS = {"transform": normalize, "device": "cpu", "progress_bar": False}
N_IMAGES, N_FEW, REPEATS, N_EPOCHS, BATCH_SIZE = 512, 64, 5, 20, 32


class Single(Dataset):
    """Images one by one, as tutorials give them."""

    def __init__(self, images):
        self.images = images
        to_float = v2.ToDtype(torch.float32, scale=True)
        self.transform = v2.Compose([v2.ToImage(), to_float, normalize])

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.transform(self.images.images[index]), int(self.images.labels[index])


def tutorial_loop(model, images):
    """Return embeddings as the tutorials take them."""
    batches = DataLoader(Single(images), batch_size=BATCH_SIZE)
    return torch.cat([model(batch).detach() for batch, _ in batches])


def tutorial_steps(model, optimizer, images):
    """Train the head for one epoch; the whole model runs."""
    model.train()
    for batch, labels in DataLoader(Single(images), batch_size=BATCH_SIZE, shuffle=True):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch), labels).backward()
        optimizer.step()


def build(net):
    torch.manual_seed(0)
    return getattr(torchvision.models, net)(weights=None)


def headless(net):
    """Return the model without its head, as the tutorials do it."""
    model = build(net)
    model.set_submodule(find_head(model), nn.Identity())
    return model


def frozen_with_head(net, n_classes):
    """Return the model with frozen weights and a new head, and the optimizer of the head."""
    model = replace_head(build(net), n_classes, seed=0).requires_grad_(False)
    head = model.get_submodule(find_head(model)).requires_grad_(True)
    return model, torch.optim.Adam(head.parameters(), lr=1e-3)


def compare(title, base, contender):
    """Print seconds an image of both, each a function and its number of images, in turns."""
    times = [], []
    for repeat in range(REPEATS):
        turns = list(zip((base, contender), times, strict=True))
        for (work, n_images), own in turns if repeat % 2 else reversed(turns):
            began = time.process_time()
            work()
            own.append((time.process_time() - began) / n_images)
    ratios = sorted(slow / fast for slow, fast in zip(*times, strict=True))
    slow, fast = (1e3 * statistics.median(own) for own in times)
    spread = f"{statistics.median(ratios):.1f}x ({ratios[0]:.1f} - {ratios[-1]:.1f})"
    print(f"{title:<60} {slow:9.1f} ms, {fast:8.2f} ms an image: {spread} faster")


def main(*nets):
    images = make_land_cover(N_IMAGES, seed=0, image_size=224)
    few = images.subset(range(N_FEW))
    for net in nets or ("mobilenet_v2", "resnet18"):
        model, plain = build(net), headless(net).train()
        frozen, optimizer = frozen_with_head(net, images.n_classes)
        compare(
            f"{net}: tutorial loop, embed",
            (lambda plain=plain: tutorial_loop(plain, few), N_FEW),
            (lambda model=model: embed(model, images, **OPTIONS), N_IMAGES),
        )
        compare(
            f"{net}: {N_EPOCHS} epochs of a head, embed once and fit_head",
            (lambda f=frozen, o=optimizer: tutorial_steps(f, o, few), N_FEW),
            (
                lambda model=model: fit_head(
                    embed(model, images, **OPTIONS), n_epochs=N_EPOCHS, seed=0
                ),
                N_EPOCHS * N_IMAGES,
            ),
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
