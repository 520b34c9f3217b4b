"""Models on which other counters crash or miscount: all right here, run for real or not."""

import threading

import pandas as pd
import pytest
import torch
import torchvision
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from coursekit.errors import SettingsError
from coursekit.inspection import summarize


class SharedLinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(10, 10)

    def forward(self, x):
        return self.linear(self.linear(self.linear(x)))


class DictOutput(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(10, 10)

    def forward(self, x):
        return {"logits": self.linear(x), "parts": (x, [x])}


class BareParameter(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1000))
        self.linear = nn.Linear(10, 10)

    def forward(self, x):
        return self.linear(x) * self.weight.sum()


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(10, 20)
        self.linear = nn.Linear(20, 2)

    def forward(self, x):
        rows, (hidden, cell) = self.lstm(x)
        return self.linear(rows), hidden, cell


class SelfAttention(nn.MultiheadAttention):
    def forward(self, x):
        return super().forward(x, x, x, need_weights=False)


def vision(name, **settings):
    return lambda: getattr(torchvision.models, name)(weights=None, **settings)


def deeplab():
    return torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None
    )


def ssdlite():
    return torchvision.models.detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None
    )


IMAGE = (torch.rand(1, 3, 64, 64),)
LARGE = (torch.rand(1, 3, 224, 224),)
PAIR = (torch.rand(2, 3, 96, 96),)

# name: how to build, mode, true parameters, how to call
AWKWARD = {
    "resnet18": (vision("resnet18"), False, 11_689_512, IMAGE),
    "vgg11": (vision("vgg11"), False, 132_863_336, IMAGE),
    "mobilenet_v2": (vision("mobilenet_v2"), False, 3_504_872, IMAGE),
    "convnext_tiny": (vision("convnext_tiny"), False, 28_589_128, IMAGE),
    "vit_b_16": (vision("vit_b_16"), False, 86_567_656, LARGE),
    "swin_t": (vision("swin_t"), False, 28_288_354, IMAGE),
    "googlenet eval": (vision("googlenet", init_weights=False), False, 13_004_888, IMAGE),
    "googlenet train": (vision("googlenet", init_weights=False), True, 13_004_888, PAIR),
    "inception_v3 train": (
        vision("inception_v3", init_weights=False),
        True,
        27_161_264,
        (torch.rand(2, 3, 299, 299),),
    ),
    "deeplabv3": (deeplab, False, 11_025_477, IMAGE),
    "ssdlite": (ssdlite, False, 3_440_060, ([torch.rand(3, 320, 320)],)),
    "shared linear": (SharedLinear, True, 110, (torch.rand(2, 10),)),
    "dict output": (DictOutput, True, 110, (torch.rand(2, 10),)),
    "bare parameter": (BareParameter, True, 1_110, (torch.rand(2, 10),)),
    "lstm": (Recurrent, True, 2_602, (torch.rand(5, 2, 10),)),
    "attention": (
        lambda: SelfAttention(64, 4, batch_first=True),
        False,
        16_640,
        (torch.rand(2, 7, 64),),
    ),
    "embedding": (
        lambda: nn.Embedding(100, 16),
        True,
        1_600,
        (torch.randint(100, (2, 5)),),
    ),
}


UNKNOWN_TO_TORCH = {"lstm": 5 * 2 * 4 * 20 * (10 + 20)}  # steps x images x gates x weights


def true_operations(name, model, example):
    """Count by torch's own counter, with attention as plain products of matrices.

    Its fused kernels are not in the table of every version of torch: there it counts less.
    """
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model(*example)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    return counter.get_total_flops() // 2 + UNKNOWN_TO_TORCH.get(name, 0)


def test_there_are_seventeen():
    assert len(AWKWARD) == 17


@pytest.mark.parametrize("name", AWKWARD)
def test_an_awkward_model_is_right(name):
    build, training, n_parameters, example = AWKWARD[name]
    model = build().train(training)
    summary = summarize(model, example=example)
    assert summary.n_parameters == summary.n_trainable == n_parameters
    assert n_parameters == sum(parameter.numel() for parameter in model.parameters())
    assert summary.multiply_adds == true_operations(name, model, example)
    table = summary.table
    for column, total in (
        ("parameters", n_parameters),
        ("trainable", n_parameters),
        ("multiply_adds", summary.multiply_adds),
        ("saved_bytes", summary.saved_bytes),
    ):
        assert table[column].sum() == total
    if name == "ssdlite":  # which boxes are kept depends on values
        with pytest.raises(SettingsError, match=r"\(SSD\) needs values.*device=None"):
            summarize(model, example=example, device="meta")
        return
    fake = summarize(model, example=example, device="meta")
    differing = ["saved_bytes"] if name == "lstm" else []  # a kernel's own workspace
    pd.testing.assert_frame_equal(
        fake.table.drop(columns=differing), table.drop(columns=differing)
    )


def test_a_shared_module_is_counted_once_and_each_call_has_a_row():
    table = summarize(SharedLinear(), example=torch.rand(2, 10)).table
    assert table["name"].tolist() == ["(model)", "linear", "linear", "linear"]
    assert table["call"].tolist() == [1, 1, 2, 3]
    assert table["parameters"].tolist() == [0, 110, 0, 0]
    assert table["multiply_adds"].tolist() == [0, 200, 200, 200]


