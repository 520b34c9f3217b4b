"""Saved-for-backward bytes, against what autograd's own hooks see in a real forward pass."""

import pytest
import torch
import torchvision
from torch import nn
from torch.utils.checkpoint import checkpoint

from coursekit.inspection import summarize

EIGHT = [
    "resnet50",
    "vgg16",
    "mobilenet_v2",
    "convnext_tiny",
    "vit_b_16",
    "efficientnet_b0",
    "googlenet",
    "densenet121",
]


def build(name):
    with torch.device("meta"):
        settings = {"init_weights": False} if name == "googlenet" else {}
        return getattr(torchvision.models, name)(weights=None, **settings)


def given_memory(model):
    """Give a model of the meta device real numbers: the oracle runs for real."""
    torch.manual_seed(0)
    model = model.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.fill_(0.01) if tensor.is_floating_point() else tensor.zero_()
    return model


def bytes_autograd_saves(model, *inputs):
    """Sum the memory of all that is saved, each block once, the model's own left out."""
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    blocks = {}

    def see(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            blocks[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(see, lambda tensor: tensor):
        output = model(*inputs)  # held, so that no memory is freed and used again
    assert output is not None
    return sum(blocks.values())


@pytest.mark.parametrize("name", EIGHT)
def test_saved_bytes_are_those_that_autograd_saves(name):
    size = (3, 224, 224) if name == "vit_b_16" else (3, 128, 128)
    model = build(name)
    described = {
        mode: summarize(model.train(mode), size).saved_bytes for mode in (True, False)
    }
    model = given_memory(model)
    for mode in (True, False):
        truth = bytes_autograd_saves(model.train(mode), torch.rand(1, *size))
        assert described[mode] == pytest.approx(truth, rel=0.001)  # 5 % are asked for
    if name in {"resnet50", "vit_b_16"}:
        assert summarize(model, size).saved_bytes == described[False]


def test_bytes_grow_with_the_batch_and_halve_with_the_type():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    one = summarize(model, (3, 20, 20)).saved_bytes
    assert one == 4 * (3 * 20 * 20 + 8 * 18 * 18)
    assert summarize(model, (3, 20, 20), batch_size=7).saved_bytes == 7 * one
    assert summarize(model.bfloat16(), (3, 20, 20)).saved_bytes == one // 2


@pytest.mark.parametrize("device", [None, "meta"])
def test_what_is_frozen_saves_nothing(device):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
    model[0].requires_grad_(False)
    summary = summarize(model, (3, 8, 8), device=device)
    assert summary.saved_bytes == 4 * 8 * 36  # what the linear layer reads
    assert summary.n_trainable == 8 * 36 * 5 + 5
    model.requires_grad_(False)
    assert summarize(model, (3, 8, 8), device=device).saved_bytes == 0


def test_an_in_place_layer_saves_no_block_of_its_own():
    def bytes_with(inplace):
        layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace), nn.Conv2d(8, 8, 1)
        return summarize(nn.Sequential(*layers), (3, 10, 10)).saved_bytes

    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.ReLU(inplace=True))
    table = summarize(model, (3, 10, 10)).table
    assert table["saved_bytes"].tolist() == [0, 1200, 8 * 64 * 4, 0]
    assert bytes_with(True) == bytes_with(False)  # either way the output of ReLU


def test_a_view_counts_as_the_memory_that_it_keeps():
    class Slice(nn.Module):
        def forward(self, x):
            y = x * 2
            return y[:, :1] ** 2

    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))
            self.slice = Slice()

        def forward(self, x):
            return self.slice(x + self.scale)

    table = summarize(Holder(), (4, 8, 8)).table.set_index("name")
    assert table.loc["slice", "saved_bytes"] == 4 * 4 * 64


def test_checkpointed_layers_save_their_input_only():
    class Checkpointed(nn.Module):
        def __init__(self, on):
            super().__init__()
            self.body = nn.Sequential(*(nn.Linear(64, 64) for _ in range(5)))
            self.on = on

        def forward(self, x):
            if self.on:
                return checkpoint(self.body, x, use_reentrant=False)
            return self.body(x)

    plain, saving = (summarize(Checkpointed(on), (64,)).saved_bytes for on in (False, True))
    assert plain == 5 * 64 * 4
    assert saving < plain


@pytest.mark.parametrize(
    "outside", [torch.no_grad, torch.inference_mode, torch.enable_grad]
)
def test_the_answer_does_not_depend_on_the_grad_mode_of_the_caller(outside):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    expected = summarize(model, (3, 9, 9)).saved_bytes
    with outside():
        assert summarize(model, (3, 9, 9)).saved_bytes == expected > 0
