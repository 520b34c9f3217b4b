"""What test_embed_in_processes runs in one process and in two.

Run by torchrun with the folder for the results as its argument.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from coursekit.datasets import ImageSet, make_loader
from coursekit.errors import DataError
from coursekit.features import embed, writing

N = 21


class Stop(BaseException):
    """Stands for the end of all processes."""


class Net(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        self.fc, self.n_rows, self.end_after = nn.Linear(6, 2), 0, None

    def forward(self, images):
        if isinstance(images, torch.Tensor):
            self.n_rows += len(images)
        if self.end_after is not None and self.n_rows > self.end_after:
            raise Stop
        return self.fc(self.body(images).mean((2, 3)))


def summary(found):
    return {
        "rows": found.embeddings.tolist(),
        "labels": None if found.labels is None else found.labels.tolist(),
        "n": found.source.n_samples,
    }


def run(data, **options):
    model = Net().train()
    model.body.register_forward_hook(lambda *_: None)  # the model itself runs, and counts
    found = embed(model, data, device="cpu", progress_bar=False, **options)
    return summary(found) | {"n_rows": model.n_rows, "training": model.training}


def make_images():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (N, 8, 8, 3), generator=generator, dtype=torch.uint8)
    labels = (torch.arange(N) % 4).numpy()
    return ImageSet(images=pixels.numpy(), labels=labels, class_names=("a", "b", "c", "d"))


def begin(folder, images):
    """Write the first rows of a file, and end."""
    writing.ROWS_A_WRITE, usual = 8, writing.ROWS_A_WRITE
    model = Net()
    model.body.register_forward_hook(lambda *_: None)
    model.end_after = 14
    loader = make_loader(images, batch_size=4)
    with suppress(Stop):
        embed(model, loader, device="cpu", progress_bar=False, file=folder / "begun")
    writing.ROWS_A_WRITE = usual


def all_results(folder):
    """Return what every process sees, as plain data."""
    images = make_images()
    labels = torch.from_numpy(images.labels)
    inputs, _ = images.to_tensors()
    lazy = ImageSet(
        images=list(images.images), labels=images.labels, class_names=images.class_names
    )
    results = {
        "images": run(images),
        "lazy": run(make_loader(lazy, batch_size=4)),  # the last batch has one image
        "torch": run(DataLoader(TensorDataset(inputs[:20], labels[:20]), batch_size=4)),
        "tensor": run(inputs),
        "single": run(inputs[:1]),
        "file": run(make_loader(images, batch_size=4), file=folder / "rows"),
    }
    if not (folder / "begun.part").exists():
        begin(folder, images)
    model = Net()
    model.body.register_forward_hook(lambda *_: None)
    options = {"device": "cpu", "progress_bar": False, "file": folder / "begun"}
    found = embed(model, images, batch_size=2, **options)
    results["resumed"] = summary(found) | {"n_rows": model.n_rows}
    try:
        embed(Net(seed=1), images, **options)
    except DataError as error:
        results["refused"] = str(error)
    results["n_processes"] = int(os.environ.get("WORLD_SIZE", 1))
    return results


if __name__ == "__main__":
    torch.set_num_threads(1)
    shared = Path(sys.argv[1])
    torch.save(all_results(shared), shared / f"rank{os.environ['RANK']}.pt")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()  # its threads outlive the interpreter