def test_tied_weights_are_counted_once():
    model = nn.Sequential(
        nn.Linear(8, 8, bias=False), nn.ReLU(), nn.Linear(8, 8, bias=False)
    )
    model[2].weight = model[0].weight
    summary = summarize(model, (8,), device="meta")
    assert summary.n_parameters == summary.n_used == 64
    assert summary.table["parameters"].tolist() == [0, 64, 0, 0]


def test_outputs_keep_their_structure():
    table = summarize(DictOutput(), example=torch.rand(2, 10)).table
    assert table["output_shape"][0] == {"logits": (2, 10), "parts": [(2, 10), [(2, 10)]]}
    table = summarize(Recurrent(), example=torch.rand(5, 2, 10)).table
    assert table["output_shape"][1] == [(5, 2, 20), [(1, 2, 20), (1, 2, 20)]]


def test_several_inputs_by_sizes_by_place_and_by_name():
    model = nn.Bilinear(3, 4, 5)
    a, b = torch.rand(2, 3), torch.rand(2, 4)
    ways = [
        summarize(model, [(3,), (4,)], batch_size=2),
        summarize(model, example=(a, b)),
        summarize(model, example={"input1": a, "input2": b}),
        summarize(model, example={"input1": a, "input2": b}, device="meta"),
    ]
    assert {w.multiply_adds for w in ways} == {2 * 3 * 4 * 5}
    assert {w.input_shapes for w in ways} == {((2, 3), (2, 4))}


@pytest.mark.parametrize(
    ("model", "shape", "n"),
    [
        (nn.Linear(6, 5), (6,), 30),  # a vector, no batch
        (nn.Linear(6, 5, bias=False), (6,), 30),
        (nn.Linear(6, 5), (7, 3, 6), 7 * 3 * 30),
        (nn.Conv1d(2, 4, 3), (1, 2, 9), 7 * 4 * 2 * 3),
        (nn.Conv3d(2, 4, (1, 3, 3)), (1, 2, 4, 5, 5), 4 * 3 * 3 * 4 * 2 * 9),
        (nn.Conv2d(4, 8, 3, groups=4), (1, 4, 5, 5), 9 * 8 * 1 * 9),
        (nn.ConvTranspose2d(3, 6, 2, stride=2), (1, 3, 5, 5), 25 * 3 * 6 * 4),
        (nn.GRU(10, 20), (5, 2, 10), 10 * 3 * 20 * 30),
        (nn.LSTM(10, 20, 2, bidirectional=True), (5, 2, 10), 10 * 2 * 80 * (30 + 60)),
        (nn.BatchNorm2d(3), (2, 3, 5, 5), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
@pytest.mark.parametrize("device", [None, "meta"])
def test_single_layers_cost_what_paper_and_pencil_say(model, shape, n, device):
    assert summarize(model, example=torch.rand(shape), device=device).multiply_adds == n


@pytest.mark.parametrize("device", [None, "meta"])
@pytest.mark.parametrize("n_key_heads", [6, 2])
def test_attention_is_two_products_of_matrices_also_where_heads_share_keys(
    n_key_heads, device
):
    class Attention(nn.Module):
        def forward(self, query, key, value):
            return nn.functional.scaled_dot_product_attention(
                query, key, value, enable_gqa=True
            )

    keys = torch.rand(2, n_key_heads, 7, 16)
    example = torch.rand(2, 6, 5, 16), keys, keys
    found = summarize(Attention(), example=example, device=device).multiply_adds
    assert found == 2 * 6 * 5 * 7 * (16 + 16)


@pytest.mark.parametrize("mode", [True, False])
def test_frozen_attention_is_counted_whatever_the_mode(mode):
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).train(mode)
    free = summarize(layer, example=torch.rand(2, 5, 16))
    frozen = summarize(layer.requires_grad_(False), example=torch.rand(2, 5, 16))
    per_token = 4 * 16 * 16 + 2 * 16 * 32 + 2 * 5 * 16
    assert free.multiply_adds == frozen.multiply_adds == 2 * 5 * per_token
    assert torch.backends.mha.get_fastpath_enabled()


def test_weights_that_hooks_compute_are_computed():
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))
    pruned = nn.Conv2d(4, 4, 3)
    nn.utils.prune.l1_unstructured(pruned, "weight", 0.5)
    spectral = nn.utils.spectral_norm(nn.Conv2d(4, 4, 3))
    model = nn.Sequential(normed, pruned, spectral)
    for device in (None, "meta"):
        summary = summarize(model, (3, 9, 9), device=device)
        assert summary.n_parameters == sum(p.numel() for p in model.parameters())
        assert summary.n_used == summary.n_parameters
        assert summary.multiply_adds >= 49 * 4 * 27 + (25 + 9) * 4 * 36


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
def test_wrappers_are_looked_through(wrap):
    inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    expected = summarize(inner, (3, 8, 8))
    found = summarize(wrap(inner), (3, 8, 8))
    pd.testing.assert_frame_equal(found.table, expected.table)


def test_a_traced_graph_is_described_like_the_model():
    inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
    traced = torch.fx.symbolic_trace(inner)
    one, other = summarize(inner, (3, 8, 8)), summarize(traced, (3, 8, 8), device="meta")
    assert one.multiply_adds == other.multiply_adds
    assert one.saved_bytes == other.saved_bytes


def test_what_cannot_be_copied_is_shared():
    class Locked(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Conv2d(3, 4, 3))
            self.lock = threading.Lock()
            self.lines = (line for line in "ab")

    model = Locked()
    for device in (None, "meta"):
        assert summarize(model, (3, 8, 8), device=device).n_parameters == 112
    assert list(model.lines) == ["a", "b"]
